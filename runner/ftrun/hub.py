"""The Hugging Face Hub: one quick question before anything is loaded, and the files that are wanted, at one commit.

The libraries' own answer to a missing network takes half a minute and names a folder; ours names the ways out.
"""

from __future__ import annotations

import glob
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

from ftrun.errors import ExperimentError, FtrunError, Problem, RunError

__all__ = [
    "HOW_TO_CACHE",
    "WAYS_OUT",
    "Found",
    "Kind",
    "cache_notices",
    "cached",
    "fetch",
    "find",
    "listing",
    "unreachable",
]

ANSWER_SECONDS = 4.0
"""How long the Hub may take to say at which commit a repository is."""

Kind = Literal["model", "dataset"]
"""What a repository holds."""
HOW_TO_CACHE = "`ftrun check --deep FILE` puts it into the cache, once online; or name a folder that has it"
"""What to do where the cache lacks something of the Hub."""
WAYS_OUT = (
    "go online once so that it is cached; point HF_ENDPOINT at a mirror, or HF_HOME at a cache that has it; name a "
    "local folder instead; or take the same road offline with --profile smoke."
)
"""What to do where the Hub cannot be reached."""


@dataclass(frozen=True)
class Found:
    """A repository on the Hub.

    Attributes:
        repo_id: Its id.
        kind: What it holds.
        place: The key in the file that names it.
        revision: What to load. By name: what is loaded by its commit alone is not found in the cache by its name.
        files: The paths of its files; empty where only the cache is left.
        why: Why only the cache is left, as a clause; None where the Hub answered.
    """

    repo_id: str
    kind: Kind
    place: str
    revision: str
    files: tuple[str, ...] = ()
    why: str | None = None

    @property
    def cached_only(self) -> bool:
        """Whether only the cache is left."""
        return self.why is not None


def find(repo_id: str, kind: Kind, revision: str | None, place: str) -> Found:
    """Ask the Hub for a repository.

    Args:
        repo_id: Such as "google-bert/bert-base-uncased".
        kind: What it holds.
        revision: A branch, tag or commit; the main branch if None.
        place: The key in the file that names it.

    Raises:
        ExperimentError: If the Hub says that there is no such repository or revision, or that it is not for this user.
        RunError: If the Hub does not take the user's token.
    """
    from huggingface_hub import HfApi, constants
    from huggingface_hub.errors import HFValidationError

    found = partial(Found, repo_id, kind, place, revision or constants.DEFAULT_REVISION)
    if constants.is_offline_mode():
        return found(why="HF_HUB_OFFLINE is set")
    try:
        info = HfApi().repo_info(repo_id, repo_type=kind, revision=revision, timeout=ANSWER_SECONDS)
    except HFValidationError:
        raise ExperimentError(Problem(f'"{repo_id}" is no folder here and no id of the Hub', place)) from None
    except Exception as error:  # no network, no name, no route, a proxy's page, a broken answer: no Hub, all the same
        if refusal := _refusal(error, found()):
            raise refusal from None
        return found(why=why_no_answer(error))
    siblings: Any = getattr(info, "siblings", None)
    return found(tuple(sibling.rfilename for sibling in siblings or ()))


def listing(found: Found) -> Sequence[str]:
    """The paths of a repository's files, as the Hub says or as the cache remembers; empty if neither does."""
    from huggingface_hub import get_cached_repo_tree
    from huggingface_hub.errors import CachedRepoTreeNotFoundError

    if not found.cached_only:
        return found.files
    try:
        return [
            file.path for file in get_cached_repo_tree(found.repo_id, repo_type=found.kind, revision=found.revision)
        ]
    except CachedRepoTreeNotFoundError:
        return ()


def cached(repo_id: str, kind: Kind, revision: str | None = None) -> Path | None:
    """The folder in the cache with what is there of a repository at a revision; None if nothing is. Since 1.2.

    No network is asked, and it is not said whether all files are there.
    """
    from huggingface_hub import constants

    folder = Path(constants.HF_HUB_CACHE) / f"{kind}s--{repo_id.replace('/', '--')}"
    wanted = revision or constants.DEFAULT_REVISION
    reference = folder / "refs" / wanted
    commit = reference.read_text(encoding="utf-8").strip() if reference.is_file() else wanted
    snapshot = folder / "snapshots" / commit
    return snapshot if snapshot.is_dir() else None


