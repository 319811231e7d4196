"""Anybody's files: of every dtype, dialect and damage. Each is read as it is meant or refused in a sentence, and every label
on the record is the file's.

`FTRUN_EXAMPLES=10000 pytest -n 0 tests/test_any_data.py` drives so many files through `ftrun check --deep`.
"""

from __future__ import annotations

import csv
import gzip
import io
import json
import os
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import ftrun
import pyarrow as pa
import pytest
from ftrun.errors import ExperimentError
from ftrun.execution.facts import Numbers
from ftrun.execution.inspection import inspect
from ftrun.execution.watcher import Watcher
from ftrun.planning.catalogue import Catalogue, load_catalogue
from ftrun.planning.experiment import load_experiment
from ftrun.planning.plan import make_plan
from ftrun_plugins.datasets import FilesSettings
from ftrun_plugins.datasets.files import build
from helpers import TINY, TOKENIZER
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

EXAMPLES = int(os.environ.get("FTRUN_EXAMPLES", "120"))
quick = settings(max_examples=EXAMPLES, suppress_health_check=list(HealthCheck))
few = settings(max_examples=max(EXAMPLES // 20, 10), suppress_health_check=list(HealthCheck))

Rows = list[dict[str, Any]]


@dataclass(frozen=True)
class Table:
    """A file to be written: how, and what is in it."""

    rows: Rows
    format: str = "csv"
    delimiter: str = ","
    encoding: str = "utf-8"
    quote_all: bool = False
    line_end: str = "\n"
    header: tuple[str, ...] = ("text", "label")

    def content(self) -> bytes:
        if self.format == "json":
            return "\n".join(json.dumps(row) for row in self.rows).encode()
        if self.format == "list":
            return json.dumps(self.rows).encode()
        if self.format == "parquet":
            return self._parquet()
        file = io.StringIO()
        bare = any("\r" in str(cell) for row in self.rows for cell in row.values())  # which Python's writer leaves bare
        quoting = csv.QUOTE_ALL if self.quote_all or bare else csv.QUOTE_MINIMAL
        writer = csv.writer(file, delimiter=self.delimiter, quoting=quoting, lineterminator=self.line_end)
        writer.writerow(self.header)
        writer.writerows([row.get(name) for name in row] for row in self.rows)
        return file.getvalue().encode(self.encoding)

    def _parquet(self) -> bytes:
        from pyarrow import parquet

        sink = io.BytesIO()
        parquet.write_table(pa.Table.from_pylist(self.rows), sink)
        return sink.getvalue()

    @property
    def suffix(self) -> str:
        return {"json": ".json", "list": ".json", "parquet": ".parquet"}.get(self.format, f".{self.format}")


@dataclass(frozen=True)
class Case:
    """Two files and the settings that go with them; `damaged` tells how, if they are."""

    train: Table
    validation: Table
    settings: Mapping[str, Any]
    damaged: str = ""
    cut: Callable[[bytes], bytes] = bytes

    def write(self, folder: Path) -> dict[str, Any]:
        files = {}
        for split, table in (("train", self.train), ("validation", self.validation)):
            path = folder / f"{split}{table.suffix}"
            content = table.content()
            path.write_bytes(self.cut(content) if split == "train" else content)
            files[split] = str(path)
        return {"use": "files", "text_columns": ["text"], **files, **self.settings}

    def labels(self, split: str) -> list[str]:
        rows = (self.train if split == "train" else self.validation).rows
        names = self.settings.get("class_names")
        if self.settings.get("label_ids"):
            return [names[int(row["label"])] for row in rows]
        return [as_file_has(row["label"]) for row in rows]


def as_file_has(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=30)
LATIN = st.text(st.characters(codec="latin-1", exclude_categories=["Cc"]), max_size=30)
ODD = st.sampled_from(
    ["None", "NA", "null", "nan", "", "001", "1e3", " x ", '"', "a,b", "a;b", "a\tb", "a\nb", "é", "=1+1"]
)
NAMES = st.sampled_from(
    ["None", "NA", "null", "001", "1", "1.0", "-1", "true", "True", "x y", "a,b", 'say "a"', "ü", "#"]
)
LABELS = {
    "integers": st.integers(-3, 5),
    "wide integers": st.integers(-(2**63), 2**63 - 1),
    "truth values": st.booleans(),
    "whole floats": st.integers(-4, 4).map(float),
    "names": NAMES,
    "texts": TEXT.filter(str.strip),
}


@st.composite
def sound(draw: st.DrawFn) -> Case:
    """Files as people have them."""
    format = draw(st.sampled_from(["csv", "tsv", "json", "list", "parquet"]))
    untyped = format in ("csv", "tsv")
    kind = draw(
        st.sampled_from([kind for kind in LABELS if not (untyped and kind in ("truth values", "whole floats"))])
    )
    encoding = (
        draw(st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "cp1252"])) if format in ("csv", "tsv") else "utf-8"
    )
    texts = LATIN.filter(lambda text: _fits(text, encoding)) if encoding == "cp1252" else TEXT
    texts = st.one_of(texts, ODD)
    labels = LABELS[kind].filter(lambda label: _fits(str(label), encoding))
    # one number that is written in two ways is refused
    of_two = st.lists(labels, min_size=2, max_size=8).filter(lambda some: len(set(some)) > 1)
    trained = draw(of_two.filter(lambda some: not {"1", "1.0"} <= set(some)))
    known = st.sampled_from(trained)
    settings: dict[str, Any] = {}
    if draw(st.booleans()) and kind == "integers":
        trained = [abs(label) % 3 for label in trained]
        known = st.sampled_from(trained)
        settings = {"class_names": ["left", "right", "middle"], "label_ids": True}
    rows = [{"text": draw(texts), "label": label} for label in trained]
    more = [{"text": draw(texts), "label": label} for label in draw(st.lists(known, min_size=1, max_size=5))]
    dialect: dict[str, Any] = {"format": format, "encoding": encoding}
    if format in ("csv", "tsv"):
        usual = "," if format == "csv" else "\t"
        delimiter = draw(st.sampled_from([usual, usual, ";", "|"]))
        dialect |= {
            "delimiter": delimiter,
            "quote_all": draw(st.booleans()),
            "line_end": draw(st.sampled_from(["\n", "\r\n"])),
        }
        settings |= {"encoding": encoding.removesuffix("-sig")}
        settings |= {"delimiter": delimiter} if delimiter != usual or draw(st.booleans()) else {}
    return Case(Table(rows, **dialect), Table(more, **dialect), settings)


