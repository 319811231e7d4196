"""NEFTune: noise on what is embedded while a model trains, and none elsewhere."""

from __future__ import annotations

import math
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import ftrun
import pytest
import torch
from ftrun.errors import ExperimentError
from ftrun.settings import TrainingSettings, validate
from ftrun.training import Fitting
from ftrun.training.noise import EmbeddingNoise
from helpers import points_of, run
from plain import WIDTH, Bag, Parts, Told

NOISY = TrainingSettings(neftune_noise_alpha=5.0)


class Embedding(Bag):
    """A bag that says what embeds."""

    def get_input_embeddings(self) -> torch.nn.Module:
        return self.words


def test_the_noise_is_that_of_transformers_and_comes_in_training_alone() -> None:
    from transformers.integrations.neftune import neftune_post_forward_hook

    model, words = Embedding(9, 3), torch.randint(1, 9, (4, 7))
    plain = model.words(words)
    noise = EmbeddingNoise(model, NOISY)
    torch.manual_seed(3)
    noisy = model.words(words)
    torch.manual_seed(3)
    module: Any = SimpleNamespace(training=True, neftune_noise_alpha=5.0)
    assert torch.allclose(noisy, neftune_post_forward_hook(module, None, plain), atol=1e-6)  # type: ignore[no-untyped-call]
    assert 0.9 < float((noisy - plain).detach().abs().max()) / (5 / math.sqrt(7 * WIDTH)) <= 1
    before = torch.get_rng_state()
    assert torch.equal(model.eval().words(words), plain) and torch.equal(torch.get_rng_state(), before)
    noise.remove()
    assert torch.equal(model.train().words(words), plain)


def test_without_the_setting_nothing_is_asked_of_a_model() -> None:
    noise = EmbeddingNoise(Bag(9, 3), TrainingSettings())
    noise.check()
    noise.remove()


def test_a_model_that_names_no_embeddings_is_told(tmp_path: Path) -> None:
    with pytest.raises(ExperimentError, match="neftune_noise_alpha: Bag names no embeddings by get_input_embeddings"):
        Fitting(Parts(tmp_path, settings={"neftune_noise_alpha": 5.0}).job(), Told(tmp_path))

    class Without(Bag):
        def get_input_embeddings(self) -> None:
            raise NotImplementedError("no embeddings here")

    with pytest.raises(ExperimentError, match="Without names no embeddings"):
        EmbeddingNoise(Without(9, 3), NOISY)


def test_embeddings_that_are_not_called_are_told() -> None:
    class Elsewhere(Bag):
        def get_input_embeddings(self) -> torch.nn.Module:
            return torch.nn.Embedding(2, 2)

    model = Elsewhere(9, 3)
    noise = EmbeddingNoise(model, NOISY)
    model(torch.randint(1, 9, (4, 7)))
    with pytest.raises(ExperimentError, match="Elsewhere got no noise: the embeddings that it names take no part"):
        noise.check()


def test_embeddings_that_share_their_weights_get_it_too() -> None:
    """As T5's, whose encoder and decoder call modules of their own."""

    class Shared(Embedding):
        def __init__(self) -> None:
            super().__init__(9, 3)
            self.shared = torch.nn.Embedding(10, WIDTH)
            self.words.weight = self.shared.weight

        def get_input_embeddings(self) -> torch.nn.Module:
            return self.shared

    model = Shared()
    noise = EmbeddingNoise(model, NOISY)
    words = torch.randint(1, 9, (4, 7))
    assert not torch.equal(model.words(words), model.shared.weight[words])
    noise.check()
    noise.remove()
    assert torch.equal(model.words(words), model.shared.weight[words])


@pytest.mark.slow
def test_the_saved_model_is_as_it_was_evaluated(tiny: Path) -> None:
    """The noise of the training stays out of evaluation, files and predictions."""
    short = {"training.max_steps": 3, "training.learning_rate": 0.0}
    plain, noisy = (run(tiny, {**short, **more}) for more in ({}, {"training.neftune_noise_alpha": 9.0}))
    assert noisy.metrics == plain.metrics
    models = [{file.name: file.read_bytes() for file in (r.run_folder / "model").iterdir()} for r in (plain, noisy)]
    assert models[0] == models[1]
    losses = [[points_of(r.run_folder)["train/loss", step] for step in (1, 2, 3)] for r in (plain, noisy)]
    assert all(one != other for one, other in zip(*losses, strict=True))


def test_a_run_of_a_model_without_embeddings_ends_in_a_sentence(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from transformers import BertForSequenceClassification

    monkeypatch.setattr(BertForSequenceClassification, "get_input_embeddings", lambda model: None)
    result = ftrun.run(tiny, overrides={"training.neftune_noise_alpha": 5.0}, progress=False)
    assert result.status == "FAILED" and result.error
    assert "training.neftune_noise_alpha: BertForSequenceClassification names no embeddings" in result.error


@pytest.mark.parametrize("value", [0, -1.0, float("nan"), float("inf"), True, "5"])
def test_what_is_no_amount_of_noise_is_refused(value: Any) -> None:
    _, problems = validate(TrainingSettings, {"neftune_noise_alpha": value}, "training")
    assert [problem.place for problem in problems] == ["training.neftune_noise_alpha"]
