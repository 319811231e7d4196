"""What a PyTorch backend needs besides its step: rows in order, what is due when, optimizer and schedule, loss,
evaluation, the best model, checkpoints, and a process left as it was. Public, and the one wing that imports torch.

A backend of one's own is its step. One that trains by SGD, whole; it offers the keys that it obeys, and any other that
a file sets is refused:

    from ftrun import hookimpl
    from ftrun.contracts import Backend
    from ftrun.training import CHECKPOINT_FORMAT, FITTING_KEYS, SCHEDULE_KEYS, disagreements

    HONOURS = FITTING_KEYS | SCHEDULE_KEYS | {"learning_rate", "weight_decay", "max_grad_norm"}

    def build(settings, training):
        import torch
        from ftrun.training import Fitting, TorchSession, build_scheduler, decay_groups, largest_norm

        class SgdSession(TorchSession):
            def fit(self, job, reporter):
                fitting = Fitting(job, reporter)
                model = job.model.to(self.device)
                groups = decay_groups(model, job.training.weight_decay)
                optimizer = torch.optim.SGD(groups, lr=job.training.learning_rate, momentum=0.9)
                scheduler = build_scheduler(optimizer, job.training, fitting.horizon.total_steps)
                for step in fitting.steps(optimizer, scheduler, self.forward(model)):
                    for batch in step:
                        step.loss(batch).backward()
                    step.grad_norm = torch.nn.utils.clip_grad_norm_(model.parameters(), largest_norm(job.training))
                    optimizer.step()
                    scheduler.step()
                    optimizer.zero_grad()
                return fitting.finish()

        return SgdSession(training)

    @hookimpl
    def ftrun_backends():
        return [
            Backend(
                name="sgd", summary="SGD with momentum", build=build, check_environment=disagreements,
                honours=HONOURS, checkpoint_format=CHECKPOINT_FORMAT,
            )
        ]

The order of calls, as a run makes them:

1. `build` makes the session, and `with session:` enters it; `TorchSession` sees to device, seeds and the process.
2. `fit(job, reporter)` is called, with generators seeded: a `Fitting` of the two takes the checkpoint's weights where
   the run resumes. Only then the model goes to its device, and optimizer and schedule are made of it, for
   `fitting.horizon.total_steps`.
3. `fitting.steps(optimizer, scheduler, forward)` puts both where the checkpoint has them, says that training starts and
   gives one `Step` after another. A step is taken in this order: `step.loss(batch)` and its gradients for each batch,
   `step.grad_norm`, `optimizer.step()`, `scheduler.step()`, `optimizer.zero_grad()`. As the next one is asked for, the
   fitting reports, evaluates, saves and ends the loop, as the settings have it; it is not left by `break`. In a step of
   several passes the first loss of each batch is recorded.
4. `fitting.finish()` evaluates for the last time, takes the best model where that is asked for, saves it, and gives
   what `fit` returns.
5. `predict(job, rows)` may be called at any time in the session; it is `TorchSession`'s.

To train in float16 the loss is scaled for its gradients: `scaler = LossScaler(self.device, job.training)`, handed to
`fitting.steps(..., scaler=scaler)`, and a step is `scaler.scale(step.loss(batch))` and its gradients for each batch,
`scaler.unscale_(optimizer)`, `step.grad_norm`, `scaler.step(optimizer)`, `scaler.update()`, `scheduler.step()` unless
`scaler.step_was_skipped`, `optimizer.zero_grad()`. Without `fp16` the scaler does nothing. A backend that does so has
"float16" among its `precisions`.

Importing this, or `ftrun.training.environment`, imports nothing heavy; other names are imported on their first use, and
so `help(ftrun.training)` lists none of them. `ftrun.training.__all__` does, and `help(ftrun.training.Fitting)` and the
like say what each is.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ftrun.training.batches import Batch as Batch
    from ftrun.training.batches import EpochBatches as EpochBatches
    from ftrun.training.batches import evaluation_loader as evaluation_loader
    from ftrun.training.batches import rows_in as rows_in
    from ftrun.training.batches import to_device as to_device
    from ftrun.training.batches import training_loader as training_loader
    from ftrun.training.environment import disagreements as disagreements
    from ftrun.training.evaluation import metrics_of as metrics_of
    from ftrun.training.evaluation import predict as predict
    from ftrun.training.fitting import Fitting as Fitting
    from ftrun.training.objective import Objective as Objective
    from ftrun.training.offers import CHECKPOINT_FORMAT as CHECKPOINT_FORMAT
    from ftrun.training.offers import FITTING_KEYS as FITTING_KEYS
    from ftrun.training.offers import OPTIMIZER_KEYS as OPTIMIZER_KEYS
    from ftrun.training.offers import SCHEDULE_KEYS as SCHEDULE_KEYS
    from ftrun.training.optimization import Horizon as Horizon
    from ftrun.training.optimization import build_optimizer as build_optimizer
    from ftrun.training.optimization import build_scheduler as build_scheduler
    from ftrun.training.optimization import decay_groups as decay_groups
    from ftrun.training.optimization import largest_norm as largest_norm
    from ftrun.training.optimization import learning_rate_of as learning_rate_of
    from ftrun.training.scaling import LossScaler as LossScaler
    from ftrun.training.selection import Selection as Selection
    from ftrun.training.session import TorchSession as TorchSession
    from ftrun.training.state import load_weights as load_weights
    from ftrun.training.state import write_checkpoint as write_checkpoint
    from ftrun.training.step import Forward as Forward
    from ftrun.training.step import Step as Step

__all__ = [
    "CHECKPOINT_FORMAT",
    "FITTING_KEYS",
    "OPTIMIZER_KEYS",
    "SCHEDULE_KEYS",
    "Batch",
    "EpochBatches",
    "Fitting",
    "Forward",
    "Horizon",
    "LossScaler",
    "Objective",
    "Selection",
    "Step",
    "TorchSession",
    "build_optimizer",
    "build_scheduler",
    "decay_groups",
    "disagreements",
    "evaluation_loader",
    "largest_norm",
    "learning_rate_of",
    "load_weights",
    "metrics_of",
    "predict",
    "rows_in",
    "to_device",
    "training_loader",
    "write_checkpoint",
]

_MODULES = {
    "batches": "Batch EpochBatches evaluation_loader rows_in to_device training_loader",
    "environment": "disagreements",
    "evaluation": "metrics_of predict",
    "fitting": "Fitting",
    "objective": "Objective",
    "offers": "CHECKPOINT_FORMAT FITTING_KEYS OPTIMIZER_KEYS SCHEDULE_KEYS",
    "optimization": "Horizon build_optimizer build_scheduler decay_groups largest_norm learning_rate_of",
    "scaling": "LossScaler",
    "selection": "Selection",
    "session": "TorchSession",
    "state": "load_weights write_checkpoint",
    "step": "Forward Step",
}
_PLACES = {name: module for module, names in _MODULES.items() for name in names.split()}


def __getattr__(name: str) -> object:
    if name in _PLACES:
        return getattr(import_module(f"ftrun.training.{_PLACES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