def _fits(text: str, encoding: str) -> bool:
    try:
        return text.encode(encoding).decode(encoding) == text
    except UnicodeError:
        return False


def in_row(name: str, value: Any) -> Callable[[Case, Any], Case]:
    """A damage to one cell of one of the files."""

    def damage(case: Case, random: Any) -> Case:
        split = random.choice(["train", "validation"])
        table: Table = getattr(case, split)
        rows = [dict(row) for row in table.rows]
        random.choice(rows)[name] = value
        return replace(case, **{split: replace(table, rows=rows)})

    return damage


def in_bytes(cut: Callable[[bytes, Any], bytes]) -> Callable[[Case, Any], Case]:
    return lambda case, random: replace(case, cut=lambda content: cut(content, random))


def other_table(**changes: Any) -> Callable[[Case, Any], Case]:
    return lambda case, random: replace(case, train=replace(case.train, **changes))


def other_settings(**changes: Any) -> Callable[[Case, Any], Case]:
    return lambda case, random: replace(case, settings={**case.settings, **changes})


def a_place(content: bytes, random: Any) -> int:
    return random.randrange(len(content) + 1) if content else 0


DAMAGES: dict[str, Callable[[Case, Any], Case]] = {
    "a label is missing": in_row("label", None),
    "a label is empty": in_row("label", ""),
    "a label is blank": in_row("label", " \t"),
    "a label is a class of its own": in_row("label", "nobody has this"),
    "a label is a fraction": in_row("label", 0.5),
    "a label is a list": in_row("label", ["a", "b"]),
    "a label is an object": in_row("label", {"a": 1}),
    "a label is not a number": in_row("label", float("nan")),
    "a label is endless": in_row("label", float("inf")),
    "a label is huge": in_row("label", 10**40),
    "a text is missing": in_row("text", None),
    "a text is a number": in_row("text", 5),
    "a text is a list": in_row("text", ["a"]),
    "a row has one cell too many": in_row("more", "cell"),
    "two columns have one name": other_table(header=("label", "label")),
    "a column is missing": other_table(header=("text", "target")),
    "the header is empty": other_table(header=("", "")),
    "there are no rows": other_table(rows=[]),
    "the delimiter is another": other_settings(delimiter="~"),
    "the encoding is another": other_settings(encoding="utf-16"),
    "quotes are characters": other_settings(quoting=False),
    "it is a regression": other_settings(kind="regression", class_names=None, label_ids=False),
    "the column is another": other_settings(label_column="text", text_columns=["label"]),
    "ids without a range": other_settings(class_names=["x", "y"], label_ids=True),
    "the file is cut": in_bytes(lambda content, random: content[: a_place(content, random)]),
    "the file is empty": in_bytes(lambda content, random: b""),
    "a byte is another": in_bytes(
        lambda content, random: (
            content[: (at := a_place(content, random))] + bytes([random.randrange(256)]) + content[at + 1 :]
        )
    ),
    "bytes are put in": in_bytes(
        lambda content, random: content[: (at := a_place(content, random))] + random.randbytes(5) + content[at:]
    ),
    "the file is something else": in_bytes(
        lambda content, random: random.choice([b"PK\x03\x04", b"\x1f\x8b", b"{}", b"\0" * 9])
    ),
}


@pytest.fixture(scope="module")
def tiny_tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tokenizer that is loaded in no time."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    folder = tmp_path_factory.mktemp("tokenizer")
    words = Tokenizer(models.WordLevel({"[PAD]": 0, "[UNK]": 1, "[CLS]": 2, "a": 3}, unk_token="[UNK]"))
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    words.post_processor = processors.TemplateProcessing("[CLS] $A", special_tokens=[("[CLS]", 2)])
    PreTrainedTokenizerFast(tokenizer_object=words, pad_token="[PAD]", unk_token="[UNK]").save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def catalogue() -> Catalogue:
    return load_catalogue()


