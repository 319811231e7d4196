"""Rows that several processes tokenize are those of one, and what becomes of a process is told."""

from __future__ import annotations

import contextlib
import json
import multiprocessing
import os
import pickle
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import psutil
import pytest
from ftrun.contracts import BuiltModel, Splits, Task
from ftrun.errors import ExperimentError, Problem, RunError
from ftrun.execution.encoded_cache import EncodedCache
from ftrun.execution.encoding import Encoding
from ftrun.execution.encoding_processes import processes_for
from helpers import TOKENIZER, slow

TASK = Task("classification", ("text",), "label", ("a", "b"))
ROWS = 11_300
"""More than two processes are worth, and no whole number of batches."""


def lengths(batch: Mapping[str, Sequence[Any]]) -> Mapping[str, Sequence[Any]]:
    return {"input_ids": [[len(word) for word in text.split()] for text in batch["text"]], "label": batch["label"]}


@pytest.fixture(scope="module")
def rows() -> Any:
    from datasets import ClassLabel, Dataset, Features, Value

    texts = ["word " * (index % 7) + str(index) for index in range(ROWS)]
    features = Features({"text": Value("string"), "label": ClassLabel(names=["a", "b"])})
    return Dataset.from_dict({"text": texts, "label": [index % 2 for index in range(ROWS)]}, features=features)


