"""The embedded sample: sentence pairs of ftrun's own writing, in MRPC's schema."""

from __future__ import annotations

import json
from dataclasses import replace

from datasets import ClassLabel, Dataset, Features, Value
from ftrun.contracts import Splits, Task

from ftrun_plugins.datasets import SampleSettings, sample_folder
from ftrun_plugins.datasets.labels import Labelled
from ftrun_plugins.datasets.repositories import checksum
from ftrun_plugins.datasets.selection import selected


def build(settings: SampleSettings, task: Task) -> Splits:
    """Read the three splits; nothing is downloaded or cached."""
    assert task.class_names
    text = {column: Value("string") for column in task.text_columns}
    features = Features({**text, "label": ClassLabel(names=list(task.class_names)), "idx": Value("int32")})
    files = {split: sample_folder() / f"{split}.jsonl" for split in ("train", "validation", "test")}
    rows = {
        split: Dataset.from_list([json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()], features)
        for split, file in files.items()
    }
    everything = Labelled(task, rows["train"], {"validation": rows["validation"]}, test={"test": rows["test"]})
    used, notices = selected(everything if settings.test else replace(everything, test={}), settings, "train")
    return Splits(
        task=task,
        train=used.train,
        evaluation=used.evaluation,
        test=everything.test,
        test_at_end=list(used.test),
        name="ftrun-sample",
        source="package:ftrun_plugins/datasets/sample_data",
        digest=checksum(files.values()),
        notices=notices,
    )
