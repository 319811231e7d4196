"""A trained checkpoint's own order of classes: taken and said, or refused, and never a wrong number."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import ftrun
import pytest
from ftrun.contracts import Task
from ftrun.errors import ExperimentError
from ftrun_plugins.models import CheckpointSettings
from ftrun_plugins.models.sequence_classification import from_checkpoint
from helpers import BACKENDS, journal_of

WORDS = ["good", "bad", "soso"]
SENTIMENT = Task("classification", ("text",), "label", ("negative", "positive"))
THREE = Task("classification", ("text",), "label", ("entailment", "neutral", "contradiction"))


def make_checkpoint(folder: Path, words: Sequence[str], **config: Any) -> Path:
    """A tiny BERT that tells these words apart without fail: output i is that of word i."""
    import torch
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import BertConfig, BertForSequenceClassification, PreTrainedTokenizerFast

    special = ["[PAD]", "[UNK]"]
    vocabulary = {word: index for index, word in enumerate([*special, *WORDS])}
    backend = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    backend.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=backend, pad_token="[PAD]", unk_token="[UNK]")
    size = len(vocabulary)
    shape = {"hidden_size": size, "num_attention_heads": 1, "intermediate_size": 4, "num_hidden_layers": 0}
    model = BertForSequenceClassification(BertConfig(**shape, vocab_size=size, **{"num_labels": len(words), **config}))
    with torch.no_grad():
        embeddings = model.bert.embeddings
        embeddings.word_embeddings.weight.copy_(torch.eye(size))
        embeddings.position_embeddings.weight.zero_()
        embeddings.token_type_embeddings.weight.zero_()
        model.bert.pooler.dense.weight.copy_(torch.eye(size))
        model.bert.pooler.dense.bias.zero_()
        model.classifier.weight.copy_(torch.eye(size)[[vocabulary[word] for word in words]] * 10)
        model.classifier.bias.zero_()
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def named(*names: str) -> dict[str, Any]:
    """A configuration's classes, in the order of the outputs."""
    return {"id2label": dict(enumerate(names)), "label2id": {name: index for index, name in enumerate(names)}}


def experiment(checkpoint: Path, labels: Mapping[str, str], classes: Sequence[str], metrics: Sequence[str]) -> Path:
    """An experiment on texts of one word each, that trains at a rate of zero: the checkpoint is what is measured."""
    folder = checkpoint.parent
    rows = [f"{word},{labels[word]}" for word in labels for _ in range(2 + WORDS.index(word))]
    (folder / "rows.csv").write_text("text,label\n" + "\n".join(rows) + "\n")
    tables = "".join(f'[[metrics]]\nuse = "{name}"\n' for name in metrics)
    path = folder / "order.toml"
    path.write_text(
        f"""
name = "order"
[dataset]
use = "files"
train = "rows.csv"
validation = "rows.csv"
text_columns = ["text"]
class_names = {json.dumps(list(classes))}
[model]
use = "sequence-classification"
checkpoint = "./{checkpoint.name}"
[backend]
use = "loop"
[training]
max_steps = 1
learning_rate = 0.0
device = "cpu"
{tables}
[tracking]
enabled = false
"""
    )
    return path


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_perfect_classifier_in_another_order_is_perfect(
    workdir: Path, backend: str, capsys: pytest.CaptureFixture[str]
) -> None:
    checkpoint = make_checkpoint(workdir / "own", ["good", "bad"], **named("Positive", "NEGATIVE"))
    labels = {"good": "positive", "bad": "negative"}
    file = experiment(checkpoint, labels, ["negative", "positive"], ["accuracy", "f1"])
    result = ftrun.run(file, overrides={"backend.use": backend})
    assert result.metrics["eval/accuracy"] == 1.0 and result.metrics["eval/f1"] == 1.0
    assert result.metrics["eval/loss"] < 0.01
    assert "the checkpoint's order of classes is taken" in capsys.readouterr().out
    kept = json.loads((result.run_folder / "model" / "config.json").read_text())
    assert kept["id2label"] == {"0": "Positive", "1": "NEGATIVE"} and kept["label2id"] == {"Positive": 0, "NEGATIVE": 1}
    table = json.loads((result.run_folder / "predictions" / "validation.json").read_text())
    assert [dict(zip(table["columns"], row, strict=True)) for row in table["data"]] == [
        {"text": word, "label": labels[word], "prediction": labels[word], "correct": True}
        for word in ("good", "good", "bad", "bad", "bad")
    ]
    assert journal_of(result.run_folder)[0]["tags"]["ftrun.model.classes"] == '["positive", "negative"]'


