"""Files and folders of a run, sent to MLflow; of a folder, a second attempt sends what is missing."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mlflow import MlflowClient


def upload(
    client: MlflowClient, run_id: str, root: Path, path: str, doing: Callable[[str], None], begun: str | None = None
) -> None:
    """Send a file or a folder.

    Args:
        client: MLflow's.
        run_id: MLflow's id of the run.
        root: The run folder.
        path: In the run folder, with slashes; MLflow has it under the same.
        doing: Called with each file as it is begun.
        begun: The file that an earlier attempt at the same came to; None where there was none: what MLflow has under
            these names may then be of before, and is replaced.
    """
    local = root / path
    if not local.is_dir():
        _send(client, run_id, root, path, doing)
        return
    again = begun is not None and begun.startswith(f"{path}/")
    there = dict(_sizes(client, run_id, path)) if again else {}
    for file in sorted(found for found in local.rglob("*") if found.is_file()):
        name = file.relative_to(root).as_posix()
        if there.get(name) != file.stat().st_size:
            _send(client, run_id, root, name, doing)


def _send(client: MlflowClient, run_id: str, root: Path, name: str, doing: Callable[[str], None]) -> None:
    doing(name)
    parent = PurePosixPath(name).parent.as_posix()
    client.log_artifact(run_id, str(root / name), None if parent == "." else parent)


def _sizes(client: MlflowClient, run_id: str, path: str) -> Iterator[tuple[str, int | None]]:
    """The files that MLflow has in a folder and below it, with their sizes in bytes, where it knows them."""
    for found in client.list_artifacts(run_id, path):
        if found.is_dir:
            yield from _sizes(client, run_id, found.path)
        else:
            yield found.path, found.file_size
