"""What is frozen stays as it is, on every backend, and a look and the record say how much is trained."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import ftrun
import pytest
from click.testing import CliRunner
from ftrun.cli import group
from ftrun.errors import ExperimentError
from ftrun_plugins.models.freezing import freeze
from helpers import BACKENDS, journal_of, points_of, run, slow, weights_of

SMALL = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32, "vocab_size": 99}
LAYERS: dict[str, tuple[dict[str, Any], str, str]] = {
    "bert": (SMALL, "bert.embeddings.", "bert.encoder.layer.{}."),
    "roberta": (SMALL, "roberta.embeddings.", "roberta.encoder.layer.{}."),
    "modernbert": ({**SMALL, "pad_token_id": 0}, "model.embeddings.", "model.layers.{}."),
    "qwen2": ({**SMALL, "num_key_value_heads": 1, "pad_token_id": 0}, "model.embed_tokens.", "model.layers.{}."),
    "distilbert": (
        {"dim": 16, "n_layers": 2, "n_heads": 2, "hidden_dim": 32, "vocab_size": 99},
        "distilbert.embeddings.",
        "distilbert.transformer.layer.{}.",
    ),
    "gpt2": ({"n_embd": 16, "n_layer": 2, "n_head": 2, "vocab_size": 99}, "transformer.w", "transformer.h.{}."),
}


def made(family: str, settings: dict[str, Any]) -> Any:
    from transformers import AutoConfig, AutoModelForSequenceClassification

    return AutoModelForSequenceClassification.from_config(AutoConfig.for_model(family, **settings))


@pytest.mark.parametrize("family", LAYERS)
def test_the_first_layers_are_frozen_with_the_embeddings(family: str) -> None:
    settings, embeddings, layer = LAYERS[family]
    model = made(family, settings)
    freeze(model, 1)
    frozen = {name for name, parameter in model.named_parameters() if not parameter.requires_grad}
    expected = {name for name in model.state_dict() if name.startswith((embeddings, layer.format(0)))}
    assert frozen == expected & {name for name, _ in model.named_parameters()} and len(frozen) > 3
    freeze(model, "base")
    left = {name for name, parameter in model.named_parameters() if parameter.requires_grad}
    assert left and not any(name.startswith(f"{model.base_model_prefix}.") for name in left)


def test_more_layers_than_there_are_are_refused_and_layers_that_are_no_single_list() -> None:
    with pytest.raises(ExperimentError, match=r"model\.freeze: the model has 2 layers, and 3 are to be frozen"):
        freeze(made("bert", SMALL), 3)
    t5 = {"d_model": 16, "d_kv": 8, "d_ff": 32, "num_layers": 2, "num_heads": 2, "vocab_size": 99}
    with pytest.raises(ExperimentError, match="T5ForSequenceClassification are not one after another"):
        freeze(made("t5", t5), 1)


@pytest.mark.parametrize("frozen", [slow(1), slow("base")])
def test_what_is_frozen_stays_as_it_was_on_every_backend(tiny: Path, frozen: Any) -> None:
    short = {"training.max_steps": 3, "training.weight_decay": 0.1, "model.freeze": frozen}
    results = [run(tiny, {**short, "backend.use": backend}) for backend in BACKENDS]
    for other in results[1:]:
        assert points_of(other.run_folder) == points_of(results[0].run_folder)
        assert weights_of(other.run_folder) == weights_of(results[0].run_folder)
    told = next(record for record in reversed(journal_of(results[0].run_folder)) if "num_trainable" in str(record))
    assert "num_parameters" in str(told)


@pytest.mark.slow
def test_a_run_with_frozen_layers_goes_on_to_the_same_end(tiny: Path) -> None:
    from helpers import died_after

    settings = {"model.freeze": 1, "training.save_strategy": "steps", "training.save_steps": 2}
    undisturbed = run(tiny, settings)
    result = ftrun.resume(died_after(undisturbed.run_folder, 4, "died"), backend="trainer", progress=False)
    assert result.status == "FINISHED", result.error
    assert weights_of(result.run_folder) == weights_of(undisturbed.run_folder)


@pytest.mark.slow
def test_a_deep_look_says_how_much_is_trained(tiny: Path) -> None:
    looked = CliRunner().invoke(group, ["check", "--deep", str(tiny), "--set", "model.freeze=base"])
    assert looked.exit_code == 0, looked.output
    assert "34 of them trained" in looked.output


@pytest.mark.parametrize("wrong", ["head", -1, True, 1.5])
def test_what_is_neither_the_base_nor_a_number_of_layers_is_refused(tiny: Path, wrong: Any) -> None:
    from ftrun.planning.catalogue import load_catalogue
    from ftrun.planning.experiment import load_experiment
    from ftrun.planning.plan import make_plan

    with pytest.raises(ExperimentError, match=r"model\.freeze: must be"):
        make_plan(load_experiment(tiny, None, {"model.freeze": wrong}), load_catalogue())
