"""From TOML files to one merged experiment: extends, profiles, --set and --unset, and where each value came from."""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import quote, unquote

from pydantic import AfterValidator, Field

from ftrun.errors import ExperimentError, Problem, nearest
from ftrun.planning.layers import Layers, Table, as_tables
from ftrun.settings import NonNegativeInt, Settings, is_folder, shown


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


def absolute_store(uri: str) -> str:
    """A tracking URI as it holds from everywhere: that of a SQLite file in the working folder with the whole path.

    >>> absolute_store("sqlite:////data/mlflow.db")
    'sqlite:////data/mlflow.db'
    """
    found = re.fullmatch(r"(sqlite(?:\+\w+)?:///)(?!/|:memory:|file:)([^?]+)(\?.*)?", uri)
    return f"{found[1]}{quote(os.path.normpath(Path.cwd() / unquote(found[2])))}{found[3] or ''}" if found else uri


def check_tags(tags: Mapping[str, str]) -> dict[str, str]:
    """Tags as MLflow takes them.

    Raises:
        ValueError: If it does not take one of their names, or the name is one of ftrun's own.
    """
    for name in tags:
        is_path = os.path.normpath(name) == name and not name.startswith(("/", ".."))  # as MLflow has it
        if not is_path or not re.fullmatch(r"[\w.:/ -]{1,250}", name):
            raise ValueError(f"must have names of letters, digits, spaces, _, -, ., : and /, not {shown(name)}")
        if name.startswith("ftrun."):
            raise ValueError(f'must have no name that begins with "ftrun.", as {shown(name)} does: these are its own')
    return dict(tags)


LONGEST_NAME = 500
"""Characters of an experiment's name that MLflow takes."""


class TrackingSettings(Settings):
    """The `[tracking]` table."""

    uri: Annotated[str, AfterValidator(absolute_store)] | None = Field(
        None, description="MLflow's tracking URI; MLFLOW_TRACKING_URI or MLflow's own default if absent."
    )
    experiment_name: str | None = Field(
        None,
        max_length=LONGEST_NAME,
        description="MLflow's experiment; MLFLOW_EXPERIMENT_NAME or the name of this one if absent.",
    )
    run_name: str | None = Field(
        None,
        min_length=1,
        max_length=250,
        description="What MLflow's pages call the run; its backend, seed and the end of its folder's name if absent.",
    )
    tags: Annotated[dict[str, str], AfterValidator(check_tags)] | None = Field(
        None, description="More tags of the run, as text, beside those of MLFLOW_TAGS, a JSON object."
    )
    system_metrics: bool = Field(
        True, description="Whether what the run and its machine use is recorded, every ten seconds."
    )
    enabled: bool = Field(True, description="Whether MLflow is told; the run folder holds everything either way.")
    pictures: bool = Field(True, description="Whether figures of curves and predictions are drawn at the end of a run.")
    model: bool = Field(True, description="Whether MLflow gets the trained model.")
    checkpoints: Literal["none", "best", "last", "all"] | None = Field(
        None, description='Which checkpoints MLflow gets; "best" where something is the best, else "last" if absent.'
    )


def _repository(repo_id: str) -> str:
    if re.fullmatch(REPOSITORY, repo_id) and len(repo_id) <= 96 and not re.search(r"--|\.\.|\.git$", repo_id):
        return repo_id
    raise ValueError(f'must be a repository of the Hub, such as "user/name", not {shown(repo_id)}')


REPOSITORY = r"\w(?:[\w.-]*\w)?/\w(?:[\w.-]*\w)?"
"""A user or an organization, and the name of a repository of theirs."""


class PushSettings(Settings):
    """The `[push]` table."""

    repo: Annotated[str, AfterValidator(_repository)] | None = Field(
        None, description="The Hub's repository for the trained model, such as user/name; nothing is pushed if absent."
    )
    private: bool = Field(
        True, description="Whether the repository is private; one that is public already is refused then."
    )


