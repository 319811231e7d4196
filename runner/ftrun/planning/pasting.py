"""Tables of TOML to paste into an experiment file, which are sound as they stand."""

from __future__ import annotations

import tomllib
from collections.abc import Sequence

from ftrun.planning.conformance import said
from ftrun.planning.keys import Key, toml_key
from ftrun.settings import Settings, validate


def table_to_paste(header: str, use: str | None, keys: Sequence[Key], settings: type[Settings] | None = None) -> str:
    """A table with every key that is required, and as comments those that need not be there.

    Args:
        header: `[dataset]`, or `[[metrics]]` for a table that comes several times; empty for the top level.
        use: What stands first, for a component.
        keys: The keys of the table.
        settings: What the table is held to; what is wrong with it is a comment at its head.
    """
    lines = [header] if header else []
    lines += [f'use = "{use}"'] if use else []
    body = [f"{toml_key(key.name)} = {key.sample}" for key in keys if key.required]
    lines += body
    lines += [f"# {toml_key(key.name)} = {key.sample}" for key in keys if not key.required]
    faults = _faults(body, settings) if settings else []
    return "\n".join([*(f"# to be mended: {fault}" for fault in faults), *lines]) + "\n"


def _faults(body: Sequence[str], settings: type[Settings]) -> list[str]:
    try:
        _, problems = validate(settings, tomllib.loads("\n".join(body)))
    except KeyboardInterrupt:
        raise
    except BaseException as fault:  # somebody else's validators may raise anything
        return [said(fault)]
    return [" ".join(str(problem).split()) for problem in problems]
