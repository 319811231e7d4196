"""Going on with a run that stopped: which run is meant, and whether what is asked now is what was begun."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from ftrun.contracts import Backend, Splits
from ftrun.errors import ExperimentError, Problem, RunError, RunFinishedError
from ftrun.execution.changes import (
    BACKEND,
    Change,
    changed_backend,
    changed_classes,
    changed_data,
    changed_environment,
    changed_model,
    changed_settings,
    unchanged_data,
)
from ftrun.execution.finding import find_run, recorded_experiment
from ftrun.execution.recording import (
    LONGEST_TAG,
    PLUGIN_TAG,
    as_toml,
    is_sampled,
    record_data,
    record_start,
    recorded_task,
)
from ftrun.planning.catalogue import Catalogue
from ftrun.planning.experiment import load_experiment
from ftrun.planning.parts import Part
from ftrun.planning.plan import Plan, make_plan
from ftrun.runs.checkpoints import Checkpoint, newest_whole
from ftrun.runs.folder import RUNS_FOLDER, RunFolder, write_whole
from ftrun.runs.history import History, read_history
from ftrun.runs.journal import Journal, read_current
from ftrun.runs.killed import mark_if_killed
from ftrun.runs.records import NAME_TAG, ArtifactRecord, CheckpointRecord, ResumedRecord

MAY_CHANGE = ("ftrun.backend", "ftrun.host", "ftrun.platform")
"""Tags that follow a run to where it goes on."""
TEST = "dataset.test"
"""The setting that names a file which only the end of a run needs."""
CHANGED_AT_TAG = "ftrun.changed_at"
"""The step from which the points of a run may be in MLflow twice, the later ones by other settings."""
OTHER_OPTIMIZER = "the optimizer is another one: what it keeps of each weight, such as moments, begins anew"
OPTIMIZER = "training.optim"
ADAMS = {"adamw_torch_fused", "adamw_torch", "adam"}
"""Optimizers that keep the same of each weight: one goes on with the moments of another."""
BATCHES = {"training.per_device_train_batch_size", "training.gradient_accumulation_steps"}
OTHER_STEPS = (
    "steps are of another size: the {} that are taken count as steps of that size, in epochs and in all that is left"
)
ALLOW = "To go on all the same, say --allow-changes; it is recorded."


@dataclass
class Resumption:
    """A run to go on with: a `beginning.Beginning`.

    Attributes:
        folder: Its folder; history: what its journal tells.
        checkpoint: The newest whole checkpoint, once it is taken; None to begin at the beginning.
        skipped: A sentence about every newer checkpoint that is damaged.
        allow_changes: Whether to go on though something has changed.
        changes: What has changed, as it comes to be known, for the record.
    """

    folder: RunFolder
    history: History
    allow_changes: bool = False
    checkpoint: Checkpoint | None = None
    skipped: Sequence[str] = ()
    changes: list[Change] = field(default_factory=list)

    @property
    def is_new(self) -> bool:
        return False

    @property
    def step(self) -> int:
        return self.checkpoint.step if self.checkpoint else 0

    @property
    def checkpoint_folder(self) -> Path | None:
        return self.checkpoint.folder if self.checkpoint else None

    @property
    def notices(self) -> Sequence[str]:
        found = self.checkpoint
        going_on = (
            f"going on from {found.folder.name}" if found else "there is no checkpoint: it begins at the beginning"
        )
        changes = self.changes if found else []
        another = any(change.name == OPTIMIZER and not {change.before, change.now} <= ADAMS for change in changes)
        counts_anew = any(change.name in BATCHES for change in changes)
        further = [*([OTHER_OPTIMIZER] if another else []), *([OTHER_STEPS.format(self.step)] if counts_anew else [])]
        return [*self.skipped, going_on, *further]

    @property
    def best_counts(self) -> bool:
        """Whether the best evaluation that the checkpoint knows of is the best by the settings of now, too, and its
        checkpoint was kept.
        """
        return self.checkpoint is None or self.checkpoint.step > self._best_counts_after

    @property
    def _best_counts_after(self) -> float:
        changed = any(change.forgets_best for change in self.changes)
        return math.inf if changed else self.history.best_counts_after

    def take(self, plan: Plan) -> None:
        """What there is to go on with, once nobody else has the run: another process may just have stopped it.

        Raises:
            RunFinishedError: If nothing is left to do.
            RunError: If it went on meanwhile, perhaps with other settings.
            ExperimentError: If the backend cannot go on from what the checkpoint holds, or it is beyond the end.
        """
        planned_with, self.history = self.history, read_history(self.folder)
        self.refuse_finished()
        if self.history.resumed != planned_with.resumed:
            raise RunError(f"the run {self.folder.name} was resumed by another process meanwhile; resume it again")
        best_after = self._best_counts_after if plan.training.load_best_model_at_end else math.inf
        self.checkpoint, self.skipped = newest_whole(self.folder.checkpoints, best_after)
        self._refuse_other_format(plan.backend)
        if 0 < plan.training.max_steps < self.step:
            message = f"{self.step} steps are taken already, by {self.checkpoint_folder}"
            raise ExperimentError(Problem(message, "training.max_steps", f"Ask for {self.step} steps or more."))

    def refuse_finished(self) -> None:
        """Refuse a run of which nothing is left to do.

        Raises:
            RunFinishedError: If it is one.
        """
        if self.history.status == "FINISHED":
            raise RunFinishedError(f"the run {self.folder.name} is finished; there is nothing to resume")

    def _refuse_other_format(self, part: Part) -> None:
        if self.checkpoint and (problem := self._other_format(self.checkpoint, part)):
            raise ExperimentError(problem)

    def _other_format(self, found: Checkpoint, part: Part) -> Problem | None:
        """That a backend does not go on from a checkpoint; None where it does."""
        reads = part.component(Backend).checkpoint_format
        if found.format in (None, reads):
            return None
        message = f'{found.folder.name} holds "{found.format}", and the backend "{part.use}" goes on from '
        hint = f"Go on with the backend that wrote it, {self.history.tags.get('ftrun.backend', 'or one like it')}."
        return Problem(message + (f'"{reads}"' if reads else "no checkpoint"), BACKEND, hint)

    def compare_settings(self, plan: Plan, recorded: Plan, hint: str = "") -> None:
        """Compare the experiment that is asked for with the one that was begun.

        Args:
            plan: What is asked for.
            recorded: What was begun, as it is recorded.
            hint: What else to do than to allow changes.

        Raises:
            ExperimentError: Naming every setting that differs and matters, unless changes are allowed; or that the
                backend cannot go on from the checkpoint, whatever is allowed.
        """
        backend = changed_backend(recorded.backend, plan.backend)
        if backend and not self.allow_changes and (problem := self._no_way_on(plan)):
            raise ExperimentError(problem)  # alone: most of what differs beside it are the other backend's own keys
        self._allow([*backend, *changed_settings(recorded.resolved(), plan.resolved())], hint)

    def _no_way_on(self, plan: Plan) -> Problem | None:
        """What no allowance helps against: that the backend does not go on from the checkpoint that there is."""
        best_after = self.history.best_counts_after if plan.training.load_best_model_at_end else math.inf
        found, _ = newest_whole(self.folder.checkpoints, best_after)
        return self._other_format(found, plan.backend) if found else None

    def compare_environment(self, tags: Mapping[str, str]) -> None:
        self._allow(changed_environment(self.history, tags))

    def compare_data(self, splits: Splits) -> None:
        self._allow([*changed_data(self.history, splits), *changed_classes(recorded_task(self.folder), splits.task)])

    def compare_model(self, tags: Mapping[str, str]) -> None:
        self._allow(changed_model(self.history, tags))

    def record(self, journal: Journal, plan: Plan, tags: Mapping[str, str], splits: Splits) -> None:
        """That the run goes on, from where, and what has changed since it was begun; or that it begins, if it had not
        come to that.
        """
        if not self.history.recorded:
            record_start(journal, self.folder, plan, tags)
            record_data(journal, splits, sampled=is_sampled(plan))
            return
        experiment = self._recorded_anew(plan)
        new = self._new_tags(plan, tags)
        journal.append(ResumedRecord(self.step, experiment, new, self.best_counts, anew=bool(self.changes)))
        self._record_checkpoint(journal)
        journal.append(ArtifactRecord(experiment))  # also that of the beginning: a kill may have come first
        record_data(journal, splits, unchanged_data(self.history, splits), is_sampled(plan))

    def _record_checkpoint(self, journal: Journal) -> None:
        """A process that died right after it had published the checkpoint has not come to write that down."""
        found = self.checkpoint
        told = (entry.record for entry, _ in read_current(self.folder.journal))
        if found and CheckpointRecord(found.step, found.folder.name) not in told:
            journal.append(CheckpointRecord(found.step, found.folder.name))

    def _recorded_anew(self, plan: Plan) -> str:
        """The file that says what the run is from here on; a new one if that has changed."""
        resolved = as_toml(plan.resolved())
        if resolved == recorded_experiment(self.folder, self.history).read_text(encoding="utf-8"):
            return self.history.experiment
        name = f"experiment-resumed-{self.history.resumed + 1}.toml"  # never over one that an earlier record names
        write_whole(self.folder.path / name, resolved)
        return name

    def _new_tags(self, plan: Plan, tags: Mapping[str, str]) -> Mapping[str, str]:
        count = self.history.resumed + 1
        differing = {key: value for key, value in tags.items() if self.history.tags.get(key) != value}
        told = {f"ftrun.resumed.{count}": f"from step {self.step} on {plan.backend.use}"}
        if plan.tracking.run_name not in (None, self.history.display_name):
            told[NAME_TAG] = plan.tracking.run_name
        if not self.changes:
            may_change = {*MAY_CHANGE, *(plan.tracking.tags or {})}
            follows = {
                key: value for key, value in differing.items() if key in may_change or key.startswith(PLUGIN_TAG)
            }
            return {**follows, **told}
        told[f"ftrun.changed.{count}"] = "; ".join(map(str, self.changes))[:LONGEST_TAG]
        told[CHANGED_AT_TAG] = str(min(self.step, int(self.history.tags.get(CHANGED_AT_TAG, self.step))))
        return {**differing, **told}

    def _allow(self, changes: Sequence[Change], hint: str = "") -> None:
        if changes and not self.allow_changes:
            raise ExperimentError(*(Problem(change.sentence, change.name, hint + ALLOW) for change in changes))
        self.changes += changes


def plan_resumption(
    target: str,
    catalogue: Catalogue,
    overrides: Mapping[str, Any],
    runs_folder: Path = RUNS_FOLDER,
    allow_changes: bool = False,
    profile: str | None = None,
    unset: Sequence[str] = (),
) -> tuple[Plan, Resumption]:
    """What is to be gone on with, and how, for `resume` and its command; nothing heavy is imported.

    Raises:
        ExperimentError: If there is no such run, or its settings have changed and may not.
        RunFinishedError: If nothing is left to do.
        RunError: If a later version of ftrun has written its journal, in a format that this one does not read.
    """
    folder = find_run(target, runs_folder, profile, overrides)
    mark_if_killed(folder)
    resumption = Resumption(folder, read_history(folder), allow_changes)
    resumption.refuse_finished()
    begun = load_experiment(recorded_experiment(folder, resumption.history))
    recorded = make_plan(begun, catalogue, needs_secrets=False, asked=())  # what it names may be gone
    hint = ""
    if target.endswith(".toml"):
        hint = f"To go on with what was begun: ftrun resume {folder.name}. "
        profile = profile or resumption.history.tags.get("ftrun.profile")
        source = load_experiment(Path(target), profile, overrides, unset)
    else:
        source = load_experiment(recorded.path, None, overrides, unset)
    try:
        plan = make_plan(source, catalogue, is_record=not target.endswith(".toml"))
    except ExperimentError as error:
        raise ExperimentError(*(_with_a_way_on(problem, folder) for problem in error.problems)) from error
    resumption.compare_settings(plan, recorded, hint)
    return plan, resumption


def _with_a_way_on(problem: Problem, folder: RunFolder) -> Problem:
    """A problem with the test file of a run: training does without it."""
    if problem.place != TEST and not (problem.place or "").startswith(f"{TEST}."):
        return problem
    way = f"To go on without it: ftrun resume {folder.name} --unset {TEST} --allow-changes; it is recorded."
    return replace(problem, hint=f"{problem.hint} {way}" if problem.hint else f"Put it back. {way}")
