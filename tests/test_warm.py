"""A command in a child of the warm process is what it would be in a process of its own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
from helpers import Begin, Ftrun
from warm import Command

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="elsewhere every command has a process of its own")

PROBE = """
import gc, json, os, resource, signal, sys, threading
signals = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGPIPE, signal.SIGXFSZ, signal.SIGCHLD]
print(json.dumps({
    "name": __name__,
    "arguments": sys.argv,
    "path": sys.path,
    "folder": os.getcwd(),
    "environment": {name: os.environ[name] for name in ("HF_HOME", "MLFLOW_TRACKING_URI", "OMP_NUM_THREADS")},
    "threads": [len(os.listdir("/proc/self/task")), threading.active_count()],
    "main": threading.current_thread() is threading.main_thread(),
    "files": sorted(map(int, os.listdir("/proc/self/fd")))[:3],
    "how many files": len(os.listdir("/proc/self/fd")),
    "terminals": [stream.isatty() for stream in (sys.stdin, sys.stdout, sys.stderr)],
    "handlers": [str(signal.getsignal(number)) for number in signals],
    "blocked": [str(number) for number in signal.pthread_sigmask(signal.SIG_BLOCK, [])],
    "group": [os.getpgrp(), os.getsid(0)],
    "niceness": os.nice(0),
    "limits": resource.getrlimit(resource.RLIMIT_FSIZE),
    "collects": gc.isenabled(),
    "ours": [name for name in sys.modules if name.startswith("ftrun")],
}))
print(sys.stdin.read(), end="", file=sys.stderr)
sys.exit(7)
"""


@pytest.fixture
def begin(workdir: Path, begin_python: Begin) -> Callable[[str], Command]:
    """A program, begun in a child of the warm process."""

    def begin(code: str) -> Command:
        (workdir / "program.py").write_text(code)
        child = begin_python("program")
        assert isinstance(child, Command)
        return child

    return begin


def test_a_child_is_like_a_process_of_its_own(workdir: Path, begin_python: Begin) -> None:
    (workdir / "probe.py").write_text(PROBE)
    environment = {**os.environ, "MLFLOW_TRACKING_URI": "sqlite:///elsewhere.db"}
    told = []
    for _ in range(2):
        child = begin_python("probe", "a", "b c", env=environment)
        assert isinstance(child, Command)
        told.append((child.communicate(timeout=60), child.returncode))
    own = [sys.executable, "-m", "probe", "a", "b c"]
    done = subprocess.run(own, cwd=workdir, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    assert done.returncode == 7
    expected = json.loads(done.stdout)
    for (out, err), status in told:
        assert (json.loads(out), err, status) == (expected, done.stderr, 7)


def test_what_ends_a_child_is_told(begin: Callable[[str], Command]) -> None:
    ends = {
        "": 0,
        "import os; os._exit(3)": 3,
        "1 / 0": 1,
        "raise SystemExit('no')": 1,
        "import os, signal; os.kill(os.getpid(), signal.SIGTERM)": -signal.SIGTERM,
        "import atexit; atexit.register(print, 'at exit')": 0,
    }
    for code, status in ends.items():
        child = begin(code)
        out, err = child.communicate(timeout=60)
        assert child.returncode == status, code
        assert ("ZeroDivisionError" in err) == (code == "1 / 0") and (out == "at exit\n") == ("at exit" in code)


def test_a_child_can_be_killed_and_stopped_while_others_go_on(begin: Callable[[str], Command]) -> None:
    endless = begin("import time\nprint('here', flush=True)\ntime.sleep(600)")
    assert endless.stdout.readline() == "here\n"
    child = begin("input()")
    with pytest.raises(subprocess.TimeoutExpired):
        endless.wait(timeout=0.1)
    assert child.wait(timeout=60) == 1  # there is nothing to read
    endless.send_signal(signal.SIGSTOP)
    deadline = time.monotonic() + 60
    while psutil.Process(endless.pid).status() != psutil.STATUS_STOPPED and time.monotonic() < deadline:
        time.sleep(0.01)
    assert endless.poll() is None
    endless.kill()
    assert endless.wait(timeout=60) == -signal.SIGKILL
    assert not psutil.pid_exists(endless.pid)


def test_what_an_earlier_child_did_to_itself_is_gone(begin: Callable[[str], Command]) -> None:
    begin(
        "import os, sys, torch; torch.set_num_threads(2); torch.nn = None; os.environ['A'] = '1'; os.chdir('/')"
    ).wait()
    child = begin(
        "import os, torch; print(torch.get_num_threads(), torch.nn.__name__, os.environ.get('A'), os.getcwd())"
    )
    assert child.communicate()[0] == f"1 torch.nn None {Path.cwd()}\n"


def test_gradients_flow_in_a_child(begin: Callable[[str], Command]) -> None:
    child = begin(
        "import torch; x = torch.ones(3, requires_grad=True); (x * x).sum().backward(); print(x.grad.tolist())"
    )
    assert child.communicate(timeout=60)[0] == "[2.0, 2.0, 2.0]\n"


@pytest.mark.parametrize(
    "variables",
    [{"HF_HOME": "/elsewhere"}, {"PYTHONPATH": "/elsewhere"}, {"ACCELERATE_MIXED_PRECISION": "bf16"}, {"ANY": "1"}],
    ids=lambda variables: next(iter(variables)),
)
def test_what_a_library_may_read_as_it_is_imported_wants_a_process_of_its_own(
    begin_python: Begin, workdir: Path, variables: dict[str, str]
) -> None:
    (workdir / "probe.py").write_text("import sys; print('torch' in sys.modules)")
    child = begin_python("probe", env=variables)
    assert child.communicate(timeout=60)[0] == "False\n" and not isinstance(child, Command)
    child = begin_python("probe", env={"MLFLOW_TRACKING_URI": "http://127.0.0.1:9"})
    assert child.communicate(timeout=60)[0] == "True\n" and isinstance(child, Command)


def test_it_is_ftrun_that_runs(tiny: Path, ftrun_command: Ftrun) -> None:
    done = ftrun_command("run", "--help")
    assert done.returncode == 0 and "Run experiments in order" in done.stdout
    done = ftrun_command(tiny, "--set", "training.max_steps=nonsense")
    assert done.returncode == 2 and "training.max_steps" in done.stderr
