"""What is not as it was when a run was begun, as far as its numbers depend on it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ftrun.contracts import Splits, Task
from ftrun.execution.recording import CODE_TAG, MODEL_CLASSES_TAG, MODEL_DIGEST_TAG
from ftrun.execution.row_sample import sample_checksum
from ftrun.planning.choice import BUILT_IN
from ftrun.planning.experiment import flat
from ftrun.planning.parts import Part
from ftrun.runs.history import History
from ftrun.runs.records import DatasetRecord

PROCESSES = (
    "training.dataloader_multiprocessing_context",
    "training.dataloader_num_workers",
    "training.dataloader_persistent_workers",
    "training.dataloader_pin_memory",
    "training.dataloader_prefetch_factor",
    "training.preprocessing_num_workers",
)
HARMLESS = (
    "name",
    "tracking",
    "push",
    "backend",
    "backend.use",
    "training.device",
    "training.save_steps",
    "training.save_total_limit",
    "training.torch_empty_cache_steps",
    *PROCESSES,
)
HARMLESS_PREFIXES = ("tracking.", "push.")
"""Settings that may change without a word: the curve, the metrics and the weights are the same with them or without.

The device is compared as what it turned out to be, the backend by whose it is (see `changed_backend`), what it takes
where it is the same one, and how often checkpoints are written where that is by the best evaluation.
"""
BACKEND = "backend.use"
SAVING = "training.save_strategy"
KEEPING_BEST = "training.load_best_model_at_end"
BEST = (KEEPING_BEST, "training.metric_for_best_model", "training.greater_is_better")
"""Settings that say which evaluation is the best, and whether its checkpoint is kept."""
CLASSES = "the classes in their order"
OBJECTIVE = (
    *("training.class_weights", "training.label_smoothing_factor", "model.max_length", "metrics", "collator"),
    CLASSES,
)
OBJECTIVE_PREFIXES = ("metrics.", "collator.", "dataset.", "the code of ")
ENCODED_BY = ("model.use", "model.checkpoint", "model.revision", "model.tokenizer", "model.pad_token")
"""What an evaluation measures, and on what: with another of these its numbers are not compared with those of before."""
NOT_EVALUATED_ON = ("dataset.train", "dataset.max_train_samples", "dataset.shuffle_seed", "dataset.test")
"""What says of the data set how it is trained and tested on, alone or before a dot. A split that comes of the rows to
train on is compared by what it holds."""
ENVIRONMENT = ("ftrun.threads", "ftrun.device", "ftrun.precision", "ftrun.processor", "ftrun.variables")
"""What the numbers depend on beside settings, data and packages, by its tags."""


@dataclass(frozen=True)
class Change:
    """Something that is not as it was when the run was begun."""

    name: str
    before: str | None
    now: str | None

    @property
    def forgets_best(self) -> bool:
        """Whether the best evaluation of before may not be the best by what is measured now."""
        if any(self.name == key or self.name.startswith(f"{key}.") for key in NOT_EVALUATED_ON):
            return False
        measures = self.name in (*OBJECTIVE, *ENCODED_BY) or self.name.startswith(OBJECTIVE_PREFIXES)
        is_evaluated_on = self.name.startswith("the data's split ") and self.name.endswith(" for evaluation")
        was_not_kept = self.name == SAVING and self.now == "best"
        return self.name in BEST or measures or is_evaluated_on or was_not_kept

    @property
    def sentence(self) -> str:
        """What it was, and what it is."""
        before, now = (value if value is not None else "nothing" for value in (self.before, self.now))
        return f"the run was begun with {before}, and now it is {now}"

    def __str__(self) -> str:
        return f"{self.name}: {self.sentence}"


def changed_settings(recorded: Mapping[str, Any], asked: Mapping[str, Any]) -> Sequence[Change]:
    """The settings that differ between two resolved experiments and matter."""
    before = dict(flat({key: value for key, value in recorded.items() if key != "format"}))
    now = dict(flat({key: value for key, value in asked.items() if key != "format"}))
    another_backend = before.get(BACKEND) != now.get(BACKEND)
    keeps_the_same = SAVING if _keep_the_same(before, now) else None
    matter = [
        key
        for key in sorted(before.keys() | now.keys())
        if not _is_harmless(key) and not (another_backend and key.startswith("backend.")) and key != keeps_the_same
    ]
    return [Change(key, before.get(key), now.get(key)) for key in matter if before.get(key) != now.get(key)]


def changed_backend(before: Part, now: Part) -> Sequence[Change]:
    """The backend, where it is another one and the two are not both of ftrun itself: only those promise one curve.

    Args:
        before: That of the run as it was begun; now: That which is asked for.
    """
    parts = (before, now)
    names = {(part.offer.distribution, part.offer.component.name) for part in parts}
    if len(names) == 1 or all(part.offer.distribution == BUILT_IN for part in parts):
        return []
    return [Change(BACKEND, before.offer.who, now.offer.who)]


def changed_environment(history: History, now: Mapping[str, str]) -> Sequence[Change]:
    """Packages, thread count, device, precision, processor and variables that differ, by the tags of now."""
    if not history.recorded:
        return []
    before = history.tags
    packages = {key for key in before.keys() | now.keys() if key.startswith("ftrun.version.")}
    matter = [*ENVIRONMENT, *sorted(packages - {"ftrun.version.mlflow"})]
    changed = [key for key in matter if before.get(key) != now.get(key)]
    return [*(Change(_spoken(key), before.get(key), now.get(key)) for key in changed), *_changed_code(before, now)]


def _changed_code(before: Mapping[str, str], now: Mapping[str, str]) -> Sequence[Change]:
    """Packages of plugins whose files differ; runs of before have no word of them, and other plugins are told above."""
    keys = sorted(key for key in before.keys() & now.keys() if key.startswith(CODE_TAG) and before[key] != now[key])
    return [Change(f"the code of {key.removeprefix(CODE_TAG)}", _short(before[key]), _short(now[key])) for key in keys]


def changed_data(history: History, splits: Splits) -> Sequence[Change]:
    """The splits that are not those that the run was begun with."""
    compared = [Change(_name_of(record), *_told(record, splits)) for record in history.datasets]
    return [change for change in compared if change.before != change.now]


def unchanged_data(history: History, splits: Splits) -> Sequence[tuple[str, str]]:
    """The splits that are, by context and name."""
    changed = {change.name for change in changed_data(history, splits)}
    return [(record.context, record.split) for record in history.datasets if _name_of(record) not in changed]


def _name_of(record: DatasetRecord) -> str:
    return f"the data's split {record.split} for {record.context}"


def _told(record: DatasetRecord, splits: Splits) -> tuple[str, str | None]:
    """What a split was, and what it is: its digest and number of rows, and where these are the same, and it is known
    of what was, some of its rows.
    """
    before = f"{record.digest[:12]}, {record.rows:,} rows"
    rows = splits.used.get((record.context, record.split))
    if rows is None:
        return before, None
    now = f"{splits.digest_of(record.split)[:12]}, {len(rows):,} rows"
    if before != now or record.sample is None or (sample := sample_checksum(rows, splits.task)) == record.sample:
        return before, now
    return f"{before} of checksum {record.sample[:12]}", f"{now} of checksum {sample[:12]}, by the same digest"


def changed_classes(recorded: Task | None, task: Task) -> Sequence[Change]:
    """The classes, where their names or their order are others than those that the model has learnt to tell.

    Args:
        recorded: The task as the run was begun with it; None where that is on no record.
        task: That of now.
    """
    if recorded is None:
        return []
    before, now = (", ".join(names) if names else None for names in (recorded.class_names, task.class_names))
    return [] if before == now else [Change(CLASSES, before, now)]


def changed_model(history: History, now: Mapping[str, str]) -> Sequence[Change]:
    """The weights that training begins from, and their order of classes, where they differ, by the tags of now."""
    before = history.tags
    matter = {MODEL_CLASSES_TAG: "the order of the model's classes"} if history.recorded else {}
    if MODEL_DIGEST_TAG in before:  # runs of before had none
        matter[MODEL_DIGEST_TAG] = "the model's weights"
    changed = {tag: name for tag, name in matter.items() if before.get(tag) != now.get(tag)}
    return [Change(name, _short(before.get(tag)), _short(now.get(tag))) for tag, name in changed.items()]


def _keep_the_same(before: Mapping[str, str], now: Mapping[str, str]) -> bool:
    """Whether two experiments agree on the checkpoint of the best evaluation: it is kept by both, or by neither."""
    keep, keeps_anyway = ([table.get(key) for table in (before, now)] for key in (SAVING, KEEPING_BEST))
    return "best" not in keep or keeps_anyway == ["true", "true"]


def _is_harmless(key: str) -> bool:
    return key in HARMLESS or key.startswith(HARMLESS_PREFIXES)


def _short(value: str | None) -> str | None:
    """A commit or checksum by its beginning, and all else as it is."""
    return value[:12] if value and len(value) >= 40 and value.isalnum() else value


def _spoken(key: str) -> str:
    return key.removeprefix("ftrun.").removeprefix("version.")
