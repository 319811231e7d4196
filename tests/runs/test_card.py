"""A model card, from the record of a run."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from ftrun.runs.card import model_card
from ftrun.runs.folder import RunFolder
from ftrun.runs.journal import Journal
from ftrun.runs.records import DatasetRecord, EndRecord, RunRecord

SECRET = "hf_" + "aB3" * 12


def recorded(tmp_path: Path, source: str, data: str, architecture: str | None = None) -> RunFolder:
    folder = RunFolder(tmp_path / "mine-20260102T030405Z-abcdef")
    folder.model.mkdir(parents=True)
    folder.experiment.write_text(
        f'name = "mine"\nseed = 42\n[dataset]\nuse = "files"\ntrain = "{Path.home()}/secret plan/train.csv"\n'
        f'[model]\nuse = "m"\nnote = "{SECRET}"\n[tracking]\nuri = "http://mlflow.example"\n[push]\nrepo = "me/mine"\n'
    )
    if architecture:
        (folder.model / "config.json").write_text(json.dumps({"architectures": [architecture]}))
    tags = {"ftrun.backend": "loop", "ftrun.model.source": source, "ftrun.version.torch": "2.13.0"}
    journal = Journal(folder.journal)
    journal.append(RunRecord("mine", {}, {**tags, "ftrun.version.ftrun": "0.1.0", "mlflow.user": "root-of-all"}))
    for split, context in (("train", "training"), ("validation", "evaluation")):
        journal.append(DatasetRecord(f"rows/{split}", data, "0123456789abcdef", split, 3668, ["text"], context))
    journal.metrics(7, {"eval/validation/loss": 0.5, "eval/validation/f1": 0.8125, "eval/validation/accuracy": 0.75})
    journal.append(EndRecord("FINISHED"))
    journal.close()
    return folder


def metadata(card: str) -> dict[str, object]:
    import yaml

    found: dict[str, object] = yaml.safe_load(card.split("---\n")[1])
    return found


def test_what_the_hub_reads_of_it(tmp_path: Path) -> None:
    base = "https://huggingface.co/google-bert/bert-base-uncased@0123456789"
    data = "https://huggingface.co/datasets/nyu-mll/glue"
    assert metadata(model_card(recorded(tmp_path, base, data, "BertForSequenceClassification"))) == {
        "base_model": "google-bert/bert-base-uncased",
        "datasets": ["nyu-mll/glue"],
        "metrics": ["f1", "accuracy"],
        "pipeline_tag": "text-classification",
        "library_name": "transformers",
        "tags": ["ftrun"],
    }


def test_what_is_not_known_is_left_out(tmp_path: Path) -> None:
    card = model_card(recorded(tmp_path, "package:somewhere/model", "/data/train.csv"))
    assert metadata(card) == {"metrics": ["f1", "accuracy"], "tags": ["ftrun"]}


def test_what_a_person_reads(tmp_path: Path) -> None:
    folder = recorded(tmp_path, "package:somewhere/model", "/data/train.csv")
    card = model_card(folder)
    for line in (
        "# mine",
        "| train | training | 3,668 | rows | 0123456789ab |",
        "| eval/validation/f1 | 0.8125 |",
        "seed = 42",
        "| torch | 2.13.0 |",
        "    ftrun experiment.toml",
        "With ftrun 0.1.0.",
    ):
        assert line in card.splitlines(), card
    assert card == model_card(folder)


@pytest.mark.parametrize("private", [SECRET, str(Path.home()), "mlflow.example", "root-of-all", "me/mine"])
def test_what_is_nobodys_business_is_not_in_it(tmp_path: Path, private: str) -> None:
    assert private not in model_card(recorded(tmp_path, "package:somewhere/model", "/data/train.csv"))
