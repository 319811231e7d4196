"""A checkpoint's tokenizer, and how it encodes text and labels for a model."""

from __future__ import annotations

import copy
import hashlib
import importlib.util
import inspect
import tempfile
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from ftrun.contracts import Task
from ftrun.errors import ExperimentError, Problem
from transformers import AutoTokenizer, PretrainedConfig, PreTrainedModel, PreTrainedTokenizerBase

from ftrun_plugins.models import TextSettings
from ftrun_plugins.models.checkpoints import Checkpoint

SENTENCEPIECE = ("*.model", "*.spm")
"""SentencePiece's own files, by name; a tokenizer.json beside them needs no library."""
UNLIMITED = 1_000_000
"""Tokenizers without a limit give `model_max_length` as a huge number."""
LENGTH_WITHOUT_LIMIT = 512
"""Where text is cut if neither tokenizer nor model has a limit."""
LONGEST_SAYING = 300
POSITION_TABLES = ("position_embeddings", "embed_positions", "wpe", "positions_embed")
"""transformers' names of embeddings with a row for each position."""
READ_OFF_THE_END = ("bart", "bigbird_pegasus", "led", "mbart", "mt5", "mvp", "plbart", "t5", "umt5")
"""Families whose head reads its class off the token that ends a text: all rows must have as many of them."""
TELL_TEXTS_APART = ("albert", "funnel", "rembert", "xlnet")
"""Families that learnt which text of a pair a token is of, and whose tokenizers do not say it any more: those of
transformers 4 did, and the weights are from then."""


def load_tokenizer(checkpoint: Checkpoint, settings: TextSettings) -> PreTrainedTokenizerBase:
    """The tokenizer of a checkpoint, with a token to pad with.

    Raises:
        ExperimentError: If there is none that can be read, or it cannot pad.
    """
    try:
        tokenizer: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(
            checkpoint.folder, local_files_only=True, trust_remote_code=False
        )
    except Exception as error:  # tokenizers raises plain exceptions, and transformers all sorts
        raise _unreadable(checkpoint, error) from error
    tokenizer.name_or_path = checkpoint.source
    if lacking := _lacking_files(checkpoint, tokenizer):
        message = f"it holds no tokenizer: neither tokenizer.json nor {lacking}, where its vocabulary would be"
        raise checkpoint.error(message)
    _give_padding(tokenizer, checkpoint, settings)
    return tokenizer


def _lacking_files(checkpoint: Checkpoint, tokenizer: PreTrainedTokenizerBase) -> str | None:
    """The file without which transformers makes up a vocabulary of its own, and says nothing; None if none lacks."""
    names = dict(tokenizer.vocab_files_names)
    if checkpoint.holds(names.pop("tokenizer_file", "tokenizer.json")):
        return None
    wanted = [names[key] for key in ("vocab_file", "merges_file") if key in names]
    return next((name for name in wanted if not checkpoint.holds(name)), None)


def _unreadable(checkpoint: Checkpoint, error: Exception) -> ExperimentError:
    if hint := _sentencepiece_hint(checkpoint):
        return checkpoint.error("its tokenizer is SentencePiece's, which needs a package that is not installed", hint)
    if checkpoint.holds("tokenizer_config.json") and "auto_map" in checkpoint.read_json("tokenizer_config.json"):
        return checkpoint.error("its tokenizer is code of its own, and ftrun runs no code that comes with a checkpoint")
    for name in ("tokenizer.json", "tokenizer_config.json"):
        if checkpoint.holds(name):
            checkpoint.read_json(name)
    return checkpoint.error(f"it holds no tokenizer that can be read: {said(error)}")


def _sentencepiece_hint(checkpoint: Checkpoint) -> str | None:
    """What to install for a tokenizer that is in SentencePiece's own file alone; None if that is not what lacks."""
    installed = all(importlib.util.find_spec(name) for name in ("sentencepiece", "google.protobuf"))
    names = [path.name for path in checkpoint.folder.iterdir()]
    own = any(fnmatch(name, pattern) for name in names for pattern in SENTENCEPIECE)
    if installed or not own or "tokenizer.json" in names:
        return None
    return "pip install 'ftrun[sentencepiece]'"


def _give_padding(tokenizer: PreTrainedTokenizerBase, checkpoint: Checkpoint, settings: TextSettings) -> None:
    vocabulary = tokenizer.get_vocab()
    if settings.pad_token is not None:
        if settings.pad_token not in vocabulary:
            raise ExperimentError(Problem(f'the tokenizer knows no token "{settings.pad_token}"', "model.pad_token"))
        tokenizer.pad_token = settings.pad_token
    some = tokenizer.eos_token if tokenizer.eos_token in vocabulary else "one of its tokens"
    hint = f'Name one that it knows: [model] pad_token = "{some}".'
    if tokenizer.pad_token is None:
        raise checkpoint.error("its tokenizer has no padding token, so its rows cannot be made one batch", hint)
    if tokenizer.pad_token not in vocabulary:
        raise checkpoint.error(f'its tokenizer pads with "{tokenizer.pad_token}", which it does not know', hint)


