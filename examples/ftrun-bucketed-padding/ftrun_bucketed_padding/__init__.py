"""A collator of ftrun: pads batches to a few lengths, so that what is compiled for a shape meets few shapes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ftrun import hookimpl
from ftrun.contracts import Collate, Collator
from ftrun.errors import Problem
from ftrun.settings import PositiveInt, Settings
from pydantic import Field

ftrun_contract = "1.1"


class BucketSettings(Settings):
    """Settings of the collator "bucketed-padding"."""

    lengths: tuple[PositiveInt, ...] = Field(
        (32, 64, 128, 256, 512), min_length=1, description="Lengths in tokens to pad to, each longer than the last."
    )


def _check(settings: BucketSettings) -> Sequence[Problem]:
    if list(settings.lengths) == sorted(set(settings.lengths)):
        return []
    return [Problem("each length must be longer than the one before it", "lengths")]


def _build(settings: BucketSettings, tokenizer: Any) -> Collate:
    from ftrun_bucketed_padding.padding import BucketedPadding

    return BucketedPadding(tokenizer, settings.lengths)


@hookimpl
def ftrun_collators() -> Sequence[Collator]:
    """Offer the collator."""
    return [
        Collator(
            name="bucketed-padding",
            summary="Pads each batch to the first of a few lengths that holds it",
            settings=BucketSettings,
            needs_tokenizer=True,
            check=_check,
            build=_build,
        )
    ]
