"""What components answer before the work: no slip of theirs is a Python error, and each is told as whose it is."""

from __future__ import annotations

import logging
import re
from pathlib import Path
from typing import Any

import pytest
from ftrun.contracts import Splits
from ftrun.errors import ExperimentError, FtrunError, Problem, RunError
from ftrun.execution.preparation import build_collate, build_model, evaluators_of, open_data, open_session
from ftrun.execution.recording import as_toml
from ftrun.execution.watcher import Watcher
from ftrun.planning.catalogue import load_catalogue
from ftrun.planning.experiment import load_experiment
from ftrun.planning.plan import Plan, make_plan
from helpers import Ftrun
from plugin_packages import Site, offering

PLACES = {**{kind: kind for kind in ("dataset", "model", "collator", "backend")}, "metric": "metrics[0]"}


def planned(path: Path, **overrides: Any) -> Plan:
    return make_plan(load_experiment(path, overrides=overrides), load_catalogue())


def refused(path: Path, **overrides: Any) -> list[Problem]:
    with pytest.raises(ExperimentError) as caught:
        planned(path, **overrides)
    return list(caught.value.problems)


def use(kind: str, **settings: Any) -> dict[str, Any]:
    """Overrides of the tiny experiment that take their component of a kind, with these settings."""
    name = "half" if kind == "metric" else "theirs"
    table = {"use": name, **settings}
    return {"metrics": [table]} if kind == "metric" else {kind: table}


MUST_GIVE = {
    "check": "a list of ftrun.errors.Problem, empty where nothing is wrong",
    "task": "an ftrun.contracts.Task, or None where only the data tells",
    "yields": 'a table of names and directions, such as {"f1": "max"}',
}
SLIPS = {
    "dataset(check=lambda s: None)": f"the check of WHO gave None, and must give {MUST_GIVE['check']}",
    "dataset(check=lambda s: 'no file')": f'the check of WHO gave "no file", and must give {MUST_GIVE["check"]}',
    "model(check=lambda s: ['no file'])": f"the check of WHO gave ['no file'], and must give {MUST_GIVE['check']}",
    "collator(check=lambda s: Problem('odd'))": "the check of WHO gave Problem(",
    "metric(check=lambda s: True)": "the check of WHO gave true, and must give",
    "backend(check=lambda s, t: 0)": "the check of WHO gave 0, and must give",
    "backend(check=lambda s, t: t.no_such_key)": (
        "the check of WHO raised AttributeError: 'TrainingSettings' object has no attribute 'no_such_key' (their_package"
    ),
    "backend(check_environment=lambda t, e: e['NO_SUCH_VARIABLE'])": (
        "the check of the environment of WHO raised KeyError: 'NO_SUCH_VARIABLE' (their_package.py, line "
    ),
    "metric(check=lambda s: 1 / 0)": "the check of WHO raised ZeroDivisionError: division by zero (their_package.py, line ",
    "metric(check=lambda s: exit(3))": "the check of WHO raised SystemExit: 3",
    "dataset(task=lambda s: 'classification')": f'task of WHO gave "classification", and must give {MUST_GIVE["task"]}',
    "dataset(task=lambda s: s.rows)": "task of WHO raised AttributeError: 'Settings' object has no attribute 'rows' (their",
    "metric(yields=lambda s, t: ['half'])": f"yields of WHO gave ['half'], and must give {MUST_GIVE['yields']}",
    "metric(yields=lambda s, t: None)": f"yields of WHO gave None, and must give {MUST_GIVE['yields']}",
    "metric(yields=lambda s, t: {'half': 'up'})": (
        'yields of WHO gave "up", and must give "max" or "min" as the better direction of half'
    ),
    "metric(yields=lambda s, t: {'half': True})": "yields of WHO gave true, and must give",
    "metric(yields=lambda s, t: {1: 'max'})": "yields of WHO gave 1, and must give text for the name of a number",
    "metric(yields=lambda s, t: {'loss': 'min'})": "WHO yields a number named loss, which is the model's own",
    "metric(yields=lambda s, t: t.labels)": "yields of WHO raised AttributeError: 'Task' object has no attribute 'labels'",
}  # fmt: skip


