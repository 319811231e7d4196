"""A backend of one's own is its step, and a model needs nothing beyond the contract."""

from __future__ import annotations

import inspect
import textwrap
from pathlib import Path
from typing import Any

import ftrun
import ftrun.training
import numpy as np
import pytest
import torch
from ftrun.contracts import Backend, BackendSession, Predictions
from ftrun.planning.catalogue import load_catalogue
from ftrun.settings import RUNNER_KEYS, TrainingSettings
from ftrun.testing import BackendSuite
from helpers import BACKENDS, died_after, journal_of, points_of, run, slow, weights_of
from plain import Parts, Told

SAVING = {"training.save_strategy": "steps", "training.save_steps": 1}


def sgd_backend() -> str:
    """The example in the documentation of `ftrun.training`, as it stands there."""
    documentation = inspect.getdoc(ftrun.training) or ""
    example = documentation[
        documentation.index("    from ftrun import hookimpl") : documentation.index("The order of calls")
    ]
    return textwrap.dedent(example)


def sgd_component() -> Backend:
    """The backend that the example offers."""
    namespace: dict[str, Any] = {"__name__": "sgd"}
    exec(sgd_backend(), namespace)
    (backend,) = namespace["ftrun_backends"]()
    return backend


@pytest.mark.slow
class TestSgd(BackendSuite):
    component = sgd_component()
    training = {"learning_rate": 0.1}
    test_importing_it_is_light = None  # it stands in a documentation, and in no module


