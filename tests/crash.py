"""Kills runs with `kill -9` at random moments, resumes them, and compares them with runs that were never disturbed.

    make crash-test                          30 kills a backend, on a tiny model and the embedded sample
    python tests/crash.py --kills 30 --seed 7 --checkpoints best
    python tests/crash.py --kills 30 --seed 7 --file experiments/mrpc.toml --set training.max_steps=60

Every kill is aimed at a phase (start-up, the opening records, a step, an evaluation, the writing of a checkpoint, the
upload of a model or of a checkpoint, a flush to MLflow, the end, the last delivery) and falls at a random moment of it;
half of them, and all in an upload, kill the process that feeds MLflow, too. A run may be killed several times, and goes on
on another backend every third time. In the end it must have the weights, the history, the predictions, the metrics and the
table of checkpoints of the undisturbed run, and MLflow every point of it once, under one run, with the same LoggedModels,
each once, READY, and of the same files and numbers.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
from ftrun.runs.checkpoints import damage_of
from ftrun.runs.folder import RunFolder
from ftrun.runs.journal import read_journal
from ftrun.runs.records import DifferingRecord, EndRecord, MetricsRecord, Record, UnknownRecord
from ftrun.tracking.state import delivery
from helpers import BACKENDS, TINY, curves
from logged_models import HeldModel, differences, models_held
from rich import box
from rich.console import Console
from rich.table import Table

PHASES = ("start-up", "opening", "step", "evaluation", "checkpoint", "upload", "flush", "end", "delivery")
LONGEST = {"flush": 1.0, "end": 1.0, "delivery": 1.0, "upload": 0.2}
"""Seconds after its beginning that a kill may fall in a phase; else it is a moment."""
PROFILE = """
[profile.crash]
tracking = { enabled = true, checkpoints = "CHECKPOINTS" }

