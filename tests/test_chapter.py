"""Chapter 3 of the course: every step of it has a setting or a command, and a notebook does it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import click
import ftrun
import nbformat
import pytest
from ftrun.cli import COMMANDS, group
from ftrun.contracts import KINDS
from ftrun.planning.catalogue import load_catalogue
from ftrun.planning.experiment import PushSettings
from ftrun.settings import TrainingSettings
from helpers import PROJECT

TABLE = re.search(r"^\| the chapter \| here \|\n.*?\n\n", (PROJECT / "README.md").read_text(), re.MULTILINE | re.DOTALL)
NOTEBOOK = PROJECT / "examples" / "chapter3.ipynb"
STEPS = (
    *("the Hub", "one batch", "pairs", "`map`", "padding", "TPU", "`TrainingArguments`", "`Trainer`", "`predict`"),
    *("`compute_metrics`", "every epoch", "loop", "schedule", "device", "Accelerate", "`accelerate config`"),
    *("`accelerate launch`", "notebook", "`push_to_hub`"),
)
"""What the chapter does, in the words of its rows."""


def rows() -> Iterator[tuple[str, str]]:
    assert TABLE, "the README has no table of the chapter"
    for line in TABLE[0].splitlines()[2:]:
        if line:
            step, here = (cell.strip() for cell in line.strip("|").split(" | "))
            yield step, here


def test_every_step_has_its_row() -> None:
    said = " ".join(step for step, _ in rows())
    assert [step for step in STEPS if step not in said] == []


@pytest.mark.parametrize(("step", "here"), list(rows()))
def test_what_a_row_names_is_there(step: str, here: str) -> None:
    named = re.findall(r"`([^`]+)`", here)
    assert named or "to come" in here
    for name in named:
        assert is_command(name) or is_setting(name) or hasattr(ftrun, name.removeprefix("ftrun.")), name


def is_command(name: str) -> bool:
    words = name.split()
    if words[0] != "ftrun":
        return False
    command = group.get_command(click.Context(group), words[1] if words[1] in COMMANDS else "run")
    assert command
    options = {
        option for parameter in command.params if isinstance(parameter, click.Option) for option in parameter.opts
    }
    return {word for word in words if word.startswith("--")} <= options


def is_setting(name: str) -> bool:
    found = re.fullmatch(r"(\w+)\.(\w+)(?: = \"?([\w-]+)\"?)?", name)
    if not found:
        return False
    table, key, value = found.groups()
    kind = table.removesuffix("s")
    if kind in KINDS:
        offers = load_catalogue().offers(kind)
        keys = {key for named in offers.values() for offer in named for key in offer.component.settings.model_fields}
        return value in offers if key == "use" else key in keys
    settings = {"training": TrainingSettings, "push": PushSettings}
    return table in settings and key in settings[table].model_fields


def test_the_notebook_is_kept_without_what_it_printed() -> None:
    cells = nbformat.read(NOTEBOOK, as_version=4).cells
    assert len(cells) > 10
    assert not any(cell.get("outputs") or cell.get("execution_count") for cell in cells)


@pytest.mark.slow
def test_the_notebook_does_the_chapter_without_a_network(workdir: Path) -> None:
    from nbclient import NotebookClient

    notebook = nbformat.read(NOTEBOOK, as_version=4)
    NotebookClient(notebook, timeout=500, resources={"metadata": {"path": str(workdir)}}).execute()
    shown = ["".join(_texts(cell)) for cell in notebook.cells]
    assert "nothing wrong" in next(text for text in shown if "parameters" in text)
    assert sum("'FINISHED'" in text for text in shown) == 2
    losses = re.findall(r"\('(\w+)', ([\d.]+)\)", next(text for text in shown if "('accelerate'" in text))
    assert [name for name, _ in losses] == ["trainer", "loop", "accelerate"] and len({loss for _, loss in losses}) == 1
    assert re.search(r"'(not_)?equivalent',\s*\{'not_equivalent': 0\.", " ".join(shown))
    assert not any("\x1b[?" in text for text in shown)
    assert not any("Traceback" in text for text in shown)


def _texts(cell: nbformat.NotebookNode) -> Iterator[str]:
    for output in cell.get("outputs", ()):
        yield output.get("text", "") or output.get("data", {}).get("text/plain", "")