@pytest.mark.parametrize(("component", "told"), SLIPS.items(), ids=SLIPS.keys())
def test_an_answer_that_is_none_is_its_plugins_fault(site: Site, tiny: Path, component: str, told: str) -> None:
    kind = component.partition("(")[0]
    site.add(offering(kind, component))
    (problem,) = refused(tiny, **use(kind))
    assert problem.place == PLACES[kind]
    who = f'the {"data set" if kind == "dataset" else kind} "{"half" if kind == "metric" else "theirs"}" of their-package 1.0'
    assert problem.message.startswith(told.replace("WHO", who)) and "\n" not in problem.message


def test_what_a_metric_lets_a_person_know_is_a_list_of_sentences(site: Site, tiny: Path) -> None:
    site.add(offering("metric", "metric(notices=lambda s, t: 'of one class')"))
    with pytest.raises(ExperimentError, match=r'notices of .* gave "of one class", and must give a list of sentences'):
        open_data(planned(tiny, **use("metric")), Watcher())


def test_what_raised_is_in_the_log(site: Site, tiny: Path, caplog: pytest.LogCaptureFixture) -> None:
    site.add(offering("metric", "metric(check=lambda s: 1 / 0)"))
    with caplog.at_level(logging.DEBUG, "ftrun"):
        (problem,) = refused(tiny, **use("metric"))
    assert "1 / 0" in caplog.text and "Traceback" in caplog.text
    assert problem.hint == "This is a fault of their-package: tell those who make it."


def test_the_command_tells_a_plugins_slip_without_a_traceback(site: Site, tiny: Path, ftrun_command: Ftrun) -> None:
    site.add(offering("metric", "metric(check=lambda s: None)"))
    done = ftrun_command("check", tiny, "--set", 'metrics=[{use="half"}]', env=site.env)
    assert done.returncode == 2 and 'the check of the metric "half" of their-package 1.0 gave None' in done.stderr
    assert "Traceback" not in done.stderr


def test_a_validator_that_raises_is_its_plugins_fault(site: Site, tiny: Path) -> None:
    odd = (
        "from pydantic import field_validator\nclass Odd(Settings):\n    rows: int = 1\n"
        "    @field_validator('rows')\n    @classmethod\n    def _odd(cls, rows): return {1: 1}[rows]\n"
    )
    site.add(offering("dataset", "dataset(settings=Odd)", before=odd))
    assert planned(tiny, **use("dataset", rows=1))
    (problem,) = refused(tiny, **use("dataset", rows=3))
    told = 'a validator of the settings of the data set "theirs" of their-package 1.0 raised KeyError: 3'
    assert problem.message.startswith(told) and problem.place == "dataset"


PLACED = {
    ("dataset", "rows"): "dataset.rows",
    ("dataset", "training.device"): "training.device",
    ("dataset", "dataset.rows"): "dataset.rows",
    ("dataset", "dataset"): "dataset",
    ("model", "layers[1].width"): "model.layers[1].width",
    ("model", "tracking"): "model.tracking",  # a key of these settings
    ("model", "tracking.uri"): "model.tracking.uri",
    ("model", "dataset.text_columns"): "dataset.text_columns",
    ("collator", None): "collator",
    ("backend", "seed"): "backend.seed",
    ("backend", "training.optim"): "training.optim",
    ("metric", "average"): "metrics[0].average",
    ("metric", "training.max_steps"): "training.max_steps",
    ("metric", "metrics[0].average"): "metrics[0].average",
    ("metric", None): "metrics[0]",
}
TRACKING = "class Tracking(Settings): tracking: dict[str, str] = {}"


@pytest.mark.parametrize(("told", "place"), PLACED.items(), ids=str)
def test_a_place_is_of_the_components_table_unless_it_is_the_files(
    site: Site, tiny: Path, told: tuple[str, str | None], place: str
) -> None:
    kind, own = told
    problem = f"Problem('odd', {own!r})"
    settings = "settings=Tracking, " if kind == "model" else ""
    given = "a" if kind == "dataset" else "a, b"
    checked = "a, b" if kind == "backend" else "a"
    raising = f"lambda {given}: (_ for _ in ()).throw(ExperimentError({problem}))"
    site.add(offering(kind, f"{kind}({settings}check=lambda {checked}: [{problem}])", before=TRACKING))
    site.add(offering(kind, f"{kind}({settings}build={raising})", before=TRACKING), "building")
    mine, building = (
        {key: _with_use(table, distribution) for key, table in use(kind).items()}
        for distribution in ("their-package", "building")
    )
    (found,) = refused(tiny, **mine)
    assert (found.message, found.place) == ("odd", place)
    with pytest.raises(ExperimentError) as caught:
        build(kind, planned(tiny, **building))
    assert [(problem.message, problem.place) for problem in caught.value.problems] == [("odd", place)]


