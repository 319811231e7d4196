"""Every collator passes the suite that anybody's does."""

from __future__ import annotations

from ftrun.testing import CollatorSuite


class TestDynamicPadding(CollatorSuite):
    component = "dynamic-padding"
    more_settings = [{"pad_to_multiple_of": 8}]
    bad_settings = [{"pad_to_multiple_of": 0}, {"pad_to_multiple_of": 2**21}]


class TestFixedLength(CollatorSuite):
    component = "fixed-length"
    settings = {"length": 24}
    more_settings = [{"length": None}]
    bad_settings = [{"length": 4}, {"length": 0}]
