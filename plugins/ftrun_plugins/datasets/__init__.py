"""Data sets: GLUE, any on the Hub, files, and the embedded sample. Light; the modules beside it do the work."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from typing import Literal, Self

from ftrun import hookimpl
from ftrun.contracts import Dataset, Splits, Task
from ftrun.errors import Problem, nearest
from ftrun.rowfiles import FORMATS, dialect_fault
from ftrun.settings import HubIdOrFolder, LocalPath, NonNegativeInt, PositiveInt, Settings
from pydantic import Field, model_validator

from ftrun_plugins.datasets.glue_tasks import GLUE_TASKS


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
    test: bool = Field(
        False,
        description="Whether to measure the test splits at the end, or to predict those that have no labels.",
    )


class LabelledText(Limits):
    """What a table of text and labels needs to be told."""

    text_columns: list[str] = Field(
        description="One or two columns of text.", min_length=1, max_length=2, examples=[["text"]]
    )
    label_column: str = Field("label", description="The column to predict.")
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

    @property
    def all_label_columns(self) -> list[str]:
        """The columns that the labels are read of."""
        return self.label_columns or [self.label_column]

    @model_validator(mode="after")
    def _one_form(self) -> Self:
        columns, separator = self.label_columns or [], self.label_separator
        if self.kind != "multi_label" and (columns or separator):
            raise ValueError('label_separator and label_columns are for kind = "multi_label"')
        if columns and (separator or self.class_names or self.label_ids):
            raise ValueError("label_columns are the classes: no label_separator, class_names and label_ids beside them")
        if any(not name.strip() for name in columns) or len(set(columns)) < len(columns):
            raise ValueError("label_columns has a column without a name, or one twice")
        if both := next((name for name in columns if name in self.text_columns), None):
            raise ValueError(f'"{both}" is both a text column and a label column')
        if self.label_column in columns:
            raise ValueError(f'"{self.label_column}" is what the labels are called on the record; set label_column')
        if separator and any(separator in name for name in self.class_names or ()):
            raise ValueError(f"a class in class_names holds the label_separator, {separator!r}")
        return self

    @model_validator(mode="after")
    def _coherent(self) -> Self:
        names = self.class_names or []
        if self.kind == "regression" and (names or self.label_ids):
            raise ValueError('class_names and label_ids are for kind = "classification"')
        if self.label_ids and not names:
            raise ValueError("label_ids are places in class_names, which is missing")
        if any(not name.strip() for name in names):
            raise ValueError("a class in class_names has no name")
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"class_names has {', '.join(twice)} more than once")
        if len(set(self.text_columns)) < len(self.text_columns):
            raise ValueError("text_columns has one column twice")
        if self.label_column in self.text_columns:
            raise ValueError(f'"{self.label_column}" is both a text column and the label column')
        return self


class HubSettings(LabelledText):
    """Settings of the data set "hub"."""

    path: HubIdOrFolder = Field(
        description="The data set's id on the Hub, such as stanfordnlp/imdb, or a folder laid out like one.",
        examples=["stanfordnlp/imdb"],
    )
    name: str | None = Field(None, description="Its configuration, where it has several.")
    revision: str | None = Field(None, description="Branch, tag or commit.")
    train_split: str = Field("train", description="The split to train on.")
    evaluation_splits: list[str] = Field(["validation"], description="The splits to evaluate on.", min_length=1)
    test_splits: list[str] | None = Field(
        None, description="The splits to measure at the end, or to predict where they have no labels.", min_length=1
    )

    @model_validator(mode="after")
    def _apart(self) -> Self:
        tests = self.test_splits or []
        if shared := next((name for name in tests if name in (self.train_split, *self.evaluation_splits)), None):
            use = "train_split" if shared == self.train_split else "evaluation_splits"
            raise ValueError(f'"{shared}" is in both test_splits and {use}')
        if len(set(tests)) < len(tests):
            raise ValueError("test_splits has one split twice")
        return self


class FilesSettings(LabelledText):
    """Settings of the data set "files"."""

    train: LocalPath = Field(
        description="File to train on: .csv, .tsv, .json (lines or a list) or .parquet.", examples=["train.csv"]
    )
    validation: LocalPath = Field(description="File to evaluate on.", examples=["validation.csv"])
    test: LocalPath | None = Field(
        None, description="File to measure the model on at the end, or to predict where it has no labels."
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


def _build_files(settings: FilesSettings) -> Splits:
    from ftrun_plugins.datasets.files import build

    return build(settings)


def _build_sample(settings: SampleSettings) -> Splits:
    from ftrun_plugins.datasets.sample import build

    return build(settings, SAMPLE_TASK)


def _labelled_task(settings: LabelledText) -> Task | None:
    if settings.kind == "regression":
        return Task("regression", tuple(settings.text_columns), settings.label_column)
    classes = settings.label_columns or settings.class_names
    if classes is None and settings.kind == "classification":
        return None  # only the data tells its classes
    names = None if classes is None else tuple(classes)
    return Task(settings.kind, tuple(settings.text_columns), settings.label_column, names)


def _check_files(settings: FilesSettings) -> Sequence[Problem]:
    from ftrun_plugins.datasets.reading import RowFile

    problems: list[Problem] = []
    for split in ("train", "validation", "test"):
        if getattr(settings, split) is None:
            continue
        file = Path(getattr(settings, split)).expanduser()
        if file.is_dir():
            problems.append(Problem(f"{file} is a folder", split, "Name a file in it."))
        elif not file.is_file():
            problems.append(Problem(f"there is no file {file.absolute()}", split, _sibling(file)))
        elif file.suffix.lower() not in FORMATS:
            problems.append(Problem(f"{file} must end in one of {', '.join(FORMATS)}", split))
        else:
            problems += RowFile(file, split, settings).check()
    return problems


def _sibling(file: Path) -> str | None:
    close = nearest(file.name, [other.name for other in file.parent.iterdir()]) if file.parent.is_dir() else None
    return f"Did you mean {close}?" if close else None


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
            build=_build_glue,
        ),
        Dataset(
            name="hub",
            summary="Any data set of text and labels on the Hugging Face Hub",
            settings=HubSettings,
            task=_labelled_task,
            build=_build_hub,
        ),
        Dataset(
            name="files",
            summary="Text and labels in CSV, TSV, JSON or Parquet files",
            settings=FilesSettings,
            task=_labelled_task,
            check=_check_files,
            build=_build_files,
        ),
        Dataset(
            name="sample",
            summary="Sentence pairs in MRPC's schema, shipped with ftrun: nothing to download",
            settings=SampleSettings,
            task=lambda settings: SAMPLE_TASK,
            build=_build_sample,
        ),
    ]
