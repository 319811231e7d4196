"""Building a sequence-classification model with its tokenizer, and encoding text for it."""

from __future__ import annotations

import copy
import hashlib
import json
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ftrun.contracts import BuiltModel, Encode, Task
from ftrun.errors import ExperimentError, Problem
from transformers import (
    AutoConfig,
    AutoModelForSequenceClassification,
    AutoTokenizer,
    PretrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)

from ftrun_plugins import hub
from ftrun_plugins.models import CheckpointSettings, ConfigurationSettings, TextSettings
from ftrun_plugins.models.references import PACKAGE, Located, package_folder

ENCODE_VERSION = 1
"""Goes up with every change of what `_encoder` does, so that no encoded split of before is taken from the cache."""

UNLIMITED = 1_000_000
"""Tokenizers without a limit give `model_max_length` as a huge number."""


def from_checkpoint(settings: CheckpointSettings, task: Task) -> BuiltModel:
    """The pretrained weights with a head for the task, its weights drawn from the global generator if it is fresh.

    Raises:
        ExperimentError: If the model or its tokenizer does not suit the task.
        RunError: If the checkpoint is not in the cache and the Hub is out of reach.
    """
    place = "model.checkpoint"
    located = _locate(settings.checkpoint, settings.revision, place)
    config = _config(located, place)
    _check_head(config, task, settings)
    tokenizer = _tokenizer(located, settings, place)
    _describe_task(config, task, settings, tokenizer)
    model, info = _pretrained(located, config, settings.ignore_mismatched_sizes, place)
    notices = []
    if fresh := sorted({*info["missing_keys"], *(key for key, *_ in info["mismatched_keys"])}):
        heads = ", ".join(sorted({key.rpartition(".")[0] or key for key in fresh}))
        notices.append(f"freshly drawn, to be learnt: {heads} ({task.num_labels} outputs)")
    return _built(model, tokenizer, task, settings, located.source, notices)


def from_config(settings: ConfigurationSettings, task: Task) -> BuiltModel:
    """A model with random weights, drawn from the global generator; its vocabulary is the tokenizer's.

    Raises:
        ExperimentError: If the configuration makes no such model.
    """
    located = _locate(settings.tokenizer, settings.revision, "model.tokenizer")
    tokenizer = _tokenizer(located, settings, "model.tokenizer")
    given = {"vocab_size": len(tokenizer), "pad_token_id": tokenizer.pad_token_id, **settings.config}
    try:
        config = AutoConfig.for_model(settings.model_type, **given)
    except ValueError as error:
        raise ExperimentError(Problem(str(error).split("\n")[0], "model.model_type")) from error
    unknown = sorted(set(settings.config) - set(type(config)().to_dict()))
    if unknown:
        message = f"{type(config).__name__} has no {', '.join(unknown)}"
        raise ExperimentError(Problem(message, "model.config"))
    _describe_task(config, task, settings, tokenizer)
    try:
        model = AutoModelForSequenceClassification.from_config(config)  # type: ignore[no-untyped-call]
    except ValueError as error:
        message = f"{settings.model_type} makes no sequence-classification model with this configuration: {error}"
        raise ExperimentError(Problem(message.split("\n")[0], "model.config")) from error
    return _built(model, tokenizer, task, settings, f"{settings.model_type} from a configuration")


def _locate(reference: str, revision: str | None, place: str) -> Located:
    if reference.startswith(PACKAGE):
        return Located(str(package_folder(reference)), "main", True, reference)
    if Path(reference).expanduser().is_dir():
        folder = str(Path(reference).expanduser().absolute())
        return Located(folder, "main", True, folder)
    found = hub.find(reference, "model", revision, place)
    if found.cached_only and not _is_cached(found):
        raise hub.unreachable(found, "model", place)
    source = f"https://huggingface.co/{reference}" + (f"@{found.commit}" if found.commit else "")
    return Located(reference, found.revision, found.cached_only, source)


def _is_cached(found: hub.Found) -> bool:
    from huggingface_hub import try_to_load_from_cache

    return isinstance(try_to_load_from_cache(found.repo_id, "config.json", revision=found.revision), str)


def _load(kind: Any, located: Located, **options: Any) -> Any:
    """`from_pretrained` without remote code or pickles, from just the place that was located."""
    return kind.from_pretrained(
        located.name_or_path,
        revision=located.revision,
        local_files_only=located.cached_only,
        trust_remote_code=False,
        **options,
    )


def _config(located: Located, place: str) -> PretrainedConfig:
    try:
        config: PretrainedConfig = _load(AutoConfig, located)
    except (OSError, ValueError) as error:
        raise ExperimentError(
            Problem(f"{located.source} holds no model that can be read: {_first(error)}", place)
        ) from error
    return config


