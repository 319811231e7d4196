"""What a plugin is held to that looks on."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any, ClassVar, TypeVar

import pluggy
import pytest

from ftrun.errors import FtrunError
from ftrun.planning.catalogue import Catalogue
from ftrun.planning.conformance import PluginError, refuse_other_contract
from ftrun.planning.hooks import OBSERVING, implementations, new_manager, register
from ftrun.testing.generators import changed_since
from ftrun.testing.lightness import heavy_imports
from ftrun.testing.offers import catalogue_with
from ftrun.testing.running import TinyRun, attempt, difference, go_on
from ftrun.testing.sentences import answering, expect, fail
from ftrun.testing.suite import Suite, Table, why

SAVING = {"training.save_strategy": "epoch"}
T = TypeVar("T")


@dataclass
class Call:
    """One call of a hook of the observer's.

    Attributes:
        hook: Its name; facts: what it was called with.
        error: What it raised, if it did.
        drew: The global generators that it changed, in words.
    """

    hook: str
    facts: Mapping[str, Any]
    error: BaseException | None = None
    drew: Sequence[str] = ()


@dataclass
class Seen:
    """A run that was looked on at, and the calls of the observer's hooks, in their order."""

    run: TinyRun
    calls: Sequence[Call] = field(default_factory=list)


