"""Parts of splits, to the row those of `datasets`; what is no part is a sentence."""

from __future__ import annotations

import pytest
from datasets import Dataset, ReadInstruction
from ftrun_plugins.datasets.slices import as_slice, refuse_alike
from hypothesis import assume, given
from hypothesis import strategies as st

BOUNDS = st.one_of(
    st.just(""), st.integers(-150, 150).map(str), st.integers(-100, 100).map("{}%".format), st.just("1_0")
)


@given(BOUNDS, BOUNDS, st.integers(1, 120))
def test_rows_are_those_that_datasets_has(start: str, stop: str, count: int) -> None:
    from datasets.arrow_reader import _rel_to_abs_instr  # the one place that has the rule

    told = f"train[{start}:{stop}]"
    try:
        part = as_slice(told)
    except ValueError:
        assume(False)
    assert part is not None
    try:
        (relative,) = ReadInstruction.from_spec(told)._relative_instructions
        theirs = _rel_to_abs_instr(relative, {"train": count})
    except (AssertionError, ValueError):
        assume(False)
    expected = range(count)[theirs.from_ : theirs.to]
    assert list(part.of(count)) == list(expected)
    assert len(Dataset.from_dict({"n": list(range(count))}).select(part.of(count) or [])) == len(expected)


@pytest.mark.parametrize(
    ("told", "name"),
    [
        ("train[:10%]", "train_0_10pct"),
        ("train[100:200]", "train_100_200"),
        ("validation.matched[-1_000:]", "validation.matched_minus1000_end"),
        ("train[:]", "train_0_end"),
    ],
)
def test_names_have_no_brackets(told: str, name: str) -> None:
    part = as_slice(told)
    assert part and part.name == name


@pytest.mark.parametrize(
    ("told", "why"),
    [
        ("train[:110%]", "more than 100 %"),
        ("train[-101%:]", "more than 100 %"),
        ("train[60%:40%]", "has no rows"),
        ("train[10:50%]", "mixes places and shares"),
        ("train[:0%]", "has no rows"),
        ("train[:50%]+validation", r"not joined by \+"),
        ("train+validation", r"not joined by \+"),
        ("train[:10%](pct1_dropremainder)", "rounded to the nearest row"),
        *[(told, "is no part of a split; such a part") for told in ("train[", "train[5]", "[:5]", "train[a:]", "a]")],
        *[(told, "is no part of a split; such a part") for told in ("train[:1.5%]", "train[:10 %]", "train[1:2:3]")],
    ],
)
def test_what_is_no_part_is_refused(told: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        as_slice(told)


def test_whole_splits_are_none_and_two_of_one_name_are_refused() -> None:
    assert as_slice("train") is None and as_slice("") is None
    refuse_alike(["train[:10]", "train[10:]", "train[10:]"])
    with pytest.raises(ValueError, match=r"would both be called train_0_10"):
        refuse_alike(["train[:10]", "train[0:10]"])
