"""The address that the environment names hears of a run, and nobody else."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import ftrun_notify
import pytest
from ftrun.contracts import EvaluationReport
from ftrun.testing import ObserverSuite

Heard = list[dict[str, str]]


@pytest.fixture
def heard(monkeypatch: pytest.MonkeyPatch) -> Iterator[Heard]:
    """What was posted to an address on this machine, which the environment names."""
    posted: Heard = []

    class Webhook(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            posted.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *arguments: object) -> None:
            """Nothing on the screen."""

    with HTTPServer(("127.0.0.1", 0), Webhook) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        monkeypatch.setenv(ftrun_notify.ADDRESS, f"http://127.0.0.1:{server.server_port}/hook")
        yield posted
        server.shutdown()
        thread.join()


def test_the_story_of_a_run_is_told(heard: Heard) -> None:
    ftrun_notify.ftrun_run_started("tiny-1")
    ftrun_notify.ftrun_evaluated("tiny-1", EvaluationReport(4, 1.0, {"eval/f1": 0.75}))
    ftrun_notify.ftrun_run_finished("tiny-1", "FINISHED", {})
    texts = [message["text"] for message in heard]
    assert texts == ["tiny-1 begins", "tiny-1 at step 4: eval/f1 0.75", "tiny-1 is finished: no numbers"]


def test_without_an_address_nothing_is_sent(heard: Heard, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(ftrun_notify.ADDRESS)
    ftrun_notify.tell("nobody hears this")
    assert heard == []


def test_what_is_no_address_of_the_web_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(ftrun_notify.ADDRESS, "file:///etc/passwd")
    with pytest.raises(ValueError, match="must begin with http"):
        ftrun_notify.tell("no")


class TestNotify(ObserverSuite):
    """What ftrun holds every observer to."""

    plugin = "ftrun_notify"
