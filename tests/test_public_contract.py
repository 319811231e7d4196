"""What plugins and programs count on does not change by accident, and never without its version."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import public_contract
from ftrun.contracts import CONTRACT_VERSION
from helpers import PROJECT

TO_RECORD = "If that is meant, raise the {} number of CONTRACT_VERSION in runner/ftrun/contracts/components.py (docs/contract.md says when), and record it: python tests/public_contract.py"


def test_the_contract_is_as_it_is_recorded() -> None:
    now, then = public_contract.lines(), public_contract.recorded()
    gone = [f"- {line}" for line in then if line not in now]
    new = [f"+ {line}" for line in now if line not in then]
    number = "first (or the second, if every plugin of before still works)" if gone else "second"
    assert now == then, "\n".join(["the public contract has changed:", *gone, *new, TO_RECORD.format(number)])


def test_the_record_is_of_this_version() -> None:
    assert public_contract.recorded()[0] == f"contract {CONTRACT_VERSION}"


def test_the_built_in_plugins_have_no_name_that_others_have_not() -> None:
    listed = public_contract.recorded()
    for file in (PROJECT / "plugins").rglob("*.py"):
        for module, name in _imported(file):
            if module in public_contract.MODULES and f"{module}.{name}" not in public_contract.MODULES:
                assert any(re.match(rf"{re.escape(f'{module}.{name}')}\W", line) for line in listed), (
                    f"{file}: {module}.{name}"
                )


def _imported(file: Path) -> list[tuple[str, str]]:
    nodes = [node for node in ast.walk(ast.parse(file.read_text())) if isinstance(node, ast.ImportFrom)]
    return [(node.module or "", alias.name) for node in nodes for alias in node.names]


def test_what_the_document_says_is_there() -> None:
    document = (PROJECT / "docs" / "contract.md").read_text()
    assert f'ftrun_contract = "{CONTRACT_VERSION}"' in document
    for module in public_contract.MODULES:
        assert f"`{module}`" in document
