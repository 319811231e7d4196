"""What must be as it was for a run to go on, and what may change."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import ftrun
import pytest
from ftrun.contracts import Backend
from ftrun.errors import ExperimentError, RunError
from ftrun.execution.beginning import FreshStart
from ftrun.execution.resumption import Resumption, RunFinishedError, plan_resumption
from ftrun.execution.story import execute
from ftrun.execution.watcher import Watcher
from ftrun.pictures.curves import read_curves
from ftrun.planning.catalogue import load_catalogue
from ftrun.planning.plan import Plan
from ftrun.runs.checkpoints import Checkpoints, newest_whole
from ftrun.runs.folder import RunFolder
from ftrun.runs.history import read_history
from ftrun.runs.journal import Journal
from helpers import begun, died_after, journal_of, plan_of, points_of, rows_of, slow, splits_of
from plugin_packages import Site, offering
from their_parts import FILE, planned, rows, splits

SAVING = {"training.save_strategy": "steps", "training.save_steps": 1}


def run(path: Path, overrides: Mapping[str, Any]) -> ftrun.RunResult:
    result = ftrun.run(path, overrides={**SAVING, **overrides}, progress=False)
    assert result.status == "FINISHED", (result.error, (result.run_folder / "log.txt").read_text())
    return result


def test_a_run_that_ends_while_it_is_waited_for_is_not_trained_again(tiny: Path) -> None:
    folder = died_after(run(tiny, {}).run_folder, 6, "meanwhile")
    catalogue = load_catalogue()
    plan, resumption = plan_resumption(folder.name, catalogue, {})
    with (folder / "journal.jsonl").open("a") as journal:
        journal.write('{"type": "end", "time": 1, "status": "FINISHED"}\n')
    with pytest.raises(RunFinishedError, match="there is nothing to resume"):
        execute(plan, catalogue, Watcher(), resumption)


def test_a_run_that_went_on_meanwhile_is_not_gone_on_with_as_it_was(tiny: Path) -> None:
    folder = died_after(run(tiny, {}).run_folder, 6, "meanwhile")
    catalogue = load_catalogue()
    plan, resumption = plan_resumption(folder.name, catalogue, {})
    changed = {"training.learning_rate": 5e-4, "training.max_steps": 7}
    ftrun.resume(folder, overrides=changed, allow_changes=True, progress=False)
    journal = folder / "journal.jsonl"
    journal.write_text("".join(journal.read_text().splitlines(keepends=True)[:-1]))  # killed at the last moment
    with pytest.raises(RunError, match="was resumed by another process meanwhile"):
        execute(plan, catalogue, Watcher(), resumption)


def test_changed_settings_are_refused_by_name_unless_they_are_allowed(tiny: Path) -> None:
    undisturbed = run(tiny, {})
    folder = died_after(undisturbed.run_folder, 6, "changed")
    changed = {"training.learning_rate": 5e-4, "training.save_total_limit": 2}
    with pytest.raises(ExperimentError, match=r"training\.learning_rate: the run was begun with 0\.001, and now it is"):
        ftrun.resume(folder, overrides=changed, progress=False)
    assert journal_of(folder)[-1]["status"] == "KILLED"
    result = ftrun.resume(folder, overrides=changed, allow_changes=True, progress=False)
    assert result.status == "FINISHED"
    rates = {step: value for (key, step), value in points_of(folder).items() if key == "train/learning_rate"}
    assert rates[6] == pytest.approx(1e-3 * 7 / 12) and rates[9] == pytest.approx(5e-4 * 4 / 12)
    (resumed,) = [record for record in journal_of(folder) if record["type"] == "resumed"]
    assert "training.learning_rate" in resumed["tags"]["ftrun.changed.1"]
    assert "learning_rate = 0.0005" in (folder / resumed["experiment"]).read_text()
    assert "learning_rate = 0.001" in (folder / "experiment.toml").read_text()
    assert len(list((folder / "checkpoints").iterdir())) == 2


def test_the_numbers_after_a_change_are_those_of_the_settings_that_made_the_model(tiny: Path) -> None:
    every = {"training.max_steps": 6, "training.save_steps": 3, "training.eval_strategy": "steps"}
    begun = run(tiny, {**every, "training.eval_steps": 2})
    folder = died_after(begun.run_folder, 6, "changed")
    shutil.rmtree(folder / "checkpoints" / "checkpoint-6")
    result = ftrun.resume(folder, overrides={"training.learning_rate": 0.1}, allow_changes=True, progress=False)
    assert result.status == "FINISHED" and result.metrics["eval/loss"] != begun.metrics["eval/loss"]
    points = points_of(folder)
    assert {key: points[key, 6] for key in result.metrics} == result.metrics
    assert points["train/loss", 3] == points_of(begun.run_folder)["train/loss", 3]
    assert not [record for record in journal_of(folder) if record["type"] == "differing"]
    told = {key: numbers[6] for key, numbers in read_curves(folder / "journal.jsonl").items() if key in result.metrics}
    assert told == result.metrics
    table = json.loads((folder / "checkpoints.json").read_text())
    last = dict(zip(table["columns"], table["data"][-1], strict=True))
    assert last["step"] == 6 and last["eval/loss"] == result.metrics["eval/loss"]
    (resumed,) = [record for record in journal_of(folder) if record["type"] == "resumed"]
    assert resumed["tags"]["ftrun.changed_at"] == "3"


@pytest.mark.parametrize(
    ("tag", "value", "told"),
    [
        ("ftrun.version.torch", "1.0", "torch: the run was begun with 1.0"),
        slow(("ftrun.threads", "96", "threads: the run was begun with 96")),
        slow(("ftrun.processor", "Abacus", "processor: the run was begun with Abacus")),
    ],
)
def test_other_packages_threads_and_processors_are_refused(tiny: Path, tag: str, value: str, told: str) -> None:
    folder = died_after(run(tiny, {}).run_folder, 6, "other")
    journal = folder / "journal.jsonl"
    first, *rest = journal.read_text().splitlines(keepends=True)
    record = json.loads(first)
    record["tags"][tag] = value
    journal.write_text(json.dumps(record) + "\n" + "".join(rest))
    result = ftrun.resume(folder, progress=False)
    assert result.status == "FAILED" and result.error and told in result.error and "--allow-changes" in result.error
    assert journal_of(folder)[-1]["status"] == "KILLED"
    assert ftrun.resume(folder, allow_changes=True, progress=False).status == "FINISHED"


def test_other_data_are_refused(tiny: Path) -> None:
    rows = [{"text": "word " * (1 + i % 5), "label": i % 2} for i in range(30)]
    data = Path("rows.json")
    data.write_text("\n".join(map(json.dumps, rows)))
    files = {"dataset": {"use": "files", "train": "rows.json", "validation": "rows.json", "text_columns": ["text"]}}
    undisturbed = run(tiny, {**files, "metrics": []})
    folder = died_after(undisturbed.run_folder, 3, "data")
    data.write_text("\n".join(map(json.dumps, rows[:-1])))
    result = ftrun.resume(folder, progress=False)
    assert result.status == "FAILED" and result.error
    assert "the data's split train for training: the run was begun with" in result.error
    assert ftrun.resume(folder, allow_changes=True, progress=False).status == "FINISHED"
    records = [record for record in journal_of(folder) if record["type"] == "dataset"]
    assert [record["rows"] for record in records] == [30, 30, 29, 29]


TAGS = {"ftrun.version.torch": "2.0", "ftrun.version.mlflow": "3.0", "ftrun.threads": "1", "ftrun.processor": "Abacus"}
MODEL = {"ftrun.model.digest": "a" * 40, "ftrun.model.classes": '["yes", "no"]'}
DATA = splits_of(rows_of(text=["a", "b", "c"], label=[0, 1, 0]))


@pytest.fixture
def died(tiny: Path) -> RunFolder:
    """A run that died as it began."""
    return begun(plan_of(tiny), DATA, {**TAGS, **MODEL})


def taken(folder: RunFolder, allow_changes: bool = False, **overrides: Any) -> tuple[Plan, Resumption]:
    """The run gone on with, as far as to what there is to go on from."""
    named = {key.replace("__", "."): value for key, value in overrides.items()}
    plan, resumption = plan_resumption(folder.name, load_catalogue(), named, allow_changes=allow_changes)
    resumption.take(plan)
    return plan, resumption


def publish(folder: RunFolder, *steps: int, **options: Any) -> None:
    checkpoints = Checkpoints(folder.checkpoints, None, lambda checkpoint: None, **options)
    for step in steps:
        with checkpoints.writing(step) as written:
            (written / "weights.bin").write_bytes(b"weights")
    checkpoints.close()


def test_a_run_goes_on_from_its_newest_whole_checkpoint_and_says_so(died: RunFolder) -> None:
    publish(died, 1, 2, 3, format=plan_of(died.experiment).backend.component(Backend).checkpoint_format)
    (died.checkpoints / "checkpoint-3" / "weights.bin").unlink()
    _, resumption = taken(died)
    assert resumption.step == 2 and resumption.checkpoint_folder == died.checkpoints / "checkpoint-2"
    assert list(resumption.notices) == [
        "checkpoint-3 is not whole: weights.bin is missing",
        "going on from checkpoint-2",
    ]


def test_without_a_checkpoint_it_begins_at_the_beginning(died: RunFolder) -> None:
    _, resumption = taken(died)
    assert (resumption.step, resumption.checkpoint_folder, resumption.is_new) == (0, None, False)
    assert list(resumption.notices) == ["there is no checkpoint: it begins at the beginning"]


def test_a_checkpoint_of_another_kind_is_refused_with_who_reads_it(died: RunFolder) -> None:
    publish(died, 1, format="abacus-1")
    with pytest.raises(ExperimentError, match=r'checkpoint-1 holds "abacus-1", and the backend "loop" goes on from'):
        taken(died)


@pytest.mark.parametrize(("began", "goes_on"), [("loop", "sam"), ("sam", "loop")])
def test_a_backend_of_somebody_elses_is_not_changed_for_another_without_a_word(
    site: Site, tiny: Path, began: str, goes_on: str
) -> None:
    site.add(offering("backend", "backend(name='sam')"))
    died = begun(plan_of(tiny, {"backend.use": began}), DATA, {**TAGS, **MODEL})
    names = {
        "loop": f'the backend "loop" of ftrun {ftrun.__version__}',
        "sam": 'the backend "sam" of their-package 1.0',
    }
    told = f"backend.use: the run was begun with {names[began]}, and now it is {names[goes_on]}"
    with pytest.raises(ExperimentError, match=re.escape(told)):
        taken(died, backend__use=goes_on)
    (change,) = taken(died, allow_changes=True, backend__use=goes_on)[1].changes
    assert change.name == "backend.use" and not change.forgets_best
    assert taken(died)[1].changes == []


@pytest.mark.parametrize(("format", "is_refused"), [("'sam 1'", True), ("None", True), ("'ftrun.training 1'", False)])
def test_a_backend_that_cannot_go_on_from_the_checkpoint_is_refused_at_once(
    site: Site, died: RunFolder, format: str, is_refused: bool
) -> None:
    site.add(offering("backend", f"backend(name='sam', checkpoint_format={format})"))
    publish(died, 1, 2, format=plan_of(died.experiment).backend.component(Backend).checkpoint_format)
    (died.checkpoints / "checkpoint-2" / "weights.bin").unlink()
    with pytest.raises(ExperimentError) as told:
        taken(died, backend__use="sam", seed=2)
    if not is_refused:
        assert [problem.place for problem in told.value.problems] == ["backend.use", "seed"]
        assert "--allow-changes" in str(told.value)
        taken(died, allow_changes=True, backend__use="sam", seed=2)
        return
    (problem,) = told.value.problems
    assert 'checkpoint-1 holds "ftrun.training 1", and the backend "sam" goes on from' in problem.message
    assert "Go on with the backend that wrote it" in str(problem) and "--allow-changes" not in str(problem)
    with pytest.raises(ExperimentError) as again:
        taken(died, allow_changes=True, backend__use="sam", seed=2)
    assert list(again.value.problems) == [problem]


def test_keys_on_record_that_another_backend_does_not_use_are_one_problem_with_a_way_on(
    site: Site, died: RunFolder
) -> None:
    site.add(offering("backend", "backend(name='few', honours=frozenset({'max_steps', 'device'}))"))
    with pytest.raises(ExperimentError, match="does not use what the run was begun with: ") as caught:
        taken(died, backend__use="few")
    (problem,) = caught.value.problems
    unset = re.findall(r"--unset (\S+)", problem.hint or "")
    assert "training.learning_rate" in unset and "training.max_steps" not in unset
    chosen = {"backend.use": "few"}
    plan, resumption = plan_resumption(died.name, load_catalogue(), chosen, allow_changes=True, unset=unset)
    assert plan.backend.use == "few" and {"backend.use", *unset} >= {change.name for change in resumption.changes}


def test_a_finished_run_is_not_gone_on_with(died: RunFolder) -> None:
    with died.journal.open("a") as journal:
        journal.write('{"type": "end", "time": 1, "status": "FINISHED"}\n')
    with pytest.raises(RunFinishedError, match=f"the run {died.name} is finished"):
        taken(died)


@pytest.mark.parametrize(
    "overrides",
    [
        {"backend__use": "trainer"},
        {"training__save_strategy": "epoch", "training__save_total_limit": 1},
        {"training__device": "auto", "training__dataloader_num_workers": 2},
        {"tracking__enabled": True},
    ],
)
def test_what_changes_no_number_may_change_without_a_word(died: RunFolder, overrides: dict[str, Any]) -> None:
    assert taken(died, **overrides)[1].changes == []


@pytest.mark.parametrize(
    ("overrides", "told"),
    [
        ({"seed": 2}, "seed: the run was begun with 1, and now it is 2"),
        (
            {"training__learning_rate": 5e-4},
            "training.learning_rate: the run was begun with 0.001, and now it is 0.0005",
        ),
        ({"training__max_steps": 7}, "training.max_steps: the run was begun with -1, and now it is 7"),
        ({"dataset__shuffle_seed": 0}, "dataset.shuffle_seed: the run was begun with nothing, and now it is 0"),
        (
            {"model__config": {"hidden_size": 32}},
            "model.config.hidden_size: the run was begun with 16, and now it is 32",
        ),
    ],
)
def test_a_setting_that_matters_is_refused_by_its_name_or_recorded(
    died: RunFolder, overrides: dict[str, Any], told: str
) -> None:
    with pytest.raises(ExperimentError) as refused:
        taken(died, **overrides)
    assert told in str(refused.value) and "--allow-changes" in str(refused.value)
    assert told in [str(change) for change in taken(died, allow_changes=True, **overrides)[1].changes]


def test_all_that_has_changed_is_told_at_once(died: RunFolder) -> None:
    with pytest.raises(ExperimentError) as refused:
        taken(died, seed=2, training__max_steps=7)
    assert [problem.place for problem in refused.value.problems] == ["seed", "training.max_steps"]


def test_an_experiments_file_that_has_changed_names_the_run_as_the_way_out(died: RunFolder) -> None:
    with pytest.raises(ExperimentError, match=f"To go on with what was begun: ftrun resume {died.name}"):
        plan_resumption("tiny.toml", load_catalogue(), {"seed": 2})


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"ftrun.version.torch": "2.1"}, "torch: the run was begun with 2.0, and now it is 2.1"),
        ({"ftrun.version.tokenizers": "1"}, "tokenizers: the run was begun with nothing, and now it is 1"),
        ({"ftrun.threads": "96"}, "threads: the run was begun with 1, and now it is 96"),
        ({"ftrun.processor": ""}, "processor: the run was begun with Abacus, and now it is "),
    ],
)
def test_an_environment_that_gives_other_numbers_is_refused(
    died: RunFolder, changed: dict[str, str], told: str
) -> None:
    with pytest.raises(ExperimentError) as refused:
        taken(died)[1].compare_environment({**TAGS, **changed})
    assert told in str(refused.value)


def test_another_host_another_mlflow_and_the_same_numbers_are_no_change(died: RunFolder) -> None:
    _, resumption = taken(died)
    resumption.compare_environment({**TAGS, "ftrun.version.mlflow": "4.0", "ftrun.host": "elsewhere"})
    assert resumption.changes == []


def test_other_data_are_refused_by_the_split(died: RunFolder) -> None:
    _, resumption = taken(died)
    resumption.compare_data(DATA)
    for other, told in (
        (splits_of(rows_of(text=["a"], label=[0])), "the data's split train for training: .* 3 rows, and .* 1 rows"),
        (
            splits_of(DATA.train, digest="2" * 40),
            "the data's split validation for evaluation: .* 1{12}, .* 2{12}, 3 rows",
        ),
        (splits_of(DATA.train, train_split="rows"), "the data's split train for training: .* now it is nothing"),
    ):
        with pytest.raises(ExperimentError, match=told):
            resumption.compare_data(other)


def test_rows_that_a_plugins_digest_does_not_tell_of_are_refused_and_once_allowed_are_the_runs(
    workdir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan, _ = planned({}, workdir, monkeypatch, FILE, frozenset({"classification"}))
    folder = begun(plan, splits())
    Resumption(folder, read_history(folder)).compare_data(splits())
    replaced = splits(train=rows(lambda number: 0))
    with pytest.raises(ExperimentError, match=r"the data's split train for training: .* by the same digest"):
        Resumption(folder, read_history(folder)).compare_data(replaced)
    allowed = Resumption(folder, read_history(folder), allow_changes=True)
    allowed.compare_data(replaced)
    journal = Journal(folder.journal)
    allowed.record(journal, plan, {}, replaced)
    journal.close()
    Resumption(folder, read_history(folder)).compare_data(replaced)


def test_rows_of_ftruns_own_data_sets_are_told_by_their_digest_alone(died: RunFolder) -> None:
    assert [record.sample for record in read_history(died).datasets] == [None, None]


def test_other_weights_or_another_order_of_classes_are_refused(died: RunFolder) -> None:
    _, resumption = taken(died)
    resumption.compare_model(MODEL)
    with pytest.raises(
        ExperimentError, match=f"the model's weights: .* begun with {'a' * 12}, and now it is {'b' * 12}"
    ):
        resumption.compare_model({**MODEL, "ftrun.model.digest": "b" * 40})
    with pytest.raises(ExperimentError, match=r"the order of the model's classes: .* and now it is nothing"):
        resumption.compare_model({"ftrun.model.digest": "a" * 40})


def record(folder: RunFolder, plan: Plan, resumption: Resumption, tags: Mapping[str, str]) -> list[dict[str, Any]]:
    """What is on record of going on."""
    count = len(journal_of(folder.path))
    journal = Journal(folder.journal)
    resumption.record(journal, plan, tags, DATA)
    journal.close()
    return journal_of(folder.path)[count:]


def test_that_a_run_goes_on_is_on_record_and_nothing_else_where_nothing_has_changed(died: RunFolder) -> None:
    plan, resumption = taken(died, backend__use="trainer")
    first, *_ = record(
        died, plan, resumption, {**TAGS, **MODEL, "ftrun.backend": "trainer", "ftrun.version.mlflow": "4"}
    )
    assert first["tags"] == {"ftrun.backend": "trainer", "ftrun.resumed.1": "from step 0 on trainer"}
    assert first["step"] == 0 and first["best_counts"]


def test_plugins_that_look_on_from_here_are_on_record_and_are_no_change(died: RunFolder) -> None:
    plan, resumption = taken(died)
    first, *_ = record(died, plan, resumption, {**TAGS, **MODEL, "ftrun.plugin.looking-on": "1.0: observes x"})
    assert first["tags"]["ftrun.plugin.looking-on"] == "1.0: observes x"
    assert not [name for name in first["tags"] if name.startswith("ftrun.changed")]


def test_what_has_changed_is_on_record_beside_what_was_begun(died: RunFolder) -> None:
    plan, resumption = taken(died, allow_changes=True, seed=2)
    first, *_ = record(died, plan, resumption, {**TAGS, **MODEL, "ftrun.seed": "2"})
    assert first["tags"]["ftrun.changed.1"] == "seed: the run was begun with 1, and now it is 2"
    assert first["tags"]["ftrun.seed"] == "2" and first["experiment"] == "experiment-resumed-1.toml"
    assert "seed = 2" in (died.path / first["experiment"]).read_text() and "seed = 1" in died.experiment.read_text()
    assert plan_of(died.path / first["experiment"]).seed == 2


def test_a_run_that_had_not_come_to_be_recorded_begins_its_record(tiny: Path) -> None:
    plan = plan_of(tiny)
    start = FreshStart(plan)
    start.take(plan)
    start.folder.journal.touch()
    plan, resumption = taken(start.folder)
    assert [told["type"] for told in record(start.folder, plan, resumption, TAGS)][:1] == ["run"]


def test_another_idea_of_the_best_forgets_the_best_until_now(died: RunFolder) -> None:
    publish(died, 4, format=plan_of(died.experiment).backend.component(Backend).checkpoint_format)
    assert taken(died)[1].best_counts
    best = {"training__load_best_model_at_end": True, "training__metric_for_best_model": "f1"}
    assert not taken(died, allow_changes=True, **best)[1].best_counts


@pytest.mark.slow
def test_a_plugin_that_was_edited_meanwhile_is_refused_by_name(tiny: Path, site: Site) -> None:
    share = 'metric(yields=lambda s, t: {"half": "max"}, build=lambda s, t: lambda predictions: {"half": 0.5})'
    site.add(offering("metric", share))
    saving = {"training.save_strategy": "steps", "training.save_steps": 2, "training.max_steps": 4}
    result = run(tiny, {**saving, "metrics.0.use": "half"})
    died = died_after(result.run_folder, 2, "tiny-died")
    (site.folder / "their_package.py").write_text(offering("metric", share, before="# edited"))
    refused = ftrun.resume(died, progress=False)
    assert refused.status == "FAILED" and "the code of their-package: the run was begun with" in str(refused.error)
    assert ftrun.resume(died, allow_changes=True, progress=False).status == "FINISHED"


def test_a_best_evaluation_of_another_loss_or_of_other_rows_counts_no_more(died: RunFolder) -> None:
    publish(died, 4, format=plan_of(died.experiment).backend.component(Backend).checkpoint_format)
    for changed in ({"training__label_smoothing_factor": 0.5}, {"dataset__max_eval_samples": 10}):
        assert not taken(died, allow_changes=True, **changed)[1].best_counts
    _, resumption = taken(died, allow_changes=True, training__learning_rate=5e-4)
    assert resumption.best_counts
    resumption.compare_data(splits_of(DATA.train, digest="2" * 40))
    assert not resumption.best_counts


def test_fewer_steps_than_are_taken_already_are_refused(died: RunFolder) -> None:
    publish(died, 4, format=plan_of(died.experiment).backend.component(Backend).checkpoint_format)
    with pytest.raises(ExperimentError, match=r"training\.max_steps: 4 steps are taken already, by .*checkpoint-4"):
        taken(died, allow_changes=True, training__max_steps=3)
    assert taken(died, allow_changes=True, training__max_steps=4)[1].step == 4


def test_fewer_epochs_than_are_taken_already_are_refused_and_the_record_stays_as_it_was(tiny: Path) -> None:
    undisturbed = run(tiny, {"dataset.max_train_samples": 16, "training.eval_strategy": "no"})
    folder = died_after(undisturbed.run_folder, 3, "further")
    fewer = {"training.num_train_epochs": 1}
    refused = ftrun.resume(folder, overrides=fewer, allow_changes=True, progress=False)
    assert refused.status == "FAILED" and refused.error
    assert "training.num_train_epochs: 3 steps are taken already, by checkpoint-3, and 2 are asked for" in refused.error
    assert "Ask for 1.5 epochs or more." in refused.error
    assert journal_of(folder)[-1]["status"] == "KILLED"


@pytest.mark.parametrize("backend", ["loop", pytest.param("trainer", marks=pytest.mark.slow)])
def test_a_run_whose_checkpoint_is_of_another_model_stays_as_it_was_and_goes_on_with_its_own(
    tiny: Path, backend: str
) -> None:
    undisturbed = run(tiny, {"training.max_steps": 4, "backend.use": backend})
    folder = died_after(undisturbed.run_folder, 2, "other-model")
    other = {"model.config": {"hidden_size": 8, "num_hidden_layers": 2, "num_attention_heads": 2}}
    other |= {"training.learning_rate": 0.1}
    refused = ftrun.resume(folder, overrides=other, allow_changes=True, progress=False)
    assert refused.status == "FAILED" and "checkpoint-2 is of a model with other parameters" in str(refused.error)
    assert not [told for told in journal_of(folder) if told["type"] == "resumed"]
    assert not list(folder.glob("experiment-resumed-*"))
    assert (
        ftrun.resume(folder, progress=False).status == "FINISHED"
    )  # nothing has changed, and nothing is to be allowed
    assert points_of(folder) == points_of(undisturbed.run_folder)


def test_steps_of_another_size_are_told_to_count_as_those_of_now(died: RunFolder) -> None:
    publish(died, 4, format=plan_of(died.experiment).backend.component(Backend).checkpoint_format)
    _, resumption = taken(died, allow_changes=True, training__gradient_accumulation_steps=2)
    assert any("the 4 that are taken count as steps of that size" in told for told in resumption.notices)
    assert not any("of another size" in told for told in taken(died)[1].notices)


def test_an_optimizer_that_keeps_the_same_is_not_said_to_begin_anew(died: RunFolder) -> None:
    publish(died, 4, format=plan_of(died.experiment).backend.component(Backend).checkpoint_format)
    for optim, anew in {"adamw_torch": False, "adam": False, "nadam": True}.items():
        told = taken(died, allow_changes=True, training__optim=optim)[1].notices
        assert any("begins anew" in sentence for sentence in told) == anew


def test_another_optimizer_goes_on_from_the_weights_and_says_that_it_begins_anew(tiny: Path) -> None:
    every = {"training.max_steps": 4, "training.save_steps": 2, "training.eval_strategy": "no"}
    folder = died_after(run(tiny, every).run_folder, 2, "other")
    _, resumption = plan_resumption(folder.name, load_catalogue(), {"training.optim": "adafactor"}, allow_changes=True)
    resumption.checkpoint = resumption.checkpoint or newest_whole(resumption.folder.checkpoints)[0]
    assert any("the optimizer is another one" in told for told in resumption.notices)
    result = ftrun.resume(folder, overrides={"training.optim": "adafactor"}, allow_changes=True, progress=False)
    assert result.status == "FINISHED", result.error
