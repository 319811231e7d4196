"""Data sets: GLUE, any on the Hub, files, and the embedded sample. Light; the modules beside it do the work."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from typing import Annotated, Literal, Self

from ftrun import hookimpl
from ftrun.contracts import Dataset, Need, Splits, Task, needs_nothing
from ftrun.errors import ExperimentError, Problem
from ftrun.rowfiles import dialect_fault
from ftrun.settings import HubIdOrFolder, NonNegativeInt, PositiveFloat, PositiveInt, Settings
from pydantic import BeforeValidator, Field, field_validator, model_validator

from ftrun_plugins.datasets import slices
from ftrun_plugins.datasets.glue_tasks import GLUE_TASKS
from ftrun_plugins.datasets.sources import absolute_files, absolute_splits, files_of, splits_of

DEFAULT_SIZE = 0.1
"""The share of the training rows that is cut off for a validation split, where there is none."""


class Limits(Settings):
    """How many rows to use, by the names of transformers' example scripts."""

    max_train_samples: PositiveInt | None = Field(None, description="Train on the first so many rows only.")
    max_eval_samples: PositiveInt | None = Field(
        None, description="Evaluate on the first so many rows of a split only; a test is of all rows."
    )
    shuffle_seed: NonNegativeInt | None = Field(
        None,
        lt=2**32,
        description="Take so many rows at random instead, by this seed; it has nothing to do with the run's.",
    )


def _splits_or_parts(told: str | list[str] | None) -> str | list[str] | None:
    for split in [told] if isinstance(told, str) else told or []:
        slices.as_slice(split)
    return told


class GlueSettings(Limits):
    """Settings of the data set "glue"."""

    task: Literal["cola", "mnli", "mrpc", "qnli", "qqp", "rte", "sst2", "stsb", "wnli"] = Field(
        description="GLUE's name of the task.", examples=["mrpc"]
    )
    path: HubIdOrFolder = Field(
        "nyu-mll/glue",
        validate_default=True,
        description="The repository on the Hub, or a folder that is laid out like it.",
    )
    revision: str | None = Field(None, description="Branch, tag or commit on the Hub.")
    train_split: str | None = Field(
        None, description="The split to train on, or a part of one such as train[:10%]; train by default."
    )
    evaluation_splits: list[str] | None = Field(
        None, description="The splits to evaluate on, or parts of them; the task's own by default.", min_length=1
    )
    test: bool = Field(
        False,
        description="Whether to measure the test splits at the end, or to predict those that have no labels.",
    )

    _are_splits_or_parts = field_validator("train_split", "evaluation_splits")(_splits_or_parts)

    @model_validator(mode="after")
    def _apart(self) -> Self:
        facts = GLUE_TASKS[self.task]
        used = [self.train_split or "train", *(self.evaluation_splits or facts.evaluation)]
        slices.refuse_alike([*used, *facts.test])
        if shared := next((split for split in facts.test if split in used), None):
            raise ValueError(f'"{shared}" is for the end: leave it out, and set test = true')
        return self


