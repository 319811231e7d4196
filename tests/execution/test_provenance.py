"""What a run can tell of where it comes from."""

from __future__ import annotations

import platform
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from ftrun.execution import provenance
from ftrun.execution.provenance import STACK, git_state, machine, plugin_code, versions
from ftrun.planning.catalogue import load_catalogue
from ftrun.planning.parts import Part
from ftrun.settings import Settings
from plugin_packages import Site, offering


def test_the_versions_are_those_that_are_installed() -> None:
    import torch

    told = versions()
    assert told["torch"] == torch.__version__ and told["python"] == platform.python_version()
    assert set(told) <= {"python", *STACK}


def test_distributions_of_plugins_are_told_too_and_what_is_not_installed_is_left_out() -> None:
    assert versions(frozenset({"pytest", "no-such-thing"})).keys() == versions().keys() | {"pytest"}


def test_a_machine_is_told_from_others() -> None:
    told = machine()
    assert set(told) == {"host", "platform", "processor"} and told["processor"].strip()


@pytest.mark.parametrize(
    ("lines", "told"),
    [
        ("processor: 0\nmodel name\t: Abacus 9 @ 1 GHz\nmodel name\t: Other\n", "Abacus 9 @ 1 GHz"),
        ("", None),
        (None, None),
    ],
)
def test_a_processor_without_a_name_is_told_by_its_kind(
    monkeypatch: pytest.MonkeyPatch, lines: str | None, told: str | None
) -> None:
    def read(path: Path, **_: Any) -> str:
        if lines is None:
            raise FileNotFoundError(path)
        return lines

    monkeypatch.setattr(Path, "read_text", read)
    monkeypatch.setattr(platform, "processor", lambda: "")
    assert machine()["processor"] == (told or platform.machine())


def git(folder: Path, *arguments: str) -> None:
    who = ["-c", "user.name=me", "-c", "user.email=me@example.org", "-c", "commit.gpgsign=false"]
    subprocess.run(["git", "-C", str(folder), *who, *arguments], check=True, capture_output=True)


def test_the_commit_is_told_and_whether_anything_differs_from_it(tmp_path: Path) -> None:
    git(tmp_path, "init")
    assert git_state(tmp_path) == {}, "there is no commit yet"
    (tmp_path / "a.toml").write_text("one")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-m", "one")
    told = git_state(tmp_path)
    assert len(told["commit"]) == 40 and told["dirty"] == "false"
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / "log.txt").write_text("what git does not know changes nothing")
    assert git_state(tmp_path) == told
    (tmp_path / "a.toml").write_text("two")
    assert git_state(tmp_path) == {**told, "dirty": "true"}


def test_outside_a_checkout_or_without_git_nothing_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert git_state(tmp_path) == {} == git_state(tmp_path / "not there")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert git_state(tmp_path) == {}


def test_a_git_that_does_not_answer_holds_up_no_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def hang(*_: Any, timeout: float, **__: Any) -> None:
        raise subprocess.TimeoutExpired("git", timeout)

    monkeypatch.setattr(provenance.subprocess, "run", hang)
    assert git_state(tmp_path) == {}


def test_an_edited_plugin_is_told_from_what_it_was_and_ftruns_own_parts_are_told_by_their_version(site: Site) -> None:
    def code() -> Mapping[str, str]:
        catalogue = load_catalogue()
        found = [catalogue.find("metric", name, "metrics") for name in ("half", "f1")]
        return plugin_code([Part(offer.component.name, offer, Settings()) for offer in found], catalogue)

    site.add(offering("metric", "metric()"))
    before = code()
    assert set(before) == {"their-package"} and code() == before
    site.write("their_package", offering("metric", 'metric(summary="Edited")'))
    assert code() != before


def test_code_is_told_alike_whichever_components_of_a_distribution_are_in_use(site: Site) -> None:
    def code(*names: str) -> Mapping[str, str]:
        catalogue = load_catalogue()
        found = [catalogue.find("metric", name, "metrics") for name in names]
        return plugin_code([Part(offer.component.name, offer, Settings()) for offer in found], catalogue)

    site.add(offering("metric", "metric()"), points="main = their_package\nmore = their_other_package")
    site.write("their_other_package", offering("metric", "metric(name='third')"))
    before = code("half")
    assert set(before) == {"their-package"} and code("third") == before == code("half", "third")
    site.write("their_other_package", offering("metric", "metric(name='third', summary='Edited')"))
    assert code("half") != before
    assert code("f1") == {}
