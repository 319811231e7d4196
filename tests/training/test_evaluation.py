"""Predicting: every row in its order, whatever its labels are, and nothing left behind."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from ftrun.contracts import Predictions
from ftrun.training import metrics_of, predict
from plain import Parts

KINDS = ("classification", "multi_label", "token_classification")


def predicted(parts: Parts, rows: Any = None) -> Predictions:
    job = parts.job()
    return predict(job, parts.encoded(13) if rows is None else rows, lambda batch: job.model(**batch))


@pytest.mark.parametrize("kind", KINDS)
def test_rows_come_out_in_their_order_however_they_are_cut(tmp_path: Path, kind: str) -> None:
    whole, cut = [predicted(Parts(tmp_path, kind, settings={"per_device_eval_batch_size": size})) for size in (13, 3)]
    assert whole.kind == cut.kind == kind
    assert (whole.labels == cut.labels).all() and whole.labels.dtype == cut.labels.dtype == np.int64
    assert whole.loss == pytest.approx(cut.loss)
    assert whole.logits.dtype == np.float32 and whole.logits.shape == cut.logits.shape
    there = np.ones(13, bool) if kind != "token_classification" else whole.labels != -100
    np.testing.assert_allclose(whole.logits[there], cut.logits[there], rtol=1e-5, atol=1e-6)


def test_places_that_a_row_lacks_are_filled_up(tmp_path: Path) -> None:
    told = predicted(Parts(tmp_path, "token_classification", settings={"per_device_eval_batch_size": 1}))
    assert told.logits.shape == (13, 5, 3) and told.labels.shape == told.values.shape == (13, 5)
    for row in range(13):
        places = 1 + row % 5
        assert (told.logits[row, :places] != 0).all() and not told.logits[row, places:].any()
        assert (told.labels[row, places:] == -100).all()


def test_any_number_of_classes_a_row_is_said(tmp_path: Path) -> None:
    told = predicted(Parts(tmp_path, "multi_label"))
    assert told.labels.tolist()[:4] == [[0, 0, 0], [1, 0, 0], [0, 1, 0], [1, 1, 0]]
    assert told.values.shape == told.labels.shape and (told.values == (told.logits >= 0)).all()


@pytest.mark.parametrize("kind", KINDS)
def test_rows_without_labels_have_neither_labels_nor_a_loss(tmp_path: Path, kind: str) -> None:
    parts = Parts(tmp_path, kind)
    bare = predicted(parts, [{"words": row["words"]} for row in parts.encoded(13)])
    assert bare.labels is None and bare.loss is None
    assert np.array_equal(bare.logits, predicted(parts).logits)
    assert metrics_of({"test": bare}, [lambda told: {"rows": len(told.logits)}]) == {"eval/rows": 13.0}


def test_what_is_behind_is_told_by_rows_whatever_else_a_batch_holds(tmp_path: Path) -> None:
    parts, told = Parts(tmp_path, settings={"per_device_eval_batch_size": 5}), []
    job = parts.job()

    def collate(rows: Any) -> Any:
        return {"share": torch.tensor(0.5), "flat": torch.zeros(99), "words": job.collate(rows)["words"]}

    bare = [{"words": row["words"]} for row in parts.encoded(13)]
    forward = job.model
    predict(
        dataclasses.replace(job, collate=collate),
        bare,
        lambda batch: forward(words=batch["words"]),
        lambda done, total: told.append((done, total)),
    )
    assert told == [(5, 13), (10, 13), (13, 13)]


def test_the_loss_is_the_objectives(tmp_path: Path) -> None:
    plain = predicted(Parts(tmp_path))
    given = {"class_weights": [1.0, 2.0, 0.5]}
    told = predicted(Parts(tmp_path, settings={"label_smoothing_factor": 0.2}, given=given))
    torchs = torch.nn.functional.cross_entropy(
        torch.from_numpy(plain.logits),
        torch.from_numpy(plain.labels),
        torch.tensor([1.0, 2.0, 0.5]),
        label_smoothing=0.2,
    )
    assert told.loss == pytest.approx(float(torchs)) and told.loss != pytest.approx(plain.loss, rel=0.01)


def test_nothing_is_left_behind(tmp_path: Path) -> None:
    parts = Parts(tmp_path)
    job = parts.job()
    seen: list[tuple[int, int]] = []
    for mode in (True, False):
        job.model.train(mode)
        generators = torch.get_rng_state()
        weights = {name: value.clone() for name, value in job.model.state_dict().items()}
        told = predict(job, parts.encoded(13), lambda batch: job.model(**batch), lambda *far: seen.append(far))
        assert job.model.training is mode and torch.equal(generators, torch.get_rng_state())
        assert all(torch.equal(value, weights[name]) for name, value in job.model.state_dict().items())
        assert not isinstance(told.logits, torch.Tensor)
    assert seen == [(8, 13), (13, 13)] * 2


def test_several_splits_are_told_apart(tmp_path: Path) -> None:
    told = predicted(Parts(tmp_path))
    assert set(metrics_of({"a": told, "b": told}, [lambda _: {"f1": 1}])) == {
        "eval/a/loss", "eval/a/f1", "eval/b/loss", "eval/b/f1"
    }  # fmt: skip


def test_a_batch_of_which_no_label_counts_changes_no_loss(tmp_path: Path) -> None:
    parts = Parts(tmp_path, "token_classification", settings={"per_device_eval_batch_size": 2})
    rows = parts.encoded(4)
    nothing = [{"words": [1, 2], "labels": [-100, -100]}] * 2
    assert predicted(parts, nothing + rows).loss == predicted(parts, rows).loss
    assert np.isnan(predicted(parts, nothing).loss)
