"""A test split where the file asks for it: measured once, at the end, with the run's model; nothing before sees it."""

from __future__ import annotations

import dataclasses
import json
import signal
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import ftrun
import marks
import pytest
import torch
from click.testing import CliRunner
from ftrun.cli import group
from ftrun.errors import ExperimentError
from ftrun.execution import final_test
from ftrun.execution.final_test import prefix_of
from ftrun.execution.inspection import inspect
from ftrun.execution.resumption import plan_resumption
from ftrun.execution.watcher import Watcher
from ftrun.planning.catalogue import load_catalogue
from ftrun.runs.card import model_card
from ftrun.runs.folder import RunFolder
from helpers import BACKENDS, TRACKED, journal_of, mlflow_client, plan_of, points_of, run, slow, weights_of

ASKED = {"dataset.test": True}
AT = {"training.max_steps": 4}
BEST = {
    "training.max_steps": 4,
    "training.learning_rate": 0.05,
    "training.eval_strategy": "steps",
    "training.eval_steps": 1,
    "training.save_strategy": "steps",
    "training.save_steps": 1,
    "training.load_best_model_at_end": True,
}
TEXT = [f"{word} {place}" for place in range(12) for word in ("good", "bad")]
ROWS = [{"text": text, "label": text.partition(" ")[0]} for text in TEXT]


def write(name: str, rows: list[dict[str, Any]]) -> str:
    Path(name).write_text("\n".join(map(json.dumps, rows)))
    return name


def files(test: list[dict[str, Any]], **more: Any) -> dict[str, Any]:
    """The settings of a data set in files with this test."""
    dataset = {"use": "files", "train": write("train.json", ROWS), "validation": write("validation.json", ROWS[:6])}
    dataset |= {"test": write("test.json", test), "text_columns": ["text"]}
    return {"dataset": {**dataset, **more}, "metrics": [{"use": "accuracy"}], **AT}


def evaluate(*arguments: str) -> Mapping[str, float]:
    done = CliRunner().invoke(group, ["evaluate", *arguments, "--device", "cpu", "--json"], standalone_mode=False)
    assert done.return_value == 0 and "otherwise" not in done.stderr, done.output
    numbers: Mapping[str, float] = json.loads(done.stdout)
    return numbers


def refused(tiny: Path, settings: Mapping[str, Any]) -> str:
    """What a run says that ends before it trains."""
    try:
        result = ftrun.run(tiny, overrides=settings, progress=False)
    except ExperimentError as error:
        return str(error)
    assert result.status == "FAILED" and result.steps == 0 and result.error
    return result.error


@pytest.mark.parametrize("backend", ["loop", slow("trainer"), slow("accelerate")])
def test_the_chosen_model_is_measured_and_nothing_before_knows(tiny: Path, backend: str) -> None:
    on = {**BEST, "backend.use": backend}
    without, tested = run(tiny, on), run(tiny, {**on, **ASKED})
    assert weights_of(tested.run_folder) == weights_of(without.run_folder)
    told = {key: value for key, value in tested.metrics.items() if key.startswith("test/")}
    assert set(told) == {"test/loss", "test/accuracy", "test/f1"}
    assert {**without.metrics, **told} == tested.metrics
    points = points_of(tested.run_folder)
    (step,) = {at for key, at in points if key.startswith("test/")}
    assert points == {**points_of(without.run_folder), **{(key, step): value for key, value in told.items()}}
    assert step < 4, "the best is meant to be another than the last"
    before = journal_of(tested.run_folder)
    assert evaluate(tested.run, "--data", "test") == {key.removeprefix("test/"): told[key] for key in told}
    assert journal_of(tested.run_folder) == before, "what is measured again stands already"


@pytest.mark.slow
def test_every_backend_says_the_same_in_bfloat16_too(tiny: Path) -> None:
    for settings in (AT, {**AT, "training.bf16": True}):
        told = [run(tiny, {**settings, **ASKED, "backend.use": backend}) for backend in BACKENDS]
        assert told[0].metrics == told[1].metrics == told[2].metrics
        loss = {"loss": told[2].metrics["test/loss"]}
        assert evaluate(told[2].run, "--data", "test").items() >= loss.items()


