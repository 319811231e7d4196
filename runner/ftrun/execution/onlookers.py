"""The plugins that look on at a run: they are told what happens, and a person is told of those that raise."""

from __future__ import annotations

from collections import Counter
from typing import Any

from ftrun.execution.watcher import Watcher
from ftrun.planning.catalogue import Catalogue
from ftrun.redaction import redacted
from ftrun.runs.folder import RunFolder


class Onlookers:
    """Those of one run. None that raises harms it.

    Args:
        catalogue: All plugins, the observers among them.
        folder: The run's.
        watcher: Hears of a hook that raises as it does so for the first time, and at the end of how often it did.
    """

    def __init__(self, catalogue: Catalogue, folder: RunFolder, watcher: Watcher) -> None:
        self._catalogue = catalogue
        self._folder = folder
        self._watcher = watcher
        self._raised: Counter[tuple[str, str]] = Counter()

    def tell(self, hook: str, **facts: Any) -> None:
        """Call a hook of every one of them, with the run and what there is beside it."""
        told = self._catalogue.observe(hook, run=self._folder.name, run_folder=self._folder.path, **facts)
        for who, what in told:
            self._raised[who, hook] += 1
            if self._raised[who, hook] == 1:
                harmless = f"the run is not harmed, and the traceback is in {self._folder.log.name}"
                self._watcher.notice(redacted(f"{hook} of {who} raised {what}: {harmless}"))

    def finished(self, **facts: Any) -> None:
        """Tell them of the end, and the watcher which hooks raised more than once."""
        self.tell("ftrun_run_finished", **facts)
        for (who, hook), times in self._raised.items():
            if times > 1:
                self._watcher.notice(f"{hook} of {who} raised {times} times")
