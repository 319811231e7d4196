"""What passes between data, model, collator and metrics."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from os import PathLike
from typing import Any, Protocol, Self, SupportsFloat, runtime_checkable


class EncodedRows(Protocol):
    """Rows as a collate function takes them: their number, and each by its place, column by column."""

    def __len__(self) -> int: ...

    def __getitem__(self, row: int, /) -> Mapping[str, Any]: ...


class Rows(Protocol):
    """Rows as a data set has them: a `datasets.Dataset`, or what behaves as one in the following, and in nothing else.

    Only what a `datasets.Dataset` holds is kept encoded from run to run.

    Attributes:
        column_names: The names of the columns.
    """

    @property
    def column_names(self) -> list[str]: ...

    def __len__(self) -> int: ...

    def __getitem__(self, key: Any, /) -> Any:
        """A row by its place, a batch of columns by a slice, or a whole column by its name."""
        ...

    def select(self, indices: Any, /) -> Self:
        """The rows at these places, in this order."""
        ...

    def map(
        self,
        function: Callable[[Mapping[str, Sequence[Any]]], Mapping[str, Sequence[Any]]],
        /,
        *,
        batched: bool,
        batch_size: int,
        remove_columns: list[str],
    ) -> Any:
        """The rows that the function makes of each batch of `batch_size` rows, without the columns it was given."""
        ...


@dataclass(frozen=True)
class Task:
    """What a data set asks of a model.

    Attributes:
        kind: "classification" (one class a row), "multi_label" (any number of classes a row), "regression" (one number
            a row), or a word that other plugins agree on, such as "token_classification".
        text_columns: The columns that hold the text, in the order in which a tokenizer takes them. For a kind of one's
            own, the model may take something else there, such as a list of words, and holds cells to it in `encode`.
        label_column: The column that holds what is to be predicted; see `Splits` for its form.
        class_names: The classes in the order of their ids; None for regression, and for a kind without classes.
        benchmark: The task's name in a benchmark, such as "glue/mrpc", for metrics that belong to one.
        cross_entropy: For a kind of one's own, whether its loss is the mean cross entropy of a model's `logits` over
            their last axis with the encoded labels, those of -100 left out. Then, as for "classification",
            `class_weights` and `label_smoothing_factor` may be asked for; else they are refused, by `ftrun check` where
            the data set's `task` tells the kind. Since 1.2.
    """

    kind: str
    text_columns: tuple[str, ...]
    label_column: str = "label"
    class_names: tuple[str, ...] | None = None
    benchmark: str | None = None
    cross_entropy: bool = False

    @property
    def num_labels(self) -> int:
        """Numbers that a model gives for each row, or each place in it: one a class, or one for regression. It is 1 for
        a kind of one's own without classes, too, whose models may give any number of them.
        """
        return len(self.class_names) if self.class_names else 1


@dataclass(frozen=True)
class Splits:
    """An opened data set.

    A label is, by the kind of its task: for "classification" a whole number, the class's place in `class_names`; for
    "multi_label" a list of 0 and 1, one for each of `class_names`; for "regression" a finite number. What it is for
    another kind, such as a list of class ids for "token_classification", the model and the metrics of that kind agree
    on. Where such a task names classes, its label is a class id or a list of them: people see names, and in a file of
    further rows, names are read.

    Attributes:
        task: What it asks of a model.
        train: Rows to train on.
        evaluation: Named rows with labels to evaluate on; the first is the main one.
        test: Named rows to predict, labelled or not.
        notices: Sentences that a person should read, such as that some rows stand in two splits.
        train_split: What the data set calls the rows to train on.
        name: What to call it, such as "nyu-mll/glue/mrpc".
        source: Where it came from, such as a URL or a path.
        digest: What tells its contents apart: a commit, or a checksum of the files.
        test_at_end: Of `test`, those that the file asks for. When a run is at its end, its model is measured on them,
            or predicts them where they have no labels; nothing before sees them. All rows of such a split have labels,
            or none has: the label column is not there, or holds nothing but None or -1. Since 1.1.
        digests: What tells the contents of a split apart that `digest` does not tell of, by its name. Since 1.1.
    """

    task: Task
    train: Rows
    evaluation: Mapping[str, Rows]
    name: str
    source: str
    digest: str
    test: Mapping[str, Rows] = field(default_factory=dict)
    notices: Sequence[str] = ()
    train_split: str = "train"
    test_at_end: Sequence[str] = ()
    digests: Mapping[str, str] = field(default_factory=dict)

    @property
    def used(self) -> Mapping[tuple[str, str], Rows]:
        """The rows by MLflow's context, "training", "evaluation" or "test", and the split's name."""
        evaluation = {("evaluation", split): rows for split, rows in self.evaluation.items()}
        test = {("test", split): self.test[split] for split in self.test_at_end}
        return {("training", self.train_split): self.train, **evaluation, **test}

    def digest_of(self, split: str) -> str:
        """What tells the contents of a split apart."""
        return self.digests.get(split, self.digest)


Encode = Callable[[Mapping[str, Sequence[Any]]], Mapping[str, Sequence[Any]]]
"""From a batch of columns as the data set has them to the columns that the model's collate function takes, with one row
for each. It gets every column of a split; in `ftrun predict` and `ftrun evaluate` every column of the rows that are
named: those of the text by the task's names for them, and the label's in `evaluate` alone. Pure, and each row by
itself: however the rows are cut into batches, they are encoded alike."""

Collate = Callable[[Sequence[Mapping[str, Any]]], Mapping[str, Any]]
"""From encoded rows to one batch of tensors that the model takes as keyword arguments, `labels` among them. Pure."""


class Tokenizer(Protocol):
    """What must be there of a tokenizer.

    A collator may need more of it. "dynamic-padding" and "fixed-length" need `pad` as tokenizers of transformers have
    it: `pad(rows, padding=, max_length=, pad_to_multiple_of=, return_tensors="pt")`, with "longest" or "max_length" for
    `padding`, gives tensors by name, `labels` among them where the rows have any. Without it they refuse the model
    before training.
    """

    def save_pretrained(self, save_directory: str | PathLike[str], /) -> Any:
        """Write it into a folder, beside the model."""
        ...


class ModelOutput(Protocol):
    """What a model says of a batch.

    Attributes:
        loss: Its mean loss over the batch's labels, a scalar that gradients go back from; None where the batch has no
            labels.
        logits: Of shape (rows, num_labels), or (rows, places, num_labels) where every place in a row has a label. For a
            kind of one's own without classes there may be any number in place of `num_labels`.
    """

    loss: Any
    logits: Any


class TrainableModel(Protocol):
    """A `torch.nn.Module` that takes a batch as keyword arguments and gives a `ModelOutput`, and that `save_pretrained`
    writes into a folder. Nothing else is asked of it: no configuration, no way to load it. With `labels` among the
    batch it gives its loss.

    A `transformers.PreTrainedModel` is one. A checkpoint of another one holds its `state_dict()`, too.
    """

    training: bool

    def __call__(self, **batch: Any) -> ModelOutput: ...

    def save_pretrained(self, save_directory: str | PathLike[str], /) -> Any:
        """Write the trained model into a folder that is there, for whoever is to use it."""
        ...

    def parameters(self) -> Iterator[Any]: ...

    def named_parameters(self) -> Iterator[tuple[str, Any]]: ...

    def state_dict(self) -> Mapping[str, Any]: ...

    def load_state_dict(self, state_dict: Mapping[str, Any], /) -> Any: ...

    def train(self, mode: bool = True, /) -> Any: ...

    def eval(self) -> Any: ...

    def to(self, device: Any, /) -> Any: ...


@runtime_checkable
class OwnCheckpoints(Protocol):
    """What a `TrainableModel` may have beside, where a checkpoint need not hold all of it, such as one of which a small
    part is trained. Since 1.2.

    Its `save_pretrained` then writes the run's model alone, and `state_dict` is no part of a checkpoint.
    """

    def save_checkpoint(self, folder: str | PathLike[str], /) -> Any:
        """Write all of the model that training changes into a folder that is there."""
        ...

    def load_checkpoint(self, folder: str | PathLike[str], /) -> Any:
        """Put it back, bit for bit."""
        ...


@dataclass(frozen=True)
class BuiltModel:
    """A model ready to train.

    Attributes:
        model: What is trained, in place.
        tokenizer: What the collator gets, and what is saved beside the model; None where there is none.
        encode: Turns a batch of raw columns into the columns that the collate function takes, as many rows, with
            `labels` where the label column is among them. Pure, and each row by itself; it can be pickled, for
            `preprocessing_num_workers`.
        encode_key: Tells apart all that `encode` depends on (tokenizer files, settings, its own version): two builds
            with the same key encode alike.
        source: Where the weights came from, with the revision where there is one.
        notices: Sentences that a person should read, such as that the head is freshly drawn.
        max_length: Tokens of the longest row that the model takes; longer ones are cut. None where it has no limit.
        lengths: From a batch of raw columns to the tokens of each row before any is cut, for `ftrun check --deep`.
        digest: What tells the weights apart from others: a commit, or a checksum of the files. A run whose digest is
            another on resume is refused; None compares nothing.
        class_names: The task's classes in the order of the model's outputs, where that is not the task's own: `encode`
            gives labels in this order. What evaluators get and what is recorded is in the task's.
        decode: From raw columns and what the model said of them, in the task's order of classes, to the columns that
            `ftrun predict` adds, `prediction` among them, with a cell for each row. None for what the runner adds by
            itself, which it can for "classification", "multi_label" and "regression". Since 1.2.
        saves_plainly: Whether what `save_pretrained` writes is a model of transformers that opens without the code of
            `model`; None where its class tells. Since 1.2.
    """

    model: TrainableModel
    tokenizer: Tokenizer | None
    encode: Encode
    encode_key: str
    source: str
    notices: Sequence[str] = ()
    max_length: int | None = None
    lengths: Callable[[Mapping[str, Sequence[Any]]], Sequence[int]] | None = None
    digest: str | None = None
    class_names: tuple[str, ...] | None = None
    decode: Callable[[Mapping[str, Sequence[Any]], Predictions], Mapping[str, Sequence[Any]]] | None = None
    saves_plainly: bool | None = None


@dataclass(frozen=True)
class Predictions:
    """What a model said of one split, in the split's order.

    Attributes:
        logits: Float32 array of shape (rows, num_labels), or (rows, places, num_labels) where every place in a row has
            a label; shorter rows are filled up with 0. Of a task of one's own without classes the last axis is the
            model's own.
        labels: By the task's kind: class ids of shape (rows,), int64; for "multi_label" 0 or 1 of shape (rows,
            num_labels); for "regression" numbers of shape (rows,), float32; where every place has a label, class ids
            of shape (rows, places), -100 where there is none. Of a task of one's own without classes they are what
            its parts agree on. None for rows without labels.
        loss: The mean loss over the labels; None for rows without labels.
        kind: The task's.
        rows: The rows as the data set has them: all columns by name, the label's among them, each read when it is asked
            for. None where they are not known, as in the middle of a training by a backend that does not say which rows
            it has predicted. Since 1.2.
        decoded: What the model's `decode` tells of these rows, column by column, `prediction` among them; computed when
            it is first asked for. None where the model has no `decode`, or the rows are not known. Since 1.2.
    """

    logits: Any
    labels: Any
    loss: float | None
    kind: str = "classification"
    rows: Mapping[str, Sequence[Any]] | None = field(default=None, repr=False, compare=False)
    decoded: Mapping[str, Sequence[Any]] | None = field(default=None, repr=False, compare=False)

    @property
    def values(self) -> Any:
        """What is predicted, of the shape of `labels`: class ids; 0 or 1 for each class of "multi_label", 1 from a
        probability of a half; numbers for "regression".
        """
        if self.kind == "multi_label":
            return (self.logits >= 0).astype("int64")
        return self.logits[..., 0] if self.logits.shape[-1] == 1 else self.logits.argmax(axis=-1)


Evaluator = Callable[[Predictions], Mapping[str, SupportsFloat]]
"""From predictions to the metric's numbers by name, those and only those that it promised. What has no value on these
predictions is NaN."""
