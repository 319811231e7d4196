"""`ftrun check --deep`: what data and model tell before any training, in figures or in a sentence."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import marks
import pytest
import their_parts
from click.testing import CliRunner, Result
from ftrun.cli import group
from ftrun.errors import ExperimentError
from ftrun.execution.facts import Inspection, Numbers
from ftrun.execution.inspection import inspect
from ftrun.execution.watcher import Watcher
from ftrun.planning.catalogue import load_catalogue
from ftrun.planning.experiment import load_experiment
from ftrun.planning.plan import make_plan


def look(file: Path, **overrides: Any) -> Inspection:
    named = {key.replace("__", "."): value for key, value in overrides.items()}
    return inspect(make_plan(load_experiment(file, overrides=named), load_catalogue()), Watcher())


def deep(*arguments: str | Path) -> Result:
    return CliRunner().invoke(group, ["check", "--deep", *map(str, arguments)], standalone_mode=False)


def write_csv(path: Path, *rows: str) -> None:
    path.write_text("\n".join(["text,label", *rows]) + "\n")


FILES = {
    "dataset": {"use": "files", "train": "train.csv", "validation": "validation.csv", "text_columns": ["text"]},
    "metrics": [{"use": "accuracy"}],
}


def test_rows_balance_lengths_and_parameters_are_told(tiny: Path) -> None:
    write_csv(tiny.parent / "train.csv", "one,x", "one two,y", "one two three,x", "one two three four five six,x")
    write_csv(tiny.parent / "validation.csv", "two,y", "three,y")
    found = look(tiny, model__max_length=6, **FILES)
    train, validation = found.splits
    assert (train.name, train.context, train.rows, validation.rows) == ("train", "training", 4, 2)
    assert train.labels == {"x": 3, "y": 1} and validation.labels == {"x": 0, "y": 2}
    assert train.lengths and (train.lengths.median, train.lengths.longest, train.lengths.cut) == (5, 8, 1)
    assert found.max_length == 6
    assert found.parameters == found.trainable > 10_000
    assert 0.5 < train.loss < 0.9


def test_it_is_shown_as_tables(tiny: Path) -> None:
    shown = deep(tiny)
    assert shown.return_value == 0, shown.output
    for words in (
        "training",
        "not_equivalent",
        "%)",
        "parameters",
        "cut after 512 tokens by the model, by its max_length",
        "nothing wrong",
    ):
        assert words in shown.output


def test_a_regressions_labels_are_a_range(tiny: Path) -> None:
    for split in ("train", "validation"):
        write_csv(tiny.parent / f"{split}.csv", "one,1", "two,2.5")
    regression = {**FILES, "dataset": {**FILES["dataset"], "kind": "regression"}, "metrics": []}  # type: ignore[dict-item]
    assert look(tiny, **regression).splits[0].labels == Numbers(1.0, 1.75, 2.5)


def test_what_only_the_data_tells_is_refused_with_exit_status_2(tiny: Path) -> None:
    write_csv(tiny.parent / "train.csv", "one,x", "two,y")
    write_csv(tiny.parent / "validation.csv", "one,x", "two,z")
    options = ["--set", "dataset=" + str(FILES["dataset"]).replace(": ", " = ").replace("'", '"'), "--unset", "metrics"]
    for name in ("use", "train", "validation", "text_columns"):
        options[1] = options[1].replace(f'"{name}" =', f"{name} =")
    shown = deep(tiny, *options)
    assert shown.return_value == 2
    assert 'validation.csv has "z" in column "label", a class that training has not: row 2' in shown.output


def test_the_best_metric_is_looked_for_among_those_of_the_opened_splits(tiny: Path) -> None:
    with pytest.raises(ExperimentError, match='there is no split "dev"'):
        look(tiny, training__metric_for_best_model="eval/dev/f1", training__load_best_model_at_end=True)


def test_nothing_is_left_behind(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", str(tiny.parent))
    monkeypatch.setattr("tempfile.tempdir", None)
    before = dict(os.environ)
    look(tiny)
    assert dict(os.environ) == before and [path.name for path in tiny.parent.iterdir()] == ["tiny.toml"]


def test_a_fault_of_a_part_is_a_sentence_with_its_traceback_in_a_file(
    tiny: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ftrun_plugins.collators.padding.dynamic", lambda *_: 1 / 0)
    shown = deep(tiny)
    assert shown.return_value == 1 and "ZeroDivisionError: division by zero (the traceback is in " in shown.output
    log = Path(shown.output.split("the traceback is in ")[1].split(")")[0])
    assert "Traceback" in log.read_text()
    log.unlink()
    log.parent.rmdir()


@pytest.mark.parametrize(
    ("label", "counted"),
    [
        (marks.marks_of, {"other": 13, "largest": 8}),
        (lambda numbers: " ".join(map(str, marks.marks_of(numbers))), None),
        (lambda numbers: [0, len(numbers) + 20], None),
    ],
)
def test_labels_of_ones_own_are_counted_where_they_are_classes(
    label: Any, counted: Any, workdir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def encode(batch: Any) -> Any:
        encoded = {"input_ids": batch["numbers"], "labels": [marks.marks_of(numbers) for numbers in batch["numbers"]]}
        return encoded if "marks" in batch else {"input_ids": batch["numbers"]}

    parts: Any = {
        "dataset": lambda settings: marks.splits(label=label),
        "model": lambda settings, splits: marks.built(encode=encode),
    }
    assert marks.look(parts, workdir, monkeypatch).splits[0].labels == counted


def shorter(batch: Any) -> Any:
    return {name: column[:-1] for name, column in marks.encode(batch).items()}


def uneven(batch: Any) -> Any:
    return {**marks.encode(batch), "input_ids": shorter(batch)["input_ids"]}


@pytest.mark.parametrize(
    ("encode", "told"),
    [
        (shorter, "rows of input_ids by encode for"),
        (uneven, "rows of input_ids by encode for"),
        (lambda batch: None, "gives a NoneType by encode for rows of"),
    ],
    ids=["a row too few", "columns that are not alike", "nothing"],
)
def test_what_a_model_encodes_is_checked_as_in_a_run(
    encode: Any, told: str, workdir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ExperimentError, match=told):
        marks.look({"model": lambda s, d: marks.built(encode=encode)}, workdir, monkeypatch)


@pytest.mark.parametrize(
    ("setting", "told"),
    [
        ("neftune_noise_alpha = 5.0", "training.neftune_noise_alpha: Marks names no embeddings"),
        ("gradient_checkpointing = true", "training.gradient_checkpointing: Marks has no activation_checkpointing"),
        ('train_sampling_strategy = "group_by_length"', "training.train_sampling_strategy: the rows have no input_ids"),
    ],
)
def test_what_a_run_would_ask_of_a_model_in_vain_is_told(
    setting: str, told: str, workdir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def renamed(batch: Any) -> Any:
        columns = marks.encode(batch)
        return {{"input_ids": "numbers"}.get(name, name): cells for name, cells in columns.items()}

    def collate(rows: Any) -> Any:
        return marks.collate([{**row, "input_ids": row["numbers"]} for row in rows])

    parts: Any = {"model": lambda s, d: marks.built(encode=renamed), "collator": lambda s, t: collate}
    file = marks.FILE.replace("training = {", f"training = {{ {setting},")
    with pytest.raises(ExperimentError) as refused:
        marks.look(parts, workdir, monkeypatch, file=file)
    assert str(refused.value).startswith(told)
    outcome = marks.run(parts, workdir, monkeypatch, file=file)
    assert str(outcome.problem) == str(refused.value), "as a run does"


def test_what_a_model_has_saved_is_loaded(workdir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def load(settings: Any, folder: Path, task: Any) -> Any:
        raise KeyError("weights")

    with pytest.raises(ExperimentError, match="cannot be loaded from what it has saved: raised KeyError"):
        marks.look({"load": load}, workdir, monkeypatch)


def test_a_backend_without_torch_says_itself_what_its_model_says(
    workdir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(their_parts.Parity, "parameters", lambda self: [], raising=False)
    plan, _ = their_parts.planned({}, workdir, monkeypatch, their_parts.FILE, frozenset({"classification"}))
    found = inspect(plan, Watcher())
    assert [(facts.name, facts.rows, facts.loss) for facts in found.splits] == [
        ("train", 10, 0.5),
        ("validation", 10, 0.5),
    ]
