"""The families of transformers that people fine-tune for texts, each with a checkpoint and a tokenizer of its own kind."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import ftrun
import pytest
from families import FAMILIES, make_family, texts
from ftrun.contracts import Task
from ftrun.errors import ExperimentError
from ftrun_plugins.collators.padding import dynamic
from ftrun_plugins.models import CheckpointSettings, ConfigurationSettings
from ftrun_plugins.models.sequence_classification import from_checkpoint, from_config
from helpers import BACKENDS, TOKENIZER, died_after, points_of, run, slow, weights_of

PAIR = Task("classification", ("first", "second"), "label", ("no", "yes"))
TWO_STEPS: dict[str, Any] = {
    "dataset.max_train_samples": 12,
    "dataset.max_eval_samples": 8,
    "training.per_device_train_batch_size": 6,
    "training.num_train_epochs": 1,
    "training.save_strategy": "steps",
    "training.save_steps": 1,
}


def overrides(kind: str, folder: Path) -> dict[str, Any]:
    model = {"use": "sequence-classification", "checkpoint": str(folder), **FAMILIES[kind].settings}
    return {"model": model, **TWO_STEPS}


@pytest.mark.slow
@pytest.mark.parametrize("kind", FAMILIES)
def test_two_steps_are_one_curve_go_on_and_are_predicted_with(kind: str, tiny: Path) -> None:
    asked = overrides(kind, make_family(tiny.parent / kind, kind))
    first, *others = [run(tiny, {**asked, "backend.use": backend}) for backend in BACKENDS]
    for other in others:
        assert points_of(other.run_folder) == points_of(first.run_folder)
        assert weights_of(other.run_folder) == weights_of(first.run_folder)
    stopped = died_after(others[0].run_folder, 1, f"tiny-{kind}-died")
    resumed = ftrun.resume(stopped, backend="loop", progress=False)
    assert resumed.status == "FINISHED" and weights_of(stopped) == weights_of(first.run_folder)
    assert points_of(stopped) == points_of(first.run_folder)

    shutil.rmtree(tiny.parent / kind)
    told = ftrun.predict(first.run_folder, "validation", device="cpu", progress=False)
    recorded = json.loads((first.run_folder / "predictions" / "validation.json").read_text())
    rows = [dict(zip(recorded["columns"], row, strict=True)) for row in recorded["data"]]
    assert told.labels == [row["prediction"] for row in rows] and len(rows) == 8
    assert told.probabilities
    likeliest = [max(shares.values()) for shares in told.probabilities]
    assert likeliest == pytest.approx([row["probability"] for row in rows], rel=1e-14)


@pytest.mark.parametrize("kind", [kind if kind in ("albert", "xlnet") else slow(kind) for kind in FAMILIES])
@pytest.mark.slow
def test_a_pair_is_as_long_as_the_family_takes_and_its_texts_are_told_apart(kind: str, tmp_path: Path) -> None:
    import torch

    family = FAMILIES[kind]
    folder = make_family(tmp_path / kind, kind)
    built = from_checkpoint(CheckpointSettings(checkpoint=str(folder), **family.settings), PAIR)
    assert built.max_length == family.longest
    long = " ".join(list(texts())[:80])
    encoded = built.encode({"first": [long, "He went."], "second": [long, "She did not."], "label": [0, 1]})
    assert set(encoded) == {*family.takes, "labels"} and len(encoded["input_ids"][0]) == family.longest
    rows = [{name: column[row] for name, column in encoded.items()} for row in range(2)]
    with torch.no_grad():
        assert built.model(**dynamic(built.tokenizer, None)(rows)).logits.isfinite().all()
    if "token_type_ids" in family.takes:
        assert all({0, 1} <= set(kinds) for kinds in encoded["token_type_ids"])
    assert built.tokenizer.unk_token_id not in encoded["input_ids"][1] or kind == "gpt2"


def test_a_t5_from_a_configuration_knows_where_its_decoder_begins(tmp_path: Path) -> None:
    import torch

    folder = make_family(tmp_path / "t5", "t5")
    config = {"d_model": 16, "num_layers": 1, "num_heads": 2, "d_kv": 8, "d_ff": 32}
    built = from_config(ConfigurationSettings(model_type="t5", tokenizer=str(folder), config=config), PAIR)
    encoded = built.encode({"first": ["He went."], "second": ["She did not."]})
    with torch.no_grad():
        logits = built.model(**{name: torch.tensor(column) for name, column in encoded.items()}).logits
    assert logits.shape == (1, 2)


def test_a_family_that_reads_its_class_off_the_end_is_told_of_rows_without_one_and_with_several(tmp_path: Path) -> None:
    config = {"d_model": 16, "num_layers": 1, "num_heads": 2, "d_kv": 8, "d_ff": 32}
    with pytest.raises(ExperimentError, match=r"^model\.tokenizer: .*the token 1, and the tokenizer ends no text"):
        from_config(ConfigurationSettings(model_type="t5", tokenizer=TOKENIZER, config=config), PAIR)
    built = from_checkpoint(CheckpointSettings(checkpoint=str(make_family(tmp_path / "t5", "t5"))), PAIR)
    with pytest.raises(ExperimentError, match=r'^dataset\.text_columns: .*some texts hold "</s>"'):
        built.encode({"first": ["a </s> b"], "second": ["c"], "label": [0]})
