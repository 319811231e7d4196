"""Writes docs/reference of the code: `make reference`. A test says when that is due.

The contract is read by griffe, without importing it; commands and settings tell of themselves.
"""

from __future__ import annotations

import importlib
import inspect
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import griffe
from ftrun.cli import COMMANDS
from ftrun.contracts import KINDS
from ftrun.planning.catalogue import load_catalogue
from ftrun.planning.choice import Choice
from ftrun.planning.described import Description, describe, of_component
from ftrun.training_arguments import NOT_TAKEN

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "docs" / "reference"
MODULES = ("contracts", "hookspecs", "settings", "errors", "references", "hub", "rowfiles", "training", "testing")
NOTE = "<!-- Made by `make reference`; what is changed here is lost. -->"


def pages() -> dict[str, str]:
    """The pages by name, as they should be."""
    return {"contract.md": _page(_contract()), "commands.md": _page(_commands()), "file.md": _page(_file())}


def _page(lines: Iterator[str]) -> str:
    return "\n".join([NOTE, "", *lines]).rstrip() + "\n"


def _contract() -> Iterator[str]:
    package: Any = griffe.load(
        "ftrun", search_paths=[ROOT / "runner"], docstring_parser="google", allow_inspection=False, resolve_aliases=True
    )
    yield "# The contract"
    yield ""
    yield "All that a plugin or a program may count on. `help(ftrun.contracts.Metric)` and the like say more."
    for name in (None, *MODULES):
        module = package[name] if name else package
        yield from ["", f"## {module.path}", "", _first(module) if name else "For programs and notebooks."]
        known = [found for found in module.exports if name is None and found in package["errors"].exports]
        if known:
            yield from ["", f"Of `ftrun.errors`, below: {', '.join(known)}."]
        for found in module.exports:
            if found not in known and found != "__version__":
                yield from _named(_target(module[found]))


def _target(member: Any) -> Any:
    return member.final_target if member.is_alias else member


def _named(member: Any) -> Iterator[str]:
    if member.kind is griffe.Kind.CLASS:
        yield from _suite(member) if member.name.endswith("Suite") else _class(member)
    elif member.kind is griffe.Kind.FUNCTION:
        yield from ["", f"### {member.name}", "", f"`{_signature(member)}`", "", _summary(member), *_described(member)]
    else:
        told = _summary(member) or f"Is {_code(member.value)}."
        yield from ["", f"### {member.name}", "", told]


def _class(member: Any) -> Iterator[str]:
    bases = ", ".join(str(base) for base in member.bases)
    yield from ["", f"### {member.name}", "", f"{_summary(member)} ({bases})" if bases else _summary(member)]
    rows = list(_fields(member))
    if rows:
        yield from ["", "| name | type | default | what it is |", "| --- | --- | --- | --- |", *rows]
    methods = [found for found in member.functions.values() if _is_public(found)]
    if methods:
        yield ""
        yield from (
            f"- `{_signature(method)}`{': ' if _summary(method) else ''}{_summary(method)}" for method in methods
        )


def _suite(member: Any) -> Iterator[str]:
    """What an author may set and override of a suite, and what its tests promise; not what it has of others."""
    bases = ", ".join(str(base) for base in member.bases)
    yield from ["", f"### {member.name}", "", f"{_summary(member)} ({bases})" if bases else _summary(member)]
    yield from ["", "| to set or override | type | default | what it is |", "| --- | --- | --- | --- |"]
    for name, text in _descriptions(member):
        field = member.members.get(name) or member.attributes[name]
        yield f"| `{name}` | {_code(field.annotation)} | {_code(field.value)} | {_cell(text)} |"
    tests: list[str] = []
    for method in member.members.values():
        if method.kind is griffe.Kind.FUNCTION and _is_public(method):
            if method.name.startswith("test_"):
                tests.append(f"- `{method.name}`: {_summary(method)}")
            elif method.name.startswith(("make_", "expects_", "try_out")):
                yield f"| `{_signature(method)}` | | | {_cell(_summary(method))} |"
    yield from ["", *tests]


def _fields(member: Any) -> Iterator[str]:
    if member.name == "TrainingSettings":
        return  # the file's page has them
    described = dict(_descriptions(member))
    for name, field in member.attributes.items():
        text = described.get(name) or _summary(field)
        if name.startswith("_") or name == "model_config" or not (text or field.annotation):
            continue
        if "instance-attribute" in field.labels or "property" in field.labels:
            default = field.value if "class-attribute" in field.labels else None
            yield f"| `{name}` | {_code(field.annotation)} | {_default(default)} | {_cell(text)} |"


def _default(value: Any) -> str:
    factory = re.fullmatch(r"field\(default_factory=(.*)\)", str(value))
    return _code({"dict": "{}", "list": "[]"}.get(factory[1], "...") if factory else value)