def test_binary_scores_count_the_datas_class_1(workdir: Path) -> None:
    checkpoint = make_checkpoint(workdir / "own", ["good", "bad"], **named("positive", "negative"))
    file = experiment(checkpoint, {"good": "positive"}, ["negative", "positive"], ["precision", "recall"])
    counts = {"good,positive": 2, "good,negative": 1, "bad,positive": 3, "bad,negative": 4}
    rows = [row for row, count in counts.items() for _ in range(count)]
    (workdir / "rows.csv").write_text("\n".join(["text,label", *rows]))
    metrics = ftrun.run(file, progress=False).metrics
    assert metrics["eval/precision"] == pytest.approx(2 / 3) and metrics["eval/recall"] == pytest.approx(2 / 5)


def test_three_classes_as_mnlis_are_put_in_order(workdir: Path) -> None:
    """As roberta-large-mnli has them."""
    checkpoint = make_checkpoint(workdir / "own", WORDS, **named("CONTRADICTION", "NEUTRAL", "ENTAILMENT"))
    labels = dict(zip(WORDS, ("contradiction", "neutral", "entailment"), strict=True))
    result = ftrun.run(experiment(checkpoint, labels, THREE.class_names or (), ["accuracy"]), progress=False)
    assert result.metrics["eval/accuracy"] == 1.0
    table = json.loads((result.run_folder / "predictions" / "validation.json").read_text())
    assert {row[0]: row[1] for row in table["data"]} == labels and all(row[3] for row in table["data"])


