"""MLflow's stores: how one is opened, and a new SQLite store made.

With `sender.py` all that imports mlflow, and it does so when it is called.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from filelock import FileLock

from ftrun.redaction import redacted_uri

if TYPE_CHECKING:
    from mlflow import MlflowClient

TELEMETRY_OFF = {"MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "true"}
HTTP = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0", "MLFLOW_HTTP_REQUEST_TIMEOUT": "20"}
"""Unless the user says otherwise; the timeout is in seconds. The feeder itself tries again, after a look at what has
arrived; the client's own retries would create a run anew whose first creation was only answered too late."""
ARTIFACT_SECONDS = "600"
"""What a store may take to answer for one file."""
STORE_SECONDS = 600.0
"""What the making of a store never takes."""


def client_environment() -> dict[str, str]:
    """The environment of this process, as it must be before mlflow is imported."""
    return {**HTTP, **os.environ, **TELEMETRY_OFF}


def default_uri() -> str:
    """Where MLflow itself goes, which the working folder decides."""
    import mlflow

    return mlflow.get_tracking_uri()


def open_store(uri: str, working_folder: Path) -> MlflowClient:
    """A client of a store that has answered; the store is made if it is a new one.

    Args:
        uri: The store's, with its credentials.
        working_folder: MLflow puts the artifacts of a new SQLite store's experiments below it, if it is there.
    """
    inside = contextlib.chdir(working_folder) if working_folder.is_dir() else contextlib.nullcontext()
    with _first_opening(uri), inside:
        return _opened(uri)


def is_made(uri: str) -> bool:
    """Whether a store is known to be there already, so that to open it makes nothing."""
    if uri.startswith("http"):
        return True
    file = _sqlite_file(uri)
    return file is not None and file.exists() and file.stat().st_size > 0


def is_missing(uri: str) -> bool:
    """Whether a store is a SQLite file that is not there; of another store only asking tells."""
    file = _sqlite_file(uri)
    return file is not None and not file.exists()


@contextlib.contextmanager
def artifact_patience() -> Iterator[None]:
    """The client reads its timeout from the environment at every call; a file may take longer than a few numbers."""
    name = "MLFLOW_HTTP_REQUEST_TIMEOUT"
    before = os.environ.get(name)
    if before == HTTP[name]:
        os.environ[name] = ARTIFACT_SECONDS
    try:
        yield
    finally:
        if before is not None:
            os.environ[name] = before


@contextlib.contextmanager
def _first_opening(uri: str) -> Iterator[None]:
    """Two processes that open a new store at once break it, and one that dies while its tables are made leaves one that
    nobody can open: the first to come makes them all, aside.
    """
    if uri.startswith("http"):
        yield
        return
    file = _sqlite_file(uri)
    store = str(file.resolve()) if file else redacted_uri(uri)
    name = f"ftrun-{os.getuid()}-{hashlib.sha256(store.encode()).hexdigest()[:16]}.lock"
    with FileLock(Path(tempfile.gettempdir()) / name):
        if file and not file.exists():
            _make_sqlite_store(file, uri)
        yield


def _make_sqlite_store(path: Path, uri: str) -> None:
    """Make a SQLite store; it has its name from when it is whole, unless somebody else was faster."""
    from sqlalchemy.engine import make_url

    path.parent.mkdir(parents=True, exist_ok=True)
    prefix = f".{path.name}.new-"
    for left in path.parent.glob(f"{prefix}*"):
        if time.time() - left.stat().st_mtime > STORE_SECONDS:  # by one that died
            shutil.rmtree(left, ignore_errors=True)
    with tempfile.TemporaryDirectory(prefix=prefix, dir=path.parent, ignore_cleanup_errors=True) as aside:
        made = Path(aside) / path.name
        _opened(make_url(uri).set(database=str(made)).render_as_string(hide_password=False))
        try:
            os.link(made, path)
        except FileExistsError:
            pass
        except OSError:  # a file system without links
            if not path.exists():
                made.rename(path)


def _sqlite_file(uri: str) -> Path | None:
    """The file of a SQLite store, there or not; None for any other store."""
    if not uri.startswith("sqlite"):
        return None
    from sqlalchemy.engine import make_url

    database = make_url(uri).database or ":memory:"
    return None if database.startswith((":", "file:")) else Path(database)


def _opened(uri: str) -> MlflowClient:
    import mlflow

    client = mlflow.MlflowClient(tracking_uri=_as_it_is(uri))
    client.search_experiments(max_results=1)
    return client


def _as_it_is(uri: str) -> str:
    """A SQLite store's URI with its path as it is on disk, as far as a URI can have it: MLflow makes the folder of the
    path as it stands there, and where a space is %20, that is another one.
    """
    file = _sqlite_file(uri)
    if file is None:
        return uri
    head, (_, mark, query) = uri.partition(":///")[0], uri.partition("?")
    path = re.sub("[%?#]", lambda found: quote(found[0], safe=""), str(file))
    if head == "sqlite" and path != str(file):
        head = "sqlite+pysqlite"  # the same, of which MLflow makes no folders: they would be called %25 for %
    return f"{head}:///{path}{mark}{query}"


def artifacts_of(name: str, uri: str, working_folder: Path) -> str | None:
    """Where the artifacts of a new experiment go; None where MLflow's own choice is right.

    It takes the path of a folder for a URI, and where that has %20 in it, goes to another one.
    """
    folder = working_folder.absolute()
    if _sqlite_file(uri) is None or "%" not in str(folder) or not folder.is_dir():
        return None
    return (folder / "mlruns" / hashlib.sha256(name.encode()).hexdigest()[:16]).as_uri()
