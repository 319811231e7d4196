"""To the Hugging Face Hub: the files of a model into a repository, as one commit, or a sentence that says why not."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ftrun.errors import FtrunError, Problem, RunError
from ftrun.hub import ANSWER_SECONDS, status_of, why_no_answer

if TYPE_CHECKING:
    from huggingface_hub import HfApi

PLACE = "push.repo"
LOGIN = "Log in with `hf auth login`, or set HF_TOKEN, with a token that may write."


@dataclass(frozen=True)
class Uploaded:
    """What the Hub has now.

    Attributes:
        repo_id: Such as "user/name"; url: where to see it; commit: what it is at.
        is_new: Whether there was anything to commit.
        is_public: Whether anybody can see it.
    """

    url: str
    commit: str
    is_new: bool
    is_public: bool
    repo_id: str = ""


def obstacle() -> Problem | None:
    """What is in the way of any push, as far as it can be known without a question to the Hub; None if nothing is."""
    from huggingface_hub import constants, get_token

    if constants.is_offline_mode():
        return Problem("nothing can be pushed: HF_HUB_OFFLINE is set", PLACE, "Unset it, and push again.")
    return None if get_token() else Problem("there is no token of the Hub to push with", PLACE, LOGIN)


def upload(repo_id: str, files: Mapping[str, Path | bytes], message: str, private: bool = True) -> Uploaded:
    """Put files into a model's repository, which is made where there is none.

    Args:
        repo_id: Such as "user/name".
        files: A file of this disk, or its content, by its path in the repository; others there stay as they are.
        message: The commit's.
        private: Whether a repository that is made is private; one that is there must not be public then.

    Raises:
        RunError: If the Hub does not take them, is out of reach, or has a public repository where none is meant.
    """
    from huggingface_hub import HfApi

    if missing := obstacle():
        raise RunError(missing)
    try:
        return _upload(HfApi(), repo_id, files, message, private)
    except FtrunError:
        raise
    except Exception as error:  # no network, no name, no right, a broken answer, at any moment
        raise _told(error, repo_id) from error


def _upload(api: HfApi, repo_id: str, files: Mapping[str, Path | bytes], message: str, private: bool) -> Uploaded:
    from huggingface_hub import CommitOperationAdd

    before = _info(api, repo_id)
    if private and before is not None and not before.private:
        message = f"{repo_id} is there already and public: anybody would see the model"
        hint = "If that is meant: private = false in [push], or ftrun push RUN --public. Else name another repository."
        raise RunError(Problem(message, PLACE, hint))
    if before is None:
        api.create_repo(repo_id, private=private, exist_ok=True)
    additions = [CommitOperationAdd(name, content) for name, content in sorted(files.items())]
    commit = api.create_commit(repo_id, additions, commit_message=message)
    return Uploaded(
        url=f"{api.endpoint}/{repo_id}",
        commit=commit.oid,
        is_new=before is None or before.sha != commit.oid,
        is_public=not private if before is None else not before.private,
        repo_id=repo_id,
    )


def _info(api: HfApi, repo_id: str) -> Any:
    """What the Hub says of a repository; None where there is none that this user may see."""
    from huggingface_hub.errors import RepositoryNotFoundError

    try:
        return api.repo_info(repo_id, timeout=ANSWER_SECONDS)
    except RepositoryNotFoundError as error:
        if status_of(error) == 401:
            raise
        return None


def _told(error: Exception, repo_id: str) -> FtrunError:
    """Why the Hub did not take it, and what to do."""
    owner = repo_id.partition("/")[0]
    status = status_of(error)
    again = "Push again later: the run keeps all that is to be pushed."
    match status:
        case 401:
            hint = "Make a new one on the Hub's page of tokens, and log in with `hf auth login` or set HF_TOKEN."
            return RunError(Problem("the Hub does not take your token (it answered 401)", PLACE, hint))
        case 403:
            message = f"the Hub does not let you write to {repo_id} (it answered 403)"
            hint = f"Take a token that may write, and a user or organization that is yours: is {owner}?"
            return RunError(Problem(message, PLACE, hint))
        case 404:
            message = f"the Hub has no place for {repo_id} (it answered 404)"
            hint = f"Check its name: is there a user or organization {owner}, and are you of it?"
            return RunError(Problem(message, PLACE, hint))
        case None if isinstance(error, OSError) and error.filename:
            return RunError(Problem(f"{error.filename} cannot be read: {error.strerror}", PLACE))
        case _:
            return RunError(Problem(f"{repo_id} could not be pushed: {why_no_answer(error)}", PLACE, again))
