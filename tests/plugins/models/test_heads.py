"""A checkpoint's own head: taken in its own order of classes and said to be, refused, or drawn anew."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from ftrun.contracts import Task
from ftrun.errors import ExperimentError
from ftrun_plugins.models import CheckpointSettings
from ftrun_plugins.models.checkpoints import Checkpoint
from ftrun_plugins.models.heads import Head, choose_head
from ftrun_plugins.models.sequence_classification import from_checkpoint
from hypothesis import given
from hypothesis import strategies as st
from makers import make_word_teller, named
from transformers import PretrainedConfig

SENTIMENT = Task("classification", ("text",), "label", ("negative", "positive"))


THREE = Task("classification", ("text",), "label", ("entailment", "neutral", "contradiction"))


OTHER = Task("classification", ("text",), "label", ("a", "b", "c"))


def build(checkpoint: Path, task: Task = SENTIMENT, **settings: Any) -> Any:
    return from_checkpoint(CheckpointSettings(checkpoint=str(checkpoint), **settings), task)


@pytest.mark.parametrize(
    "names",
    [("LABEL_0", "LABEL_1"), ("label_0", "label_1"), ("0", "1"), (0, 1), (" 0", "LABEL_1 ")],
)
def test_numbers_are_no_names_and_ids_are_taken_as_they_are(tmp_path: Path, names: tuple[Any, Any]) -> None:
    built = build(make_word_teller(tmp_path / "own", ["bad", "good"], id2label=dict(enumerate(names))))
    assert built.class_names is None and "does not name its classes" in built.notices[0]
    assert built.model.config.id2label == {0: "negative", 1: "positive"}
    assert built.encode({"text": ["good"], "label": [1]})["labels"] == [1]


def test_names_that_only_label2id_has_are_names(tmp_path: Path) -> None:
    """The order that run_glue.py goes by."""
    own = {"id2label": {0: "LABEL_0", 1: "LABEL_1"}, "label2id": {"positive": 0, "negative": 1}}
    built = build(make_word_teller(tmp_path / "own", ["good", "bad"], **own))
    assert built.class_names == ("positive", "negative")
    assert built.encode({"text": ["good"], "label": [1]})["labels"] == [0]


def test_the_same_order_is_taken_without_a_word(tmp_path: Path) -> None:
    built = build(make_word_teller(tmp_path / "own", ["bad", "good"], **named("Negative ", "POSITIVE")))
    assert built.class_names is None and built.notices == []
    assert built.model.config.id2label == {0: "negative", 1: "positive"}


def test_the_order_is_part_of_what_tells_encoded_splits_apart(tmp_path: Path) -> None:
    keys = {
        build(make_word_teller(tmp_path / order[0], ["good", "bad"], **named(*order))).encode_key
        for order in (("positive", "negative"), ("negative", "positive"))
    }
    assert len(keys) == 2


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (named("joy", "anger"), r"other classes: it gives .joy., .anger.; the data set has .negative., .positive."),
        (named("negative", "LABEL_1"), "other classes"),
        ({"id2label": {0: "negative", 1: "negative"}}, "other classes"),
        ({"id2label": {0: "negative", 2: "positive"}}, r"names the outputs 0, 2, and the head has the outputs 0 to 1"),
        (
            {"id2label": {0: "negative", 1: "positive"}, "label2id": {"positive": 0, "negative": 1}},
            "id2label and label2id are of two minds",
        ),
    ],
)
def test_other_classes_are_refused_and_a_fresh_head_drawn_on_request(
    tmp_path: Path, config: dict[str, Any], message: str
) -> None:
    import torch

    checkpoint = make_word_teller(tmp_path / "own", ["good", "bad"])
    saved = json.loads((checkpoint / "config.json").read_text())
    (checkpoint / "config.json").write_text(json.dumps(saved | config))
    with pytest.raises(ExperimentError, match=rf"model\.checkpoint: [\s\S]*{message}[\s\S]*fresh_head = true"):
        build(checkpoint)
    with pytest.raises(ExperimentError, match=message):
        build(checkpoint, ignore_mismatched_sizes=True)
    torch.manual_seed(1)
    built = build(checkpoint, fresh_head=True)
    assert built.notices == ["freshly drawn, to be learnt: classifier (2 outputs)"] and built.class_names is None
    assert built.model.config.id2label == {0: "negative", 1: "positive"}
    assert built.model.classifier.weight.abs().max() < 1 < make_head(checkpoint).abs().max()


def make_head(checkpoint: Path) -> Any:
    from safetensors.torch import load_file

    return load_file(checkpoint / "model.safetensors")["classifier.weight"]


def test_a_fresh_head_is_drawn_for_another_number_of_classes_too(tmp_path: Path) -> None:
    checkpoint = make_word_teller(tmp_path / "own", ["good", "bad"], **named("positive", "negative"))
    for settings in ({"fresh_head": True}, {"ignore_mismatched_sizes": True}):
        built = build(checkpoint, THREE, **settings)
        assert built.model.num_labels == 3 and "freshly drawn" in built.notices[0]


@pytest.mark.parametrize("architecture", ["BertForTokenClassification", "BertForMultipleChoice", "BertModel"])
def test_a_head_for_something_else_is_none_for_texts(tmp_path: Path, architecture: str) -> None:
    """Its outputs are called and sized as those of a head for texts."""
    checkpoint = make_word_teller(tmp_path / "own", ["good", "bad"], **named("O", "PERSON"))
    config = json.loads((checkpoint / "config.json").read_text())
    (checkpoint / "config.json").write_text(json.dumps(config | {"architectures": [architecture]}))
    built = build(checkpoint)
    assert built.notices == ["freshly drawn, to be learnt: classifier (2 outputs)"]
    assert built.model.classifier.weight.abs().max() < 1


def test_without_an_architecture_the_weights_tell_whether_there_is_a_head(tmp_path: Path) -> None:
    checkpoint = make_word_teller(tmp_path / "own", ["good", "bad"], **named("positive", "negative"))
    config = json.loads((checkpoint / "config.json").read_text())
    del config["architectures"]
    (checkpoint / "config.json").write_text(json.dumps(config))
    assert build(checkpoint).class_names == ("positive", "negative")


def test_one_number_is_taken_for_regression_whatever_it_is_called(tmp_path: Path) -> None:
    task = Task("regression", ("text",), "score")
    checkpoint = make_word_teller(tmp_path / "own", ["good"], num_labels=1, problem_type="regression")
    built = build(checkpoint, task)
    assert built.notices == [] and built.model.config.id2label == {0: "score"}
    with pytest.raises(ExperimentError, match=r"trained for 1 labels .*, and the data set has 2"):
        build(checkpoint)


def test_a_head_for_another_number_of_labels_is_told_and_can_be_drawn_anew(tmp_path: Path) -> None:
    checkpoint = make_word_teller(tmp_path / "own", ["bad", "good"], **named("no", "yes"))
    with pytest.raises(
        ExperimentError, match=r"trained for 2 labels \(.no., .yes.\), and the data set has 3[\s\S]*fresh_head = true"
    ):
        from_checkpoint(CheckpointSettings(checkpoint=str(checkpoint)), OTHER)
    built = from_checkpoint(CheckpointSettings(checkpoint=str(checkpoint), ignore_mismatched_sizes=True), OTHER)
    assert built.model.num_labels == 3 and "freshly drawn" in built.notices[0]


class Files(Checkpoint):
    """A checkpoint of which only the configuration is looked at."""

    def read_json(self, name: str) -> dict[str, Any]:
        return {"label2id": self.label2id} if self.label2id is not None else {}  # type: ignore[attr-defined]


def chosen(own: Mapping[Any, Any], names: Sequence[str] | None, label2id: Any = None, **settings: Any) -> Head:
    """What becomes of a head whose configuration names its outputs so, for a task of these classes."""
    checkpoint = Files(Path("own"), "own", "model.checkpoint")
    object.__setattr__(checkpoint, "label2id", label2id)
    task = Task("classification" if names else "regression", ("text",), "label", tuple(names) if names else None)
    config = PretrainedConfig(id2label=dict(own), num_labels=len(own))
    return choose_head(checkpoint, config, task, CheckpointSettings(checkpoint="own", **settings))


NAMES = st.lists(st.text("abc负", min_size=1, max_size=3).filter(str.strip), min_size=2, max_size=6, unique=True)


@given(NAMES, st.randoms(use_true_random=False))
def test_a_head_keeps_its_own_order_of_the_same_classes(names: list[str], random: Any) -> None:
    own = random.sample(names, len(names))
    head = chosen(dict(enumerate(own)), names)
    assert not head.fresh and head.class_names == (tuple(own) if own != names else None)
    assert len(head.notices) == (own != names)


def test_names_that_differ_in_case_and_blanks_are_the_same_but_not_where_both_are_there() -> None:
    assert chosen({0: " YES", 1: "No "}, ["no", "yes"]).class_names == ("yes", "no")
    assert chosen({0: "A", 1: "a"}, ["a", "A"]).class_names == ("A", "a")
    assert chosen({0: "a ", 1: "a"}, ["a", "a "]).class_names == ("a ", "a")
    with pytest.raises(ExperimentError, match="its head is for other classes"):
        chosen({0: "A", 1: "a"}, ["a", "b"])


def test_of_many_classes_a_few_are_named() -> None:
    with pytest.raises(ExperimentError) as refused:
        chosen({number: f"c{number}" for number in range(1000)}, [f"d{number}" for number in range(1000)])
    assert '"c11" and 988 more' in str(refused.value) and len(str(refused.value)) < 500


@pytest.mark.parametrize("label2id", [None, [], "yes", {}, {"no": "x", "yes": "y"}, {"no": 0}])
def test_a_label2id_that_says_nothing_changes_nothing(label2id: Any) -> None:
    assert chosen({0: "no", 1: "yes"}, ["no", "yes"], label2id) == Head()


def test_on_request_a_head_is_drawn_anew_whatever_it_says() -> None:
    assert chosen({0: "joy", 1: "joy"}, ["no", "yes"], fresh_head=True) == Head(fresh=True)
    assert chosen({0: "joy"}, ["no", "yes"], ignore_mismatched_sizes=True) == Head(fresh=True)


@pytest.mark.parametrize(
    ("kind", "trained", "told"),
    [
        ("multi_label", "single_label_classification", "trained for one class a row, and the data set has any number"),
        ("classification", "multi_label_classification", "trained for any number of classes a row"),
        ("multi_label", "multi_label_classification", ""),
        ("classification", "single_label_classification", ""),
        ("multi_label", None, ""),
    ],
)
def test_a_head_that_was_trained_for_another_kind_of_label_is_told(
    tmp_path: Path, kind: str, trained: str | None, told: str
) -> None:
    kinds = {"problem_type": trained} if trained else {}
    own = make_word_teller(tmp_path / "own", ["bad", "good"], **named("negative", "positive"), **kinds)
    built = build(own, Task(kind, ("text",), "label", ("negative", "positive")))
    wanted = {"classification": "single_label_classification", "multi_label": "multi_label_classification"}[kind]
    assert built.model.config.problem_type == wanted
    assert (told in built.notices[0]) if told else not built.notices
