"""Tokenizing a split once: batched, with a bar, and kept under what decides its content."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ftrun.contracts import BuiltModel, Encode, EncodedRows, Rows, Splits, Task
from ftrun.errors import ExperimentError, Problem
from ftrun.execution.encoded_cache import EncodedCache
from ftrun.execution.encoded_labels import check_kept
from ftrun.execution.encoding_processes import encoded_batches, processes_for
from ftrun.execution.provenance import versions
from ftrun.planning.choice import BUILT_IN

log = logging.getLogger(__name__)

BATCH_ROWS = 1000
"""Rows that `encode` takes at once, as many as `Dataset.map` by default."""

KEY_VERSION = 1
"""Goes up with every change of what a key is made of or of how rows are kept."""

ENCODING_PACKAGES = ("python", "datasets", "numpy", "sentencepiece", "tiktoken", "tokenizers", "transformers")
"""Packages whose next version may encode the same text otherwise."""

READ_ROWS = 10_000
"""Rows that are read at once for the key: some megabytes of text."""

COMPARED_ROWS = 32
"""Rows, or some more, that are encoded again and compared with the cached ones."""

EACH = "and must give one for each"

MANY = 4
"""How many times the rows that were picked out a table may have to be read as a whole for the key."""


@dataclass(frozen=True)
class Encoding:
    """How the splits of a run are encoded.

    Attributes:
        splits: The data set.
        built: The model with its `encode`.
        provider: The distribution that the model component comes from, with its version.
        cache: Where encoded splits are kept.
        progress: Called with the split's name, the rows done and all rows.
        notice: Called with a sentence for a person.
        processes: How many may share the work where there is enough of it; None is this one.
        who: What to call the model component in a sentence.
    """

    splits: Splits
    built: BuiltModel
    provider: str
    cache: EncodedCache
    progress: Callable[[str, int, int], None]
    notice: Callable[[str], None]
    processes: int | None = None
    who: str = "the model"

    def encode(self, split: str, rows: Rows) -> EncodedRows:
        """The rows with the columns that the collator takes, from the cache where they are there.

        Raises:
            ExperimentError: If `encode` gives no columns, or not one row for each.
            RunError: If a process that shares the work is killed.
        """
        key = self.key(rows) if len(rows) else None
        encoded: EncodedRows | None = self._cached(key, rows) if key else self._in_memory(split, rows)
        if encoded is None:
            assert key
            encoded = self._into_cache(key, split, rows)
            self._tell_impure(split, rows, encoded)
        if len(encoded) != len(rows):
            raise _fault(self.who, f"gives {len(encoded):,} rows by encode for the {len(rows):,} of {split}, {EACH}")
        return encoded

    def key(self, rows: Rows) -> str | None:
        """What tells one encoded split from another: every value in its rows, and all that decides how they are
        encoded; None where that cannot be told.

        The digest of the data set is a part of it, for what stands in files that the rows only name.
        """
        content = _content(rows)
        if content is None:
            return None
        task, built = self.splits.task, self.built
        installed = versions(frozenset(ENCODING_PACKAGES))
        libraries = [installed.get(name) for name in ENCODING_PACKAGES]
        encoding = (KEY_VERSION, BATCH_ROWS, repr(task), built.encode_key, self.provider, libraries)
        identity = repr((content, self.splits.digest, encoding))
        return hashlib.sha256(identity.encode()).hexdigest()[:40]

    def _cached(self, key: str, rows: Any) -> Any:
        file = self.cache.find(key)
        if file is None:
            return None
        encoded = rows.from_file(str(file))
        if self._still_encodes_so(rows, encoded) is not True:
            log.warning("the model encodes otherwise than it did under the same encode_key; %s is made anew", file)
            self.cache.discard(key)
            return None
        return encoded

    def _tell_impure(self, split: str, rows: Any, encoded: Any) -> None:
        """Say where a plugin's `encode` gives something else for rows that it has just encoded."""
        if self.provider.partition(" ")[0] == BUILT_IN or len(encoded) != len(rows):
            return
        if self._still_encodes_so(rows, encoded) is False:
            self.notice(
                f"{self.who} encodes rows of {split} otherwise when it is asked again, in another batch: encode must "
                "be pure, each row by itself"
            )

    def _still_encodes_so(self, rows: Any, encoded: Any) -> bool | None:
        """Whether `encode` gives what it gave, on a few rows from everywhere; None where it cannot be asked again."""
        some = range(0, len(rows), max(1, len(rows) // COMPARED_ROWS))
        options = {"keep_in_memory": True, "features": encoded.features, "new_fingerprint": "compared"}
        try:
            again = rows.select(some).map(self.built.encode, batched=True, remove_columns=rows.column_names, **options)
        except Exception:  # other columns, other types, or a fault that will be met again
            log.info("some rows could not be encoded for a comparison with the cache", exc_info=True)
            return None
        return repr(again.with_format(None)[:]) == repr(encoded.select(some)[:])

    def _into_cache(self, key: str, split: str, rows: Any) -> Any:
        about = {"data": self.splits.name, "split": split, "rows": len(rows), "model": self.built.source}
        try:
            with self.cache.writing(key, about) as file:
                self._map(split, rows, cache_file_name=str(file), load_from_cache_file=False, new_fingerprint=key)
            found = self.cache.find(key)
            if found is None:
                raise OSError(f"{self.cache.folder} does not keep what is written")
            self.cache.prune()
            return rows.from_file(str(found))
        except OSError as error:
            log.warning("the encoded rows cannot be kept", exc_info=True)
            reason = error.strerror or str(error)
            self.notice(f"{split} is tokenized in memory: the cache {self.cache.folder} cannot be written ({reason})")
            return self._in_memory(split, rows)

    def _in_memory(self, split: str, rows: Rows) -> Any:
        if not _is_dataset(rows):
            return self._map(split, rows)
        encoded = self._map(split, rows, keep_in_memory=True, new_fingerprint="in-memory")
        return encoded.with_format(None)  # map hands on the format that the rows had before they were encoded

    def _map(self, split: str, rows: Rows, **options: Any) -> Any:
        encode = CheckedEncode.of(self.built, split, self.splits.task, self.who)
        count = processes_for(len(rows), self.processes) if _is_dataset(rows) else 1
        if count == 1:
            return self._map_here(split, rows, encode, **options)
        with encoded_batches(split, rows, encode, BATCH_ROWS, count, self.who) as tables:
            unformatted: Any = rows
            return self._map_here(split, unformatted.with_format(None), lambda _: next(tables), **options)

    def _map_here(self, split: str, rows: Rows, function: Callable[[Any], Any], **options: Any) -> Any:
        done = 0

        def encode(batch: Mapping[str, Sequence[Any]]) -> Any:
            nonlocal done
            columns = function(batch)
            done += len(next(iter(batch.values())))
            self.progress(split, done, len(rows))
            return columns

        return rows.map(encode, batched=True, batch_size=BATCH_ROWS, remove_columns=rows.column_names, **options)


@dataclass(frozen=True)
class CheckedEncode:
    """A model's `encode`, held to one row for each and to its label; an object, which can be sent to other processes.

    Attributes:
        encode: The model's.
        split: What to call the rows.
        task: Theirs.
        class_names: The classes in the order of the model's outputs; None for the task's order.
        who: What to call the model component in a sentence.

    Raises, when called:
        ExperimentError: If it gives no columns, another number of rows, or other labels.
    """

    encode: Encode
    split: str
    task: Task
    class_names: tuple[str, ...] | None = None
    who: str = "the model"

    @classmethod
    def of(cls, built: BuiltModel, split: str, task: Task, who: str) -> CheckedEncode:
        """That of a model, for some rows."""
        return cls(built.encode, split, task, built.class_names, who)

    def __call__(self, batch: Mapping[str, Sequence[Any]]) -> Mapping[str, Sequence[Any]]:
        """The columns of a batch of rows."""
        columns = self.encode(batch)
        if not isinstance(columns, Mapping):
            given = f"gives a {type(columns).__name__} by encode for rows of {self.split}"
            raise _fault(self.who, f"{given}, and must give columns by name")
        rows = len(next(iter(batch.values())))
        for name, column in columns.items():
            if not hasattr(column, "__len__"):
                raise _fault(self.who, f"gives a {type(column).__name__} by encode for {name}, and must give a list")
            if len(column) != rows:
                given = f"gives {len(column):,} rows of {name} by encode for {rows:,} rows of {self.split}"
                raise _fault(self.who, f"{given}, {EACH}")
        if "labels" in columns and (label := self.task.label_column) in batch:
            check_kept(batch[label], columns["labels"], self.task, self.class_names, self.who, self.split)
        return columns


def _fault(who: str, message: str) -> ExperimentError:
    return ExperimentError(Problem(f"{who} {message}", "model"))


def _is_dataset(rows: Rows) -> bool:
    """Whether rows are a `datasets.Dataset`, which the runner does not import."""
    return all(hasattr(rows, name) for name in ("features", "format", "with_format", "select", "from_file"))


def _content(rows: Any) -> str | None:
    """A checksum of all values of the rows with their names and types; None if the rows are no `datasets.Dataset`, or
    what they give goes through a function on its way.

    Read batch by batch. Where rows were picked out one by one, it is that of the whole table and of the choice, which
    is quicker, unless few were picked out of many.
    """
    if not _is_dataset(rows) or rows.format["type"] == "custom":
        return None
    digest = hashlib.sha256(repr((rows.features, rows.format, len(rows))).encode())
    for table in _tables(rows):
        for batch in table.combine_chunks().to_batches():
            digest.update(batch.serialize())
    return digest.hexdigest()


def _tables(rows: Any) -> Iterator[Any]:
    """The rows as Arrow tables."""
    chosen = getattr(rows, "_indices", None)
    if chosen is None or len(rows.data) > MANY * len(rows):
        yield from rows.with_format("arrow").iter(batch_size=READ_ROWS)
        return
    for table in (rows.data, chosen):
        for start in range(0, len(table), READ_ROWS):
            yield table.slice(start, READ_ROWS)