class ExperimentSettings(Settings):
    """The top level of an experiment file; the tables of components are validated by what they `use`."""

    format: Literal[1] = Field(1, description="The format of this file.")
    name: str = Field(
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$",
        max_length=128,
        description="The experiment's name, of which its runs' folders are named; the file's if absent.",
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
    push: Table = Field({}, description="Where on the Hub the trained model goes.")


NO_FILE = Path()
"""The path of an experiment that is no file's but a program's: the working folder, where its paths are from."""
THE_DICT = "the dict"


@dataclass(frozen=True)
class Experiment:
    """What a file declares, merged from its layers but not yet validated.

    Attributes:
        path: The file, or `NO_FILE`; profile: the profile that was asked for.
        tables: The merged top-level table.
        origins: The layer that each dotted place was last set by.
        missed: What `--unset` was to take out and was not there.
    """

    path: Path
    tables: Table
    profile: str | None = None
    origins: Mapping[str, str] = field(default_factory=dict)
    missed: Sequence[str] = ()

    @property
    def called(self) -> str:
        """What a person knows the experiment's source by."""
        return _called(self.path)

    def origin(self, place: str | None) -> str | None:
        """The file, profile or option that a value at `place` came from, as near as is known."""
        place = re.sub(r"\[(\d+)\]", r".\1", place or "")
        while place:
            if place in self.origins:
                return self.origins[place]
            place = place.rpartition(".")[0]
        return None


def load_experiment(
    source: str | Path | Mapping[str, Any],
    profile: str | None = None,
    overrides: Mapping[str, Any] | None = None,
    unset: Sequence[str] = (),
) -> Experiment:
    """Read an experiment with all its layers: the file it extends, itself, a profile, and overrides.

    Args:
        source: The TOML file, or what one would hold; `extends` is from the working folder there.
        profile: The `[profile.NAME]` to lay over it.
        overrides: Values by dotted key, such as `{"training.learning_rate": 3e-5}`, laid over everything.
        unset: Dotted keys to take out at the end.

    Raises:
        ExperimentError: If a file is missing or no TOML, extends itself, or has no such profile.
    """
    is_file = not isinstance(source, Mapping)
    path = NO_FILE if isinstance(source, Mapping) else Path(source)
    layers = Layers()
    for file, table in reversed(_extended(path, as_tables(source) if isinstance(source, Mapping) else _read(path))):
        layers.add(table, file.name if file != path else _called(path))
    layers.tables.pop("extends", None)
    profiles = _profiles(layers)
    if profile is not None:
        layers.add(_chosen(profiles, profile, path), f"profile {profile}")
    if overrides:
        layers.override(overrides)
    missed = layers.remove(unset)
    if "name" not in layers.tables and is_file:
        layers.add({"name": path.stem}, "the file's own name")
    return Experiment(path, layers.tables, profile, layers.origins, missed)


def profiles_of(path: Path) -> list[str]:
    """The names of the profiles of a file and of those that it extends.

    Raises:
        ExperimentError: If one of them cannot be read.
    """
    layers = Layers()
    for file, table in reversed(_extended(path, _read(path))):
        layers.add(table, file.name)
    return sorted(_profiles(layers))


def with_backend(overrides: Mapping[str, Any], backend: str | None) -> Mapping[str, Any]:
    """Values by dotted key with the backend that is asked for besides, if one is.

    Raises:
        ExperimentError: If they choose another one: neither is meant more than the other.
    """
    if backend is None:
        return overrides
    table = overrides.get("backend")
    chosen = overrides.get("backend.use", table.get("use") if isinstance(table, Mapping) else None)
    if chosen is None:
        return {**overrides, "backend.use": backend}
    if chosen != backend:
        message = f"two backends are asked for: {shown(backend)}, and {shown(chosen)} by backend.use"
        raise ExperimentError(Problem(message, "backend.use", "Ask for one."))
    return overrides


def _extended(path: Path, table: Table) -> list[tuple[Path, Table]]:
    """A file and what it holds, the one that it extends, and so on."""
    chain = [(path, table)]
    while (above := chain[-1][1].get("extends")) is not None:
        below = chain[-1][0]
        if not isinstance(above, str) or not above:
            raise ExperimentError(Problem("must be the name of one file", "extends", origin=_called(below)))
        file = below.parent / above
        if not os.path.isfile(file):  # noqa: PTH113 - Path's own raises for what cannot be a path
            raise ExperimentError(Problem(f"there is no file {file}", "extends", _sibling(file), _called(below)))
        if os.path.realpath(file) in [os.path.realpath(known) for known, _ in chain]:
            loop = " -> ".join(known.name for known in [*(known for known, _ in chain), file])
            raise ExperimentError(
                Problem(f"the files extend each other in a circle: {loop}", "extends", origin=_called(path))
            )
        chain.append((file, _read(file)))
    return chain


def _called(path: Path) -> str:
    return THE_DICT if path == NO_FILE else str(path)


def _read(path: Path) -> Table:
    if is_folder(path):
        raise ExperimentError(Problem(f"{path} is a folder, not an experiment file"))
    try:
        return tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except FileNotFoundError:
        raise ExperimentError(Problem(f"there is no file {path}", hint=_sibling(path))) from None
    except UnicodeDecodeError as error:
        message = f"{path} is not UTF-8 text: {error.reason} at byte {error.start}"
        raise ExperimentError(Problem(message, hint="Save it as UTF-8.")) from None
    except OSError as error:
        raise ExperimentError(Problem(f"{path} cannot be read: {error.strerror}")) from None
    except RecursionError:
        raise ExperimentError(Problem("its values are nested too deeply to be read", str(path))) from None
    except ValueError as error:  # tomllib's own is one, with a line; a number of too many digits is one without
        raise ExperimentError(Problem(f"this is not TOML: {error}", str(path))) from None


def _sibling(path: Path) -> str | None:
    folder = path.parent
    close = nearest(path.name, [file.name for file in folder.glob("*.toml")]) if is_folder(folder) else None
    return f"Did you mean {folder / close}?" if close else None


def _profiles(layers: Layers) -> Mapping[str, Table]:
    """Takes the profiles out of what the files say; each must be a table, whether it is asked for or not."""
    profiles = layers.tables.pop("profile", {})
    hint = "Write [profile.NAME], and below it what the profile changes."
    if not isinstance(profiles, dict):
        message = f"must be a table of profiles, not {shown(profiles)}"
        raise ExperimentError(Problem(message, "profile", hint, layers.origins["profile"]))
    for name, table in profiles.items():
        if not isinstance(table, dict):
            place = f"profile.{name}"
            raise ExperimentError(Problem(f"must be a table, not {shown(table)}", place, hint, layers.origins[place]))
    return profiles


def _chosen(profiles: Mapping[str, Table], profile: str, path: Path) -> Table:
    if profile in profiles:
        return profiles[profile]
    close = nearest(profile, profiles)
    hint = f'Did you mean "{close}"?' if close else f"Its profiles: {', '.join(sorted(profiles)) or 'none'}."
    raise ExperimentError(Problem(f'{_called(path)} has no profile "{profile}"', "--profile", hint))