def _descriptions(member: Any) -> Iterator[tuple[str, str]]:
    for section in member.docstring.parsed if member.docstring else ():
        if section.kind in (griffe.DocstringSectionKind.attributes, griffe.DocstringSectionKind.parameters):
            yield from ((entry.name, entry.description) for entry in section.value)


def _described(member: Any) -> Iterator[str]:
    rows = [f"| `{name}` | {_cell(text)} |" for name, text in _descriptions(member)]
    if rows:
        yield from ["", "| argument | what it is |", "| --- | --- |", *rows]


def _is_public(function: Any) -> bool:
    return not function.name.startswith("_") and "property" not in function.labels


def _signature(function: Any) -> str:
    parameters: list[str] = []
    for parameter in function.parameters:
        if parameter.name in ("self", "cls") or parameter.kind is None:
            continue
        star = {"variadic positional": "*", "variadic keyword": "**"}.get(parameter.kind.value, "")
        annotation = f": {parameter.annotation}" if parameter.annotation else ""
        default = f" = {parameter.default}" if parameter.default is not None and not star else ""
        if parameter.kind is griffe.ParameterKind.keyword_only and "*" not in "".join(p[0] for p in parameters):
            parameters.append("*")
        parameters.append(f"{star}{parameter.name}{annotation}{default}")
    return f"{function.name}({', '.join(parameters)}) -> {function.returns}".replace("'", "")


def _summary(member: Any) -> str:
    text = inspect.cleandoc(member.docstring.value) if member.docstring else ""
    return " ".join(text.split("\n\n")[0].split())


def _first(module: Any) -> str:
    return str(inspect.cleandoc(module.docstring.value)).split("\n\n")[0].replace("\n", " ")


def _code(value: Any) -> str:
    return f"`{str(value).replace('|', chr(92) + '|')}`" if value is not None else ""


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def _commands() -> Iterator[str]:
    yield "# The commands"
    yield ""
    yield "As `ftrun COMMAND --help` says it, too."
    for name in COMMANDS:
        yield from _command(f"ftrun {name}", importlib.import_module(f"ftrun.cli.{name}").command)


def _command(path: str, command: click.Command) -> Iterator[str]:
    context = click.Context(command, info_name=path)
    usage = " ".join(piece for piece in command.collect_usage_pieces(context) if piece)
    yield from ["", f"## {path}", "", f"`{path} {usage}`", "", *_help(command)]
    options = [option.get_help_record(context) for option in command.get_params(context)]
    rows = [f"| `{_cell(record[0])}` | {_cell(record[1])} |" for record in options if record and record[1]]
    yield from ["", "| option | what it does |", "| --- | --- |", *rows]
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            found = command.get_command(context, name)
            assert found is not None
            yield from _command(f"{path} {name}", found)


def _help(command: click.Command) -> Iterator[str]:
    for paragraph in inspect.cleandoc(command.help or "").split("\n\n"):
        if paragraph.startswith("\b"):
            yield from ["```text", paragraph.removeprefix("\b").strip("\n"), "```", ""]
        else:
            yield from [" ".join(paragraph.split()), ""]


def _file() -> Iterator[str]:
    catalogue = load_catalogue(Choice(only=frozenset()))
    yield from [
        "# The file",
        "",
        "As `ftrun describe` says it, too, which knows the parts of other packages as well. A file chooses a part by",
        '`use = "NAME"`, or `use = "PACKAGE:NAME"`, such as `ftrun:f1`, where two packages offer one so called.',
        "",
    ]
    yield from _described_keys("The top level", describe(catalogue, "experiment", None))
    for table in ("training", "tracking", "push"):
        yield from _described_keys(f"[{table}]", describe(catalogue, table, None))
    for kind in KINDS:
        for offers in catalogue.offers(kind).values():
            found = of_component(catalogue, offers[0])
            yield from _described_keys(f"{kind} `{found.name}`", found)
    yield from ["## What `[training]` refuses", "", "Keys of TrainingArguments that mean nothing here.", ""]
    yield from ["| key | why |", "| --- | --- |"]
    yield from (f"| `{key}` | {_cell(f'{refusal.reason}. {refusal.instead}')} |" for key, refusal in NOT_TAKEN.items())


def _described_keys(heading: str, found: Description) -> Iterator[str]:
    yield from [f"## {heading}", "", f"{found.summary}.", "", "```toml", found.toml.rstrip(), "```", ""]
    if found.keys:
        yield from ["| key | holds | default | what it is |", "| --- | --- | --- | --- |"]
    for key in found.keys:
        default = "*required*" if key.required else _code(key.default)
        yield f"| `{key.name}` | {_cell(key.type)} | {default} | {_cell(key.description)} |"
    yield ""


if __name__ == "__main__":
    made = pages()
    if "--check" in sys.argv:
        old = [page for page, text in made.items() if FOLDER.joinpath(page).read_text(encoding="utf-8") != text]
        sys.exit(f"not as the code is, so `make reference` is due: {', '.join(old)}" if old else 0)
    for page, text in made.items():
        FOLDER.joinpath(page).write_text(text, encoding="utf-8")
