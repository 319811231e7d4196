"""Which files of a repository of data are a configuration's, and how they are read, as `datasets` has it."""

from __future__ import annotations

import dataclasses
import glob
import json
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

import pandas as pd
from datasets import ClassLabel, Features, Value
from datasets.data_files import DataFilesDict, get_data_patterns, sanitize_patterns
from datasets.info import DatasetInfosDict
from datasets.load import import_main_class, infer_module_for_data_files
from datasets.packaged_modules import (
    _MODULE_TO_EXTENSIONS,
    _MODULE_TO_METADATA_EXTENSIONS,
    _MODULE_TO_METADATA_FILE_NAMES,
    _PACKAGED_DATASETS_MODULES,
)
from datasets.utils.metadata import MetadataConfigs
from ftrun.errors import ExperimentError, Problem, nearest
from ftrun.rowfiles import NAMES_OF_ROWS, listed, suspected_delimiter
from huggingface_hub import DatasetCard, DatasetCardData
from pandas._libs.parsers import STR_NA_VALUES

CARD = "README.md"
CARDS = (CARD, ".huggingface.yaml", "dataset_infos.json")
"""What a repository says of itself; the last is how it was said before the others."""
TABLES = ("arrow", "conll", "csv", "hdf5", "json", "lance", "parquet", "text", "vortex", "xml")
"""Builders of `datasets` that give text in columns; others take pictures, or a Markdown file that lies about."""
EXTENSIONS = sorted({extension for module in TABLES for extension in _MODULE_TO_EXTENSIONS[module]})
MOST_SHOWN = 20
OTHERWISE = 'Its files may be read by themselves: [dataset] use = "files", which has a delimiter, encoding and quoting.'
"""What to do where `datasets` reads no CSV or JSON of a data set."""


@dataclass(frozen=True)
class Configuration:
    """One of a repository's tables.

    Attributes:
        files: The paths of the files of each split, inside the repository.
        parameters: What its card says of how to read them.
        features: The columns' types, where it says them.
    """

    files: Mapping[str, Sequence[str]]
    parameters: Mapping[str, Any] = field(default_factory=dict)
    features: Any = None

    @property
    def paths(self) -> list[str]:
        """All its files."""
        return sorted({path for paths in self.files.values() for path in paths})


def choose_configuration(cards: Path, names: Sequence[str], name: str | None) -> Configuration:
    """The configuration that is asked for, else the default one, else the only one.

    Args:
        cards: A folder with the repository's `CARDS`.
        names: The paths of all its files.
        name: The configuration's name.

    Raises:
        ExperimentError: If there is none of that name, or several and none is the default; or it has no files.
    """
    try:
        configs, infos = _declared(cards)
    except Exception as error:  # yaml, json and three libraries, each with errors of its own
        message = f"the data set's {CARD} cannot be understood: {' '.join(str(error).split())}"
        raise ExperimentError(Problem(message, "dataset.path")) from error
    chosen = _chosen(configs, infos, name)
    declared = dict(configs.get(chosen) or {})
    files = _files(declared, names, chosen if configs else None)
    info = infos.get(chosen) or (next(iter(infos.values())) if len(infos) == 1 and not configs else None)
    features = declared.pop("features", None) or (info and info.features)
    _check_class_names(features)
    return Configuration(files, declared, features)


def _check_class_names(features: Any) -> None:
    """A card's names of classes are text, which YAML takes yes, no, null and numbers for only in quotes."""
    for column, feature in features.items() if isinstance(features, Features) else ():
        names = getattr(getattr(feature, "feature", feature), "names", None) or ()
        if odd := [name for name in names if not isinstance(name, str)]:
            message = f'the data set\'s {CARD} has a class {odd[0]!r} in column "{column}", which is no text'
            hint = "In YAML yes, no, null and numbers are text only in quotes: '0': 'no'."
            raise ExperimentError(Problem(message, "dataset.path", hint))


def _declared(cards: Path) -> tuple[MetadataConfigs, DatasetInfosDict]:
    readme, standalone, _ = (cards / name for name in CARDS)
    data = DatasetCard.load(readme).data if readme.is_file() else DatasetCardData()
    if standalone.is_file():
        more = DatasetCard(f"---\n{standalone.read_text(encoding='utf-8')}\n---\n").data
        data = DatasetCardData(**{**data.to_dict(), **more.to_dict()})  # type: ignore[no-untyped-call]
    infos = DatasetInfosDict.from_dataset_card_data(data) or DatasetInfosDict.from_directory(str(cards))
    return MetadataConfigs.from_dataset_card_data(data), infos