def fetch(found: Found, files: Sequence[str], revision: str | None = None, anew: bool = False) -> Path:
    """A folder on this disk with the files of a repository, fetched where the cache has them not.

    Args:
        found: The repository.
        files: The paths of those that are wanted; others may be there, too.
        revision: Another name of what `found` names: the commit, for more files of the same one.
        anew: Whether to fetch what the cache has already, since it is damaged.

    Returns:
        The folder; its name is the commit.

    Raises:
        ExperimentError: If the Hub says that the files are not for this user.
        RunError: If neither the Hub nor the cache gives them.
    """
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import LocalEntryNotFoundError

    try:
        folder = snapshot_download(
            found.repo_id,
            repo_type=found.kind,
            revision=revision or found.revision,
            local_files_only=found.cached_only,
            allow_patterns=[glob.escape(file) for file in files],
            force_download=anew,
        )
    except LocalEntryNotFoundError as error:
        if found.cached_only:
            raise unreachable(found) from error
        cause = error.__cause__ or error
        raise _refusal(cause, found) or _broken_off(found, cause) from error
    except Exception as error:  # the network may go, and the disk may fill, at any moment
        raise _refusal(error, found) or _broken_off(found, error) from error
    return Path(folder)


def cache_notices(found: Found, folder: Path) -> list[str]:
    """That a branch or tag is as the cache has it, since the Hub did not say where it is now; nothing of a commit."""
    if not found.cached_only or found.revision == folder.name:
        return []
    taken = f'the {found.kind} {found.repo_id} is taken from the cache, which has "{found.revision}" at {folder.name}'
    return [f"{found.why}: {taken}"]


def unreachable(found: Found) -> RunError:
    """The error for what neither the Hub nor the cache gives."""
    message = f"the {found.kind} {found.repo_id} is not in the cache, and {found.why}"
    return RunError(Problem(message, found.place, f"Ways out: {WAYS_OUT}"))


def _refusal(error: BaseException, found: Found) -> FtrunError | None:
    """What the Hub said no to, for good; None if it said nothing of the kind."""
    from huggingface_hub import get_token
    from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError, RevisionNotFoundError

    name, status = f"{found.kind} {found.repo_id}", status_of(error)
    login = "log in with `hf auth login` or set HF_TOKEN."
    if isinstance(error, GatedRepoError):
        hint = f"Ask for access on its page, then {login}"
        return ExperimentError(Problem(f"the {name} is gated", found.place, hint))
    if isinstance(error, RevisionNotFoundError):
        return ExperimentError(Problem(f'the {name} has no revision "{found.revision}"', found.place))
    if status == 401 and get_token():
        hint = (
            "Make a new one on the Hub's page of tokens, and log in with `hf auth login` or set HF_TOKEN; or unset it."
        )
        message = f"the Hub does not take your token (it answered 401 when asked for the {name})"
        return RunError(Problem(message, found.place, hint))
    if isinstance(error, RepositoryNotFoundError) or status == 401:
        hint = f"Check its id; for a private one, {login}"
        return ExperimentError(Problem(f"the Hub has no {name}", found.place, hint))
    if status == 403:
        message = f"the Hub does not give you the {name} (it answered 403)"
        return ExperimentError(Problem(message, found.place, "Your token may lack the permission to read it."))
    return None


def why_no_answer(error: BaseException) -> str:
    """Why the Hub gave nothing, as a clause."""
    from huggingface_hub import constants

    hub = f"the Hub at {constants.ENDPOINT}"
    status = status_of(error)
    if status == 429:
        seconds = _seconds_to_wait(error)
        wait = f"{seconds} seconds" if seconds is not None else "a while"
        return f"{hub} was asked too often (it answered 429): wait {wait}"
    if status and status >= 500:
        return f"{hub} is down (it answered {status})"
    if status:
        return f"{hub} gave no answer that can be read (it answered {status})"
    return f"{hub} is out of reach ({str(error).splitlines()[0] if str(error) else type(error).__name__})"


def _seconds_to_wait(error: BaseException) -> int | None:
    from huggingface_hub.utils import parse_ratelimit_headers  # type: ignore[attr-defined]

    headers: Any = error.response.headers  # type: ignore[attr-defined]
    if (after := headers.get("Retry-After", "")).isdigit():
        return int(after)
    limit = parse_ratelimit_headers(headers)
    return limit.reset_in_seconds if limit else None


def _broken_off(found: Found, error: BaseException) -> RunError:
    why = (
        why_no_answer(error)
        if _is_of_the_network(error)
        else next(iter(str(error).splitlines()), "") or type(error).__name__
    )
    message = f"the {found.kind} {found.repo_id} could not be fetched: {why}"
    return RunError(Problem(message, found.place, "Run it again later: what has been fetched is kept."))


def _is_of_the_network(error: BaseException) -> bool:
    return status_of(error) is not None or not isinstance(error, OSError) or isinstance(error, ConnectionError)


def status_of(error: BaseException) -> int | None:
    """The HTTP status that an error of the Hub's client tells of; None if it tells of none."""
    response: Any = getattr(error, "response", None)
    return getattr(response, "status_code", None)
