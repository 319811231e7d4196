"""Discovery of plugins, each isolated from the others' faults, and the catalogue of the components they offer."""

from __future__ import annotations

import contextlib
import logging
import os
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import EntryPoint
from typing import Any

import pluggy

from ftrun.contracts import KINDS, Component, Kind
from ftrun.errors import ExperimentError, Problem, nearest
from ftrun.hookspecs import ENTRY_POINT_GROUP
from ftrun.planning.choice import BUILT_IN, Choice, normalized
from ftrun.planning.conformance import (
    SPOKEN,
    PluginError,
    components_in,
    field_meant,
    line_of,
    own_line,
    refuse_other_contract,
    refuse_twins,
    said,
)
from ftrun.planning.guard import Watched, watched
from ftrun.planning.hooks import implementations, new_manager, register
from ftrun.planning.installed import Installed, installed
from ftrun.planning.requirements import what_would_bring
from ftrun.redaction import redacted

log = logging.getLogger(__name__)

SLOW_SECONDS = 0.5
"""What a plugin may take of the processor to load before a person is told."""


@dataclass(frozen=True)
class Offer:
    """A component and the distribution that offers it."""

    component: Component
    distribution: str
    version: str

    @property
    def provider(self) -> str:
        return f"{self.distribution} {self.version}".strip()

    @property
    def who(self) -> str:
        """What to call it in a sentence."""
        return f'the {SPOKEN[self.component.kind]} "{self.component.name}" of {self.provider}'


@dataclass
class Plugin:
    """One entry point: what it offers, or why it does not.

    Attributes:
        observes: The observing hooks that it has.
        failure: Why it could not be loaded; trace: the traceback of that.
        left_out: What left it out, `--no-plugin` or `FTRUN_PLUGINS`; it was not loaded then.
        notices: What a person should know of what it did as it was loaded.
        seconds: What loading it took of the processor.
    """

    name: str
    distribution: str
    version: str
    components: list[Component] = field(default_factory=list)
    observes: list[str] = field(default_factory=list)
    failure: str | None = None
    trace: str | None = None
    left_out: str | None = None
    notices: list[str] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def who(self) -> str:
        """What to call it in a sentence."""
        return f"the plugin {self.name} of {self.distribution} {self.version}".strip()


