"""A problem is told where the person who asked can mend it."""

from __future__ import annotations

import pytest
from ftrun.errors import ExperimentError, Problem
from ftrun.execution.places import argument_places, option_places, places_called


def test_an_option_that_was_given_is_named_and_a_setting_else() -> None:
    for device, place in (("cuda", "--device"), (None, "training.device")):
        with (
            pytest.raises(ExperimentError, match=f"^{place}: there is no such device"),
            places_called(option_places(device)),
        ):
            raise ExperimentError(Problem("there is no such device", "training.device"))


def test_a_program_is_told_of_its_arguments_in_hints_too() -> None:
    with pytest.raises(ExperimentError) as told, places_called(argument_places("cuda")):
        raise ExperimentError(
            Problem("no text", "--data", "Say which: --text-column NAME."), Problem("no device", "training.device")
        )
    assert str(told.value) == "data: no text\n  Say which: text_columns NAME.\ndevice: no device"
