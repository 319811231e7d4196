"""LoRA: one curve on all backends; checkpoints are peft's adapters and gone on with to the bit; the run's model is whole."""

from __future__ import annotations

import importlib.util
import json
import warnings
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import ftrun
import pytest
import torch
from ftrun.contracts import Model, OwnCheckpoints
from ftrun.errors import ExperimentError
from ftrun.execution.model_facts import model_facts
from ftrun.planning.catalogue import load_catalogue
from ftrun.runs.records import ModelRecord
from ftrun_plugins.models import CheckpointSettings
from ftrun_plugins.models.sequence_classification import from_adapter, from_checkpoint
from helpers import (
    BACKENDS,
    TRACKED,
    died_after,
    mlflow_client,
    plan_of,
    points_of,
    rows_of,
    run,
    slow,
    splits_of,
    weights_of,
)
from makers import NARROW, make_checkpoint
from safetensors.torch import load_file

LORA = {"r": 4, "lora_dropout": 0.1}
TASK = splits_of(rows_of(text=["a"], label=[0])).task


def settings(**lora: Any) -> CheckpointSettings:
    return CheckpointSettings(checkpoint="base", lora={**LORA, **lora})  # type: ignore[arg-type]


def trained(tiny: Path, backend: str = "loop", **changed: Any) -> ftrun.RunResult:
    if not Path("base").exists():
        torch.manual_seed(0)
        make_checkpoint(Path("base"))
    model = {"use": "sequence-classification", "checkpoint": "./base", "lora": LORA}
    saving = {"training.save_strategy": "steps", "training.save_steps": 3, "training.learning_rate": 0.05}
    return run(tiny, {"model": model, "backend.use": backend, **saving, **changed})


def logits_of(model: Any, rows: int = 3) -> Any:
    with torch.no_grad():
        return model.eval()(input_ids=torch.tensor([[3, 4, 5, 2]] * rows)).logits


def test_its_operations_are_those_that_trainer_counts(workdir: Path) -> None:
    from ftrun.contracts import StepReport
    from ftrun.execution.totals import Totals
    from transformers import Trainer

    make_checkpoint(Path("base"))
    model: Any = from_checkpoint(settings(), TASK).model
    told = Totals()
    report = StepReport(1, 1.0, 0.5, 0.1, 1.0, 3, 100, 120)
    told.took(report, 0.5)
    told.read(report)
    wrapped: Any = SimpleNamespace(model=model.peft)
    theirs = Trainer.floating_point_ops(wrapped, {"input_ids": torch.zeros(3, 40)})
    assert told.metrics(model, 1)["total_flos"] == theirs > 0


