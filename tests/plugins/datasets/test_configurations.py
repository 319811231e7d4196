"""Which files of a repository are a configuration's, and how they are read."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from ftrun.errors import ExperimentError
from ftrun_plugins.datasets.configurations import Configuration, choose_configuration, reader
from hypothesis import given
from hypothesis import strategies as st


def choose(folder: Path, names: list[str], card: Any = None, name: str | None = None) -> Configuration:
    """The configuration of a repository with these files and this card."""
    if card is not None:
        text = card if isinstance(card, str) else json.dumps(card)
        (folder / "README.md").write_text(f"---\n{text}\n---\n", encoding="utf-8")
    return choose_configuration(folder, names, name)


def configs(*names: str, **of_each: Any) -> dict[str, Any]:
    return {"configs": [{"config_name": name, "data_files": f"{name}/*.csv", **of_each} for name in names]}


FILES = ["a/train.csv", "a/test.csv", "b/train.csv"]


def test_without_a_card_the_splits_are_told_by_the_names_of_the_files(tmp_path: Path) -> None:
    found = choose(
        tmp_path, ["train.csv", "validation-00000-of-00002.csv", "validation-00001-of-00002.csv", "notes.md"]
    )
    assert {split: list(files) for split, files in found.files.items()} == {
        "train": ["train.csv"],
        "validation": ["validation-00000-of-00002.csv", "validation-00001-of-00002.csv"],
    }
    assert found.paths == ["train.csv", "validation-00000-of-00002.csv", "validation-00001-of-00002.csv"]


def test_the_only_configuration_and_the_default_one_need_no_name(tmp_path: Path) -> None:
    assert choose(tmp_path, FILES, configs("a")).paths == ["a/test.csv", "a/train.csv"]
    default = {"configs": [*configs("a")["configs"], *configs("b", default=True)["configs"]]}
    assert choose(tmp_path, FILES, default).paths == ["b/train.csv"]
    assert choose(tmp_path, FILES, default, "a").paths == ["a/test.csv", "a/train.csv"]


def test_several_without_a_default_must_be_told_apart(tmp_path: Path) -> None:
    with pytest.raises(
        ExperimentError, match=r"dataset.name: the data set has 2 configurations and no default\s+Name one"
    ):
        choose(tmp_path, FILES, configs("a", "b"))
    with pytest.raises(ExperimentError, match="2 configurations and several defaults"):
        choose(tmp_path, FILES, configs("a", "b", default=True))


@pytest.mark.parametrize("name", ["", " ", "A", "负", "x" * 300])
def test_a_configuration_that_is_not_there_is_told_with_those_that_are(tmp_path: Path, name: str) -> None:
    with pytest.raises(ExperimentError) as refused:
        choose(tmp_path, FILES, configs("a", "b"), name)
    assert f'has no configuration "{name}"' in str(refused.value) and "It has: a, b." in str(refused.value)


def test_of_many_configurations_the_nearest_is_named_and_some_are_shown(tmp_path: Path) -> None:
    with pytest.raises(ExperimentError, match=r"Did you mean config17\? It has: config0, .* and 30 more\."):
        choose(tmp_path, FILES, configs(*(f"config{number}" for number in range(50))), "confg17")


@pytest.mark.parametrize("card", ["configs: [", "- a\n- b", "configs: 3", "configs:\n- config_name: [a]", "a: b: c"])
def test_a_card_that_makes_no_sense_is_told_or_says_nothing(tmp_path: Path, card: str) -> None:
    try:
        assert choose(tmp_path, ["train.csv"], card).paths == ["train.csv"]
    except ExperimentError as error:
        assert "README.md cannot be understood" in str(error)


@pytest.mark.parametrize(
    "elsewhere", ["https://example.org/a.csv", "/etc/passwd", "../a.csv", "a/../../b.csv", "hf://a/b"]
)
def test_files_elsewhere_are_not_read(tmp_path: Path, elsewhere: str) -> None:
    card = {"configs": [{"config_name": "a", "data_files": elsewhere}]}
    with pytest.raises(ExperimentError, match=r"README\.md names files elsewhere"):
        choose(tmp_path, FILES, card)


@pytest.mark.parametrize(
    ("names", "told"),
    [
        ([], "There is: nothing."),
        (["notes.md", "model.bin"], "There is: model.bin, notes.md."),
        (["data.py"], "only a script, data.py; scripts of data sets are not run"),
        (["../train.csv", "a//train.csv", "/train.csv"], "no files of data that can be read"),
    ],
)
def test_a_repository_without_data_is_told_with_what_there_is(tmp_path: Path, names: list[str], told: str) -> None:
    with pytest.raises(ExperimentError) as refused:
        choose(tmp_path, names)
    assert told in str(refused.value)


def test_a_configuration_without_files_is_told_by_its_name(tmp_path: Path) -> None:
    with pytest.raises(ExperimentError, match='no files of the configuration "c"'):
        choose(tmp_path, FILES, configs("c"))


@given(
    st.lists(st.sampled_from(["train.csv", "test.csv", "a/b.csv", "x.txt", "负.csv", "[1].csv", "*.csv", "a b.csv"]))
)
def test_whatever_the_files_are_called_each_is_a_split_s_or_the_repository_is_refused(names: list[str]) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        try:
            found = choose(Path(folder), names)
        except ExperimentError:
            assert not names
        else:
            assert set(found.paths) <= set(names) and found.paths


def test_cells_of_csv_are_read_as_they_are_written(tmp_path: Path) -> None:
    (tmp_path / "train.csv").write_text("text,label\n001,None\n")
    kind, arguments = reader(Configuration({"train": ["train.csv"]}), tmp_path)
    assert kind == "csv" and list(arguments["features"]) == ["text", "label"]
    assert arguments["keep_default_na"] is False and arguments["na_filter"] is False


@pytest.mark.parametrize(
    ("files", "told"),
    [
        ({"train.csv": ""}, "train.csv has no header"),
        ({"train.csv": "text,label\n", "test.csv": "text\n"}, "test.csv has no column label, and train.csv has"),
        ({"train.csv": "text,label\nx,0,5\ny,1,9\n"}, "train.csv has 3 cells in its first row, and 2 in its header"),
        ({"train.csv": "text,label,label\nx,0,5\n"}, 'train.csv has more than one column named "label"'),
    ],
)
def test_csv_files_that_are_no_one_table_are_told(tmp_path: Path, files: dict[str, str], told: str) -> None:
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    with pytest.raises(ExperimentError, match=f"dataset.path: the data set cannot be read: {told}"):
        reader(Configuration({name.removesuffix(".csv"): [name] for name in files}), tmp_path)


def test_a_column_that_only_looks_like_a_second_one_and_rows_that_are_numbered_are_read(tmp_path: Path) -> None:
    (tmp_path / "train.csv").write_text(",text,label,label.1,,\n0,x,0,5,,\n")
    _, arguments = reader(Configuration({"train": ["train.csv"]}), tmp_path)
    assert list(arguments["features"])[1:4] == ["text", "label", "label.1"]
    _, arguments = reader(Configuration({"train": ["train.csv"]}, {"index_col": 0}), tmp_path)
    assert list(arguments["features"])[:3] == ["text", "label", "label.1"]


@pytest.mark.parametrize("name", ["no", "null", "1"])
def test_a_class_that_yaml_takes_for_something_else_than_text_is_told(tmp_path: Path, name: str) -> None:
    names = f"\n        names:\n          '0': {name}\n          '1': good\n"
    card = f"dataset_info:\n  features:\n  - name: label\n    dtype:\n      class_label:{names}"
    (tmp_path / "README.md").write_text(f"---\n{card}---\n")
    (tmp_path / "train.csv").write_text("text,label\na,good\n")
    with pytest.raises(
        ExperimentError, match=r"README.md has a class .* in column .label., which is no text\n.*quotes"
    ):
        choose_configuration(tmp_path, ["README.md", "train.csv"], None)
