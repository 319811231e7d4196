"""`ftrun cache`: what tokenized data takes on the disk, and to be rid of it."""

from __future__ import annotations

import json
import os
from pathlib import Path

import click.testing
import pytest
from benches import A, B, Bench
from ftrun.cli.cache import SHOWN
from ftrun.cli.cache import command as cache_command
from ftrun.execution.encoded_cache import EncodedCache, encoded_cache_folder
from ftrun.tracking.fetching import fetched_folder
from hypothesis import given
from hypothesis import strategies as st


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


def test_models_from_mlflow_are_shown_and_cleared_too(own_cache: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HOME", str(own_cache.folder.with_name("hf")))
    fetched = fetched_folder() / "m-1" / "tiny-1" / "model"
    fetched.mkdir(parents=True)
    (fetched / "config.json").write_text("x" * 2048)
    assert f"{fetched_folder()}: 1 model from MLflow, 2 KiB" in cache().output
    assert json.loads(cache("--json").output)["models"]["runs"] == ["tiny-1"]
    assert "1 model from MLflow removed, 2 KiB freed" in cache("clear").output and not fetched.exists()
    assert "MLflow" not in cache().output


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
        "models": 0,
        "models_freed": 0,
    }


@pytest.mark.parametrize(("size", "text"), [(0, "0 bytes"), (2048, "2 KiB"), (1024**3, "1 GiB"), (3 << 29, "1.5 GiB")])
def test_bytes_are_readable(size: int, text: str) -> None:
    from ftrun.screen.listing import readable

    assert readable(size) == text


@given(st.integers(0, 2**50))
def test_no_number_of_bytes_is_told_in_a_unit_that_is_too_small(size: int) -> None:
    from ftrun.screen.listing import readable

    number, unit = readable(size).split()
    assert unit == "GiB" or 0 <= int(number) < 1024
    factor = 1024 ** ("bytes", "KiB", "MiB", "GiB").index(unit)
    assert abs(float(number) * factor - size) <= factor / 2


def test_of_many_splits_those_used_last_are_listed_and_the_rest_counted(own_cache: Bench) -> None:
    with EncodedCache() as kept:
        for number in range(SHOWN + 3):
            with kept.writing(
                f"k{number:02}", {"rows": number, "split": "train", "data": "mine", "model": "bert"}
            ) as file:
                file.write_bytes(b"x" * 1000)
            os.utime(own_cache.folder / f"k{number:02}" / "about.json", (number, number))
    lines = cache().output.splitlines()
    assert len(lines) == SHOWN + 4 and lines[2].split()[-4:] == ["12", "train", "mine", "bert"]
    assert lines[-2].startswith("and 3 more, 3 KiB") and lines[-1] == "To remove all of it: ftrun cache clear"


def test_what_a_writer_left_behind_is_shown_as_not_whole(own_cache: Bench) -> None:
    (own_cache.folder / "k.partial-1-2").mkdir(parents=True)
    (own_cache.folder / "k.partial-1-2" / "rows.arrow").write_bytes(b"rows")
    assert "(not whole)" in cache().output
    (entry,) = json.loads(cache("--json").output)["entries"]
    assert entry["bytes"] == 4 and entry["rows"] is None


def test_a_name_in_any_script_is_shown(own_cache: Bench) -> None:
    with EncodedCache() as kept, kept.writing("k", {"rows": True, "split": "负", "data": ["odd"]}) as file:
        file.write_bytes(b"rows")
    assert "负" in cache().output and json.loads(cache("--json").output)["entries"][0]["split"] == "负"
