"""What is wrong with a class of settings: keys without help, values that it should refuse, defaults that it would."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping
from typing import Any, get_args

from pydantic import BaseModel, ValidationError, create_model

from ftrun.planning.written import as_in_a_file
from ftrun.settings import Settings

PROBES: tuple[Any, ...] = (True, 1, 1.5, "1", "true", ["x"], {"key": 1}, math.nan, math.inf)
"""A value of each type that a file may hold, and the two floats that settings do not take."""
UNKNOWN = "no_such_key"


def undocumented(model: type[BaseModel], prefix: str = "") -> Iterator[str]:
    """The dotted keys that have no description, in tables within the table, too."""
    for key, field in model.model_fields.items():
        if not (field.description or "").strip():
            yield f"{prefix}{key}"
        for inner in _models_in(field.annotation):
            yield from undocumented(inner, f"{prefix}{key}.")


def foreign(model: type[BaseModel]) -> Iterator[tuple[str, str]]:
    """The keys that hold tables of a class that is not derived from `Settings`, each with that class."""
    for key, field in model.model_fields.items():
        for inner in _models_in(field.annotation):
            if not issubclass(inner, Settings):
                yield key, inner.__name__


def takes_unknown_keys(model: type[Settings], table: Mapping[str, Any]) -> bool:
    """Whether a key that is not declared passes."""
    return takes(model, {**table, UNKNOWN: 1})


def takes_wrongly(
    model: type[Settings], table: Mapping[str, Any], but: Collection[str] = ()
) -> Iterator[tuple[str, Any]]:
    """The keys that take a value that their declared type, taken strictly, does not, each with the first such value.

    Args:
        model: The settings.
        table: A sound table, in which one value at a time is exchanged.
        but: Keys that mean to.
    """
    for key, field in model.model_fields.items():
        if key in but:
            continue
        declared = _declared(field.annotation)
        for probe in PROBES:
            if not takes(declared, {"value": probe}) and takes(model, {**table, key: probe}):
                yield key, probe
                break


def faulty_defaults(model: type[Settings], table: Mapping[str, Any]) -> Mapping[str, Any]:
    """The defaults that a file could not set, by key.

    Args:
        model: The settings.
        table: A sound table.
    """
    faulty = {}
    for key, field in model.model_fields.items():
        if field.is_required():
            continue
        default = field.get_default(call_default_factory=True, validated_data={})
        if default is None:
            sound = takes(_declared(field.annotation), {"value": None})
        else:
            sound = key not in _refused(model, {**table, key: as_in_a_file(default)})
        if not sound:
            faulty[key] = default
    return faulty


def varied(settings: Settings) -> Iterator[tuple[str, Settings]]:
    """Sound settings that differ from others in one whole number or truth value, each with what it is, as text."""
    for key in type(settings).model_fields:
        value = getattr(settings, key)
        others = [not value] if isinstance(value, bool) else [value + 1, value // 2] if isinstance(value, int) else []
        for other in others:
            table = {**settings.model_dump(), key: other}
            if other != value and takes(type(settings), table):
                yield f"{key} = {str(other).lower()}", type(settings).model_validate(table)


def _declared(annotation: Any) -> type[Settings]:
    """Settings with one key, `value`, of a type alone."""
    made: type[Settings] = create_model("Declared", __base__=Settings, value=(annotation, ...))
    return made


def takes(model: type[BaseModel], table: Mapping[str, Any]) -> bool:
    """Whether a table is taken."""
    try:
        model.model_validate(dict(table))
    except Exception:  # a validator may raise what it likes; that it must not is told elsewhere
        return False
    return True


def _refused(model: type[BaseModel], table: Mapping[str, Any]) -> Collection[Any]:
    try:
        model.model_validate(dict(table))
    except ValidationError as error:
        return {detail["loc"][0] for detail in error.errors() if detail["loc"]}
    except Exception:
        return ()
    return ()


def _models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for inner in get_args(annotation):
        yield from _models_in(inner)
