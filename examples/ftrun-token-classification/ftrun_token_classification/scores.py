"""What is measured: single words, and whole entities."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from ftrun.contracts import Predictions

Entity = tuple[int, int, int, str]
"""Row, first word, the word after the last, and type."""


def token_accuracy(predictions: Predictions) -> Mapping[str, float]:
    """The share of words with the right label."""
    counted = predictions.labels >= 0
    right = (predictions.values == predictions.labels)[counted]
    return {"token_accuracy": float(right.mean()) if right.size else 0.0}


@dataclass(frozen=True)
class Entities:
    """Precision, recall and F1 of whole entities: right are those of the right type, from first to last word."""

    class_names: Sequence[str]

    def __call__(self, predictions: Predictions) -> Mapping[str, float]:
        """Measure predictions."""
        said: set[Entity] = set()
        true: set[Entity] = set()
        for row, (values, labels) in enumerate(zip(predictions.values, predictions.labels, strict=True)):
            counted = labels >= 0
            said |= set(entities(row, [self.class_names[value] for value in values[counted]]))
            true |= set(entities(row, [self.class_names[label] for label in labels[counted]]))
        right = len(said & true)
        return {
            "entity_precision": right / len(said) if said else 0.0,
            "entity_recall": right / len(true) if true else 0.0,
            "entity_f1": 2 * right / (len(said) + len(true)) if said or true else 0.0,
        }


def entities(row: int, tags: Sequence[str]) -> Iterator[Entity]:
    """The entities of a row of tags. One begins at B-TYPE, and at an I-TYPE that goes on with nothing."""
    first, kind = 0, ""
    for place, tag in enumerate([*tags, "O"]):
        mark, _, here = tag.partition("-")
        if kind and (mark != "I" or here != kind):
            yield row, first, place, kind
            kind = ""
        if here and not kind:
            first, kind = place, here
