"""The plain PyTorch loop: section 3 of the course's chapter 3. What stands between its steps is `ftrun.training`'s."""

from __future__ import annotations

from ftrun.contracts import FitResult, Job, Reporter
from ftrun.training import Fitting, LossScaler, TorchSession, build_optimizer, build_scheduler, largest_norm
from torch.nn.utils import clip_grad_norm_


class LoopSession(TorchSession):
    """Drives the loop itself."""

    def fit(self, job: Job, reporter: Reporter) -> FitResult:
        fitting = Fitting(job, reporter)
        model = job.model.to(self.device)
        optimizer = build_optimizer(model, job.training)
        scheduler = build_scheduler(optimizer, job.training, fitting.horizon.total_steps)
        scaler = LossScaler(self.device, job.training)

        for step in fitting.steps(optimizer, scheduler, self.forward(model), scaler=scaler):
            for batch in step:
                scaler.scale(step.loss(batch)).backward()  # type: ignore[no-untyped-call]
            scaler.unscale_(optimizer)
            step.grad_norm = clip_grad_norm_(model.parameters(), largest_norm(job.training))
            scaler.step(optimizer)
            scaler.update()
            if not scaler.step_was_skipped:
                scheduler.step()
            optimizer.zero_grad()
        return fitting.finish()