[profile.crash.training]
num_train_epochs = 4
per_device_train_batch_size = 3
gradient_accumulation_steps = 3
eval_strategy = "steps"
eval_steps = 3
save_strategy = "steps"
save_steps = 2
save_total_limit = 2
load_best_model_at_end = true
early_stopping_patience = 5
"""
MOST_KILLS_A_RUN = 6


@dataclass
class Tally:
    """What was done on one backend."""

    kills: Counter[str] = field(default_factory=Counter)
    with_feeder: int = 0
    elsewhere: int = 0
    runs: int = 0
    faults: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Undisturbed:
    """What every run must come to."""

    history: dict[tuple[str, int], Any]
    weights: str
    predictions: dict[str, str]
    metrics: dict[str, float]
    checkpoints: str
    models: dict[str, HeldModel]
    last_step: int
    start_up: float


class Harness:
    """One working folder, one experiment, one MLflow store."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.random = random.Random(options.seed)
        self.options = options
        self.folder = Path(tempfile.mkdtemp(prefix="ftrun-crash-"))
        (self.folder / "tiny.toml").write_text(TINY + PROFILE.replace("CHECKPOINTS", options.checkpoints))
        self.store = ""
        self.file = str(Path(options.file).resolve()) if options.file else "tiny.toml"
        profile = options.profile or (None if options.file else "crash")
        self.chosen = [f"--set={assignment}" for assignment in options.set]
        self.profile = ["--profile", profile] if profile else []

    def command(self, *arguments: str) -> subprocess.Popen[str]:
        log = (self.folder / "output.txt").open("a")
        return subprocess.Popen(
            [sys.executable, "-m", "ftrun", *arguments],
            cwd=self.folder,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            env={
                **os.environ,
                "OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", "1"),
                "MLFLOW_TRACKING_URI": self.store,
            },
        )

    def begin(self, backend: str) -> subprocess.Popen[str]:
        self.store = (
            f"sqlite:///{self.folder}/mlflow-{len(self.folders())}.db"  # each run makes one: a kill may fall in it
        )
        return self.command("run", self.file, *self.profile, *self.chosen, "--backend", backend, "--json")

    def folders(self) -> set[Path]:
        return set((self.folder / "runs").glob("*"))

    def undisturbed(self, backend: str) -> Undisturbed:
        before = self.folders()
        began = time.time()
        process = self.begin(backend)
        out, _ = process.communicate()
        if process.returncode:
            sys.exit(f"the undisturbed run failed; see {self.folder / 'output.txt'}")
        (folder,) = self.folders() - before
        history = history_of(folder)
        journal = read_journal(folder / "journal.jsonl")
        first = next(entry.time for entry, _ in journal if isinstance(entry.record, MetricsRecord))
        return Undisturbed(
            history,
            digest(folder / "model" / "model.safetensors"),
            predictions_of(folder),
            json.loads(out)["metrics"],
            (folder / "checkpoints.json").read_text(),
            models_held(*self.in_mlflow(folder)),
            max(step for _, step in history),
            first / 1000 - began,
        )

    def disturbed(self, backend: str, tally: Tally, reference: Undisturbed) -> None:
        """One run, killed again and again, to its end."""
        before = self.folders()
        process = self.begin(backend)
        for _ in range(self.random.randint(1, MOST_KILLS_A_RUN)):
            phase = self.random.choice(PHASES)
            if (
                not self.kill(process, before, phase, tally, reference)
                or sum(tally.kills.values()) >= self.options.kills
            ):
                break
            process = self.resume(before, backend, tally)
        out, _ = process.communicate()
        while process.returncode == -9 or not self.is_finished(before):
            process = self.resume(before, backend, tally)
            out, _ = process.communicate()
            if process.returncode not in (0, -9):
                tally.faults.append(f"exit status {process.returncode}")
                return
        (folder,) = self.folders() - before
        tally.runs += 1
        faults = [f"{folder.name}: {fault}" for fault in self.compare(folder, out, reference)]
        tally.faults += faults
        if not faults:  # nothing to look at, and checkpoints of real models are large
            shutil.rmtree(folder / "checkpoints")

    def resume(self, before: set[Path], backend: str, tally: Tally) -> subprocess.Popen[str]:
        new = self.folders() - before
        if (
            not new
            or not (next(iter(new)) / "experiment.toml").exists()
            or not (next(iter(new)) / "journal.jsonl").exists()
        ):
            for folder in new:
                folder.rename(folder.with_name(f".{folder.name}"))
            return self.begin(backend)  # killed before there was a run
        chosen = backend if self.random.random() > 1 / 3 else self.random.choice(BACKENDS)
        tally.elsewhere += chosen != backend
        return self.command("resume", next(iter(new)).name, "--backend", chosen, "--json")

    def is_finished(self, before: set[Path]) -> bool:
        return EndRecord("FINISHED") in self.records(before)

    def records(self, before: set[Path]) -> list[Record | UnknownRecord]:
        return [record for folder in self.folders() - before for record in records_of(folder)]

    def kill(
        self, process: subprocess.Popen[str], before: set[Path], phase: str, tally: Tally, reference: Undisturbed
    ) -> bool:
        """Kill it in a phase; False if it had ended before."""
        self.await_phase(process, before, phase, reference)
        time.sleep(self.random.uniform(0, {**LONGEST, "start-up": reference.start_up}.get(phase, 0.05)))
        victims = [psutil.Process(process.pid)] if process.poll() is None else []
        if not victims:
            return False
        if phase == "upload" or self.random.random() < 0.5:
            victims += victims[0].children(recursive=True)
        for victim in victims:
            with contextlib.suppress(psutil.NoSuchProcess):
                victim.kill()
        process.wait()
        if process.returncode != -9:
            return False
        tally.kills[phase] += 1
        tally.with_feeder += len(victims) > 1
        return True

    def await_phase(
        self, process: subprocess.Popen[str], before: set[Path], phase: str, reference: Undisturbed
    ) -> None:
        if phase == "start-up":
            return
        came = self.signs(before, phase, reference)
        while process.poll() is None and not came():
            time.sleep(0.002)

    def signs(self, before: set[Path], phase: str, reference: Undisturbed) -> Callable[[], bool]:
        """What tells that a phase has come."""
        seen = max((getattr(record, "step", 0) for record in self.records(before)), default=0)
        ends = sum(isinstance(record, EndRecord) for record in self.records(before))
        seen_uploads: set[str] = set()
        evaluations = sorted({step for key, step in reference.history if key.startswith("eval/") and step > seen})
        match phase:
            case "opening":
                count = len(self.records(before)) + self.random.randint(1, 3)
                return lambda: len(self.records(before)) >= count
            case "step":
                aim = self.random.randint(min(seen + 1, reference.last_step), reference.last_step)
                return lambda: self.reached(before, aim)
            case "evaluation":
                aim = self.random.choice(evaluations or [reference.last_step])
                return lambda: self.reached(before, aim)
            case "checkpoint":
                skipped = iter(range(self.random.randint(0, 3)))
                return lambda: bool(self.new("checkpoints/.checkpoint-*", before)) and next(skipped, None) is None
            case "flush":
                states = [path.stat().st_mtime_ns for path in self.new("mlflow.json", before)]
                return lambda: [path.stat().st_mtime_ns for path in self.new("mlflow.json", before)] != states
            case "upload":
                skipped = self.random.randint(0, 3)
                return lambda: len(self.uploading(before, seen_uploads)) > skipped
            case "end":
                return lambda: self.reached(before, reference.last_step)
            case _:
                return lambda: sum(isinstance(record, EndRecord) for record in self.records(before)) > ends

    def uploading(self, before: set[Path], seen: set[str]) -> set[str]:
        """The models, and checkpoints, of which an upload was seen; all that is known by now is added."""
        for path in self.new("mlflow.json", before):
            doing = json.loads(path.read_text())["doing"] or ""
            if doing.split("/")[0] in ("uploads", "model"):
                seen.add(doing)
        return seen

    def new(self, pattern: str, before: set[Path]) -> list[Path]:
        return [path for folder in self.folders() - before for path in folder.glob(pattern)]

    def reached(self, before: set[Path], step: int) -> bool:
        return any(isinstance(record, MetricsRecord) and record.step >= step for record in self.records(before))

    def compare(self, folder: Path, out: str, reference: Undisturbed) -> Iterator[str]:
        """Everything that is not as in the undisturbed run."""
        if history_of(folder) != reference.history:
            yield "its history differs"
        if any(isinstance(record, DifferingRecord) for record in records_of(folder)):
            yield "points came out otherwise when they were repeated"
        if digest(folder / "model" / "model.safetensors") != reference.weights:
            yield "its weights differ"
        if predictions_of(folder) != reference.predictions:
            yield "its predictions differ"
        if out.strip() and json.loads(out)["metrics"] != reference.metrics:
            yield "its metrics differ"
        for checkpoint in (folder / "checkpoints").iterdir():
            damage = damage_of(checkpoint) if not checkpoint.name.startswith(".") else "it was left behind"
            if damage:
                yield f"{checkpoint.name}: {damage}"
        if (folder / "checkpoints.json").read_text() != reference.checkpoints:
            yield f"its table of checkpoints is {(folder / 'checkpoints.json').read_text()} of {reference.checkpoints}"
        yield from self.compare_mlflow(folder, reference)
        left = [path.name for path in (folder / "uploads").glob("*")]
        if left:
            yield f"in uploads there is {left}"

    def in_mlflow(self, folder: Path) -> tuple[Any, Any]:
        """A client, and the run as it is there.

        Raises:
            ValueError: If there is none, or more than one.
        """
        import mlflow

        client = mlflow.MlflowClient(self.store)
        experiments = [experiment.experiment_id for experiment in client.search_experiments()]
        (run,) = client.search_runs(experiments, f"tags.`ftrun.run` = '{folder.name}'")
        return client, run

    def compare_mlflow(self, folder: Path, reference: Undisturbed) -> Iterator[str]:
        self.command("sync", folder.name).communicate()
        if delivery(RunFolder(folder)).pending:
            yield "not all of it is in MLflow"
        try:
            client, run = self.in_mlflow(folder)
        except ValueError as error:
            yield f"MLflow has it not once: {error}"
            return
        if run.info.status != "FINISHED":
            yield f"MLflow has it as {run.info.status}"
        points = [
            (key, point.step, point.value)
            for key in curves(run.data.metrics)
            for point in client.get_metric_history(run.info.run_id, key)
        ]
        if sorted(points) != sorted((key, step, value) for (key, step), value in history_of(folder).items()):
            yield f"MLflow has {len(points)} points of {len(history_of(folder))}, or others"
        if len(run.inputs.dataset_inputs) != 2:
            yield f"MLflow has {len(run.inputs.dataset_inputs)} data sets of it"
        artifacts = {artifact.path for artifact in client.list_artifacts(run.info.run_id)}
        if not {"experiment.toml", "predictions", "checkpoints.json"} <= artifacts:
            yield f"MLflow has the artifacts {artifacts}"
        yield from differences(models_held(client, run), reference.models)


