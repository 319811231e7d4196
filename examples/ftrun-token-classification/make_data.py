"""Writes data/: sentences made of patterns, with persons, places and firms that nobody knows. python make_data.py."""

from __future__ import annotations

import json
import random
from pathlib import Path

FIRST = ("Mirel", "Anselm", "Tova", "Ruben", "Ilka", "Joris", "Petra", "Osman")
LAST = ("Hallgrund", "Brenk", "Castovar", "Quillfeather", "Dorn", "Abelwright")
PLACES = ("Norhaven", "Ost Valley", "Kirrin", "Lower Mabry", "Tessel Bay", "Grandmoor")
FIRMS = ("Velt Optics", "Nimbus Rail", "Parrow", "Oakline Foods", "Trident Yarn Works", "Solvano")
PATTERNS = (
    "PER moved from LOC to LOC last year .",
    "ORG opened a new office in LOC .",
    "PER has led ORG since the spring .",
    "Nobody knew when the train would arrive .",
    "The mayor of LOC , PER , thanked ORG for its help .",
    "ORG and ORG will merge , said PER .",
    "It rained in LOC all week .",
    "A report by ORG names PER and PER .",
)


def row(draw: random.Random) -> dict[str, list[str]]:
    """One sentence with its tags."""
    words, tags = [], []
    for part in draw.choice(PATTERNS).split():
        name = {
            "PER": f"{draw.choice(FIRST)} {draw.choice(LAST)}",
            "LOC": draw.choice(PLACES),
            "ORG": draw.choice(FIRMS),
        }.get(part)
        told = name.split() if name else [part]
        words += told
        tags += [f"{'I' if place else 'B'}-{part}" for place in range(len(told))] if name else ["O"]
    return {"words": words, "tags": tags}


def main() -> None:
    """Write both files."""
    draw = random.Random(1)
    for name, rows in (("train", 96), ("validation", 32)):
        lines = [json.dumps(row(draw)) + "\n" for _ in range(rows)]
        Path("data", f"{name}.jsonl").write_text("".join(lines), encoding="utf-8")


if __name__ == "__main__":
    main()