def _with_use(table: Any, distribution: str) -> Any:
    if isinstance(table, list):
        return [_with_use(entry, distribution) for entry in table]
    return {**table, "use": f"{distribution}:{table['use']}"}


def build(kind: str, plan: Plan) -> Any:
    """As a run does; what is built before it is of no matter here."""
    nothing: Any = type("Nothing", (), {"tokenizer": None, "class_names": None})()
    match kind:
        case "dataset":
            return open_data(plan, Watcher())
        case "model":
            return build_model(plan, nothing, Watcher())
        case "collator":
            return build_collate(plan, nothing)
        case "backend":
            return open_session(plan)
        case _:
            assert plan.task
            return evaluators_of(plan, plan.task, nothing)


def test_what_only_went_wrong_has_the_place_that_the_component_says(site: Site, tiny: Path) -> None:
    for name, place in {"with-one": "path", "without": None}.items():
        build_it = f"build=lambda s: (_ for _ in ()).throw(RunError(Problem('away', {place!r})))"
        site.add(offering("dataset", f"dataset(name='{name}', {build_it})"), name)
        with pytest.raises(RunError) as caught:
            open_data(planned(tiny, dataset={"use": name}), Watcher())
        assert caught.value.problems[0].place == (place and f"dataset.{place}")


def test_the_places_that_yields_raises_are_of_the_metrics_table(site: Site, tiny: Path) -> None:
    raising = "lambda s, t: (_ for _ in ()).throw(ExperimentError(Problem('odd', 'average'), 'odder'))"
    site.add(offering("metric", f"metric(yields={raising})"))
    places = [problem.place for problem in refused(tiny, metrics=[{"use": "accuracy"}, {"use": "half"}])]
    assert places == ["metrics[1].average", "metrics[1]"]


SGD = "backend(name='sgd', honours=frozenset({'max_steps', 'learning_rate', 'device', 'eval_strategy', 'num_train_epochs'}))"


def test_a_key_that_the_backend_does_not_honour_is_refused_by_name(site: Site, tiny: Path) -> None:
    site.add(offering("backend", SGD))
    problems = refused(tiny, **{"backend": {"use": "sgd"}, "training.optim": "adamw_torch_fused"})
    told = {problem.place: problem for problem in problems}
    assert set(told) == {"training.optim", "training.save_strategy"}
    assert told["training.optim"].message == 'the backend "sgd" of their-package 1.0 does not use training.optim'
    hint = "Leave it out. It uses: device, eval_strategy, learning_rate, max_steps, num_train_epochs."
    assert told["training.optim"].hint == hint and told["training.optim"].origin == "--set"
    assert told["training.save_strategy"].origin == str(tiny)


def test_keys_of_a_record_that_the_backend_does_not_honour_are_one_problem(site: Site, tiny: Path) -> None:
    site.add(offering("backend", SGD))
    overrides = {"backend": {"use": "sgd"}, "training.optim": "adamw_torch_fused"}
    with pytest.raises(ExperimentError) as caught:
        make_plan(load_experiment(tiny, None, overrides), load_catalogue(), is_record=True)
    set_now, recorded = sorted(caught.value.problems, key=lambda problem: problem.place != "training.optim")
    assert set_now.place == "training.optim" and recorded.place == "training"
    assert recorded.message.endswith("of their-package 1.0 does not use what the run was begun with: save_strategy")
    assert recorded.hint == "Take them out: --unset training.save_strategy --allow-changes"


