"""What speeds up a training, each alone and together, and what that does to F1: side by side, on MRPC.

    python benchmarks/levers.py speed --script FILE    the chapter's loop by hand; the same by ftrun; with fused AdamW;
                                                       with rows grouped by length; with bfloat16; with all of them
    python benchmarks/levers.py f1                     the chapter's experiment and the fast one, whole, three seeds

Both want MRPC and `google-bert/bert-base-uncased` from a Hub (HF_ENDPOINT). Every round runs each variant once, in a
random order, each in a process of its own, and compares it with the first of the same round. A step's rows are as many
as the chapter's, and the steps of a round are whole groups: grouping sorts the rows of 50 batches at a time, so that
its first steps are the longest. FILE is a script that takes `loop --model --max-steps --out` and writes a report with
`losses` and `seconds_training`. Its first two losses and those of ftrun without a lever are held to be equal; then
their learning rates differ, for the script's schedule is that of three epochs.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ftrun.runs.comparison import losses
from ftrun.runs.folder import RunFolder
from rich import box
from rich.console import Console
from rich.table import Table

EXPERIMENTS = Path(__file__).resolve().parent.parent / "experiments"
FIRST_SEED = 42
GROUP = 50
"""Batches whose rows are sorted together."""

AS_BY_HAND = ("training.optim=adamw_torch", "training.max_grad_norm=0")
LEVERS = {
    "fused AdamW": ("training.optim=adamw_torch_fused",),
    "grouped by length": ("training.train_sampling_strategy=group_by_length",),
    "bfloat16": ("training.bf16=true",),
}
BY_HAND = "the chapter's loop, by hand"
NO_LEVER = "the same by ftrun"


def by_script(folder: Path, script: str, steps: int) -> tuple[float, Sequence[float]]:
    """Seconds of training, and the loss of every step."""
    report = folder / "report.json"
    command = [sys.executable, script, "loop", "--model", "google-bert/bert-base-uncased"]
    command += ["--max-steps", str(steps), "--out", str(report)]
    subprocess.run(command, check=True, cwd=folder, capture_output=True)
    told = json.loads(report.read_text())
    return told["seconds_training"], told["losses"]


def by_ftrun(folder: Path, file: str, *settings: str) -> Mapping[str, Any]:
    """The result of a run, as `--json` gives it."""
    assignments = [part for setting in (*settings, "tracking.enabled=false") for part in ("--set", setting)]
    command = [sys.executable, "-m", "ftrun", str(EXPERIMENTS / file), "--json", *assignments]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(done.stderr)
    return dict(json.loads(done.stdout))


def speed(console: Console, folder: Path, options: argparse.Namespace) -> None:
    """Each lever alone, and all together, over the first steps of the chapter's loop."""
    steps: int = options.steps - options.steps % GROUP or GROUP
    short = [f"training.max_steps={steps}", "training.eval_strategy=no", "training.save_strategy=no"]
    together = [setting for lever in LEVERS.values() for setting in lever]
    by_settings = {NO_LEVER: (), **LEVERS, "all three": together}
    curves: dict[str, Sequence[float]] = {}

    def seconds(name: str) -> float:
        if name == BY_HAND:
            taken, curves[name] = by_script(folder, options.script, steps)
            return taken
        result = by_ftrun(folder, "mrpc_loop.toml", *short, *AS_BY_HAND, *by_settings[name])
        curves[name] = list(losses(RunFolder(Path(result["run_folder"]))).values())
        return float(result["training_seconds"])

    taken = in_rounds(console, [BY_HAND, *by_settings], options.rounds, seconds)
    if curves[BY_HAND][:2] != curves[NO_LEVER][:2]:
        sys.exit("the losses by hand and by ftrun are not equal, so that their times say nothing")
    show(console, taken, f"seconds, {steps} steps")


def f1(console: Console, folder: Path, options: argparse.Namespace) -> None:
    """The chapter's experiment and the fast one, whole."""
    files = {"as in the chapter": "mrpc_accel.toml", "fast": "mrpc_fast.toml"}
    results: dict[str, list[Mapping[str, Any]]] = {name: [] for name in files}

    def seconds(name: str) -> float:
        seed = FIRST_SEED + len(results[name])
        results[name].append(by_ftrun(folder, files[name], f"seed={seed}", "tracking.pictures=false"))
        console.print(f"{name}, seed {seed}: {results[name][-1]['metrics']}")
        return float(results[name][-1]["training_seconds"])

    show(console, in_rounds(console, list(files), options.rounds, seconds), "seconds of training")
    for measure in ("eval/f1", "eval/accuracy"):
        table = Table("", f"{measure}: mean", "each seed", box=box.SIMPLE_HEAD)
        for name in files:
            values = [result["metrics"][measure] for result in results[name]]
            each = " ".join(f"{value:.4f}" for value in values)
            table.add_row(name, f"{statistics.mean(values):.4f}", each)
        console.print(table)


def in_rounds(
    console: Console, names: Sequence[str], rounds: int, seconds: Callable[[str], float]
) -> Mapping[str, Sequence[float]]:
    """The seconds that each variant took, by round."""
    taken: dict[str, list[float]] = {name: [] for name in names}
    for number in range(rounds):
        for name in random.sample(names, len(names)):
            taken[name].append(seconds(name))
            console.print(f"round {number + 1}: {name}: {taken[name][-1]:.2f} s")
    return taken


def show(console: Console, seconds: Mapping[str, Sequence[float]], unit: str) -> None:
    """How many times as fast as the first variant each one is."""
    base = next(iter(seconds.values()))
    table = Table("", f"{unit}: median", "times as fast: median", "each round", box=box.SIMPLE_HEAD)
    for name, taken in seconds.items():
        ratios = [of / one for one, of in zip(taken, base, strict=True)]
        each = " ".join(f"{ratio:.2f}" for ratio in ratios)
        table.add_row(name, f"{statistics.median(taken):.1f}", f"{statistics.median(ratios):.2f}", each)
    console.print(table)


def main() -> None:
    cli = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    cli.add_argument("what", choices=["speed", "f1"])
    cli.add_argument("--rounds", type=int, default=3, help="for f1: seeds")
    cli.add_argument("--steps", type=int, default=3 * GROUP, help=f"for speed: a multiple of {GROUP}")
    cli.add_argument("--script", help="for speed: the loop by hand")
    options = cli.parse_args()
    if options.what == "speed" and not options.script:
        cli.error("speed compares with a loop by hand: name it by --script FILE")
    with tempfile.TemporaryDirectory(prefix="ftrun-levers-", ignore_cleanup_errors=True) as name:
        (speed if options.what == "speed" else f1)(Console(), Path(name), options)


if __name__ == "__main__":
    main()
