"""Words and their numbers; in ftrun's words it is a tokenizer, for it is saved beside the model."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from os import PathLike
from pathlib import Path
from typing import Self

FILE = "vocabulary.json"


class Vocabulary:
    """The words that are known. Their numbers count from 1; 0 fills up.

    Args:
        words: In the order of their numbers.
    """

    def __init__(self, words: Sequence[str]) -> None:
        self.words = list(words)
        self._numbers = {word: number for number, word in enumerate(self.words, 1)}

    @classmethod
    def fitted(cls, texts: Iterable[str], min_count: int) -> Self:
        """That of some texts."""
        counts = Counter(word for text in texts for word in split(text))
        return cls(sorted(word for word, count in counts.items() if count >= min_count))

    @classmethod
    def read(cls, folder: Path) -> Self:
        """That which `save_pretrained` wrote."""
        return cls(json.loads((folder / FILE).read_text(encoding="utf-8")))

    def save_pretrained(self, save_directory: str | PathLike[str], /) -> None:
        """Write it into a folder."""
        (Path(save_directory) / FILE).write_text(json.dumps(self.words), encoding="utf-8")

    def numbers(self, text: str) -> list[int]:
        """The numbers of a text's known words."""
        return [self._numbers[word] for word in split(text) if word in self._numbers]


def split(text: str) -> list[str]:
    """The words of a text."""
    return re.findall(r"\w+", text.lower())