def test_the_record_holds_what_is_honoured_and_runs_as_it_stands(site: Site, tiny: Path, ftrun_command: Ftrun) -> None:
    site.add(offering("backend", SGD))
    experiment = load_experiment(tiny, overrides={"backend.use": "sgd"}, unset=["training.save_strategy"])
    plan = make_plan(experiment, load_catalogue())
    training = plan.resolved()["training"]
    assert training == {
        "num_train_epochs": 2.0,
        "max_steps": -1,
        "learning_rate": 1e-3,
        "eval_strategy": "epoch",
        "device": "cpu",
    }
    Path("again.toml").write_text(as_toml(plan.resolved()))
    assert planned(Path("again.toml")).resolved() == plan.resolved()
    shown = ftrun_command("show", tiny, "--set", "backend.use=sgd", "--unset", "training.save_strategy", env=site.env)
    assert shown.returncode == 0 and "optim" not in shown.stdout and "learning_rate" in shown.stdout


SURVIVES = {
    "tuple[float, float] = (0.9, 0.999)": {"x": [0.5, 0.6]},
    "tuple[str, ...] = ()": {"x": ["b", "a"]},
    "set[int] = set()": {"x": [3, 1, 2]},
    "frozenset[str] | None = None": {"x": ["b", "a"]},
    "list[tuple[str, int]] = [('a', 1)]": {"x": [["b", 2]]},
    "dict[str, tuple[int, ...]] = {'a': (1, 2)}": {"x": {"b": [3]}},
    "Inner = Inner()": {"x": {"pair": [3, 4]}},
    "list[Inner] = [Inner(), Inner(pair=(5, 6))]": {"x": [{"pair": [3, 4]}]},
    "datetime.date = datetime.date(2024, 2, 29)": {"x": "datetime.date(2023, 1, 1)"},
    "datetime.datetime | None = None": {"x": "datetime.datetime(2023, 1, 1, 12, 30, 1, 250000, tzinfo=datetime.UTC)"},
    "float = 1e-300": {"x": 0.1},
    "str = 'a\\n\"\\\\\\t'": {"x": "\x1b\u2028'''"},
    "SecretStr = SecretStr('s3cret')": {"x": "another"},
}  # fmt: skip
BEFORE = (
    "import datetime, enum\nfrom pathlib import Path\nfrom typing import Any\nfrom pydantic import Field, SecretStr, field_validator\n"
    "class Inner(Settings): pair: tuple[int, int] = (1, 2); free: float = float('1')\n"
    "class Colour(enum.Enum): red = 'red'\n"
)


@pytest.mark.parametrize(("declared", "set_to"), SURVIVES.items(), ids=SURVIVES.keys())
def test_settings_are_the_same_once_they_are_recorded(site: Site, tiny: Path, declared: str, set_to: Any) -> None:
    import datetime

    value = set_to["x"]
    value = eval(value, {"datetime": datetime}) if str(value).startswith("datetime") else value
    site.add(
        offering("dataset", "dataset(settings=Theirs)", before=f"{BEFORE}class Theirs(Settings):\n    x: {declared}\n")
    )
    for settings in ({}, {"x": value}):
        plan = planned(tiny, **use("dataset", **settings))
        if "Secret" not in declared:
            Path("again.toml").write_text(as_toml(plan.resolved()))
            again = planned(Path("again.toml"))
            assert again.dataset.settings == plan.dataset.settings and again.resolved() == plan.resolved()


def test_a_set_is_recorded_in_one_order(site: Site, tiny: Path) -> None:
    before = "class Theirs(Settings):\n    x: frozenset[str]; y: set[int | str] = {3, 'a', 1}\n"
    site.add(offering("dataset", "dataset(settings=Theirs)", before=before))
    letters = list("hgfedcba")
    assert planned(tiny, **use("dataset", x=letters)).resolved()["dataset"] == {
        "use": "theirs",
        "x": sorted(letters),
        "y": ["a", 1, 3],
    }


LOST = {
    "Path = Path('here')": "Declare it as ftrun.settings.LocalPath, which is text.",
    "float = float('inf')": "Settings hold finite numbers: take another default, such as None.",
    "list[float] = [float('nan')]": "Settings hold finite numbers",
    "list[int | None] = [1, None]": "TOML has no None: leave such entries out",
    "dict[int, str] = {1: 'a'}": "Declare it as what TOML has: text, numbers, true or false, dates, and lists",
    "Colour = Colour.red": "Declare it as what TOML has",
    "datetime.timedelta = datetime.timedelta(1)": "Declare it as what TOML has",
    "bytes = b'a'": "Declare it as what TOML has",
    "Inner = Inner(free=1.5).model_copy(update={'pair': ('a', 'b')})": "Declare it as what TOML has",
    "Any = Inner()": "Declare it as what TOML has",
}


