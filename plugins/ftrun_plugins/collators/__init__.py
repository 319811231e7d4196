"""Collators: padding to the longest row of a batch, or to a fixed length."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ftrun import hookimpl
from ftrun.contracts import Collate, Collator, needs_nothing
from ftrun.settings import PositiveInt, Settings
from pydantic import Field

LONGEST = 2**20
"""Tokens in a row: beyond any model's, and short of what a slip of the finger would take all memory for."""


class DynamicPaddingSettings(Settings):
    """Settings of the collator "dynamic-padding"."""

    pad_to_multiple_of: PositiveInt | None = Field(
        None, le=LONGEST, description="Round the padded length up to a multiple of this."
    )


class FixedLengthSettings(Settings):
    """Settings of the collator "fixed-length"."""

    length: PositiveInt = Field(
        128, le=LONGEST, description="Length of every row in tokens; the model's max_length must not be longer."
    )


def _build_dynamic(settings: DynamicPaddingSettings, tokenizer: Any) -> Collate:
    from ftrun_plugins.collators.padding import dynamic

    return dynamic(tokenizer, settings.pad_to_multiple_of)


def _build_fixed(settings: FixedLengthSettings, tokenizer: Any) -> Collate:
    from ftrun_plugins.collators.padding import fixed

    return fixed(tokenizer, settings.length)


@hookimpl
def ftrun_collators() -> Sequence[Collator]:
    return [
        Collator(
            name="dynamic-padding",
            summary="Pads each batch to its longest row",
            settings=DynamicPaddingSettings,
            needs_tokenizer=True,
            needs=needs_nothing,
            build=_build_dynamic,
        ),
        Collator(
            name="fixed-length",
            summary="Pads every row to one length: for accelerators that want one shape",
            settings=FixedLengthSettings,
            needs_tokenizer=True,
            needs=needs_nothing,
            build=_build_fixed,
        ),
    ]
