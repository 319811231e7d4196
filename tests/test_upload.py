"""Files into a repository of the Hub, and what is said where it does not take them."""

from __future__ import annotations

from pathlib import Path

import pytest
from ftrun.errors import RunError
from ftrun.upload import upload
from helpers import OwnHub
from hub_stand_in import TOO_MANY_REQUESTS, Refusal

TOKEN = "hf_" + "aB3" * 12


@pytest.fixture
def pushing(own_hub: OwnHub, monkeypatch: pytest.MonkeyPatch) -> OwnHub:
    """A Hub that this process finds, and has a token of."""
    own_hub.use_here(monkeypatch)
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    return own_hub


def test_files_are_one_commit_and_the_same_files_none(pushing: OwnHub, tmp_path: Path) -> None:
    (tmp_path / "weights").write_bytes(b"\0\1" * 1000)
    files = {"weights": tmp_path / "weights", "deep/README.md": b"# mine\n"}
    first = upload("me/mine", files, "the first")
    assert (first.is_new, first.is_public, first.url) == (True, False, f"{pushing.address}/me/mine")
    assert (pushing.pushed / "me/mine/weights").read_bytes() == b"\0\1" * 1000
    assert (pushing.pushed / "me/mine/deep/README.md").read_text() == "# mine\n"
    again = upload("me/mine", files, "again")
    assert (again.is_new, again.commit) == (False, first.commit)
    changed = upload("me/mine", {"weights": b"other"}, "the second")
    assert changed.is_new and pushing.commits == ["the first", "the second"]
    assert (pushing.pushed / "me/mine/deep/README.md").is_file()


def test_a_model_is_public_only_where_that_is_said(pushing: OwnHub) -> None:
    assert upload("me/mine", {"a": b"1"}, "a", private=False).is_public
    assert pushing.private == set()
    assert not upload("me/other", {"a": b"1"}, "a").is_public and pushing.private == {"me/other"}
    with pytest.raises(RunError, match=r"me/mine is there already and public(.|\n)*private = false .* --public"):
        upload("me/mine", {"a": b"2"}, "b", private=True)
    assert (pushing.pushed / "me/mine/a").read_bytes() == b"1" and len(pushing.commits) == 2
    assert not upload("me/other", {"a": b"2"}, "c", private=False).is_public, "it is there, and stays as it is"


@pytest.mark.parametrize(
    ("refusal", "sentences"),
    [
        (Refusal(401), ["the Hub does not take your token (it answered 401)", "Make a new one"]),
        (Refusal(403), ["the Hub does not let you write to me/mine (it answered 403)", "a token that may write"]),
        (Refusal(404), ["the Hub has no place for me/mine (it answered 404)", "is there a user or organization me"]),
        (Refusal(500), ["me/mine could not be pushed: the Hub at", "is down (it answered 500)", "Push again later"]),
        (TOO_MANY_REQUESTS, ["me/mine could not be pushed:", "asked too often"]),
    ],
    ids=lambda case: str(case.status) if isinstance(case, Refusal) else "",
)
def test_a_refusal_is_a_sentence_with_what_to_do(pushing: OwnHub, refusal: Refusal, sentences: list[str]) -> None:
    pushing.refuses = lambda path: refusal if path == "/api/repos/create" else None
    with pytest.raises(RunError) as refused:
        upload("me/mine", {"a": b"1"}, "a")
    assert all(sentence in str(refused.value) for sentence in sentences), str(refused.value)


def test_a_token_that_is_not_taken_at_the_first_question(pushing: OwnHub) -> None:
    pushing.refuses = lambda path: Refusal(401, "", "Invalid credentials in Authorization header")
    with pytest.raises(RunError, match=r"the Hub does not take your token \(it answered 401\)"):
        upload("me/mine", {"a": b"1"}, "a")


def test_without_a_token_nothing_is_asked(pushing: OwnHub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HF_TOKEN")
    with pytest.raises(RunError, match=r"there is no token of the Hub(.|\n)*hf auth login"):
        upload("me/mine", {"a": b"1"}, "a")
    assert pushing.asked == []


def test_where_there_is_no_hub_that_is_told(pushing: OwnHub) -> None:
    pushing.stop()
    with pytest.raises(RunError, match=r"me/mine could not be pushed: the Hub at http\S+ is out of reach"):
        upload("me/mine", {"a": b"1"}, "a")


def test_offline_is_offline(pushing: OwnHub, monkeypatch: pytest.MonkeyPatch) -> None:
    import huggingface_hub.constants

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(RunError, match="HF_HUB_OFFLINE is set"):
        upload("me/mine", {"a": b"1"}, "a")
