"""What a training came to: its time, its speed, what went through the model, by the names that transformers has."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass

from ftrun.contracts import StepReport, TrainableModel

SUMS = ("train_runtime", "num_input_tokens_seen", "total_flos")
"""What counts all steps of a run."""


@dataclass
class Totals:
    """Counts the steps of a run since it was begun, or last gone on with.

    Attributes:
        seconds: Time spent in optimizer steps: without evaluations and checkpoints.
        steps, examples: Steps, and the rows that they took.
        tokens, tokens_with_padding: What went through the model; None where a step did not tell.
    """

    seconds: float = 0.0
    steps: int = 0
    examples: int = 0
    tokens: int | None = 0
    tokens_with_padding: int | None = 0

    def took(self, report: StepReport, seconds: float) -> None:
        """A step that took so long."""
        self.seconds += seconds
        self.steps += 1
        self.examples += report.examples

    def read(self, report: StepReport) -> None:
        """A step's counts, which are read from a device where they are on one; called for each step in order."""
        self.tokens = _sum(self.tokens, None if report.tokens is None else int(report.tokens))
        self.tokens_with_padding = _sum(self.tokens_with_padding, report.tokens_with_padding)

    def metrics(self, model: TrainableModel, steps: int) -> dict[str, float]:
        """All of it by MLflow's keys; what is not known is left out.

        Args:
            model: What was trained.
            steps: Those of the run in all. Where an earlier attempt took some, sums would be too low: speeds and shares
                are told, and no sums.
        """
        counts = {
            "train_samples_per_second": self.examples,
            "train_steps_per_second": self.steps,
            "train_tokens_per_second": self.tokens,
        }
        speeds = {key: count / self.seconds for key, count in counts.items() if count and self.seconds}
        told = {"train_runtime": self.seconds, **speeds, **self._tokens()}
        with contextlib.suppress(Exception):  # a backend may do without what another needs of a model
            told |= _parameters_of(model)
        computing = _computing_parameters(model)
        if computing and self.tokens_with_padding:
            # forward and backward as Trainer counts them: of frozen parameters, too, and no activations computed again
            told["total_flos"] = 6 * computing * self.tokens_with_padding
        return {key: value for key, value in told.items() if self.steps == steps or key not in SUMS}

    def _tokens(self) -> dict[str, float]:
        if not self.tokens or not self.tokens_with_padding:
            return {}
        return {"num_input_tokens_seen": self.tokens, "padding_share": 1 - self.tokens / self.tokens_with_padding}


def _sum(total: int | None, more: int | None) -> int | None:
    return None if total is None or more is None else total + more


def _parameters_of(model: TrainableModel) -> dict[str, float]:
    """All parameters, and where some are frozen, those that are trained."""
    parameters = list(model.parameters())
    told = {"num_parameters": sum(parameter.numel() for parameter in parameters)}
    trained = sum(parameter.numel() for parameter in parameters if getattr(parameter, "requires_grad", True))
    return told if trained == told["num_parameters"] else {**told, "num_trainable_parameters": trained}


def _computing_parameters(model: TrainableModel) -> int | None:
    """The parameters that are multiplied with: all but the embeddings; None for a model that does not tell them."""
    with contextlib.suppress(Exception):  # a model of somebody's own may have anything under this name
        count = model.num_parameters(exclude_embeddings=True)  # type: ignore[attr-defined]
        return count if isinstance(count, int) else None
    return None
