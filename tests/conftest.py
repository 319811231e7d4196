"""Fixtures: an empty working folder, a tiny experiment in it, the command, and a Hub."""

from __future__ import annotations

import functools
import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import hypothesis
import pytest
from ftrun.testing import ComponentSuite
from helpers import SHARED, TINY, Begin, Ftrun, Hub, OwnHub, make_bert, make_glue
from plugin_packages import site as site
from warm import Command, Commands

os.environ["OMP_NUM_THREADS"] = "1"  # before torch: the tests run side by side, and torch's threads wait for each other
for number in (signal.SIGINT, signal.SIGHUP):
    if signal.getsignal(number) is signal.SIG_IGN:  # as a shell, or nohup, has it for what runs in the background
        signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)

SECONDS = (
    "a_run_",
    "_curve",
    "it_saved",
    "kill_9",
    "asked_to_stop",
    "patience",
    "best_model",
    "another_process",
    "are_due",
    "a_key_",
    "is_cut",
    "overflow",
    "encode_key_tells",
)
"""In the names of a suite's tests of built-in components: those that `make test-all` alone runs."""
SAID_ELSEWHERE = ("importing_it_is_light", "leaves_the_process", "not_finite")
"""The same of those that another test says of all parts at once."""


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        is_suites = issubclass(getattr(item, "cls", None) or object, ComponentSuite)
        if is_suites and any(words in item.name for words in (*SECONDS, *SAID_ELSEWHERE)):
            item.add_marker(pytest.mark.slow)


hypothesis.settings.register_profile("ftrun", deadline=None)  # a first call imports what the later ones find
hypothesis.settings.load_profile("ftrun")


@pytest.fixture(autouse=True, scope="session")
def private_caches(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep the tests out of the user's caches, and off every network but loopback."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HF_HOME", str(tmp_path_factory.mktemp("hf")))
        patch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        patch.setenv("COLUMNS", "200")
        yield


@pytest.fixture(autouse=True)
def environment_as_it_was() -> Iterator[None]:
    """What a library sets in the environment, such as TrainingArguments made by a test, is no other test's."""
    before = dict(os.environ)
    yield
    os.environ.clear()
    os.environ.update(before)
    if mlflow := sys.modules.get("mlflow"):  # its own note of the store outlives the environment's
        mlflow.set_tracking_uri(None)


@pytest.fixture
def spawning() -> Iterator[None]:
    """Processes are spawned, as on macOS; forkserver is Python 3.14's way on Linux."""
    before = multiprocessing.get_start_method()
    multiprocessing.set_start_method("spawn", force=True)
    yield
    multiprocessing.set_start_method(before, force=True)


@pytest.fixture
def workdir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working folder."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def tiny(workdir: Path) -> Path:
    """The tiny experiment's file, in an empty working folder."""
    path = workdir / "tiny.toml"
    path.write_text(TINY)
    return path


@pytest.fixture(scope="session")
def commands(private_caches: None) -> Iterator[Commands]:
    """What begins the tests' commands, most of them in children of one warm process."""
    commands = Commands(dict(os.environ))
    yield commands
    commands.stop()


@pytest.fixture
def begin_python(workdir: Path, commands: Commands) -> Iterator[Begin]:
    """`python -m MODULE`, begun in a process of its own, in the working folder; with `subprocess.Popen`'s methods.

    What is still going on when the test is over is killed.
    """
    begun: list[Command | subprocess.Popen[str]] = []

    def begin(
        module: str, *arguments: str | Path, env: Mapping[str, str] | None = None, file_size: int | None = None
    ) -> Command | subprocess.Popen[str]:
        words = [*map(str, arguments)]
        begun.append(commands.begin(module, words, workdir, {**os.environ, **(env or {})}, file_size))
        return begun[-1]

    yield begin
    for process in begun:
        if process.poll() is None:
            process.kill()
            process.wait()
        for stream in (process.stdout, process.stderr):
            if stream:
                stream.close()


@pytest.fixture
def begin_ftrun(begin_python: Begin) -> Begin:
    """The command, begun in a process of its own, in the working folder; with `subprocess.Popen`'s methods."""
    return functools.partial(begin_python, "ftrun")


@pytest.fixture
def ftrun_command(begin_ftrun: Begin) -> Ftrun:
    """The command, in a process of its own, in the working folder."""

    def call(*arguments: str | Path, timeout: float = 300, **how: Any) -> subprocess.CompletedProcess[str]:
        process = begin_ftrun(*arguments, **how)
        out, err = process.communicate(timeout=timeout)
        return subprocess.CompletedProcess(arguments, process.returncode, out, err)

    return call


@pytest.fixture(scope="session")
def new_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A SQLite store of MLflow with its tables made, which takes longer than to fill it."""
    import mlflow

    path = tmp_path_factory.mktemp("store") / "mlflow.db"
    mlflow.MlflowClient(f"sqlite:///{path}").search_experiments()
    return path


@pytest.fixture
def store(workdir: Path, new_store: Path) -> Path:
    """A new SQLite store in the working folder, where MLflow's own default is, for tests that are not about its making."""
    return Path(shutil.copy(new_store, workdir))


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[Hub]:
    """A Hub with GLUE's MRPC and STS-B, and all-MiniLM-L6-v2 under the name of BERT."""
    if not SHARED:
        pytest.skip("FTRUN_TEST_SHARED names no folder with a stand-in for the Hub")
    hub = Hub(tmp_path / "hub")
    yield hub
    hub.stop()


@pytest.fixture(scope="session")
def repositories(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folders laid out like repositories of the Hub: a small GLUE and a small BERT."""
    folder = tmp_path_factory.mktemp("repositories")
    make_glue(folder / "glue")
    make_bert(folder / "bert")
    return folder


@pytest.fixture
def own_hub(repositories: Path, tmp_path: Path) -> Iterator[OwnHub]:
    """A Hub with `nyu-mll/glue`, small and of the embedded sample's rows, and a small `google-bert/bert-base-uncased`.

    A process finds it by `own_hub.env`, and this one after `own_hub.use_here(monkeypatch)`.
    """
    hub = OwnHub(tmp_path / "hf")
    hub.add("dataset", "nyu-mll/glue", repositories / "glue")
    hub.add("model", "google-bert/bert-base-uncased", repositories / "bert")
    yield hub
    hub.stop()


@pytest.fixture
def float16_here(monkeypatch: pytest.MonkeyPatch) -> None:
    """A CPU is let through as a device that trains in float16.

    Torch's autocast and scaler do it on a CPU. Accelerate, and by it Trainer, would not there: they are told to, and what
    they do from then on is what they do on a GPU.
    """
    import accelerate
    from ftrun import settings

    made = accelerate.Accelerator.__init__

    def make(accelerator: accelerate.Accelerator, *arguments: Any, **named: Any) -> None:
        made(accelerator, *arguments, **named)
        accelerator.native_amp |= accelerator.mixed_precision == "fp16"

    monkeypatch.setattr(accelerate.Accelerator, "__init__", make)
    monkeypatch.setattr(settings, "WITH_FLOAT16", settings.WITH_FLOAT16 | {"cpu"})


@pytest.fixture
def overflowing(float16_here: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """The scale begins so high that the first steps of a tiny run in float16 overflow, and one later on."""
    import ftrun.training.scaling as scaling

    monkeypatch.setattr(scaling, "FIRST_SCALE", 2.0**22)
