"""Building a sequence-classification model with its tokenizer."""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from ftrun.contracts import BuiltModel, Task
from ftrun.errors import ExperimentError, Problem, nearest
from safetensors.torch import load_file
from transformers import (
    CONFIG_MAPPING,
    MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING,
    AutoConfig,
    AutoModelForSequenceClassification,
    PretrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)

from ftrun_plugins.models import CheckpointSettings, ConfigurationSettings, TextSettings
from ftrun_plugins.models.checkpoints import Checkpoint, open_checkpoint
from ftrun_plugins.models.freezing import freeze
from ftrun_plugins.models.heads import Head, choose_head
from ftrun_plugins.models.lora import Adapted, adapted
from ftrun_plugins.models.tokenizers import (
    Encoder,
    check_padding,
    end_of_rows,
    fit_inputs,
    limit_of,
    load_tokenizer,
    said,
    tokenizer_digest,
    unknown_to_model,
)

DECIDED = {
    **dict.fromkeys(("id2label", "label2id", "num_labels", "problem_type"), "the data set"),
    "pad_token_id": "the tokenizer: [model] pad_token",
    **dict.fromkeys(("dtype", "torch_dtype"), "[training] bf16, and weights are float32"),
    "return_dict": "ftrun, which asks a model's outputs for by their names",
}
"""Values of a configuration that are not for the file to set, and who sets them."""
PROBLEM_TYPES: Mapping[str, Any] = {
    "classification": "single_label_classification",
    "multi_label": "multi_label_classification",
    "regression": "regression",
}
"""transformers' names of kinds of task, by which a model chooses its loss."""
ENCODE_VERSION = 2
"""Goes up with every change of what `Encoder` does, so that no encoded split of before is taken from the cache."""


def from_checkpoint(settings: CheckpointSettings, task: Task) -> BuiltModel:
    """The pretrained weights with a head for the task, its weights drawn from the global generator if it is fresh.

    Raises:
        ExperimentError: If the model or its tokenizer does not suit the task.
        RunError: If the checkpoint is not in the cache and the Hub is out of reach.
    """
    checkpoint = open_checkpoint(settings.checkpoint, settings.revision, "model.checkpoint")
    config = _config(checkpoint)
    has_head = _has_head(checkpoint, config)
    head = choose_head(checkpoint, config, task, settings) if has_head else Head(fresh=True)
    tokenizer = load_tokenizer(checkpoint, settings)
    check_padding(config, tokenizer, checkpoint.place)
    _describe_task(config, task, settings, tokenizer, head)
    model, fresh, notices = _pretrained(checkpoint, config, head)
    told = [*checkpoint.notices, *head.notices, *notices]
    origin = checkpoint.source, checkpoint.digest()
    built = _built(model, tokenizer, task, settings, checkpoint, origin, head, told)
    return adapted(built, model, settings, fresh) if settings.lora else built


def from_adapter(settings: CheckpointSettings, folder: Path, task: Task) -> BuiltModel:
    """A model as a checkpoint of its training with LoRA has it: the checkpoint that it began with, and the adapter.

    Args:
        settings: Of the training.
        folder: Where the adapter is.
        task: What it has learnt.

    Raises:
        ExperimentError: If it is another model's, or the one that it began with is not there any more.
    """
    built = from_checkpoint(settings, task)
    assert isinstance(built.model, Adapted)
    built.model.load_checkpoint(folder)
    return replace(built, notices=())


