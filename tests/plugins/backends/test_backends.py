"""Every backend passes the suite that anybody's does; and one declaration, one curve: the three backends give the same numbers and the same weights, to the last bit."""

from __future__ import annotations

import itertools
import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import ftrun
import pytest
from ftrun.testing import BackendSuite
from helpers import BACKENDS, TINY, journal_of, points_of, run, slow, weights_of


class Float16Suite(BackendSuite):
    """On a CPU, which is let through."""

    @pytest.mark.usefixtures("float16_here")
    def test_steps_that_overflow_float16_are_skipped(self) -> None:
        super().test_steps_that_overflow_float16_are_skipped()


class TestLoop(Float16Suite):
    component = "loop"
    one_curve = True


class TestTrainer(Float16Suite):
    component = "trainer"
    one_curve = True


class TestAccelerate(Float16Suite):
    component = "accelerate"
    one_curve = True


EVERY_STEP = ("train/loss", "train/learning_rate", "train/grad_norm", "epoch")


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
    "a cosine with restarts": {"lr_scheduler_type": "cosine_with_restarts", "lr_scheduler_kwargs": {"num_cycles": 3}},
    "warm-up, stable, decay": {
        "lr_scheduler_type": "warmup_stable_decay",
        "lr_scheduler_kwargs": {"num_decay_steps": 4, "decay_type": "1-sqrt"},
        "warmup_steps": 2,
    },
    "SGD with momentum": {"optim": "sgd", "optim_args": {"momentum": 0.9, "nesterov": True}, "weight_decay": 0.1},
    "Adafactor": {"optim": "adafactor"},
    "Adam": {"optim": "adam", "adam_beta1": 0.8},
    "NAdam": {"optim": "nadam", "optim_args": {"decoupled_weight_decay": True}, "weight_decay": 0.1},
    "Adagrad": {"optim": "adagrad", "optim_args": {"lr_decay": 0.1}},
    "RMSprop": {"optim": "rmsprop", "optim_args": {"centered": True, "momentum": 0.5}},
    "rows of a like length together": {
        "train_sampling_strategy": "group_by_length",
        "per_device_train_batch_size": 3,
        "gradient_accumulation_steps": 2,
    },
    "rows as they stand": {"train_sampling_strategy": "sequential"},
    "an evaluation before the first step": {"eval_on_start": True},
    "activations computed again, in bfloat16": {"gradient_checkpointing": True, "bf16": True},
    "compiled": {"torch_compile": True, "torch_compile_backend": "eager", "max_steps": 4},
    "noise on embeddings, under accumulation": {
        "neftune_noise_alpha": 5.0,
        "per_device_train_batch_size": 3,
        "gradient_accumulation_steps": 2,
    },
    "a first evaluation that waits": {
        "eval_strategy": "steps",
        "eval_steps": 2,
        "eval_delay": 5,
        "early_stopping_patience": 2,
        "load_best_model_at_end": True,
        "save_strategy": "best",
    },
    "a last batch left out, another order": {"dataloader_drop_last": True, "data_seed": 7},
}


SETTINGS_LATER = (
    *("warm-up, stable, decay", "Adam", "NAdam", "Adagrad", "RMSprop", "rows as they stand"),
    *("an evaluation before the first step", "activations computed again, in bfloat16"),
    *("noise on embeddings, under accumulation", "a first evaluation that waits"),
    *("compiled", "no clipping", "a cosine, by a share of warm-up", "a constant rate, AdamW unfused", "never looking"),
    *("deterministic algorithms alone", "a part of an epoch", "steps in the midst of the second epoch"),
    *("much clipping, decay and warm-up", "Adafactor", "looking every step", "early stopping, and the best model"),
    *("a last batch left out, another order", "a cosine with restarts", "SGD with momentum", "as it stands"),
)
"""Those that `make test-all` alone tries."""


@pytest.mark.parametrize(
    "settings",
    [
        pytest.param(settings, id=name, marks=[pytest.mark.slow] if name in SETTINGS_LATER else [])
        for name, settings in SETTINGS.items()
    ],
)
def test_all_backends_give_one_curve_and_the_same_weights(tiny: Path, settings: dict[str, Any]) -> None:
    hold_to_one_curve(tiny, {f"training.{key}": value for key, value in settings.items()})


@pytest.mark.slow
def test_compiled_with_its_gradients_it_is_one_curve_too(tiny: Path) -> None:
    training = {"torch_compile": True, "torch_compile_backend": "aot_eager", "bf16": True, "neftune_noise_alpha": 5.0}
    overrides = {f"training.{key}": value for key, value in {**training, "max_steps": 3}.items()}
    one_shape = {"collator": {"use": "fixed-length", "length": 64}, "dataset.max_eval_samples": 8}  # compiled once
    hold_to_one_curve(tiny, {**overrides, **one_shape, "model.config.num_hidden_layers": 1})


def hold_to_one_curve(tiny: Path, overrides: dict[str, Any]) -> None:
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


@pytest.mark.slow
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


@pytest.mark.parametrize("backend", ["loop", slow("trainer"), slow("accelerate")])
def test_looking_never_changes_the_curve(tiny: Path, backend: str) -> None:
    often = {"training.eval_strategy": "steps", "training.eval_steps": 2, "training.save_strategy": "epoch"}
    looked, never = [
        run(tiny, {**looking, "backend.use": backend}) for looking in (often, {"training.eval_strategy": "no"})
    ]
    assert training_curve(looked.run_folder) == training_curve(never.run_folder)
    assert weights_of(looked.run_folder) == weights_of(never.run_folder)


