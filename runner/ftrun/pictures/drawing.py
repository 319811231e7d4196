"""Draws the pictures of a run, and publishes them all at once.

    python -m ftrun.pictures.drawing RUN_FOLDER

What to draw comes as a line of JSON on standard input, and what was drawn goes as one to standard output, both as in
`subject`. A picture that cannot be drawn takes no other with it; its traceback goes to standard error.
"""

from __future__ import annotations

import functools
import json
import os
import sys
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from ftrun.pictures import classes, curves, numbers
from ftrun.pictures.artist import ASIDE, remove_leftovers
from ftrun.pictures.canvas import prepare
from ftrun.pictures.counting import by_class_of_many
from ftrun.pictures.predicted import Classified, read_classified, read_many, read_numbers, read_ranked
from ftrun.pictures.subject import Drawn, Subject, as_line, subject_from
from ftrun.redaction import redacted
from ftrun.runs.folder import RunFolder

Draw = Callable[[Path], None]
"""Draws a picture into a file."""


def draw(folder: RunFolder, subject: Subject) -> Drawn:
    """Draw all that there is to draw of a run, in place of what was drawn of it before.

    Raises:
        OSError: If the run folder cannot be written.
    """
    prepare()
    remove_leftovers(folder)
    aside = folder.path / f"{ASIDE}{os.getpid()}"
    aside.mkdir()
    drawn, failed = [], []
    for name, picture in _pictures(folder, subject):
        try:
            (aside / name).parent.mkdir(parents=True, exist_ok=True)
            picture(aside / name)
            drawn.append(name)
        except Exception:
            sys.stderr.write(redacted(f"{name} cannot be drawn\n{traceback.format_exc()}"))
            (aside / name).unlink(missing_ok=True)
            failed.append(name)
    if drawn:
        _publish(aside, folder.pictures)
    remove_leftovers(folder)
    tables = [f"{folder.pictures.name}/{name}" for name in drawn if name.endswith(".json")]
    return Drawn(tables, failed, bool(drawn))


def _publish(aside: Path, final: Path) -> None:
    if final.exists():
        final.rename(aside.with_name(f"{ASIDE}before"))
    aside.rename(final)


def _pictures(folder: RunFolder, subject: Subject) -> Iterator[tuple[str, Draw]]:
    """Everything that there is to draw, by the name of its file."""
    told = curves.read_curves(folder.journal)
    yield "loss.png", functools.partial(curves.draw_loss, curves=told, subject=subject)
    if set(curves.evaluated(told, subject.splits)) - {"loss"}:
        yield "metrics.png", functools.partial(curves.draw_metrics, curves=told, subject=subject)
    kinds = {"classification": _of_classes, "multi_label": _of_many, "regression": _of_numbers}
    of_split = kinds.get(subject.kind)
    for split in [*subject.splits, *subject.tested] if of_split else ():
        assert of_split
        yield from of_split(folder, split, subject)


def _of_classes(folder: RunFolder, split: str, subject: Subject) -> Iterator[tuple[str, Draw]]:
    @functools.cache
    def found() -> Classified:
        return read_classified(folder, split, subject.classes)

    def precision_recall(path: Path) -> None:
        labels, probabilities = read_ranked(folder, split, found())
        classes.draw_precision_recall(path, split, subject.classes, labels, probabilities)

    yield f"{split}/confusion.png", lambda path: classes.draw_confusion(path, split, found())
    yield f"{split}/precision_recall.png", precision_recall
    yield f"{split}/reliability.png", lambda path: classes.draw_reliability(path, split, found())
    yield f"{split}/per_class.json", lambda path: _write(path, classes.per_class_table(found()))
    yield f"{split}/wrong.json", lambda path: _write(path, classes.wrong_table(found(), subject.text_columns))


def _of_many(folder: RunFolder, split: str, subject: Subject) -> Iterator[tuple[str, Draw]]:
    def table() -> dict[str, Any]:
        return classes.scores_table(subject.classes, by_class_of_many(*read_many(folder, split, subject.classes)))

    yield f"{split}/per_class.json", lambda path: _write(path, table())


def _of_numbers(folder: RunFolder, split: str, subject: Subject) -> Iterator[tuple[str, Draw]]:
    found = functools.cache(functools.partial(read_numbers, folder, split))
    yield f"{split}/predicted_over_true.png", lambda path: numbers.draw_predicted(path, split, *found())
    yield f"{split}/residuals.png", lambda path: numbers.draw_residuals(path, split, *found())


def _write(path: Path, table: dict[str, Any]) -> None:
    path.write_text(json.dumps(table, ensure_ascii=False, allow_nan=False), encoding="utf-8")


if __name__ == "__main__":
    told = draw(RunFolder(Path(sys.argv[1])), subject_from(sys.stdin.buffer.readline()))
    sys.stdout.buffer.write(as_line(told))
