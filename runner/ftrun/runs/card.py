"""A model card of a run: what the Hub reads of a model, and what a person wants to know of it, all from the record.

The same run gives the same card, whenever and wherever it is made.
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import tomlkit

from ftrun.redaction import redacted
from ftrun.runs.folder import RunFolder
from ftrun.runs.glance import glance_at
from ftrun.runs.history import History, read_history

SOURCE_TAG = "ftrun.model.source"
_VERSION = "ftrun.version."
_ON_HUB = re.compile(r"https://huggingface\.co/(?:datasets/)?(?P<id>[\w.-]+(?:/[\w.-]+)?)(?:@.*)?")
_PIPELINES = {"ForSequenceClassification": "text-classification", "ForTokenClassification": "token-classification"}
_NOT_THE_MODELS = ("tracking", "push", "format")


def model_card(folder: RunFolder) -> str:
    """The card of a finished run, without secrets and without the paths of a home.

    Raises:
        RunError: If its journal cannot be read.
    """
    history, glance = read_history(folder), glance_at(folder)
    tables = tomllib.loads((folder.path / history.experiment).read_text(encoding="utf-8"))
    settings = {key: value for key, value in tables.items() if key not in _NOT_THE_MODELS}
    metrics = {**glance.metrics, **glance.test}
    sections = [
        f"---\n{_metadata(folder, history, metrics)}---",
        f"# {tables['name']}",
        _introduction(history, folder.name),
        _table("Data", ("split", "for", "rows", "data set", "revision"), _data(history)),
        _table("Metrics", ("metric", "value"), [(key, f"{value:.6g}") for key, value in metrics.items()]),
        f"## Settings\n\n```toml\n{tomlkit.dumps(settings).strip()}\n```",
        _table("Versions", ("package", "version"), _versions(history)),
        _to_repeat(history),
    ]
    return _public("\n\n".join(filter(None, sections)) + "\n")


def _public(text: str) -> str:
    home = str(Path.home())
    return redacted(text.replace(home, "~") if len(home) > 1 else text)


def _metadata(folder: RunFolder, history: History, metrics: Mapping[str, float]) -> str:
    """What the Hub reads; what is not known is left out, such as the license."""
    from huggingface_hub import ModelCardData

    architecture = _architecture(folder)
    pipelines = [task for ending, task in _PIPELINES.items() if architecture.endswith(ending)]
    names = dict.fromkeys(key.rpartition("/")[2] for key in metrics)
    datasets = dict.fromkeys(filter(None, (_hub_id(record.source) for record in history.datasets)))
    data = ModelCardData(
        base_model=_hub_id(history.tags.get(SOURCE_TAG, "")),
        datasets=list(datasets) or None,
        metrics=[name for name in names if name != "loss"] or None,
        pipeline_tag=next(iter(pipelines), None),
        library_name="transformers" if architecture else None,
        tags=["ftrun"],
    )
    return f"{data.to_yaml()}\n"


def _architecture(folder: RunFolder) -> str:
    """The class of a model of transformers; "" of another."""
    try:
        found: Any = json.loads((folder.model / "config.json").read_text(encoding="utf-8"))
        return str(found["architectures"][0])
    except (OSError, ValueError, LookupError, TypeError):
        return ""


def _hub_id(source: str) -> str | None:
    found = _ON_HUB.fullmatch(source)
    return found["id"] if found else None


def _introduction(history: History, run: str) -> str:
    base, backend = history.tags.get(SOURCE_TAG), history.tags.get("ftrun.backend", "unknown")
    begun = f", begun from {base}" if base else ""
    return f"Fine-tuned with ftrun on the backend {backend}{begun}. The run: {run}."


def _data(history: History) -> Iterator[tuple[str, ...]]:
    for record in history.datasets:
        yield record.split, record.context, f"{record.rows:,}", record.name.rpartition("/")[0], record.digest[:12]


def _versions(history: History) -> list[tuple[str, str]]:
    tags = history.tags.items()
    return [(key.removeprefix(_VERSION), value) for key, value in sorted(tags) if key.startswith(_VERSION)]


def _table(title: str, headers: Sequence[str], rows: Iterator[tuple[str, ...]] | Sequence[tuple[str, ...]]) -> str:
    """A section with a table; "" where there is no row."""
    lines = [_line(cells) for cells in rows]
    rule = _line(["---"] * len(headers))
    return "\n".join([f"## {title}\n", _line(headers), rule, *lines]) if lines else ""


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


def _to_repeat(history: History) -> str:
    version = history.tags.get(f"{_VERSION}ftrun")
    commit = history.tags.get("ftrun.git.commit")
    lines = [
        "## To repeat it\n",
        "Save the settings above as `experiment.toml`, install the versions above, and:\n",
        "    ftrun experiment.toml\n",
        f"With ftrun {version or 'as it was then'}{f', from a folder at commit {commit}' if commit else ''}.",
    ]
    return "\n".join(lines)