class Catalogue:
    """The components of all plugins that answered, and the observers among the plugins.

    Built once per invocation and passed along; nothing global.

    Attributes:
        plugins: All of them, those that failed or were left out among them.
        choice: Which of them were to load.
        notices: What a person should know of how they were loaded, in sentences.
        manager: Pluggy's, with the modules of those that answered.
    """

    def __init__(
        self,
        plugins: Sequence[Plugin],
        manager: pluggy.PluginManager,
        choice: Choice | None = None,
        notices: Sequence[str] = (),
    ) -> None:
        self.plugins = plugins
        self.choice = choice or Choice()
        self.notices = [*notices, *(notice for plugin in plugins for notice in plugin.notices)]
        self.manager = manager
        self._offers: dict[Kind, dict[str, list[Offer]]] = {kind: {} for kind in KINDS}
        for plugin in plugins:
            for component in plugin.components:
                offer = Offer(component, plugin.distribution, plugin.version)
                self._offers[component.kind].setdefault(component.name, []).append(offer)

    def offers(self, kind: Kind) -> Mapping[str, Sequence[Offer]]:
        """The offers of a kind by name; more than one for a name where distributions collide."""
        return self._offers[kind]

    def find(self, kind: Kind, use: str, place: str) -> Offer:
        """The component that `use = "NAME"` or `use = "DISTRIBUTION:NAME"` means.

        Args:
            kind: What is looked for.
            use: The name in the file.
            place: Where the file says it, for the message.

        Raises:
            ExperimentError: If there is none, or more than one; and before that for each plugin that failed and may
                have offered it, why.
        """
        distribution, _, name = use.rpartition(":")
        found = [
            offer
            for offer in self._offers[kind].get(name, [])
            if not distribution or normalized(offer.distribution) == normalized(distribution)
        ]
        if len(found) == 1:
            return found[0]
        if found:
            ways = " or ".join(f'"{offer.distribution}:{name}"' for offer in found)
            others = " or ".join(offer.distribution for offer in found if normalized(offer.distribution) != BUILT_IN)
            told = f'"{name}" is offered by more than one distribution'
            raise ExperimentError(Problem(told, place, f"Say which: {ways}. Or leave one out: --no-plugin {others}."))
        missing = f'there is no {kind} named "{use}"'
        if hint := self._left_out_hint(distribution):
            raise ExperimentError(Problem(missing, place, hint))
        raise ExperimentError(*self._failures(), Problem(missing, place, self._suggest(kind, name)))

    def use_of(self, offer: Offer) -> str:
        """What a file says to `use` it: its name, with its distribution's before it where another has one so called."""
        several = len(self._offers[offer.component.kind].get(offer.component.name, ())) > 1
        return f"{offer.distribution}:{offer.component.name}" if several else offer.component.name

    def _failures(self) -> Iterator[Problem]:
        """Why plugins failed, each alike whoever asks, so that it can be told once."""
        for plugin in self.plugins:
            if plugin.failure:
                told = f"{plugin.who} cannot be loaded: {plugin.failure}"
                yield Problem(told, None, "ftrun plugins --traceback shows where.", plugin.distribution)

    def collisions(self) -> Iterator[str]:
        """A sentence for each name of a kind that more than one distribution offers."""
        for kind, named in self._offers.items():
            for name, offers in named.items():
                if len(offers) > 1:
                    who = " and ".join(offer.provider for offer in offers)
                    ways = " or ".join(f'use = "{offer.distribution}:{name}"' for offer in offers)
                    yield f'the {SPOKEN[kind]} "{name}" is offered by {who}; say which: {ways}'

    def _suggest(self, kind: Kind, name: str) -> str:
        names = sorted(self._offers[kind])
        close = nearest(name, names)
        hint = f'Did you mean "{close}"? ' if close else ""
        hint += f"Installed: {', '.join(names) or 'none'}."
        broken = [f"{plugin.name} ({plugin.distribution})" for plugin in self.plugins if plugin.failure]
        if broken:
            hint += f" What cannot be loaded may have offered it: {', '.join(broken)}."
        for reason in dict.fromkeys(plugin.left_out for plugin in self.plugins if plugin.left_out):
            who = dict.fromkeys(plugin.distribution for plugin in self.plugins if plugin.left_out == reason)
            hint += f" It may be offered by {' or '.join(who)}, left out by {reason}."
        is_known = close or broken or any(plugin.left_out for plugin in self.plugins)
        return hint if is_known else f"{hint} Is its package installed in this environment?"

    def _left_out_hint(self, distribution: str) -> str | None:
        """Where a distribution is named that was left out: all there is to say."""
        for plugin in self.plugins:
            if plugin.left_out and normalized(plugin.distribution) == normalized(distribution):
                return f"It is offered by {plugin.distribution}, which was left out by {plugin.left_out}."
        return None

    def observe(self, hook: str, **facts: Any) -> list[tuple[str, str]]:
        """Call an observing hook of every plugin; one that raises is logged and harms nothing.

        Returns:
            What to call each plugin that raised, and what it raised, with file and line.
        """
        raised = []
        for name, module in self.manager.list_name_plugin():
            others = [plugin for plugin in self.manager.get_plugins() if plugin is not module]
            try:
                self.manager.subset_hook_caller(hook, others)(**facts)
            except KeyboardInterrupt:
                raise
            except BaseException as fault:  # sys.exit, too, is no observer's to call
                log.exception("plugin %s failed in %s", name, hook)
                package = getattr(module, "__name__", type(module).__module__).partition(".")[0]
                raised.append((self._who(name), f"{said(fault)} ({line_of(fault, package)})"))
        return raised

    def _who(self, name: str) -> str:
        """What to call a plugin that has registered by a name."""
        known = {_registered(plugin): plugin.who for plugin in self.plugins}
        return known.get(name, f"the plugin {name}")


def load_catalogue(choice: Choice | None = None, there: Sequence[Installed] | None = None) -> Catalogue:
    """Load the plugins of the entry-point group `ftrun`; one that fails is recorded, and breaks nothing else.

    Args:
        choice: Which of them may load; those that `FTRUN_PLUGINS` names by default, or all.
        there: The distributions to take instead of the installed ones.

    Raises:
        ExperimentError: If the choice leaves out what is not installed.
    """
    choice = Choice.of(os.environ) if choice is None else choice
    manager = new_manager()
    there = installed(ENTRY_POINT_GROUP) if there is None else there
    names = [distribution.name for distribution in there]
    choice.refuse_unknown(names)
    plugins: list[Plugin] = []
    for distribution in there:
        plugins.extend(_plugins_of(distribution, choice, manager, tuple(plugins)))
    return Catalogue(plugins, manager, choice, choice.unknown(names))


