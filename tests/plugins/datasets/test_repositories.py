"""Repositories of data: one configuration's files and no others, and a sentence for what cannot be read."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from ftrun.errors import ExperimentError, FtrunError, RunError
from ftrun_plugins.datasets.repositories import Opened, open_repository
from helpers import OwnHub
from hub_stand_in import GATED

ROWS = "text,label\n" + "".join(f"text {row},{row % 2}\n" for row in range(4))


def lay_out(folder: Path, files: Mapping[str, str] | list[str], card: Any = None) -> Path:
    """A repository of data; files without a text of their own are CSV of four rows."""
    named = files if isinstance(files, Mapping) else {name: ROWS.replace("text ", f"{name} ") for name in files}
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in named.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    if card is not None:
        (folder / "README.md").write_text(f"---\n{card if isinstance(card, str) else json.dumps(card)}\n---\n")
    return folder


def configs(*entries: Mapping[str, Any]) -> dict[str, Any]:
    return {"configs": list(entries)}


def config(name: str, data_files: Any = None, **more: Any) -> dict[str, Any]:
    return {"config_name": name, **({"data_files": data_files} if data_files is not None else {}), **more}


@pytest.fixture
def here(own_hub: OwnHub, monkeypatch: pytest.MonkeyPatch) -> OwnHub:
    """The Hub, for this process."""
    own_hub.use_here(monkeypatch)
    return own_hub


def fetched(hub: OwnHub) -> set[str]:
    """The files of data that were fetched."""
    asked = [line.partition(" ")[2] for line in hub.asked if line.startswith("GET") and "/resolve/" in line]
    return {path.split("/resolve/")[1].partition("/")[2] for path in asked} - {"README.md"}


SEVERAL = ["a/train.csv", "a/test.csv", "b/train.csv", "b/more.csv", "notes.md", "model.bin", "b/deep/er.csv"]


@pytest.mark.parametrize(
    ("card", "name", "wanted"),
    [
        (configs(config("a", "a/train.csv"), config("default", "b/train.csv")), None, {"b/train.csv"}),
        (configs(config("a", "a/train.csv"), config("b", "b/train.csv", default=True)), None, {"b/train.csv"}),
        (configs(config("only", "a/*.csv")), None, {"a/train.csv", "a/test.csv"}),
        (configs(config("a", "a/*"), config("b", "b/*.csv")), "b", {"b/train.csv", "b/more.csv"}),
        (configs(config("a", "a/*"), config("b", ["b/more.csv", "b/train.csv"])), "b", {"b/train.csv", "b/more.csv"}),
        (
            configs(config("b", [{"split": "train", "path": "b/**"}])),
            None,
            {"b/train.csv", "b/more.csv", "b/deep/er.csv"},
        ),
        (
            configs(
                config(
                    "x", [{"split": "train", "path": ["a/train.csv", "b/m*"]}, {"split": "dev", "path": "a/t?st.csv"}]
                )
            ),
            "x",
            {"a/train.csv", "b/more.csv", "a/test.csv"},
        ),
        (configs(config("a", data_dir="a"), config("b", data_dir="b")), "a", {"a/train.csv", "a/test.csv"}),
        (configs(config("a", "a/*"), config("b", "*.csv", data_dir="b")), "b", {"b/train.csv", "b/more.csv"}),
        (None, None, {"a/train.csv", "a/test.csv", "b/train.csv"}),
        ({"license": "mit"}, None, {"a/train.csv", "a/test.csv", "b/train.csv"}),
    ],
)
def test_only_the_files_of_one_configuration_are_fetched(
    here: OwnHub, tmp_path: Path, card: Any, name: str | None, wanted: set[str]
) -> None:
    """As many as `datasets` takes of a whole copy of the repository."""
    folder = lay_out(tmp_path / "data", SEVERAL, card)
    here.add("dataset", "some/data", folder)
    rows = {split: len(rows) for split, rows in open_repository("some/data", name, None).splits.items()}
    assert fetched(here) == wanted
    assert rows == {split: len(rows) for split, rows in whole(folder, name).items()}
    assert rows == {split: len(rows) for split, rows in open_repository(str(folder), name, None).splits.items()}


def whole(folder: Path, name: str | None) -> Any:
    from datasets import load_dataset

    return load_dataset(str(folder), name)


def test_files_in_shards_are_told_by_their_names(here: OwnHub, tmp_path: Path) -> None:
    shards = [f"data/{split}-0000{n}-of-00002.csv" for split in ("train", "extra") for n in range(2)]
    here.add("dataset", "some/data", lay_out(tmp_path / "data", [*shards, "raw/all.csv"]))
    assert {split: len(rows) for split, rows in open_repository("some/data", None, None).splits.items()} == {
        "train": 8,
        "extra": 8,
    }
    assert fetched(here) == set(shards)


def test_a_configuration_opens_though_the_first_was_never_fetched(here: OwnHub) -> None:
    assert set(open_repository("nyu-mll/glue", "stsb", None).splits) == {"train", "validation", "test"}
    assert not [path for path in fetched(here) if "mrpc" in path]


@pytest.mark.parametrize("where", ["README.md", "dataset_infos.json"])
def test_types_and_parameters_are_those_of_the_card(here: OwnHub, tmp_path: Path, where: str) -> None:
    files = {"train.tsv": "text\tlabel\none\t1\ntwo\t0\n"}
    card: dict[str, Any] = configs(config("default", "train.tsv", sep="\t", not_a_parameter=1))
    label = {"name": "label", "dtype": {"class_label": {"names": {"0": "no", "1": "yes"}}}}
    info = {"features": [{"name": "text", "dtype": "string"}, label]}
    if where == "README.md":
        card["dataset_info"] = info
    else:
        text = {"dtype": "string", "_type": "Value"}
        features = {"text": text, "label": {"names": ["no", "yes"], "_type": "ClassLabel"}}
        files[where] = json.dumps({"default": {"features": features}})
    here.add("dataset", "some/data", lay_out(tmp_path / "data", files, card))
    rows = open_repository("some/data", None, None).splits["train"]
    assert rows.features["label"].names == ["no", "yes"] and rows["text"] == ["one", "two"] and rows["label"] == [1, 0]


MANY = configs(config("en", "a/train.csv"), config("de", "b/train.csv"))


@pytest.mark.parametrize(
    ("files", "card", "name", "message"),
    [
        (SEVERAL, MANY, None, r"^dataset\.name: .* 2 configurations and no default[\s\S]*Name one of: en, de"),
        (SEVERAL, MANY, "dee", r'^dataset\.name: .* no configuration "dee"[\s\S]*Did you mean de\? It has: en, de'),
        (SEVERAL, None, "en", r'no configuration "en"[\s\S]*It has: default'),
        (
            SEVERAL,
            configs(config("a", "a/*", default=True), config("default", "b/*")),
            None,
            "2 configurations and several defaults",
        ),
        (
            SEVERAL,
            configs(config("a", "c/*")),
            None,
            r'no files of the configuration "a"[\s\S]*There is: README\.md, a/',
        ),
        (SEVERAL, configs(config("a", "c.csv")), None, r'no files of the configuration "a"'),
        (SEVERAL, configs(config("a", "/etc/passwd")), None, "names files elsewhere: /etc/passwd"),
        (SEVERAL, configs(config("a", "../../secret.csv")), None, "names files elsewhere"),
        (SEVERAL, configs(config("a", "https://example.org/a.csv")), None, "names files elsewhere: https"),
        (SEVERAL, configs(config("a", data_dir="../..")), None, "names files elsewhere"),
        (SEVERAL, configs({"data_files": "a/*"}), None, r"README\.md cannot be understood: .*config_name"),
        (SEVERAL, configs(config("a", {"train": "a/*"})), None, r"README\.md cannot be understood"),
        (SEVERAL, {"configs": "a"}, None, r"README\.md cannot be understood"),
        (SEVERAL, "configs: [", None, r"README\.md cannot be understood"),
        (["data.py", "notes.md"], None, None, r"only a script, data\.py; scripts of data sets are not run"),
        ({"LICENSE": "MIT"}, None, None, r"no files of data that can be read[\s\S]*There is: LICENSE"),
        ({}, configs(), None, r"no files of data that can be read"),
        ({"train.csv": ROWS, "test.json": "[{}]"}, None, None, r"cannot be read: .*same data file format"),
        ({"train.parquet": "no such thing"}, None, None, r"cannot be read: .*[Pp]arquet"),
        ({"train.csv": ROWS, "test.csv": "other\n1\n"}, None, None, r"cannot be read: "),
    ],
)
@pytest.mark.parametrize("from_hub", [True, False])
def test_what_is_wrong_with_a_repository_is_a_sentence(
    here: OwnHub, tmp_path: Path, files: Any, card: Any, name: str | None, message: str, from_hub: bool
) -> None:
    folder = lay_out(tmp_path / "data", files, card)
    here.add("dataset", "some/data", folder)
    with pytest.raises(ExperimentError, match=message) as told:
        open_repository("some/data" if from_hub else str(folder), name, None)
    assert "Traceback" not in str(told.value) and len(told.value.problems) == 1
    if "cannot be read" not in message:
        assert fetched(here) <= {"dataset_infos.json"}


def test_a_gated_set_is_told_where_its_files_are_refused_only(here: OwnHub, tmp_path: Path) -> None:
    """The Hub tells everybody that there is such a set, and of which files."""
    here.add("dataset", "some/data", lay_out(tmp_path / "data", ["train.csv"]))
    here.refuses = lambda path: GATED if "/resolve/" in path else None
    with pytest.raises(ExperimentError, match=r"the dataset some/data is gated[\s\S]*hf auth login"):
        open_repository("some/data", None, None)


def test_a_damaged_file_in_the_cache_is_fetched_anew(here: OwnHub, tmp_path: Path) -> None:
    opened = open_repository("nyu-mll/glue", "mrpc", None)
    for name in ("datasets", "hub"):
        damage(here.cache / name, "*.arrow" if name == "datasets" else "train-*.parquet")
    again = open_repository("nyu-mll/glue", "mrpc", None)
    assert again.splits["train"][:] == opened.splits["train"][:]


def damage(folder: Path, pattern: str) -> None:
    files = [file.resolve() for file in folder.rglob(pattern)]
    assert files
    for file in files:
        content = file.read_bytes()
        file.unlink()  # who has it open goes on reading what was there
        file.write_bytes(content[: len(content) // 2])


def test_what_was_prepared_and_is_damaged_is_prepared_anew(here: OwnHub, tmp_path: Path) -> None:
    opened = open_repository("nyu-mll/glue", "mrpc", None)
    damage(here.cache / "datasets", "*.arrow")
    here.stop()
    assert open_repository("nyu-mll/glue", "mrpc", None).splits["train"][:] == opened.splits["train"][:]


def test_files_that_keep_their_times_are_read_anew_where_they_hold_something_else(tmp_path: Path) -> None:
    told = []
    for text in ("one", "two"):  # as `cp -p`, rsync or an image of a container leaves them
        lay_out(tmp_path / "data", {"train.csv": f"text,label\n{text},1\n"})
        os.utime(tmp_path / "data" / "train.csv", (1e9, 1e9))
        opened = open_repository(str(tmp_path / "data"), None, None)
        told.append((opened.splits["train"]["text"][:], opened.digest))
    assert [text for text, _ in told] == [["one"], ["two"]] and told[0][1] != told[1][1]


def test_what_git_keeps_of_a_clone_is_no_data(tmp_path: Path) -> None:
    folder = lay_out(tmp_path / "data", ["train.csv", ".git/train.csv", ".git/objects/ab/test.csv"])
    opened = open_repository(str(folder), None, None)
    assert {split: len(rows) for split, rows in opened.splits.items()} == {"train": 4}
    with pytest.raises(ExperimentError, match=r"There is: notes\.md\."):
        open_repository(str(lay_out(tmp_path / "none", ["notes.md", ".git/train.csv"])), None, None)


def test_a_clone_whose_files_are_not_fetched_says_so(tmp_path: Path) -> None:
    folder = lay_out(tmp_path / "data", {"train.csv": "version https://git-lfs.github.com/spec/v1\noid sha256:12ab\n"})
    with pytest.raises(ExperimentError, match=r"train\.csv is a pointer of Git LFS.*\s+.*git lfs pull"):
        open_repository(str(folder), None, None)


def test_a_folder_of_any_name_opens(tmp_path: Path) -> None:
    folder = lay_out(tmp_path / "my [new] set *" / ".hidden", ["train.csv"])
    assert len(open_repository(str(folder), None, None).splits["train"]) == 4


def test_the_digest_of_a_folder_is_of_what_is_read(tmp_path: Path) -> None:
    folder = lay_out(tmp_path / "data", SEVERAL, MANY)
    before = digests(folder)
    (folder / "notes.md").write_text("more")
    (folder / "b/train.csv").write_text(ROWS * 2)
    after = digests(folder)
    assert before["en"] == after["en"] and before["de"] != after["de"]


def digests(folder: Path) -> dict[str, str]:
    return {name: open_repository(str(folder), name, None).digest for name in ("en", "de")}


# ---------------------------------------------------------------- without the Hub


def offline(hub: OwnHub, name: str | None = None, revision: str | None = None) -> Opened:
    hub.stop()
    return open_repository("some/data", name, revision)


def test_a_set_from_the_cache_is_said_to_be_with_its_commit(here: OwnHub, tmp_path: Path) -> None:
    commit = here.add("dataset", "some/data", lay_out(tmp_path / "data", ["train.csv"]))
    online = open_repository("some/data", None, None)
    assert online.notices == () or list(online.notices) == []
    again = offline(here)
    (notice,) = again.notices
    assert again.digest == online.digest == commit and commit in notice
    assert "is out of reach" in notice and 'taken from the cache, which has "main"' in notice
    assert list(offline(here, None, commit).notices) == []


def test_a_configuration_that_was_never_fetched_is_not_in_the_cache(here: OwnHub, tmp_path: Path) -> None:
    here.add("dataset", "some/data", lay_out(tmp_path / "data", SEVERAL, MANY))
    open_repository("some/data", "en", None)
    with pytest.raises(RunError, match=r"some/data is not in the cache, and the Hub at .* is out of reach"):
        offline(here, "de")


def test_a_part_of_a_configuration_is_not_taken_for_the_whole(here: OwnHub, tmp_path: Path) -> None:
    here.add("dataset", "some/data", lay_out(tmp_path / "data", ["a/train-0.csv", "a/train-1.csv"]))
    open_repository("some/data", None, None)
    (lost,) = here.cache.rglob("snapshots/*/a/train-1.csv")
    lost.unlink()
    with pytest.raises(FtrunError, match="some/data is not in the cache"):
        offline(here)


def test_a_cache_of_other_tools_is_used_as_it_is(here: OwnHub, tmp_path: Path) -> None:
    """Without a list of the repository's files."""
    here.add("dataset", "some/data", lay_out(tmp_path / "data", ["train.csv"]))
    open_repository("some/data", None, None)
    shutil.rmtree(next(here.cache.rglob("trees")))
    assert len(offline(here).splits["train"]) == 4
