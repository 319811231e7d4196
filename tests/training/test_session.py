"""A session leaves the process as it found it, and what it asks for holds while it goes on."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
import torch
from ftrun.contracts import FitResult, Job, Reporter
from ftrun.errors import ExperimentError
from ftrun.settings import TrainingSettings
from ftrun.training import TorchSession, predict, session
from helpers import BACKENDS, run
from plain import Parts


@pytest.mark.slow
def test_full_determinism_holds_while_a_run_goes_on(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import ftrun.training.fitting as fitting

    monkeypatch.delenv("CUBLAS_WORKSPACE_CONFIG", raising=False)
    seen = []

    def write(*arguments: Any) -> None:
        seen.append((torch.are_deterministic_algorithms_enabled(), os.environ.get("CUBLAS_WORKSPACE_CONFIG")))
        write_checkpoint(*arguments)

    write_checkpoint = fitting.write_checkpoint
    monkeypatch.setattr(fitting, "write_checkpoint", write)
    for backend in BACKENDS:
        for asked in (True, False):
            asking = {"training.full_determinism": asked, "backend.use": backend}
            run(tiny, {**asking, "training.max_steps": 1, "training.save_strategy": "epoch"})
            assert seen.pop() == ((True, ":4096:8") if asked else (False, None))


class Predicting(TorchSession):
    def fit(self, job: Job, reporter: Reporter) -> FitResult:
        raise NotImplementedError


@pytest.mark.parametrize("bf16", [False, True])
def test_it_predicts_in_its_own_precision(tmp_path: Path, bf16: bool) -> None:
    parts = Parts(tmp_path)
    job = parts.job()
    with Predicting(TrainingSettings(device="cpu", bf16=bf16)) as session:
        assert session.environment()["precision"] == ("bfloat16" if bf16 else "float32")
        told = session.predict(job, parts.encoded(13))
    exact = predict(job, parts.encoded(13), lambda batch: job.model(**batch))
    assert (told.logits == exact.logits).all() == (not bf16)
    assert abs(told.logits - exact.logits).max() < 0.05


def test_there_is_no_memory_of_a_gpu_to_give_back_on_a_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session, "_best_device", lambda: "cpu")
    with pytest.raises(ExperimentError, match=r"training\.torch_empty_cache_steps: there is no memory of a GPU"):
        Predicting(TrainingSettings(torch_empty_cache_steps=10))


def test_generators_are_left_as_they_were() -> None:
    torch.manual_seed(3)
    before = torch.get_rng_state()
    with Predicting(TrainingSettings(device="cpu")) as session:
        session.seed(1)
        first = torch.rand(3)
        session.seed(1)
        assert torch.equal(torch.rand(3), first)
    assert torch.equal(torch.get_rng_state(), before)


def test_a_device_that_is_not_there_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ExperimentError, match='there is no "cuda" on this machine'):
        Predicting(TrainingSettings(device="cuda"))


def test_float16_is_refused_where_there_is_none() -> None:
    with pytest.raises(ExperimentError, match=r'training\.fp16: float16 is trained in on CUDA alone, and .* is "cpu"'):
        Predicting(TrainingSettings(device="cpu", fp16=True))


def test_tf32_is_refused_where_there_is_none_and_is_the_sessions_alone() -> None:
    from ftrun.training.session import _tf32

    with pytest.raises(ExperimentError, match=r'training\.tf32: there is no TF32 on a "cpu"'):
        Predicting(TrainingSettings(device="cpu").model_copy(update={"tf32": True}))
    places: Any = (torch.backends.cuda.matmul, torch.backends.cudnn.conv)
    before = [place.fp32_precision for place in places]
    for asked, told in ((True, "tf32"), (False, "ieee")):
        with _tf32(asked):
            assert [place.fp32_precision for place in places] == [told, told]
        assert [place.fp32_precision for place in places] == before


def test_a_compiled_models_predictions_are_those_of_the_model(tmp_path: Path) -> None:
    parts = Parts(tmp_path, settings={"torch_compile": True, "torch_compile_backend": "eager"})
    job = parts.job()
    with Predicting(job.training) as session:
        compiled = session.predict(job, parts.encoded(9))
    plain = Parts(tmp_path).job()
    with Predicting(plain.training) as session:
        assert (session.predict(plain, parts.encoded(9)).logits == compiled.logits).all()