def _chosen(configs: MetadataConfigs, infos: DatasetInfosDict, name: str | None) -> str:
    known = list(configs) or [*infos, "default"][:1]
    listed = ", ".join(known[:MOST_SHOWN]) + (f" and {len(known) - MOST_SHOWN} more" if len(known) > MOST_SHOWN else "")
    if name is not None and name not in known:
        near = nearest(name, known)
        hint = f"Did you mean {near}? " if near else ""
        raise ExperimentError(
            Problem(f'the data set has no configuration "{name}"', "dataset.name", f"{hint}It has: {listed}.")
        )
    if name is not None:
        return name
    defaults = [one for one in known if len(known) == 1 or one == "default" or configs[one].get("default")]
    if len(defaults) != 1:
        count = f"{len(known)} configurations and {'several defaults' if defaults else 'no default'}"
        raise ExperimentError(Problem(f"the data set has {count}", "dataset.name", f"Name one of: {listed}."))
    return str(defaults[0])


def _files(declared: Mapping[str, Any], names: Sequence[str], name: str | None) -> Mapping[str, Sequence[str]]:
    """The files of each split: as declared, or else as `datasets` tells them from their names.

    It looks for them in a folder, so it is given one with empty files of these names.
    """
    directory = str(declared.get("data_dir") or "")
    patterns = sanitize_patterns(declared["data_files"]) if declared.get("data_files") is not None else None
    _check_inside([directory, *(pattern for some in (patterns or {}).values() for pattern in some)])
    with tempfile.TemporaryDirectory(prefix="ftrun-") as folder:
        root = Path(folder).resolve()
        for path in names:
            if not {"", ".", ".."} & set(path.split("/")):
                (root / path).parent.mkdir(parents=True, exist_ok=True)
                (root / path).touch()
        base = (root / directory).as_posix()
        try:
            found = DataFilesDict.from_patterns(
                patterns or get_data_patterns(base), base_path=base, allowed_extensions=EXTENSIONS
            )
        except FileNotFoundError as error:
            raise _no_files(names, name) from error
        files = {
            str(split): [Path(file).relative_to(root).as_posix() for file in some] for split, some in found.items()
        }
    files = {split: some for split, some in files.items() if some}
    if not files:
        raise _no_files(names, name)
    return files


def _check_inside(patterns: Sequence[str]) -> None:
    for pattern in patterns:
        if "://" in pattern or pattern.startswith("/") or ".." in PurePosixPath(pattern).parts:
            message = f"the data set's {CARD} names files elsewhere: {pattern}"
            hint = "ftrun takes a data set's own files only. Fetch them yourself, and take the folder."
            raise ExperimentError(Problem(message, "dataset.path", hint))


def _no_files(names: Sequence[str], name: str | None) -> ExperimentError:
    scripts = [path for path in names if path.endswith(".py")]
    some = f'no files of the configuration "{name}"' if name else "no files of data that can be read"
    message = f"the data set has {some}"
    if scripts:
        message += f", only a script, {scripts[0]}; scripts of data sets are not run"
    shown = ", ".join(sorted(names)[:MOST_SHOWN]) or "nothing"
    return ExperimentError(Problem(message, "dataset.path", f"There is: {shown}."))