class ObserverSuite(Suite):
    """What a plugin is held to that looks on at runs.

    A run goes on though an observer raises, with a notice and a traceback in its log: a test tells before that.

    - Its hooks are ftrun's, and take what they are given.
    - Its module is light: it imports none of torch, transformers, datasets, evaluate, accelerate and mlflow at its top.
    - In a run from beginning to end it raises nothing, and is called in order: started, evaluated twice, finished.
    - Nor does it raise in a run that is gone on with, which begins and ends once more, nor in one that fails, which may
      not have begun.
    - The run is none other for being looked on at: the same curve and the same model, bit for bit. What is random comes
      from generators of its own.
    - `expects_of` holds what it should have done; it is for the author to say.

    Attributes:
        plugin: The module with the hooks, by its name or itself, or an object with them. To be set.
        experiment: Values by dotted key that are laid over the small experiment. By default none.
    """

    plugin: ClassVar[str | ModuleType | object]
    experiment: ClassVar[Table] = {}

    @pytest.fixture(autouse=True)
    def _working_folder(self, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(tmp_path_factory.mktemp("ftrun-working-folder"))  # where an observer may write

    def expects_of(self, run: TinyRun, calls: Sequence[Call]) -> None:
        """What the observer should have done in a run that has finished; by default nothing is expected.

        Args:
            run: The run; `run.folder` is its folder.
            calls: The calls of its hooks, each with `hook`, `facts` and `error`.
        """

    def test_its_hooks_are_as_the_contract_says(self) -> None:
        """They are hooks of ftrun, marked, and take what they are given."""
        manager, plugin = new_manager(), self._plugin
        try:
            refuse_other_contract(plugin)
            register(manager, plugin, "under-test")
            found = [hook for hook, _ in implementations(manager, plugin) if hook in OBSERVING]
        except PluginError as error:
            fail(f"{self.who}: {error}", "See `help(ftrun.hookspecs)`.")
        expect(bool(found), f"{self.who} does not look on", f"Its hooks are {', '.join(OBSERVING)}.")

    def test_importing_it_is_light(self) -> None:
        """Every `ftrun --help` imports it."""
        plugin = self._plugin
        module = plugin.__name__ if isinstance(plugin, ModuleType) else type(plugin).__module__
        if module == type(self).__module__:
            pytest.skip("the observer is made in this file; a module of a package is tried here")
        try:
            found = heavy_imports(module)
        except ImportError as error:
            fail(f"{module} cannot be imported by itself:\n{error}")
        for package, where in found.items():
            hint = "Import it within the function that needs it: every `ftrun --help` imports this module."
            fail(f"importing {module} imports {package} ({where})", hint)

    def test_it_looks_on_at_a_run(self) -> None:
        """From its beginning to its end, in order, and raises nothing; then `expects_of` is asked."""
        __tracebackhide__ = True  # what that raises is shown where it was raised
        seen = self._finished
        self._raises_nothing(seen, "a run")
        self._in_order(seen, ["ftrun_run_started", "ftrun_evaluated", "ftrun_evaluated", "ftrun_run_finished"], "a run")
        self.expects_of(seen.run, seen.calls)

    def test_it_looks_on_at_a_run_that_is_gone_on_with(self) -> None:
        """Which begins and ends once more, under the same name."""
        died = self._finished.run.died_after(3)
        seen = self._looked_on(lambda catalogue: go_on(died, catalogue), "a run that is gone on with")
        self._raises_nothing(seen, "a run that is gone on with")
        self._in_order(
            seen, ["ftrun_run_started", "ftrun_evaluated", "ftrun_run_finished"], "a run that is gone on with"
        )

    def test_it_looks_on_at_a_run_that_fails(self) -> None:
        """Of which it may hear no more than the end."""
        unrunnable = {"dataset.rows": 1, "training.dataloader_drop_last": True}  # one row makes no whole batch
        seen = self._looked_on(lambda catalogue: self._attempt(unrunnable, catalogue), "a run that fails")
        self._raises_nothing(seen, "a run that fails")
        told = [call.facts["status"] for call in seen.calls if call.hook == "ftrun_run_finished"]
        expect(told in ([], ["FAILED"]), f"{self.who} is told {told} of a run that fails")

    def test_the_run_is_none_other_for_it(self) -> None:
        """The same curve and the same model, bit for bit; and it has finished."""
        run = self._finished.run
        expect(run.result.status == "FINISHED", f"a run ends {run.result.status} with {self.who}: {run.result.error}",
               "Leave the process alone: no sys.exit(), no signal.")  # fmt: skip
        for call in self._finished.calls:
            message = f"{call.hook} of {self.who} changes the global generator of {' and '.join(call.drew)}"
            expect(not call.drew, message, "Draw from a generator of its own: the run's are for its training.")
        alone = self.once("alone", self._alone)
        told = difference(alone, run, ("by itself", "looked on at"))
        hint = "Leave torch's state and the run's files as they are."
        expect(told is None, f"{self.who} changes the run: {told}", hint)

    @property
    def who(self) -> str:
        """What to call it in a sentence."""
        plugin = self._plugin
        return f"the plugin {plugin.__name__ if isinstance(plugin, ModuleType) else type(plugin).__name__}"

    @property
    def _plugin(self) -> Any:
        plugin = getattr(self, "plugin", None)
        name = type(self).__name__
        if plugin is None:
            fail(f"{name} does not say what it tests", 'Write plugin = "MODULE", or the module itself.')
        if not isinstance(plugin, str):
            return plugin
        with answering(f"importing {plugin}"):
            return importlib.import_module(plugin)

    @property
    def _finished(self) -> Seen:
        return self.once(
            "finished", lambda: self._looked_on(lambda catalogue: self._attempt(SAVING, catalogue), "a run")
        )

    def _attempt(self, overrides: Table, catalogue: Catalogue) -> TinyRun:
        return attempt(self.new_folder(), {**overrides, **self.experiment}, catalogue)

    def _looked_on(self, do: Callable[[Catalogue], TinyRun], what: str) -> Seen:
        """A run with the observer among the plugins, and what its hooks were called with."""
        catalogue, calls = catalogue_with(), Calls(self._plugin)
        try:
            if not catalogue.manager.is_registered(self._plugin):
                register(catalogue.manager, self._plugin, "under-test")
        except PluginError as error:
            fail(f"{self.who}: {error}")
        undo = catalogue.manager.add_hookcall_monitoring(calls.begins, calls.ends)
        try:
            return Seen(do(catalogue), calls.made)
        except FtrunError as error:
            fail(f"{what} with {self.who} is refused:\n{error}")
        finally:
            undo()

    def _alone(self) -> TinyRun:
        catalogue = catalogue_with()
        if catalogue.manager.is_registered(self._plugin):
            catalogue.manager.unregister(self._plugin)
        return self._attempt(SAVING, catalogue)

    def _raises_nothing(self, seen: Seen, what: str) -> None:
        for call in seen.calls:
            if call.error is not None:
                with answering(f"{call.hook} of {self.who}, in {what},"):
                    raise _as_a_fault(call.error)

    def _in_order(self, seen: Seen, whole: Sequence[str], what: str) -> None:
        """Whether the hooks that it has were called as a run goes."""
        status = seen.run.result.status
        expect(status == "FINISHED", f"{what} ends {status} with {self.who}: {why(seen.run)}")
        its = {hook for hook, _ in implementations(self._manager, self._plugin)}
        expected, found = [hook for hook in whole if hook in its], [call.hook for call in seen.calls]
        message = f"in {what} {self.who} hears {', '.join(found) or 'nothing'}; a run tells {', '.join(expected)}"
        expect(found == expected, message)

    @property
    def _manager(self) -> pluggy.PluginManager:
        manager = new_manager()
        register(manager, self._plugin, "under-test")
        return manager


def _as_a_fault(error: BaseException) -> Exception:
    """What is no `Exception`, such as SystemExit, as one, with the lines that it came through."""
    if isinstance(error, Exception):
        return error
    return RuntimeError(repr(error)).with_traceback(error.__traceback__)


class Calls:
    """The calls of a plugin's hooks that look on, as pluggy tells of them.

    Args:
        plugin: The module or object with the hooks.

    Attributes:
        made: In their order.
    """

    def __init__(self, plugin: Any) -> None:
        self.plugin = plugin
        self.made: list[Call] = []
        self._before: Mapping[str, Any] = {}

    def begins(self, hook: str, implementations: Sequence[pluggy.HookImpl], facts: Mapping[str, Any]) -> None:
        """A hook is called."""
        from ftrun.training.state import random_states

        if self._is_its(hook, implementations):
            self.made.append(Call(hook, dict(facts)))
            self._before = random_states()

    def ends(
        self,
        outcome: pluggy.Result[Any],
        hook: str,
        implementations: Sequence[pluggy.HookImpl],
        facts: Mapping[str, Any],
    ) -> None:
        """It has returned, or raised."""
        if self._is_its(hook, implementations):
            self.made[-1].error = outcome.exception
            self.made[-1].drew = changed_since(self._before)

    def _is_its(self, hook: str, implementations: Sequence[pluggy.HookImpl]) -> bool:
        return hook in OBSERVING and any(found.plugin is self.plugin for found in implementations)