def records_of(folder: Path) -> list[Record | UnknownRecord]:
    return [entry.record for entry, _ in read_journal(folder / "journal.jsonl")]


def history_of(folder: Path) -> dict[tuple[str, int], Any]:
    points = [
        ((key, record.step), value)
        for record in records_of(folder)
        if isinstance(record, MetricsRecord)
        for key, value in record.values.items()
    ]
    assert len(dict(points)) == len(points), f"{folder} has doubles"
    return dict(points)


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def predictions_of(folder: Path) -> dict[str, str]:
    return {path.name: digest(path) for path in (folder / "predictions").iterdir()}


def show(console: Console, tallies: dict[str, Tally]) -> None:
    table = Table("", *tallies, box=box.SIMPLE_HEAD)
    for phase in PHASES:
        table.add_row(f"kills: {phase}", *(str(tally.kills[phase]) for tally in tallies.values()))
    table.add_row("kills in all", *(str(sum(tally.kills.values())) for tally in tallies.values()))
    table.add_row("with the feeder", *(str(tally.with_feeder) for tally in tallies.values()))
    table.add_row("resumed on another backend", *(str(tally.elsewhere) for tally in tallies.values()))
    table.add_row("runs compared", *(str(tally.runs) for tally in tallies.values()))
    table.add_row("faults", *(str(len(tally.faults)) for tally in tallies.values()))
    console.print(table)
    for tally in tallies.values():
        for fault in tally.faults:
            console.print(fault, style="red")


