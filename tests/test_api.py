"""`ftrun.run` and `ftrun.resume`, as a program calls them."""

from __future__ import annotations

import signal
from pathlib import Path

import ftrun
import pytest
from helpers import Begin, journal_of, slow


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