def tokenizer_digest(tokenizer: PreTrainedTokenizerBase) -> str:
    """A checksum of the tokenizer as it is saved: what it does, and nothing of what it has done."""
    with tempfile.TemporaryDirectory() as folder:
        tokenizer.save_pretrained(folder)
        digest = hashlib.sha256()
        for file in sorted(Path(folder).rglob("*")):
            if file.is_file():
                digest.update(file.name.encode() + file.read_bytes())
    return digest.hexdigest()


@dataclass(frozen=True)
class Limit:
    """How long an input may be.

    Attributes:
        length: In tokens, special ones included.
        notices: Sentences that a person should read.
    """

    length: int
    notices: Sequence[str] = ()


def limit_of(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, task: Task, max_length: int | None) -> Limit:
    """The longest input: as asked for, or what tokenizer and model can take.

    Raises:
        ExperimentError: If what is asked for is more than the model has positions, or leaves no room for text.
    """
    positions = _positions(model)
    special = tokenizer.num_special_tokens_to_add(pair=len(task.text_columns) == 2)
    if max_length is not None and positions is not None and max_length > positions:
        raise ExperimentError(Problem(f"the model has {positions} positions, and not {max_length}", "model.max_length"))
    if max_length is not None and max_length < special + len(task.text_columns):
        message = f"{special} of the {max_length} tokens are special ones, which leaves no room for text"
        raise ExperimentError(Problem(message, "model.max_length"))
    if max_length is not None:
        return Limit(max_length)
    trained = getattr(model.config, "max_position_embeddings", None)
    limits = [tokenizer.model_max_length, trained if positions is None else positions]
    known = [limit for limit in limits if isinstance(limit, int) and 0 < limit < UNLIMITED]
    if known:
        return Limit(min(known))
    cut = f"text is cut after {LENGTH_WITHOUT_LIMIT} tokens; [model] max_length sets another"
    notice = f"neither the model nor its tokenizer has a limit: {cut}"
    return Limit(LENGTH_WITHOUT_LIMIT, [notice])


def _positions(model: PreTrainedModel) -> int | None:
    """The rows of the model's smallest table of positions that text can use; None where positions are not in a table.

    RoBERTa's family counts from `padding_idx + 1`, BART's from an offset.
    """
    counts = []
    for name, module in model.named_modules():
        table = getattr(module, "weight", None) if name.rpartition(".")[2] in POSITION_TABLES else None
        if table is not None:
            padding = getattr(module, "padding_idx", None)
            first = getattr(module, "offset", 0) if padding is None else padding + 1
            counts.append(table.shape[0] - first)
    if counts:  # some keep the numbers of the positions beside the table, and fewer of them
        counts += [buffer.shape[-1] for name, buffer in model.named_buffers() if name.endswith("position_ids")]
    return min(counts, default=None)


def check_padding(config: PretrainedConfig, tokenizer: PreTrainedTokenizerBase, place: str) -> None:
    """Whether the token to pad with is one that the model knows.

    Raises:
        ExperimentError: If not.
    """
    known = _known_tokens(config)
    if known is not None and tokenizer.pad_token_id >= known:
        message = (
            f'the tokenizer pads with "{tokenizer.pad_token}", number {tokenizer.pad_token_id}, and the model knows'
        )
        hint = "Name one that both know: [model] pad_token."
        raise ExperimentError(Problem(f"{message} the tokens 0 to {known - 1}", place, hint))


def unknown_to_model(config: PretrainedConfig, tokenizer: PreTrainedTokenizerBase) -> int | None:
    """The first token, by its number, that the tokenizer has and the model has not; None if there is none."""
    known = _known_tokens(config)
    return known if known is not None and max(tokenizer.get_vocab().values()) >= known else None


def _known_tokens(config: PretrainedConfig) -> int | None:
    size = getattr(config, "vocab_size", None)  # CANINE hashes characters, and has none
    return size if isinstance(size, int) else None


@dataclass(frozen=True)
class End:
    """The token that a head reads its class off.

    Attributes:
        token: Its number.
        count: How many of them the tokenizer gives a row.
    """

    token: int
    count: int


def end_of_rows(config: PretrainedConfig, tokenizer: PreTrainedTokenizerBase, task: Task, place: str) -> End | None:
    """The token that the model's head reads its class off; None if it reads it elsewhere.

    Raises:
        ExperimentError: If the tokenizer ends no text with it.
    """
    if config.model_type not in READ_OFF_THE_END:
        return None
    token = config.eos_token_id
    count = tokenizer(*["a"] * len(task.text_columns))["input_ids"].count(token)
    if not count:
        message = f"{config.model_type} reads its class off the token {token}, and the tokenizer ends no text with it"
        raise ExperimentError(Problem(message, place, "Take a tokenizer of the family's own."))
    return End(token, count)