def test_unasked_it_is_left_alone(tiny: Path) -> None:
    result = run(tiny, AT)
    assert not [key for key in result.metrics if key.startswith("test/")]
    assert not (result.run_folder / "predictions" / "test.json").exists()


@pytest.mark.slow
def test_the_record_has_its_numbers_predictions_and_rows(tiny: Path) -> None:
    folder = run(tiny, {**AT, **ASKED, "tracking.pictures": True}).run_folder
    table = json.loads((folder / "predictions" / "test.json").read_text())
    assert table["columns"][-4:] == ["label", "prediction", "correct", "probability"] and len(table["data"]) == 146
    assert (folder / "pictures" / "test" / "confusion.png").exists()
    (data,) = [record for record in journal_of(folder) if record.get("context") == "test"]
    assert (data["split"], data["rows"]) == ("test", 146), "all rows, though max_eval_samples is 20"
    card = model_card(RunFolder(folder))
    assert "| test/f1 |" in card and "| test | test | 146 |" in card


@pytest.mark.slow
@pytest.mark.usefixtures("store")
def test_mlflow_has_it_as_a_data_set_and_on_the_model(tiny: Path) -> None:
    result = run(tiny, {**BEST, **ASKED, **TRACKED})
    client = mlflow_client(result)
    found = client.get_run(result.run_id)
    assert found.data.metrics["test/f1"] == result.metrics["test/f1"]
    assert "test" in [data.tags[0].value for data in found.inputs.dataset_inputs]
    assert "predictions/test.json" in [file.path for file in client.list_artifacts(result.run_id, "predictions")]
    assert "test/f1" in found.data.tags["mlflow.note.content"]
    (model,) = [
        one for one in client.search_logged_models([found.info.experiment_id]) if one.name == "model" and one.metrics
    ]
    told = {metric.key: (metric.value, metric.dataset_name) for metric in model.metrics}
    assert told["test/f1"] == (result.metrics["test/f1"], "ftrun-sample/test")


@pytest.mark.parametrize("label", [None, slow(""), slow(-1)], ids=["no column", "blank", "-1"])
def test_without_labels_it_is_predicted(tiny: Path, label: Any) -> None:
    bare = [{"text": text} if label is None else {"text": text, "label": label} for text in TEXT[:9]]
    result = run(tiny, files(bare))
    assert not [key for key in result.metrics if key.startswith("test/")]
    table = json.loads((result.run_folder / "predictions" / "test.json").read_text())
    assert table["columns"] == ["text", "prediction", "probability"]
    assert [row[0] for row in table["data"]] == TEXT[:9] and {row[1] for row in table["data"]} <= {"good", "bad"}


@pytest.mark.slow
def test_without_labels_there_are_no_pictures_of_it(tiny: Path) -> None:
    pictures = run(tiny, {**files([{"text": "a"}]), "tracking.pictures": True}).run_folder / "pictures"
    assert (pictures / "validation").exists() and not (pictures / "test").exists()


@pytest.mark.parametrize(
    ("test", "told"),
    [
        ([], "has no rows"),
        (
            [*ROWS, {"text": "a", "label": "fair"}],
            'has "fair" in column "label", a class that training has not: row 25',
        ),
        (
            [*ROWS, {"text": "a", "label": ""}],
            'has no label in column "label": row 25\n  Give each row a label, or none',
        ),
        ([*ROWS, {"text": "a", "label": "-1"}], 'has "-1" in column "label", a class that training has not: row 25'),
        ([{"text": None}], 'has no text in column "text": row 1'),
        ([{"texts": "a", "label": "good"}], 'has no column "text"'),
    ],
)
def test_what_is_wrong_with_it_is_told_before_the_training(tiny: Path, test: list[Any], told: str) -> None:
    assert f"test.json {told}" in refused(tiny, files(test))


