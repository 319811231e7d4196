"""What tracking and saving cost a training, and how fast ftrun is beside a loop by hand: ratios, side by side.

    python benchmarks/overhead.py tracking     no tracking; SQLite; a server; one that hangs; one that is not there
    python benchmarks/overhead.py uploads      no tracking; curves alone; with what the machine does; with pictures; and
                                               with the model and checkpoints = "none", "best", "all", each of 90 MB
    python benchmarks/overhead.py saving       no checkpoints; one every 20 steps
    python benchmarks/overhead.py determinism  as it comes; full_determinism (with --device cuda: what it costs there)
    python benchmarks/overhead.py reference    the three backends beside a script that does the same (--script FILE)

Every round runs each variant once, in a random order, each in a process of its own. Two things are compared with the
first variant of the same round: the wall time between the first and the last step, and the median time of a step. Give
it the machine to itself: a shared one differs by a tenth from run to run. What does not differ so is the share of all
processors' time that the process beside the training takes between the first and the last step; that is shown, too.

`uploads`, one round of 40 steps on two cores: a step took 0.91 to 1.07 of that without tracking, in no order, so that
what it costs is within the noise; the process beside took at most 1.8 % of the processors; from the last step to the
end of the command it took 3.5 s without tracking, 4.2 s with curves alone, 5.3 s with pictures, the model and all
checkpoints, and 5.7 s to a server.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import json
import os
import random
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil
from ftrun.runs.journal import read_journal
from ftrun.runs.records import EndRecord, MetricsRecord
from rich import box
from rich.console import Console
from rich.table import Table

QUICKSTART = Path(__file__).resolve().parent.parent / "experiments" / "quickstart.toml"


@dataclass(frozen=True)
class Measured:
    """A run, from its first step to its last."""

    seconds: float
    median_step: float
    share_beside: float
    seconds_after: float


def ftrun(folder: Path, *settings: str, env: Mapping[str, str] | None = None, patience: float = 15) -> Measured:
    """Run the quickstart: seconds, milliseconds of the median step, percent of all processors beside it, and seconds
    from the last step until the command is done, which waits so many seconds for MLflow.
    """
    before = set(folder.glob("runs/*"))
    assignments = [part for setting in settings for part in ("--set", setting)]
    process = subprocess.Popen(
        [sys.executable, "-m", "ftrun", str(QUICKSTART), "--json", *assignments],
        cwd=folder,
        env={**os.environ, **(env or {})},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    beside: list[tuple[float, float]] = [(0.0, 0.0)]
    while process.poll() is None and not any(line.startswith('{"type": "end"') for line in _last_lines(folder, before)):
        time.sleep(0.2)
        beside.append((time.time(), _seconds_beside(process.pid)))
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.communicate(timeout=patience)
    done = time.time()
    if process.returncode is None:
        process.send_signal(signal.SIGINT)  # no need to wait for a server that hangs
        process.communicate()
    (run,) = set(folder.glob("runs/*")) - before
    entries = [entry for entry, _ in read_journal(run / "journal.jsonl")]
    if entries[-1].record != EndRecord("FINISHED"):
        sys.exit(f"a run of {settings} did not finish; see {run}")
    steps = [
        entry for entry in entries if isinstance(entry.record, MetricsRecord) and "train/loss" in entry.record.values
    ]
    times = [entry.time / 1000 for entry in steps]
    each = [later - earlier for earlier, later in itertools.pairwise(times)]
    first, last = (max(taken for moment, taken in beside if moment <= edge) for edge in (times[0], times[-1]))
    seconds = times[-1] - times[0]
    share = 100 * (last - first) / (seconds * (os.cpu_count() or 1))
    shutil.rmtree(run)
    return Measured(seconds, 1000 * statistics.median(each), share, done - times[-1])


def _seconds_beside(pid: int) -> float:
    """The processor time of the process that feeds MLflow."""
    with contextlib.suppress(psutil.NoSuchProcess):
        for child in psutil.Process(pid).children():
            if "ftrun.tracking.feeder" in child.cmdline():
                return float(sum(child.cpu_times()[:2]))
    return 0.0


def _last_lines(folder: Path, before: set[Path]) -> list[str]:
    journals = [run / "journal.jsonl" for run in set(folder.glob("runs/*")) - before]
    return [(path.read_text().splitlines() or [""])[-1] for path in journals if path.exists()]


class Server:
    """A real MLflow server on loopback."""

    def __init__(self, folder: Path) -> None:
        with socket.socket() as found:
            found.bind(("127.0.0.1", 0))
            port = found.getsockname()[1]
        self.uri = f"http://127.0.0.1:{port}"
        store = ["--backend-store-uri", f"sqlite:///{folder / 'server.db'}"]
        store += ["--artifacts-destination", str(folder / "artifacts")]
        self.process = subprocess.Popen(
            [sys.executable, "-m", "mlflow", "server", "--port", str(port), "--workers", "1", *store],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        while True:
            try:
                urllib.request.urlopen(f"{self.uri}/health", timeout=5).close()
                return
            except OSError:
                time.sleep(0.3)

    def signal(self, number: signal.Signals) -> None:
        os.killpg(self.process.pid, number)


def tracking(server: Server, hung: Server, steps: int) -> dict[str, list[object]]:
    length = f"training.max_steps={steps}"
    hung.signal(signal.SIGSTOP)
    quick = {"MLFLOW_HTTP_REQUEST_TIMEOUT": "5"}
    return {
        "no tracking": [length, "tracking.enabled=false"],
        "SQLite": [length],
        "a server": [{"MLFLOW_TRACKING_URI": server.uri}, length],
        "a server that hangs": [{"MLFLOW_TRACKING_URI": hung.uri, **quick}, length],
        "a server that is not there": [{"MLFLOW_TRACKING_URI": "http://127.0.0.1:9"}, length],
    }


def uploads(server: Server, steps: int) -> dict[str, list[object]]:
    every = max(steps // 5, 1)
    settings = [f"training.max_steps={steps}", "training.metric_for_best_model=f1"]
    settings += [f"training.{what}_strategy=steps" for what in ("eval", "save")]
    settings += [f"training.{what}_steps={every}" for what in ("eval", "save")]
    no_pictures, no_usage = "tracking.pictures=false", "tracking.system_metrics=false"
    none, best, all_of_them = (f"tracking.checkpoints={which}" for which in ("none", "best", "all"))
    curves = [*settings, "tracking.model=false", none]
    return {
        "no tracking": [*settings, "tracking.enabled=false", no_pictures],
        "curves alone": [*curves, no_pictures, no_usage],
        "and system metrics": [*curves, no_pictures],
        "and pictures": [*curves],
        'and the model, checkpoints = "none"': [*settings, none],
        'checkpoints = "best"': [*settings, best],
        'checkpoints = "all"': [*settings, all_of_them],
        '"all", to a server': [{"MLFLOW_TRACKING_URI": server.uri}, *settings, all_of_them],
    }


def saving(steps: int) -> dict[str, list[object]]:
    settings = [f"training.max_steps={steps}", "tracking.enabled=false", "training.eval_strategy=no"]
    return {
        "no checkpoints": [*settings, "training.save_strategy=no"],
        "one every 20 steps": [*settings, "training.save_strategy=steps", "training.save_steps=20"],
    }


def determinism(steps: int, device: str) -> dict[str, list[object]]:
    settings = [f"training.max_steps={steps}", f"training.device={device}", "tracking.enabled=false"]
    settings += ["training.eval_strategy=no", "training.save_strategy=no"]
    return {"as it comes": [*settings], "full_determinism": [*settings, "training.full_determinism=true"]}


def compare(
    console: Console, variants: Mapping[str, Sequence[object]], folder: Path, rounds: int, patience: float = 15
) -> None:
    measured: dict[str, list[Measured]] = {name: [] for name in variants}
    for number in range(rounds):
        for name in random.sample(list(variants), len(variants)):
            env = next((part for part in variants[name] if isinstance(part, dict)), None)
            one = ftrun(folder, *(part for part in variants[name] if isinstance(part, str)), env=env, patience=patience)
            measured[name].append(one)
            console.print(
                f"round {number + 1}: {name}: {one.seconds:.2f} s, {one.median_step:.0f} ms a step, "
                f"beside it {one.share_beside:.2f} %, {one.seconds_after:.1f} s after it"
            )
    show(console, {name: [one.seconds for one in runs] for name, runs in measured.items()}, "seconds")
    show(console, {name: [one.median_step for one in runs] for name, runs in measured.items()}, "ms, the median step")
    beside, after = "the process beside: median % of all processors", "from the last step to the end: median s"
    table = Table("", beside, after, box=box.SIMPLE_HEAD)
    for name, runs in measured.items():
        medians = (
            statistics.median(one.share_beside for one in runs),
            statistics.median(one.seconds_after for one in runs),
        )
        table.add_row(name, f"{medians[0]:.2f}", f"{medians[1]:.1f}")
    console.print(table)


def show(console: Console, seconds: Mapping[str, Sequence[float]], unit: str) -> None:
    base = next(iter(seconds.values()))
    table = Table("", f"{unit}: median", "ratio: median", "ratios", box=box.SIMPLE_HEAD)
    for name, taken in seconds.items():
        ratios = [one / of for one, of in zip(taken, base, strict=True)]
        shown = " ".join(f"{ratio:.3f}" for ratio in ratios)
        table.add_row(name, f"{statistics.median(taken):.2f}", f"{statistics.median(ratios):.3f}", shown)
    console.print(table)


def reference(console: Console, folder: Path, script: str, rounds: int, steps: int) -> None:
    """The same training by a script that writes a report with `seconds_training`, and by each backend."""
    seconds: dict[str, list[float]] = {name: [] for name in ("by hand", "loop", "accelerate", "trainer")}
    file = QUICKSTART.with_name("mrpc.toml")
    for number in range(rounds):
        for name in random.sample(list(seconds), len(seconds)):
            if name == "by hand":
                report = folder / "report.json"
                options = ["--fused", "--clip", "1.0", "--max-steps", str(steps), "--out", str(report)]
                command = [sys.executable, script, "loop", "--model", "google-bert/bert-base-uncased", *options]
                subprocess.run(command, check=True, cwd=folder, capture_output=True)
                taken = json.loads(report.read_text())["seconds_training"]
            else:
                taken = by_backend(folder, file, name, steps)
            seconds[name].append(taken)
            console.print(f"round {number + 1}: {name}: {taken:.2f} s")
    show(console, seconds, "seconds")


def by_backend(folder: Path, file: Path, backend: str, steps: int) -> float:
    settings = [f"training.max_steps={steps}", f"backend.use={backend}", "training.eval_strategy=no"]
    assignments = [part for setting in [*settings, "training.save_strategy=no"] for part in ("--set", setting)]
    command = [sys.executable, "-m", "ftrun", str(file), "--json", *assignments]
    done = subprocess.run(command, check=True, cwd=folder, capture_output=True, text=True)
    return float(json.loads(done.stdout)["training_seconds"])


def main() -> None:
    cli = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    cli.add_argument("what", choices=["tracking", "uploads", "saving", "determinism", "reference"])
    cli.add_argument("--rounds", type=int, default=5)
    cli.add_argument("--steps", type=int, default=100)
    cli.add_argument("--device", default="cpu", help="for determinism: cpu or cuda")
    cli.add_argument("--script", help="for reference: the script by hand")
    options = cli.parse_args()
    console = Console()
    with tempfile.TemporaryDirectory(prefix="ftrun-benchmark-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        if options.what == "reference":
            return reference(console, folder, options.script, options.rounds, options.steps)
        for part in ("a", "b"):
            (folder / part).mkdir()
        if options.what == "saving":
            return compare(console, saving(options.steps), folder, options.rounds)
        if options.what == "determinism":
            return compare(console, determinism(options.steps, options.device), folder, options.rounds)
        if options.what == "uploads":
            server = Server(folder / "a")
            try:
                return compare(console, uploads(server, options.steps), folder, options.rounds, patience=300)
            finally:
                server.signal(signal.SIGKILL)
        servers = [Server(folder / "a"), Server(folder / "b")]
        try:
            compare(console, tracking(*servers, options.steps), folder, options.rounds)
        finally:
            for server in servers:
                server.signal(signal.SIGKILL)
    return None


if __name__ == "__main__":
    main()