class Bench:
    """Encodes rows as a run does, with a cache in a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.encode: Callable[..., Any] = lengths
        self.done: list[int] = []

    def __call__(self, rows: Any, processes: int | None) -> Any:
        """The encoded rows; `done` then holds what was told while they were encoded."""
        self.done.clear()
        environment = dict(os.environ)
        try:
            return self._encoded(rows, processes)
        finally:
            assert dict(os.environ) == environment

    def _encoded(self, rows: Any, processes: int | None) -> Any:
        built = BuiltModel(None, None, self.encode, "lengths-1", "nowhere")
        splits = Splits(task=TASK, train=None, evaluation={}, name="rows", source="here", digest="1")
        with EncodedCache(self.folder) as cache:
            encoding = Encoding(splits, built, "someone 1.0", cache, self._progress, self._noticed, processes)
            return encoding.encode("train", rows)

    def _progress(self, split: str, done: int, total: int) -> None:
        assert (split, total) == ("train", ROWS)
        self.done.append(done)

    def _noticed(self, sentence: str) -> None:
        raise AssertionError(sentence)

    @property
    def kept(self) -> dict[str, bytes]:
        """Whole files, and whatever else is in the cache."""
        return {
            str(path.relative_to(self.folder)): path.read_bytes()
            for path in self.folder.rglob("*")
            if path.name != "about.json" and not path.is_dir()
        }


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path / "several")


@pytest.fixture(autouse=True)
def nothing_is_left() -> Iterator[None]:
    """No process, and no other signal handler."""
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    yield
    assert not multiprocessing.active_children()
    assert {number: signal.getsignal(number) for number in handlers} == handlers
    assert not signal.pthread_sigmask(signal.SIG_BLOCK, [])


def in_a_child() -> bool:
    return multiprocessing.parent_process() is not None


@pytest.mark.parametrize("processes", [2, 7])
def test_they_are_those_of_one_process_to_the_byte(bench: Bench, tmp_path: Path, rows: Any, processes: int) -> None:
    alone = Bench(tmp_path / "alone")
    alone(rows, None)
    bench(rows, processes)
    assert bench.kept == alone.kept and len(bench.kept) == 1
    assert bench.done == alone.done == [*range(1000, ROWS, 1000), ROWS]
    bench(rows, None)
    assert bench.done == [], "how many processes encoded them is no part of the key"


def test_rows_that_go_through_a_function_come_in_order_too(bench: Bench, rows: Any) -> None:
    shouting = rows.with_transform(lambda batch: {**batch, "text": [text + " more" for text in batch["text"]]})
    alone, several = bench(shouting, None), bench(shouting, 2)
    assert several.format == alone.format and several.features == alone.features
    assert several[:] == alone[:] and bench.done[-1] == ROWS and not bench.kept


@pytest.mark.parametrize(
    ("count", "asked", "processes"),
    [(10**6, None, 1), (10**6, 1, 1), (10**6, 4, 4), (3_668, 4, 1), (9_999, 4, 1), (10_000, 4, 2), (0, 2, 1)],
)
def test_few_rows_are_not_worth_a_process(count: int, asked: int | None, processes: int) -> None:
    assert processes_for(count, asked) == processes


def test_a_small_split_is_encoded_here(bench: Bench, rows: Any) -> None:
    def encode(batch: Any) -> Any:
        assert not in_a_child()
        return lengths(batch)

    bench.encode = encode
    some = rows.select(range(9_999))
    bench._progress = lambda *_: None  # type: ignore[method-assign]
    assert len(bench(some, 8)) == 9_999


class OddError(Exception):
    """Goes to another process, and does not arrive."""

    def __init__(self, one: int, two: int) -> None:
        super().__init__(f"{one} and {two}")


PROBLEM = Problem("some rows give no token", "dataset.text_columns", "Leave such rows out.")


@pytest.mark.parametrize(
    ("raised", "kind", "told"),
    [
        (ExperimentError(PROBLEM), ExperimentError, str(PROBLEM)),
        (ValueError("no such thing"), ValueError, "no such thing"),
        (KeyboardInterrupt(), KeyboardInterrupt, ""),
        (OddError(1, 2), RunError, "train cannot be tokenized: OddError: 1 and 2"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, BaseException) else "",
)
def test_what_encode_raises_is_raised_here(
    bench: Bench, rows: Any, raised: BaseException, kind: type[BaseException], told: str
) -> None:
    def encode(batch: Any) -> Any:
        if "4500" in str(batch["text"][500]):
            raise raised
        return lengths(batch)

    bench.encode = encode
    with pytest.raises(kind) as caught:
        bench(rows, 2)
    assert type(caught.value) is kind and str(caught.value) == told
    assert bench.done == [1000, 2000, 3000, 4000], "as in one process"
    assert "in a process that tokenizes:\nTraceback" in caught.value.__notes__[0], "for the log"
    assert not bench.kept


@pytest.mark.parametrize("how", [lambda: os.kill(os.getpid(), signal.SIGKILL), lambda: os._exit(3)])
def test_a_process_that_dies_is_told_by_a_sentence(bench: Bench, rows: Any, how: Callable[[], None]) -> None:
    bench.encode = lambda batch: how() if in_a_child() else lengths(batch)
    told = r"preprocessing_num_workers: a process that tokenizes train (was killed by SIGKILL\n.*memory|ended by itself, with exit status 3$)"
    with pytest.raises(RunError, match=told):
        bench(rows, 2)
    assert not bench.kept


def test_what_cannot_be_sent_is_told_by_a_sentence(bench: Bench, rows: Any, spawning: None) -> None:
    bench.encode = lambda batch: lengths(batch)
    told = r"(?s)training.preprocessing_num_workers: encode of the model cannot be sent to other processes: .*Leave the key"
    with pytest.raises(ExperimentError, match=told):
        bench(rows, 2)
    assert not bench.kept


@pytest.mark.slow
def test_spawned_processes_give_the_same(bench: Bench, tmp_path: Path, rows: Any, spawning: None, capfd: Any) -> None:
    from ftrun.references import package_folder
    from ftrun_plugins.models.tokenizers import Encoder
    from transformers import AutoTokenizer

    alone = Bench(tmp_path / "alone")
    bench.encode = alone.encode = Encoder(AutoTokenizer.from_pretrained(str(package_folder(TOKENIZER))), TASK, 64)
    alone(rows, None)
    capfd.readouterr()
    bench(rows, 2)
    assert bench.kept == alone.kept and len(bench.kept) == 1


def test_errors_for_a_person_go_to_other_processes_whole() -> None:
    error = ExperimentError(PROBLEM, Problem("another", origin="file.toml"))
    error.add_note("seen there")
    sent = pickle.loads(pickle.dumps(error))
    assert type(sent) is ExperimentError and sent.problems == error.problems
    assert str(sent) == str(error) and sent.__notes__ == ["seen there"]


BIG = "".join(f"{'some words of a text that goes on ' * 6}{index},{'ab'[index % 2]}\n" for index in range(40_000))


def tokenizing(process: subprocess.Popen[str]) -> list[psutil.Process]:
    """The processes that tokenize."""
    with contextlib.suppress(psutil.NoSuchProcess):
        return psutil.Process(process.pid).children()
    return []


def wait_for_two(process: subprocess.Popen[str]) -> list[psutil.Process]:
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and process.poll() is None and len(found := tokenizing(process)) < 2:
        time.sleep(0.01)
    assert len(found) == 2, process.communicate()
    return found


@pytest.fixture
def begun(tiny: Path) -> Iterator[subprocess.Popen[str]]:
    """A run that is about to tokenize in two processes."""
    (tiny.parent / "big.csv").write_text(f"text,label\n{BIG}")
    data = 'dataset={use="files",train="big.csv",validation="big.csv",max_eval_samples=9,text_columns=["text"]}'
    settings = [data, 'metrics=[{use="accuracy"}]', "training.eval_strategy=no", "training.preprocessing_num_workers=2"]
    options = [part for setting in settings for part in ("--set", setting)]
    command = [sys.executable, "-m", "ftrun", str(tiny), "--json", *options]
    environment = {**os.environ, "HF_DATASETS_CACHE": str(tiny.parent / "cache")}
    process = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        env=environment,
    )
    yield process
    process.kill()
    process.communicate()


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, slow(signal.SIGTERM), slow(signal.SIGHUP)])
def test_what_stops_all_processes_of_a_run_ends_it_as_without_them(
    begun: subprocess.Popen[str], number: signal.Signals
) -> None:
    workers = wait_for_two(begun)
    os.killpg(begun.pid, number)
    out, err = begun.communicate(timeout=60)
    assert begun.returncode == 128 + number, err
    assert json.loads(out)["status"] == "KILLED" and "Traceback" not in err and "forked" not in err, err
    assert not any(worker.is_running() for worker in workers)


@pytest.mark.slow
def test_processes_of_a_killed_run_end(begun: subprocess.Popen[str]) -> None:
    workers = wait_for_two(begun)
    begun.kill()
    _, alive = psutil.wait_procs(workers, timeout=30)
    assert not alive