def from_saved(settings: TextSettings, folder: Path, task: Task) -> BuiltModel:
    """A fine-tuned model as `save_pretrained` wrote it, with its head; nothing of it is drawn.

    Args:
        settings: Of the training; what they say of the tokenizer holds.
        folder: Where it is.
        task: What it has learnt.

    Raises:
        ExperimentError: If it is none, is damaged, or has no head for the task.
    """
    checkpoint = open_checkpoint(str(folder), None, "model")
    config = _config(checkpoint)
    if not _has_head(checkpoint, config) or not set(_outputs(config)) <= set(checkpoint.weights):
        hint = "Take a model that was fine-tuned: a run, its model folder, or a checkpoint."
        raise checkpoint.error("it has no head that was trained to classify texts, so it predicts nothing", hint)
    told = CheckpointSettings(
        checkpoint=str(folder),
        max_length=settings.max_length,
        pad_token=settings.pad_token,
        revision=None,
        dropout=None,
        lora=None,
    )
    return from_checkpoint(told, task)


def from_config(settings: ConfigurationSettings, task: Task) -> BuiltModel:
    """A model with random weights, drawn from the global generator; its vocabulary is the tokenizer's.

    Raises:
        ExperimentError: If the configuration makes no such model.
        RunError: If the tokenizer is not in the cache and the Hub is out of reach.
    """
    checkpoint = open_checkpoint(settings.tokenizer, settings.revision, "model.tokenizer")
    tokenizer = load_tokenizer(checkpoint, settings)
    config = _fresh_config(settings, tokenizer)
    check_padding(config, tokenizer, "model.config")
    _describe_task(config, task, settings, tokenizer, Head())
    try:
        model = AutoModelForSequenceClassification.from_config(config)  # type: ignore[no-untyped-call]
    except Exception as error:  # shapes that do not fit are told by torch, each in its own way
        message = f"{settings.model_type} makes no sequence-classification model with this configuration: "
        raise ExperimentError(Problem(message + said(error), "model.config")) from error
    origin = f"{settings.model_type} from a configuration", checkpoint.digest(with_weights=False)
    return _built(model, tokenizer, task, settings, checkpoint, origin, Head(), checkpoint.notices)


def _config(checkpoint: Checkpoint) -> PretrainedConfig:
    """The configuration of a checkpoint for which transformers has a head for texts.

    Raises:
        ExperimentError: If it is none.
    """
    checkpoint.check_is_model()
    raw = checkpoint.read_json("config.json")
    kind = raw.get("model_type")
    if not isinstance(kind, str):
        raise checkpoint.error("its config.json names no model_type, so it is no model of transformers")
    if kind not in CONFIG_MAPPING:
        if "auto_map" in raw:
            raise checkpoint.error("its model is code of its own, and ftrun runs no code that comes with a checkpoint")
        raise checkpoint.error(f'transformers knows no model_type "{kind}", which its config.json names')
    try:
        config: PretrainedConfig = AutoConfig.from_pretrained(
            checkpoint.folder, local_files_only=True, trust_remote_code=False
        )
    except Exception as error:  # each configuration checks its values in its own way
        raise checkpoint.error(f"its config.json makes no configuration of {kind}: {said(error)}") from error
    if type(config) not in MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING:
        raise checkpoint.error(f'it is of the type "{kind}", which transformers gives no head to classify texts')
    return config


def _has_head(checkpoint: Checkpoint, config: PretrainedConfig) -> bool:
    """Whether a checkpoint has a head for texts.

    Heads of other kinds (for tokens, for multiple choice) have outputs of the same names, so that not the weights tell
    but the architecture does, where it is named.
    """
    if config.architectures:
        return any(name.endswith("ForSequenceClassification") for name in config.architectures)
    try:
        outputs = set(_outputs(config))
    except Exception as error:  # shapes that do not fit are told by torch, each in its own way
        raise checkpoint.error(f"its config.json makes no model: {said(error)}") from error
    return not outputs.isdisjoint(checkpoint.weights)


