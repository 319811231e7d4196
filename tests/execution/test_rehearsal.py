"""What would end a run at its first evaluation or checkpoint is told before anything is trained."""

from __future__ import annotations

import errno
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import ftrun
import marks
import numpy
import pytest
import torch
from click.testing import CliRunner
from ftrun.cli import group
from ftrun.contracts import BuiltModel, Predictions
from ftrun.errors import ExperimentError, Problem
from ftrun.execution.outcome import Outcome
from ftrun.execution.rehearsal import varied
from ftrun.execution.watcher import Watcher
from ftrun.training import TorchSession
from ftrun_plugins.backends.loop import LoopSession
from helpers import journal_of
from their_parts import Parity, built, hits, rows, run, splits

THEIR = "of their-package 3"


class Heard(Watcher):
    def __init__(self) -> None:
        self.notices: list[str] = []

    def notice(self, sentence: str) -> None:
        self.notices.append(sentence)


def refused(outcome: Outcome) -> str:
    """What ended a run before anything was trained."""
    assert outcome.result.status == "FAILED" and outcome.problem, outcome.result.error
    assert not [record for record in journal_of(outcome.result.run_folder) if record["type"] == "metrics"]
    return str(outcome.problem)


def raising(error: Exception, where: Callable[[Predictions], bool] = lambda predictions: True) -> Any:
    def evaluate(predictions: Predictions) -> Mapping[str, float]:
        if where(predictions):
            raise error
        return hits(predictions)

    return lambda settings, task: evaluate


