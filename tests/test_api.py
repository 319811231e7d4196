"""`ftrun.run`, `ftrun.resume`, `ftrun.predict` and `ftrun.evaluate`, as a program calls them."""

from __future__ import annotations

import copy
import os
import signal
import tomllib
import types
from pathlib import Path
from typing import Any

import ftrun
import ftrun.api
import pytest
from ftrun.execution.beginning import Beginning
from ftrun.execution.outcome import Outcome
from ftrun.execution.watcher import Watcher
from ftrun.planning.catalogue import Catalogue
from ftrun.planning.plan import Plan
from ftrun.screen.watchers import PlainWatcher
from helpers import TINY, Begin, begun, journal_of, plan_of, rows_of, slow, splits_of, weights_of
from helpers import run as finish


def test_a_wrong_file_raises_before_anything_is_made(tiny: Path) -> None:
    with pytest.raises(ftrun.errors.ExperimentError, match="Did you mean learning_rate"):
        ftrun.run(tiny, overrides={"training.lr": 1})
    assert not (tiny.parent / "runs").exists()


@pytest.mark.parametrize("name", [slow("SIGINT"), "SIGTERM"])
def test_a_signal_is_passed_on_to_a_program_that_runs_experiments(tiny: Path, name: str, begin_python: Begin) -> None:
    code = (
        "import ftrun, os, signal, threading\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"  # a job in the background ignores it
        "def soon():\n"
        "    import glob, time\n"
        "    while not any('train/loss' in open(path).read() for path in glob.glob('runs/*/journal.jsonl')): time.sleep(0.01)\n"
        f"    os.kill(os.getpid(), signal.{name})\n"
        "threading.Thread(target=soon, daemon=True).start()\n"
        "try:\n"
        "    ftrun.run('tiny.toml', overrides={'training.num_train_epochs': 10000}, progress=False)\n"
        "except KeyboardInterrupt:\n"
        "    print('interrupted')\n"
    )
    Path("program.py").write_text(code)
    process = begin_python("program")
    out, err = process.communicate(timeout=120)
    if name == "SIGINT":
        assert out == "interrupted\n", err
    else:
        assert process.returncode == -signal.SIGTERM
    (folder,) = tiny.parent.glob("runs/*")
    assert journal_of(folder)[-1]["status"] == "KILLED"


class Executed:
    """Stands where plans are executed, and ends at once as it is told to."""

    def __init__(self, folder: Path, ended_by: signal.Signals | None = None) -> None:
        self.outcome = Outcome(ftrun.RunResult("tiny", "loop", "tiny-1", folder, "FINISHED"), signal=ended_by)
        self.calls: list[tuple[Plan, Watcher, Beginning]] = []

    def __call__(self, plan: Plan, catalogue: Catalogue, watcher: Watcher, beginning: Beginning) -> Outcome:
        self.calls.append((plan, watcher, beginning))
        return self.outcome


@pytest.fixture
def executed(monkeypatch: pytest.MonkeyPatch, tiny: Path) -> Executed:
    executed = Executed(tiny.parent)
    monkeypatch.setattr(ftrun.api, "execute", executed)
    return executed


def test_a_file_is_run_with_its_profile_overrides_and_without_what_is_unset(executed: Executed, tiny: Path) -> None:
    tiny.write_text(f"{TINY}\n[profile.smoke]\ntraining = {{ max_steps = 3 }}\n")
    result = ftrun.run(tiny, "smoke", {"training.learning_rate": 5e-4}, ["training.device"], runs_folder="elsewhere")
    ((plan, _, beginning),) = executed.calls
    assert result is executed.outcome.result
    assert (plan.profile, plan.training.max_steps, plan.training.learning_rate, plan.training.device) == (
        "smoke",
        3,
        5e-4,
        "auto",
    )
    assert beginning.is_new and beginning.folder.path.parent == tiny.parent / "elsewhere"


def test_paths_may_be_text_or_paths(executed: Executed, tiny: Path) -> None:
    ftrun.run("tiny.toml")
    ftrun.run(Path("tiny.toml"), runs_folder=tiny.parent / "runs")
    assert [str(plan.path) for plan, _, _ in executed.calls] == ["tiny.toml", "tiny.toml"]