@pytest.mark.parametrize(("declared", "hint"), LOST.items(), ids=LOST.keys())
def test_a_setting_that_would_be_lost_is_told_before_any_work(site: Site, tiny: Path, declared: str, hint: str) -> None:
    before = f"{BEFORE}class Theirs(Settings):\n    y: int = 1\n    x: {declared}\n"
    site.add(offering("metric", "metric(settings=Theirs)", before=before))
    (problem,) = refused(tiny, **use("metric"))
    assert problem.place == "metrics[0].x" and problem.hint and problem.hint.startswith(hint)
    assert "does not survive being written to TOML and read back" in problem.message
    assert 'the metric "half" of their-package 1.0' in problem.message


def test_a_value_that_is_another_each_time_it_is_read_is_told(site: Site, tiny: Path) -> None:
    grows = (
        f"{BEFORE}class Theirs(Settings):\n    x: str\n    none: int | None = 3\n"
        "    @field_validator('x')\n    @classmethod\n    def _grow(cls, x): return x + '!'\n"
    )
    site.add(offering("metric", "metric(settings=Theirs)", before=grows))
    problems = refused(tiny, **use("metric", x="a", none=None))
    assert [problem.place for problem in problems] == ["metrics[0].x", "metrics[0].none"]


def test_a_collator_that_needs_a_tokenizer_is_told_of_a_model_without_one(site: Site, tiny: Path) -> None:
    site.add(offering("model", "model(has_tokenizer=False)"))
    site.add(offering("collator", "collator(name='bare')"), "other")
    (problem,) = refused(tiny, **use("model"))
    told = r'the default collator "dynamic-padding" of ftrun \S+ needs a tokenizer, and the model "theirs" of their-package 1.0 comes without one'
    assert problem.place == "collator.use" and re.fullmatch(told, problem.message)
    hint = "The file names no collator: name one by [collator] use = NAME, or take another model."
    assert problem.hint == f"{hint} Collators that need none: bare."
    assert planned(tiny, **use("model"), collator={"use": "bare"})


def test_a_model_that_comes_without_its_tokenizer_is_told_once_it_is_built(site: Site, tiny: Path) -> None:
    kept = "type('Bare', (), {'__call__': print, 'save_pretrained': print})()"
    bare = f"build=lambda s, splits: BuiltModel({kept}, None, print, '', '')"
    site.add(offering("model", f"model({bare})"))
    splits: Any = None
    with pytest.raises(ExperimentError, match="needs a tokenizer, and the model"):
        build_model(planned(tiny, **use("model")), splits, Watcher())


ROWS = (
    "__import__('datasets').Dataset.from_dict({**{name: ['a'] for name in TASK.text_columns}, TASK.label_column: [0]})"
)
NO_ROWS = f"dataset(build=lambda s: Splits(TASK, {ROWS}, {{}}, 'none', 'here', '1'))"


def test_what_asks_for_evaluations_is_told_that_there_are_no_rows_for_them(site: Site, tiny: Path) -> None:
    site.add(offering("dataset", NO_ROWS))
    asking = {"training.load_best_model_at_end": True, "training.metric_for_best_model": "f1"}
    with pytest.raises(FtrunError) as caught:
        open_data(planned(tiny, **use("dataset"), **asking, metrics=[{"use": "f1"}]), Watcher())
    assert [problem.place for problem in caught.value.problems] == [
        "training.eval_strategy",
        "training.metric_for_best_model",
        "metrics",
    ]
    assert {problem.message for problem in caught.value.problems} == {"the data set has no rows to evaluate on"}
    assert caught.value.problems[0].hint == 'Set it to "no", or take a data set with a split for that.'
    with pytest.raises(FtrunError, match=r"metrics: the data set has no rows"):
        open_data(planned(tiny, **use("dataset"), **{"training.eval_strategy": "no"}), Watcher())


def test_a_data_set_without_rows_to_evaluate_on_is_opened_where_nothing_asks_for_them(site: Site, tiny: Path) -> None:
    site.add(offering("dataset", NO_ROWS))
    quiet = planned(tiny, **use("dataset"), **{"training.eval_strategy": "no", "metrics": []})
    splits, best = open_data(quiet, Watcher())
    assert isinstance(splits, Splits) and best is None