def fit_inputs(tokenizer: PreTrainedTokenizerBase, model: PreTrainedModel) -> None:
    """Have the tokenizer give what the model takes, no more.

    A mask is with it, since padding must not be read as text, and of which text a token is where the model learnt that.
    """
    takes = inspect.signature(type(model).forward).parameters
    names = [name for name in tokenizer.model_input_names if name in takes]
    if model.config.model_type in TELL_TEXTS_APART and "token_type_ids" not in names:
        names.append("token_type_ids")
    if "attention_mask" in takes and "attention_mask" not in names:
        names.append("attention_mask")
    if names != list(tokenizer.model_input_names):
        tokenizer.model_input_names = names


class Encoder:
    """Text to tokens and labels to what the model learns; pickles, for processes that share the work.

    Args:
        tokenizer: Is copied: truncating leaves its mark on a tokenizer, and so on what is saved of it.
        task: The columns.
        max_length: Longest input in tokens.
        label_ids: The model's class of each of the task's, where its order is another.
        known_tokens: How many tokens the model knows, where the tokenizer has more.
        end: The token that the model's head reads its class off.
    """

    def __init__(
        self,
        tokenizer: PreTrainedTokenizerBase,
        task: Task,
        max_length: int,
        label_ids: Mapping[int, int] | None = None,
        known_tokens: int | None = None,
        end: End | None = None,
    ) -> None:
        self.tokenizer = copy.deepcopy(tokenizer)
        self.task = task
        self.max_length = max_length
        self.label_ids = label_ids or {}
        self.known_tokens = known_tokens
        self.end = end

    def __call__(self, batch: Mapping[str, Sequence[Any]]) -> Mapping[str, Sequence[Any]]:
        encoded = dict(self.tokenizer(*self._texts(batch), truncation=True, max_length=self.max_length))
        if not all(encoded["input_ids"]):
            columns = " and ".join(f'"{column}"' for column in self.task.text_columns)
            message = f"some rows give no token: {columns} is empty there, and the tokenizer marks no beginning or end"
            raise ExperimentError(Problem(message, "dataset.text_columns", "Leave such rows out, or write something."))
        if self.known_tokens is not None:
            self._check_tokens(encoded["input_ids"], self.known_tokens)
        if self.end is not None:
            self._check_end(encoded["input_ids"], self.end)
        if self.task.label_column in batch:  # rows to be predicted have none
            encoded["labels"] = [self._label(label) for label in batch[self.task.label_column]]
        return encoded

    def lengths(self, batch: Mapping[str, Sequence[Any]]) -> Sequence[int]:
        """The tokens of each row before any is cut."""
        return [len(ids) for ids in self.tokenizer(*self._texts(batch), truncation=False, verbose=False)["input_ids"]]

    def _texts(self, batch: Mapping[str, Sequence[Any]]) -> Sequence[list[Any]]:
        columns = self.task.text_columns
        if len(columns) not in (1, 2):  # a tokenizer takes a third for something else, and reads none of it
            given = f"{len(columns)}: {', '.join(columns)}" if columns else "none"
            message = f"it reads one column of text, or two as a pair, and the data set names {given}"
            raise ExperimentError(Problem(message, "model.use", "It must name one or two, or another model read them."))
        return [list(batch[column]) for column in columns]

    def _label(self, label: Any) -> float | int | list[float]:
        if self.task.kind == "regression":
            return float(label)
        if self.task.kind == "multi_label":
            marks = [0.0] * len(label)
            for class_id, there in enumerate(label):
                marks[self.label_ids.get(class_id, class_id)] = float(there)
            return marks
        return self.label_ids.get(int(label), int(label))

    def _check_tokens(self, rows: Sequence[Sequence[int]], known: int) -> None:
        highest = max((max(row) for row in rows if row), default=0)
        if highest >= known:
            token = self.tokenizer.convert_ids_to_tokens(highest)
            message = f'the text holds the token "{token}", number {highest}, and the model knows 0 to {known - 1} only'
            hint = "The tokenizer is another model's, or has tokens that were added without the model's learning them."
            raise ExperimentError(Problem(message, "model", hint))

    def _check_end(self, rows: Sequence[Sequence[int]], end: End) -> None:
        if any(row.count(end.token) != end.count for row in rows):
            token = self.tokenizer.convert_ids_to_tokens(end.token)
            message = f'some texts hold "{token}", which the model takes for the end of a text'
            raise ExperimentError(
                Problem(message, "dataset.text_columns", "Leave such rows out, or write it otherwise.")
            )


def said(error: BaseException) -> str:
    """What a library's error says, in one line of a bearable length; its kind if it says nothing."""
    text = " ".join(str(error).split())
    return textwrap.shorten(text, LONGEST_SAYING, placeholder=" ...") or type(error).__name__