def reader(configuration: Configuration, folder: Path) -> tuple[str, dict[str, Any]]:
    """Which of the builders of `datasets` reads the files, and its arguments for `load_dataset`.

    Raises:
        ExperimentError: If the files are of several formats.
    """
    paths = {
        split: [glob.escape((folder / path).as_posix()) for path in some] for split, some in configuration.files.items()
    }
    try:
        found = DataFilesDict.from_patterns(paths, base_path=folder.as_posix())
        module, defaults = infer_module_for_data_files(found)
    except (ValueError, FileNotFoundError) as error:
        raise _unreadable(str(error), OTHERWISE) from error
    assert module
    extensions = _MODULE_TO_EXTENSIONS[module] + _MODULE_TO_METADATA_EXTENSIONS[module]
    wanted = found.filter(extensions=extensions, file_names=_MODULE_TO_METADATA_FILE_NAMES[module])
    config_class = import_main_class(_PACKAGED_DATASETS_MODULES[module][0]).BUILDER_CONFIG_CLASS
    known = {field.name for field in dataclasses.fields(config_class)} - {"name", "version", "data_dir", "data_files"}
    parameters = {**defaults, **configuration.parameters, "features": configuration.features}
    arguments = {key: value for key, value in parameters.items() if key in known and value is not None}
    if module == "csv":
        arguments |= _cells_as_written(config_class, arguments, [file for some in wanted.values() for file in some])
    return module, {"data_files": {split: list(map(glob.escape, some)) for split, some in wanted.items()}, **arguments}


def _cells_as_written(config_class: Any, arguments: Mapping[str, Any], files: Sequence[str]) -> dict[str, Any]:
    """What has pandas leave the cells of CSV files as they are: else None, NA and null are missing, and 001 is 1.

    Raises:
        ExperimentError: If a file has no header that can be read, or not the columns of the first; a column twice, or
            another number of cells in its first row.
    """
    declared = arguments.get("features")
    as_written = {"keep_default_na": False, "na_filter": False} if declared is None else _missing_cells(declared)
    if declared is not None:  # what the card says of the cells stays
        as_written = {} if {"keep_default_na", "na_filter", "na_values"} & set(arguments) else as_written
    options = config_class(**{**arguments, **as_written}).pd_read_csv_kwargs
    options.pop("chunksize")
    columns: list[str] = []
    for file in files:
        header = _header(file, options)
        columns = columns or header
        if missing := [name for name in columns if name not in header]:
            why = f"{Path(file).name} has no column {missing[0]}, and {Path(files[0]).name} has"
            raise _unreadable(why, 'Each split may be a file of its own: [dataset] use = "files".')
    if declared is None:
        return {**as_written, "features": Features({name: Value("string") for name in columns})}
    return as_written


def _header(file: str, options: Mapping[str, Any]) -> list[str]:
    """The columns of a CSV file. pandas would call a second one of a name otherwise, and where the first row has more
    cells take the first of each row for its name, so that the others move.
    """
    name = Path(file).name
    try:
        options = {**options, "nrows": 1}
        first = pd.read_csv(file, **options)
        if options.get("names") is None and options.get("header", "infer") in ("infer", 0):
            whole = {"header": None, "index_col": None, "usecols": None, "dtype": str}
            told = pd.read_csv(file, **{**options, **whole})
            written = [str(cell) for cell in told.iloc[0] if cell == cell and cell != ""]
        else:
            written = []
    except (ValueError, OSError) as error:  # pandas' own errors are ValueErrors
        raise _unreadable(f"{name} has no header: {' '.join(str(error).split())}", OTHERWISE) from error
    if twice := sorted({cell for cell in written if written.count(cell) > 1 and cell in first.columns}):
        raise _unreadable(f"{name} has more than one column named {listed(twice)}")
    if options.get("index_col") is None and not isinstance(first.index, pd.RangeIndex):
        cells = len(first.columns) + first.index.nlevels
        hint = NAMES_OF_ROWS if first.index.nlevels == 1 else None
        if mark := suspected_delimiter([str(column) for column in first.columns], options["sep"]):
            hint = f"Is {json.dumps(mark)} between its cells? {OTHERWISE}"
        raise _unreadable(f"{name} has {cells} cells in its first row, and {len(first.columns)} in its header", hint)
    return [str(column) for column in first.columns]


def _missing_cells(features: Any) -> dict[str, Any]:
    """What stands for nothing in columns whose types are declared: nothing in text, and no class's name."""
    if not isinstance(features, Features):
        return {}
    missing: dict[str, list[str]] = {}
    for name, feature in features.items():
        if getattr(feature, "dtype", None) in ("string", "large_string"):
            continue
        names = feature.names if isinstance(feature, ClassLabel) else ()
        missing[name] = sorted(STR_NA_VALUES.difference(names))
    return {"keep_default_na": False, "na_values": missing}


def _unreadable(why: str, hint: str | None = None) -> ExperimentError:
    return ExperimentError(Problem(f"the data set cannot be read: {why}", "dataset.path", hint))
