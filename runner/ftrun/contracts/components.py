"""The components that a plugin offers, as data: one class a kind."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Generic, Literal

from typing_extensions import TypeVar

from ftrun.contracts.data import BuiltModel, Collate, Evaluator, Rows, Splits, Task
from ftrun.contracts.training import BackendSession
from ftrun.errors import Problem
from ftrun.settings import Settings, TrainingSettings

CONTRACT_VERSION = "1.2"
"""What a plugin may count on. The first number goes up when something that a plugin does may stop working, the second
when something is added. A plugin that needs one, or a later one, says so: `ftrun_contract = "1.2"` in its module."""

Kind = Literal["dataset", "model", "collator", "metric", "backend"]
KINDS: tuple[Kind, ...] = ("dataset", "model", "collator", "metric", "backend")
Direction = Literal["max", "min"]

S = TypeVar("S", bound=Settings, default=Any)


@dataclass(frozen=True)
class Need:
    """One thing that must be on a machine that has no network. Since 1.2.

    Attributes:
        what: What it is, such as "the weights of google-bert/bert-base-uncased".
        here: Whether it is on this machine; None where that cannot be told.
        get: How to get it, where it is not.
        key: The key of the settings that names it.
    """

    what: str
    here: bool | None
    get: str | None = None
    key: str | None = None


def needs_nothing(settings: Any) -> Sequence[Need]:
    """What a component needs whose package is all of it."""
    return ()


@dataclass(frozen=True, kw_only=True)
class Component(Generic[S]):
    """What every kind has in common.

    Attributes:
        name: What a file says to `use`: letters, digits, `_`, `.` and `-`.
        summary: One line of help.
        settings: The keys that a file may set beside `use`. What they hold survives being written to TOML and read
            back.
        needs: Light: what these settings name that must be on this machine where there is no network, each with whether
            it is; asked by `ftrun check --offline`, and must itself ask no network. None where that is not known. Since
            1.2.
    """

    kind: ClassVar[Kind]
    name: str
    summary: str
    settings: type[S] = Settings  # type: ignore[assignment]
    needs: Callable[[S], Sequence[Need]] | None = None


@dataclass(frozen=True, kw_only=True)
class Dataset(Component[S]):
    """Rows to learn from.

    Attributes:
        build: Opens the splits.
        task: Light: what the settings alone tell of the task; None where they do not. For "multi_label" and a kind of
            one's own it may leave the classes open, so that parts for another kind are refused before any work.
        check: Light: what is wrong with these settings on this machine, told before any work.
        train_only: Opens the splits of a training with `eval_strategy = "no"`, where that is not what `build` does: a
            data set that cuts a validation split off where there is none then leaves all rows to train on. Since 1.2.
        read: The rows of a further file or folder in a form of its own, for `ftrun predict` and `ftrun evaluate`: with
            the columns of its splits, and labels as `Splits` has them, by the classes of the task that it is given,
            which the model has learnt. Where there are none, the label column is not there, or holds None or -1. None
            in place of rows where the file is in no form that it knows: then the runner reads it as CSV, TSV, JSON or
            Parquet, and refuses a folder. It is asked of every file and folder that a person names, whatever that ends
            in; what is wrong with one is an `ExperimentError`, told at `--data`. It should need no file of the
            training, which may be gone. Since 1.2.
    """

    kind: ClassVar[Kind] = "dataset"
    build: Callable[[S], Splits]
    task: Callable[[S], Task | None] | None = None
    check: Callable[[S], Sequence[Problem]] | None = None
    train_only: Callable[[S], Splits] | None = None
    read: Callable[[S, Path, Task], Rows | None] | None = None


@dataclass(frozen=True, kw_only=True)
class Model(Component[S]):
    """A model with its tokenizer.

    Attributes:
        build: Makes it, from the settings and the opened splits with their task: a vocabulary can be fitted to the rows
            of `train`. Called right after seeding, once the data is open.
        kinds: The kinds of task that it takes.
        has_tokenizer: Whether it comes with one.
        check: As a data set's.
        load: Makes it of a folder that its own `save_pretrained` and that of its tokenizer wrote, from the settings
            that it was trained with and its task, to predict with; raises an `ExperimentError` if the folder is
            another's. None where nobody can: such a model is not predicted with. Since 1.1.
    """

    kind: ClassVar[Kind] = "model"
    build: Callable[[S, Splits], BuiltModel]
    kinds: frozenset[str] = frozenset({"classification", "regression"})
    has_tokenizer: bool = True
    check: Callable[[S], Sequence[Problem]] | None = None
    load: Callable[[S, Path, Task], BuiltModel] | None = None


@dataclass(frozen=True, kw_only=True)
class Collator(Component[S]):
    """Makes batches of encoded rows. A file that names none has "dynamic-padding", for texts with a label each.

    Attributes:
        build: From the settings and the model's tokenizer, which may be None, to the collate function. That goes from
            encoded rows to one batch of tensors, by the names of the model's arguments, with `labels` if the rows have
            them. It is pure, and can be pickled: `dataloader_num_workers` may send it to other processes. Of a batch
            with `input_ids` and `attention_mask` the tokens are counted.
        needs_tokenizer: Whether it is of no use without one.
        check: As a data set's.
    """

    kind: ClassVar[Kind] = "collator"
    build: Callable[[S, Any], Collate]
    needs_tokenizer: bool = False
    check: Callable[[S], Sequence[Problem]] | None = None


@dataclass(frozen=True, kw_only=True)
class Metric(Component[S]):
    """Numbers of an evaluation.

    A file may call them otherwise by a `name` in the metric's table, which the runner sees to: a metric's settings have
    no key `name`, nor `use`.

    Attributes:
        yields: Light: the names of its numbers with their better directions, by settings and task; raises an
            `ExperimentError` if the metric does not suit the task. `loss` is taken.
        build: Makes the evaluator.
        check: As a data set's.
        notices: Light: what a person should know of its numbers, in sentences, by settings and task, such as which
            class they are of. One that several metrics say is told once. Since 1.2.
    """

    kind: ClassVar[Kind] = "metric"
    yields: Callable[[S, Task], Mapping[str, Direction]]
    build: Callable[[S, Task], Evaluator]
    check: Callable[[S], Sequence[Problem]] | None = None
    notices: Callable[[S, Task], Sequence[str]] | None = None


@dataclass(frozen=True, kw_only=True)
class Backend(Component[S]):
    """Who drives the training loop.

    Attributes:
        build: A session, from the settings and those of `[training]`.
        check: Light: what is wrong with these settings and those of `[training]` together, told before any work.
        check_environment: Light: from the `[training]` settings and the environment variables to a problem for every
            variable that would change a number against the file's word, with the variable's name as its place.
        honours: The keys of `[training]` that it obeys; None for all. One that is set and not among them is refused,
            and the record holds only these, beside the keys that the runner itself obeys.
        precisions: What it can train in.
        devices: What it can train on.
        checkpoint_format: What its checkpoints hold, such as "ftrun.training 1": those of another format are none that
            it can go on from. None where it writes none.
    """

    kind: ClassVar[Kind] = "backend"
    build: Callable[[S, TrainingSettings], BackendSession]
    check: Callable[[S, TrainingSettings], Sequence[Problem]] | None = None
    check_environment: Callable[[TrainingSettings, Mapping[str, str]], Sequence[Problem]] | None = None
    honours: frozenset[str] | None = None
    precisions: frozenset[str] = frozenset({"float32"})
    devices: frozenset[str] = frozenset({"cpu"})
    checkpoint_format: str | None = None


COMPONENTS: Mapping[Kind, type[Component[Any]]] = {
    "dataset": Dataset,
    "model": Model,
    "collator": Collator,
    "metric": Metric,
    "backend": Backend,
}
