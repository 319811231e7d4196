"""GLUE's files: their names, their header, ids or names as each task wants them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import pytest
from ftrun.contracts import Splits, Task
from ftrun.errors import ExperimentError
from ftrun.execution.glue_submission import FILES, check_submission, write_submission
from ftrun.execution.prediction import Predictor, predicting
from ftrun.execution.row_tables import RowTable
from ftrun.execution.trained import find_trained
from ftrun.execution.watcher import Watcher
from ftrun.planning.catalogue import load_catalogue
from ftrun_plugins.datasets.glue_tasks import GLUE_TASKS
from helpers import rows_of, run


def test_every_task_of_glue_has_a_file_for_each_test_split() -> None:
    assert {name: tuple(files) for name, files in FILES.items()} == {
        name: facts.test for name, facts in GLUE_TASKS.items()
    }


@dataclass
class Told:
    """A predictor that says what it is told to."""

    task: Task
    says: Sequence[Any]

    @property
    def splits(self) -> Splits:
        rows: Any = rows_of(text=["a"] * len(self.says), label=[-1] * len(self.says))
        test = dict.fromkeys(FILES[(self.task.benchmark or "").removeprefix("glue/")], rows)
        return Splits(self.task, rows, {}, "glue", "here", "1" * 40, test)

    def predict(self, table: RowTable) -> dict[str, Sequence[Any]]:
        return {"prediction": self.says}


@pytest.mark.parametrize(
    ("name", "says", "files", "lines"),
    [
        ("mrpc", ["equivalent", "not_equivalent"], ["MRPC.tsv"], ["0\t1", "1\t0"]),
        ("sst2", ["positive", "negative"], ["SST-2.tsv"], ["0\t1", "1\t0"]),
        ("rte", ["not_entailment", "entailment"], ["RTE.tsv"], ["0\tnot_entailment", "1\tentailment"]),
        ("mnli", ["neutral", "entailment"], ["MNLI-m.tsv", "MNLI-mm.tsv"], ["0\tneutral", "1\tentailment"]),
        ("stsb", [-0.25, 5.5, 2.71828], ["STS-B.tsv"], ["0\t0.000", "1\t5.000", "2\t2.718"]),
    ],
)
def test_predictions_are_written_as_the_task_wants_them(
    workdir: Path, name: str, says: Sequence[Any], files: Sequence[str], lines: Sequence[str]
) -> None:
    predictor = cast(Predictor, Told(GLUE_TASKS[name].task(name), says))
    paths = write_submission(predictor, workdir / "to" / "glue")
    assert [path.name for path in paths] == list(files)
    for path in paths:
        assert path.read_text().splitlines() == ["index\tprediction", *lines]


def test_the_hidden_split_of_a_run_is_predicted(tiny: Path, repositories: Path) -> None:
    data = {"use": "glue", "task": "mrpc", "path": str(repositories / "glue"), "max_train_samples": 8}
    folder = run(tiny, {"dataset": data, "training.max_steps": 1}).run_folder
    with predicting(find_trained(str(folder), load_catalogue(), "cpu"), Watcher()) as predictor:
        (path,) = write_submission(predictor, Path("submission"))
    header, *rows = path.read_text().splitlines()
    assert header == "index\tprediction" and len(rows) == 146
    assert [row.split("\t")[0] for row in rows] == [str(index) for index in range(146)]
    assert {row.split("\t")[1] for row in rows} <= {"0", "1"}


def test_a_model_of_no_task_of_glue_is_refused() -> None:
    with pytest.raises(ExperimentError, match="trained on no task of GLUE"):
        check_submission(Task("classification", ("text",), class_names=("a", "b")))
    check_submission(None)