def test_a_row_of_a_regression_has_a_number_or_none_has(tiny: Path) -> None:
    rows = [{"text": text, "label": place / 4} for place, text in enumerate(TEXT)]
    settings = files([*rows[:3], {"text": "a", "label": None}], kind="regression")
    settings |= {"metrics": [{"use": "correlation"}]}
    write("train.json", rows)
    write("validation.json", rows)
    assert "test.json has no label" in refused(tiny, settings)
    write("test.json", rows[:5])
    assert {"test/loss", "test/pearson", "test/spearmanr"} <= run(tiny, settings).metrics.keys()


def test_rows_of_it_that_training_or_validation_has_are_counted(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[str] = []
    monkeypatch.setattr(Watcher, "notice", lambda self, sentence: told.append(sentence))
    run(tiny, files([*ROWS[:2], {"text": "new", "label": "bad"}]))
    assert "2 of the 3 rows of test stand in train, too: the same text" in told
    assert "2 of the 3 rows of test stand in validation, too: the same text" in told


def test_check_deep_shows_its_rows_with_labels_or_without(tiny: Path) -> None:
    facts = inspect(plan_of(tiny, ASKED), Watcher()).splits[-1]
    assert (facts.name, facts.context, facts.rows) == ("test", "test", 146) and facts.loss
    facts = inspect(plan_of(tiny, files([{"text": "a"}])), Watcher()).splits[-1]
    assert (facts.rows, facts.labels, facts.loss) == (1, None, None)


@pytest.mark.slow
def test_a_run_that_is_stopped_in_it_goes_on_to_the_same_end(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    undisturbed = run(tiny, {**BEST, **ASKED})

    def interrupted(rows: Any, row: int) -> Any:
        if row == 40:
            signal.raise_signal(signal.SIGINT)
        return rows.rows[row]

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(final_test._Told, "__getitem__", interrupted)
        ftrun.run(tiny, overrides={**BEST, **ASKED}, progress=False)
    (folder,) = [path for path in Path("runs").iterdir() if path.name != undisturbed.run]
    assert journal_of(folder)[-1]["status"] == "KILLED" and not (folder / "predictions").exists()
    result = ftrun.resume(folder, backend="accelerate", progress=False)
    assert result.metrics == undisturbed.metrics and points_of(folder) == points_of(undisturbed.run_folder)
    for name in ("test.json", "test.npy"):
        assert (folder / "predictions" / name).read_bytes() == (
            undisturbed.run_folder / "predictions" / name
        ).read_bytes()


def test_where_stopping_in_it_would_lose_steps_it_is_finished(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(rows: Any, row: int) -> Any:
        if row == 40:
            signal.raise_signal(signal.SIGINT)
        return rows.rows[row]

    monkeypatch.setattr(final_test._Told, "__getitem__", interrupted)
    with pytest.raises(KeyboardInterrupt):
        ftrun.run(tiny, overrides={**AT, **ASKED}, progress=False)
    (folder,) = Path("runs").iterdir()
    assert journal_of(folder)[-1]["status"] == "FINISHED" and ("test/f1", 4) in points_of(folder)


def test_a_test_file_that_is_gone_is_told_on_resume_and_can_be_done_without(tiny: Path) -> None:
    settings = files(ROWS[:4])
    result = run(tiny, settings)
    folder = result.run_folder
    journal = (folder / "journal.jsonl").read_text().splitlines(keepends=True)
    (folder / "journal.jsonl").write_text("".join(line for line in journal if '"end"' not in line))
    Path("test.json").unlink()
    way = f"ftrun resume {folder.name} --unset dataset.test --allow-changes"
    with pytest.raises(ExperimentError, match=rf"dataset\.test: there is no file [\s\S]*{way}"):
        ftrun.resume(folder, progress=False)
    with pytest.raises(ExperimentError, match=r"dataset\.test: the run was begun with"):
        plan_resumption(str(folder), load_catalogue(), {}, unset=["dataset.test"])
    gone_on = ftrun.resume(folder, allow_changes=True, unset=["dataset.test"], progress=False)
    assert gone_on.status == "FINISHED" and "eval/accuracy" in gone_on.metrics
    assert "test/accuracy" not in gone_on.metrics


def test_another_test_file_is_another_run(tiny: Path) -> None:
    folder = run(tiny, files(ROWS[:4])).run_folder
    journal = (folder / "journal.jsonl").read_text().splitlines(keepends=True)
    (folder / "journal.jsonl").write_text("".join(line for line in journal if '"end"' not in line))
    write("test.json", ROWS[4:8])
    result = ftrun.resume(folder, progress=False)
    assert result.status == "FAILED" and "the data's split test for test: the run was begun with" in str(result.error)


def test_one_test_needs_no_name_among_the_numbers_and_several_do() -> None:
    assert prefix_of("test", ["test"]) == "test/"
    assert prefix_of("hard", ["easy", "hard"]) == "test/hard/"


def test_somebodys_data_set_and_backend_are_held_to_it(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import ftrun_plugins.backends.loop as loop
    import ftrun_plugins.datasets.sample as sample

    build = sample.build

    def opens(**changed: Any) -> None:
        monkeypatch.setattr(sample, "build", lambda *given: dataclasses.replace(build(*given), **changed))

    for changed, told in (
        ({"test_at_end": ["hidden"]}, "has hidden for its test at the end, and no such split in test"),
        ({"test_at_end": "test"}, 'has "test" for the test_at_end, and must have a list'),
        ({"test_at_end": ["train"], "test": {"train": []}}, "has the split train for its test at the end and for some"),
    ):
        opens(**changed)
        assert told in refused(tiny, AT)
    monkeypatch.setattr(sample, "build", build)
    fit = loop.LoopSession.fit

    def leaves_another(self: Any, job: Any, reporter: Any) -> Any:
        import torch

        done = fit(self, job, reporter)
        with torch.no_grad():
            job.model.classifier.bias += torch.tensor([3.0, -3.0])
        return done

    monkeypatch.setattr(loop.LoopSession, "fit", leaves_another)
    result = ftrun.run(tiny, overrides={**AT, **ASKED}, progress=False)
    assert "has left another model in the job than the one whose predictions it gives" in str(result.error)


class Counting(marks.Marks):
    """Counts how often it was asked, and says so."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("seen", torch.zeros(()))

    def forward(self, input_ids: Any, attention_mask: Any, labels: Any = None) -> Any:
        self.seen += 1
        output = super().forward(input_ids, attention_mask, labels)
        output.logits = output.logits + self.seen
        return output


class Drawing(marks.Marks):
    """Draws in eval mode, too, from a generator of its own."""

    def forward(self, input_ids: Any, attention_mask: Any, labels: Any = None) -> Any:
        output = super().forward(input_ids, attention_mask, labels)
        output.logits = output.logits + torch.randn(output.logits.shape, generator=DRAWN)
        return output


def drawing(rows: Any) -> Any:
    """A collate function that leaves out what a generator of its own says."""
    batch = marks.collate(rows)
    return {**batch, "input_ids": torch.randint(10, batch["input_ids"].shape, generator=DRAWN)}


DRAWN = torch.Generator().manual_seed(1)
IMPURE: dict[str, tuple[dict[str, Any], str]] = {
    "a buffer": (
        {"model": lambda s, d: marks.built(Counting())},
        'the model "parity" of their-package 3 changes its seen whenever it is asked, though it is in eval mode',
    ),
    "a model that draws": (
        {"model": lambda s, d: marks.built(Drawing())},
        'the model "parity" of their-package 3 says something else of the same rows each time, though it is in eval',
    ),
    "a collator that draws": (
        {"collator": lambda s, t: drawing},
        'the collator "lists" of their-package 3 makes another batch of the same rows each time',
    ),
}


@pytest.mark.parametrize("name", IMPURE)
def test_where_the_same_model_says_something_else_each_time_no_backend_is_blamed(
    name: str, workdir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    parts, sentence = IMPURE[name]
    tested = marks.splits(test={"test": marks.splits().train}, test_at_end=("test",))
    heard = marks.Heard()
    outcome = marks.run({"dataset": lambda settings: tested, **parts}, workdir, monkeypatch, heard)
    assert outcome.result.status == "FINISHED" and "test/hits" in outcome.result.metrics, outcome.result.error
    told = [notice for notice in heard.notices if "the test is of the model that was evaluated" in notice]
    assert len(told) == 1 and sentence in told[0], heard.notices