def test_anybodys_evaluator_gets_the_datas_order(workdir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import ftrun_plugins.metrics.scores as scores

    seen: list[Any] = []
    monkeypatch.setattr(scores, "evaluator", lambda *_: lambda predictions: seen.append(predictions) or {"accuracy": 1})
    checkpoint = make_checkpoint(workdir / "own", WORDS, **named("c", "a", "b"))
    file = experiment(checkpoint, dict(zip(WORDS, "cab", strict=True)), ["a", "b", "c"], ["accuracy"])
    ftrun.run(file, progress=False)
    assert seen[0].labels.tolist() == [2, 2, 0, 0, 0, 1, 1, 1, 1] == seen[0].logits.argmax(axis=1).tolist()


def test_a_run_resumed_in_another_order_of_classes_is_refused(workdir: Path) -> None:
    from helpers import died_after

    checkpoint = make_checkpoint(workdir / "own", ["good", "bad"], **named("positive", "negative"))
    file = experiment(checkpoint, {"good": "positive", "bad": "negative"}, SENTIMENT.class_names or (), ["accuracy"])
    result = ftrun.run(
        file,
        overrides={"training.max_steps": 2, "training.save_strategy": "steps", "training.save_steps": 1},
        progress=False,
    )
    died = died_after(result.run_folder, 1, "died")
    config = json.loads((checkpoint / "config.json").read_text())
    (checkpoint / "config.json").write_text(json.dumps(config | named("negative", "positive")))
    refused = ftrun.resume(died.name, progress=False)
    assert refused.status == "FAILED" and refused.error
    assert "the order of the model's classes" in refused.error and "the model's weights" in refused.error


def build(checkpoint: Path, task: Task = SENTIMENT, **settings: Any) -> Any:
    return from_checkpoint(CheckpointSettings(checkpoint=str(checkpoint), **settings), task)


@pytest.mark.parametrize(
    "names",
    [("LABEL_0", "LABEL_1"), ("label_0", "label_1"), ("0", "1"), (0, 1), (" 0", "LABEL_1 ")],
)
def test_numbers_are_no_names_and_ids_are_taken_as_they_are(tmp_path: Path, names: tuple[Any, Any]) -> None:
    built = build(make_checkpoint(tmp_path / "own", ["bad", "good"], id2label=dict(enumerate(names))))
    assert built.class_names is None and "does not name its classes" in built.notices[0]
    assert built.model.config.id2label == {0: "negative", 1: "positive"}
    assert built.encode({"text": ["good"], "label": [1]})["labels"] == [1]


def test_names_that_only_label2id_has_are_names(tmp_path: Path) -> None:
    """The order that run_glue.py goes by."""
    own = {"id2label": {0: "LABEL_0", 1: "LABEL_1"}, "label2id": {"positive": 0, "negative": 1}}
    built = build(make_checkpoint(tmp_path / "own", ["good", "bad"], **own))
    assert built.class_names == ("positive", "negative")
    assert built.encode({"text": ["good"], "label": [1]})["labels"] == [0]


def test_the_same_order_is_taken_without_a_word(tmp_path: Path) -> None:
    built = build(make_checkpoint(tmp_path / "own", ["bad", "good"], **named("Negative ", "POSITIVE")))
    assert built.class_names is None and built.notices == []
    assert built.model.config.id2label == {0: "negative", 1: "positive"}


def test_the_order_is_part_of_what_tells_encoded_splits_apart(tmp_path: Path) -> None:
    keys = {
        build(make_checkpoint(tmp_path / order[0], ["good", "bad"], **named(*order))).encode_key
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

    checkpoint = make_checkpoint(tmp_path / "own", ["good", "bad"])
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
    checkpoint = make_checkpoint(tmp_path / "own", ["good", "bad"], **named("positive", "negative"))
    for settings in ({"fresh_head": True}, {"ignore_mismatched_sizes": True}):
        built = build(checkpoint, THREE, **settings)
        assert built.model.num_labels == 3 and "freshly drawn" in built.notices[0]


@pytest.mark.parametrize("architecture", ["BertForTokenClassification", "BertForMultipleChoice", "BertModel"])
def test_a_head_for_something_else_is_none_for_texts(tmp_path: Path, architecture: str) -> None:
    """Its outputs are called and sized as those of a head for texts."""
    checkpoint = make_checkpoint(tmp_path / "own", ["good", "bad"], **named("O", "PERSON"))
    config = json.loads((checkpoint / "config.json").read_text())
    (checkpoint / "config.json").write_text(json.dumps(config | {"architectures": [architecture]}))
    built = build(checkpoint)
    assert built.notices == ["freshly drawn, to be learnt: classifier (2 outputs)"]
    assert built.model.classifier.weight.abs().max() < 1


def test_without_an_architecture_the_weights_tell_whether_there_is_a_head(tmp_path: Path) -> None:
    checkpoint = make_checkpoint(tmp_path / "own", ["good", "bad"], **named("positive", "negative"))
    config = json.loads((checkpoint / "config.json").read_text())
    del config["architectures"]
    (checkpoint / "config.json").write_text(json.dumps(config))
    assert build(checkpoint).class_names == ("positive", "negative")


def test_one_number_is_taken_for_regression_whatever_it_is_called(tmp_path: Path) -> None:
    task = Task("regression", ("text",), "score")
    checkpoint = make_checkpoint(tmp_path / "own", ["good"], num_labels=1, problem_type="regression")
    built = build(checkpoint, task)
    assert built.notices == [] and built.model.config.id2label == {0: "score"}
    with pytest.raises(ExperimentError, match=r"trained for 1 labels .*, and the data set has 2"):
        build(checkpoint)