def offer(folder: Path, module: str, source: str | None = None) -> Path:
    """A folder in which Python finds a distribution whose plugin is the module."""
    site = folder / "site"
    about = site / f"{module}-1.0.dist-info"
    about.mkdir(parents=True)
    (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {module}\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text(f"[ftrun]\nmain = {module}\n")
    if source:
        (site / f"{module}.py").write_text(source)
    return site


@pytest.fixture
def sgd(workdir: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The backend `sgd` is installed, for this process; the folder where others find it."""
    site = offer(workdir, "sgd", sgd_backend())
    monkeypatch.syspath_prepend(site)
    return site


@pytest.fixture
def bag(workdir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The model and the collator `bag` are installed, for this process."""
    monkeypatch.syspath_prepend(offer(workdir, "plain"))


def test_the_example_is_short_and_says_what_it_obeys(sgd: Path) -> None:
    assert len(sgd_backend().splitlines()) <= 40
    assert all("ftrun" not in line or "ftrun.contracts" in line or "ftrun.training" in line or "hookimpl" in line
               for line in sgd_backend().splitlines() if "import" in line)  # fmt: skip
    backend: Any = load_catalogue().find("backend", "sgd", "backend.use").component
    assert backend.checkpoint_format == "ftrun.training 1"
    assert {"momentum", "optim", "adam_beta1"} & backend.honours == set()
    left = set(TrainingSettings.model_fields) - backend.honours - RUNNER_KEYS
    assert left == {"optim", "optim_args", "adam_beta1", "adam_beta2", "adam_epsilon"}


def test_its_step_is_sgds(sgd: Path, tmp_path: Path) -> None:
    namespace: dict[str, Any] = {}
    exec(sgd_backend(), namespace)
    parts = Parts(tmp_path / "ours", settings={"learning_rate": 0.1, "max_steps": 4, "lr_scheduler_type": "constant"})
    job, told = parts.job(), Told(tmp_path / "ours")
    with namespace["build"](None, job.training) as session:
        torch.manual_seed(1)
        assert session.fit(job, told).completed
    theirs = parts.job()
    optimizer = torch.optim.SGD(theirs.model.parameters(), lr=0.1, momentum=0.9)
    batches = ftrun.training.EpochBatches(22, 8, 2)
    torch.manual_seed(1)
    losses = []
    for epoch in (0, 1):
        batches.set_epoch(epoch)
        for rows in batches:
            if len(losses) < 4:
                loss = theirs.model(**theirs.collate([theirs.train[row] for row in rows])).loss
                loss.backward()
                torch.nn.utils.clip_grad_norm_(theirs.model.parameters(), 1.0)
                optimizer.step()
                optimizer.zero_grad()
                losses.append(loss.item())
    assert told.losses == losses
    for ours, other in zip(job.model.parameters(), theirs.model.parameters(), strict=True):
        assert torch.equal(ours, other)


def test_it_counts_the_batch_and_not_how_it_is_cut(tiny: Path, sgd: Path) -> None:
    curves = []
    for size in (8, 4):
        cut = {"training.per_device_train_batch_size": size, "training.gradient_accumulation_steps": 8 // size}
        settings = {"backend.use": "sgd", "model.dropout": 0.0, "training.eval_strategy": "no", **cut}
        curves.append(points_of(run(tiny, settings).run_folder))
    training = [{key: value for key, value in curve.items() if "eval" not in key[0]} for curve in curves]
    assert training[1] == pytest.approx(training[0], rel=1e-5, abs=1e-7) and len(training[0]) == 4 * 12


PLAIN = {"model": {"use": "bag"}, "collator": {"use": "bag"}, "training.learning_rate": 0.05, **SAVING}
BEST = {
    "training.eval_strategy": "steps",
    "training.eval_steps": 2,
    "training.load_best_model_at_end": True,
    "training.metric_for_best_model": "loss",
    "training.gradient_accumulation_steps": 2,
    "training.per_device_train_batch_size": 3,
}


@pytest.mark.parametrize("bf16", [slow(False), slow(True)])
def test_a_plain_module_trains_takes_the_best_and_resumes_on_one_curve(tiny: Path, bag: None, bf16: bool) -> None:
    settings = {**PLAIN, **BEST, "training.bf16": bf16}
    first, *others = [run(tiny, {**settings, "backend.use": backend}) for backend in BACKENDS]
    (told,) = [r["tags"] for r in journal_of(first.run_folder) if "ftrun.model_step" in r.get("tags", {})]
    best = int(told["ftrun.model_step"])
    assert 0 < best < first.steps  # so that the best is read back
    for other in others:
        assert points_of(other.run_folder) == points_of(first.run_folder)
        assert weights_of(other.run_folder) == weights_of(first.run_folder)
    for index, step in enumerate((3, best, first.steps)):
        folder = died_after(first.run_folder, step, f"died-after-{step}-{index}")
        checkpoint = folder / "checkpoints" / f"checkpoint-{step}"
        assert "seen" in torch.load(checkpoint / "state_dict.pt", weights_only=True)
        resumed = ftrun.resume(folder, backend=BACKENDS[index], progress=False)
        assert resumed.status == "FINISHED", (resumed.error, (folder / "log.txt").read_text())
        assert points_of(folder) == points_of(first.run_folder)
        assert weights_of(folder) == weights_of(first.run_folder)
    assert sorted(path.name for path in (first.run_folder / "model").iterdir()) == ["model.safetensors"]


def session_of(backend: str, training: TrainingSettings) -> BackendSession:
    component: Any = load_catalogue().find("backend", backend, "backend.use").component
    session: BackendSession = component.build(None, training)
    return session


@pytest.mark.parametrize("kind", ["classification", "multi_label", "token_classification"])
@pytest.mark.parametrize("bf16", [slow(False), True])
def test_what_is_predicted_is_what_an_evaluation_gives_on_every_backend(tmp_path: Path, kind: str, bf16: bool) -> None:
    results = []
    for backend in BACKENDS:
        settings = {"bf16": bf16, "per_device_eval_batch_size": 5, "label_smoothing_factor": 0.0}
        parts = Parts(tmp_path / backend, kind, settings=settings)
        job = parts.job()
        with session_of(backend, job.training) as session:
            session.seed(1)
            before = session.predict(job, job.evaluation["validation"])
            generators = torch.get_rng_state()
            fit = session.fit(job, Told(parts.folder))
            generators = torch.get_rng_state()
            after = session.predict(job, job.evaluation["validation"])
            bare = session.predict(job, [{"words": row["words"]} for row in parts.encoded(13)])
            assert torch.equal(generators, torch.get_rng_state())
        assert_same(after, fit.predictions["validation"])
        assert after.kind == kind and not np.array_equal(before.logits, after.logits)
        assert bare.labels is None and bare.loss is None and np.array_equal(bare.logits, after.logits)
        assert job.model.config == {"words": 9}
        results.append(after)
    for other in results[1:]:
        assert_same(other, results[0])


def assert_same(one: Predictions, other: Predictions) -> None:
    assert np.array_equal(one.logits, other.logits) and np.array_equal(one.labels, other.labels)
    assert (one.loss, one.kind) == (other.loss, other.kind)


OBJECTIVES: dict[str, tuple[str, dict[str, Any], list[float] | None]] = {
    "a label at each place": ("token_classification", {}, None),
    "any number of classes a row": ("multi_label", {}, None),
    "weights": ("classification", {}, [0.2, 1.0, 3.0]),
    "smoothing": ("classification", {"label_smoothing_factor": 0.2}, None),
    "weights, smoothing, places": ("token_classification", {"label_smoothing_factor": 0.2}, [0.2, 1.0, 3.0]),
    "bfloat16": ("token_classification", {"bf16": True, "label_smoothing_factor": 0.1}, [0.2, 1.0, 3.0]),
}


@pytest.mark.parametrize(
    ("kind", "settings", "weights"),
    [
        pytest.param(*case, id=name, marks=[] if name == "weights, smoothing, places" else [pytest.mark.slow])
        for name, case in OBJECTIVES.items()
    ],
)
def test_every_objective_gives_one_curve_and_the_batch_is_what_counts(
    tmp_path: Path, kind: str, settings: dict[str, Any], weights: list[float] | None
) -> None:
    curves: dict[tuple[str, int], list[float]] = {}
    for backend in BACKENDS:
        for size in (8, 3):
            cut = {"per_device_train_batch_size": size, "gradient_accumulation_steps": 8 // size, **settings}
            if size == 3:
                cut |= {"per_device_train_batch_size": 2, "gradient_accumulation_steps": 4}
            folder = tmp_path / f"{backend}-{size}"
            job = Parts(folder, kind, settings=cut, given={"class_weights": weights}).job()
            for module in job.model.modules():
                if isinstance(module, torch.nn.Dropout):
                    module.p = 0.0
            told = Told(folder)
            with session_of(backend, job.training) as session:
                session.seed(1)
                fit = session.fit(job, told)
            curves[backend, size] = [
                *told.losses,
                *[float(report.grad_norm) for report in told.steps],
                fit.metrics["eval/loss"],
            ]
    for size in (8, 3):
        assert curves["trainer", size] == curves["accelerate", size] == curves["loop", size]
    assert curves["loop", 3] == pytest.approx(curves["loop", 8], rel=2e-2 if settings.get("bf16") else 1e-4)


@pytest.mark.slow
def test_weights_and_smoothing_of_a_file_reach_every_backend(tiny: Path) -> None:
    asked = {"training.class_weights": "balanced", "training.label_smoothing_factor": 0.1}
    first, *others = [run(tiny, {**asked, "backend.use": backend}) for backend in BACKENDS]
    for other in others:
        assert points_of(other.run_folder) == points_of(first.run_folder)
        assert weights_of(other.run_folder) == weights_of(first.run_folder)
    alike = {"training.class_weights": [1, 1]}
    same, plainly = [points_of(run(tiny, overrides).run_folder) for overrides in (alike, {})]
    assert same == pytest.approx(plainly, rel=1e-4, abs=1e-6)
    assert points_of(first.run_folder)["train/loss", 1] != plainly["train/loss", 1]
    with pytest.raises(ftrun.ExperimentError, match=r"training\.class_weights: there are 3 weights for 2 classes"):
        ftrun.run(tiny, overrides={"training.class_weights": [1, 1, 1]}, progress=False)
