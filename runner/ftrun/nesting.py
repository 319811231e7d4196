"""Where in settings, and in those that they hold, pydantic means a fault to be."""

from __future__ import annotations

import types
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel


@dataclass(frozen=True)
class Spot:
    """Where a fault is.

    Attributes:
        place: The dotted place, as a file has it.
        keys: The keys of the table that the last key of the place stands in; empty where it holds any.
        description: What the settings say of the last key, where it is one of theirs.
    """

    place: str
    keys: Sequence[str]
    description: str | None = None


def spot_of(model: type[BaseModel], loc: Sequence[str | int], place: str = "") -> Spot:
    """Follow pydantic's location of a fault through the types of the fields.

    A location holds more than keys and indices: where a value may be one of several, also which of them was tried.

    Args:
        model: The settings of the outermost table.
        loc: pydantic's location.
        place: The dotted place of that table.
    """
    at: list[Any] = [model]
    keys: list[str] = []
    description: str | None = None
    for depth, part in enumerate(loc):
        if isinstance(part, int):
            place, at = f"{place}[{part}]", [inner for kind in at for inner in _entries(kind)]
            keys, description = [], None
            continue
        fields = [(kind, field) for kind in at if _is_model(kind) and (field := _field(kind, part))]
        tables = [get_args(kind)[1] for kind in at if _is_table(kind)]
        if not fields and not tables and (depth + 1 < len(loc) or not any(map(_is_model, at))):
            continue  # no key: which of several was tried
        keys = list(dict.fromkeys(key for kind in at if _is_model(kind) for key in kind.model_fields))
        description = fields[0][0].model_fields[fields[0][1]].description if fields else None
        place = f"{place}.{part}" if place else part
        inner = [kind.model_fields[field].annotation for kind, field in fields] or tables
        at = [choice for annotation in inner for choice in _choices(annotation)]
    return Spot(place, keys, description)


def _field(model: type[BaseModel], key: str) -> str | None:
    """The field that a key of a file is, by its name or its alias."""
    names = (name for name, field in model.model_fields.items() if key in (name, field.alias))
    return next(names, None)


def _is_model(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, BaseModel)


def _is_table(kind: Any) -> bool:
    origin = get_origin(kind)
    return isinstance(origin, type) and issubclass(origin, Mapping) and len(get_args(kind)) == 2


def _choices(annotation: Any) -> Iterator[Any]:
    """What a value may be: each member of a union by itself."""
    origin = get_origin(annotation)
    if origin is Annotated:
        yield from _choices(get_args(annotation)[0])
    elif origin is Union or origin is types.UnionType:
        for member in get_args(annotation):
            yield from _choices(member)
    else:
        yield annotation


def _entries(kind: Any) -> Iterator[Any]:
    """What the entries of a list may be."""
    for inner in get_args(kind):
        if inner is not Ellipsis:
            yield from _choices(inner)
