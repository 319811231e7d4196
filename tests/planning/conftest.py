"""Fixtures of the planning's tests."""

from plugin_packages import site

__all__ = ["site"]
