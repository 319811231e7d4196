"""What a backend offers that leaves what stands between its steps to a `Fitting`. Light."""

from __future__ import annotations

CHECKPOINT_FORMAT = "ftrun.training 1"
"""What `Fitting` writes, for `Backend.checkpoint_format`. The number goes up when one version can no longer go on from
what another wrote."""

FITTING_KEYS = frozenset(
    {
        "bf16",
        "class_weights",
        "data_seed",
        "dataloader_drop_last",
        "dataloader_multiprocessing_context",
        "dataloader_num_workers",
        "dataloader_persistent_workers",
        "dataloader_pin_memory",
        "dataloader_prefetch_factor",
        "device",
        "early_stopping_patience",
        "early_stopping_threshold",
        "eval_delay",
        "eval_on_start",
        "eval_steps",
        "eval_strategy",
        "fp16",
        "full_determinism",
        "gradient_accumulation_steps",
        "gradient_checkpointing",
        "gradient_checkpointing_kwargs",
        "greater_is_better",
        "label_smoothing_factor",
        "load_best_model_at_end",
        "max_steps",
        "metric_for_best_model",
        "neftune_noise_alpha",
        "num_train_epochs",
        "per_device_eval_batch_size",
        "per_device_train_batch_size",
        "save_steps",
        "save_strategy",
        "save_total_limit",
        "tf32",
        "torch_compile",
        "torch_compile_backend",
        "torch_compile_mode",
        "torch_empty_cache_steps",
        "train_sampling_strategy",
    }
)
"""The keys of `[training]` that `Fitting` and `TorchSession` obey together, for `Backend.honours`."""

SCHEDULE_KEYS = frozenset({"lr_scheduler_kwargs", "lr_scheduler_type", "warmup_steps"})
"""Those that `build_scheduler` obeys; the learning rate is the optimizer's."""

OPTIMIZER_KEYS = frozenset(
    {"adam_beta1", "adam_beta2", "adam_epsilon", "learning_rate", "optim", "optim_args", "weight_decay"}
)
"""Those that `build_optimizer` obeys. What is left is `max_grad_norm`, which is the step's."""
