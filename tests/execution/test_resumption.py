"""What must be as it was for a run to go on, and what may change."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import ftrun
import pytest
from ftrun.errors import ExperimentError, RunError
from ftrun.execution.resumption import RunFinishedError, plan_resumption
from ftrun.execution.story import execute
from ftrun.execution.watcher import Watcher
from ftrun.planning.catalogue import load_catalogue
from helpers import died_after, journal_of, points_of

SAVING = {"training.save_strategy": "steps", "training.save_steps": 1}


def run(path: Path, overrides: Mapping[str, Any]) -> ftrun.RunResult:
    result = ftrun.run(path, overrides={**SAVING, **overrides}, progress=False)
    assert result.status == "FINISHED", (result.error, (result.run_folder / "log.txt").read_text())
    return result


def test_a_run_that_ends_while_it_is_waited_for_is_not_trained_again(tiny: Path) -> None:
    folder = died_after(run(tiny, {}).run_folder, 6, "meanwhile")
    catalogue = load_catalogue()
    plan, resumption = plan_resumption(folder.name, catalogue, {})
    with (folder / "journal.jsonl").open("a") as journal:
        journal.write('{"type": "end", "time": 1, "status": "FINISHED"}\n')
    with pytest.raises(RunFinishedError, match="there is nothing to resume"):
        execute(plan, catalogue, Watcher(), resumption)


def test_a_run_that_went_on_meanwhile_is_not_gone_on_with_as_it_was(tiny: Path) -> None:
    folder = died_after(run(tiny, {}).run_folder, 6, "meanwhile")
    catalogue = load_catalogue()
    plan, resumption = plan_resumption(folder.name, catalogue, {})
    changed = {"training.learning_rate": 5e-4, "training.max_steps": 7}
    ftrun.resume(folder, overrides=changed, allow_changes=True, progress=False)
    journal = folder / "journal.jsonl"
    journal.write_text("".join(journal.read_text().splitlines(keepends=True)[:-1]))  # killed at the last moment
    with pytest.raises(RunError, match="was resumed by another process meanwhile"):
        execute(plan, catalogue, Watcher(), resumption)


def test_changed_settings_are_refused_by_name_unless_they_are_allowed(tiny: Path) -> None:
    undisturbed = run(tiny, {})
    folder = died_after(undisturbed.run_folder, 6, "changed")
    changed = {"training.learning_rate": 5e-4, "training.save_total_limit": 2}
    with pytest.raises(ExperimentError, match=r"training\.learning_rate: the run was begun with 0\.001, and now it is"):
        ftrun.resume(folder, overrides=changed, progress=False)
    assert journal_of(folder)[-1]["status"] == "KILLED"
    result = ftrun.resume(folder, overrides=changed, allow_changes=True, progress=False)
    assert result.status == "FINISHED"
    rates = {step: value for (key, step), value in points_of(folder).items() if key == "train/learning_rate"}
    assert rates[6] == pytest.approx(1e-3 * 7 / 12) and rates[9] == pytest.approx(5e-4 * 4 / 12)
    (resumed,) = [record for record in journal_of(folder) if record["type"] == "resumed"]
    assert "training.learning_rate" in resumed["tags"]["ftrun.changed.1"]
    assert "learning_rate = 0.0005" in (folder / resumed["experiment"]).read_text()
    assert "learning_rate = 0.001" in (folder / "experiment.toml").read_text()
    assert len(list((folder / "checkpoints").iterdir())) == 2


@pytest.mark.parametrize(
    ("tag", "value", "told"),
    [
        ("ftrun.version.torch", "1.0", "torch: the run was begun with 1.0"),
        ("ftrun.threads", "96", "threads: the run was begun with 96"),
        ("ftrun.processor", "Abacus", "processor: the run was begun with Abacus"),
    ],
)
def test_other_packages_threads_and_processors_are_refused(tiny: Path, tag: str, value: str, told: str) -> None:
    folder = died_after(run(tiny, {}).run_folder, 6, "other")
    journal = folder / "journal.jsonl"
    first, *rest = journal.read_text().splitlines(keepends=True)
    record = json.loads(first)
    record["tags"][tag] = value
    journal.write_text(json.dumps(record) + "\n" + "".join(rest))
    result = ftrun.resume(folder, progress=False)
    assert result.status == "FAILED" and result.error and told in result.error and "--allow-changes" in result.error
    assert journal_of(folder)[-1]["status"] == "KILLED"
    assert ftrun.resume(folder, allow_changes=True, progress=False).status == "FINISHED"


def test_other_data_are_refused(tiny: Path) -> None:
    rows = [{"text": "word " * (1 + i % 5), "label": i % 2} for i in range(30)]
    data = Path("rows.json")
    data.write_text("\n".join(map(json.dumps, rows)))
    files = {"dataset": {"use": "files", "train": "rows.json", "validation": "rows.json", "text_columns": ["text"]}}
    undisturbed = run(tiny, {**files, "metrics": []})
    folder = died_after(undisturbed.run_folder, 3, "data")
    data.write_text("\n".join(map(json.dumps, rows[:-1])))
    result = ftrun.resume(folder, progress=False)
    assert result.status == "FAILED" and result.error
    assert "the data's split train for training: the run was begun with" in result.error
    assert ftrun.resume(folder, allow_changes=True, progress=False).status == "FINISHED"
    records = [record for record in journal_of(folder) if record["type"] == "dataset"]
    assert [record["rows"] for record in records] == [30, 30, 29, 29]
