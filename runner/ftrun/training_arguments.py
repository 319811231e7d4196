"""What becomes of the keys of transformers' TrainingArguments that `[training]` does not take, each with the reason."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Refusal:
    """Why a key is not taken.

    Attributes:
        reason: A sentence that goes on from the key's place.
        instead: What to do.
    """

    reason: str
    instead: str = "Leave it out."


def _each(keys: str, reason: str, instead: str = "Leave it out.") -> Iterator[tuple[str, Refusal]]:
    return ((key, Refusal(reason, instead)) for key in keys.split())


NOT_TAKEN: Mapping[str, Refusal] = dict(
    [
        # what ftrun says elsewhere
        *_each("seed", "the seed is no setting of [training] alone", "Write seed = 42 at the top level of the file."),
        *_each(
            "output_dir overwrite_output_dir",
            "every run makes a folder of its own in runs/, and none is written twice",
        ),
        *_each("run_name", "what MLflow calls a run is a setting of [tracking]", "Write [tracking] run_name."),
        *_each(
            "project trackio_space_id trackio_bucket_id trackio_static_space_id",
            "runs go to MLflow, and not to Trackio",
            "MLflow's experiment is [tracking] experiment_name.",
        ),
        *_each(
            "report_to",
            "MLflow gets every run",
            "Leave it out; [tracking] says where MLflow is, and with enabled = false nothing is told.",
        ),
        *_each("use_cpu", "the device is named", 'Write device = "cpu".'),
        *_each("resume_from_checkpoint", "going on with a run is a command", "Say ftrun resume RUN."),
        *_each(
            "restore_callback_states_from_checkpoint ignore_data_skip",
            "a run that is resumed goes on just where it stopped",
        ),
        *_each(
            "do_train do_eval",
            "every run trains, and evaluates at its end",
            "Leave it out; eval_strategy says when to evaluate besides.",
        ),
        *_each(
            "do_predict",
            "a data set that names a test split has it measured, or predicted, at the end of the run",
            "Write [dataset] test, or say ftrun predict RUN afterwards.",
        ),
        *_each("label_names", "the data set says which column is the label", "Write [dataset] label_column."),
        # what is always so
        *_each(
            "logging_steps logging_strategy logging_first_step logging_nan_inf_filter",
            "every step is recorded, as it was",
        ),
        *_each("log_level log_level_replica log_on_each_node", "what libraries log goes to the run's log.txt"),
        *_each("disable_tqdm", "the progress that is shown is ftrun's own, and plain where nobody looks"),
        *_each("include_num_input_tokens_seen", "tokens are always counted"),
        *_each(
            "skip_memory_metrics",
            "memory is measured every ten seconds",
            "[tracking] system_metrics = false does without.",
        ),
        *_each("remove_unused_columns", "a model gets the columns that its tokenizer made, and the labels"),
        *_each(
            "prediction_loss_only batch_eval_metrics include_for_metrics eval_do_concat_batches "
            "eval_accumulation_steps eval_use_gather_object",
            "[[metrics]] are computed over the predictions for all rows of a split at once",
        ),
        *_each("save_only_model enable_jit_checkpoint", "a checkpoint holds all that it takes to go on from it"),
        *_each(
            "use_cache",
            "a model for classification or regression keeps no cache of keys and values as it trains",
        ),
        # what is not there yet
        *_each("fp16_full_eval", "an evaluation has the precision of the training", "fp16 = true is for both."),
        *_each("bf16_full_eval", "an evaluation has the precision of the training", "bf16 = true is for both."),
        *_each("optim_target_modules", "it is for optimizers of GaLore and APOLLO, which are not there"),
        *_each(
            "activation_checkpointing activation_checkpointing_kwargs",
            "it is called as most versions of transformers call it",
            "Write gradient_checkpointing = true.",
        ),
        *_each(
            "use_liger_kernel liger_kernel_config",
            "Liger's kernels are for decoders such as Llama, on a GPU: BERT and its kin they leave as they are without "
            "a word, and where they apply they replace functions of transformers for the whole process",
            "To be faster: bf16 = true, or torch_compile = true.",
        ),
        *_each(
            "auto_find_batch_size",
            "the batch size is the file's, and is never changed by what fits",
            "If memory runs out, halve per_device_train_batch_size and double gradient_accumulation_steps.",
        ),
        *_each("length_column_name", "the length of a row is that of its tokens"),
        *_each(
            "dataloader_in_order",
            "batches out of order are another curve in every run, by which worker was quicker",
        ),
        *_each(
            "push_to_hub hub_token hub_private_repo hub_model_id hub_strategy hub_always_push hub_revision",
            "a model goes to the Hub by a table of its own",
            'Write [push] repo = "user/name", or say ftrun push RUN afterwards.',
        ),
        *_each(
            "ddp_find_unused_parameters ddp_bucket_cap_mb ddp_broadcast_buffers ddp_static_graph ddp_backend "
            "ddp_timeout average_tokens_across_devices save_on_each_node local_rank parallelism_config",
            "a run trains in one process, on one device, so far",
        ),
        *_each(
            "fsdp fsdp_config", "a run trains in one process, on one device, so far: sharding by FSDP is not there yet"
        ),
        *_each("deepspeed", "a run trains in one process, on one device, so far: DeepSpeed is not there yet"),
        *_each(
            "accelerator_config",
            "how Accelerate is set up is settled, for one curve on every backend",
            "Accumulation is gradient_accumulation_steps; the order of the rows is data_seed's.",
        ),
        *_each(
            "debug",
            "what it looks for is looked for in every run: a loss that is not finite ends it by its step, before a "
            "checkpoint is written",
        ),
        # what older versions of transformers had
        *_each(
            "evaluation_strategy evaluate_during_training",
            "transformers calls it eval_strategy now, and so does ftrun",
            'Write eval_strategy = "epoch", "steps" or "no".',
        ),
        *_each(
            "warmup_ratio",
            "it has become a part of warmup_steps, which below 1 is a fraction of all steps",
            "Write warmup_steps = 0.1.",
        ),
        *_each("no_cuda use_mps_device", "the device is named", 'Write device = "cpu", "cuda" or "mps".'),
        *_each("logging_dir", "the curves go to MLflow and the run's journal, and TensorBoard's files are not written"),
        *_each("per_gpu_train_batch_size", "it is counted by device", "Write per_device_train_batch_size."),
        *_each("per_gpu_eval_batch_size", "it is counted by device", "Write per_device_eval_batch_size."),
        *_each("save_safetensors", "weights are always saved as safetensors"),
        *_each(
            "group_by_length",
            "it has become one of train_sampling_strategy",
            'Write train_sampling_strategy = "group_by_length".',
        ),
        *_each("adafactor", "it is one of the optimizers", 'Write optim = "adafactor".'),
        *_each("fp16_opt_level", "it was a level of Apex's, and float16 is torch's autocast", "Write fp16 = true."),
        *_each(
            "fp16_backend half_precision_backend",
            "half precision is torch's autocast, and there is no other",
            "Write bf16 = true or fp16 = true.",
        ),
        *_each(
            "torchdynamo jit_mode_eval use_ipex", "torch.compile has taken its place", "Write torch_compile = true."
        ),
        *_each("tpu_num_cores tpu_metrics_debug xpu_backend", "the devices so far are cpu, cuda and mps"),
        *_each(
            "sharded_ddp fsdp_min_num_params fsdp_transformer_layer_cls_to_wrap mp_parameters",
            "a run trains in one process, on one device, so far",
        ),
        *_each("split_batches dispatch_batches", "every backend reads the same batches in the same order"),
        *_each("ray_scope", "sweeps are not there yet"),
        *_each("past_index", "models that hand a state from batch to batch are not there"),
        *_each("include_inputs_for_metrics", "metrics are computed over predictions and labels"),
        *_each("include_tokens_per_second", "tokens a second are always recorded"),
        *_each(
            "push_to_hub_model_id push_to_hub_organization push_to_hub_token",
            "a model goes to the Hub by a table of its own",
            'Write [push] repo = "user/name", or say ftrun push RUN afterwards.',
        ),
        # what transformers has for models that write text
        *_each(
            "predict_with_generate generation_max_length generation_num_beams generation_config sortish_sampler",
            "models that write text are not there: a run learns classes, or numbers",
        ),
    ]
)
"""By key. A key of the installed TrainingArguments is here or in `TrainingSettings`; a test holds it to that."""

OTHER_SCHEDULES: Mapping[str, Refusal] = dict(
    _each("reduce_lr_on_plateau greedy", "it follows the evaluations, and to look at a run must not change its curve")
)
"""The schedules of transformers that `lr_scheduler_type` does not take, and why."""

OTHER_OPTIMIZERS: Mapping[str, Refusal] = dict(
    [
        *_each(
            "adalomo adamw_8bit adamw_anyprecision adamw_bnb_8bit adamw_torch_4bit adamw_torch_8bit ademamix "
            "ademamix_8bit apollo_adamw apollo_adamw_layerwise galore_adafactor galore_adafactor_layerwise "
            "galore_adamw galore_adamw_8bit galore_adamw_8bit_layerwise galore_adamw_layerwise grokadamw lion_32bit "
            "lion_8bit lomo paged_adamw_32bit paged_adamw_8bit paged_ademamix_32bit paged_ademamix_8bit "
            "paged_lion_32bit paged_lion_8bit rmsprop_bnb rmsprop_bnb_32bit rmsprop_bnb_8bit schedule_free_adamw "
            "schedule_free_radam schedule_free_sgd stable_adamw",
            "it is in a package of its own, and the optimizers are those that torch and transformers bring",
        ),
        *_each("adamw_torch_npu_fused adamw_torch_xla", "the devices so far are cpu, cuda and mps"),
    ]
)
"""The optimizers of transformers that `optim` does not take, and why."""

OTHER_SAMPLING: Mapping[str, Refusal] = dict(
    _each("batch_rebalance", "it evens out what several processes do, and a run trains in one process so far")
)
"""The orders of transformers that `train_sampling_strategy` does not take, and why."""