def files_of(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


@pytest.mark.slow
def test_a_checkpoint_is_an_adapter_and_the_model_is_whole(tiny: Path) -> None:
    from peft import PeftModel
    from transformers import AutoModelForSequenceClassification

    result = trained(tiny)
    last = result.run_folder / "checkpoints" / "checkpoint-12"
    assert {"adapter_config.json", "adapter_model.safetensors", "tokenizer.json"} <= files_of(last)
    assert not {"config.json", "model.safetensors", "state_dict.pt"} & files_of(last)
    base = AutoModelForSequenceClassification.from_pretrained("base")
    with warnings.catch_warnings(action="ignore"):
        opened = logits_of(PeftModel.from_pretrained(base, last))
    whole = AutoModelForSequenceClassification.from_pretrained(result.run_folder / "model")
    assert torch.allclose(logits_of(whole), opened, atol=1e-6)
    assert not torch.equal(logits_of(AutoModelForSequenceClassification.from_pretrained("base")), opened)
    recorded = json.loads((result.run_folder / "predictions" / "validation.json").read_text())
    for target in (result.run_folder, last):
        told = ftrun.predict(target, "validation", device="cpu", progress=False)
        shares = [max(row.values()) for row in told.probabilities or ()]
        assert shares == pytest.approx([row[-1] for row in recorded["data"]], abs=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("precise", [{}, {"training.bf16": True, "training.gradient_accumulation_steps": 2}])
def test_all_backends_give_one_curve_and_the_same_weights(tiny: Path, precise: dict[str, Any]) -> None:
    first, *others = [trained(tiny, backend, **precise) for backend in BACKENDS]
    for other in others:
        assert points_of(other.run_folder) == points_of(first.run_folder)
        assert weights_of(other.run_folder) == weights_of(first.run_folder)


@pytest.mark.parametrize(
    ("first", "second"), [slow(("loop", "loop")), slow(("trainer", "accelerate")), slow(("accelerate", "trainer"))]
)
def test_a_run_goes_on_to_the_bit_and_across_backends(tiny: Path, first: str, second: str) -> None:
    whole = trained(tiny, first)
    died = died_after(whole.run_folder, 6, "tiny-died")
    result = ftrun.resume(died, overrides={"backend.use": second}, progress=False)
    assert result.status == "FINISHED", result.error
    assert weights_of(died) == weights_of(whole.run_folder)
    assert points_of(died) == points_of(whole.run_folder)
    last = "checkpoints/checkpoint-12/adapter_model.safetensors"
    assert (died / last).read_bytes() == (whole.run_folder / last).read_bytes()


@pytest.mark.slow
def test_the_best_model_is_the_best_checkpoints_and_whole(tiny: Path) -> None:
    best = {"load_best_model_at_end": True, "metric_for_best_model": "loss", "eval_strategy": "steps", "eval_steps": 3}
    result = trained(tiny, **{f"training.{key}": value for key, value in best.items()})
    points = points_of(result.run_folder)
    losses = {step: value for (key, step), value in points.items() if key == "eval/loss"}
    assert result.metrics["eval/loss"] == min(losses.values())
    step = min(losses, key=lambda step: losses[step])
    head = load_file(result.run_folder / "model" / "model.safetensors")["classifier.weight"]
    kept = load_file(result.run_folder / "checkpoints" / f"checkpoint-{step}" / "adapter_model.safetensors")
    assert torch.equal(head, kept["base_model.model.classifier.weight"])


def test_head_and_whatever_is_freshly_drawn_are_trained_and_nothing_else(workdir: Path) -> None:
    make_checkpoint(Path("base"))
    stored = load_file("base/model.safetensors")
    from safetensors.torch import save_file

    save_file(
        {name: part for name, part in stored.items() if "pooler" not in name},
        "base/model.safetensors",
        {"format": "pt"},
    )
    built = from_checkpoint(settings(), TASK)
    assert isinstance(built.model, OwnCheckpoints) and built.saves_plainly
    trained = {name for name, part in built.model.named_parameters() if part.requires_grad}
    whole = {
        name.rpartition("modules_to_save.")[0].rpartition("model.")[2] for name in trained if "modules_to_save" in name
    }
    assert whole == {"classifier.", "bert.pooler.dense."}
    assert all("lora_" in name or "modules_to_save" in name for name in trained)
    assert any("LoRA trains" in notice for notice in built.notices)


def test_mlflow_can_serve_what_is_saved_at_the_end(workdir: Path) -> None:
    make_checkpoint(Path("base"))
    built = from_checkpoint(settings(), TASK)
    built.model.save_pretrained("model") if Path("model").mkdir() is None else None
    assert built.tokenizer is not None
    built.tokenizer.save_pretrained("model")
    splits = splits_of(rows_of(text=["a"], label=[0]))
    assert isinstance(model_facts("model", 3, built, splits, Path("model")), ModelRecord)


@pytest.mark.slow
@pytest.mark.usefixtures("store")
def test_mlflow_ranks_checkpoints_and_keeps_what_peft_opens(tiny: Path) -> None:
    import mlflow
    from peft import PeftModel
    from transformers import AutoModelForSequenceClassification

    result = trained(tiny, **TRACKED, **{"tracking.checkpoints": "all", "training.eval_steps": 3})
    client = mlflow_client(result)
    experiment = client.get_run(result.run_id).info.experiment_id
    order = [{"field_name": "metrics.eval/loss", "ascending": True}]
    ranked = client.search_logged_models([experiment], order_by=order)
    names = {model.name: model for model in ranked}
    assert set(names) == {"checkpoint-3", "checkpoint-6", "checkpoint-9", "model"}
    by_step = {step: value for (key, step), value in points_of(result.run_folder).items() if key == "eval/loss"}
    steps = [int(model.tags["ftrun.step"]) for model in ranked if int(model.tags["ftrun.step"]) in by_step]
    assert steps == sorted(steps, key=lambda step: by_step[step])
    model = names["checkpoint-6"]
    assert str(model.status) == "READY" and model.tags["ftrun.adapter_of"] == str(Path("base").absolute())
    assert "ftrun.adapter_of" not in names["model"].tags
    there = Path(mlflow.artifacts.download_artifacts(f"models:/{model.model_id}"))
    assert {"MLmodel", "adapter_config.json", "adapter_model.safetensors", "tokenizer.json"} <= files_of(there)
    kept = result.run_folder / "checkpoints" / "checkpoint-6"
    assert (there / "adapter_model.safetensors").read_bytes() == (kept / "adapter_model.safetensors").read_bytes()
    with warnings.catch_warnings(action="ignore"):
        PeftModel.from_pretrained(AutoModelForSequenceClassification.from_pretrained("base"), there)
    info = mlflow.models.get_model_info(f"models:/{model.model_id}")
    assert not info.flavors and info.metadata["adapter_of"] == model.tags["ftrun.adapter_of"]
    registered = mlflow.register_model(f"models:/{model.model_id}", "adapter")
    assert registered.status == "READY"


def test_an_adapter_is_a_model_that_mlflow_ranks_alone(workdir: Path) -> None:
    make_checkpoint(Path("base"))
    built = from_checkpoint(settings(), TASK)
    model: Any = built.model
    Path("adapter").mkdir()
    model.save_checkpoint("adapter")
    splits = splits_of(rows_of(text=["a"], label=[0]))
    assert built.tokenizer is not None
    built.tokenizer.save_pretrained("adapter")
    told = model_facts("adapter", 3, built, splits, Path("adapter"))
    assert isinstance(told, ModelRecord)
    assert (told.adapter_of, told.architecture) == (str(Path("base").absolute()), "")


def test_saving_the_whole_model_leaves_the_one_in_training_as_it_is(workdir: Path) -> None:
    make_checkpoint(Path("base"))
    model: Any = from_checkpoint(settings(), TASK).model
    with torch.no_grad():
        for part in model.parameters():
            if part.requires_grad:
                part.add_(0.1)
    before = {name: part.clone() for name, part in model.state_dict().items()}
    Path("model").mkdir()
    model.save_pretrained("model")
    after = model.state_dict()
    assert list(after) == list(before) and all(torch.equal(after[name], before[name]) for name in before)


def test_an_adapter_of_other_settings_is_refused(workdir: Path) -> None:
    make_checkpoint(Path("base"))
    Path("adapter").mkdir()
    model: Any = from_checkpoint(settings(), TASK).model
    model.save_checkpoint("adapter")
    assert from_adapter(settings(), Path("adapter"), TASK).notices == ()
    with pytest.raises(ExperimentError, match=r"model.lora: the adapter in adapter is of other settings"):
        from_adapter(settings(r=2), Path("adapter"), TASK)


@pytest.mark.parametrize(
    ("kind", "lora", "words"),
    [
        (
            "bert",
            {"target_modules": ["qurey"]},
            r'target_modules: the model has no module "qurey"[\s\S]*"query"[\s\S]*value',
        ),
        ("bert", {"target_modules": ["classifier"]}, 'has no module "classifier"'),
        ("bert", {"modules_to_save": ["poler"]}, r'modules_to_save: the model has no module "poler"[\s\S]*"pooler"'),
        ("distilbert", {}, r'peft knows no modules to take of "distilbert"[\s\S]*q_lin'),
    ],
)
def test_modules_that_are_not_there_are_told_with_those_that_are(
    workdir: Path, kind: str, lora: Any, words: str
) -> None:
    narrow = NARROW if kind == "bert" else {"dim": 16, "n_layers": 1, "n_heads": 2, "hidden_dim": 32}
    make_checkpoint(Path("base"), kind, **narrow)
    with pytest.raises(ExperimentError, match=words):
        from_checkpoint(settings(**lora), TASK)


@pytest.mark.parametrize(
    "lora", [{"target_modules": "all-linear"}, {"use_dora": True}, {"use_rslora": True, "bias": "all"}]
)
def test_every_setting_gives_an_adapter_that_is_put_back_to_the_bit(workdir: Path, lora: Any) -> None:
    make_checkpoint(Path("base"))
    Path("adapter").mkdir()
    model: Any = from_checkpoint(settings(**lora), TASK).model
    with torch.no_grad():
        for part in model.parameters():
            if part.requires_grad:
                part.mul_(1.1).add_(0.01)
    model.save_checkpoint("adapter")
    again: Any = from_adapter(settings(**lora), Path("adapter"), TASK).model
    assert torch.equal(logits_of(again), logits_of(model))


def test_without_peft_it_is_said_before_any_work(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_checkpoint(Path("base"))
    found = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *rest: None if name == "peft" else found(name, *rest))
    with pytest.raises(ExperimentError, match=r"model.lora: LoRA needs the package peft[\s\S]*ftrun\[lora\]"):
        plan_of(tiny, {"model": {"use": "sequence-classification", "checkpoint": "./base", "lora": {}}})


@pytest.mark.parametrize(
    ("lora", "words"),
    [({"r": 0}, "model.lora.r"), ({"rank": 4}, "model.lora.rank"), ({"lora_dropout": 1.0}, "model.lora.lora_dropout")],
)
def test_settings_that_make_no_sense_are_told_with_their_place(tiny: Path, lora: Any, words: str) -> None:
    make_checkpoint(Path("base"))
    with pytest.raises(ExperimentError, match=words):
        plan_of(tiny, {"model": {"use": "sequence-classification", "checkpoint": "./base", "lora": lora}})


def test_a_model_of_random_weights_has_none(tiny: Path) -> None:
    component = load_catalogue().find("model", "sequence-classification-from-config", "").component
    assert isinstance(component, Model) and "lora" not in component.settings.model_fields


def test_frozen_weights_beside_lora_are_refused() -> None:
    with pytest.raises(ValueError, match="freeze has no effect beside lora"):
        CheckpointSettings(checkpoint="base", lora=LORA, freeze="base")  # type: ignore[arg-type]


def test_activations_that_are_computed_again_change_no_number(tiny: Path) -> None:
    plain, again = (trained(tiny, **{"training.gradient_checkpointing": on}) for on in (False, True))
    assert points_of(plain.run_folder) == points_of(again.run_folder)
    assert weights_of(plain.run_folder) == weights_of(again.run_folder)