def test_a_dict_is_run_as_the_file_that_holds_it(executed: Executed, tiny: Path) -> None:
    tables = {**tomllib.loads(TINY), "profile": {"smoke": {"training": {"max_steps": 3}}}}
    before = copy.deepcopy(tables)
    given = types.MappingProxyType(tables)
    ftrun.run(tiny, overrides={"training.learning_rate": 5e-4}, unset=["training.device"])
    ftrun.run(
        given, "smoke", {"training.learning_rate": 5e-4}, ["training.device", "training.max_steps"], backend="loop"
    )
    (file, _, _), (plan, _, beginning) = executed.calls
    assert plan.resolved() == file.resolved() and plan.profile == "smoke" and plan.path.absolute() == tiny.parent
    assert beginning.folder.path.parent == tiny.parent / "runs" and beginning.folder.name.startswith("tiny-")
    assert tables == before


def test_a_dict_extends_a_file_and_names_paths_of_the_working_folder(executed: Executed, tiny: Path) -> None:
    for name in ("train.csv", "validation.csv"):
        (tiny.parent / name).write_text("text,label\na,x\nb,y\n")
    files = {"train": Path("train.csv"), "validation": "validation.csv", "text_columns": ("text",)}
    ftrun.run({"name": "mine", "extends": "tiny.toml", "dataset": {"use": "files", **files}, "metrics": []})
    ((plan, _, _),) = executed.calls
    assert (plan.name, plan.seed) == ("mine", 1)
    assert plan.resolved()["dataset"]["train"] == str(tiny.parent / "train.csv")


def test_what_is_wrong_with_a_dict_is_told_by_its_places(executed: Executed, tiny: Path) -> None:
    sound = tomllib.loads(TINY)
    nameless = {key: value for key, value in sound.items() if key != "name"}
    endless: dict[str, Any] = {"name": "endless"}
    endless["model"] = endless
    for tables, told in (
        (nameless, r"^name: this key is required"),
        ({**sound, "training": {"lr": 1}}, r"^training\.lr: .*\(in the dict\)\n.*learning_rate"),
        ({**sound, "extends": "other.toml"}, r"^extends: there is no file other\.toml \(in the dict\)"),
        ({**sound, "profile": {"smoke": 1}}, r"^profile\.smoke: must be a table"),
        ({**sound, 1: 2}, r"a key that is no text"),
        (endless, r"more than 20 tables"),
        ({}, r"^name: "),
    ):
        with pytest.raises(ftrun.ExperimentError, match=told):
            ftrun.run(tables)
    with pytest.raises(ftrun.ExperimentError, match='the dict has no profile "smoke"'):
        ftrun.run(sound, "smoke")
    assert not executed.calls and [path.name for path in tiny.parent.iterdir()] == ["tiny.toml"]


@pytest.mark.slow
def test_a_dict_leaves_the_record_that_its_file_leaves(tiny: Path) -> None:
    settings = {"training.max_steps": 2}
    of_file = ftrun.run(tiny, overrides=settings, progress=False)
    of_dict = ftrun.run(tomllib.loads(TINY), overrides=settings, progress=False)
    assert weights_of(of_dict.run_folder) == weights_of(of_file.run_folder)
    name = "experiment.toml"
    assert (of_dict.run_folder / name).read_text() == (of_file.run_folder / name).read_text()
    tags = next(record["tags"] for record in journal_of(of_dict.run_folder) if "tags" in record)
    assert tags["mlflow.source.name"] == str(tiny.parent)


def test_who_wants_no_progress_is_shown_none(executed: Executed, tiny: Path) -> None:
    ftrun.run(tiny, progress=False)
    ftrun.run(tiny)
    (_, silent, _), (_, shown, _) = executed.calls
    assert type(silent) is Watcher and isinstance(shown, PlainWatcher)


def test_a_run_is_gone_on_with_on_another_backend(executed: Executed, tiny: Path) -> None:
    folder = begun(plan_of(tiny), splits_of(rows_of(text=["a"], label=[0])))
    ftrun.resume(folder.path, backend="trainer", overrides={"training.save_total_limit": 2}, progress=False)
    ((plan, _, beginning),) = executed.calls
    assert (plan.backend.use, plan.training.save_total_limit) == ("trainer", 2)
    assert not beginning.is_new and beginning.folder == folder


