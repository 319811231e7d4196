"""The plain PyTorch loop: section 3 of the course's chapter 3. What stands between its steps is `ftrun.training`'s."""

from __future__ import annotations

from ftrun.contracts import FitResult, Job, Reporter
from ftrun.training import Fitting, TorchSession, build_optimizer, build_scheduler, largest_norm
from torch.nn.utils import clip_grad_norm_


class LoopSession(TorchSession):
    """Drives the loop itself."""

    def fit(self, job: Job, reporter: Reporter) -> FitResult:
        fitting = Fitting(job, reporter)
        model = job.model.to(self.device)
        optimizer = build_optimizer(model, job.training)
        scheduler = build_scheduler(optimizer, job.training, fitting.horizon.total_steps)

        for step in fitting.steps(optimizer, scheduler, self.forward(model)):
            for batch in step:
                step.loss(batch).backward()  # type: ignore[no-untyped-call]
            step.grad_norm = clip_grad_norm_(model.parameters(), largest_norm(job.training))
            optimizer.step()
            scheduler.step()
            optimizer.zero_grad()
        return fitting.finish()
