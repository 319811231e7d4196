"""A run goes on from the weights that it was begun with, or is refused: a folder's, and a branch's on the Hub."""

from __future__ import annotations

import shutil
from pathlib import Path

import ftrun
import pytest
from ftrun.errors import FtrunError
from helpers import OwnHub, died_after, journal_of, weights_of

BERT = "google-bert/bert-base-uncased"
FEW = {"training.max_steps": 3, "training.save_strategy": "steps", "training.save_steps": 1}


def begin(tiny: Path, checkpoint: str) -> ftrun.RunResult:
    """A whole run, from which the one that died is made."""
    model = {"model": {"use": "sequence-classification", "checkpoint": checkpoint}}
    result = ftrun.run(tiny, overrides={**FEW, **model}, progress=False)
    assert result.status == "FINISHED", result.error
    return result


def tags_of(result: ftrun.RunResult) -> dict[str, str]:
    tags: dict[str, str] = journal_of(result.run_folder)[0]["tags"]
    return tags


def refusal(run: str, **how: bool) -> str:
    try:
        result = ftrun.resume(run, progress=False, **how)
    except FtrunError as error:
        return str(error)
    return result.error or ""


@pytest.fixture
def here(own_hub: OwnHub, monkeypatch: pytest.MonkeyPatch) -> OwnHub:
    own_hub.use_here(monkeypatch)
    return own_hub


def moved_on(repositories: Path, tmp_path: Path) -> Path:
    """The repository of BERT after somebody pushed other weights."""
    from helpers import make_bert

    folder = tmp_path / "pushed"
    make_bert(folder)
    (folder / "README.md").write_text("other weights")
    return folder


def test_weights_in_a_folder_that_have_changed_are_refused(tiny: Path, repositories: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(repositories / "bert", tmp_path / "bert"))
    result = begin(tiny, "./bert")
    tags = tags_of(result)
    assert tags["ftrun.model.source"] == str(folder) and len(tags["ftrun.model.digest"]) == 64
    died = died_after(result.run_folder, 1, "died")
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-4] + b"\0\0\1\0")
    told = refusal("died")
    assert "the model's weights: the run was begun with " + tags["ftrun.model.digest"][:12] in told
    assert "--allow-changes" in told
    assert refusal("died", allow_changes=True) == ""
    assert weights_of(died) == weights_of(result.run_folder)  # a checkpoint holds all that was learnt
    resumed = next(record for record in journal_of(died) if record["type"] == "resumed")
    assert "the model's weights" in resumed["tags"]["ftrun.changed.1"]
    assert resumed["tags"]["ftrun.model.digest"] != tags["ftrun.model.digest"]


def test_a_run_of_before_digests_were_recorded_goes_on(tiny: Path, repositories: Path, tmp_path: Path) -> None:
    shutil.copytree(repositories / "bert", tmp_path / "bert")
    died = died_after(begin(tiny, "./bert").run_folder, 1, "died")
    lines = (died / "journal.jsonl").read_text().splitlines(keepends=True)
    digest = f', "ftrun.model.digest": "{journal_of(died)[0]["tags"]["ftrun.model.digest"]}"'
    assert digest in lines[0]
    (died / "journal.jsonl").write_text("".join([lines[0].replace(digest, ""), *lines[1:]]))
    assert refusal("died") == ""


def test_a_run_begun_with_the_hub_goes_on_without_it_from_the_same_commit(here: OwnHub, tiny: Path) -> None:
    result = begin(tiny, BERT)
    died = died_after(result.run_folder, 1, "died")
    here.stop()
    assert refusal("died") == "" and weights_of(died) == weights_of(result.run_folder)


def test_a_branch_that_moved_on_is_refused_with_the_hub_and_without(
    here: OwnHub, tiny: Path, repositories: Path, tmp_path: Path
) -> None:
    result = begin(tiny, BERT)
    before = tags_of(result)["ftrun.model.digest"]
    assert tags_of(result)["ftrun.model.source"].endswith(f"{BERT}@{before}")
    died_after(result.run_folder, 1, "died")
    now = here.add("model", BERT, moved_on(repositories, tmp_path))
    for _ in range(2):
        told = refusal("died")
        assert f"the model's weights: the run was begun with {before[:12]}, and now it is {now[:12]}" in told
        here.stop()  # the cache has "main" at the new commit by now


@pytest.mark.slow
def test_a_run_begun_from_the_cache_is_refused_when_the_hub_is_back_with_other_weights(
    here: OwnHub, tiny: Path, repositories: Path, tmp_path: Path
) -> None:
    from hub_stand_in import UNAVAILABLE

    first = begin(tiny, BERT)
    here.refuses = lambda path: UNAVAILABLE
    result = begin(tiny, BERT)
    assert tags_of(result)["ftrun.model.digest"] == tags_of(first)["ftrun.model.digest"]
    died_after(result.run_folder, 1, "died")
    assert refusal("died") == ""
    died_after(result.run_folder, 1, "again")
    here.refuses = lambda path: None
    here.add("model", BERT, moved_on(repositories, tmp_path))
    assert "the model's weights" in refusal("again")