def _fresh_config(settings: ConfigurationSettings, tokenizer: PreTrainedTokenizerBase) -> PretrainedConfig:
    if decided := sorted(DECIDED.keys() & settings.config.keys()):
        problems = [Problem(f"this is decided by {DECIDED[key]}", f"model.config.{key}") for key in decided]
        raise ExperimentError(*problems)
    given = {"vocab_size": len(tokenizer), "pad_token_id": tokenizer.pad_token_id, **settings.config}
    if settings.model_type not in CONFIG_MAPPING:
        known = nearest(settings.model_type, CONFIG_MAPPING)
        hint = f"Did you mean {known}?" if known else None
        raise ExperimentError(Problem(f'transformers knows no "{settings.model_type}"', "model.model_type", hint))
    try:
        config = AutoConfig.for_model(settings.model_type, **given)
    except Exception as error:  # each configuration checks its values in its own way
        message = f"these values make no configuration of {settings.model_type}: {said(error)}"
        raise ExperimentError(Problem(message, "model.config")) from error
    if type(config) not in MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING:
        message = f'transformers gives "{settings.model_type}" no head to classify texts'
        raise ExperimentError(Problem(message, "model.model_type"))
    unknown = sorted(set(settings.config) - set(type(config)().to_dict()))
    if unknown:
        message = f"{type(config).__name__} has no {', '.join(unknown)}"
        raise ExperimentError(Problem(message, "model.config"))
    if config.is_encoder_decoder:
        _let_decode(config, settings, tokenizer)
    return config


def _let_decode(config: PretrainedConfig, settings: ConfigurationSettings, tokenizer: PreTrainedTokenizerBase) -> None:
    """Tell a decoder what begins its input and what ends a row, where the configuration does not, as T5's."""
    if getattr(config, "decoder_start_token_id", None) is None:
        config.decoder_start_token_id = tokenizer.pad_token_id
    if "eos_token_id" not in settings.config and tokenizer.eos_token_id is not None:
        config.eos_token_id = tokenizer.eos_token_id


def _describe_task(
    config: PretrainedConfig, task: Task, settings: TextSettings, tokenizer: PreTrainedTokenizerBase, head: Head
) -> None:
    """Write into the configuration what the saved model is to know of the task."""
    if head.class_names is None:
        names = task.class_names or (task.label_column,)
        config.id2label = dict(enumerate(names))
    config.label2id = {str(name): int(index) for index, name in (config.id2label or {}).items()}
    config.problem_type = PROBLEM_TYPES[task.kind]
    config.return_dict = True
    config.pad_token_id = tokenizer.pad_token_id
    if settings.dropout is not None:
        for name, value in config.to_dict().items():
            if (
                ("dropout" in name or "drop_prob" in name)
                and isinstance(value, (int, float))
                and not isinstance(value, bool)
            ):
                setattr(config, name, settings.dropout)


def _pretrained(
    checkpoint: Checkpoint, config: PretrainedConfig, head: Head
) -> tuple[PreTrainedModel, Sequence[str], list[str]]:
    """The model with the checkpoint's weights, those tensors that it has not, and what is to be told of them.

    Raises:
        ExperimentError: If the weights are damaged, or are not those of the configuration's model.
    """
    stored = set(checkpoint.weights)
    try:
        dropped = set(_outputs(config)) & stored if head.fresh else set()
        if dropped:
            loaded = _without(checkpoint, dropped, config)
        else:
            loaded = AutoModelForSequenceClassification.from_pretrained(checkpoint.folder, config=config, **_LOADING)
    except Exception as error:  # what safetensors, torch and transformers raise has no common base
        raise checkpoint.error(f"its weights cannot be loaded: {said(error)}") from error
    model, info = loaded
    _check_loaded(checkpoint, model, info)
    notices = []
    if fresh := sorted(info["missing_keys"]):
        heads = ", ".join(sorted({key.rpartition(".")[0] or key for key in fresh}))
        notices.append(f"freshly drawn, to be learnt: {heads} ({config.num_labels} outputs)")
    if left := _left_over(model, info):
        notices.append(f"its weights hold {len(left)} tensors that the model has no place for, such as {left[0]}")
    return model, fresh, notices


