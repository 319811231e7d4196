"""What a person sees of a run in a notebook."""

from __future__ import annotations

import json
import sys
import types
from pathlib import Path
from typing import Any

import pytest
from ftrun.screen.notebook import NotebookProgress
from ftrun.screen.watchers import LiveWatcher, make_watcher
from helpers import TINY
from rich.console import Console


class Place:
    """Stands for the output of a cell that IPython writes anew."""

    def __init__(self) -> None:
        self.shown: list[dict[str, str]] = []

    def display(self, bundle: dict[str, str], raw: bool, display_id: bool) -> Place:
        assert raw and display_id
        self.shown.append(bundle)
        return self

    def update(self, bundle: dict[str, str], raw: bool) -> None:
        self.shown.append(bundle)


@pytest.fixture
def place(monkeypatch: pytest.MonkeyPatch) -> Place:
    place = Place()
    module: Any = types.ModuleType("IPython.display")
    module.display = place.display
    monkeypatch.setitem(sys.modules, "IPython", types.ModuleType("IPython"))
    monkeypatch.setitem(sys.modules, "IPython.display", module)
    return place


def test_bars_are_shown_as_they_move_and_are_gone_at_the_end(place: Place) -> None:
    watcher = make_watcher(Console(force_jupyter=True, color_system=None))
    assert isinstance(watcher, LiveWatcher)
    with watcher:
        watcher.working("opening <the data>")
        watcher.training_started(4, 1)
        for step in range(1, 5):
            watcher.stepped(step, step / 4, 0.5)
    texts = [bundle["text/plain"] for bundle in place.shown]
    assert any("opening <the data>" in text for text in texts) and any("training" in text for text in texts)
    assert any("&lt;the data&gt;" in bundle["text/html"] for bundle in place.shown)
    assert not any("\x1b" in text for text in texts)
    assert place.shown[-1] == {"text/html": "", "text/plain": ""}


def test_thousands_of_steps_are_a_few_looks(place: Place) -> None:
    with NotebookProgress(console=Console(force_jupyter=True)) as bars:
        task = bars.add_task("training", total=20_000)
        for step in range(20_000):
            bars.update(task, completed=step)
    assert len(place.shown) < 40


@pytest.mark.slow
def test_a_dict_is_run_in_a_notebook_with_its_bars_and_no_codes_of_a_terminal(workdir: Path) -> None:
    import nbformat
    from nbclient import NotebookClient

    code = f"import ftrun, tomllib\nresult = ftrun.run(tomllib.loads({TINY!r}))\nprint(result.status)"
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(code)])
    client = NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(workdir)}})
    seen: list[str] = []
    shown = client.process_message

    def watch(message: Any, *rest: Any) -> Any:
        if message["msg_type"] == "update_display_data":
            seen.append(message["content"]["data"]["text/plain"])
        return shown(message, *rest)

    client.process_message = watch  # type: ignore[method-assign]
    client.execute()
    outputs = notebook.cells[0].outputs
    told = json.dumps(outputs)
    assert "\\u001b[" not in told and "ipywidgets" not in told
    assert any("training" in text and "loss" in text for text in seen)
    kept = "".join(output.get("text", "") or output["data"]["text/plain"] for output in outputs)
    assert "tiny on loop (a dict)" in kept and "evaluation at step" in kept and "FINISHED" in kept
    assert not [output for output in outputs if output.get("name") == "stderr"], outputs
