"""Every record reads as it was written; what was written before there was a format is read, resumed and delivered."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import ftrun
import pytest
from ftrun.errors import RunError
from ftrun.runs.folder import RunFolder
from ftrun.runs.history import read_history
from ftrun.runs.journal import Journal, read_journal
from ftrun.runs.killed import mark_if_killed
from ftrun.runs.records import (
    FORMAT,
    ArtifactRecord,
    CheckpointRecord,
    DatasetRecord,
    DifferingRecord,
    EndRecord,
    Entry,
    MeasuredRecord,
    MetricsRecord,
    ModelRecord,
    Record,
    ResumedRecord,
    RunRecord,
    TagsRecord,
    UnknownRecord,
    decode,
    encode,
)
from helpers import Ftrun, curves, died_after, journal_of, points_of, weights_of
from hypothesis import given
from hypothesis import strategies as st

TEXTS = st.text(st.characters(codec="utf-8", exclude_characters="/:%=?@"))  # no URI, whose secrets are hidden
TABLES = st.dictionaries(TEXTS, TEXTS)
STEPS = st.integers(0)
VALUES = st.dictionaries(TEXTS, st.floats(allow_nan=False))
RECORDS = st.one_of(
    st.builds(RunRecord, TEXTS, TABLES, TABLES),
    st.builds(ResumedRecord, STEPS, TEXTS, TABLES, st.booleans(), st.booleans()),
    st.builds(TagsRecord, TABLES),
    st.builds(DatasetRecord, TEXTS, TEXTS, TEXTS, TEXTS, STEPS, st.lists(TEXTS), TEXTS, st.none() | TEXTS),
    st.builds(ArtifactRecord, TEXTS),
    st.builds(MetricsRecord, STEPS, VALUES),
    st.builds(
        ModelRecord,
        TEXTS,
        st.none() | STEPS,
        TEXTS,
        st.lists(TEXTS),
        st.none() | STEPS,
        TEXTS,
        TEXTS,
        TABLES,
        st.lists(TEXTS),
    ),
    st.builds(MeasuredRecord, STEPS, VALUES),
    st.builds(DifferingRecord, STEPS, VALUES),
    st.builds(CheckpointRecord, STEPS, TEXTS),
    st.builds(EndRecord, st.sampled_from(["FINISHED", "FAILED", "KILLED"])),
)

BEFORE = """\
{"type": "run", "time": 1795622288998, "experiment_name": "tiny", "params": {"name": "tiny", "seed": "1"}, "tags": TAGS}
{"type": "artifact", "time": 1795622288999, "path": "experiment.toml"}
{"type": "dataset", "time": 1795622288999, "name": "ftrun-sample/train", "source": "package:ftrun_plugins/datasets/sample_data", "digest": "DIGEST", "split": "train", "rows": 44, "columns": ["sentence1", "sentence2", "label", "idx"], "context": "training"}
{"type": "dataset", "time": 1795622289000, "name": "ftrun-sample/validation", "source": "package:ftrun_plugins/datasets/sample_data", "digest": "DIGEST", "split": "validation", "rows": 20, "columns": ["sentence1", "sentence2", "label", "idx"], "context": "evaluation"}
{"type": "metrics", "time": 1795622289022, "step": 1, "values": {"train/loss": 0.6938565969467163, "train/learning_rate": 0.001, "train/grad_norm": 0.22808150947093964, "epoch": 0.18181818181818182}}
{"type": "checkpoint", "time": 1795622289112, "step": 1, "folder": "checkpoint-1"}
{"type": "resumed", "time": 1795622289113, "step": 1, "experiment": "experiment.toml", "tags": {"ftrun.resumed.1": "from step 1 on loop"}}
{"type": "metrics", "time": 1795622289142, "step": 2, "values": {"train/loss": 0.6938722729682922, "train/learning_rate": 0.0009166666666666666, "train/grad_norm": "inf", "epoch": 0.36363636363636365}}
{"type": "differing", "time": 1795622289142, "step": 1, "values": {"train/loss": "nan"}}
{"type": "checkpoint", "time": 1795622289150, "step": 2, "folder": "checkpoint-2"}
{"type": "tags", "time": 1795622289205, "tags": {"ftrun.error": "killed outright, after step 2"}}
{"type": "end", "time": 1795622289218, "status": "KILLED"}
"""
"""A journal as it was written before there was a format, but for what depends on the machine."""


@given(RECORDS, st.integers(0))
def test_a_record_reads_as_it_was_written(record: Record, time: int) -> None:
    line = encode(record, time)
    assert line.count(b"\n") == 1 and line.endswith(b"\n")
    assert decode(line) == Entry(time, record)
    facts = json.loads(line)
    assert list(facts)[:3] == ["type", "format", "time"] and facts["format"] == FORMAT
    assert facts["type"] == type(record).__name__.removesuffix("Record").lower()


def test_secrets_are_not_written(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "hunter2-hunter2")
    line = encode(TagsRecord({"ftrun.error": "http://me:secret@host/ and hunter2-hunter2"}), 1)
    assert decode(line).record == TagsRecord({"ftrun.error": "http://***@host/ and ***"})


def test_what_was_written_before_there_was_a_format_is_read(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    folder.journal.write_text(BEFORE.replace("TAGS", '{"ftrun.backend": "loop"}'))
    history = read_history(folder)
    assert (history.status, history.last_step, history.resumed) == ("KILLED", 2, 1)
    assert (history.experiment, history.best_counts_after) == ("experiment.toml", 0)
    assert history.tags == {"ftrun.backend": "loop", "ftrun.resumed.1": "from step 1 on loop"}
    assert [(data.split, data.rows, data.digest) for data in history.datasets] == [
        ("train", 44, "DIGEST"),
        ("validation", 20, "DIGEST"),
    ]
    entries = [entry for entry, _ in read_journal(folder.journal)]
    assert entries[0] == Entry(
        1795622288998, RunRecord("tiny", {"name": "tiny", "seed": "1"}, {"ftrun.backend": "loop"})
    )
    (infinite,) = [
        entry.record for entry in entries if isinstance(entry.record, MetricsRecord) and entry.record.step == 2
    ]
    assert infinite.values["train/grad_norm"] == math.inf


@pytest.mark.slow
@pytest.mark.usefixtures("store")
def test_a_run_begun_before_there_was_a_format_goes_on_and_is_delivered(tiny: Path) -> None:
    import mlflow

    saving = {"training.save_strategy": "steps", "training.save_steps": 1}
    undisturbed = ftrun.run(tiny, overrides=saving, progress=False)
    folder = died_after(undisturbed.run_folder, 2, "tiny-begun-before")
    records = journal_of(folder)
    tags = json.dumps({**records[0]["tags"], "ftrun.run": folder.name})
    digest = next(record["digest"] for record in records if record["type"] == "dataset")
    before = BEFORE.replace("TAGS", tags).replace("DIGEST", digest)
    (folder / "journal.jsonl").write_text(before)
    told = points_of(folder)

    result = ftrun.resume(folder, overrides={"tracking.enabled": True}, progress=False)
    assert result.status == "FINISHED", result.error
    journal = (folder / "journal.jsonl").read_text()
    assert journal.startswith(before)
    added = journal_of(folder)[before.count("\n") :]
    assert {record["format"] for record in added} == {FORMAT}
    assert not [record for record in added if record["type"] == "differing"]
    assert points_of(folder) == {**points_of(undisturbed.run_folder), **told}
    assert weights_of(folder) == weights_of(undisturbed.run_folder)

    client = mlflow.MlflowClient(f"sqlite:///{tiny.parent / 'mlflow.db'}")
    run = client.get_run(result.run_id)
    history = [point for key in curves(run.data.metrics) for point in client.get_metric_history(result.run_id, key)]
    assert {(point.key, point.step) for point in history} == set(points_of(folder))
    assert len(history) == len(points_of(folder))
    assert run.info.status == "FINISHED" and len(run.inputs.dataset_inputs) == 2


def test_a_kind_and_an_attribute_that_are_not_known_are_passed_over(tmp_path: Path) -> None:
    lines = [
        '{"type": "run", "format": 1, "time": 1, "experiment_name": "x", "params": {}, "tags": {"a": "b"}, "more": [1]}',
        '{"type": "sample", "format": 1, "time": 2, "text": "of a later version"}',
        '{"type": "end", "format": 1, "time": 3, "status": "FINISHED"}',
    ]
    folder = RunFolder(tmp_path)
    folder.journal.write_text("\n".join(lines) + "\n")
    assert [entry.record for entry, _ in read_journal(folder.journal)] == [
        RunRecord("x", {}, {"a": "b"}),
        UnknownRecord("sample"),
        EndRecord("FINISHED"),
    ]
    assert read_history(folder).status == "FINISHED"
    journal = Journal(folder.journal)
    journal.append(EndRecord("KILLED"))
    journal.close()
    assert folder.journal.read_text().startswith("\n".join(lines))


@pytest.mark.parametrize(
    "line",
    [
        *(b"", b"[]", b"5", b"null", b"{}", b'"run"', b"{torn", b"\0\0", b"\xff", b'{"type": "end", "time": 1}'),
        b'{"type": "end", "status": "KILLED"}',
        b'{"type": "metrics", "time": 1, "step": 1, "values": {"loss": "low"}}',
        b'{"type": "metrics", "time": 1, "step": 1, "values": [0.5]}',
        b'{"type": "end", "format": "one", "time": 1, "status": "KILLED"}',
    ],
)
def test_a_line_that_holds_no_record_is_damaged(line: bytes) -> None:
    with pytest.raises(ValueError):
        decode(line + b"\n")


def test_a_journal_of_a_newer_format_is_refused(workdir: Path, ftrun_command: Ftrun) -> None:
    folder = RunFolder(workdir / "runs" / "newer")
    folder.path.mkdir(parents=True)
    folder.experiment.write_text('name = "newer"\n')
    line = encode(CheckpointRecord(1, "checkpoint-1"), 1)
    content = line + line.replace(b'"format": 1', b'"format": 2')
    folder.journal.write_bytes(content)
    told = (
        f"the journal {folder.journal} cannot be read: it has format 2, and this version of ftrun reads up to format 1"
    )
    for read in (
        lambda: list(read_journal(folder.journal)),
        lambda: read_history(folder),
        lambda: Journal(folder.journal),
    ):
        with pytest.raises(RunError) as refused:
            read()
        assert str(refused.value) == told
    assert mark_if_killed(folder) is False
    for command in ("sync", "resume"):
        done = ftrun_command(command, "newer")
        assert done.returncode == 1 and told in done.stderr and "Traceback" not in done.stderr
    assert ftrun_command("sync").returncode == 1
    assert folder.journal.read_bytes() == content


def test_a_number_that_json_has_not_is_the_same_when_it_is_repeated(tmp_path: Path) -> None:
    for _ in range(2):
        journal = Journal(tmp_path / "j")
        for value in (math.nan, math.inf):
            journal.metrics(1, {f"at {value}": value})
        assert journal.differing == []
        journal.close()
    (first, _), (second, _) = read_journal(tmp_path / "j")
    assert isinstance(first.record, MetricsRecord) and math.isnan(first.record.values["at nan"])
    assert replace(second.record, step=2) == MetricsRecord(2, {"at inf": math.inf})
