"""What MLflow needs to know of a trained model so that it can load and serve it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ftrun.contracts import BuiltModel, Splits
from ftrun.execution.provenance import versions
from ftrun.runs.records import ModelRecord

HEAD = "ForSequenceClassification"
"""How transformers' classes end that its pipeline for whole texts takes."""
ADAPTER = "adapter_config.json"
"""What peft has beside the weights of an adapter."""
NEEDED = ("python", "mlflow", "torch", "transformers", "tokenizers", "accelerate", "numpy")
"""What it takes to load and serve one, as `provenance.versions` names it."""
LONGEST_EXAMPLE = 500
"""Characters of a text that are shown as an example."""
FILES_ALONE = "MLflow has the model's files alone, and cannot serve them: {}"


def model_facts(path: str, step: int | None, built: BuiltModel, splits: Splits, folder: Path) -> ModelRecord | str:
    """The record of a model, or a sentence that says why MLflow can have no more than its files.

    Args:
        path: Its folder in the run folder, with slashes; folder: the same, to be read.
        step: The optimizer steps that it has learnt for.
        built: The model before it was trained, and its tokenizer.
        splits: What it has learnt from.
    """
    config, tokenizer = _read(folder / "config.json"), _read(folder / "tokenizer_config.json")
    architecture = str((config.get("architectures") or [""])[0])
    texts = splits.task.text_columns
    adapter = _read(folder / ADAPTER)
    is_plain = _is_of_transformers(built.model) if built.saves_plainly is None else built.saves_plainly
    if is_plain and architecture and not (adapter or architecture.endswith(HEAD)):
        return FILES_ALONE.format(f"{architecture} is none of transformers' models that give a text one answer")
    if not (is_plain and (adapter or architecture)):
        return FILES_ALONE.format("it is none of transformers' models that take a whole text")
    if not (_is_of_transformers(built.tokenizer) and tokenizer):
        return FILES_ALONE.format("it has no tokenizer of transformers beside it")
    if len(texts) not in (1, 2):
        return FILES_ALONE.format(f"a row has {len(texts)} texts, and a pipeline of transformers takes one or two")
    found = versions()
    return ModelRecord(
        path=path,
        step=step,
        task=splits.task.kind,
        texts=list(texts),
        max_length=built.max_length,
        architecture=architecture,
        tokenizer=str(tokenizer.get("tokenizer_class") or "AutoTokenizer"),
        versions={name: found[name] for name in NEEDED if name in found},
        example=_example(splits),
        adapter_of=str(adapter.get("base_model_name_or_path")) if adapter else None,
    )


def _is_of_transformers(made: object) -> bool:
    """Whether an object is of a class that everybody has who has transformers."""
    return type(made).__module__.partition(".")[0] == "transformers"


def _example(splits: Splits) -> list[str]:
    """The texts of the first row to evaluate on, or else to train on."""
    rows = next(iter(splits.evaluation.values()), splits.train)
    if not len(rows) or not set(splits.task.text_columns) <= set(rows.column_names):
        return ["text"] * len(splits.task.text_columns)
    return [str(rows[name][:1][0])[:LONGEST_EXAMPLE] for name in splits.task.text_columns]


def _read(file: Path) -> Mapping[str, Any]:
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}
