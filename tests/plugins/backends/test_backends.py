"""One declaration, one curve: the three backends give the same numbers and the same weights, to the last bit."""

from __future__ import annotations

import copy
import dataclasses
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import ftrun
import pytest
from helpers import BACKENDS, TINY, journal_of, points_of, weights_of

EVERY_STEP = ("train/loss", "train/learning_rate", "train/grad_norm", "epoch")


def run(path: Path, overrides: Mapping[str, Any]) -> ftrun.RunResult:
    result = ftrun.run(path, overrides=overrides, progress=False)
    assert result.status == "FINISHED", (result.error, (result.run_folder / "log.txt").read_text())
    return result


SETTINGS: dict[str, dict[str, Any]] = {
    "as it stands": {},
    "accumulation with a short last group": {"gradient_accumulation_steps": 4, "per_device_train_batch_size": 3},
    "no clipping": {"max_grad_norm": 0.0},
    "much clipping, decay and warm-up": {"max_grad_norm": 0.1, "weight_decay": 0.1, "warmup_steps": 3},
    "a cosine, by a share of warm-up": {"lr_scheduler_type": "cosine", "warmup_steps": 0.25},
    "a constant rate, AdamW unfused": {"lr_scheduler_type": "constant", "optim": "adamw_torch"},
    "bfloat16": {"bf16": True},
    "deterministic algorithms alone": {"full_determinism": True},
    "looking every step": {"eval_strategy": "steps", "eval_steps": 1, "save_strategy": "steps", "save_steps": 3},
    "never looking": {"eval_strategy": "no"},
    "a part of an epoch": {"num_train_epochs": 1.4},
    "steps in the midst of the second epoch": {"max_steps": 8},
    "early stopping, and the best model": {
        "eval_strategy": "steps",
        "eval_steps": 2,
        "num_train_epochs": 9,
        "early_stopping_patience": 2,
        "load_best_model_at_end": True,
        "metric_for_best_model": "f1",
        "save_strategy": "best",
    },
    "a last batch left out, another order": {"dataloader_drop_last": True, "data_seed": 7},
}


@pytest.mark.parametrize("settings", SETTINGS.values(), ids=SETTINGS.keys())
def test_all_backends_give_one_curve_and_the_same_weights(tiny: Path, settings: dict[str, Any]) -> None:
    overrides = {f"training.{key}": value for key, value in settings.items()}
    first, *others = [run(tiny, {**overrides, "backend.use": backend}) for backend in BACKENDS]
    points = points_of(first.run_folder)
    assert all((name, step) in points for name in EVERY_STEP for step in range(1, first.steps + 1))
    for other in others:
        assert points_of(other.run_folder) == points
        assert weights_of(other.run_folder) == weights_of(first.run_folder)
        assert other.metrics == first.metrics


@pytest.mark.parametrize("settings", ["as it stands", "accumulation with a short last group", "bfloat16"])
def test_on_a_gpu_all_backends_give_one_curve_with_full_determinism(tiny: Path, settings: str) -> None:
    import torch

    if not torch.cuda.is_available():
        pytest.skip("there is no GPU")
    on_gpu = {"device": "cuda", "full_determinism": True}
    test_all_backends_give_one_curve_and_the_same_weights(tiny, {**SETTINGS[settings], **on_gpu})


