"""A component or a table of a file, described: who provides it, its keys in a table, TOML to paste."""

from __future__ import annotations

from collections.abc import Sequence

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from ftrun.planning.described import Description
from ftrun.planning.keys import Key


def description_of(description: Description) -> RenderableType:
    """All of it but the TOML, which is printed as it stands so that it can be copied."""
    name = f"{description.kind} {description.name}" if description.name else _written(description.kind)
    provider = f"{description.distribution} {description.version}".strip()
    heading = Text.assemble((name, "bold"), f", from {provider}")
    parts: list[RenderableType] = [heading, Text(description.summary)]
    if description.keys:
        parts.append(_keys_table(description.keys))
    else:
        parts.append(Text("\nIt has no keys of its own.\n"))
    return Group(*parts)


def _written(table: str) -> str:
    return "the top level of a file" if table == "experiment" else f"the table [{table}]"


def _keys_table(keys: Sequence[Key]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, collapse_padding=True, pad_edge=False)
    for header in ("key", "holds", "by default", ""):
        table.add_column(Text(header), overflow="fold")
    for key in keys:
        default = Text("required", style="bold") if key.required else Text(key.default or "")
        table.add_row(Text(key.name), Text(key.type), default, Text(key.description))
    return table
