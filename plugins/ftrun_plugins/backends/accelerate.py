"""The loop under Accelerate: section 4 of the course's chapter 3."""

from __future__ import annotations

import contextlib
from typing import Any

from accelerate import Accelerator
from ftrun.contracts import FitResult, Job, Reporter
from ftrun.training.batches import Batch, rows_in, to_device
from ftrun.training.fitting import Fitting
from ftrun.training.optimization import build_optimizer, build_scheduler, largest_norm, learning_rate_of
from ftrun.training.session import TorchSession


class AccelerateSession(TorchSession):
    """Accelerate places the model and the batches, and handles precision and gradients."""

    def fit(self, job: Job, reporter: Reporter) -> FitResult:
        fitting = Fitting(job, reporter)
        horizon, training = fitting.horizon, job.training
        accelerator = Accelerator(cpu=self.device.type == "cpu", mixed_precision="bf16" if training.bf16 else "no")
        optimizer = build_optimizer(job.model.to(accelerator.device), training)
        model, loader, optimizer = accelerator.prepare(job.model, fitting.loader, optimizer)
        # not prepared: Accelerate's scheduler would step once a process, and the horizon counts steps already
        scheduler = build_scheduler(optimizer, training, horizon.total_steps)
        fitting.restore(optimizer, scheduler)

        def forward(batch: Batch) -> Any:
            return model(**to_device(batch, accelerator.device))

        step = fitting.first_step
        reporter.training_started(horizon.total_steps, step + 1)
        model.train()
        for group in fitting.groups(loader):
            rows = rows_in(group)
            losses = []
            for index, batch in enumerate(group):
                last = index == len(group) - 1
                with contextlib.nullcontext() if last else accelerator.no_sync(model):
                    loss = forward(batch).loss * (rows_in([batch]) / rows)
                    accelerator.backward(loss)
                losses.append(loss.detach())
            grad_norm = accelerator.clip_grad_norm_(model.parameters(), largest_norm(training))
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
        result = fitting.finish(step, forward, optimizer, scheduler)
        accelerator.unwrap_model(model, keep_fp32_wrapper=False)
        accelerator.free_memory()
        return result
