"""Components and tables of a file, described for a person: who offers them, and what their keys are."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, cast

from ftrun.contracts import KINDS, Kind
from ftrun.errors import ExperimentError, Problem, nearest
from ftrun.planning.catalogue import Catalogue, Offer
from ftrun.planning.experiment import ExperimentSettings, PushSettings, TrackingSettings
from ftrun.planning.keys import Key, described, keys_of
from ftrun.planning.pasting import table_to_paste
from ftrun.settings import OTHER_SPELLINGS, Settings, TrainingSettings

TABLES: Mapping[str, type[Settings]] = {
    "training": TrainingSettings,
    "tracking": TrackingSettings,
    "push": PushSettings,
    "experiment": ExperimentSettings,
}
"""The tables of a file that are no component's, and its top level."""
SUMMARIES: Mapping[str, str] = {
    "training": "Settings that all backends share, as transformers' TrainingArguments has them",
    "tracking": "How MLflow is told",
    "push": "Where on the Hub the trained model goes",
    "experiment": "The top level of an experiment file",
}
NEEDED: Sequence[Kind] = ("dataset", "model", "backend")
METRIC_NAME_KEY = Key(
    "name", "text", False, None, "What its number is called; goes before several numbers.", '"of_mine"'
)
FILE_KEYS = (
    Key("extends", "text", False, None, "The file that this one builds on.", '"other.toml"'),
    Key("profile", "table of tables", False, None, "What `--profile NAME` lays over the file.", "{}"),
)
"""Keys of a file alone."""


@dataclass(frozen=True)
class Description:
    """A component, or a table of a file.

    Attributes:
        kind: The component's kind; of a table its name.
        name: What a file says to `use`; None for a table.
        distribution, version: Of whoever provides it.
        toml: A table to paste.
    """

    kind: str
    name: str | None
    distribution: str
    version: str
    summary: str
    keys: Sequence[Key]
    toml: str

    def as_json(self) -> dict[str, Any]:
        """For a program."""
        return asdict(self)


def listed(catalogue: Catalogue, kind: str | None = None) -> list[tuple[str, str, str, str]]:
    """Kind, name, provider and summary of every component, or of those of a kind; and the tables of a file."""
    rows: list[tuple[str, str, str, str]] = [
        (each, name, offer.provider, offer.component.summary)
        for each in KINDS
        if kind in (None, each)
        for name, offers in catalogue.offers(each).items()
        for offer in offers
    ]
    return rows if kind else [*rows, *((table, "", "", SUMMARIES[table]) for table in TABLES)]


def observers(catalogue: Catalogue) -> list[dict[str, Any]]:
    """The plugins that look on, each with its distribution, version and observing hooks."""
    return [
        {
            "plugin": plugin.name,
            "distribution": plugin.distribution,
            "version": plugin.version,
            "observes": plugin.observes,
        }
        for plugin in catalogue.plugins
        if plugin.observes
    ]


def kind_meant(catalogue: Catalogue, told: str) -> str:
    """The kind or table that is meant; in the plural, too, and as a header.

    Raises:
        ExperimentError: If there is none.
    """
    word = told.strip("[]").lower()
    names = (*KINDS, *TABLES)
    for name in (word, word.removesuffix("s"), {"data": "dataset", "file": "experiment"}.get(word, "")):
        if name in names:
            return name
    for kind in KINDS:
        if told in catalogue.offers(kind):
            raise _unknown_kind(told, f"{told} is a {kind}: say `ftrun describe {kind} {told}`.")
    close = nearest(word, names)
    raise _unknown_kind(told, f"Did you mean {close}?" if close else f"There are: {', '.join(names)}.")


def _unknown_kind(told: str, hint: str) -> ExperimentError:
    return ExperimentError(Problem(f'there is no kind of component and no table "{told}"', hint=hint))


def describe(catalogue: Catalogue, kind: str, name: str | None) -> Description:
    """A component, a table, or a table with one of its keys alone.

    Raises:
        ExperimentError: If there is none of that name.
    """
    if kind in TABLES:
        table = _of_table(catalogue, kind)
        return table if name is None else replace(table, keys=[_key(table, name)])
    offer = catalogue.find(cast(Kind, kind), name or "", "")
    return of_component(catalogue, offer)


def of_component(catalogue: Catalogue, offer: Offer) -> Description:
    """A component that a plugin offers."""
    component = offer.component
    keys = described(keys_of(component.settings))
    header = "[[metrics]]" if component.kind == "metric" else f"[{component.kind}]"
    if component.kind == "metric":
        keys = [*keys, METRIC_NAME_KEY]
    toml = table_to_paste(header, catalogue.use_of(offer), keys, component.settings)
    return Description(component.kind, component.name, offer.distribution, offer.version, component.summary, keys, toml)


def _of_table(catalogue: Catalogue, table: str) -> Description:
    ours = next((plugin for plugin in catalogue.plugins if plugin.distribution == "ftrun"), None)
    keys = described(keys_of(TABLES[table]))
    toml = table_to_paste(f"[{table}]", None, keys, TABLES[table])
    if table == "experiment":
        toml = _whole_file(catalogue)
        keys = [*(replace(key, required=False) if key.name == "name" else key for key in keys), *FILE_KEYS]
    return Description(table, None, "ftrun", ours.version if ours else "", SUMMARIES[table], keys, toml)


def _whole_file(catalogue: Catalogue) -> str:
    """A file with a component of each kind that it needs, the first that there is."""
    keys = [key for key in described(keys_of(ExperimentSettings)) if key.name in ("name", "seed")]
    named = [replace(key, sample='"mine"') if key.name == "name" else key for key in keys]
    tables = [
        of_component(catalogue, offers[0]).toml
        for kind in NEEDED
        for offers in list(catalogue.offers(kind).values())[:1]
    ]
    return "\n".join([table_to_paste("", None, named), *tables])


def _key(table: Description, name: str) -> Key:
    for key in table.keys:
        if key.name == name:
            return key
    names = [key.name for key in table.keys]
    spelt = OTHER_SPELLINGS.get(name) if table.kind == "training" else None
    raise ExperimentError(_unknown_key(table.kind, name, spelt or nearest(name, names), names))


def _unknown_key(table: str, name: str, close: str | None, names: Iterable[str]) -> Problem:
    hint = f"Did you mean {close}?" if close else f"The keys there: {', '.join(names)}."
    return Problem(f'there is no key "{name}" in [{table}]', hint=hint)