def _left_over(model: PreTrainedModel, info: Mapping[str, Any]) -> list[str]:
    """Stored tensors of the model below its head that its configuration does not ask for, such as further layers."""
    base = model.base_model_prefix
    parts = {name for name, _ in getattr(model, base, model).named_children()}
    names = {key: key.removeprefix(f"{base}.").partition(".")[0] for key in info["unexpected_keys"]}
    return sorted(key for key, part in names.items() if part in parts and "pooler" not in key)


_LOADING: Mapping[str, Any] = {
    "dtype": torch.float32,
    "use_safetensors": True,
    "local_files_only": True,
    "trust_remote_code": False,
    "ignore_mismatched_sizes": True,  # told by `_check_loaded`, by name
    "output_loading_info": True,
}


def _without(checkpoint: Checkpoint, dropped: set[str], config: PretrainedConfig) -> Any:
    """As transformers loads a checkpoint whose weights do not hold these tensors."""
    tensors: dict[str, torch.Tensor] = {}
    for file in sorted(set(checkpoint.weights.values())):
        tensors |= {name: tensor for name, tensor in load_file(file).items() if name not in dropped}
    return _class_of(config).from_pretrained(None, config=config, state_dict=tensors, **_LOADING)


def _class_of(config: PretrainedConfig) -> Any:
    found = MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING[type(config)]
    return found[0] if isinstance(found, (list, tuple)) else found


def _outputs(config: PretrainedConfig) -> list[str]:
    """The tensors of a model whose size is the number of labels, by name."""

    def shapes(count: int) -> dict[str, Any]:
        changed = copy.deepcopy(config)
        changed.num_labels = count
        with torch.device("meta"):
            return {name: tensor.shape for name, tensor in _class_of(config)(changed).state_dict().items()}

    two, three = shapes(2), shapes(3)
    return [name for name in two if two[name] != three[name]]


def _check_loaded(checkpoint: Checkpoint, model: PreTrainedModel, info: Mapping[str, Any]) -> None:
    """Whether the weights are those of the model that the configuration describes.

    Raises:
        ExperimentError: If tensors of the model below its head are not there, or are of another size.
    """
    hint = "config.json and the weights do not belong together."
    if info["mismatched_keys"]:
        name, stored, wanted = sorted(info["mismatched_keys"])[0]
        message = f"{name} is {_size(stored)} in its weights, and {_size(wanted)} by its config.json"
        raise checkpoint.error(message, hint)
    base = f"{model.base_model_prefix}."
    lost = sorted(key for key in info["missing_keys"] if key.startswith(base) and "pooler" not in key)
    if lost:
        count = len(model.state_dict())
        raise checkpoint.error(f"its weights lack {len(lost)} of the model's {count} tensors, such as {lost[0]}", hint)


def _size(shape: Sequence[int]) -> str:
    return " x ".join(map(str, shape))


def _built(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    task: Task,
    settings: TextSettings,
    checkpoint: Checkpoint,
    origin: tuple[str, str],
    head: Head,
    notices: Sequence[str],
) -> BuiltModel:
    fit_inputs(tokenizer, model)
    freeze(model, settings.freeze)
    known_tokens = unknown_to_model(model.config, tokenizer)
    limit = limit_of(model, tokenizer, task, settings.max_length)
    names = task.class_names or ()
    label_ids = {names.index(name): output for output, name in enumerate(head.class_names or ())}
    facts = [limit.length, task.kind, sorted(label_ids.items()), known_tokens, tokenizer.model_input_names]
    end = end_of_rows(model.config, tokenizer, task, checkpoint.place)
    encoder = Encoder(tokenizer, task, limit.length, label_ids, known_tokens, end)
    source, digest = origin
    return BuiltModel(
        model=model,
        tokenizer=tokenizer,
        encode=encoder,
        encode_key=json.dumps([ENCODE_VERSION, tokenizer_digest(tokenizer), *facts]),
        source=source,
        notices=[*notices, *limit.notices],
        digest=digest,
        class_names=head.class_names,
        max_length=limit.length,
        lengths=encoder.lengths,
    )