@pytest.fixture
def experiment(workdir: Path, tiny_tokenizer: Path) -> Path:
    path = workdir / "tiny.toml"
    path.write_text(TINY.replace(TOKENIZER, str(tiny_tokenizer)))
    return path


def overrides(case: Case, folder: Path) -> dict[str, Any]:
    dataset = {key: value for key, value in case.write(folder).items() if value is not None}
    is_regression = dataset.get("kind") == "regression"
    return {"dataset": dataset, "metrics": [{"use": "regression-errors" if is_regression else "accuracy"}]}


@pytest.mark.slow
def test_files_as_people_have_them_are_read_as_they_are_meant(experiment: Path, catalogue: Catalogue) -> None:
    @quick
    @given(sound())
    def look(case: Case) -> None:
        plan = make_plan(load_experiment(experiment, overrides=overrides(case, experiment.parent)), catalogue)
        for facts, split in zip(inspect(plan, Watcher()).splits, ("train", "validation"), strict=True):
            assert not isinstance(facts.labels, Numbers)
            assert {name: count for name, count in facts.labels.items() if count} == Counter(case.labels(split))

    look()


def test_damaged_files_are_refused_in_a_sentence_or_read(experiment: Path, catalogue: Catalogue) -> None:
    @quick
    @given(sound(), st.sampled_from(list(DAMAGES)), st.randoms(use_true_random=False))
    def look(case: Case, damage: str, random: Any) -> None:
        damaged = DAMAGES[damage](case, random)
        try:
            changes = overrides(damaged, experiment.parent)
        except (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError, UnicodeError):
            return  # nobody can write such a file
        try:
            inspect(make_plan(load_experiment(experiment, overrides=changes), catalogue), Watcher())
        except ExperimentError as refused:
            event(f"{damage}: refused")
            assert all(problem.place and problem.place.startswith("dataset") for problem in refused.problems), refused
        else:
            event(f"{damage}: read")

    look()


@pytest.mark.slow
def test_every_label_on_the_record_of_a_run_is_the_files(experiment: Path) -> None:
    @few
    @given(sound(), st.sampled_from(["loop", "trainer", "accelerate"]))
    def run(case: Case, backend: str) -> None:
        changes = {**overrides(case, experiment.parent), "training.max_steps": 2, "backend.use": backend}
        result = ftrun.run(experiment, overrides=changes, progress=False)
        assert result.status == "FINISHED", result.error
        table = json.loads((result.run_folder / "predictions" / "validation.json").read_text())
        columns: Sequence[Sequence[Any]] = list(zip(*table["data"], strict=True))
        recorded = dict(zip(table["columns"], columns, strict=True))
        assert list(recorded["label"]) == case.labels("validation")
        assert list(recorded["text"]) == [row["text"] for row in case.validation.rows]
        assert set(recorded["prediction"]) <= {*case.labels("train"), *(case.settings.get("class_names") or ())}

    run()


@pytest.mark.slow
def test_rows_in_several_files_are_those_of_one_packed_or_not(workdir: Path) -> None:
    @quick
    @given(sound(), st.integers(1, 4), st.booleans())
    def look(case: Case, size: int, packed: bool) -> None:
        whole = build(FilesSettings(**_without_use(case.write(workdir))))
        parts = []
        for start in range(0, len(case.train.rows), size):
            table = replace(case.train, rows=case.train.rows[start : start + size])
            packs = packed and table.format != "parquet"
            part = workdir / f"part-{start:02}{table.suffix}{'.gz' if packs else ''}"
            part.write_bytes(gzip.compress(table.content()) if packs else table.content())
            parts.append(str(part))
        splits = build(FilesSettings(**{**_without_use(case.write(workdir)), "train": parts}))
        assert splits.train[:] == whole.train[:] and splits.task == whole.task

    look()


@pytest.mark.slow
def test_columns_that_nobody_names_are_those_that_are_meant_or_asked_for(workdir: Path) -> None:
    @quick
    @given(sound(), st.sampled_from([{}, {"id": "x1"}, {"idx": 7}, {"more": "a text"}]))
    def look(case: Case, more: dict[str, Any]) -> None:
        wider = {split: _with_columns(getattr(case, split), more) for split in ("train", "validation")}
        settings = {**_without_use(replace(case, **wider).write(workdir)), "text_columns": None}
        try:
            task = build(FilesSettings(**settings)).task
        except ExperimentError as refused:
            assert [problem.place for problem in refused.problems] == ["dataset.text_columns"], refused
        else:
            assert (task.text_columns, task.label_column) == (("text",), "label") or "more" in more

    look()


def _with_columns(table: Table, more: Mapping[str, Any]) -> Table:
    return replace(table, rows=[{**row, **more} for row in table.rows], header=("text", "label", *more))


def _without_use(dataset: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in dataset.items() if key != "use"}