def test_what_is_no_run_or_no_file_raises_and_nothing_is_executed(executed: Executed, tiny: Path) -> None:
    for call in (
        lambda: ftrun.resume("no-such-run"),
        lambda: ftrun.resume(""),
        lambda: ftrun.run(""),
        lambda: ftrun.run("missing.toml"),
        lambda: ftrun.run(tiny, "no-such-profile"),
        lambda: ftrun.run(tiny, overrides={"": 1}),
    ):
        with pytest.raises(ftrun.errors.ExperimentError):
            call()
    assert not executed.calls and [path.name for path in tiny.parent.iterdir()] == ["tiny.toml"]


def test_a_signal_that_ended_a_run_goes_on_to_the_program(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ftrun.api, "execute", Executed(tiny.parent, signal.SIGINT))
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            ftrun.run(tiny)
    finally:
        signal.signal(signal.SIGINT, before)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> ftrun.RunResult:
    """A run on pairs."""
    folder = tmp_path_factory.mktemp("trained")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        (folder / "tiny.toml").write_text(TINY)
        return finish(folder / "tiny.toml", {"training.max_steps": 2})


ROWS = [{"sentence1": "one", "sentence2": "two", "id": 7}, {"sentence1": "three", "sentence2": "four"}]


def test_rows_at_hand_are_predicted_and_nothing_else_is_changed(
    workdir: Path, trained: ftrun.RunResult, capfd: pytest.CaptureFixture[str]
) -> None:
    before = dict(os.environ), signal.getsignal(signal.SIGINT)
    told = ftrun.predict(trained.run_folder, [("one", "two"), ("three", "four")], progress=False)
    assert isinstance(told, ftrun.PredictionResult) and told.run == trained.run and len(told) == 2
    assert set(told.labels) <= {"equivalent", "not_equivalent"} and told.probabilities
    for label, shares, row in zip(told.labels, told.probabilities, told.rows, strict=True):
        assert max(shares, key=lambda name: shares[name]) == label == row["prediction"]
        assert row["probability_equivalent"] == shares["equivalent"] and set(row) >= {"sentence1", "sentence2"}
    by_name = ftrun.predict(trained.run_folder, ROWS, device="cpu", progress=False)
    assert (by_name.labels, by_name.probabilities) == (told.labels, told.probabilities)
    assert by_name.rows[0]["id"] == 7 and "id" not in by_name.rows[1]
    assert (dict(os.environ), signal.getsignal(signal.SIGINT)) == before
    assert capfd.readouterr() == ("", "")


def test_a_file_is_predicted_as_the_command_does(workdir: Path, trained: ftrun.RunResult) -> None:
    Path("rows.csv").write_text("id;a;b\n001;one;two\n")
    run, columns = trained.run, ("a", "b")
    told = ftrun.predict(
        run,
        Path("rows.csv"),
        text_columns=columns,
        delimiter=";",
        runs_folder=trained.run_folder.parent,
        progress=False,
    )
    assert told.rows[0]["id"] == "001" and told.rows[0]["prediction"] == told.labels[0]


def test_rows_at_hand_are_measured_and_go_on_the_record_by_a_name_alone(
    workdir: Path, trained: ftrun.RunResult
) -> None:
    rows = [{**row, "label": label} for row, label in zip(ROWS, ("equivalent", "not_equivalent"), strict=True)]
    before = journal_of(trained.run_folder)
    numbers = ftrun.evaluate(trained.run_folder, rows, device="cpu", progress=False)
    assert set(numbers) == {"loss", "accuracy", "f1"} and journal_of(trained.run_folder) == before
    assert ftrun.evaluate(trained.run_folder, rows, name="mine", device="cpu", progress=False) == numbers
    assert journal_of(trained.run_folder)[-1]["values"] == {f"eval/mine/{key}": value for key, value in numbers.items()}


def test_what_is_wrong_is_told_in_the_words_of_the_arguments(workdir: Path, trained: ftrun.RunResult) -> None:
    for call, told in (
        (lambda: ftrun.predict("no-such-run", ["a"]), 'there is no run "no-such-run" here'),
        (
            lambda: ftrun.predict(trained.run_folder, ["one"]),
            r"^data: there is 1 text for a model of 2(.|\n)*\(\"...\"",
        ),
        (
            lambda: ftrun.predict(trained.run_folder, [{"a": "one"}]),
            r"^data: the list has no column .*(.|\n)*text_columns",
        ),
        (lambda: ftrun.evaluate(trained.run_folder, ROWS), '^data: the list has no column "label"'),
        (lambda: ftrun.evaluate(trained.run_folder, ROWS, name="a/b"), "^name: "),
    ):
        with pytest.raises(ftrun.ExperimentError, match=told):
            call()
