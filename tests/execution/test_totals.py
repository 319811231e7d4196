"""What a training came to, by the names that transformers has."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import ftrun
import pytest
import torch
from ftrun.contracts import StepReport
from ftrun.execution.totals import Totals
from helpers import TRACKED, journal_of, measured_of, mlflow_client, slow
from makers import NARROW


class Numbers:
    requires_grad = True

    def __init__(self, count: int) -> None:
        self.count = count

    def numel(self) -> int:
        return self.count


class Model:
    def parameters(self) -> list[Numbers]:
        return [Numbers(10), Numbers(90)]


class Known(Model):
    def num_parameters(self, exclude_embeddings: bool) -> int:
        return 10 if exclude_embeddings else 100


def totals(*tokens: tuple[int, int] | None) -> Totals:
    """Of steps of eight rows, half a second each."""
    told = Totals()
    for number, counts in enumerate(tokens, 1):
        report = StepReport(number, 0.5, 0.5, 0.1, 1.0, 8, *(counts or ()))
        told.took(report, 0.5)
        told.read(report)
    return told


def metrics(told: Totals, model: Any) -> dict[str, float]:
    return told.metrics(model, told.steps)


def test_a_training_is_told_with_its_speed_its_tokens_and_its_operations() -> None:
    assert metrics(totals((60, 80), (30, 40)), Known()) == {
        "train_runtime": 1.0,
        "train_samples_per_second": 16.0,
        "train_steps_per_second": 2.0,
        "train_tokens_per_second": 90.0,
        "num_input_tokens_seen": 90,
        "padding_share": 0.25,
        "num_parameters": 100,
        "total_flos": 6 * 10 * 120,
    }


@pytest.mark.parametrize("frozen", [False, True])
def test_operations_are_those_that_trainer_counts_whatever_is_trained(frozen: bool) -> None:
    from transformers import AutoConfig, AutoModelForSequenceClassification, Trainer

    model = AutoModelForSequenceClassification.from_config(AutoConfig.for_model("bert", **NARROW, vocab_size=40))
    model.base_model.requires_grad_(not frozen)
    holder: Any = SimpleNamespace(model=model)
    theirs = Trainer.floating_point_ops(holder, {"input_ids": torch.zeros(3, 40)})
    assert metrics(totals((60, 80), (30, 40)), model)["total_flos"] == theirs > 0


def test_what_is_not_known_is_left_out() -> None:
    times = {"train_runtime", "train_samples_per_second", "train_steps_per_second", "num_parameters"}
    assert set(metrics(totals((60, 80), None), Known())) == times
    assert "total_flos" not in metrics(totals((60, 80)), Model())
    assert metrics(Totals(), Model()) == {"train_runtime": 0.0, "num_parameters": 100}
    assert metrics(Totals(), object()) == {"train_runtime": 0.0}


def test_no_sum_is_told_of_a_run_that_an_earlier_attempt_took_steps_of() -> None:
    assert set(totals((60, 80)).metrics(Known(), 5)) == {
        *("train_samples_per_second", "train_steps_per_second", "train_tokens_per_second"),
        *("padding_share", "num_parameters"),
    }


@pytest.mark.parametrize("backend", ["trainer", *map(slow, ("loop", "accelerate"))])
def test_every_backend_sees_the_same_tokens(tiny: Path, backend: str) -> None:
    changed = {"training.gradient_accumulation_steps": 2, "training.max_steps": 3}
    result = ftrun.run(tiny, overrides={"backend.use": backend, **changed}, progress=False)
    assert result.status == "FINISHED", result.error
    told = measured_of(result.run_folder)
    assert {step for _, step in told} == {3}
    assert told["train_runtime", 3] == result.training_seconds
    seen = {key: told[key, 3] for key in ("num_input_tokens_seen", "padding_share", "total_flos", "num_parameters")}
    assert seen == pytest.approx(SEEN), seen


SEEN = {
    "num_input_tokens_seen": 1663,
    "padding_share": 1 - 1663 / 1908,
    "total_flos": 6 * 1908 * (501362 - (30522 + 512 + 2) * 16),
    "num_parameters": 501362,
}
"""Of three steps, each of two batches of 8; 16 numbers for each word, each place and each of two texts are embeddings."""


@pytest.mark.slow
@pytest.mark.usefixtures("store")
def test_mlflow_has_them_and_a_resume_compares_none(tiny: Path) -> None:
    result = ftrun.run(tiny, overrides={**TRACKED, "training.max_steps": 2}, progress=False)
    found = mlflow_client(result).get_run(result.run_id).data.metrics
    assert found["train_runtime"] == pytest.approx(result.training_seconds)
    assert found["train_samples_per_second"] == pytest.approx(result.examples_per_second)
    assert not [record for record in journal_of(result.run_folder) if record["type"] == "differing"]


def test_where_not_all_parameters_are_trained_their_number_is_told() -> None:
    import torch

    model: Any = torch.nn.Sequential(torch.nn.Linear(3, 2), torch.nn.Linear(2, 1))
    assert "num_trainable_parameters" not in Totals().metrics(model, 0)
    model[0].requires_grad_(False)
    told = Totals().metrics(model, 0)
    assert (told["num_parameters"], told["num_trainable_parameters"]) == (11, 3)
