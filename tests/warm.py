"""A process that has imported what a training needs and forks a child for each command: `ftrun` without its six seconds.

The child is what `python -m ftrun` would have been: the same module run as `__main__`, with arguments, environment,
working folder, standard streams and signal handlers of its own, an exit status, and nothing of an earlier command.
What differs is what the libraries read when they were imported, which is the environment of this process; and their
hash seed. So `Warm.suits` says which environments a command may have here; with another one it needs a process that
imports for itself.

Run as a program this is the process; it speaks with `Warm` through a socket that it inherits. Linux alone: elsewhere
a library may not survive a fork.
"""

from __future__ import annotations

import functools
import gc
import importlib
import json
import os
import resource
import runpy
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any

LIBRARIES = (
    "accelerate",
    "click",
    "datasets",
    "evaluate",
    "pydantic",
    "rich.console",
    "scipy.stats",
    "sklearn.metrics",
    "tomlkit",
    "torch.optim",
    "transformers.integrations.integration_utils",
    "transformers.models.auto.modeling_auto",
    "transformers.models.auto.tokenization_auto",
    "transformers.models.bert.modeling_bert",
    "transformers.models.bert.tokenization_bert",
    "transformers.trainer",
)
READ_WHEN_CALLED = {"COLUMNS", "PYTEST_CURRENT_TEST", "RANK", "WORLD_SIZE"}
"""Variables that no library reads when it is imported; and those of MLflow, which no command imports."""
WITHOUT_THREADS = {"OMP_NUM_THREADS": "1", "JE_ARROW_MALLOC_CONF": "background_thread:false"}
"""A fork takes along none of the threads but its own."""
LARGEST_MESSAGE = 1 << 17


class Warm:
    """A warm process, as the tests see it.

    Args:
        environment: What the libraries are to read when they are imported.
    """

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._environment = environment
        self._statuses: dict[int, int] = {}
        self._lock = threading.Lock()
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, __file__, str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                env={**environment, **WITHOUT_THREADS},
            )
        self._set_by_importing: dict[str, str] = self._receive(timeout=300)

    def suits(self, environment: Mapping[str, str]) -> bool:
        """Whether a command with this environment is here what it would be in a process of its own."""
        before = {**self._set_by_importing, **self._environment}
        asked = {**self._set_by_importing, **environment}
        differing = {name for name in {*asked, *before} if asked.get(name) != before.get(name)}
        return all(name in READ_WHEN_CALLED or name.startswith("MLFLOW_") for name in differing)

    def start(
        self,
        module: str,
        arguments: Sequence[str],
        folder: Path,
        environment: Mapping[str, str],
        file_size: int | None = None,
    ) -> Command:
        """Begin `python -m MODULE ARGUMENTS` in a folder, its output to be read."""
        request = {"module": module, "arguments": [*arguments], "folder": str(folder), "file_size": file_size}
        request["environment"] = {**environment}
        (out, its_out), (err, its_err) = os.pipe(), os.pipe()
        streams = [os.open(os.devnull, os.O_RDONLY), its_out, its_err]
        with self._lock:
            socket.send_fds(self._socket, [json.dumps(request).encode()], streams)
            while not isinstance(pid := self._receive(timeout=60), int):
                self._remember(pid)
        for descriptor in streams:
            os.close(descriptor)
        return Command(self, pid, os.fdopen(out), os.fdopen(err))

    def status(self, pid: int, timeout: float | None) -> int | None:
        """The exit status of a command, as `subprocess` has it; None if it has not ended by then."""
        deadline = None if timeout is None else time.monotonic() + timeout
        while True:
            with self._lock:
                left = 0.2 if deadline is None else min(0.2, deadline - time.monotonic())
                while pid not in self._statuses and select.select([self._socket], [], [], max(left, 0.0))[0]:
                    self._remember(self._receive(timeout=60))
                if pid in self._statuses:
                    return self._statuses[pid]
            if deadline is not None and time.monotonic() >= deadline:
                return None

    def stop(self) -> None:
        self._socket.close()
        self._process.wait(timeout=60)

    def _receive(self, timeout: float) -> Any:
        self._socket.settimeout(timeout)
        message = self._socket.recv(LARGEST_MESSAGE)
        assert message, "the warm process is gone"
        return json.loads(message)

    def _remember(self, ended: Mapping[str, int]) -> None:
        self._statuses[ended["pid"]] = ended["status"]


