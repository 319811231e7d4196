"""The step of SGD; all else is `ftrun.training`'s."""

from __future__ import annotations

import torch
from ftrun.contracts import FitResult, Job, Reporter
from ftrun.settings import TrainingSettings
from ftrun.training import Fitting, TorchSession, build_scheduler, decay_groups, largest_norm

from ftrun_sgd import SgdSettings


class SgdSession(TorchSession):
    """Trains by SGD."""

    def __init__(self, settings: SgdSettings, training: TrainingSettings) -> None:
        super().__init__(training)
        self.settings = settings

    def fit(self, job: Job, reporter: Reporter) -> FitResult:
        """Train, as `ftrun.contracts.BackendSession` says."""
        fitting = Fitting(job, reporter)
        model = job.model.to(self.device)
        optimizer = torch.optim.SGD(
            decay_groups(model, job.training.weight_decay),
            lr=job.training.learning_rate,
            momentum=self.settings.momentum,
            nesterov=self.settings.nesterov,
        )
        scheduler = build_scheduler(optimizer, job.training, fitting.horizon.total_steps)
        for step in fitting.steps(optimizer, scheduler, self.forward(model)):
            for batch in step:
                step.loss(batch).backward()  # type: ignore[no-untyped-call]
            step.grad_norm = torch.nn.utils.clip_grad_norm_(model.parameters(), largest_norm(job.training))
            optimizer.step()
            scheduler.step()
            optimizer.zero_grad()
        return fitting.finish()
