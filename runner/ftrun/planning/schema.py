"""The JSON Schema of an experiment file, with the settings of every plugin that is installed, for editors.

`use` decides which settings a component's table has. A file that extends another, or has profiles, may leave the rest
to the others, and so may a profile: then no key is required.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ftrun.contracts import KINDS, Backend, Kind
from ftrun.planning.catalogue import Catalogue, Offer
from ftrun.planning.experiment import ExperimentSettings, PushSettings, TrackingSettings
from ftrun.planning.keys import Keys, Schema, keys_of
from ftrun.planning.parts import METRIC_NAME
from ftrun.settings import RUNNER_KEYS, Settings, TrainingSettings

DRAFT = "http://json-schema.org/draft-07/schema#"
TABLES: Mapping[str, type[Settings]] = {
    "training": TrainingSettings,
    "tracking": TrackingSettings,
    "push": PushSettings,
}
SINGLE: Sequence[Kind] = ("dataset", "model", "collator", "backend")
NEEDED = ("dataset", "model", "backend")


def experiment_schema(catalogue: Catalogue) -> Schema:
    """The schema, in draft 7."""
    uses = {kind: _uses(catalogue, kind) for kind in KINDS}
    definitions: dict[str, Schema] = {}
    for kind in KINDS:
        definitions[kind] = _component_table(kind, uses[kind], definitions)
        definitions[f"{kind}.whole"] = {"allOf": [_required_by(use, offer) for use, offer in uses[kind].items()]}
    for table, settings in TABLES.items():
        definitions[table] = _settings_table(keys_of(settings, f"{table}."), definitions)
    layer = _layer()
    definitions["profile"] = {"type": "object", "properties": layer, "additionalProperties": False}
    return {
        "$schema": DRAFT,
        "title": "An experiment of ftrun",
        "description": "Written by `ftrun schema` of the plugins that were installed then.",
        "type": "object",
        "properties": {**_of_a_file_alone(), **layer},
        "additionalProperties": False,
        "allOf": [_whole_where_alone(), *_honoured(uses["backend"])],
        "definitions": definitions,
    }


def _uses(catalogue: Catalogue, kind: Kind) -> dict[str, Offer]:
    """What `use` may say of a kind: names that one distribution offers, and all with their distribution."""
    named = catalogue.offers(kind)
    plain = {name: offers[0] for name, offers in named.items() if len(offers) == 1}
    told = {f"{offer.distribution}:{name}": offer for name, offers in named.items() for offer in offers}
    return {**plain, **told}


def _component_table(kind: Kind, uses: Mapping[str, Offer], definitions: dict[str, Schema]) -> Schema:
    """The table of a component: any key of the kind, and with `use` those of the one that it names alone."""
    own: dict[str, Schema] = {"use": _use(uses)}
    if kind == "metric":
        own["name"] = {
            "type": "string",
            "pattern": f"^{METRIC_NAME}$",
            "description": "What its number is called; goes before several numbers.",
        }
    union: dict[str, list[Schema]] = {}
    conditions = []
    for offer, names in _by_offer(uses):
        keys = keys_of(offer.component.settings, f"{kind}.{offer.distribution}.{offer.component.name}.")
        definitions.update(keys.definitions)
        for name, schema in keys.properties.items():
            known = union.setdefault(name, [])
            known.extend([schema] if schema not in known else [])
        allowed = {**dict.fromkeys(own, True), **keys.properties}
        conditions.append({"if": _used(names), "then": {"properties": allowed, "additionalProperties": False}})
    any_of_them = {name: found[0] if len(found) == 1 else {"anyOf": found} for name, found in union.items()}
    table: Schema = {"type": "object", "properties": {**any_of_them, **own}, "additionalProperties": False}
    return {**table, "allOf": conditions} if conditions else table


def _by_offer(uses: Mapping[str, Offer]) -> list[tuple[Offer, list[str]]]:
    """Each component once, with all that `use` may say for it."""
    names: dict[int, tuple[Offer, list[str]]] = {}
    for use, offer in uses.items():
        names.setdefault(id(offer), (offer, []))[1].append(use)
    return list(names.values())


def _use(uses: Mapping[str, Offer]) -> Schema:
    summaries = [f"{offer.component.summary} ({offer.provider})" for offer in uses.values()]
    schema: Schema = {"type": "string", "description": "The component, by its name.", "enum": list(uses)}
    return {**schema, "x-taplo": {"docs": {"enumValues": summaries}}} if uses else {**schema, "enum": ["none"]}


def _used(names: Iterable[str]) -> Schema:
    return {"properties": {"use": {"enum": list(names)}}, "required": ["use"]}


def _required_by(use: str, offer: Offer) -> Schema:
    return {"if": _used([use]), "then": {"required": list(keys_of(offer.component.settings).required)}}


def _settings_table(keys: Keys, definitions: dict[str, Schema]) -> Schema:
    definitions.update(keys.definitions)
    return {"type": "object", "properties": dict(keys.properties), "additionalProperties": False}


def _layer() -> dict[str, Schema]:
    """The keys of the top level of a file, and of a profile."""
    properties = dict(keys_of(ExperimentSettings).properties)
    for name in (*SINGLE, *TABLES):
        properties[name] = _referring(name, properties[name])
    entries = {"allOf": [{"$ref": "#/definitions/metric"}, {"$ref": "#/definitions/metric.whole"}], "required": ["use"]}
    properties["metrics"] = {**properties["metrics"], "items": entries}
    return properties


def _referring(table: str, schema: Schema) -> Schema:
    told: Schema = {key: schema[key] for key in schema if key in ("description", "default")}
    return {"allOf": [{"$ref": f"#/definitions/{table}"}], **told}


def _of_a_file_alone() -> dict[str, Schema]:
    return {
        "extends": {"type": "string", "minLength": 1, "description": "The file that this one builds on."},
        "profile": {
            "type": "object",
            "description": "What `--profile NAME` lays over the file.",
            "additionalProperties": {"$ref": "#/definitions/profile"},
        },
    }


def _whole_where_alone() -> Schema:
    """A file that nothing is laid under or over has all that an experiment needs."""
    layered = {"anyOf": [{"required": ["extends"]}, {"required": ["profile"]}]}
    whole: Schema = {kind: {"allOf": [{"$ref": f"#/definitions/{kind}.whole"}]} for kind in SINGLE}
    for kind in SINGLE:
        whole[kind]["required"] = ["use"]
    return {"if": {"not": layered}, "then": {"required": list(NEEDED), "properties": whole}}


def _honoured(backends: Mapping[str, Offer]) -> list[Schema]:
    """Which keys of [training] have a meaning for the backends that do not take all."""
    found = []
    for offer, names in _by_offer(backends):
        component: Any = offer.component
        if isinstance(component, Backend) and component.honours is not None:
            chosen = {"properties": {"backend": _used(names)}, "required": ["backend"]}
            honours = {"training": {"propertyNames": {"enum": sorted(component.honours | RUNNER_KEYS)}}}
            found.append({"if": chosen, "then": {"properties": honours}})
    return found