class Labels(Limits):
    """What labels are."""

    kind: Literal["classification", "multi_label", "regression"] = Field(
        "classification", description="What the label is: one class, any number of classes, or a number."
    )
    class_names: list[str] | None = Field(
        None, description="The classes in the order of their ids; by default what the data itself says.", min_length=2
    )
    label_ids: bool = Field(
        False, description="Whether labels are the classes' places in class_names, counted from 0, instead of names."
    )
    label_separator: str | None = Field(
        None,
        min_length=1,
        description="For multi_label in text: what stands between the classes of a row. A blank cell has none of them.",
    )
    label_columns: list[str] | None = Field(
        None,
        min_length=2,
        description="For multi_label in a column for every class: these, each of 0 and 1, in place of label_column.",
    )

    label_vectors: bool | None = Field(
        None,
        description="For multi_label in lists: true where they hold 0 or 1 for every class, in the order of "
        "class_names (by default a ClassLabel's, or 0, 1, 2 and so on); false where they name classes. To be said "
        "where both may be.",
    )

    @model_validator(mode="after")
    def _one_form(self) -> Self:
        columns, separator = self.label_columns or [], self.label_separator
        if self.label_vectors is not None and (self.kind != "multi_label" or columns or separator):
            raise ValueError('label_vectors is for kind = "multi_label" with lists, without label_separator or columns')
        if self.label_vectors and self.label_ids:
            raise ValueError(
                "label_vectors have 0 or 1 for every class, and label_ids are the classes' places: only one"
            )
        if self.kind != "multi_label" and (columns or separator):
            raise ValueError('label_separator and label_columns are for kind = "multi_label"')
        if columns and (separator or self.class_names or self.label_ids):
            raise ValueError("label_columns are the classes: no label_separator, class_names and label_ids beside them")
        if any(not name.strip() for name in columns) or len(set(columns)) < len(columns):
            raise ValueError("label_columns has a column without a name, or one twice")
        if separator and any(separator in name for name in self.class_names or ()):
            raise ValueError(f"a class in class_names holds the label_separator, {separator!r}")
        return self

    @model_validator(mode="after")
    def _names_are_sound(self) -> Self:
        names = self.class_names or []
        if self.kind == "regression" and (names or self.label_ids):
            raise ValueError('class_names and label_ids are for kind = "classification"')
        if self.label_ids and not names:
            raise ValueError("label_ids are places in class_names, which is missing")
        if any(not name.strip() for name in names):
            raise ValueError("a class in class_names has no name")
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"class_names has {', '.join(twice)} more than once")
        return self


class LabelledText(Labels):
    """What a table of text and labels needs to be told."""

    text_columns: list[str] = Field(
        description="One or two columns of text.", min_length=1, max_length=2, examples=[["text"]]
    )
    label_column: str = Field("label", description="The column to predict.")
    drop_unlabelled: bool | None = Field(
        None, description="Whether rows without a label are left out; None where a file cannot ask for that."
    )

    @property
    def all_label_columns(self) -> list[str]:
        """The columns that the labels are read of."""
        return self.label_columns or [self.label_column]

    @model_validator(mode="after")
    def _columns_are_sound(self) -> Self:
        _refuse_columns(self.text_columns, self.label_column, self.label_columns or [])
        return self


class TableText(Labels):
    """What a file may say of a table of text and labels; the table itself tells the rest."""

    text_columns: list[str] | None = Field(
        None,
        description="One or two columns of text; by default what the columns leave no doubt of.",
        min_length=1,
        max_length=2,
        examples=[["text"]],
    )
    label_column: str | None = Field(
        None,
        description='The column to predict; by default "label", "labels" or the only one that is no text, and for '
        "multi_label the only one with lists.",
        examples=["label"],
    )
    drop_unlabelled: bool = Field(
        False,
        description="Leave rows without a label out of training and evaluation: blank ones, and -1 where that is none "
        "of the classes. For multi_label no list and none of label_columns filled in; an empty list is a label.",
    )
    validation_size: PositiveFloat | None = Field(
        None,
        description="Rows to train on that are cut off for a validation split where none is named; below 1, a share of "
        "them. By default 0.1 where there is none and eval_strategy asks for one.",
        examples=[0.1],
    )
    split_seed: NonNegativeInt = Field(
        0,
        lt=2**32,
        description="Which rows are cut off: of each class its share, and where a row has several classes or a number, "
        "at random. It has nothing to do with the run's seed.",
    )

    @field_validator("validation_size")
    @classmethod
    def _whole_from_one(cls, size: float | None) -> float | None:
        if size is not None and size >= 1 and size != int(size):
            raise ValueError(f"must be a whole number of rows, or below 1 a share of them, not {size}")
        return int(size) if size is not None and size >= 1 else size

    @model_validator(mode="after")
    def _columns_are_sound(self) -> Self:
        _refuse_columns(self.text_columns or [], self.label_column or "label", self.label_columns or [])
        return self

    @property
    def label_named(self) -> str | None:
        """What the label is called on the record, where the file says which columns hold it."""
        return self.label_column or ("label" if self.label_columns else None)

    def with_columns(self, texts: Sequence[str], label: str) -> LabelledText:
        """With all that the table tells."""
        known = {name: getattr(self, name) for name in LabelledText.model_fields}
        return LabelledText(**{**known, "text_columns": list(texts), "label_column": label})


