"""The loop under Accelerate: section 4 of the course's chapter 3."""

from __future__ import annotations

import contextlib

from accelerate import Accelerator
from ftrun.contracts import FitResult, Job, ModelOutput, Reporter
from ftrun.training import (
    Batch,
    Fitting,
    LossScaler,
    TorchSession,
    build_optimizer,
    build_scheduler,
    largest_norm,
    to_device,
)

PRECISIONS = {"float32": "no", "bfloat16": "bf16", "float16": "fp16"}


class AccelerateSession(TorchSession):
    """Accelerate places the model and the batches, and handles precision and gradients."""

    def fit(self, job: Job, reporter: Reporter) -> FitResult:
        fitting = Fitting(job, reporter)
        precision = PRECISIONS[job.training.precision]
        accelerator = Accelerator(cpu=self.device.type == "cpu", mixed_precision=precision)
        scaler = LossScaler(accelerator.device, job.training)
        if scaler.is_enabled():
            accelerator.scaler = scaler  # in place of its own, by which a fused optimizer's skipped steps go unseen
        optimizer = build_optimizer(job.model.to(accelerator.device), job.training)
        model, loader, optimizer = accelerator.prepare(job.model, fitting.loader, optimizer)
        # not prepared: Accelerate's scheduler would step once a process, and the horizon counts steps already
        scheduler = build_scheduler(optimizer, job.training, fitting.horizon.total_steps)

        def forward(batch: Batch) -> ModelOutput:
            output: ModelOutput = model(**to_device(batch, accelerator.device))
            return output

        for step in fitting.steps(optimizer, scheduler, forward, loader, scaler):
            for batch in step:
                with contextlib.nullcontext() if step.is_last_batch else accelerator.no_sync(model):
                    accelerator.backward(step.loss(batch))
            step.grad_norm = accelerator.clip_grad_norm_(model.parameters(), largest_norm(job.training))
            optimizer.step()
            if not accelerator.optimizer_step_was_skipped:
                scheduler.step()
            optimizer.zero_grad()
        result = fitting.finish()
        accelerator.unwrap_model(model, keep_fp32_wrapper=False)
        accelerator.free_memory()
        return result
