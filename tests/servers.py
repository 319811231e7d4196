"""A real MLflow server on loopback, and what stands before it and misbehaves."""

from __future__ import annotations

import contextlib
import http.server
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil


class Server:
    """A real `mlflow server` on loopback, without the eight processes that would run its jobs."""

    def __init__(self, folder: Path, new_store: Path) -> None:
        self.folder = folder
        shutil.copy(new_store, folder / "server.db")
        self.store = f"sqlite:///{folder / 'server.db'}"
        self.port = free_port()
        self.uri = f"http://127.0.0.1:{self.port}"
        self.start()

    def start(self) -> None:
        command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(self.port)]
        command += ["--backend-store-uri", self.store, "--artifacts-destination", str(self.folder / "artifacts")]
        self.log = (self.folder / "server.log").open("a")
        environment = {**os.environ, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
        self.process = subprocess.Popen([*command, "--workers", "1"], stdout=self.log, stderr=self.log, env=environment)
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline:
            with contextlib.suppress(OSError), urllib.request.urlopen(f"{self.uri}/health", timeout=5):
                return
            time.sleep(0.2)
        raise AssertionError((self.folder / "server.log").read_text())

    def processes(self) -> list[psutil.Process]:
        parent = psutil.Process(self.process.pid)
        return [parent, *parent.children(recursive=True)]

    def signal(self, number: signal.Signals) -> None:
        for process in self.processes():
            with contextlib.suppress(psutil.NoSuchProcess):  # it went with its parent
                process.send_signal(number)

    def stop(self) -> None:
        if self.process.returncode is None:
            self.signal(signal.SIGKILL)
            self.process.wait()
            self.log.close()


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


class Proxy:
    """Stands before a server and misbehaves: `answer` says, for a method and path, what becomes of a request.

    forward: it is done and answered; fail, full: it is not done, and answered as failed, or as without room; deaf: it is
    done, and answered as failed; slow: it is done, and answered after `delay`; late: it is answered as failed, and done
    once `caught_up` is set, or after `delay`; half: the server gets half of it, and no more.
    """

    def __init__(self, uri: str, delay: float) -> None:
        self.answer: Callable[[str], str] = lambda path: "forward"
        self.on_half: Callable[[], None] = lambda: None
        self.asked: list[str] = []
        self.caught_up = threading.Event()
        proxy = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def handle_one(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                how = proxy.answer(f"{self.command} {self.path}")
                proxy.asked.append(f"{how} {self.command} {self.path}")
                status, content = self.outcome(how, body)
                with contextlib.suppress(OSError):  # the client is gone
                    self.reply(status, content)

            def outcome(self, how: str, body: bytes) -> tuple[int, bytes]:
                refused = {"fail": 500, "full": 507, "half": 502, "late": 500}
                if how == "half":
                    self.half(body)
                if how == "late":
                    threading.Thread(target=self.forward_late, args=[body]).start()
                if how in refused:
                    return refused[how], b"{}"
                done = self.forward(body)
                if how == "slow":
                    time.sleep(delay)
                return (500, b"{}") if how == "deaf" else done

            def forward_late(self, body: bytes) -> None:
                proxy.caught_up.wait(delay)
                self.forward(body)

            def half(self, body: bytes) -> None:
                host, _, port = uri.removeprefix("http://").partition(":")
                head = f"{self.command} {self.path} HTTP/1.1\r\nHost: {host}\r\nContent-Length: {len(body)}\r\n\r\n"
                with socket.create_connection((host, int(port)), timeout=10) as sent:
                    sent.sendall(head.encode() + body[: len(body) // 2])
                    time.sleep(0.5)
                    proxy.on_half()

            def forward(self, body: bytes) -> tuple[int, bytes]:
                headers = {
                    key: value for key, value in self.headers.items() if key.lower() not in ("host", "accept-encoding")
                }
                request = urllib.request.Request(f"{uri}{self.path}", body or None, headers, method=self.command)
                try:
                    with urllib.request.urlopen(request, timeout=30) as response:
                        return response.status, response.read()
                except urllib.error.HTTPError as error:
                    return error.code, error.read()
                except urllib.error.URLError:
                    return 502, b"{}"

            def reply(self, status: int, content: bytes) -> None:
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *_: Any) -> None:
                pass

        for method in ("GET", "POST", "PUT", "PATCH", "DELETE"):
            setattr(Handler, f"do_{method}", Handler.handle_one)
        self.http = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.uri = f"http://127.0.0.1:{self.http.server_port}"
        self.thread = threading.Thread(target=self.http.serve_forever)
        self.thread.start()

    def stop(self) -> None:
        self.http.shutdown()
        self.http.server_close()
        self.thread.join()
