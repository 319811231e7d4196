"""What every component is held to, whatever its kind."""

from __future__ import annotations

import contextlib
import pickle
import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any, ClassVar, TypeVar

import pytest

from ftrun.contracts import COMPONENTS, Component, Kind
from ftrun.errors import ExperimentError, FtrunError, Problem, RunError, nearest
from ftrun.hookspecs import ENTRY_POINT_GROUP
from ftrun.planning.catalogue import Catalogue, Offer
from ftrun.planning.conformance import SPOKEN, PluginError, components_in
from ftrun.planning.parts import TABLES, Part
from ftrun.planning.written import lost
from ftrun.settings import Settings, validate
from ftrun.testing.generators import generators_kept
from ftrun.testing.lightness import heavy_imports
from ftrun.testing.offers import HERE, catalogue_with
from ftrun.testing.running import TinyRun, Workshop, attempt, open_workshop, plan_of
from ftrun.testing.sentences import answering, expect, fail
from ftrun.testing.strictness import (
    UNKNOWN,
    faulty_defaults,
    foreign,
    takes_unknown_keys,
    takes_wrongly,
    undocumented,
)

Table = Mapping[str, Any]
T = TypeVar("T")

TOLD_LINES = 25
"""Lines of a log that are repeated, the last ones."""


def refuse_misspelt(suite: type[Any]) -> None:
    """Refuse a suite that sets what it does not have and what is called nearly as something that it has.

    Raises:
        TypeError: Naming both.
    """
    if suite.__module__.startswith("ftrun.testing."):
        return
    known = {name for base in suite.__mro__[1:] for name in vars(base) if not name.startswith("_")}
    known |= {name for base in suite.__mro__[1:] for name in vars(base).get("__annotations__", {})}
    for name, value in vars(suite).items():
        is_set = not name.startswith("_") and (value is None or not callable(value))
        if is_set and name not in known and (meant := nearest(name, known)):
            raise TypeError(f"{suite.__name__} sets {name}, which its suite does not have. Did you mean {meant}?")


class Suite:
    """What the suites of components and of observers have in common: what is made once for a class, and where."""

    _made: ClassVar[dict[str, Any]] = {}

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        refuse_misspelt(cls)
        cls._made = {}

    @pytest.fixture(autouse=True)
    def _folders(self, tmp_path_factory: pytest.TempPathFactory) -> None:
        self._factory = tmp_path_factory

    def once(self, name: str, make: Callable[[], T]) -> T:
        """What is made once for all tests of the class."""
        if name not in self._made:
            self._made[name] = make()
        made: T = self._made[name]
        return made

    def new_folder(self) -> Path:
        """An empty folder."""
        return self._factory.mktemp("ftrun", numbered=True)


