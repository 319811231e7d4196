"""One quick question to the Hugging Face Hub before anything is loaded: is it there, and at which commit?

The libraries' own answer to a missing network takes half a minute and names a folder; ours names the ways out.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from ftrun.errors import ExperimentError, Problem, RunError

ANSWER_SECONDS = 4.0
"""How long the Hub may take to say at which commit a repository is."""


@dataclass(frozen=True)
class Found:
    """A repository on the Hub.

    Attributes:
        repo_id: Its id.
        revision: What to load. By name: what is loaded by its commit alone is not found in the cache by its name.
        commit: The commit that the revision is at; None where the Hub cannot say.
        cached_only: Whether the Hub is out of reach, so that only the cache is left.
        why: Why it is out of reach.
    """

    repo_id: str
    revision: str
    commit: str | None
    cached_only: bool
    why: str = ""


def find(repo_id: str, kind: Literal["model", "dataset"], revision: str | None, place: str) -> Found:
    """Ask the Hub for a repository.

    Args:
        repo_id: Such as "google-bert/bert-base-uncased".
        kind: What it holds.
        revision: A branch, tag or commit; the main branch if None.
        place: The key in the file that names it.

    Raises:
        ExperimentError: If the Hub says that there is no such repository or revision, or that it is not for this user.
    """
    from huggingface_hub import HfApi, constants
    from huggingface_hub.errors import (
        GatedRepoError,
        HFValidationError,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    name = revision or constants.DEFAULT_REVISION
    if constants.is_offline_mode():
        return Found(repo_id, name, None, True, "HF_HUB_OFFLINE is set")
    try:
        info = HfApi().repo_info(repo_id, repo_type=kind, revision=revision, timeout=ANSWER_SECONDS)
    except GatedRepoError:
        hint = "Ask for access on its page, then log in with `hf auth login` or set HF_TOKEN."
        raise ExperimentError(Problem(f"the {kind} {repo_id} is gated", place, hint)) from None
    except RevisionNotFoundError:
        raise ExperimentError(Problem(f'the {kind} {repo_id} has no revision "{revision}"', place)) from None
    except RepositoryNotFoundError:
        hint = "Check its id; for a private one, log in with `hf auth login` or set HF_TOKEN."
        raise ExperimentError(Problem(f"the Hub has no {kind} {repo_id}", place, hint)) from None
    except HFValidationError:
        raise ExperimentError(Problem(f'"{repo_id}" is no folder here and no id of the Hub', place)) from None
    except Exception as error:  # no network, no name, no route, a proxy's page, a broken answer: no Hub, all the same
        return Found(repo_id, name, None, True, _reason(error))
    return Found(repo_id, name, info.sha, False)


def unreachable(found: Found, kind: str, place: str) -> RunError:
    """The error for what neither the Hub nor the cache gives."""
    from huggingface_hub import constants

    return RunError(
        Problem(
            f"the {kind} {found.repo_id} is not in the cache, and the Hub at {constants.ENDPOINT} is out of reach "
            f"({found.why})",
            place,
            "Ways out: go online once so that it is cached; point HF_ENDPOINT at a mirror, or HF_HOME at a cache that "
            "has it; name a local folder instead; or take the same road offline with --profile smoke.",
        )
    )


def _reason(error: Exception) -> str:
    response = getattr(error, "response", None)
    status = getattr(response, "status_code", None)
    return f"it answered {status}" if status else str(error).split("\n")[0] or type(error).__name__
