"""The hooks that a plugin implements: pluggy's judgement of them, in sentences for the plugin's author."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from typing import Any

import pluggy

from ftrun import hookspecs
from ftrun.errors import nearest
from ftrun.planning.conformance import PluginError

OBSERVING = ("ftrun_run_started", "ftrun_evaluated", "ftrun_run_finished")
"""The hooks of a plugin that looks on."""


def new_manager() -> pluggy.PluginManager:
    """Pluggy's manager of ftrun's hooks, without any plugin."""
    manager = pluggy.PluginManager("ftrun")
    manager.add_hookspecs(hookspecs)
    return manager


def register(manager: pluggy.PluginManager, module: Any, name: str) -> None:
    """Take a plugin's hooks in, if all of them are hooks of ftrun and can be called.

    Raises:
        PluginError: If one is not, or lacks its mark, or there is none, or one is a generator function or a coroutine.
    """
    if manager.is_registered(module):
        raise PluginError("it names the same module as another entry point does")
    _refuse_unmarked(manager, module)
    try:
        manager.register(module, name)
    except pluggy.PluginValidationError as error:
        raise PluginError(_what_it_may_take(manager, module) or " ".join(str(error).split())) from None
    _refuse_unknown(manager, module)
    found = list(implementations(manager, module))
    if not found:
        raise PluginError("it implements no hook of ftrun, such as ftrun_metrics")
    for hook, function in found:
        _refuse_what_a_call_does_not_run(hook, function)


def implementations(manager: pluggy.PluginManager, module: Any) -> Iterator[tuple[str, Callable[..., Any]]]:
    """A registered plugin's hooks by name, each with a function that implements it.

    Raises:
        PluginError: If one is a wrapper: plugins have nothing to do with what others offer.
    """
    for caller in manager.get_hookcallers(module) or []:
        for implementation in caller.get_hookimpls():
            if implementation.plugin is not module or not caller.has_spec():
                continue
            if implementation.wrapper or implementation.hookwrapper:
                raise PluginError(f"{caller.name} is a wrapper, and every plugin's hooks are called by themselves")
            yield caller.name, implementation.function


def _known(manager: pluggy.PluginManager) -> list[str]:
    return sorted(
        name for name, caller in vars(manager.hook).items() if name.startswith("ftrun_") and caller.has_spec()
    )


def _refuse_unmarked(manager: pluggy.PluginManager, module: Any) -> None:
    """A function by a hook's name that nobody marked would be passed over in silence."""
    for name in _known(manager):
        found = getattr(module, name, None)
        if callable(found) and found is not getattr(hookspecs, name) and not manager.parse_hookimpl_opts(module, name):
            raise PluginError(f"{name} is not marked with @ftrun.hookimpl")


def _refuse_unknown(manager: pluggy.PluginManager, module: Any) -> None:
    for caller in manager.get_hookcallers(module) or []:
        mine = [found for found in caller.get_hookimpls() if found.plugin is module]
        if caller.has_spec() or all(found.optionalhook for found in mine):
            continue
        close = nearest(caller.name, _known(manager))
        raise PluginError(f"{caller.name} is not a hook of ftrun" + (f"; did you mean {close}?" if close else ""))


def _refuse_what_a_call_does_not_run(hook: str, function: Callable[..., Any]) -> None:
    if inspect.isgeneratorfunction(function):
        raise PluginError(f"{hook} has a `yield`, so a call of it runs none of its lines: it must be a plain function")
    if inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function):
        raise PluginError(f"{hook} is `async`, so a call of it runs none of its lines: it must be a plain function")


def _what_it_may_take(manager: pluggy.PluginManager, module: Any) -> str | None:
    """A sentence about a hook of the plugin's that takes what it is not given."""
    for name in dir(module):
        options = manager.parse_hookimpl_opts(module, name)
        hook = (options.get("specname") or name) if options else None
        if hook not in _known(manager):
            continue
        given = list(inspect.signature(getattr(hookspecs, hook)).parameters)
        for taken in inspect.signature(getattr(module, name)).parameters:
            if taken not in given:
                return f"{hook} takes {taken}, and a hook of that name is given {', '.join(given) or 'nothing'}"
    return None