def _plugins_of(
    distribution: Installed, choice: Choice, manager: pluggy.PluginManager, before: Sequence[Plugin]
) -> list[Plugin]:
    name, version = distribution.name, distribution.version
    left_out = choice.reason_against(name)
    if distribution.fault:
        return [Plugin("?", name, version, failure=None if left_out else distribution.fault, left_out=left_out)]
    plugins: list[Plugin] = []
    for point in distribution.points:
        plugin = Plugin(point.name, name, version, left_out=left_out)
        if not left_out:
            with _guarded(name) as seen:
                _load(plugin, point, manager, [*before, *plugins])
            plugin.seconds = seen.seconds
            plugin.notices = list(_notices(plugin, seen))
        plugins.append(plugin)
    return plugins


def _guarded(distribution: str) -> contextlib.AbstractContextManager[Watched]:
    """What our own plugins do to the process is our own doing, and every command would wait for it to be looked at."""
    return contextlib.nullcontext(Watched()) if normalized(distribution) == BUILT_IN else watched()


def _notices(plugin: Plugin, seen: Watched) -> Iterator[str]:
    """What a plugin did as it was loaded that was not its to do."""
    if seen.seconds > SLOW_SECONDS:
        yield f"{plugin.who} took {seen.seconds:.1f} s to load, which every command waits for"
    if seen.output:
        yield f'{plugin.who} wrote to standard output as it was loaded: "{redacted(seen.output)}"'
    if seen.changed:
        yield f"{plugin.who} changed {', '.join(seen.changed)} as it was loaded, which was undone"
    if seen.kept:
        yield f"{plugin.who} changed {', '.join(seen.kept)} as it was loaded, which could not be undone"


def _load(plugin: Plugin, point: EntryPoint, manager: pluggy.PluginManager, before: Sequence[Plugin]) -> None:
    name = _registered(plugin)
    try:
        if not point.pattern.match(point.value):
            raise PluginError(f'its entry point "{point.name} = {point.value}" names no module')
        module = point.load()
        refuse_other_contract(module)
        register(manager, module, name)
        components = _components_of(module, manager)
        _refuse_a_neighbours(components, plugin, before)
        hooks = [hook for hook, _ in implementations(manager, module)]
        plugin.components = components
        plugin.observes = [hook for hook in dict.fromkeys(hooks) if hook not in _OFFERING]
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # whatever somebody else's package does is that plugin's failure alone
        plugin.failure = redacted(_told(error, point, plugin.distribution))
        plugin.trace = _trace_of(error)
        if manager.has_plugin(name):
            manager.unregister(name=name)


def _registered(plugin: Plugin) -> str:
    """The name by which pluggy has it."""
    return f"{plugin.distribution}:{plugin.name}"


def _told(error: BaseException, point: EntryPoint, distribution: str) -> str:
    """What an error says, in a line, with where in the plugin, and what to do where that is known."""
    raised = _raised(error)
    told = str(error) if isinstance(error, PluginError) else said(error)
    if bring := what_would_bring(raised, distribution):
        return f"{told}; to have it: {bring}"
    told += own_line(raised, point.value.partition(":")[0].partition(".")[0])
    meant = field_meant(raised)
    return f"{told}: did you mean {meant}?" if meant else told


def _raised(error: BaseException) -> BaseException:
    """What the plugin's own code raised."""
    return (error.__cause__ or error) if isinstance(error, PluginError) else error


def _trace_of(error: BaseException) -> str | None:
    """The traceback, but for what this module says of a plugin: that is in a sentence."""
    raised = _raised(error)
    if isinstance(raised, PluginError):
        return None
    return redacted("".join(traceback.format_exception(raised)))


_OFFERING: Mapping[str, Kind] = {f"ftrun_{kind}s": kind for kind in KINDS}


def _components_of(module: Any, manager: pluggy.PluginManager) -> list[Component]:
    components: list[Component] = []
    for hook, function in implementations(manager, module):
        if hook in _OFFERING:
            components += components_in(_answer(hook, function), hook, _OFFERING[hook])
    refuse_twins(components)
    return components


def _answer(hook: str, function: Callable[[], Any]) -> Any:
    try:
        return function()
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        raise PluginError(f"{hook} raised {said(error)}") from error


def _refuse_a_neighbours(components: Sequence[Component], plugin: Plugin, before: Sequence[Plugin]) -> None:
    """Within a distribution a name cannot be told apart by the distribution's."""
    for other in before:
        if other.distribution == plugin.distribution:
            offered = {(component.kind, component.name) for component in other.components}
            for component in components:
                if (component.kind, component.name) in offered:
                    what = f'the {SPOKEN[component.kind]} "{component.name}"'
                    raise PluginError(f"it offers {what}, as does {other.name} of the same distribution")
