"""Discovery of plugins, each isolated from the others' faults, and the catalogue of the components they offer."""

from __future__ import annotations

import logging
import traceback
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import EntryPoint, entry_points
from typing import Any

import pluggy

from ftrun import hookspecs
from ftrun.contracts import COMPONENTS, KINDS, Component, Kind
from ftrun.errors import ExperimentError, Problem, nearest
from ftrun.hookspecs import ENTRY_POINT_GROUP
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
    """

    def __init__(self, plugins: Sequence[Plugin], manager: pluggy.PluginManager) -> None:
        self.plugins = plugins
        self._manager = manager
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
        for name, module in self._manager.list_name_plugin():
            others = [plugin for plugin in self._manager.get_plugins() if plugin is not module]
            try:
                self._manager.subset_hook_caller(hook, others)(**facts)
            except Exception:
                log.exception("plugin %s failed in %s", name, hook)


def load_catalogue(points: Iterable[EntryPoint] | None = None) -> Catalogue:
    """Load every plugin of the entry-point group `ftrun`; one that fails is recorded, and breaks nothing else.

    Args:
        points: The entry points to load instead of the installed ones.
    """
    manager = pluggy.PluginManager("ftrun")
    manager.add_hookspecs(hookspecs)
    installed = entry_points(group=ENTRY_POINT_GROUP) if points is None else points
    return Catalogue([_load(point, manager) for point in sorted(installed, key=_order)], manager)


def _order(point: EntryPoint) -> tuple[bool, str, str]:
    distribution = point.dist.name if point.dist else ""
    return (distribution != "ftrun", distribution, point.name)


def _load(point: EntryPoint, manager: pluggy.PluginManager) -> Plugin:
    distribution = point.dist
    plugin = Plugin(
        point.name, distribution.name if distribution else "?", distribution.version if distribution else ""
    )
    name = f"{plugin.distribution}:{plugin.name}"
    try:
        module = point.load()
        manager.register(module, name)
        _refuse_unknown_hooks(module)
        plugin.components = _components_of(module, manager)
        plugin.observes = [hook for hook in _hooks_of(module, manager) if hook not in _OFFERING]
    except Exception as error:  # whatever somebody else's package does, it is that plugin's failure and no other's
        plugin.failure = redacted(f"{type(error).__name__}: {error}")
        plugin.trace = redacted(traceback.format_exc())
        if manager.has_plugin(name):
            manager.unregister(name=name)
    return plugin


_RUNNERS: Mapping[Kind, frozenset[str]] = {kind: frozenset({"use"}) for kind in KINDS} | {
    "metric": frozenset({"use", "name"})
}
"""Keys of a component's table that are the runner's own."""
_OFFERING: Mapping[str, Kind] = {f"ftrun_{kind}s": kind for kind in KINDS}


def _hooks_of(module: Any, manager: pluggy.PluginManager) -> list[str]:
    return [caller.name for caller in manager.get_hookcallers(module) or []]


def _refuse_unknown_hooks(module: Any) -> None:
    known = [name for name in dir(hookspecs) if name.startswith("ftrun_")]
    for name, value in vars(module).items():
        if hasattr(value, "ftrun_impl") and name not in known:
            close = nearest(name, known)
            raise TypeError(f"{name} is not a hook of ftrun" + (f"; did you mean {close}?" if close else ""))


def _components_of(module: Any, manager: pluggy.PluginManager) -> list[Component]:
    others = [plugin for plugin in manager.get_plugins() if plugin is not module]
    components: list[Component] = []
    for hook in _hooks_of(module, manager):
        if hook not in _OFFERING:
            continue
        expected = COMPONENTS[_OFFERING[hook]]
        for answer in manager.subset_hook_caller(hook, others)():
            for component in answer:
                if not isinstance(component, expected):
                    raise TypeError(f"{hook} returned {component!r}, which is no {expected.__name__}")
                if taken := sorted(_RUNNERS[component.kind] & set(component.settings.model_fields)):
                    raise TypeError(f'the settings of "{component.name}" have {taken[0]}, which is the runner\'s key')
                components.append(component)
    return components
