"""`ftrun.run` and `ftrun.resume`, as a program calls them."""

from __future__ import annotations

import signal
from pathlib import Path

import ftrun
import ftrun.api
import pytest
from ftrun.execution.beginning import Beginning
from ftrun.execution.outcome import Outcome
from ftrun.execution.watcher import Watcher
from ftrun.planning.catalogue import Catalogue
from ftrun.planning.plan import Plan
from ftrun.screen.watchers import PlainWatcher
from helpers import TINY, Begin, begun, journal_of, plan_of, rows_of, slow, splits_of


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
