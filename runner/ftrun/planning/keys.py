"""The keys of settings: their JSON Schema, which is pydantic's, and what it says in words."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic.json_schema import GenerateJsonSchema, JsonSchemaWarningKind

from ftrun.settings import Settings

Schema = dict[str, Any]
BARE = re.compile(r"[A-Za-z0-9_-]+")
"""A key that TOML takes without quotes."""


@dataclass(frozen=True)
class Key:
    """A key of a table.

    Attributes:
        type: What it holds, in words.
        default: What holds where it is absent, as TOML; None where it is required, or nothing holds then.
        sample: A value for it, as TOML.
    """

    name: str
    type: str
    required: bool
    default: str | None
    description: str
    sample: str


@dataclass(frozen=True)
class Keys:
    """The JSON Schema of a table.

    Attributes:
        properties: The schema of each key.
        required: The keys that must be there.
        definitions: What the schemas refer to, by name.
    """

    properties: Mapping[str, Schema]
    required: tuple[str, ...]
    definitions: Mapping[str, Schema]


class _Generator(GenerateJsonSchema):
    """Lets what JSON Schema has no word for be anything: the settings themselves judge it."""

    ignored_warning_kinds: set[JsonSchemaWarningKind] = {"skipped-choice", "non-serializable-default"}  # noqa: RUF012

    def handle_invalid_for_json_schema(self, schema: Any, error_info: str) -> Schema:
        return {}


def keys_of(settings: type[Settings], prefix: str = "") -> Keys:
    """The schema of settings, in draft 7.

    Args:
        settings: A class of settings; of one that pydantic has no schema of, the keys alone are told.
        prefix: What the names of its definitions begin with.
    """
    try:
        template = f"#/definitions/{prefix}{{model}}"
        whole = settings.model_json_schema(ref_template=template, schema_generator=_Generator)
    except KeyboardInterrupt:
        raise
    except BaseException:  # somebody else's types may raise anything as they are asked
        whole = {"properties": {field.alias or name: {} for name, field in settings.model_fields.items()}}
    definitions = {f"{prefix}{name}": _plain(inner) for name, inner in whole.get("$defs", {}).items()}
    if "$ref" in whole:  # settings that hold themselves
        whole = whole["$defs"][whole["$ref"].removeprefix(f"#/definitions/{prefix}")]
    schema = _plain(whole)
    _tell_empty_defaults(settings, schema)
    return Keys(schema.get("properties", {}), tuple(schema.get("required", ())), definitions)


def _tell_empty_defaults(settings: type[Settings], schema: Schema) -> None:
    """Tell what a `default_factory` makes where it is empty, and so is always; pydantic leaves these out."""
    for name, field in settings.model_fields.items():
        known = schema.get("properties", {}).get(field.alias or name, {"default": None})
        if "default" not in known and field.default_factory in _EMPTY:
            known["default"] = _EMPTY[field.default_factory]()


_EMPTY: Mapping[Any, type] = {dict: dict, list: list, tuple: list, set: list, frozenset: list}
"""What makes a value that is empty, and what that is in a file."""


def described(keys: Keys) -> list[Key]:
    """Each key in words, those that are required first."""
    names = sorted(keys.properties, key=lambda name: name not in keys.required)
    return [_described(name, keys) for name in names]


def _described(name: str, keys: Keys) -> Key:
    schema = keys.properties[name]
    default = as_toml(schema["default"]) if "default" in schema else None
    sample = default or as_toml(_sample(schema, keys.definitions))
    words = _words(schema, keys.definitions)
    help = " ".join(str(schema.get("description", "")).split())
    return Key(name, words, name in keys.required, default, help, sample)


_DROPPED = ("title", "discriminator", "uniqueItems", "writeOnly")
"""What says nothing of a file, or less than the settings take: a list may hold something twice for a set."""
_MAPS = ("properties", "patternProperties", "$defs", "definitions")


def _plain(schema: Any) -> Any:
    """A schema of draft 2020-12 as one of draft 7, and without null, which TOML has not."""
    if isinstance(schema, list):
        return [_plain(inner) for inner in schema]
    if not isinstance(schema, dict):
        return schema
    plain: Schema = {}
    for key, value in schema.items():
        if key in _MAPS:
            plain[key] = {name: _plain(inner) for name, inner in value.items()}
        elif key in ("anyOf", "oneOf", "allOf", "items", "additionalProperties", "propertyNames", "not"):
            plain[key] = _plain(value)
        elif key not in _DROPPED and not _is_pythons(key, value):
            plain[key] = value
    if "prefixItems" in plain:
        plain["items"] = _plain(plain.pop("prefixItems"))
    return _with_reference_apart(_without_null(plain))


def _is_pythons(key: str, value: Any) -> bool:
    """What JSON, or whoever checks a file by the schema, may not understand; one such word would spoil all of it."""
    if key == "pattern":
        return re.search(r"\(\?|\\[AZz]", str(value)) is not None
    try:
        json.dumps(value, allow_nan=False)
    except (TypeError, ValueError):
        return True
    return key == "default" and value is None


def _without_null(schema: Schema) -> Schema:
    for key in ("anyOf", "oneOf"):
        if key in schema:
            left = [choice for choice in schema.pop(key) if choice.get("type") != "null"]
            schema = {**left[0], **schema} if len(left) == 1 else {**schema, key: left}
    return schema


def _with_reference_apart(schema: Schema) -> Schema:
    """Draft 7 reads nothing beside a $ref."""
    if "$ref" not in schema or len(schema) == 1:
        return schema
    return {"allOf": [{"$ref": schema["$ref"]}], **{key: value for key, value in schema.items() if key != "$ref"}}


def _resolved(schema: Schema, definitions: Mapping[str, Schema]) -> Schema:
    (reference,) = schema["allOf"] if len(schema.get("allOf", ())) == 1 else (schema,)
    found = definitions.get(str(reference.get("$ref", "")).removeprefix("#/definitions/"))
    told = {key: value for key, value in schema.items() if key not in ("$ref", "allOf")}
    return {**found, **told} if found else schema


_TYPES = {"string": "text", "integer": "whole number", "number": "number", "boolean": "true or false"}
_LIMITS = {
    "exclusiveMinimum": "above",
    "minimum": "at least",
    "exclusiveMaximum": "below",
    "maximum": "at most",
}


def _words(schema: Schema, definitions: Mapping[str, Schema], depth: int = 0) -> str:
    """What a schema takes."""
    schema = _resolved(schema, definitions)
    if choices := schema.get("anyOf") or schema.get("oneOf"):
        return " or ".join(dict.fromkeys(_words(choice, definitions, depth) for choice in choices))
    if "enum" in schema or "const" in schema:
        return " or ".join(as_toml(value) for value in schema.get("enum", [schema.get("const")]))
    kind = schema.get("type")
    if kind == "array":
        items = schema.get("items", {})
        inner = _words(items, definitions, depth + 1) if isinstance(items, dict) and depth < 3 else "values"
        return f"list of {inner}"
    if kind == "object":
        if schema.get("properties"):
            return f"table of {', '.join(schema['properties'])}"
        values = schema.get("additionalProperties")
        if not isinstance(values, dict) or depth >= 3:
            return "table"
        return f"table of {_words(values, definitions, depth + 1)}"
    limits = [f"{word} {_shown(schema[limit])}" for limit, word in _LIMITS.items() if _is_number(schema.get(limit))]
    plain = "path" if (kind, schema.get("format")) == ("string", "path") else _TYPES.get(str(kind), "any value")
    return ", ".join([plain, *limits])


def _shown(limit: float) -> str:
    return f"{limit:,}" if isinstance(limit, int) and abs(limit) < 10**12 else f"{limit:g}"


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _sample(schema: Schema, definitions: Mapping[str, Schema], depth: int = 0) -> Any:
    """A value that a schema takes."""
    schema = _resolved(schema, definitions)
    for known in ("default", "const"):
        if known in schema:
            return schema[known]
    for several in ("examples", "enum"):
        if schema.get(several):
            return schema[several][0]
    if choices := schema.get("anyOf") or schema.get("oneOf") or schema.get("allOf"):
        return _sample(choices[0], definitions, depth + 1) if depth < 5 else "..."
    match schema.get("type"):
        case "array":
            return _sample_list(schema, definitions, depth)
        case "object":
            return _sample_table(schema, definitions, depth)
        case "integer" | "number" as kind:
            return _sample_number(schema, whole=kind == "integer")
        case "boolean":
            return True
    return "..."


def _sample_list(schema: Schema, definitions: Mapping[str, Schema], depth: int) -> list[Any]:
    items = schema.get("items", {})
    if isinstance(items, list):
        return [_sample(item, definitions, depth + 1) for item in items]
    return [_sample(items, definitions, depth + 1)] * max(1, schema.get("minItems", 1)) if depth < 5 else []


def _sample_table(schema: Schema, definitions: Mapping[str, Schema], depth: int) -> dict[str, Any]:
    if depth >= 5:
        return {}
    named = schema.get("properties", {})
    table = {key: _sample(named[key], definitions, depth + 1) for key in schema.get("required", ()) if key in named}
    values = schema.get("additionalProperties")
    if not table and isinstance(values, dict):
        table["name"] = _sample(values, definitions, depth + 1)
    return table


def _sample_number(schema: Schema, whole: bool) -> float:
    low = schema.get("minimum", schema.get("exclusiveMinimum"))
    high = schema.get("maximum", schema.get("exclusiveMaximum"))
    if whole:
        return int(low) + ("exclusiveMinimum" in schema) if low is not None else int(min(1, high or 1))
    if low is None:
        return float(min(1, high or 1))
    return float(low) + 1 if high is None or low + 1 < high else float(low + high) / 2


def as_toml(value: Any) -> str:
    """A value as a file has it, in one line."""
    return "".join(_toml(value))


def _toml(value: Any) -> Iterator[str]:
    import tomlkit

    if isinstance(value, Mapping):
        inner = ", ".join(f"{toml_key(str(key))} = {as_toml(entry)}" for key, entry in value.items())
        yield f"{{ {inner} }}" if inner else "{}"
    elif isinstance(value, list | tuple):
        yield f"[{', '.join(map(as_toml, value))}]"
    else:
        try:
            yield tomlkit.item(value).as_string()
        except Exception:  # an example of a type that TOML has not
            yield tomlkit.item(str(value)).as_string()


def toml_key(key: str) -> str:
    """A key as a file has it."""
    import tomlkit

    return key if BARE.fullmatch(key) else tomlkit.item(key).as_string()
