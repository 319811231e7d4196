"""A Hub on loopback, as far as huggingface_hub's client asks for it: repositories are folders of this machine.

It takes pushes, where it has a folder for them (`repos/create`, `preupload`, `commit`), and makes no commit of what is
there. It answers where a repository is (`/api/models/ID`, `/api/datasets/ID/revision/REVISION`), what is in it (`tree`,
`paths-info`) and what is in its files (`resolve`, HEAD and GET, with the commit and an ETag); and what it has not with
the status and the `X-Error-Code` by which the client tells a repository, a revision and a file that is not there apart.
"""

from __future__ import annotations

import base64
import hashlib
import http.server
import json
import re
import threading
import urllib.parse
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

Kind = Literal["model", "dataset"]

API = re.compile(r"/api/(?P<kind>model|dataset)s/(?P<rest>.+)")
FILE = re.compile(r"/(?P<dataset>datasets/)?(?P<repo>[^/]+(?:/[^/]+)?)/resolve/(?P<revision>[^/]+)/(?P<path>.+)")
CREATE = "/api/repos/create"
PUSH = re.compile(r"/api/models/(?P<repo>.+?)/(?P<asks>preupload|commit)/main")
QUESTION = re.compile(r"(?P<repo>.+?)(?:/(?P<asks>revision|tree|paths-info)/(?P<revision>[^/]+)(?:/(?P<path>.*))?)?")


@dataclass(frozen=True)
class Refusal:
    """What is answered instead of what was asked for."""

    status: int
    code: str = ""
    message: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)


NO_REPOSITORY = Refusal(404, "RepoNotFound", "Repository not found")
NO_REVISION = Refusal(404, "RevisionNotFound", "Invalid rev id")
NO_FILE = Refusal(404, "EntryNotFound", "Entry not found")
UNAUTHORIZED = Refusal(401, "", "Invalid username or password.")
"""What the Hub says to somebody without a token of a repository that is private or is not there."""
INVALID_TOKEN = Refusal(401, "", "Invalid credentials in Authorization header")
GATED = Refusal(403, "GatedRepo", "Access to this repository is restricted and you are not in the authorized list.")
TOO_MANY_REQUESTS = Refusal(429, "", "Too many requests", {"RateLimit": '"api";r=0;t=55', "Retry-After": "55"})
UNAVAILABLE = Refusal(503, "", "Service unavailable")


class Revision:
    """The files of a folder, under a commit that their names and contents decide."""

    def __init__(self, folder: Path) -> None:
        self.files = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}
        self.digests = {name: _digest(path) for name, path in self.files.items()}
        self.commit = hashlib.sha1(json.dumps(sorted(self.digests.items())).encode()).hexdigest()

    def entries(self, inside: str, recursive: bool) -> list[dict[str, Any]]:
        """The files and folders of a folder, "" being the repository itself, as the Hub's API tells of them."""
        prefix = f"{inside}/" if inside else ""
        names = {name for name in self.files if name.startswith(prefix)}
        folders = {str(parent) for name in names for parent in Path(name).parents if parent != Path()}
        found = [self.entry(name) for name in sorted(names | {one for one in folders if one.startswith(prefix)})]
        return [one for one in found if recursive or "/" not in one["path"].removeprefix(prefix)]

    def entry(self, name: str) -> dict[str, Any]:
        if name not in self.files:
            return {"type": "directory", "path": name, "oid": hashlib.sha1(name.encode()).hexdigest(), "size": 0}
        return {"type": "file", "path": name, "oid": self.digests[name], "size": self.files[name].stat().st_size}

    def holds(self, name: str) -> bool:
        return any(file == name or file.startswith(f"{name}/") for file in self.files)


class HubStandIn:
    """A Hub for as long as it is not stopped.

    Attributes:
        address: For HF_ENDPOINT.
        asked: The requests, as "GET /api/models/ID", in their order.
        refuses: Says for a path what is answered instead, such as `TOO_MANY_REQUESTS`; None lets it through.
        delay: Seconds before an answer.
        pushed: Where what is pushed is kept, a folder a repository; None takes nothing.
        private: The repositories that were made private.
        commits: The messages of commits.
    """

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.refuses: Callable[[str], Refusal | None] = lambda path: None
        self.delay = 0.0
        self.pushed: Path | None = None
        self.private: set[str] = set()
        self.commits: list[str] = []
        self._revisions: dict[tuple[str, str], dict[str, Revision]] = {}
        self._stopped = threading.Event()
        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})
        self._thread.start()
        self.address = f"http://127.0.0.1:{self._server.server_port}"

    def add(self, kind: Kind, repo_id: str, folder: Path, revision: str = "main") -> str:
        """Hold the files of a folder under a branch or tag, where they were under it before no more; their commit."""
        added = Revision(folder)
        self._revisions.setdefault((kind, repo_id), {}).update({revision: added, added.commit: added})
        return added.commit

    def requests(self) -> str:
        """What was asked of it."""
        return "\n".join(self.asked)

    def wait(self) -> None:
        self._stopped.wait(self.delay)

    def stop(self) -> None:
        """Be gone: from now on nobody listens."""
        if self._stopped.is_set():
            return
        self._stopped.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def find(self, kind: str, repo_id: str, revision: str | None) -> Revision | Refusal:
        if (kind, repo_id) not in self._revisions:
            return NO_REPOSITORY
        return self._revisions[kind, repo_id].get(urllib.parse.unquote(revision or "main"), NO_REVISION)