class ComponentSuite(Suite):
    """What a component of any kind is held to; the suite of its kind asks for more.

    - It is as the contract says: its fields are of their types, its functions take what they are called with.
    - It has a summary, which `ftrun plugins` shows.
    - Its settings are documented: every key has a description, which a message shows where the key is missing.
    - They are strict: a key that is not declared, or a value of another type (`"1"` for 1, `true` for 1, NaN), is an
      error, so that a file means what it says.
    - Their defaults hold: a file could set each of them.
    - They come back from a file: a run is recorded as TOML, and goes on by that.
    - They can be sent to other processes.
    - Wrong settings are told in sentences, each with the key that is wrong, never as a Python error.
    - The module that offers it is light: it imports none of torch, transformers, datasets, evaluate, accelerate and
      mlflow at its top, for every `ftrun --help` imports it.

    Attributes:
        component: The component's name, as a file says to `use`, or the component itself. To be set.
        settings: A sound table of its settings. By default empty: every default.
        more_settings: What else is sound: each is laid over `settings`, None taking a key out, and must be taken, come
            back from a file and be sent. No run is made with them; to have that, subclass the suite once more. By
            default none.
        bad_settings: What is wrong with the settings in ways that their types do not tell: each is laid over
            `settings`, None taking a key out, and must be refused. By default none.
        lenient: Keys that mean to take more than their declared type does. By default none.
        experiment: Values by dotted key that are laid over the small experiment whenever it is run, such as
            `{"collator": {"use": "mine"}}`. By default none.
        beside: Further components that are not installed, each offered as "under-test:NAME". By default none.
        catalogue_module: The module that must be light, where that is not the one of the entry point, or of a component
            that is given itself, of its `build`.
    """

    kind: ClassVar[Kind]
    component: ClassVar[str | Component]
    settings: ClassVar[Table] = {}
    more_settings: ClassVar[Sequence[Table]] = ()
    bad_settings: ClassVar[Sequence[Table]] = ()
    lenient: ClassVar[Collection[str]] = ()
    experiment: ClassVar[Table] = {}
    beside: ClassVar[Sequence[Component]] = ()
    catalogue_module: ClassVar[str | None] = None

    def make_settings(self, folder: Path) -> Table:
        """The sound table, where it needs files: override it, write them into the folder and name them.

        Args:
            folder: Empty, and the same for all tests of the class.
        """
        return self.settings

    def test_it_is_as_the_contract_says(self) -> None:
        """Its fields are of their types, and its functions take what they are called with."""
        try:
            components_in([self.offer.component], f"ftrun_{self.kind}s", self.kind)
        except PluginError as error:
            fail(str(error), "See `help(ftrun.contracts)`.")

    def test_it_has_a_summary(self) -> None:
        """One line of help."""
        summary = self.offer.component.summary
        expect(bool(str(summary).strip()), f"{self.who} has no summary", "`ftrun plugins` shows it beside the name.")

    def test_its_settings_are_documented(self) -> None:
        """Every key has a description."""
        keys = list(undocumented(self.offer.component.settings))
        hint = 'Declare it with one: key: int = pydantic.Field(1, description="What it does.").'
        expect(not keys, f"the settings of {self.who} have no description of {', '.join(keys)}", hint)

    def test_its_settings_are_strict(self) -> None:
        """A key that is not declared, and a value that is not of its key's type, are refused."""
        model, table = self.offer.component.settings, self.table
        unknown = takes_unknown_keys(model, table)
        hint = "Leave model_config as ftrun.settings.Settings has it: a slip in a file must be an error."
        expect(not unknown, f"the settings of {self.who} take a key that they do not have, {UNKNOWN}", hint)
        for key, name in foreign(model):
            fail(f"{key} of {self.who} is a {name}, which is not derived from ftrun.settings.Settings", hint)
        for key, value in takes_wrongly(model, table, self.lenient):
            hint = f'Take it as it is declared; if it means to take more, say so: lenient = ["{key}"].'
            fail(f"{key} of {self.who} takes {value!r}, which is not what it is declared to be", hint)

    def test_its_defaults_hold(self) -> None:
        """A file could set each default; pydantic does not check them."""
        for key, default in faulty_defaults(self.offer.component.settings, self.table).items():
            hint = "A default must be what the key itself takes; None for a key that may be None."
            fail(f"{key} of {self.who} has the default {default!r}, which it does not take from a file", hint)

    def test_its_settings_come_back_from_a_file(self) -> None:
        """They are the same once they are written to TOML and read back."""
        for table in self.sound_tables:
            settings = self.validated(table)
            faulty = faulty_defaults(type(settings), table)
            with answering(f"writing the settings of {self.who}"):
                keys = {key: hint for key, hint in lost(settings).items() if key not in faulty}
            for key, hint in keys.items():
                value = getattr(settings, key, settings)
                fail(f"{key or 'a value'} of {self.who} does not come back from a file: {value!r}", hint)

    def test_its_settings_can_be_sent_to_processes(self) -> None:
        """They can be pickled, and are the same then."""
        for table in self.sound_tables:
            settings = self.validated(table)
            hint = "Hold plain values in them: text, numbers, lists and tables."
            try:
                same = pickle.loads(pickle.dumps(settings)) == settings  # noqa: S301 - written here, the line before
            except Exception as error:
                fail(f"the settings of {self.who} cannot be sent to other processes: {error}", hint)
            expect(same, f"the settings of {self.who} are others once they are sent to another process", hint)

    def test_wrong_settings_are_told_in_sentences(self) -> None:
        """What is wrong is a `Problem` with the key as its place, and not a Python error."""
        for wrong in ({UNKNOWN: 1}, *self.bad_settings):
            laid = self._laid(wrong)
            told = self._told(laid, wrong)
            hint = "Refuse it: by the type of the key, such as Literal[...], by a validator, or by `check`."
            expect(bool(told), f"{self.who} takes {wrong!r}, which bad_settings says is wrong", hint)
            for problem in told:
                hint = 'Give the problem its place: Problem("must be ...", "the_key").'
                message = f"of {wrong!r}, {self.who} does not say which key is wrong: {problem}"
                expect(self._names_key(problem, {*laid, *wrong}), message, hint)

    def test_importing_it_is_light(self) -> None:
        """The module that offers it imports nothing heavy."""
        module = self._module()
        try:
            found = heavy_imports(module)
        except ImportError as error:
            fail(f"{module}, which offers {self.who}, cannot be imported by itself:\n{error}")
        for package, where in found.items():
            hint = "Import it within the function that needs it: every `ftrun --help` imports this module."
            fail(f"importing {module}, which offers {self.who}, imports {package} ({where})", hint)

    def try_out(self, settings: Settings) -> None:
        """Called with settings that are wrong in some way that neither their types nor the component's `check` tell:
        use the component with them as far as it must say so.
        """
        raise NotImplementedError

    @property
    def offer(self) -> Offer:
        """The component, and who offers it."""
        return self.once("offer", self._find)

    @property
    def who(self) -> str:
        """What to call it in a sentence."""
        return self.offer.who

    @property
    def use(self) -> str:
        """What a file says to use it."""
        return self.component if isinstance(self.component, str) else f"{HERE}:{self.component.name}"

    @property
    def table(self) -> Table:
        """The sound table."""
        return self.once("table", lambda: self.make_settings(self.new_folder()))

    @property
    def sound_tables(self) -> Sequence[Table]:
        """The sound table, and it with each of `more_settings`."""
        return [self.table, *map(self._laid, self.more_settings)]

    def _laid(self, over: Table) -> Table:
        return {key: value for key, value in {**self.table, **over}.items() if value is not None}

    @property
    def part(self) -> Part:
        """The component with its sound settings."""
        return Part(self.use, self.offer, self.validated(self.table))

    def validated(self, table: Table) -> Settings:
        """The settings of a sound table."""
        with answering(f"a validator of the settings of {self.who}"):
            settings, problems = validate(self.offer.component.settings, table)
        if not isinstance(settings, Settings):
            fail(f"{self.who} does not take the settings {dict(table)!r}:\n" + "\n".join(map(str, problems)))
        return settings

    def _brings(self, kind: str) -> bool:
        """Whether `experiment` brings a component of its own of a kind."""
        return any(key == kind or key == f"{kind}.use" for key in self.experiment)

    @property
    def offered(self) -> Sequence[Component]:
        """What is not installed: the component, where it is given itself, and those beside it."""
        return (*(() if isinstance(self.component, str) else (self.component,)), *self.beside)

    @property
    def catalogue(self) -> Catalogue:
        """All that is installed, the tiny parts, and the component."""
        return catalogue_with(self.offered)

    @contextlib.contextmanager
    def workshop(self, overrides: Table) -> Iterator[Workshop]:
        """All that a run of the tiny experiment has before it trains."""
        with answering(f"what comes before a training with {self.who}"):
            plan = plan_of({**overrides, **self.experiment}, self.catalogue)
            opened = open_workshop(self.new_folder(), plan)
            workshop = opened.__enter__()
        try:
            yield workshop
        finally:
            opened.__exit__(None, None, None)

    def run(self, overrides: Table, what: str) -> TinyRun:
        """A run of the tiny experiment that must come to its end.

        Args:
            overrides: Values by dotted key.
            what: What to call it, such as "a run".
        """
        run = self.attempted(overrides, what)
        if run.result.status != "FINISHED":
            fail(f"{what} with {self.who} does not finish: {why(run)}")
        return run

    def attempted(self, overrides: Table, what: str, **how: Any) -> TinyRun:
        """As `run`, to whatever end the run comes."""
        try:
            return attempt(self.new_folder(), {**overrides, **self.experiment}, self.catalogue, **how)
        except FtrunError as error:
            fail(f"{what} with {self.who} is refused:\n{error}")

    def _find(self) -> Offer:
        component = getattr(self, "component", None)
        name = type(self).__name__
        if component is None:
            fail(f"{name} does not say what it tests", f'Write component = "NAME", or the {self.kind} itself.')
        if isinstance(component, str):
            try:
                return catalogue_with().find(self.kind, component, f"{name}.component")
            except ExperimentError as error:
                fail(str(error), "Is its package installed, with an entry point in the group ftrun?")
        if not isinstance(component, COMPONENTS[self.kind]):
            given = component.__name__ if isinstance(component, type) else type(component).__name__
            fail(f"{name} is for a {SPOKEN[self.kind]}, and its component is a {given}")
        return Offer(component, HERE, "")

    def _told(self, table: Table, wrong: Table) -> Sequence[Problem]:
        """The problems with a table, of whoever finds some first: its types, `check`, or the work itself."""
        component = self.offer.component
        with answering(f"of {wrong!r}, which must be told in a sentence, {self.who}"):
            settings, problems = validate(component.settings, table)
            if settings is None:
                return problems
            try:
                if told := list(self._checked(settings)):
                    return told
                with generators_kept():
                    self.try_out(settings)
            except (ExperimentError, RunError) as error:
                return error.problems
        return ()

    def _names_key(self, problem: Problem, keys: Collection[str]) -> bool:
        """Whether a problem has a key for its place, or, as what is wrong with several together, names one."""
        known = {*self.offer.component.settings.model_fields, *keys}
        first = re.split(r"[.[]", problem.place or "")[0]
        return first in known | TABLES or any(re.search(rf"\b{re.escape(key)}\b", problem.message) for key in known)

    def _checked(self, settings: Settings) -> Sequence[Problem]:
        check = getattr(self.offer.component, "check", None)
        told: Sequence[Problem] = check(settings) if check else ()
        return told

    def _module(self) -> str:
        if self.catalogue_module is not None:
            return self.catalogue_module
        if isinstance(self.component, str):
            return self._module_of_entry_point()
        component = self.offer.component
        build: Any = getattr(component, "build", None)
        module = str(getattr(build, "__module__", None) or component.settings.__module__)
        if module == type(self).__module__:
            pytest.skip("the component is made in this file; name the module that offers it: catalogue_module")
        return module

    def _module_of_entry_point(self) -> str:
        offering = [
            plugin for plugin in self.catalogue.plugins if self.offer.component.name in _names(plugin, self.kind)
        ]
        for plugin in offering:
            for point in entry_points(group=ENTRY_POINT_GROUP, name=plugin.name):
                if point.dist and point.dist.name == plugin.distribution == self.offer.distribution:
                    return point.module
        pytest.skip("no entry point offers it; name the module that does: catalogue_module")


def _names(plugin: Any, kind: Kind) -> Sequence[str]:
    return [component.name for component in plugin.components if component.kind == kind]


def why(run: TinyRun) -> str:
    """Why a run did not finish, with the end of its log where only that tells."""
    error = run.result.error or run.result.status
    is_told = "the traceback is in" not in error
    return error if is_told else "\n".join([error, *run.log.splitlines()[-TOLD_LINES:]])