def test_full_determinism_holds_while_a_run_goes_on(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import ftrun.training.fitting as fitting
    import torch

    monkeypatch.delenv("CUBLAS_WORKSPACE_CONFIG", raising=False)
    seen = []

    def write(*arguments: Any) -> None:
        seen.append((torch.are_deterministic_algorithms_enabled(), os.environ.get("CUBLAS_WORKSPACE_CONFIG")))
        write_checkpoint(*arguments)

    write_checkpoint = fitting.write_checkpoint
    monkeypatch.setattr(fitting, "write_checkpoint", write)
    for backend in BACKENDS:
        for asked in (True, False):
            asking = {"training.full_determinism": asked, "backend.use": backend}
            run(tiny, {**asking, "training.max_steps": 1, "training.save_strategy": "epoch"})
            assert seen.pop() == ((True, ":4096:8") if asked else (False, None))


def test_regression_gives_one_curve_too(tiny: Path) -> None:
    rows = [{"text": "word " * (1 + i % 5), "label": float(i % 5)} for i in range(30)]
    Path("rows.json").write_text("\n".join(map(json.dumps, rows)))
    overrides = {
        "dataset": {"use": "files", "train": "rows.json", "validation": "rows.json"},
        "dataset.text_columns": ["text"],
        "dataset.kind": "regression",
        "metrics": [{"use": "correlation"}, {"use": "regression-errors"}],
    }
    results = [run(tiny, {**overrides, "backend.use": backend}) for backend in BACKENDS]
    assert set(results[0].metrics) == {"eval/loss", "eval/pearson", "eval/spearmanr", "eval/mse", "eval/mae"}
    assert results[0].metrics["eval/loss"] == pytest.approx(results[0].metrics["eval/mse"], rel=1e-5)
    for result in results[1:]:
        assert points_of(result.run_folder) == points_of(results[0].run_folder)


def training_curve(folder: Path) -> dict[tuple[str, int], float]:
    return {key: value for key, value in points_of(folder).items() if not key[0].startswith("eval/")}


@pytest.mark.parametrize("backend", BACKENDS)
def test_looking_never_changes_the_curve(tiny: Path, backend: str) -> None:
    often = {"training.eval_strategy": "steps", "training.eval_steps": 2, "training.save_strategy": "epoch"}
    looked, never = [
        run(tiny, {**looking, "backend.use": backend}) for looking in (often, {"training.eval_strategy": "no"})
    ]
    assert training_curve(looked.run_folder) == training_curve(never.run_folder)
    assert weights_of(looked.run_folder) == weights_of(never.run_folder)


def test_many_classes_give_one_curve_too(tiny: Path) -> None:
    rows = [{"text": f"word {'more ' * (i % 5)}", "label": "abcde"[i % 5]} for i in range(30)]
    Path("rows.json").write_text("\n".join(map(json.dumps, rows)))
    files = {"use": "files", "train": "rows.json", "validation": "rows.json", "text_columns": ["text"]}
    overrides = {"dataset": files, "metrics": [{"use": "accuracy"}], "training.gradient_accumulation_steps": 3}
    results = [run(tiny, {**overrides, "backend.use": backend}) for backend in BACKENDS]
    for result in results[1:]:
        assert points_of(result.run_folder) == points_of(results[0].run_folder)
        assert weights_of(result.run_folder) == weights_of(results[0].run_folder)


BERT_LIKE = "hidden_size = 16, num_hidden_layers = 2, num_attention_heads = 2, intermediate_size = 32"
ARCHITECTURES = {
    "bert": BERT_LIKE,
    "roberta": BERT_LIKE,
    "modernbert": BERT_LIKE,
    "distilbert": "dim = 16, n_layers = 2, n_heads = 2, hidden_dim = 32",
}


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("model_type", ARCHITECTURES)
def test_the_batch_counts_and_not_how_it_is_cut(tiny: Path, model_type: str, backend: str) -> None:
    text = tiny.read_text().replace(BERT_LIKE, ARCHITECTURES[model_type]).replace('"bert"', f'"{model_type}"')
    tiny.write_text(text)
    curves = []
    for size in (8, 4, 2, 1):
        cut = {"training.per_device_train_batch_size": size, "training.gradient_accumulation_steps": 8 // size}
        settings = {"model.dropout": 0.0, "backend.use": backend, "training.learning_rate": 5e-5}
        result = run(tiny, {**cut, **settings, "training.eval_strategy": "no"})
        curves.append(training_curve(result.run_folder))
    assert len(curves[0]) == 4 * 12
    for curve in curves[1:]:
        # the absolute part is for steps whose rows pull against each other, so that next to nothing is left of a norm
        assert curve == pytest.approx(curves[0], rel=1e-5, abs=1e-7)


@pytest.mark.parametrize("first", BACKENDS)
@pytest.mark.parametrize("second", BACKENDS)
def test_runs_after_another_in_one_process_equal_those_in_a_process_of_their_own(
    tiny: Path, alone: Mapping[bool, Path], first: str, second: str
) -> None:
    for backend, half in ((first, True), (second, False), (first, True)):
        result = run(tiny, {"training.bf16": half, "backend.use": backend})
        assert points_of(result.run_folder) == points_of(alone[half])
        assert weights_of(result.run_folder) == weights_of(alone[half])


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Mapping[bool, Path]:
    """The run folders of the tiny experiment in bfloat16 and in float32, each from a process of its own."""
    folder = tmp_path_factory.mktemp("alone")
    (folder / "tiny.toml").write_text(TINY)
    return {
        half: command_runs(folder, "tiny.toml", "--set", f"training.bf16={str(half).lower()}")[0]
        for half in (True, False)
    }


def command_runs(folder: Path, *arguments: str) -> list[Path]:
    done = subprocess.run(
        [sys.executable, "-m", "ftrun", *arguments, "--json"], cwd=folder, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return [Path(json.loads(line)["run_folder"]) for line in done.stdout.splitlines()]


def test_runs_of_one_command_equal_those_in_a_process_of_their_own(tiny: Path, alone: Mapping[bool, Path]) -> None:
    text = 'extends = "tiny.toml"\nname = "{}"\nbackend = {{ use = "{}" }}\ntraining = {{ bf16 = {} }}\n'
    Path("a.toml").write_text(text.format("a", "accelerate", "true"))
    Path("b.toml").write_text(text.format("b", "trainer", "false"))
    folders = command_runs(tiny.parent, "a.toml", "b.toml", "a.toml")
    for folder, half in zip(folders, (True, False, True), strict=True):
        assert points_of(folder) == points_of(alone[half])
        assert weights_of(folder) == weights_of(alone[half])


def test_trainer_still_calls_all_that_is_overridden(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """When this fails after an upgrade of transformers, Trainer's loop goes another way: look at CurveTrainer."""
    from ftrun_plugins.backends.trainer import CurveTrainer
    from transformers import Trainer

    overridden = [name for name in vars(CurveTrainer) if name in vars(Trainer) and not name.startswith("__")]
    called: set[str] = set()

    def counted(name: str, method: Any) -> Any:
        def call(*arguments: Any, **named: Any) -> Any:
            called.add(name)
            return method(*arguments, **named)

        return call

    for name in overridden:
        if callable(method := vars(CurveTrainer)[name]):
            monkeypatch.setattr(CurveTrainer, name, counted(name, method))
    settings = {"backend.use": "trainer", "training.save_strategy": "steps", "training.save_steps": 5}
    result = run(tiny, settings)
    (result.run_folder / "journal.jsonl").write_text("")  # as if killed before anything was recorded
    shutil.rmtree(result.run_folder / "checkpoints" / "checkpoint-12")
    assert ftrun.resume(result.run_folder, progress=False).status == "FINISHED"
    assert called == {name for name in overridden if name != "loss_is_scaled_for_ga"}
    assert "loss_is_scaled_for_ga" in overridden


def test_trainer_still_divides_the_loss_unless_it_is_told_not_to(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """When this fails after an upgrade of transformers, the attribute means something else: look at CurveTrainer."""
    from ftrun_plugins.backends.trainer import CurveTrainer

    cut = {"training.gradient_accumulation_steps": 4, "training.per_device_train_batch_size": 2}
    settings = {**cut, "backend.use": "trainer", "training.max_steps": 1}
    right = points_of(run(tiny, settings).run_folder)
    monkeypatch.setattr(CurveTrainer, "loss_is_scaled_for_ga", False)
    monkeypatch.setattr(CurveTrainer, "model_accepts_loss_kwargs", False, raising=False)
    wrong = points_of(run(tiny, settings).run_folder)
    assert wrong["train/loss", 1] == right["train/loss", 1]
    assert wrong["train/grad_norm", 1] != pytest.approx(right["train/grad_norm", 1], rel=0.1)


def test_another_seed_is_another_curve(tiny: Path) -> None:
    curves = [points_of(run(tiny, {"seed": seed}).run_folder) for seed in (1, 2)]
    assert curves[0] != curves[1]


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_checkpoint_opens_with_transformers_and_its_files_match_its_manifest(tiny: Path, backend: str) -> None:
    import hashlib

    import torch
    from transformers import AutoModelForSequenceClassification, AutoTokenizer, TrainerState

    saving = {"training.save_strategy": "epoch", "training.save_total_limit": 1, "backend.use": backend}
    result = run(tiny, saving)
    (checkpoint,) = (result.run_folder / "checkpoints").iterdir()
    assert checkpoint.name == "checkpoint-12"
    assert TrainerState.load_from_json(str(checkpoint / "trainer_state.json")).global_step == 12
    manifest = json.loads((checkpoint / "manifest.json").read_text())
    assert {"model.safetensors", "optimizer.pt", "scheduler.pt", "rng_state.pth", "tokenizer.json"} <= set(
        manifest["files"]
    )
    for name, facts in manifest["files"].items():
        content = (checkpoint / name).read_bytes()
        assert facts == {"size": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    for name in ("optimizer.pt", "scheduler.pt", "rng_state.pth"):
        assert torch.load(checkpoint / name, weights_only=True)
    for folder in (checkpoint, result.run_folder / "model"):
        model = AutoModelForSequenceClassification.from_pretrained(folder)
        assert model.config.id2label == {0: "not_equivalent", 1: "equivalent"}
        assert len(AutoTokenizer.from_pretrained(folder)) == 30522
    assert (checkpoint / "model.safetensors").read_bytes() == weights_of(result.run_folder)
    assert (result.run_folder / "model" / "config.json").read_bytes() == (checkpoint / "config.json").read_bytes()


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_loss_that_is_not_finite_ends_the_run_before_a_checkpoint(tiny: Path, backend: str) -> None:
    exploding = {"training.learning_rate": 1e30, "training.save_strategy": "steps", "training.save_steps": 1}
    result = ftrun.run(tiny, overrides={**exploding, "backend.use": backend}, progress=False)
    assert result.status == "FAILED" and result.error and "step 2" in result.error
    assert [path.name for path in (result.run_folder / "checkpoints").iterdir()] == ["checkpoint-1"]
    assert journal_of(result.run_folder)[-1]["status"] == "FAILED"


def test_too_few_rows_for_a_batch_are_told(tiny: Path) -> None:
    few = {"training.dataloader_drop_last": True, "dataset.max_train_samples": 5}
    result = ftrun.run(tiny, overrides=few, progress=False)
    assert result.status == "FAILED" and result.error
    assert "training.dataloader_drop_last: the 5 rows to train on make no whole batch" in result.error


SMALL = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32, "vocab_size": 99}
T5 = {"d_model": 16, "d_kv": 8, "d_ff": 32, "num_layers": 2, "num_heads": 2, "vocab_size": 99}
FAMILIES: dict[str, dict[str, Any]] = {
    "bert": SMALL,
    "roberta": SMALL,
    "electra": {**SMALL, "embedding_size": 8},
    "albert": {**SMALL, "embedding_size": 8},
    "deberta-v2": {**SMALL, "relative_attention": True, "position_biased_input": False, "pos_att_type": ["p2c", "c2p"]},
    "mpnet": SMALL,
    "modernbert": {**SMALL, "pad_token_id": 0},
    "qwen2": {**SMALL, "num_key_value_heads": 1, "pad_token_id": 0},
    "distilbert": {"dim": 16, "n_layers": 2, "n_heads": 2, "hidden_dim": 32, "vocab_size": 99},
    "xlnet": {"d_model": 16, "n_layer": 2, "n_head": 2, "d_inner": 32, "vocab_size": 99},
    "t5": T5,
    "mt5": T5,
}


@pytest.mark.parametrize("family", FAMILIES)
def test_weights_decay_where_trainer_has_them_decay(tmp_path: Path, family: str) -> None:
    import torch
    from ftrun.settings import TrainingSettings
    from ftrun.training.optimization import build_optimizer
    from transformers import AutoConfig, AutoModelForSequenceClassification, Trainer, TrainingArguments

    torch.manual_seed(0)
    model = AutoModelForSequenceClassification.from_config(AutoConfig.for_model(family, **FAMILIES[family]))
    twin = copy.deepcopy(model)
    arguments = TrainingArguments(str(tmp_path), weight_decay=0.1, use_cpu=True, report_to=[])
    ours = build_optimizer(model, TrainingSettings(weight_decay=0.1))
    theirs = Trainer(twin, arguments).create_optimizer()
    assert type(ours) is type(theirs)
    for mine, trainers in zip(ours.param_groups, theirs.param_groups, strict=True):
        assert names_of(model, mine) == names_of(twin, trainers)
        assert {**mine, "params": 0} == {**trainers, "params": 0}
    assert all(len(group["params"]) for group in ours.param_groups)
    for one, other in zip(model.parameters(), twin.parameters(), strict=True):
        one.grad = torch.randn_like(one)
        other.grad = one.grad.clone()
    ours.step()
    theirs.step()
    for one, other in zip(model.parameters(), twin.parameters(), strict=True):
        assert torch.equal(one, other)


def names_of(model: Any, group: Mapping[str, Any]) -> list[str]:
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    return [names[id(parameter)] for parameter in group["params"]]


def test_the_horizon_counts_steps_and_epochs() -> None:
    from ftrun.settings import TrainingSettings
    from ftrun.training.optimization import Horizon

    training = TrainingSettings(per_device_train_batch_size=2, gradient_accumulation_steps=3, num_train_epochs=1.5)
    horizon = Horizon(14, training)
    assert (horizon.steps_per_epoch, horizon.total_steps, horizon.epochs_after(0)) == (3, 5, range(2))
    assert (horizon.epochs_after(4), horizon.batch_after(4), horizon.batch_after(3)) == (range(1, 2), 3, 0)
    assert [round(horizon.epoch_after(step), 3) for step in range(1, 6)] == [0.429, 0.857, 1.0, 1.429, 1.857]


@pytest.mark.parametrize(("eval_steps", "save_steps"), [(3, 4), (0.3, 0.25), (500, 0.01), (None, 7), (10, 1)])
def test_what_is_due_by_steps_is_what_transformers_does_then(eval_steps: float | None, save_steps: float) -> None:
    from ftrun.settings import TrainingSettings
    from ftrun.training.optimization import Horizon
    from transformers import TrainerControl, TrainerState, TrainingArguments
    from transformers.trainer_callback import DefaultFlowCallback

    every: dict[str, Any] = {"eval_strategy": "steps", "save_strategy": "steps", "save_steps": save_steps}
    every |= {"eval_steps": eval_steps} if eval_steps else {}
    horizon = Horizon(80, TrainingSettings(max_steps=10, **every))
    arguments, state = TrainingArguments(max_steps=10, use_cpu=True, **every), TrainerState(max_steps=10)
    state.compute_steps(arguments, 10)
    for step in range(1, 11):
        state.global_step = step
        control = DefaultFlowCallback().on_step_end(arguments, state, TrainerControl())
        assert (horizon.evaluates_by_strategy(step), horizon.saves_by_strategy(step)) == (
            control.should_evaluate,
            control.should_save,
        )


@pytest.mark.parametrize("warmup", [0, 0.01, 0.5, 0.99, 1, 2.9, 7, 100])
@pytest.mark.parametrize(
    "schedule", ["linear", "cosine", "constant", "constant_with_warmup", "polynomial", "inverse_sqrt"]
)
def test_the_rates_are_those_of_transformers(warmup: float, schedule: Any) -> None:
    import torch
    from ftrun.errors import ExperimentError
    from ftrun.settings import TrainingSettings
    from ftrun.training.optimization import build_scheduler
    from transformers import TrainingArguments, get_scheduler

    told: dict[str, Any] = {"warmup_steps": warmup, "lr_scheduler_type": schedule}
    if schedule == "polynomial" and warmup == 0.99:
        with pytest.raises(ExperimentError, match="the warm-up takes all 9 steps"):
            build_scheduler(torch.optim.AdamW([torch.zeros(1)], lr=1.0), TrainingSettings(**told), 9)
        return
    optimizers = [torch.optim.AdamW([torch.zeros(1, requires_grad=True)], lr=1.0) for _ in range(2)]
    arguments = TrainingArguments(use_cpu=True, **told)
    ours = build_scheduler(optimizers[0], TrainingSettings(**told), 9)
    theirs = get_scheduler(
        arguments.lr_scheduler_type, optimizers[1], arguments.get_warmup_steps(9), 9, arguments.lr_scheduler_kwargs
    )
    for _ in range(9):
        assert ours.get_last_lr() == theirs.get_last_lr()
        for optimizer, schedule_of in zip(optimizers, (ours, theirs), strict=True):
            optimizer.step()
            schedule_of.step()


def test_evaluating_by_a_fraction_of_the_steps_is_alike_on_every_backend(tiny: Path) -> None:
    by_fraction = {"training.eval_strategy": "steps", "training.eval_steps": 0.3, "training.save_strategy": "no"}
    results = [run(tiny, {**by_fraction, "backend.use": backend}) for backend in BACKENDS]
    for result in results:
        assert {step for key, step in points_of(result.run_folder) if key == "eval/f1"} == {4, 8, 12}
        assert points_of(result.run_folder) == points_of(results[0].run_folder)


def test_order_is_a_function_of_seed_and_epoch_and_that_of_accelerate() -> None:
    from accelerate.data_loader import SeedableRandomSampler
    from ftrun.training.batches import EpochBatches

    ours = EpochBatches(20, 6, seed=5)
    theirs = SeedableRandomSampler(list(range(20)), data_seed=5)
    for epoch in (0, 1, 0, 3):
        ours.set_epoch(epoch)
        theirs.set_epoch(epoch)
        batches = list(ours)
        assert [len(batch) for batch in batches] == [6, 6, 6, 2]
        assert [row for batch in batches for row in batch] == list(theirs)


def test_the_settings_that_trainer_is_told_are_the_experiments(tiny: Path) -> None:
    import torch
    from ftrun.contracts import Job, Task
    from ftrun.settings import OWN_KEYS, TrainingSettings
    from ftrun_plugins.backends.trainer import training_arguments

    training = TrainingSettings(learning_rate=0.25, max_steps=9, warmup_steps=2, weight_decay=0.5, max_grad_norm=0.5)
    values: dict[str, Any] = {field.name: None for field in dataclasses.fields(Job)}
    job = Job(
        **{**values, "training": training, "seed": 3, "data_seed": 4, "run_folder": Path(), "task": Task("x", ())}
    )
    arguments = training_arguments(job, torch.device("cpu"))
    steered = {"eval_strategy", "eval_steps", "save_strategy", "save_steps", "save_total_limit", "data_seed"}
    loaders = {"dataloader_drop_last", "dataloader_num_workers"}
    adam = {"adam_beta1", "adam_beta2", "adam_epsilon"}
    for name in set(TrainingSettings.model_fields) - OWN_KEYS - steered - loaders - adam:
        assert getattr(arguments, name) == getattr(training, name), name
    assert (arguments.seed, arguments.data_seed) == (3, 4)


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_run_that_is_stopped_right_after_a_checkpoint_needs_no_other(
    tiny: Path, backend: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ftrun.execution.reporter import RunReporter

    monkeypatch.setattr(RunReporter, "stop_requested", property(lambda reporter: reporter.steps >= 3))
    saving = {"training.save_strategy": "steps", "training.save_steps": 3, "backend.use": backend}
    result = ftrun.run(tiny, overrides=saving, progress=False)
    assert (result.status, result.error) == ("KILLED", "stopped on request after step 3, with a checkpoint")
    assert [path.name for path in (result.run_folder / "checkpoints").iterdir()] == ["checkpoint-3"]


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_loss_that_is_not_finite_at_the_last_step_fails_the_run_too(tiny: Path, backend: str) -> None:
    exploding = {"training.learning_rate": 1e30, "training.max_steps": 2, "training.eval_strategy": "no"}
    result = ftrun.run(tiny, overrides={**exploding, "backend.use": backend}, progress=False)
    assert result.status == "FAILED" and result.error and "step 2" in result.error
    assert not (result.run_folder / "model").exists()


BEST = {
    "training.eval_strategy": "steps",
    "training.eval_steps": 2,
    "training.num_train_epochs": 1.4,
    "training.load_best_model_at_end": True,
    "training.metric_for_best_model": "loss",
}


def test_the_state_in_a_checkpoint_names_the_best_one_and_the_epochs_as_transformers_does(tiny: Path) -> None:
    from transformers import TrainerState

    checkpoints = run(tiny, BEST).run_folder / "checkpoints"
    for checkpoint in checkpoints.iterdir():
        state = TrainerState.load_from_json(str(checkpoint / "trainer_state.json"))
        assert state.best_model_checkpoint == str(checkpoints / f"checkpoint-{state.best_global_step}")
        assert state.num_train_epochs == 2


def test_the_metrics_and_predictions_of_a_run_are_those_of_its_model(tiny: Path) -> None:
    result = run(tiny, BEST)
    points = points_of(result.run_folder)
    losses = {step: value for (key, step), value in points.items() if key == "eval/loss"}
    best = min(losses, key=lambda step: losses[step])
    assert best == 2 < result.steps and result.metrics["eval/loss"] == losses[best]


def test_a_best_model_that_was_damaged_meanwhile_is_not_taken(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import ftrun.training.fitting as fitting

    evaluate = fitting.Fitting.evaluate

    def damaging(one: Any, step: int, *rest: Any) -> Any:
        for weights in one.job.run_folder.glob("checkpoints/checkpoint-2/model.safetensors"):
            weights.write_bytes(weights.read_bytes()[:-1] + b"x")
        return evaluate(one, step, *rest)

    monkeypatch.setattr(fitting.Fitting, "evaluate", damaging)
    result = ftrun.run(tiny, overrides=BEST, progress=False)
    assert result.status == "FAILED" and result.error
    assert "checkpoint-2 is needed, and is not whole: model.safetensors was altered" in result.error


def test_every_generator_goes_on_from_a_checkpoint_where_it_was(workdir: Path) -> None:
    import random

    import numpy as np
    import torch
    from ftrun.training.state import RANDOM, load_random_states, random_states

    def drawn() -> list[float]:
        """Of each generator something, of normal ones an odd number: they come in pairs, and the second is kept."""
        normal = [random.gauss(0, 1), float(np.random.randn()), float(torch.randn(1))]
        return [*normal, random.random(), float(np.random.rand()), float(torch.rand(1))]

    drawn()
    torch.save(random_states(), workdir / RANDOM)
    told = drawn()
    drawn()
    load_random_states(workdir)
    assert drawn() == told


def test_optimizer_settings_are_those_of_now_and_moments_those_of_the_checkpoint(workdir: Path) -> None:
    import torch
    from ftrun.settings import TrainingSettings
    from ftrun.training.optimization import build_optimizer, build_scheduler
    from ftrun.training.state import OPTIMIZER, SCHEDULER, load_optimizer

    def made(**training: Any) -> tuple[Any, Any]:
        model = torch.nn.Linear(2, 2)
        settings = TrainingSettings(**training)
        optimizer = build_optimizer(model, settings)
        scheduler = build_scheduler(optimizer, settings, 10)
        for parameter in model.parameters():
            parameter.grad = torch.ones_like(parameter)
        return optimizer, scheduler

    before = made(learning_rate=0.1, weight_decay=0.0)
    for _ in range(2):
        before[0].step()
        before[1].step()
    torch.save(before[0].state_dict(), workdir / OPTIMIZER)
    torch.save(before[1].state_dict(), workdir / SCHEDULER)
    now = made(learning_rate=0.5, weight_decay=0.3, adam_beta1=0.8)
    load_optimizer(workdir, *now)
    group = now[0].param_groups[0]
    assert (group["lr"], group["weight_decay"], group["betas"]) == (pytest.approx(0.4), 0.3, (0.8, 0.999))
    moments, saved = ([state["exp_avg"] for state in optimizer.state.values()] for optimizer, _ in (now, before))
    assert len(moments) == 2 and all(map(torch.equal, moments, saved))