def _refuse_columns(texts: Sequence[str], label: str, several: Sequence[str]) -> None:
    if len(set(texts)) < len(texts):
        raise ValueError("text_columns has one column twice")
    if label in texts:
        raise ValueError(f'"{label}" is both a text column and the label column')
    if both := next((name for name in several if name in texts), None):
        raise ValueError(f'"{both}" is both a text column and a label column')
    if label in several:
        raise ValueError(f'"{label}" is what the labels are called on the record; set label_column')


class HubSettings(TableText):
    """Settings of the data set "hub"."""

    path: HubIdOrFolder = Field(
        description="The data set's id on the Hub, such as stanfordnlp/imdb, or a folder laid out like one.",
        examples=["stanfordnlp/imdb"],
    )
    name: str | None = Field(None, description="Its configuration, where it has several.")
    revision: str | None = Field(None, description="Branch, tag or commit.")
    train_split: str = Field("train", description="The split to train on, or a part of one such as train[:90%].")
    evaluation_splits: list[str] | None = Field(
        None,
        description="The splits to evaluate on, or parts of them; by default validation, or where there is none, rows "
        "that are cut off the training split.",
        min_length=1,
        examples=[["validation"]],
    )
    test_splits: list[str] | None = Field(
        None,
        description="The splits to measure at the end, or to predict where they have no labels; or parts of them.",
        min_length=1,
    )

    _are_splits_or_parts = field_validator("train_split", "evaluation_splits", "test_splits")(_splits_or_parts)

    @model_validator(mode="after")
    def _apart(self) -> Self:
        tests, evaluation = self.test_splits or [], self.evaluation_splits or ["validation"]
        slices.refuse_alike([self.train_split, *evaluation, *tests])
        if shared := next((name for name in tests if name in (self.train_split, *evaluation)), None):
            use = "train_split" if shared == self.train_split else "evaluation_splits"
            raise ValueError(f'"{shared}" is in both test_splits and {use}')
        if len(set(tests)) < len(tests):
            raise ValueError("test_splits has one split twice")
        if self.evaluation_splits and self.validation_size is not None:
            raise ValueError("validation_size cuts a validation split off, and evaluation_splits names one")
        return self


Split = str | list[str]
"""The files of one split."""


class FilesSettings(TableText):
    """Settings of the data set "files"."""

    train: Annotated[str | list[str], BeforeValidator(absolute_files)] = Field(
        description="What to train on: a file .csv, .tsv, .json (lines or a list), .parquet, or .csv.gz and so on; a "
        "pattern such as data/train-*.csv, or a list of these, which are one split.",
        examples=["train.csv"],
    )
    validation: Annotated[Split | dict[str, Split] | None, BeforeValidator(absolute_splits)] = Field(
        None,
        description="What to evaluate on, as train, or a table of several splits by name; by default rows that are cut "
        "off the training split.",
        examples=["validation.csv"],
    )
    test: Annotated[Split | dict[str, Split] | None, BeforeValidator(absolute_splits)] = Field(
        None,
        description="What to measure the model on at the end, or to predict where it has no labels; as validation.",
        examples=["test.csv"],
    )
    delimiter: str | None = Field(
        None, description="What stands between cells of .csv and .tsv; a comma and a tab by default."
    )
    encoding: str = Field("utf-8", description="The encoding of .csv and .tsv, by Python's name, such as cp1252.")
    quoting: bool = Field(True, description='Whether " encloses cells of .csv and .tsv that hold what is special.')

    @model_validator(mode="after")
    def _readable(self) -> Self:
        if fault := dialect_fault(self.delimiter, self.encoding):
            raise ValueError(fault)
        return self

    @model_validator(mode="after")
    def _apart(self) -> Self:
        if self.validation is not None and self.validation_size is not None:
            raise ValueError("validation_size cuts a validation split off, and validation names one")
        evaluated, tested = (set(splits_of(key, getattr(self, key))) for key in ("validation", "test"))
        if shared := sorted(evaluated & tested or {"validation"} & tested):
            raise ValueError(f'the split "{shared[0]}" of test must have another name than one to evaluate on')
        return self