class _Handler(http.server.BaseHTTPRequestHandler):
    hub: HubStandIn

    def answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode()
        self.hub.asked.append(f"{self.command} {self.path}")
        self.hub.wait()
        url = urllib.parse.urlsplit(self.path)
        if refusal := self.hub.refuses(self.path):
            self.refuse(refusal)
        elif self.command == "POST" and self.hub.pushed and (url.path == CREATE or PUSH.fullmatch(url.path)):
            self.take(url.path, body, self.hub.pushed)
        elif url.path == "/api/validate-yaml":
            self.json({"errors": [], "warnings": []})
        elif asked := FILE.fullmatch(url.path):
            kind = "dataset" if asked["dataset"] else "model"
            self.file(self.hub.find(kind, asked["repo"], asked["revision"]), urllib.parse.unquote(asked["path"]))
        elif (called := API.fullmatch(url.path)) and (asked := QUESTION.fullmatch(called["rest"])):
            found = self.hub.find(called["kind"], asked["repo"], asked["revision"])
            query = urllib.parse.parse_qs(f"{url.query}&{body}")
            self.question(found, asked["repo"], asked["asks"], urllib.parse.unquote(asked["path"] or ""), query)
        else:
            self.refuse(Refusal(404))

    def take(self, path: str, body: str, pushed: Path) -> None:
        """A repository, or files for one."""
        lines = [json.loads(line) for line in body.splitlines()]
        if not self.headers.get("Authorization"):
            self.refuse(UNAUTHORIZED)
        elif path == CREATE:
            repo_id = f"{lines[0]['organization']}/{lines[0]['name']}"
            (pushed / repo_id).mkdir(parents=True)
            self.hub.private |= {repo_id} if lines[0].get("visibility") == "private" else set()
            self.hub.add("model", repo_id, pushed / repo_id)
            self.json({"url": f"http://{self.headers['Host']}/{repo_id}"})
        elif (asked := PUSH.fullmatch(path)) and asked["asks"] == "preupload":
            there = pushed / asked["repo"]
            names = [file["path"] for file in lines[0]["files"]]
            known = {name: _blob(there / name) for name in names if (there / name).is_file()}
            files = [{"path": name, "uploadMode": "regular", "shouldIgnore": False} for name in names]
            self.json({"files": [{**file, "oid": known.get(file["path"])} for file in files]})
        elif asked:
            self.commit(asked["repo"], lines, pushed / asked["repo"])

    def commit(self, repo_id: str, lines: list[dict[str, Any]], folder: Path) -> None:
        for line in lines:
            if line["key"] == "header":
                self.hub.commits.append(line["value"]["summary"])
                continue
            file = folder / line["value"]["path"]
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(base64.b64decode(line["value"]["content"]))
        commit = self.hub.add("model", repo_id, folder)
        self.json({"commitOid": commit, "commitUrl": f"http://{self.headers['Host']}/{repo_id}/commit/{commit}"})

    def question(
        self, found: Revision | Refusal, repo_id: str, asks: str | None, path: str, query: dict[str, list[str]]
    ) -> None:
        if isinstance(found, Refusal):
            self.refuse(found)
        elif asks == "tree" and path and not found.holds(path):
            self.refuse(NO_FILE)
        elif asks == "tree":
            recursive = query.get("recursive", ["false"])[0].lower() in ("true", "1")
            self.json(found.entries(path, recursive))
        elif asks == "paths-info":
            self.json([found.entry(name) for name in query.get("paths", []) if found.holds(name)])
        else:
            siblings = [{"rfilename": name} for name in sorted(found.files)]
            private = repo_id in self.hub.private
            self.json({"id": repo_id, "sha": found.commit, "private": private, "tags": [], "siblings": siblings})

    def file(self, found: Revision | Refusal, name: str) -> None:
        if isinstance(found, Refusal):
            self.refuse(found)
        elif name not in found.files:
            self.refuse(replace(NO_FILE, headers={"X-Repo-Commit": found.commit}))
        else:
            about = {"X-Repo-Commit": found.commit, "ETag": f'"{found.digests[name]}"'}
            self.reply(200, found.files[name].read_bytes(), {**about, "Content-Type": "application/octet-stream"})

    def json(self, answer: object) -> None:
        self.reply(200, json.dumps(answer).encode(), {"Content-Type": "application/json"})

    def refuse(self, refusal: Refusal) -> None:
        told = {"X-Error-Code": refusal.code, "X-Error-Message": refusal.message}
        headers = {name: value for name, value in told.items() if value}
        self.reply(refusal.status, json.dumps({"error": refusal.message}).encode(), {**headers, **refusal.headers})

    def reply(self, status: int, content: bytes, headers: Mapping[str, str]) -> None:
        try:
            self.send_response(status)
            for name, value in {**headers, "Content-Length": str(len(content))}.items():
                self.send_header(name, value)
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(content)
        except ConnectionError:  # whoever asked did not wait
            self.close_connection = True

    def log_message(self, *_: object) -> None:
        pass


def _handler(hub: HubStandIn) -> type[_Handler]:
    answers = {f"do_{method}": _Handler.answer for method in ("GET", "HEAD", "POST")}
    return type("Handler", (_Handler,), {"hub": hub, **answers})


def _blob(path: Path) -> str:
    """A file's name in git."""
    content = path.read_bytes()
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


def _digest(path: Path) -> str:
    return hashlib.sha1(path.read_bytes()).hexdigest()
