"""Whether what a plugin offers is as the contract says; each fault is a sentence for the plugin's author."""

from __future__ import annotations

import inspect
import re
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

from ftrun import contracts
from ftrun.contracts import COMPONENTS, CONTRACT_VERSION, KINDS, Component, Kind
from ftrun.errors import nearest
from ftrun.settings import Settings, TrainingSettings, shown

SPOKEN: Mapping[Kind, str] = {**{kind: kind for kind in KINDS}, "dataset": "data set"}
"""What a kind is called in a sentence."""


class PluginError(Exception):
    """A plugin is not as the contract says."""


def said(error: BaseException) -> str:
    """What kind of error it is and what it says, in one line, whoever wrote it."""
    try:
        words = " ".join(str(error).split())
    except Exception:
        words = "it cannot say what"
    return f"{type(error).__name__}: {words}"


def line_of(fault: BaseException, package: str) -> str:
    """The file and line of a package that a fault came through last, or else those that raised it.

    Args:
        fault: What was raised, and has a traceback.
        package: The name that the package is imported by.
    """
    lines = list(traceback.walk_tb(fault.__traceback__))
    own = [line for line in lines if line[0].f_globals.get("__name__", "").partition(".")[0] == package]
    frame, number = (own or lines)[-1]
    return f"{Path(frame.f_code.co_filename).name}, line {number}"


def own_line(fault: BaseException, package: str) -> str:
    """The same in brackets, to go on a sentence with; nothing where the fault came through no line of the package's."""
    names = (frame.f_globals.get("__name__", "") for frame, _ in traceback.walk_tb(fault.__traceback__))
    is_own = any(name.partition(".")[0] == package for name in names)
    return f" ({line_of(fault, package)})" if is_own else ""


def field_meant(fault: BaseException) -> str | None:
    """The field of the contract's that is nearest to one that it does not have, where that is the fault."""
    found = re.search(r"(\w+)\.__init__\(\) got an unexpected keyword argument '(\w+)'", said(fault))
    made = getattr(contracts, found[1], None) if found and isinstance(fault, TypeError) else None
    return nearest(found[2], [field.name for field in fields(made)]) if found and is_dataclass(made) else None


def refuse_other_contract(module: Any) -> None:
    """Refuse a plugin that was written for a contract that this ftrun does not keep.

    Raises:
        PluginError: If its `ftrun_contract` is a later version or another major one, or no version.
    """
    needed = getattr(module, "ftrun_contract", None)
    if needed is None:
        return
    found = re.fullmatch(r"([0-9]{1,6})\.([0-9]{1,6})", needed) if isinstance(needed, str) else None
    if not found:
        raise PluginError(
            f'ftrun_contract must be a version as text, such as "{CONTRACT_VERSION}", not {shown(needed)}'
        )
    major, minor = map(int, found.groups())
    our_major, our_minor = map(int, CONTRACT_VERSION.split("."))
    if (major, minor) > (our_major, our_minor):
        upgrade = "upgrade ftrun"
    elif major < our_major:
        upgrade = "upgrade the plugin"
    else:
        return
    raise PluginError(f"needs version {needed} of ftrun's contract, and this ftrun has {CONTRACT_VERSION}: {upgrade}")


def components_in(answer: Any, hook: str, kind: Kind) -> Sequence[Component]:
    """What a hook returned, if it is a list of components of its kind, each as the contract says.

    Raises:
        PluginError: With all that is wrong.
    """
    expected = COMPONENTS[kind].__name__
    if isinstance(answer, Component):
        raise PluginError(f"{hook} returned one component, and must return a list: [{type(answer).__name__}(...)]")
    if not isinstance(answer, list | tuple):
        raise PluginError(f"{hook} returned {shown(answer)}, and must return a list of {expected}")
    faults = [fault for component in answer for fault in _faults_of(component, hook, kind)]
    if faults:
        raise PluginError("; ".join(faults))
    return answer


def refuse_twins(components: Sequence[Component]) -> None:
    """Refuse a plugin that offers two components of one kind and name.

    Raises:
        PluginError: If it does.
    """
    names = [(component.kind, component.name) for component in components]
    for kind, name in names:
        if names.count((kind, name)) > 1:
            raise PluginError(f'it offers the {SPOKEN[kind]} "{name}" twice')


def _faults_of(component: Any, hook: str, kind: Kind) -> Iterator[str]:
    expected = COMPONENTS[kind]
    if isinstance(component, type):
        yield f"{hook} returned the class {component.__name__}, and must return components: {expected.__name__}(...)"
    elif isinstance(component, Component) and not isinstance(component, expected):
        name = type(component).__name__
        yield f'{hook} returned the {name} "{component.name}", which is no {expected.__name__}'
    elif not isinstance(component, expected):
        yield f"{hook} returned {shown(component)}, which is no {expected.__name__}"
    else:
        yield from _faults_of_fields(component, f"the {SPOKEN[kind]} {shown(component.name)}")