def _tokenizer(located: Located, settings: TextSettings, place: str) -> PreTrainedTokenizerBase:
    try:
        tokenizer: PreTrainedTokenizerBase = _load(AutoTokenizer, located)
    except (OSError, ValueError) as error:
        raise ExperimentError(
            Problem(f"{located.source} holds no tokenizer that can be read: {_first(error)}", place)
        ) from error
    if settings.pad_token is not None:
        if settings.pad_token not in tokenizer.get_vocab():
            raise ExperimentError(Problem(f'the tokenizer knows no token "{settings.pad_token}"', "model.pad_token"))
        tokenizer.pad_token = settings.pad_token
    if tokenizer.pad_token is None:
        some = tokenizer.eos_token or "one of its tokens"
        message = f"the tokenizer of {located.source} has no padding token, so its rows cannot be made one batch"
        raise ExperimentError(Problem(message, place, f'Name one that it knows: [model] pad_token = "{some}".'))
    return tokenizer


def _check_head(config: PretrainedConfig, task: Task, settings: CheckpointSettings) -> None:
    """Whether a checkpoint that has a head already has one for this task."""
    heads = [name for name in config.architectures or [] if name.endswith("ForSequenceClassification")]
    if heads and config.num_labels != task.num_labels and not settings.ignore_mismatched_sizes:
        message = f"the checkpoint was trained for {config.num_labels} labels, and the data set has {task.num_labels}"
        hint = "Take another checkpoint, or draw a fresh head: [model] ignore_mismatched_sizes = true."
        raise ExperimentError(Problem(message, "model.checkpoint", hint))


def _describe_task(
    config: PretrainedConfig, task: Task, settings: TextSettings, tokenizer: PreTrainedTokenizerBase
) -> None:
    """Write into the configuration what the saved model is to know of the task."""
    names = task.class_names or (task.label_column,)
    config.id2label = dict(enumerate(names))
    config.label2id = {name: index for index, name in enumerate(names)}
    config.problem_type = "regression" if task.kind == "regression" else "single_label_classification"
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
    located: Located, config: PretrainedConfig, ignore_mismatched_sizes: bool, place: str
) -> tuple[PreTrainedModel, dict[str, Any]]:
    import torch

    try:
        model, info = _load(
            AutoModelForSequenceClassification,
            located,
            config=config,
            dtype=torch.float32,
            use_safetensors=True,
            ignore_mismatched_sizes=ignore_mismatched_sizes,
            output_loading_info=True,
        )
    except (OSError, ValueError) as error:
        message = f"the weights of {located.source} cannot be read: {_first(error)}"
        raise ExperimentError(Problem(message, place, "ftrun reads safetensors only, never pickles.")) from error
    return model, info


def _built(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    task: Task,
    settings: TextSettings,
    source: str,
    notices: Sequence[str] = (),
) -> BuiltModel:
    length = settings.max_length or _own_limit(model.config, tokenizer)
    key = json.dumps([ENCODE_VERSION, _digest(tokenizer), length, task.kind])
    return BuiltModel(
        model,
        tokenizer,
        _encoder(tokenizer, task, length),
        key,
        source,
        notices,
        max_length=length,
        lengths=_lengths(tokenizer, task),
    )


def _own_limit(config: PretrainedConfig, tokenizer: PreTrainedTokenizerBase) -> int:
    limits = [tokenizer.model_max_length, getattr(config, "max_position_embeddings", None) or UNLIMITED]
    return min(limits) if min(limits) < UNLIMITED else 512


def _digest(tokenizer: PreTrainedTokenizerBase) -> str:
    """A checksum of the tokenizer as it is saved: what it does, and nothing of what it has done."""
    with tempfile.TemporaryDirectory() as folder:
        tokenizer.save_pretrained(folder)
        digest = hashlib.sha256()
        for file in sorted(Path(folder).rglob("*")):
            if file.is_file():
                digest.update(file.name.encode() + file.read_bytes())
    return digest.hexdigest()


def _encoder(tokenizer: PreTrainedTokenizerBase, task: Task, max_length: int) -> Encode:
    tokenizer = copy.deepcopy(tokenizer)  # truncating leaves its mark on a tokenizer, and so on what is saved of it
    as_label = float if task.kind == "regression" else int

    def encode(batch: Mapping[str, Sequence[Any]]) -> Mapping[str, Sequence[Any]]:
        texts = [list(batch[column]) for column in task.text_columns]
        encoded = dict(tokenizer(*texts, truncation=True, max_length=max_length))
        encoded["labels"] = [as_label(label) for label in batch[task.label_column]]
        return encoded

    return encode


def _lengths(tokenizer: PreTrainedTokenizerBase, task: Task) -> Callable[[Mapping[str, Sequence[Any]]], Sequence[int]]:
    tokenizer = copy.deepcopy(tokenizer)

    def lengths(batch: Mapping[str, Sequence[Any]]) -> Sequence[int]:
        texts = [list(batch[column]) for column in task.text_columns]
        return [len(ids) for ids in tokenizer(*texts, truncation=False, verbose=False)["input_ids"]]

    return lengths


def _first(error: Exception) -> str:
    return str(error).strip().split("\n")[0]
