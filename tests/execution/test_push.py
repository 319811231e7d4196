"""A run's model on the Hub, when the run is finished and later."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import ftrun
import pytest
from ftrun.errors import ExperimentError, RunError
from ftrun.execution import push as pushes
from ftrun.execution.push import foreseen, push, push_finished, push_settings, pushed_sentence
from ftrun.planning.experiment import PushSettings
from ftrun.runs.folder import RunFolder
from ftrun.upload import Uploaded
from helpers import Ftrun, Hub, OwnHub, begun, journal_of, plan_of, rows_of, run, splits_of
from hub_stand_in import Refusal

TOKEN = "hf_" + "aB3" * 12
PUSHED = {"push.repo": "me/mine", "training.max_steps": 2}


@pytest.fixture
def pushing(own_hub: OwnHub, monkeypatch: pytest.MonkeyPatch) -> OwnHub:
    """A Hub that this process finds, and has a token of."""
    own_hub.use_here(monkeypatch)
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    return own_hub


def test_a_finished_run_puts_its_model_there(tiny: Path, pushing: OwnHub, capfd: pytest.CaptureFixture[str]) -> None:
    result = ftrun.run(tiny, overrides=PUSHED)
    assert result.status == "FINISHED"
    there = pushing.pushed / "me/mine"
    for file in (result.run_folder / "model").iterdir():
        assert (there / file.name).read_bytes() == file.read_bytes()
    card = (there / "README.md").read_text()
    assert "pipeline_tag: text-classification" in card and "| eval/f1 |" in card and "seed = 1" in card
    assert pushing.private == {"me/mine"} and pushing.commits == [f"The model of the run {result.run}"]
    assert f"note: the model is at {pushing.address}/me/mine at commit" in capfd.readouterr().out

    again = push(RunFolder(result.run_folder), push_settings(RunFolder(result.run_folder)))
    assert not again.is_new and len(pushing.commits) == 1
    told = [record["tags"] for record in journal_of(result.run_folder)[-2:] if record["type"] == "tags"]
    assert told == [{"ftrun.pushed": f"me/mine@{again.commit}"}], "on the record, once, behind the end"
    assert '[push]\nrepo = "me/mine"\nprivate = true' in (result.run_folder / "experiment.toml").read_text()


@pytest.mark.slow
def test_a_push_that_fails_is_told_and_done_later(
    tiny: Path, pushing: OwnHub, ftrun_command: Ftrun, capfd: pytest.CaptureFixture[str]
) -> None:
    pushing.refuses = lambda path: Refusal(403)
    result = ftrun.run(tiny, overrides=PUSHED)
    assert result.status == "FINISHED" and result.error is None
    told = capfd.readouterr().out
    assert "note: the model is not pushed: push.repo: the Hub does not let you write to me/mine" in told
    assert f"to push it later: ftrun push {result.run}" in told
    env = {**pushing.env, "HF_TOKEN": TOKEN}
    refused = ftrun_command("push", result.run, env=env)
    assert refused.returncode == 1 and "(it answered 403)" in refused.stderr and "Traceback" not in refused.stderr
    pushing.refuses = lambda path: None
    done = ftrun_command("push", result.run, env=env)
    assert done.returncode == 0 and f"{result.run}: the model is at {pushing.address}/me/mine" in done.stdout
    elsewhere = ftrun_command("push", result.run, "--repo", "us/ours", env=env)
    assert elsewhere.returncode == 0 and (pushing.pushed / "us/ours/model.safetensors").is_file()
    (listed,) = json.loads(ftrun_command("runs", "--json").stdout)
    assert listed["pushed"].startswith("us/ours@") and listed["state"] == "finished"


def test_nothing_goes_anywhere_by_default(tiny: Path, pushing: OwnHub) -> None:
    folder = RunFolder(run(tiny, {"training.max_steps": 1}).run_folder)
    assert not [asked for asked in pushing.asked if "me/" in asked or "POST" in asked] and not pushing.pushed.exists()
    with pytest.raises(ExperimentError, match=r"names no repository to push to(.|\n)*--repo USER/NAME"):
        push_settings(folder)
    with pytest.raises(ExperimentError, match='must be a repository of the Hub, such as "user/name", not "mine"'):
        push_settings(folder, "mine")
    assert push_settings(folder, "me/mine") == PushSettings(repo="me/mine", private=True)
    assert push_settings(folder, "me/mine", public=True) == PushSettings(repo="me/mine", private=False)


def test_a_run_without_a_model_has_nothing_to_push(tiny: Path) -> None:
    folder = begun(plan_of(tiny), splits_of(rows_of(text=["a"], label=[0])))
    with pytest.raises(RunError, match=r"is not finished(.|\n)*ftrun resume"):
        push(folder, PushSettings(repo="me/mine"))
    with folder.journal.open("a") as journal:
        journal.write(json.dumps({"type": "end", "time": 1, "status": "FINISHED"}) + "\n")
    with pytest.raises(RunError, match="has no model to push"):
        push(folder, PushSettings(repo="me/mine"))


def test_that_a_push_will_fail_is_said_before_training(
    tiny: Path, pushing: OwnHub, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    assert foreseen(PushSettings(repo="me/mine")) is None
    monkeypatch.delenv("HF_TOKEN")
    assert foreseen(PushSettings()) is None
    assert ftrun.run(tiny, overrides=PUSHED).status == "FINISHED"
    before, _, after = capfd.readouterr().out.partition("training: 2 steps")
    assert "the model will not be pushed: push.repo: there is no token of the Hub" in before
    assert "the model is not pushed: push.repo: there is no token of the Hub" in after


@pytest.mark.parametrize(
    ("fault", "told"),
    [(KeyboardInterrupt(), "the push was interrupted; to push it"), (ValueError("oh"), "the model is not pushed: oh")],
)
def test_whatever_happens_to_a_push_the_run_is_as_it_is(
    tiny: Path, monkeypatch: pytest.MonkeyPatch, fault: BaseException, told: str
) -> None:
    def fails(*_: object) -> Uploaded:
        raise fault

    monkeypatch.setattr(pushes, "push", fails)
    sentence = push_finished(RunFolder(Path("runs") / "tiny"), PushSettings(repo="me/mine"))
    assert sentence.startswith(told) and "ftrun push tiny" in sentence


def test_what_is_public_is_said() -> None:
    there = Uploaded("http://hub/me/mine", "0123456789abcdef", is_new=True, is_public=True)
    sentence = "the model is at http://hub/me/mine at commit 0123456789ab, where anybody can see it"
    assert pushed_sentence(there) == sentence
    same = dataclasses.replace(there, is_new=False, is_public=False)
    assert pushed_sentence(same) == "nothing has changed: the model is at http://hub/me/mine at commit 0123456789ab"


@pytest.mark.slow
def test_the_other_stand_in_takes_it_too(tiny: Path, hub: Hub, ftrun_command: Ftrun) -> None:
    result = run(tiny, {"training.max_steps": 1})
    env = {**hub.env, "HF_TOKEN": TOKEN}
    done = ftrun_command("push", result.run, "--repo", "tester/mine", env=env)
    assert done.returncode == 0 and f"the model is at {hub.address}/tester/mine" in done.stdout, done.stderr
    refused = ftrun_command("push", result.run, "--repo", "tester/mine", env=env)  # it tells of public ones alone
    assert refused.returncode == 1 and "is there already and public" in refused.stderr, refused.stderr
    again = ftrun_command("push", result.run, "--repo", "tester/mine", "--public", env=env)
    assert "nothing has changed" in again.stdout, again.stdout + again.stderr
