"""What of a data set is on this machine, told without opening it."""

from __future__ import annotations

from pathlib import Path

import pytest
from ftrun_plugins.datasets import FilesSettings
from ftrun_plugins.datasets.presence import file_needs, repository_needs
from ftrun_plugins.datasets.repositories import open_repository
from helpers import OwnHub


def test_each_file_is_looked_for(workdir: Path) -> None:
    Path("train.csv").touch()
    settings = FilesSettings(train="train.csv", validation="validation.csv", text_columns=["text"])  # type: ignore[call-arg]
    train, validation = file_needs(settings)
    assert (train.key, train.here, validation.key, validation.here) == ("train", True, "validation", False)


def test_lists_tables_and_patterns_are_looked_for_file_by_file(workdir: Path) -> None:
    for name in ("a.csv", "b-1.csv"):
        Path(name).touch()
    named = {"train": ["a.csv", "b-*.csv", "c-*.csv"], "validation": {"one": "a.csv", "two": "no.csv"}}
    settings = FilesSettings(**named, text_columns=["text"])  # type: ignore[arg-type]
    told = [(need.key, need.here) for need in file_needs(settings)]
    trained = [("train", True), ("train", True), ("train", False)]
    assert told == [*trained, ("validation.one", True), ("validation.two", False)]


def test_a_configuration_is_here_when_all_its_files_are_in_the_cache(
    own_hub: OwnHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    own_hub.use_here(monkeypatch)
    glue = "nyu-mll/glue"
    assert [need.here for need in repository_needs(glue, "mrpc", None)] == [False]
    opened = open_repository(glue, "mrpc", None)
    own_hub.stop()
    assert [need.here for need in repository_needs(glue, "mrpc", None)] == [True]
    assert [need.here for need in repository_needs(glue, "mrpc", opened.digest)] == [True]
    (need,) = repository_needs(glue, "stsb", None)
    assert need.here is False and "stsb/" in need.what
    (need,) = repository_needs(glue, "mrpc", "v2")
    assert need.here is False and need.what == "the data set nyu-mll/glue, mrpc, at v2"
    folder = own_hub.cache / "hub" / "datasets--nyu-mll--glue" / "snapshots" / opened.digest
    next((folder / "mrpc").glob("train-*")).unlink()
    (need,) = repository_needs(glue, "mrpc", None)
    assert need.here is False and "(mrpc/train-" in need.what and need.key == "path"


@pytest.mark.parametrize(
    ("card", "here"),
    [
        ("---\nconfigs: [{config_name: default, data_files: '*.csv'}]\n---\n", True),
        ("---\nconfigs: [{config_name: a, data_files: [{split: train, path: [rows.csv]}]}]\n---\n", True),
        ("---\nconfigs: [{config_name: a, data_files: {train: other.csv}}]\n---\n", False),
        ("---\nconfigs: 3\n---\n", True),
        ("---\n: : [\n---\n", True),
        ("no card at all", True),
    ],
)
def test_a_card_says_which_files_in_whatever_form(
    card: str, here: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    folder = tmp_path / "datasets--me--mine" / "snapshots" / "main"
    folder.mkdir(parents=True)
    (folder / "README.md").write_text(card)
    (folder / "rows.csv").touch()
    assert [need.here for need in repository_needs("me/mine", None, None)] == [here]


def test_a_folder_that_is_laid_out_like_a_repository_is_here(tmp_path: Path) -> None:
    assert [need.here for need in repository_needs(str(tmp_path), None, None)] == [True]


def test_files_of_a_pattern_a_list_or_a_table_are_looked_for_one_by_one(workdir: Path) -> None:
    (workdir / "train-1.csv").write_text("text,label\n")
    settings = FilesSettings(train=["train-*.csv", "no-*.csv"], validation={"a": "train-1.csv", "b": "b.csv"})
    assert [need.here for need in file_needs(settings)] == [True, False, True, False]
