"""A table to paste works as it stands, or says at its head why nobody can know one that does."""

from __future__ import annotations

import tomllib

from ftrun.planning.keys import described, keys_of
from ftrun.planning.pasting import table_to_paste
from ftrun.settings import Settings
from pydantic import Field, field_validator


class Mine(Settings):
    rows: int = Field(gt=9)
    names: dict[str, str] = Field({}, description="Names.")


class Secret(Settings):
    word: str

    @field_validator("word")
    @classmethod
    def _known(cls, word: str) -> str:
        if word != "sesame":
            raise ValueError("is not the word")
        return word


def test_what_is_required_is_there_and_all_else_is_a_comment() -> None:
    text = table_to_paste("[dataset]", "mine", described(keys_of(Mine)), Mine)
    assert text == '[dataset]\nuse = "mine"\nrows = 10\n# names = {}\n'
    assert tomllib.loads(text) == {"dataset": {"use": "mine", "rows": 10}}


def test_what_cannot_be_known_is_said() -> None:
    text = table_to_paste("[[metrics]]", "secret", described(keys_of(Secret)), Secret)
    assert text.startswith("# to be mended: word: is not the word\n[[metrics]]\n")
    assert tomllib.loads(text) == {"metrics": [{"use": "secret", "word": "..."}]}
