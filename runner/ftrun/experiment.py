"""From TOML files to one merged experiment: extends, profiles, --set and --unset, and where each value came from."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from ftrun.errors import ExperimentError, Problem, nearest
from ftrun.settings import NonNegativeInt, Settings

Table = dict[str, Any]


def without_credentials(text: str) -> str:
    """The text with user name and password taken out of every URI in it.

    >>> without_credentials("https://me:secret@mlflow.example")
    'https://mlflow.example'
    """
    return re.sub(r"(\w+://)[^/@\s]+@", r"\1", text)


def flat(table: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """A nested table's values under their dotted names, as text.

    >>> dict(flat({"training": {"learning_rate": 5e-05}, "metrics": [{"use": "glue"}]}))
    {'training.learning_rate': '5e-05', 'metrics.0.use': 'glue'}
    """
    for key, value in table.items():
        name = f"{prefix}{key}"
        if isinstance(value, Mapping):
            yield from flat(value, f"{name}.")
        elif isinstance(value, list) and value and all(isinstance(item, Mapping) for item in value):
            for index, item in enumerate(value):
                yield from flat(item, f"{name}.{index}.")
        else:
            yield name, str(value).lower() if isinstance(value, bool) else str(value)


class TrackingSettings(Settings):
    """The `[tracking]` table."""

    uri: str | None = Field(
        None, description="MLflow's tracking URI; MLFLOW_TRACKING_URI or MLflow's own default if absent."
    )
    experiment_name: str | None = Field(None, description="MLflow's experiment; the name of this one if absent.")
    enabled: bool = Field(True, description="Whether MLflow is told; the run folder holds everything either way.")


class ExperimentSettings(Settings):
    """The top level of an experiment file; the tables of components are validated by what they `use`."""

    format: Literal[1] = Field(1, description="The format of this file.")
    name: str = Field(
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", description="The experiment's name; the file's if absent."
    )
    seed: NonNegativeInt = Field(
        42, lt=2**32, description="Seed of the model's head, dropout and the order of the rows."
    )
    dataset: Table = Field(description='What to learn from: a table with `use = "NAME"`.')
    model: Table = Field(description='What to train: a table with `use = "NAME"`.')
    collator: Table = Field({"use": "dynamic-padding"}, description="How rows become batches.")
    backend: Table = Field(description='Who drives the training loop: a table with `use = "NAME"`.')
    training: Table = Field({}, description="Settings that all backends share.")
    metrics: list[Table] = Field([], description="What to measure at every evaluation, beside the loss.")
    tracking: Table = Field({}, description="How MLflow is told.")


@dataclass(frozen=True)
class Experiment:
    """What a file declares, merged from its layers but not yet validated.

    Attributes:
        path: The file; profile: the profile that was asked for.
        tables: The merged top-level table.
        origins: The layer that each dotted place was last set by.
    """

    path: Path
    tables: Table
    profile: str | None = None
    origins: Mapping[str, str] = field(default_factory=dict)

    def origin(self, place: str | None) -> str | None:
        """The file, profile or option that a value at `place` came from, as near as is known."""
        while place:
            if place in self.origins:
                return self.origins[place]
            place = place.rpartition(".")[0]
        return None


class _Layers:
    """Tables merged one onto the other, with the layer that each value came from."""

    def __init__(self) -> None:
        self.tables: Table = {}
        self.origins: dict[str, str] = {}

    def add(self, layer: Mapping[str, Any], origin: str) -> None:
        self._merge(self.tables, layer, origin, ())

    def remove(self, dotted: str) -> None:
        *parents, last = dotted.split(".")
        table: Any = self.tables
        for part in parents:
            table = table.get(part) if isinstance(table, dict) else None
        if isinstance(table, dict):
            table.pop(last, None)

    def _merge(self, base: Table, layer: Mapping[str, Any], origin: str, path: tuple[str, ...]) -> None:
        for key, value in layer.items():
            place = (*path, key)
            if not isinstance(value, dict):
                base[key] = value
            else:
                table = base.get(key)
                if not isinstance(table, dict) or ("use" in value and value["use"] != table.get("use")):
                    table = {}
                base[key] = table
                self._merge(table, value, origin, place)
            self.origins[".".join(place)] = origin


def load_experiment(
    path: str | Path,
    profile: str | None = None,
    overrides: Mapping[str, Any] | None = None,
    unset: Sequence[str] = (),
) -> Experiment:
    """Read an experiment file with all its layers: the file it extends, itself, a profile, and overrides.

    Args:
        path: The TOML file.
        profile: The `[profile.NAME]` to lay over it.
        overrides: Values by dotted key, such as `{"training.learning_rate": 3e-5}`, laid over everything.
        unset: Dotted keys to take out at the end.

    Raises:
        ExperimentError: If a file is missing or no TOML, extends itself, or has no such profile.
    """
    path = Path(path)
    layers = _Layers()
    for file in reversed(_extended(path)):
        layers.add(_read(file), file.name if file != path else str(path))
    layers.tables.pop("extends", None)
    profiles = layers.tables.pop("profile", {})
    if profile is not None:
        layers.add(_chosen(profiles, profile, path), f"profile {profile}")
    if overrides:
        layers.add(_nested(overrides), "--set")
    for dotted in unset:
        layers.remove(dotted)
    layers.tables.setdefault("name", path.stem)
    return Experiment(path, layers.tables, profile, layers.origins)


def parse_override(text: str) -> tuple[str, Any]:
    """`KEY=VALUE` from the command line; VALUE is TOML, or else a plain string.

    >>> parse_override("training.learning_rate=3e-5")
    ('training.learning_rate', 3e-05)
    >>> parse_override("backend.use=loop")
    ('backend.use', 'loop')
    """
    key, equals, value = text.partition("=")
    if not equals or not key.strip():
        raise ExperimentError(
            Problem(f'"{text}" is not of the form KEY=VALUE', "--set", "Such as training.max_steps=20.")
        )
    try:
        return key.strip(), tomllib.loads(f"value = {value.strip()}")["value"]
    except tomllib.TOMLDecodeError:
        return key.strip(), value.strip()


def _nested(overrides: Mapping[str, Any]) -> Table:
    tree: Table = {}
    for dotted, value in overrides.items():
        *parents, last = dotted.split(".")
        table = tree
        for part in parents:
            table = table.setdefault(part, {})
            if not isinstance(table, dict):
                raise ExperimentError(Problem(f"{dotted} is set below a value", dotted))
        if isinstance(table.get(last), dict) and isinstance(value, dict):
            table[last].update(value)
        else:
            table[last] = value
    return tree


def _extended(path: Path) -> list[Path]:
    """The file, the one that it extends, and so on."""
    chain = [path]
    while (above := _read(chain[-1]).get("extends")) is not None:
        if not isinstance(above, str):
            raise ExperimentError(Problem("must be the name of one file", "extends", origin=str(chain[-1])))
        file = chain[-1].parent / above
        if file.resolve() in [known.resolve() for known in chain]:
            loop = " -> ".join(known.name for known in [*chain, file])
            raise ExperimentError(
                Problem(f"the files extend each other in a circle: {loop}", "extends", origin=str(path))
            )
        if not file.is_file():
            raise ExperimentError(Problem(f"there is no file {file}", "extends", _sibling(file), str(chain[-1])))
        chain.append(file)
    return chain


def _read(path: Path) -> Table:
    if path.is_dir():
        raise ExperimentError(Problem(f"{path} is a folder, not an experiment file"))
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ExperimentError(Problem(f"there is no file {path}", hint=_sibling(path))) from None
    except UnicodeDecodeError as error:
        raise ExperimentError(Problem(f"{path} is not UTF-8 text: {error.reason} at byte {error.start}")) from None
    except OSError as error:
        raise ExperimentError(Problem(f"{path} cannot be read: {error.strerror}")) from None
    except tomllib.TOMLDecodeError as error:
        raise ExperimentError(Problem(f"this is not TOML: {error}", str(path))) from None


def _sibling(path: Path) -> str | None:
    folder = path.parent
    close = nearest(path.name, [file.name for file in folder.glob("*.toml")]) if folder.is_dir() else None
    return f"Did you mean {folder / close}?" if close else None


def _chosen(profiles: Any, profile: str, path: Path) -> Table:
    names = sorted(profiles) if isinstance(profiles, dict) else []
    if profile in names and isinstance(profiles[profile], dict):
        table: Table = profiles[profile]
        return table
    close = nearest(profile, names)
    hint = f'Did you mean "{close}"?' if close else f"Its profiles: {', '.join(names) or 'none'}."
    raise ExperimentError(Problem(f'{path} has no profile "{profile}"', "--profile", hint))
