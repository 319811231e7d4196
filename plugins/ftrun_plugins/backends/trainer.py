"""transformers' Trainer: section 2 of the course's chapter 3. Loop and callbacks are its own, the ingredients ours."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from itertools import islice
from typing import Any, cast

import torch
from ftrun.contracts import FitResult, Job, ModelOutput, Reporter
from ftrun.training import Batch, Fitting, LossScaler, Step, TorchSession, build_optimizer, build_scheduler, to_device
from torch.optim.lr_scheduler import LRScheduler
from torch.utils.data import DataLoader
from transformers import PreTrainedModel, Trainer, TrainerCallback, TrainerControl, TrainerState, TrainingArguments
from transformers.trainer_callback import PrinterCallback
from transformers.training_args import OptimizerNames


class TrainerSession(TorchSession):
    """Trainer drives the loop."""

    def fit(self, job: Job, reporter: Reporter) -> FitResult:
        fitting = Fitting(job, reporter)
        with _configuration_kept(job.model):
            trainer = CurveTrainer(fitting, training_arguments(job, self.device, fitting.evaluates_first))
        trainer.train(resume_from_checkpoint=str(job.resume_from) if job.resume_from else None)
        result = fitting.finish()
        trainer.accelerator.unwrap_model(trainer.model_wrapped, keep_fp32_wrapper=False)
        return result


@contextlib.contextmanager
def _configuration_kept(model: Any) -> Iterator[None]:
    """Trainer sets `use_cache` in a model's `config`, and would save it so; another model's may be anything at all."""
    hidden = not isinstance(model, PreTrainedModel) and "config" in vars(model)
    own = {"config": vars(model).pop("config")} if hidden else {}
    config: Any = getattr(model, "config", None)
    use_cache = getattr(config, "use_cache", None)
    try:
        yield
    finally:
        if use_cache is not None:
            config.use_cache = use_cache
        vars(model).update(own)


def training_arguments(job: Job, device: torch.device, evaluates_first: bool = False) -> TrainingArguments:
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
        lr_scheduler_kwargs=training.lr_scheduler_kwargs,
        warmup_steps=training.warmup_steps,
        optim=training.optim
        if training.optim in list(OptimizerNames)
        else "adamw_torch",  # ours, whatever it is called
        train_sampling_strategy=training.train_sampling_strategy,
        weight_decay=training.weight_decay,
        max_grad_norm=training.max_grad_norm,
        bf16=training.bf16,
        fp16=training.fp16,
        use_cpu=device.type == "cpu",
        seed=job.seed,
        data_seed=job.data_seed,
        eval_strategy="no",
        eval_on_start=evaluates_first,
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

    # a step's loss is the sum of what its batches add to it; Trainer must not divide it again
    loss_is_scaled_for_ga = True

    def __init__(self, fitting: Fitting, arguments: TrainingArguments) -> None:
        self.fitting = fitting
        self.step: Step | None = None
        model = cast(torch.nn.Module, fitting.job.model)
        super().__init__(model, arguments, train_dataset=cast(Any, fitting.job.train), callbacks=[_OnStep(self)])
        self.remove_callback(PrinterCallback)
        self.scaler = LossScaler(arguments.device, fitting.job.training)
        if self.scaler.is_enabled():
            self.accelerator.scaler = self.scaler  # its own does not see a fused optimizer's skipped steps

    def forward(self, batch: Batch) -> ModelOutput:
        """The model's output for a batch."""
        output: ModelOutput = self.model_wrapped(**to_device(batch, self.args.device))
        return output

    def get_train_dataloader(self) -> DataLoader[Any]:
        self.fitting.loader = self.accelerator.prepare(self.fitting.loader)
        return self.fitting.loader

    def create_optimizer(self, model: torch.nn.Module | None = None) -> torch.optim.Optimizer:
        self.optimizer = build_optimizer(self.fitting.job.model, self.fitting.job.training)
        return self.optimizer

    def create_scheduler(self, num_training_steps: int, optimizer: torch.optim.Optimizer | None = None) -> LRScheduler:
        assert self.optimizer is not None
        scheduler = build_scheduler(self.optimizer, self.fitting.job.training, num_training_steps)
        self.fitting.begin(self.optimizer, scheduler, self.forward, self.scaler)
        self.lr_scheduler: Any = scheduler
        return scheduler

    def get_batch_samples(
        self, epoch_iterator: Iterator[Batch], num_batches: int, device: torch.device
    ) -> tuple[list[Batch], int]:
        batches = list(islice(epoch_iterator, num_batches))
        self.step = self.fitting.begin_step(batches)
        return batches, self.step.rows

    def compute_loss(
        self,
        model: torch.nn.Module,
        inputs: Batch,
        return_outputs: bool = False,
        num_items_in_batch: Any = None,
    ) -> Any:
        assert self.step is not None
        output = model(**inputs)
        loss = self.step.loss_of(output, inputs)
        return (loss, output) if return_outputs else loss

    def _get_grad_norm(self, model: torch.nn.Module, grad_norm: Any = None) -> Any:
        assert self.step is not None
        self.step.grad_norm = super()._get_grad_norm(model, grad_norm=grad_norm)  # type: ignore[no-untyped-call]
        return self.step.grad_norm

    def evaluate(self, *_: Any, **__: Any) -> dict[str, float]:
        metrics = {key.replace("/", "_"): value for key, value in self.fitting.evaluate().items()}
        self.control = self.callback_handler.on_evaluate(self.args, self.state, self.control, metrics)
        return metrics

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: torch.nn.Module | None = None) -> None:
        pass  # the fitting has loaded the weights

    def _load_optimizer_and_scheduler(self, checkpoint: str | None) -> None:
        pass  # the fitting has put them where they were

    def _load_scaler(self, checkpoint: str | None) -> None:
        pass  # nor that

    def _load_rng_state(self, checkpoint: str | None) -> None:
        self.fitting.restore_random_states()

    def _run_epoch(self, *arguments: Any, **named: Any) -> None:
        # a run that had taken its last step when it died has no step left to take
        if not self.fitting.is_over:
            super()._run_epoch(*arguments, **named)  # type: ignore[no-untyped-call]

    def _save_checkpoint(self, model: torch.nn.Module, trial: Any) -> None:
        self.fitting.save()


class _OnStep(TrainerCallback):
    """Reports every step and says what is due, in place of Trainer's own strategies."""

    def __init__(self, trainer: CurveTrainer) -> None:
        self.trainer = trainer
        self.fitting = trainer.fitting

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        assert self.trainer.step is not None
        self.fitting.end_step(self.trainer.step)
        control.should_evaluate = self.fitting.evaluation_due
        self._say_what_is_due(control)

    def on_evaluate(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        self._say_what_is_due(control)

    def on_save(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        control.should_training_stop |= self.fitting.stops

    def _say_what_is_due(self, control: TrainerControl) -> None:
        control.should_save = self.fitting.checkpoint_due
        control.should_training_stop |= self.fitting.stops
