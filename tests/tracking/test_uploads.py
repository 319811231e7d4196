"""A folder that broke off goes on with the files that are missing."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from ftrun.tracking.uploads import upload


class Store:
    """MLflow's client, as far as files go."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.files: dict[str, int | None] = {}
        self.taken: list[str] = []
        self.fails_at: str | None = None

    def log_artifact(self, run_id: str, path: str, parent: str | None) -> None:
        name = Path(path).relative_to(self.root).as_posix()
        assert parent == (name.rpartition("/")[0] or None)
        if name == self.fails_at:
            raise OSError("away")
        self.taken.append(name)
        self.files[name] = Path(path).stat().st_size

    def list_artifacts(self, run_id: str, path: str) -> list[Any]:
        below = {name: size for name, size in self.files.items() if name.startswith(f"{path}/")}
        folders = {f"{path}/{name[len(path) + 1 :].partition('/')[0]}" for name in below} - set(below)
        files = [
            SimpleNamespace(path=name, is_dir=False, file_size=below[name])
            for name in below
            if name.count("/") == path.count("/") + 1
        ]
        return [*files, *(SimpleNamespace(path=name, is_dir=True, file_size=None) for name in folders)]


@pytest.fixture
def store(tmp_path: Path) -> Store:
    (tmp_path / "model" / "deep").mkdir(parents=True)
    for name in ("a", "b", "deep/c"):
        (tmp_path / "model" / name).write_text(name)
    (tmp_path / "alone").write_text("alone")
    return Store(tmp_path)


def sent(store: Any, path: str, begun: str | None = None) -> list[str]:
    store.taken.clear()
    doing: list[str] = []
    upload(store, "1", store.root, path, doing.append, begun)
    assert doing == store.taken
    return list(store.taken)


def test_a_file_and_a_folder_go_where_they_are(store: Store) -> None:
    assert sent(store, "alone") == ["alone"]
    assert sent(store, "model") == ["model/a", "model/b", "model/deep/c"]


def test_what_broke_off_goes_on_with_what_is_missing_or_of_another_size(store: Store) -> None:
    store.fails_at = "model/deep/c"
    with pytest.raises(OSError):
        sent(store, "model")
    store.fails_at = None
    store.files["model/a"] = 0
    assert sent(store, "model", begun="model/deep/c") == ["model/a", "model/deep/c"]
    store.files["model/b"] = None
    assert sent(store, "model", begun="model/deep/c") == ["model/b"]


@pytest.mark.parametrize("begun", [None, "model2/a", "experiment.toml"])
def test_a_folder_that_is_sent_again_is_sent_whole(store: Store, begun: str | None) -> None:
    whole = sent(store, "model")
    assert sent(store, "model", begun) == whole
