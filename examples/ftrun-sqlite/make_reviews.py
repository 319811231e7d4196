"""Writes reviews.db, a small database to try the data set on: python make_reviews.py."""

from __future__ import annotations

import itertools
import sqlite3
from contextlib import closing

THINGS = ("lamp", "chair", "kettle", "bicycle", "radio", "tent", "clock", "umbrella")
GOOD = ("works well", "was worth the money", "arrived early and whole", "is a joy to use")
BAD = ("broke in a week", "is far too loud", "never worked", "came with parts missing")


def main() -> None:
    """Write the database: three of four reviews are to train on."""
    said = [(f"This {thing} {what}.", "good") for thing, what in itertools.product(THINGS, GOOD)]
    said += [(f"This {thing} {what}.", "bad") for thing, what in itertools.product(THINGS, BAD)]
    with closing(sqlite3.connect("reviews.db")) as connection, connection:
        connection.execute("DROP TABLE IF EXISTS reviews")
        connection.execute("CREATE TABLE reviews (id INTEGER PRIMARY KEY, body TEXT, verdict TEXT, held_out INTEGER)")
        rows = [(body, verdict, number % 4 == 3) for number, (body, verdict) in enumerate(said)]
        connection.executemany("INSERT INTO reviews (body, verdict, held_out) VALUES (?, ?, ?)", rows)


if __name__ == "__main__":
    main()
