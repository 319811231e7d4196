"""The plain PyTorch loop: section 3 of the course's chapter 3, with all that a loop needs in earnest."""

from __future__ import annotations

from typing import Any

import torch
from ftrun.contracts import FitResult, Job, Reporter
from ftrun.training.batches import Batch, rows_in, to_device
from ftrun.training.fitting import Fitting
from ftrun.training.optimization import build_optimizer, build_scheduler, largest_norm, learning_rate_of
from ftrun.training.session import TorchSession


class LoopSession(TorchSession):
    """Drives the loop itself."""

    def fit(self, job: Job, reporter: Reporter) -> FitResult:
        fitting = Fitting(job, reporter)
        horizon, training = fitting.horizon, job.training
        device = self.device
        model = job.model.to(device)
        optimizer = build_optimizer(model, training)
        scheduler = build_scheduler(optimizer, training, horizon.total_steps)
        fitting.restore(optimizer, scheduler)

        def forward(batch: Batch) -> Any:
            with torch.autocast(device.type, torch.bfloat16, enabled=training.bf16):
                output = model(**to_device(batch, device))
            output.loss = output.loss.float()
            return output

        step = fitting.first_step
        reporter.training_started(horizon.total_steps, step + 1)
        model.train()
        for group in fitting.groups(fitting.loader):
            rows = rows_in(group)
            losses = []
            for batch in group:
                loss = forward(batch).loss * (rows_in([batch]) / rows)
                loss.backward()
                losses.append(loss.detach())
            grad_norm = torch.nn.utils.clip_grad_norm_(model.parameters(), largest_norm(training))
            learning_rate = learning_rate_of(scheduler)
            optimizer.step()
            scheduler.step()
            optimizer.zero_grad()
            step += 1

            fitting.stepped(step, losses, learning_rate, grad_norm, rows)
            if horizon.evaluates_after(step):
                fitting.evaluate(step, forward)
            if fitting.saves_after(step):
                fitting.save(step, optimizer, scheduler)
            if fitting.stops_after(step):
                break
        return fitting.finish(step, forward, optimizer, scheduler)
