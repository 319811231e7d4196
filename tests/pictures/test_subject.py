"""What passes between a run and the process that draws it."""

from __future__ import annotations

from ftrun.pictures.subject import Drawn, Subject, as_line, drawn_from, subject_from


def test_both_come_through_a_line_whatever_the_names_are() -> None:
    subject = Subject(
        "classification", ["no\n", "负", "\udcff"], ["text"], ["validation"], {"loss": "min"}, 3, ["test"]
    )
    assert as_line(subject).count(b"\n") == 1 and subject_from(as_line(subject)) == subject
    drawn = Drawn(["pictures/validation/wrong.json"], ["loss.png"], True)
    assert drawn_from(as_line(drawn)) == drawn


def test_a_process_that_says_nothing_has_drawn_nothing() -> None:
    assert drawn_from(b"") is None and drawn_from(b'{"tables"') is None and drawn_from(b"3") is None
