"""The public contract as a list: every name that a plugin or a program may use, with what it takes and holds.

python tests/public_contract.py    writes the list anew, after a change that is meant
"""

from __future__ import annotations

import ast
import dataclasses
import importlib
import inspect
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

MODULES = (
    "ftrun",
    "ftrun.contracts",
    "ftrun.errors",
    "ftrun.hookspecs",
    "ftrun.hub",
    "ftrun.references",
    "ftrun.rowfiles",
    "ftrun.settings",
    "ftrun.testing",
    "ftrun.training",
)
"""The modules that are public, and all that they list in `__all__`. A module that becomes public is added here."""
RECORDED = Path(__file__).with_suffix(".txt")
CALLED = ("__call__", "__enter__", "__exit__", "__getitem__", "__len__")
"""Methods without a public name that are public all the same; classes of data are made of their fields."""
PLAIN = (str, int, float, bool, type(None))


def lines() -> list[str]:
    """The contract of the code as it is."""
    found = [f"{module}.{line}" for module in MODULES for line in _of_module(importlib.import_module(module))]
    version = importlib.import_module("ftrun.contracts").CONTRACT_VERSION
    return [f"contract {version}", *sorted(found)]


def recorded() -> list[str]:
    """The contract as it was last recorded."""
    return RECORDED.read_text().splitlines()


def _of_module(module: ModuleType) -> Iterator[str]:
    for name in module.__all__:
        value = getattr(module, name)
        if isinstance(value, type) and name[0].isupper():
            yield from _of_class(name, value)
        elif inspect.isfunction(value):
            yield f"{name}{_signature(value)}"
        else:
            yield f"{name} = {_written(module, name)}"


def _of_class(name: str, kind: type[Any]) -> Iterator[str]:
    yield f"{name}({', '.join(base.__name__ for base in kind.__bases__ if base is not object)})"
    if name.endswith("Suite"):
        yield from (f"{name}.{line}" for line in _of_suite(kind))
        return
    yield from (f"{name}.{line}" for line in _fields(kind))
    made_of_fields = dataclasses.is_dataclass(kind) or hasattr(kind, "model_fields")
    called = CALLED if made_of_fields or getattr(kind, "_is_protocol", False) else (*CALLED, "__init__")
    for key, value in vars(kind).items():
        public = not key.startswith("_") or key in called
        if isinstance(value, property) and public:
            yield f"{name}.{key}: {inspect.get_annotations(value.fget)['return']}, a property"  # type: ignore[arg-type]
        elif inspect.isfunction(value) and public:
            yield f"{name}.{key}{_signature(value)}"


def _of_suite(kind: type[Any]) -> Iterator[str]:
    """What its author may set; its tests may become more."""
    for key, declared in inspect.get_annotations(kind).items():
        if not key.startswith("_"):
            yield f"{key}: {declared}" + (f" = {_default(vars(kind)[key])}" if key in vars(kind) else "")
    for key, value in vars(kind).items():
        if key.startswith(("make_", "expects_")):
            yield f"{key}{_signature(value)}"


def _fields(kind: type[Any]) -> Iterator[str]:
    if dataclasses.is_dataclass(kind):
        for place, field in enumerate(dataclasses.fields(kind)):
            makes = field.default_factory is not dataclasses.MISSING
            required = field.default is dataclasses.MISSING and not makes
            by = "" if field.kw_only else f", number {place + 1}"
            yield f"{field.name}: {field.type}{'' if required else f' = {_default(field.default)}'}{by}"
    elif hasattr(kind, "model_fields"):
        for key, field in kind.model_fields.items():
            declared = inspect.get_annotations(kind)[key]
            yield f"{key}: {declared}{'' if field.is_required() else f' = {_default(field.default)}'}"
    elif getattr(kind, "_is_protocol", False):
        yield from (f"{key}: {declared}" for key, declared in inspect.get_annotations(kind).items())


def _default(value: Any) -> str:
    return repr(value) if isinstance(value, PLAIN) else "..."


def _signature(function: Callable[..., Any]) -> str:
    signature = inspect.signature(function)
    parameters = [
        parameter
        if parameter.default is parameter.empty or isinstance(parameter.default, (*PLAIN, tuple))
        else parameter.replace(default=...)
        for parameter in signature.parameters.values()
    ]
    return str(signature.replace(parameters=parameters)).replace("'", "").replace("= Ellipsis", "= ...")


def _written(module: ModuleType, name: str) -> str:
    """The value of a constant or of an alias of types, as the code has it; of a table or a call only that it is one."""
    prefix = f"{module.__name__}."
    for source in [module, *(found for key, found in sorted(sys.modules.items()) if key.startswith(prefix))]:
        for node in ast.parse(inspect.getsource(source)).body:
            targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
            if any(isinstance(target, ast.Name) and target.id == name for target in targets):
                value = node.value  # type: ignore[attr-defined]
                return "..." if isinstance(value, ast.Call | ast.Dict) else ast.unparse(value)
    return "..."


if __name__ == "__main__":
    RECORDED.write_text("\n".join(lines()) + "\n")
