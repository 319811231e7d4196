"""`ftrun cache`: what tokenized data takes on the disk, and to be rid of it."""

from __future__ import annotations

import json
from pathlib import Path

import click.testing
import pytest
from benches import A, B, Bench
from ftrun.cli.cache import command as cache_command
from ftrun.execution.encoded_cache import EncodedCache, encoded_cache_folder


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path / "cache")


def cache(*arguments: str) -> click.testing.Result:
    return click.testing.CliRunner().invoke(cache_command, arguments, standalone_mode=False)


@pytest.fixture
def own_cache(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> Bench:
    monkeypatch.setenv("HF_DATASETS_CACHE", str(bench.folder))
    bench.folder = encoded_cache_folder()
    return bench


def test_the_command_shows_what_is_there_and_clears_it(own_cache: Bench) -> None:
    assert "0 tokenized splits, 0 bytes of at most 20 GiB" in cache().output
    own_cache(A)
    own_cache(B, "validation")
    shown = cache().output
    assert f"{own_cache.folder}: 2 tokenized splits, " in shown and "KiB of at most 20 GiB" in shown
    heading, first, second = shown.splitlines()[1:4]
    assert heading.split() == ["last", "used", "size", "rows", "split", "data", "set", "model"]
    assert first.split()[-4:] == ["2", "validation", "rows", "nowhere"] and second.split()[-4:-2] == ["2", "train"]
    told = json.loads(cache("--json").output)
    assert told["limit"] == 20 * 1024**3 and told["bytes"] == sum(entry["bytes"] for entry in told["entries"])
    assert {entry["split"] for entry in told["entries"]} == {"train", "validation"}
    cleared = cache("clear")
    assert "2 tokenized splits removed, " in cleared.output and cleared.return_value == 0
    assert list(own_cache.folder.iterdir()) == []


def test_clearing_keeps_what_a_run_is_using(own_cache: Bench) -> None:
    own_cache(A)
    with EncodedCache() as used:
        assert used.find(own_cache.files[0].parent.name)
        own_cache(B)
        cleared = cache("clear")
        assert cleared.return_value == 1 and "1 tokenized split removed" in cleared.output
        assert "1 tokenized split kept" in cleared.output
    assert json.loads(cache("clear", "--json").output) | {"freed": 0} == {
        "folder": str(own_cache.folder),
        "freed": 0,
        "removed": 1,
        "kept": 0,
    }


@pytest.mark.parametrize(("size", "text"), [(0, "0 bytes"), (2048, "2 KiB"), (1024**3, "1 GiB"), (3 << 29, "1.5 GiB")])
def test_bytes_are_readable(size: int, text: str) -> None:
    from ftrun.cli.cache import readable

    assert readable(size) == text