@pytest.mark.parametrize(
    "lever",
    [
        {"eval_on_start": True},
        slow({"gradient_checkpointing": True}),
        slow({"torch_compile": True, "torch_compile_backend": "eager"}),
    ],
)
def test_what_changes_no_number_leaves_the_curve_and_the_files_as_they_are(tiny: Path, lever: dict[str, Any]) -> None:
    short: dict[str, Any] = {"training.max_steps": 4, "backend.use": "trainer"}
    plain, other = [
        run(tiny, {**short, **{f"training.{key}": value for key, value in settings.items()}})
        for settings in ({}, lever)
    ]
    points = points_of(other.run_folder)
    assert {key: value for key, value in points.items() if key[1]} == points_of(plain.run_folder)
    assert {key for key, step in points if not step} == (
        {"eval/loss", "eval/accuracy", "eval/f1"} if "eval_on_start" in lever else set()
    )
    models = [
        {path.name: path.read_bytes() for path in (result.run_folder / "model").iterdir()} for result in (plain, other)
    ]
    assert models[0] == models[1]


@pytest.mark.by_hand
@pytest.mark.filterwarnings("ignore:.*torch.jit.script_method:DeprecationWarning")  # torch's own, of inductor
@pytest.mark.parametrize("more", [{}, {"training.bf16": True}], ids=["float32", "bfloat16"])
def test_by_inductor_all_backends_give_one_curve_and_a_resumed_run_the_same_end(
    tiny: Path, more: dict[str, Any]
) -> None:
    from ftrun.training.compilation import _has_cpp_compiler
    from helpers import died_after

    if not _has_cpp_compiler():
        pytest.skip("there is no C++ compiler")
    compiled = {"training.torch_compile": True, "training.max_steps": 5, "training.eval_strategy": "no", **more}
    saving = {"training.save_strategy": "steps", "training.save_steps": 2}
    first, *others = [run(tiny, {**compiled, **saving, "backend.use": backend}) for backend in BACKENDS]
    for other in others:
        assert points_of(other.run_folder) == points_of(first.run_folder)
        assert weights_of(other.run_folder) == weights_of(first.run_folder)
    resumed = ftrun.resume(died_after(first.run_folder, 2, "died"), progress=False)
    assert resumed.status == "FINISHED", resumed.error
    assert weights_of(resumed.run_folder) == weights_of(first.run_folder)


@pytest.mark.slow
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


SOON = {("bert", "loop")}
"""What `make test` tries, too."""


@pytest.mark.parametrize(
    ("model_type", "backend"),
    [pair if pair in SOON else slow(pair) for pair in itertools.product(ARCHITECTURES, BACKENDS)],
)
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


@pytest.mark.slow
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


@pytest.mark.slow
def test_runs_of_one_command_equal_those_in_a_process_of_their_own(tiny: Path, alone: Mapping[bool, Path]) -> None:
    text = 'extends = "tiny.toml"\nname = "{}"\nbackend = {{ use = "{}" }}\ntraining = {{ bf16 = {} }}\n'
    Path("a.toml").write_text(text.format("a", "accelerate", "true"))
    Path("b.toml").write_text(text.format("b", "trainer", "false"))
    folders = command_runs(tiny.parent, "a.toml", "b.toml", "a.toml")
    for folder, half in zip(folders, (True, False, True), strict=True):
        assert points_of(folder) == points_of(alone[half])
        assert weights_of(folder) == weights_of(alone[half])


def test_another_seed_is_another_curve(tiny: Path) -> None:
    curves = [points_of(run(tiny, {"seed": seed}).run_folder) for seed in (1, 2)]
    assert curves[0] != curves[1]


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_loss_that_is_not_finite_ends_the_run_before_a_checkpoint(tiny: Path, backend: str) -> None:
    exploding = {"training.learning_rate": 1e30, "training.save_strategy": "steps", "training.save_steps": 1}
    result = ftrun.run(tiny, overrides={**exploding, "backend.use": backend}, progress=False)
    assert result.status == "FAILED" and result.error and "step 2" in result.error
    assert [path.name for path in (result.run_folder / "checkpoints").iterdir()] == ["checkpoint-1"]
    assert journal_of(result.run_folder)[-1]["status"] == "FAILED"


@pytest.mark.slow
def test_evaluating_by_a_fraction_of_the_steps_is_alike_on_every_backend(tiny: Path) -> None:
    by_fraction = {"training.eval_strategy": "steps", "training.eval_steps": 0.3, "training.save_strategy": "no"}
    results = [run(tiny, {**by_fraction, "backend.use": backend}) for backend in BACKENDS]
    for result in results:
        assert {step for key, step in points_of(result.run_folder) if key == "eval/f1"} == {4, 8, 12}
        assert points_of(result.run_folder) == points_of(results[0].run_folder)


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

    take_best = fitting.Fitting._take_best

    def damaging(one: Any) -> int:
        weights = one.job.run_folder / "checkpoints/checkpoint-2/model.safetensors"
        weights.write_bytes(weights.read_bytes()[:-1] + b"x")
        return take_best(one)

    monkeypatch.setattr(fitting.Fitting, "_take_best", damaging)
    result = ftrun.run(tiny, overrides=BEST, progress=False)
    assert result.status == "FAILED" and result.error
    assert "checkpoint-2 is needed, and is not whole: model.safetensors was altered" in result.error