def _faults_of_fields(component: Component, who: str) -> Iterator[str]:
    kind = component.kind
    for name in (field.name for field in fields(component)):
        judge = MUST_BE.get(name)
        if judge and (must := judge(getattr(component, name), kind, name)):
            yield f"{name} of {who} {must}"
    known = {} if _not_settings(component.settings, kind, "settings") else component.settings.model_fields
    if taken := sorted(_RUNNERS[kind] & set(known)):
        yield f"the settings of {who} have {taken[0]}, which is the runner's key"


def _no_name(value: Any, kind: Kind, field: str) -> str | None:
    sound = isinstance(value, str) and re.fullmatch(r"[A-Za-z0-9_.-]+", value)
    return None if sound else f"must be text of letters, digits, _, . and -, not {shown(value)}"


def _no_line(value: Any, kind: Kind, field: str) -> str | None:
    sound = isinstance(value, str) and len(value.splitlines()) <= 1
    return None if sound else f"must be text of one line, not {shown(value)}"


def _no_line_nor_none(value: Any, kind: Kind, field: str) -> str | None:
    return None if value is None else _no_line(value, kind, field)


def _not_settings(value: Any, kind: Kind, field: str) -> str | None:
    if isinstance(value, type) and issubclass(value, Settings):
        return None
    if isinstance(value, Settings):
        return f"must be the class {type(value).__name__}, not an instance of it"
    given = value.__name__ if isinstance(value, type) else shown(value)
    return f"must be a class derived from ftrun.settings.Settings, not {given}"


def _no_flag(value: Any, kind: Kind, field: str) -> str | None:
    return None if isinstance(value, bool) else f"must be True or False, not {shown(value)}"


def _no_words(value: Any, kind: Kind, field: str) -> str | None:
    sound = isinstance(value, AbstractSet) and all(isinstance(word, str) for word in value)
    return None if sound else f'must be a set of text, such as frozenset({{"..."}}), not {shown(value)}'


def _no_words_of(known: Sequence[str]) -> Callable[[Any, Kind, str], str | None]:
    def judge(value: Any, kind: Kind, field: str) -> str | None:
        if must := _no_words(value, kind, field):
            return must
        odd = sorted(value - set(known))
        return f"has {', '.join(odd)}, and may have {', '.join(known)}" if odd else None

    return judge


def _no_keys_of_training(value: Any, kind: Kind, field: str) -> str | None:
    if value is None or (must := _no_words(value, kind, field)):
        return None if value is None else must
    for key in sorted(value - set(TrainingSettings.model_fields)):
        close = nearest(key, TrainingSettings.model_fields)
        return f"has {key}, which is no key of [training]" + (f": did you mean {close}?" if close else "")
    return None


def _no_function(value: Any, kind: Kind, field: str) -> str | None:
    given = CALLED_WITH.get((kind, field), CALLED_WITH.get(field, ()))
    if not callable(value):
        return f"must be a function of {_and(given)}, not {shown(value)}"
    try:
        signature = inspect.signature(value)
    except (TypeError, ValueError):  # of some builtins nobody can tell
        return None
    try:
        signature.bind(*given)
    except TypeError:
        return f"must be a function of {_and(given)}, and takes {signature}"
    return None


def _no_function_nor_none(value: Any, kind: Kind, field: str) -> str | None:
    return None if value is None else _no_function(value, kind, field)


def _and(words: Sequence[str]) -> str:
    return " and ".join(words)


CALLED_WITH: Mapping[Any, Sequence[str]] = {
    "build": ("settings", "training"),
    ("dataset", "build"): ("settings",),
    "train_only": ("settings",),
    "read": ("settings", "file", "task"),
    ("model", "build"): ("settings", "splits"),
    "load": ("settings", "folder", "task"),
    ("collator", "build"): ("settings", "tokenizer"),
    ("metric", "build"): ("settings", "task"),
    "task": ("settings",),
    "yields": ("settings", "task"),
    "notices": ("settings", "task"),
    "check": ("settings",),
    "needs": ("settings",),
    ("backend", "check"): ("settings", "training"),
    "check_environment": ("training", "environment"),
}
"""What the functions of a component are called with, by field, or by kind and field where kinds differ."""

MUST_BE: Mapping[str, Callable[[Any, Kind, str], str | None]] = {
    "name": _no_name,
    "summary": _no_line,
    "settings": _not_settings,
    "build": _no_function,
    "yields": _no_function,
    "notices": _no_function_nor_none,
    "task": _no_function_nor_none,
    "check": _no_function_nor_none,
    "needs": _no_function_nor_none,
    "load": _no_function_nor_none,
    "train_only": _no_function_nor_none,
    "read": _no_function_nor_none,
    "check_environment": _no_function_nor_none,
    "kinds": _no_words,
    "precisions": _no_words_of(("float32", "bfloat16", "float16")),
    "devices": _no_words_of(("cpu", "cuda", "mps")),
    "honours": _no_keys_of_training,
    "has_tokenizer": _no_flag,
    "needs_tokenizer": _no_flag,
    "checkpoint_format": _no_line_nor_none,
}
"""By field of a component: what judges it, which gives a sentence that goes on from the field's name, or None."""

_RUNNERS: Mapping[Kind, frozenset[str]] = {kind: frozenset({"use"}) for kind in KINDS} | {
    "metric": frozenset({"use", "name"})
}
"""Keys of a component's table that are the runner's own."""