class Commands:
    """Begins `python -m MODULE` in children of a warm process, and in processes of their own where that is not the same,
    or nothing heavy is imported.

    Args:
        environment: That of most commands.
    """

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._environment = environment
        self._warm: Warm | None = None

    def begin(
        self,
        module: str,
        arguments: Sequence[str],
        folder: Path,
        environment: Mapping[str, str],
        file_size: int | None = None,
    ) -> Command | subprocess.Popen[str]:
        """Begin a module in a folder; its files cannot grow beyond `file_size` bytes: to a program, as a full disk."""
        if sys.platform == "linux" and not is_light(module, arguments):
            self._warm = self._warm or Warm(self._environment)
            if self._warm.suits(environment):
                return self._warm.start(module, arguments, folder, environment, file_size)
        return subprocess.Popen(
            [sys.executable, "-m", module, *arguments],
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            preexec_fn=None if file_size is None else functools.partial(limit_files, file_size),
        )

    def stop(self) -> None:
        if self._warm:
            self._warm.stop()


def is_light(module: str, arguments: Sequence[str]) -> bool:
    """Whether a command is one that trains nothing, and so imports nothing of what is warm."""
    first = next(iter(arguments), "")
    trains = first in ("run", "resume") or first.endswith(".toml") or "--deep" in arguments
    return module == "ftrun" and not trains


class Command:
    """A command under way, with the part of `subprocess.Popen` that the tests use."""

    def __init__(self, warm: Warm, pid: int, stdout: IO[str], stderr: IO[str]) -> None:
        self.pid = pid
        self.returncode: int | None = None
        self.stdout = stdout
        self.stderr = stderr
        self._warm = warm
        self._said = ["", ""]

    def poll(self) -> int | None:
        if self.returncode is None:
            self.returncode = self._warm.status(self.pid, 0.0)
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Its exit status; the number of the signal that ended it, negative.

        Raises:
            subprocess.TimeoutExpired: If it goes on.
        """
        if self.returncode is None:
            self.returncode = self._warm.status(self.pid, timeout)
        if self.returncode is None:
            raise subprocess.TimeoutExpired(str(self.pid), timeout or 0.0)
        return self.returncode

    def communicate(self, timeout: float | None = None) -> tuple[str, str]:
        """All that it wrote to standard output and error, until it and all who have them from it are gone."""
        readers = [threading.Thread(target=self._read, args=(index,), daemon=True) for index in range(2)]
        for reader in readers:
            reader.start()
        self.wait(timeout)
        for reader in readers:
            reader.join()
        return self._said[0], self._said[1]

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def _read(self, index: int) -> None:
        with (self.stdout, self.stderr)[index] as stream:
            self._said[index] = stream.read()


def serve(connection: socket.socket) -> Mapping[str, Any] | None:
    """Fork a child for each request, and say how each ended; in a child it returns its request, at the end None."""
    running: dict[int, int] = {}
    while True:
        ready, _, _ = select.select([connection, *running], [], [])
        for descriptor in set(ready) & set(running):
            pid = running.pop(descriptor)
            os.close(descriptor)
            status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
            connection.send(json.dumps({"pid": pid, "status": status}).encode())
        if connection not in ready:
            continue
        message, streams, _, _ = socket.recv_fds(connection, LARGEST_MESSAGE, 3)
        if not message:
            return None
        assert len([*Path("/proc/self/task").iterdir()]) == 1, "an imported library has begun a thread"
        if (pid := os.fork()) == 0:
            connection.close()
            for descriptor in running:
                os.close(descriptor)
            for standard, descriptor in enumerate(streams):
                os.dup2(descriptor, standard)
                os.close(descriptor)
            request: dict[str, Any] = json.loads(message)
            return request
        for descriptor in streams:
            os.close(descriptor)
        running[os.pidfd_open(pid)] = pid
        connection.send(json.dumps(pid).encode())


def become(request: Mapping[str, Any], set_by_importing: Mapping[str, str]) -> None:
    """Be the process that was asked for, up to where Python would run the module."""
    os.environ.clear()
    os.environ.update({**set_by_importing, **request["environment"]})
    os.chdir(request["folder"])
    sys.path[0] = request["folder"]
    sys.argv = ["-m", *request["arguments"]]
    importlib.invalidate_caches()
    if request["file_size"] is not None:
        limit_files(request["file_size"])


def limit_files(size: int) -> None:
    """Let no file of this process grow beyond so many bytes."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))


if __name__ == "__main__":
    interrupted = signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the tests, whose end ends this process
    before = dict(os.environ)
    for library in LIBRARIES:
        importlib.import_module(library)
    by_importing = {name: value for name, value in os.environ.items() if before.get(name) != value}
    gc.collect()
    gc.freeze()  # a collection in a child would copy every page
    channel = socket.socket(fileno=int(sys.argv[1]))
    channel.send(json.dumps(by_importing).encode())
    if asked := serve(channel):
        signal.signal(signal.SIGINT, interrupted)
        become(asked, by_importing)
        runpy.run_module(asked["module"], run_name="__main__", alter_sys=True)