@pytest.mark.parametrize(
    "error", [TypeError("unsupported"), KeyError("f1"), AttributeError("softmax"), RuntimeError("sizes"), OSError("?")]
)
def test_a_metric_whose_code_is_at_fault_is_refused(
    error: Exception, workdir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = refused(run({"metric": raising(error)}, workdir, monkeypatch))
    assert f'metrics[0]: the metric "hits" {THEIR} raised {type(error).__name__}: ' in told
    assert "on 10 rows of validation before any training" in told and "NaN" in told


def test_a_metric_that_writes_into_predictions_is_refused(workdir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def evaluate(predictions: Predictions) -> Mapping[str, float]:
        predictions.logits[:] = 0
        return hits(predictions)

    told = refused(run({"metric": lambda settings, task: evaluate}, workdir, monkeypatch))
    assert f'metrics[0]: the metric "hits" {THEIR} writes into the predictions' in told and "Copy" in told


def averaging(settings: Any, task: Any) -> Any:
    told: list[float] = []

    def evaluate(predictions: Predictions) -> Mapping[str, float]:
        told.append(float(len(predictions.logits)))
        return {"hits": sum(told) / len(told)}

    return evaluate


def test_a_metric_with_a_memory_is_told_of(workdir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    heard, seen = Heard(), Heard()
    assert run({"metric": averaging}, workdir, monkeypatch, heard).result.status == "FINISHED"
    marks.look({"metric": averaging}, workdir, monkeypatch, seen)
    for notices in (heard.notices, seen.notices):
        (told,) = [one for one in notices if one.startswith("the metric ")]
        assert told.startswith("the metric hits is ") and "asked of others meanwhile" in told


@pytest.mark.parametrize("error", [ValueError("only one class"), ZeroDivisionError("division by zero")])
def test_what_may_be_for_the_rows_is_told_and_stops_nothing_yet(
    error: Exception, workdir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    heard = Heard()
    outcome = run({"metric": raising(error)}, workdir, monkeypatch, heard)
    (told,) = [sentence for sentence in heard.notices if "hits" in sentence]
    assert f'the metric "hits" {THEIR} raised {type(error).__name__}: {error}' in told
    assert "the run ends there" in told
    assert outcome.result.status == "FAILED" and str(error) in str(outcome.result.error)


def test_a_metric_that_has_no_value_on_a_few_rows_is_tried_on_more(
    workdir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    heard = Heard()
    few = raising(IndexError("only one class"), lambda predictions: len(predictions.labels) < 10)
    assert run({"metric": few}, workdir, monkeypatch, heard).result.status == "FINISHED"
    assert not heard.notices


@pytest.mark.slow
def test_those_are_of_all_classes_where_a_split_begins_with_one(workdir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ordered = rows(lambda number: int(number > 2990), 3000)
    one_class = raising(ValueError("only one class"), lambda predictions: len(set(predictions.labels)) < 2)
    heard = Heard()
    parts = {"dataset": lambda settings: splits(evaluation={"validation": ordered}), "metric": one_class}
    assert run(parts, workdir, monkeypatch, heard).result.status == "FINISHED"
    assert not heard.notices


def test_rows_are_chosen_with_every_label_as_often_as_can_be() -> None:
    assert varied([0, 0, 0, 1, 0, 2], 3) == [0, 3, 5, 1, 2, 4]
    labels = [0] * 500 + [1] * 40
    assert sum(labels[place] for place in varied(labels, 2)) == 32 and len(varied(labels, 2)) == 64
    assert len(varied(list(range(200)), 150)) == 150
    assert varied([[0, 1], [0, 1], [1, 1]], 2) == [0, 2, 1]


class Unsaved(Parity):
    """Does not save itself as it must."""

    error: Exception | None = None

    def save_pretrained(self, folder: Path) -> None:
        if self.error:
            raise self.error


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (TypeError("cannot pickle"), "save_pretrained raised TypeError: cannot pickle"),
        (FileNotFoundError(errno.ENOENT, "no such folder"), "save_pretrained raised FileNotFoundError: "),
        (None, "save_pretrained wrote nothing into the folder that it was given"),
    ],
)
def test_a_model_that_cannot_be_saved_is_refused_before_an_epoch_is_lost(
    error: Exception | None, said: str, workdir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Unsaved, "error", error)
    told = refused(run({"model": lambda s, d: built(model=Unsaved())}, workdir, monkeypatch))
    assert f'model: the model "parity" {THEIR} cannot be saved: {said}' in told
    assert not list(workdir.glob("runs/*/rehearsal-*"))


@pytest.mark.slow
def test_a_model_may_make_its_folder_itself_for_a_backend_that_lets_it(
    workdir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Maker(Parity):
        def save_pretrained(self, folder: Path) -> None:
            Path(folder).mkdir()
            super().save_pretrained(folder)

    assert run({"model": lambda s, d: built(model=Maker())}, workdir, monkeypatch).result.status == "FINISHED"


def test_a_tokenizer_that_cannot_be_saved_is_refused(workdir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Tokenizer:
        def __call__(self) -> None: ...

        def save_pretrained(self, folder: Path) -> None:
            raise AttributeError("no vocabulary")

    told = refused(run({"model": lambda s, d: built(tokenizer=Tokenizer())}, workdir, monkeypatch))
    assert "its tokenizer's save_pretrained raised AttributeError: no vocabulary" in told


def test_a_checkpoint_of_its_own_that_cannot_be_written_is_refused(
    workdir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Adapter(Parity):
        def save_checkpoint(self, folder: Path) -> None:
            raise KeyError("adapter")

        def load_checkpoint(self, folder: Path) -> None: ...

    told = refused(run({"model": lambda s, d: built(model=Adapter())}, workdir, monkeypatch))
    assert "save_checkpoint raised KeyError: 'adapter'" in told


def test_a_full_disk_is_no_fault_of_the_model(workdir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Unsaved, "error", OSError(errno.ENOSPC, "No space left on device"))
    outcome = run({"model": lambda s, d: built(model=Unsaved())}, workdir, monkeypatch)
    assert "no place to save the model in: No space left on device" in str(outcome.problem)


@pytest.mark.slow
def test_what_is_rehearsed_leaves_nothing_behind(workdir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    outcome = run({}, workdir, monkeypatch)
    assert outcome.result.status == "FINISHED" and not list(outcome.result.run_folder.glob("rehearsal-*"))


@pytest.mark.slow
def test_a_librarys_own_way_to_save_is_not_rehearsed(workdir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def save_pretrained(self: Any, folder: Path) -> None:
        Path(folder).mkdir(exist_ok=True)
        (Path(folder) / "model.txt").write_text("parity")
        saved.append(Path(folder))

    saved: list[Path] = []
    save_pretrained.__module__ = "transformers.modeling_utils"
    model = type("Large", (Parity,), {"save_pretrained": save_pretrained})()
    outcome = run({"model": lambda s, d: built(model=model)}, workdir, monkeypatch)
    assert outcome.result.status == "FINISHED" and [folder.name for folder in saved] == ["model"]


def test_a_deep_check_rehearses_too(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import ftrun_plugins.metrics.scores as scores

    def wrong(references: Any, predictions: Any, average: str) -> float:
        raise AttributeError("no such score")

    monkeypatch.setitem(scores.SCORES, "accuracy", wrong)  # type: ignore[attr-defined]
    arguments = ["check", "--deep", str(tiny), "--set", "metrics=[{use='accuracy'}]"]
    shown = CliRunner().invoke(group, arguments, standalone_mode=False)
    assert shown.return_value == 2, shown.output
    assert 'metrics[0]: the metric "accuracy" of ftrun' in shown.output and "AttributeError" in shown.output


def test_a_deep_check_tells_what_may_be_for_the_rows(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import ftrun_plugins.metrics.scores as scores

    def few(references: Any, predictions: Any, average: str) -> float:
        if len(numpy.unique(references)) < 3:
            raise ValueError("too few classes")
        return 0.5

    monkeypatch.setitem(scores.SCORES, "accuracy", few)  # type: ignore[attr-defined]
    arguments = ["check", "--deep", str(tiny), "--set", "metrics=[{use='accuracy'}]"]
    shown = CliRunner().invoke(group, arguments, standalone_mode=False)
    assert shown.return_value == 0, shown.output
    assert "raised ValueError: too few classes" in shown.output
    assert "nothing wrong that would stop a run; see the 2 notes\n" in shown.output


def test_padding_to_more_tokens_than_the_model_has_positions_is_told_as_that(tiny: Path) -> None:
    collator = {"use": "dynamic-padding", "pad_to_multiple_of": 1000}
    result = ftrun.run(tiny, overrides={"collator": collator}, progress=False)
    assert result.status == "FAILED" and result.steps in (0, None)
    assert "collator: the collator " in str(result.error) and "to 1000, and the model has 512 positions" in str(
        result.error
    )


class Bare(marks.Marks):
    """Says only its loss."""

    def forward(self, **batch: Any) -> Any:
        return {"loss": super().forward(**batch).loss}


class Several(marks.Marks):
    def loss(self, logits: Any, labels: Any) -> Any:
        return super().loss(logits, labels).repeat(2)


def lists(rows: Any) -> Any:
    return {name: tensor.tolist() for name, tensor in marks.collate(rows).items()}


def unmasked(rows: Any) -> Any:
    batch = marks.collate(rows)
    del batch["attention_mask"]
    return batch


def arrays(rows: Any) -> Any:
    return {name: tensor.numpy() for name, tensor in marks.collate(rows).items()}


def with_ids(rows: Any) -> Any:
    return {**marks.collate(rows), "id": list(range(len(rows)))}


def without_labels(rows: Any) -> Any:
    return {**marks.collate(rows), "labels": None}


def of_their_backend(session: Any) -> tuple[dict[str, Any], str]:
    """Their own backend with this session, and a file that has it."""
    return {"backend": lambda settings, training: session(training)}, marks.FILE.replace("loop", "abacus")


class Plain(TorchSession):
    """The plain loop as somebody else's."""

    fit = LoopSession.fit


BLAMED: dict[str, tuple[dict[str, Any], str]] = {
    "lists": (
        {"collator": lambda s, t: lists},
        'the collator "lists" of their-package 3 gives a list for input_ids of a batch, and must give a tensor',
    ),
    "arrays": (
        {"collator": lambda s, t: arrays},
        'the collator "lists" of their-package 3 gives a ndarray for input_ids of a batch, and must give a tensor',
    ),
    "a list more": (
        {"collator": lambda s, t: with_ids},
        'the collator "lists" of their-package 3 gives a list for id of a batch, and must give a tensor',
    ),
    "no labels": (
        {"collator": lambda s, t: without_labels},
        'the collator "lists" of their-package 3 gives a NoneType for labels of a batch, and must give a tensor',
    ),
    "an argument too few": (
        {"collator": lambda s, t: unmasked},
        'the collator "lists" of their-package 3 makes a batch of input_ids, labels, which the model "parity" of '
        "their-package 3 does not take: missing a required argument: 'attention_mask'",
    ),
    "no logits": (
        {"model": lambda s, d: marks.built(Bare())},
        'the model "parity" of their-package 3 gives a dict without logits for a batch',
    ),
    "losses": (
        {"model": lambda s, d: marks.built(Several())},
        'the model "parity" of their-package 3 gives a loss of shape (2,), and must give one number',
    ),
}


@pytest.mark.parametrize("name", BLAMED)
def test_who_breaks_off_the_first_batch_is_named(name: str, workdir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    parts, sentence = BLAMED[name]
    assert sentence in refused(marks.run(parts, workdir, monkeypatch))
    with pytest.raises(ExperimentError) as told:
        marks.look(parts, workdir, monkeypatch)
    assert sentence in str(told.value)


@pytest.mark.parametrize("name", BLAMED)
def test_so_it_is_on_a_backend_of_theirs_that_is_made_of_ftrun_training(
    name: str, workdir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    parts, sentence = BLAMED[name]
    own, file = of_their_backend(Plain)
    assert sentence in refused(marks.run({**own, **parts}, workdir, monkeypatch, file=file))
    with pytest.raises(ExperimentError) as told:
        marks.look({**own, **parts}, workdir, monkeypatch, file=file)
    assert sentence in str(told.value)


class Half(marks.Marks):
    """Writes what it is asked to."""

    kept = ("embedding.weight",)

    def save_pretrained(self, folder: Path) -> None:
        torch.save({name: self.state_dict()[name] for name in self.kept}, Path(folder, "marks.pt"))
        Path(folder, "more.txt").write_text("more")


def load_marks(settings: Any, folder: Path, task: Any) -> BuiltModel:
    model = marks.Marks()
    model.load_state_dict(torch.load(folder / "marks.pt", weights_only=True))
    return marks.built(model)


def load_afresh(settings: Any, folder: Path, task: Any) -> BuiltModel:
    torch.nn.init.zeros_((fresh := marks.Marks()).embedding.weight)
    return marks.built(fresh)


def load_none(settings: Any, folder: Path, task: Any) -> BuiltModel:
    raise ExperimentError(Problem(f"{folder.name[:9]} holds no marks"))


def loading(load: Any, *kept: str) -> dict[str, Any]:
    model = type("Some", (Half,), {"kept": kept})
    return {"model": lambda s, d: marks.built(model()), "load": load}


@pytest.mark.parametrize(
    ("parts", "said"),
    [
        (loading(load_marks), "raised RuntimeError: Error(s) in loading state_dict"),
        (loading(load_none), "rehearsal holds no marks"),
        (loading(lambda s, f, t: None), "built a NoneType, and must build an ftrun.contracts.BuiltModel"),
    ],
)
def test_a_model_that_is_not_whole_once_it_is_saved_is_refused(
    parts: dict[str, Any], said: str, workdir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = refused(marks.run(parts, workdir, monkeypatch))
    assert f'model: the model "parity" {THEIR} cannot be loaded from what it has saved: ' in told and said in told
    assert "save_pretrained must write all" in told and not list(workdir.glob("runs/*/rehearsal-*"))


def test_one_that_says_something_else_then_is_told_and_a_sound_one_changes_no_curve(
    workdir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    heard, sound = Heard(), Heard()
    other = marks.run(loading(load_afresh, "embedding.weight"), workdir, monkeypatch, heard)
    assert other.result.status == "FINISHED", other.result.error
    assert [told for told in heard.notices if "once it is saved and loaded" in told], heard.notices
    same = marks.run(loading(load_marks, "embedding.weight"), workdir, monkeypatch, sound)
    assert (
        not [told for told in sound.notices if "their-package" in told] and same.result.metrics == other.result.metrics
    )
    assert marks.run({}, workdir, monkeypatch).result.metrics == same.result.metrics


def test_a_model_is_loaded_on_a_backend_of_theirs_that_is_made_of_ftrun_training(
    workdir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own, file = of_their_backend(Plain)
    told = refused(marks.run({**own, **loading(load_none)}, workdir, monkeypatch, file=file))
    assert "cannot be loaded from what it has saved: rehearsal holds no marks" in told
    heard = Heard()
    other = {**own, **loading(load_afresh, "embedding.weight")}
    assert marks.run(other, workdir, monkeypatch, heard, file).result.status == "FINISHED"
    assert [told for told in heard.notices if "once it is saved and loaded" in told], heard.notices
