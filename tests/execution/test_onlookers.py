"""Observers that raise: told once a hook, counted at the end, and nothing else for it."""

from __future__ import annotations

import re
from pathlib import Path

from ftrun.execution.onlookers import Onlookers
from ftrun.execution.watcher import Watcher
from ftrun.planning.catalogue import load_catalogue
from ftrun.runs.folder import RunFolder
from plugin_packages import HEAD, Site

ILL = f"""{HEAD}
@hookimpl
def ftrun_evaluated(report):
    report.nothing_of_it

@hookimpl
def ftrun_run_finished(run):
    raise SystemExit(3)
"""


class Listening(Watcher):
    def __init__(self) -> None:
        self.heard: list[str] = []

    def notice(self, sentence: str) -> None:
        self.heard.append(sentence)


def test_a_hook_that_raises_is_told_once_and_counted_at_the_end(site: Site, tmp_path: Path) -> None:
    site.add(ILL, version="2.0")
    site.add(f"{HEAD}\n@hookimpl\ndef ftrun_evaluated(run): pass", "sound")
    watcher = Listening()
    onlookers = Onlookers(load_catalogue(), RunFolder(tmp_path / "run"), watcher)
    onlookers.tell("ftrun_run_started", experiment={})
    assert watcher.heard == []
    for _ in range(3):
        onlookers.tell("ftrun_evaluated", report=7)
    onlookers.finished(status="FINISHED", metrics={})
    first, end, count = watcher.heard
    assert re.fullmatch(
        r"ftrun_evaluated of the plugin main of their-package 2.0 raised AttributeError: .*\(their_package.py, line \d+\): "
        r"the run is not harmed, and the traceback is in log.txt",
        first,
    )
    assert "ftrun_run_finished of the plugin main of their-package 2.0 raised SystemExit: 3" in end
    assert count == "ftrun_evaluated of the plugin main of their-package 2.0 raised 3 times"
