"""transformers' Trainer: section 2 of the course's chapter 3. Loop and callbacks are its own, the ingredients ours."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Any

import torch
from ftrun.contracts import FitResult, Job, Reporter
from ftrun.training.batches import Batch, rows_in, to_device
from ftrun.training.fitting import Fitting
from ftrun.training.optimization import build_optimizer, build_scheduler
from ftrun.training.session import TorchSession
from torch.optim.lr_scheduler import LRScheduler
from torch.utils.data import DataLoader
from transformers import Trainer, TrainerCallback, TrainerControl, TrainerState, TrainingArguments
from transformers.trainer_callback import PrinterCallback


class TrainerSession(TorchSession):
    """Trainer drives the loop."""

    def fit(self, job: Job, reporter: Reporter) -> FitResult:
        fitting = Fitting(job, reporter)
        use_cache = getattr(job.model.config, "use_cache", None)  # Trainer switches it off, and would save it so
        trainer = CurveTrainer(fitting, training_arguments(job, self.device))
        if use_cache is not None:
            job.model.config.use_cache = use_cache
        reporter.training_started(fitting.horizon.total_steps, fitting.first_step + 1)
        trainer.train(resume_from_checkpoint=str(job.resume_from) if job.resume_from else None)
        result = fitting.finish(trainer.state.global_step, trainer.forward, *trainer.built)
        trainer.accelerator.unwrap_model(trainer.model_wrapped, keep_fp32_wrapper=False)
        return result


def training_arguments(job: Job, device: torch.device) -> TrainingArguments:
    """Trainer's arguments, for its loop and for callbacks that read them; what is due when is the horizon's to say."""
    training = job.training
    arguments = TrainingArguments(
        str(job.run_folder / "checkpoints"),
        num_train_epochs=training.num_train_epochs,
        max_steps=training.max_steps,
        per_device_train_batch_size=training.per_device_train_batch_size,
        per_device_eval_batch_size=training.per_device_eval_batch_size,
        gradient_accumulation_steps=training.gradient_accumulation_steps,
        learning_rate=training.learning_rate,
        lr_scheduler_type=training.lr_scheduler_type,
        warmup_steps=training.warmup_steps,
        optim=training.optim,
        weight_decay=training.weight_decay,
        max_grad_norm=training.max_grad_norm,
        bf16=training.bf16,
        use_cpu=device.type == "cpu",
        seed=job.seed,
        data_seed=job.data_seed,
        eval_strategy="no",
        save_strategy="no",
        logging_strategy="no",
        logging_nan_inf_filter=False,
        disable_tqdm=True,
        report_to=[],
        remove_unused_columns=False,
    )
    arguments._n_gpu = min(arguments.n_gpu, 1)  # one process, one device: no DataParallel
    return arguments


class CurveTrainer(Trainer):
    """Trainer with what all backends share: batches, optimizer, schedule, loss, evaluation, checkpoints."""

    # compute_loss weights each batch by its share of the step's rows; Trainer must not divide it again
    loss_is_scaled_for_ga = True

    def __init__(self, fitting: Fitting, arguments: TrainingArguments) -> None:
        self.fitting = fitting
        self.losses: list[torch.Tensor] = []
        self.grad_norm = torch.zeros(())
        self.rows = 0
        super().__init__(fitting.job.model, arguments, train_dataset=fitting.job.train, callbacks=[_OnStep(self)])
        self.remove_callback(PrinterCallback)

    def forward(self, batch: Batch) -> Any:
        """The model's output for an evaluation batch."""
        return self.model_wrapped(**to_device(batch, self.args.device))

    def get_train_dataloader(self) -> DataLoader[Any]:
        loader: DataLoader[Any] = self.accelerator.prepare(self.fitting.loader)
        return loader

    @property
    def built(self) -> tuple[torch.optim.Optimizer, LRScheduler]:
        """Optimizer and schedule, once training has begun."""
        assert self.optimizer is not None and self.lr_scheduler is not None
        return self.optimizer, self.lr_scheduler

    def create_optimizer(self, model: torch.nn.Module | None = None) -> torch.optim.Optimizer:
        self.optimizer = build_optimizer(self.fitting.job.model, self.fitting.job.training)
        return self.optimizer

    def create_scheduler(self, num_training_steps: int, optimizer: torch.optim.Optimizer | None = None) -> Any:
        assert self.optimizer is not None
        self.lr_scheduler: Any = build_scheduler(self.optimizer, self.fitting.job.training, num_training_steps)
        return self.lr_scheduler

    def get_batch_samples(
        self, epoch_iterator: Iterator[Batch], num_batches: int, device: torch.device
    ) -> tuple[list[Batch], int]:
        group = list(islice(epoch_iterator, num_batches))
        self.losses, self.rows = [], rows_in(group)
        return group, self.rows

    def compute_loss(
        self,
        model: torch.nn.Module,
        inputs: Batch,
        return_outputs: bool = False,
        num_items_in_batch: Any = None,
    ) -> Any:
        output = model(**inputs)
        loss = output.loss * (rows_in([inputs]) / self.rows)
        self.losses.append(loss.detach())
        return (loss, output) if return_outputs else loss

    def _get_grad_norm(self, model: torch.nn.Module, grad_norm: Any = None) -> Any:
        self.grad_norm = super()._get_grad_norm(model, grad_norm=grad_norm)  # type: ignore[no-untyped-call]
        return self.grad_norm

    def evaluate(self, *_: Any, **__: Any) -> dict[str, float]:
        metrics = self.fitting.evaluate(self.state.global_step, self.forward)
        named = {key.replace("/", "_"): value for key, value in metrics.items()}
        self.control = self.callback_handler.on_evaluate(self.args, self.state, self.control, named)
        return named

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: torch.nn.Module | None = None) -> None:
        pass  # the fitting has loaded the weights

    def _load_optimizer_and_scheduler(self, checkpoint: str | None) -> None:
        self.fitting.restore(*self.built)

    def _load_rng_state(self, checkpoint: str | None) -> None:
        self.fitting.restore_random_states()

    def _run_epoch(self, *arguments: Any, **named: Any) -> None:
        # a run that had taken its last step when it died has no step left to take
        if not self.fitting.is_over(self.state.global_step):
            super()._run_epoch(*arguments, **named)  # type: ignore[no-untyped-call]

    def _save_checkpoint(self, model: torch.nn.Module, trial: Any) -> None:
        self.fitting.save(self.state.global_step, *self.built)


class _OnStep(TrainerCallback):
    """Reports every step and says what is due, in place of Trainer's own strategies."""

    def __init__(self, trainer: CurveTrainer) -> None:
        self.trainer = trainer
        self.learning_rate = 0.0

    def on_optimizer_step(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        self.learning_rate = kwargs["optimizer"].param_groups[0]["lr"]  # before the schedule moves on

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        trainer, fitting, step = self.trainer, self.trainer.fitting, state.global_step
        fitting.stepped(step, trainer.losses, self.learning_rate, trainer.grad_norm, trainer.rows)
        control.should_evaluate = fitting.horizon.evaluates_after(step)
        control.should_save = fitting.saves_after(step)
        self._obey(state, control)

    def on_evaluate(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        control.should_save = self.trainer.fitting.saves_after(state.global_step)
        self._obey(state, control)

    def on_save(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        self._obey(state, control)

    def _obey(self, state: TrainerState, control: TrainerControl) -> None:
        if self.trainer.fitting.stops_after(state.global_step):
            control.should_training_stop = True
