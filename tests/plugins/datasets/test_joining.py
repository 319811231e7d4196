"""Several files as one split: the same columns in each, whatever their order, and one kind of values."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest
from datasets import ClassLabel, Dataset, Features, Value
from ftrun.errors import ExperimentError
from ftrun_plugins.datasets.joining import joined


def join(*tables: dict[str, Any]) -> dict[str, list[Any]]:
    arrow = {f"{number}.csv": pa.table(table) for number, table in enumerate(tables, 1)}
    columns: dict[str, list[Any]] = joined(arrow, "dataset.train").to_pydict()
    return columns


def test_rows_stand_file_after_file_by_the_names_of_the_columns() -> None:
    one, two = {"text": ["a"], "label": ["x"], "idx": ["0"]}, {"label": ["y"], "text": ["b"]}
    assert join(one, two) == {"text": ["a", "b"], "label": ["x", "y"]}
    assert join(one, one)["idx"] == ["0", "0"] and join(one) == one


def test_whole_numbers_beside_text_are_text_as_they_are_written() -> None:
    assert join({"label": ["1", "two"]}, {"label": [1, 2]}) == {"label": ["1", "two", "1", "2"]}
    assert join({"label": [1]}, {"label": pa.array([None], pa.null())}) == {"label": [1, None]}
    assert join({"label": pa.array([1], pa.int8())}, {"label": pa.array([2], pa.uint16())}) == {"label": [1, 2]}
    assert join({"text": pa.array(["a"]).dictionary_encode()}, {"text": ["b"]}) == {"text": ["a", "b"]}


def test_lists_are_joined_where_they_hold_the_same() -> None:
    empty, lists = pa.array([[]], pa.list_(pa.string())), pa.array([[2]], pa.large_list(pa.int8()))
    assert join({"label": [[1], None]}, {"label": empty}, {"label": lists}) == {"label": [[1], None, [], [2]]}
    assert join({"label": empty}, {"label": empty}) == {"label": [[], []]}


@pytest.mark.parametrize(
    ("tables", "told"),
    [
        ([{"text": ["a"], "label": [1]}, {"text": ["b"]}], r'2\.csv has no column "label", and 1\.csv has'),
        ([{"text": ["a"]}, {"text": ["b"], "label": [1]}], r'1\.csv has no column "label", and 2\.csv has'),
        ([{"label": [1]}, {"label": [1.5]}], r"1\.csv has whole numbers in column .label., and 2\.csv has numbers"),
        ([{"label": ["1"]}, {"label": [1]}, {"label": [True]}], r"1\.csv has text .* 2\.csv has whole numbers"),
        ([{"label": [["1"]]}, {"label": [[1]]}], r"1\.csv has lists of text .* 2\.csv has lists of whole numbers"),
        ([{"label": [["1"]]}, {"label": ["1"]}], r"1\.csv has lists of text .* 2\.csv has text"),
        ([{"label": ["1"]}, {"label": [1.0]}], r"1\.csv has text .* 2\.csv has numbers"),
    ],
)
def test_files_that_do_not_go_together_are_named(tables: list[dict[str, Any]], told: str) -> None:
    with pytest.raises(ExperimentError, match=told) as refused:
        join(*tables)
    assert refused.value.problems[0].place == "dataset.train"


def test_files_that_declare_other_classes_are_refused() -> None:
    def table(*names: str) -> pa.Table:
        features = Features({"text": Value("string"), "label": ClassLabel(names=list(names))})
        some: pa.Table = Dataset.from_dict({"text": ["a"], "label": [0]}, features).data.table
        return some.replace_schema_metadata(features.arrow_schema.metadata)

    alike = Dataset(joined({"a": table("x", "y"), "b": table("x", "y")}, "dataset.train"))
    assert alike.features["label"].names == ["x", "y"]
    with pytest.raises(ExperimentError, match="a and b do not declare the same classes"):
        joined({"a": table("x", "y"), "b": table("y", "x")}, "dataset.train")


def test_numbers_to_be_predicted_are_joined_however_each_file_has_them() -> None:
    def numbers(*labels: Any) -> list[Any]:
        arrow = {f"{number}.csv": pa.table({"label": one}) for number, one in enumerate(labels, 1)}
        read: list[Any] = joined(arrow, "dataset.train", numbers="label")["label"].to_pylist()
        return read

    assert numbers([1, 2], [0.5], pa.array([None], pa.null())) == [1.0, 2.0, 0.5, None]
    assert numbers([2**62 + 1], [0.5]) == [2.0**62, 0.5]
    assert numbers(["1", "0.25"], [0.1], [3]) == ["1", "0.25", "0.1", "3"]
    with pytest.raises(ExperimentError, match=r"1\.csv has numbers in column .label., and 2\.csv has truth values"):
        numbers([0.5], [True])