class SampleSettings(Limits):
    """Settings of the data set "sample"."""

    test: bool = Field(False, description="Whether to measure the model on the test split at the end.")


SAMPLE_TASK = Task("classification", ("sentence1", "sentence2"), "label", ("not_equivalent", "equivalent"))


def _build_glue(settings: GlueSettings) -> Splits:
    from ftrun_plugins.datasets.glue import build

    return build(settings)


def _build_hub(settings: HubSettings) -> Splits:
    from ftrun_plugins.datasets.hub import build

    return build(settings)


def _hub_to_train(settings: HubSettings) -> Splits:
    from ftrun_plugins.datasets.hub import build

    return build(settings, evaluated=False)


def _build_files(settings: FilesSettings) -> Splits:
    from ftrun_plugins.datasets.files import build

    return build(settings)


def _files_to_train(settings: FilesSettings) -> Splits:
    from ftrun_plugins.datasets.files import build

    return build(settings, evaluated=False)


def _build_sample(settings: SampleSettings) -> Splits:
    from ftrun_plugins.datasets.sample import build

    return build(settings, SAMPLE_TASK)


def _labelled_task(settings: TableText) -> Task | None:
    texts, label = tuple(settings.text_columns or ()), settings.label_column or "label"
    if settings.kind == "regression":
        return Task("regression", texts, label)
    classes = settings.label_columns or settings.class_names
    if classes is None and settings.kind == "classification":
        return None  # only the data tells its classes
    return Task(settings.kind, texts, label, None if classes is None else tuple(classes))


def _check_files(settings: FilesSettings) -> Sequence[Problem]:
    from ftrun_plugins.datasets.reading import RowFile

    problems: list[Problem] = []
    for key in ("train", "validation", "test"):
        for split, named in splits_of(key, getattr(settings, key)).items():
            place = key if split == key else f"{key}.{split}"
            try:
                for file in files_of(named, place):
                    problems += RowFile(file, place, settings).check()
            except ExperimentError as error:
                problems += error.problems
    return problems


def _needs_glue(settings: GlueSettings) -> Sequence[Need]:
    from ftrun_plugins.datasets.presence import repository_needs

    return repository_needs(settings.path, settings.task, settings.revision)


def _needs_hub(settings: HubSettings) -> Sequence[Need]:
    from ftrun_plugins.datasets.presence import repository_needs

    return repository_needs(settings.path, settings.name, settings.revision)


def _needs_files(settings: FilesSettings) -> Sequence[Need]:
    from ftrun_plugins.datasets.presence import file_needs

    return file_needs(settings)


def sample_folder() -> Path:
    """The folder of the embedded sample inside the package."""
    return Path(str(resources.files("ftrun_plugins.datasets") / "sample_data"))


@hookimpl
def ftrun_datasets() -> Sequence[Dataset]:
    return [
        Dataset(
            name="glue",
            summary="One of GLUE's tasks, from the Hub or a folder",
            settings=GlueSettings,
            task=lambda settings: GLUE_TASKS[settings.task].task(settings.task),
            needs=_needs_glue,
            build=_build_glue,
        ),
        Dataset(
            name="hub",
            summary="Any data set of text and labels on the Hugging Face Hub",
            settings=HubSettings,
            task=_labelled_task,
            needs=_needs_hub,
            build=_build_hub,
            train_only=_hub_to_train,
        ),
        Dataset(
            name="files",
            summary="Text and labels in CSV, TSV, JSON or Parquet files",
            settings=FilesSettings,
            task=_labelled_task,
            check=_check_files,
            needs=_needs_files,
            build=_build_files,
            train_only=_files_to_train,
        ),
        Dataset(
            name="sample",
            summary="Sentence pairs in MRPC's schema, shipped with ftrun: nothing to download",
            settings=SampleSettings,
            task=lambda settings: SAMPLE_TASK,
            needs=needs_nothing,
            build=_build_sample,
        ),
    ]