def main() -> int:
    cli = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    cli.add_argument("--kills", type=int, default=30, help="kills a backend")
    cli.add_argument("--seed", type=int, default=1)
    cli.add_argument("--checkpoints", default="all", choices=["none", "best", "last", "all"])
    cli.add_argument("--backend", action="append", choices=BACKENDS)
    cli.add_argument("--file", help="an experiment with evaluations and checkpoints; a tiny one if absent")
    cli.add_argument("--profile")
    cli.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    options = cli.parse_args()
    harness = Harness(options)
    console = Console()
    console.print(f"in {harness.folder}, seed {options.seed}", soft_wrap=True)
    tallies = {backend: Tally() for backend in options.backend or BACKENDS}
    for backend, tally in tallies.items():
        reference = harness.undisturbed(backend)
        console.print(
            f"{backend}: undisturbed, {reference.last_step} steps; first step after {reference.start_up:.1f} s"
        )
        while sum(tally.kills.values()) < options.kills:
            harness.disturbed(backend, tally, reference)
            console.print(
                f"{backend}: {sum(tally.kills.values())} kills, {tally.runs} runs, {len(tally.faults)} faults"
            )
    show(console, tallies)
    return int(any(tally.faults for tally in tallies.values()))


if __name__ == "__main__":
    sys.exit(main())
