"""`ftrun new`: what to start from."""

from __future__ import annotations

from pathlib import Path

import pytest
from helpers import Ftrun


def test_a_package_is_written_and_what_to_do_next_is_said(workdir: Path, ftrun_command: Ftrun) -> None:
    done = ftrun_command("new", "plugin", "ftrun-kappa", "--kind", "metric")
    assert done.returncode == 0 and done.stdout == ""
    assert (workdir / "ftrun-kappa/src/ftrun_kappa/metric.py").is_file()
    assert "ftrun-kappa/tests/test_metric.py" in done.stderr and "pip install --editable" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["plugin", "class", "--kind", "metric"], "ftrun-class"),
        (["plugin", "mine"], "--kind"),
        (["plugin", "mine", "--kind", "metrics"], "'metric'"),
        (["plugin", "mine", "--kind", "metric", "--folder", "full"], "not empty"),
        (["plugn", "mine"], "plugin"),
    ],
)
def test_what_will_not_do_is_told_in_a_sentence(
    arguments: list[str], told: str, workdir: Path, ftrun_command: Ftrun
) -> None:
    (workdir / "full").mkdir()
    (workdir / "full/mine.txt").touch()
    done = ftrun_command("new", *arguments)
    assert done.returncode == 2 and told in done.stderr and "Traceback" not in done.stderr
