"""An experiment file is read with all its layers, and what is wrong with a file is told in a sentence."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import ftrun
import pytest
from ftrun import ExperimentError
from ftrun.planning.experiment import load_experiment, with_backend
from hypothesis import given
from hypothesis import strategies as st


def write(folder: Path, **files: str) -> Path:
    for name, text in files.items():
        (folder / f"{name}.toml").write_text(text)
    return folder / f"{next(iter(files))}.toml"


def test_layers_merge_one_onto_the_other(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        top='extends = "middle.toml"\n[training]\nlearning_rate = 2.0',
        middle='extends = "base.toml"\n[training]\nmax_steps = 5\nlearning_rate = 1.0',
        base='name = "base"\n[training]\nmax_steps = 1\nbf16 = true\n[profile.smoke]\ntraining = { bf16 = false }',
    )
    experiment = load_experiment(path, "smoke", {"training.seed.deep": 3})
    assert experiment.tables["name"] == "base"
    assert experiment.tables["training"] == {"max_steps": 5, "bf16": False, "learning_rate": 2.0, "seed": {"deep": 3}}
    assert "profile" not in experiment.tables and "extends" not in experiment.tables


def test_each_value_knows_the_layer_it_came_from(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        top='extends = "base.toml"\n[training]\nbf16 = 1',
        base="[training]\nmax_steps = 1\n[profile.p]\nseed = 1",
    )
    experiment = load_experiment(path, "p", {"model.x": 1})
    assert experiment.origin("training.bf16") == str(path)
    assert experiment.origin("training.max_steps") == "base.toml"
    assert experiment.origin("seed") == "profile p"
    assert experiment.origin("model.x") == "--set"


def test_a_table_whose_use_changes_starts_empty(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        top='extends = "base.toml"\n[dataset]\nuse = "sample"',
        base='[dataset]\nuse = "glue"\ntask = "mrpc"',
    )
    assert load_experiment(path).tables["dataset"] == {"use": "sample"}


def test_a_table_whose_use_stays_is_merged(tmp_path: Path) -> None:
    path = write(
        tmp_path, top='extends = "base.toml"\n[dataset]\nuse = "glue"\nx = 1', base='[dataset]\nuse = "glue"\ny = 2'
    )
    assert load_experiment(path).tables["dataset"] == {"use": "glue", "x": 1, "y": 2}


def test_arrays_are_replaced(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        top='extends = "base.toml"\n[[metrics]]\nuse = "f1"',
        base='[[metrics]]\nuse = "a"\n[[metrics]]\nuse = "b"',
    )
    assert load_experiment(path).tables["metrics"] == [{"use": "f1"}]


def test_all_set_together_are_one_layer(tmp_path: Path) -> None:
    path = write(tmp_path, top='[dataset]\nuse = "glue"\ntask = "mrpc"')
    experiment = load_experiment(path, overrides={"dataset.train": "a.csv", "dataset.use": "files"})
    assert experiment.tables["dataset"] == {"use": "files", "train": "a.csv"}


def test_unset_takes_a_key_out(tmp_path: Path) -> None:
    path = write(tmp_path, top="[training]\nmax_steps = 5\nbf16 = true")
    experiment = load_experiment(path, unset=["training.max_steps", "no.such.key"])
    assert experiment.tables["training"] == {"bf16": True}


def test_the_name_is_the_files_if_it_says_none(tmp_path: Path) -> None:
    assert load_experiment(write(tmp_path, some_name="")).tables["name"] == "some_name"


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"a": "x = \ny = 1"}, r"a\.toml: this is not TOML: .*line 1"),
        ({"a": "x = 1\nx = 2\ny = 3"}, r"line 2"),
        ({"a": 'extends = "b.toml"', "b": 'extends = "a.toml"'}, r"circle: a\.toml -> b\.toml -> a\.toml"),
        ({"a": 'extends = "bases.toml"', "base": ""}, r"Did you mean .*base\.toml"),
        ({"a": "extends = 3"}, "must be the name of one file"),
    ],
)
def test_a_file_that_cannot_be_read_is_told(tmp_path: Path, files: dict[str, str], message: str) -> None:
    with pytest.raises(ExperimentError, match=message):
        load_experiment(write(tmp_path, **files))


def test_a_missing_file_suggests_its_neighbour(tmp_path: Path) -> None:
    write(tmp_path, mrpc_loop="")
    with pytest.raises(ExperimentError, match=r"there is no file .*Did you mean .*mrpc_loop\.toml"):
        try:
            load_experiment(tmp_path / "mrpc_lop.toml")
        except ExperimentError as error:
            raise ExperimentError(str(error).replace("\n", " ")) from None


def test_text_that_is_not_utf8_is_told(tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_bytes(b'name = "\xff"')
    with pytest.raises(ExperimentError, match="not UTF-8"):
        load_experiment(tmp_path / "a.toml")


def test_an_unknown_profile_is_told_with_the_known_ones(tmp_path: Path) -> None:
    path = write(tmp_path, a="[profile.smoke]\nseed = 1")
    with pytest.raises(ExperimentError, match='Did you mean "smoke"'):
        load_experiment(path, "smok")


KEYS = st.text("abc", min_size=1, max_size=2)
TABLES = st.recursive(
    st.integers(-(2**63), 2**63 - 1) | st.booleans(),
    lambda inner: st.dictionaries(KEYS, inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(KEYS, TABLES, max_size=4))
def test_overrides_by_dotted_key_reach_every_leaf(tmp_path_factory: pytest.TempPathFactory, tree: dict) -> None:  # type: ignore[type-arg]
    path = write(tmp_path_factory.mktemp("e"), a='name = "a"')

    def leaves(table: dict, prefix: str = "") -> dict:  # type: ignore[type-arg]
        found = {}
        for key, value in table.items():
            found |= (
                leaves(value, f"{prefix}{key}.") if isinstance(value, dict) and value else {f"{prefix}{key}": value}
            )
        return found

    tables = load_experiment(path, overrides=leaves(tree)).tables
    assert {key: value for key, value in tables.items() if key != "name"} == tree


@pytest.mark.parametrize(
    ("overrides", "expected"),
    [
        ({}, {"backend.use": "loop"}),
        ({"seed": 2}, {"seed": 2, "backend.use": "loop"}),
        ({"backend.use": "loop"}, {"backend.use": "loop"}),
        ({"backend": {"use": "loop"}}, {"backend": {"use": "loop"}}),
        ({"backend": {"x": 1}}, {"backend": {"x": 1}, "backend.use": "loop"}),
        ({"backend.x": 1}, {"backend.x": 1, "backend.use": "loop"}),
    ],
)
def test_a_backend_is_one_more_value(overrides: dict[str, Any], expected: dict[str, Any]) -> None:
    assert with_backend(overrides, "loop") == expected
    assert with_backend(overrides, None) == overrides


@pytest.mark.parametrize("overrides", [{"backend.use": "trainer"}, {"backend": {"use": "trainer"}}, {"backend.use": 3}])
def test_two_backends_are_one_too_many_wherever_they_are_asked_for(tiny: Path, overrides: dict[str, Any]) -> None:
    for asking in (ftrun.run, ftrun.resume):
        with pytest.raises(ExperimentError, match=r'backend.use: two backends are asked for: "loop", and '):
            asking(tiny, backend="loop", overrides=overrides, progress=False)


def test_the_backend_that_is_asked_for_is_the_plans(tiny: Path) -> None:
    with pytest.raises(ExperimentError, match=r'(?s)backend.use: there is no backend named "lop".*Did you mean "loop"'):
        ftrun.run(tiny, backend="lop", progress=False)
