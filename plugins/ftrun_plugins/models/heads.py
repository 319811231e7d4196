"""What becomes of a checkpoint's own head: taken as it is, in its own order of classes, refused, or drawn anew."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ftrun.contracts import Task
from transformers import PretrainedConfig

from ftrun_plugins.models import CheckpointSettings
from ftrun_plugins.models.checkpoints import CONFIG, Checkpoint

MOST_CLASSES_SHOWN = 12
FRESH = "draw a fresh head: [model] fresh_head = true."


@dataclass(frozen=True)
class Head:
    """A checkpoint's head, as it is to be used.

    Attributes:
        fresh: Whether its outputs are to be drawn anew, whatever the weights hold.
        class_names: The task's classes in the order of the head's outputs, where that is the head's own; the
            configuration then keeps its names.
        notices: Sentences that a person should read.
    """

    fresh: bool = False
    class_names: tuple[str, ...] | None = None
    notices: Sequence[str] = ()


def choose_head(checkpoint: Checkpoint, config: PretrainedConfig, task: Task, settings: CheckpointSettings) -> Head:
    """What to do with a checkpoint's head, which is one for texts, for a task.

    Raises:
        ExperimentError: If it is a head for other classes, and no fresh one is asked for.
    """
    if settings.fresh_head:
        return Head(fresh=True)
    if config.num_labels != task.num_labels:
        if settings.ignore_mismatched_sizes:
            return Head(fresh=True)
        own = _own_names(checkpoint, config)
        message = f"its head was trained for {config.num_labels} labels{_in_brackets(own)}, and the data set has "
        hint = f"Take another checkpoint, or {FRESH}"
        raise checkpoint.error(f"{message}{task.num_labels}{_in_brackets(task.class_names)}", hint)
    if task.class_names is None:
        return Head()
    head = _matched(checkpoint, _own_names(checkpoint, config), task.class_names)
    further = _of_another_kind(checkpoint, task)
    return replace(head, notices=[*head.notices, *further]) if further else head


def _of_another_kind(checkpoint: Checkpoint, task: Task) -> Sequence[str]:
    """A sentence if a head was trained to give one class a row and is to give any number, or the other way."""
    trained = checkpoint.read_json(CONFIG).get("problem_type")
    if task.kind == "multi_label" and trained == "single_label_classification":
        return ["the checkpoint's head was trained for one class a row, and the data set has any number"]
    if task.kind == "classification" and trained == "multi_label_classification":
        return ["the checkpoint's head was trained for any number of classes a row, and the data set has one"]
    return []


def _matched(checkpoint: Checkpoint, own: tuple[str, ...], names: tuple[str, ...]) -> Head:
    places = _places(own, names) or _places([_plain(name) for name in own], [_plain(name) for name in names])
    if places is None and _are_numbers(own):
        notice = f"the checkpoint does not name its classes; they are taken to be, in this order: {_listed(names)}"
        return Head(notices=[notice])
    if places is None:
        message = f"its head is for other classes: it gives {_listed(own)}; the data set has {_listed(names)}"
        hint = f"If the data's classes have other names only, give them the checkpoint's; else {FRESH}"
        raise checkpoint.error(message, hint)
    ordered = tuple(names[place] for place in places)
    if ordered == names:
        return Head()
    notice = (
        f"the checkpoint's order of classes is taken for the model: {_listed(own)}; the data set has {_listed(names)}, "
        "and metrics and predictions are in its terms"
    )
    return Head(class_names=ordered, notices=[notice])


def _places(own: Sequence[str], names: Sequence[str]) -> list[int] | None:
    """For each of the checkpoint's classes its place among the task's; None if they are not the same."""
    if len(set(own)) != len(own) or sorted(own) != sorted(names):
        return None
    return [list(names).index(name) for name in own]


def _own_names(checkpoint: Checkpoint, config: PretrainedConfig) -> tuple[str, ...]:
    """The checkpoint's classes in the order of its outputs, perhaps by no more than their numbers.

    Raises:
        ExperimentError: If its configuration names them in two orders, or not all of them.
    """
    count = config.num_labels or 0
    by_id = _in_order(config.id2label or {}, count)
    label2id = checkpoint.read_json(CONFIG).get("label2id")  # transformers leaves it out where id2label is the default
    by_name = (
        _in_order({index: name for name, index in label2id.items()}, count) if isinstance(label2id, dict) else None
    )
    if by_id is None:
        ids = ", ".join(map(str, config.id2label or {}))
        raise checkpoint.error(
            f"its id2label names the outputs {ids}, and the head has the outputs 0 to {count - 1}", FRESH.capitalize()
        )
    named = [names for names in (by_id, by_name) if names and not _are_numbers(names)]
    if len(named) == 2 and named[0] != named[1] and sorted(named[0]) == sorted(named[1]):
        message = f"its id2label and label2id are of two minds: {_listed(named[0])}; {_listed(named[1])}"
        raise checkpoint.error(message, f"Mend its config.json, or {FRESH}")
    return named[0] if named else by_id


def _in_order(names: Mapping[Any, Any], count: int) -> tuple[str, ...] | None:
    by_id = {str(index).strip(): str(name) for index, name in names.items()}
    ids = [str(index) for index in range(count)]
    return tuple(by_id[index] for index in ids) if sorted(by_id) == sorted(ids) else None


def _are_numbers(names: Sequence[str]) -> bool:
    """Whether classes are called LABEL_0, LABEL_1 or 0, 1, which says nothing that their places do not."""
    return all(_plain(name) in (f"label_{index}", str(index)) for index, name in enumerate(names))


def _plain(name: str) -> str:
    return name.strip().casefold()


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(f'"{name}"' for name in names[:MOST_CLASSES_SHOWN])
    return f"{shown} and {len(names) - MOST_CLASSES_SHOWN} more" if len(names) > MOST_CLASSES_SHOWN else shown


def _in_brackets(names: Sequence[str] | None) -> str:
    return f" ({_listed(names)})" if names else ""
