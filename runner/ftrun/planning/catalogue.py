"""Discovery of plugins, each isolated from the others' faults, and the catalogue of the components they offer."""

from __future__ import annotations

import logging
import traceback
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import EntryPoint, entry_points
from typing import Any

import pluggy

from ftrun.contracts import KINDS, Component, Kind
from ftrun.errors import ExperimentError, Problem, nearest
from ftrun.hookspecs import ENTRY_POINT_GROUP
from ftrun.planning.conformance import SPOKEN, PluginError, components_in, refuse_other_contract, refuse_twins
from ftrun.planning.hooks import implementations, new_manager, register
from ftrun.redaction import redacted

log = logging.getLogger(__name__)


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
    """One entry point: what it offers, or why it does not."""

    name: str
    distribution: str
    version: str
    components: list[Component] = field(default_factory=list)
    observes: list[str] = field(default_factory=list)
    failure: str | None = None
    trace: str | None = None


class Catalogue:
    """The components of all plugins that answered, and the observers among the plugins.

    Built once per invocation and passed along; nothing global.

    Attributes:
        plugins: What became of each.
        manager: Pluggy's, with the modules of those that answered.
    """

    def __init__(self, plugins: Sequence[Plugin], manager: pluggy.PluginManager) -> None:
        self.plugins = plugins
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
            ExperimentError: If there is none, or more than one.
        """
        distribution, _, name = use.rpartition(":")
        found = [
            offer
            for offer in self._offers[kind].get(name, [])
            if not distribution or offer.distribution == distribution
        ]
        if len(found) == 1:
            return found[0]
        if found:
            ways = " or ".join(f'"{offer.distribution}:{name}"' for offer in found)
            raise ExperimentError(
                Problem(f'"{name}" is offered by more than one distribution', place, f"Say which: {ways}.")
            )
        raise ExperimentError(Problem(f'there is no {kind} named "{use}"', place, self._suggest(kind, name)))

    def _suggest(self, kind: Kind, name: str) -> str:
        names = sorted(self._offers[kind])
        close = nearest(name, names)
        hint = f'Did you mean "{close}"? ' if close else ""
        hint += f"Installed: {', '.join(names) or 'none'}."
        broken = [f"{plugin.name} ({plugin.distribution})" for plugin in self.plugins if plugin.failure]
        if broken:
            hint += f" These plugins failed and may have offered it: {', '.join(broken)}; see `ftrun plugins`."
        return hint

    def observe(self, hook: str, **facts: Any) -> None:
        """Call an observing hook of every plugin; one that raises is logged and harms nothing."""
        for name, module in self.manager.list_name_plugin():
            others = [plugin for plugin in self.manager.get_plugins() if plugin is not module]
            try:
                self.manager.subset_hook_caller(hook, others)(**facts)
            except Exception:
                log.exception("plugin %s failed in %s", name, hook)


def load_catalogue(points: Iterable[EntryPoint] | None = None) -> Catalogue:
    """Load every plugin of the entry-point group `ftrun`; one that fails is recorded, and breaks nothing else.

    Args:
        points: The entry points to load instead of the installed ones.
    """
    manager = new_manager()
    installed = entry_points(group=ENTRY_POINT_GROUP) if points is None else points
    plugins: list[Plugin] = []
    for point in sorted(installed, key=_order):
        plugins.append(_load(point, manager, plugins))
    return Catalogue(plugins, manager)


def _order(point: EntryPoint) -> tuple[bool, str, str]:
    distribution = point.dist.name if point.dist else ""
    return (distribution != "ftrun", distribution, point.name)


def _load(point: EntryPoint, manager: pluggy.PluginManager, before: Sequence[Plugin]) -> Plugin:
    distribution = point.dist
    plugin = Plugin(
        point.name, distribution.name if distribution else "?", distribution.version if distribution else ""
    )
    name = f"{plugin.distribution}:{plugin.name}"
    try:
        module = point.load()
        refuse_other_contract(module)
        register(manager, module, name)
        components = _components_of(module, manager)
        _refuse_a_neighbours(components, plugin, before)
        plugin.components = components
        hooks = [hook for hook, _ in implementations(manager, module)]
        plugin.observes = [hook for hook in dict.fromkeys(hooks) if hook not in _OFFERING]
    except (Exception, SystemExit) as error:  # whatever somebody else's package does is that plugin's failure alone
        told = str(error) if isinstance(error, PluginError) else f"{type(error).__name__}: {error}"
        plugin.failure = redacted(told)
        plugin.trace = _trace_of(error)
        if manager.has_plugin(name):
            manager.unregister(name=name)
    return plugin


def _trace_of(error: BaseException) -> str | None:
    """The traceback, but for what this module says of a plugin: that is in a sentence."""
    raised = error.__cause__ if isinstance(error, PluginError) else error
    return redacted("".join(traceback.format_exception(raised))) if raised else None


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
    except Exception as error:
        raise PluginError(f"{hook} raised {type(error).__name__}: {error}") from error


def _refuse_a_neighbours(components: Sequence[Component], plugin: Plugin, before: Sequence[Plugin]) -> None:
    """Within a distribution a name cannot be told apart by the distribution's."""
    for other in before:
        if other.distribution == plugin.distribution:
            offered = {(component.kind, component.name) for component in other.components}
            for component in components:
                if (component.kind, component.name) in offered:
                    what = f'the {SPOKEN[component.kind]} "{component.name}"'
                    raise PluginError(f"it offers {what}, as does {other.name} of the same distribution")
