"""What a module imports is told with the line that asks for it."""

from __future__ import annotations

from pathlib import Path

import pytest
from ftrun.testing.lightness import heavy_imports


def test_the_line_that_imports_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for package in ("datasets", "evaluate"):  # not the real ones, which take their time
        (tmp_path / f"{package}.py").write_text("")
    (tmp_path / "inner_module.py").write_text("import json\nimport datasets\n")
    (tmp_path / "outer_module.py").write_text("import inner_module\n\n\ndef build():\n    import evaluate\n")
    monkeypatch.syspath_prepend(tmp_path)
    assert heavy_imports("outer_module") == {"datasets": f"{tmp_path / 'inner_module.py'}, line 2"}
    with pytest.raises(ImportError, match="No module named 'no_such_module'"):
        heavy_imports("no_such_module")
