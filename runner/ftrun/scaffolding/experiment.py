"""An experiment file to start from, of the parts that are wanted."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from ftrun.contracts import Kind
from ftrun.errors import ExperimentError, Problem
from ftrun.planning.catalogue import Catalogue
from ftrun.planning.described import of_component

USED: Mapping[Kind, Sequence[str]] = {
    "dataset": ["files"],
    "model": ["sequence-classification"],
    "backend": ["trainer"],
    "metric": ["accuracy"],
}
"""What a file uses where nobody says otherwise: as most begin, with rows of their own."""
ORDER: Sequence[Kind] = ("dataset", "model", "collator", "backend", "metric")
TRAINING = """\
[training]  # `ftrun describe training` lists them all
num_train_epochs = 3
per_device_train_batch_size = 8
learning_rate = 5e-5
eval_strategy = "epoch"
save_strategy = "epoch"
load_best_model_at_end = true
save_total_limit = 2
"""
SCHEMA = "schema.json"


def new_experiment(path: Path, catalogue: Catalogue, used: Mapping[Kind, Sequence[str]] = USED) -> None:
    """Write an experiment file: the keys that must be there with a value to replace, the others as comments.

    Args:
        path: The file; it must not be there.
        catalogue: Where the parts are found.
        used: What to use by kind; what is not named is as in `USED`.

    Raises:
        ExperimentError: If a part is not installed, or the file is there, or cannot be written.
    """
    text = "\n".join(_tables(path, catalogue, {**USED, **used}))
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError as error:
        raise ExperimentError(Problem(f"{path} is there already", hint="Choose another name.")) from error
    except OSError as error:
        raise ExperimentError(Problem(f"{path} cannot be written: {error.strerror or error}")) from error


def _tables(path: Path, catalogue: Catalogue, used: Mapping[Kind, Sequence[str]]) -> Iterator[str]:
    schema = f"#:schema {SCHEMA}\n" if path.with_name(SCHEMA).is_file() else ""
    told = f"# To see what is wrong with it: ftrun check {path.name}\n# To run it: ftrun {path.name}\n"
    yield f"{schema}{told}name = {json.dumps(path.stem)}\nseed = 42\n"
    for kind in ORDER:
        if kind == "metric":
            yield TRAINING
        for name in used.get(kind, ()):
            offer = catalogue.find(kind, name, f"{kind}.use")
            yield of_component(catalogue, offer).toml
