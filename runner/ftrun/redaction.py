"""Secrets out of every text that is kept or shown: the credentials in URIs, and what the environment holds secret.

A URI keeps its scheme, host and path, and the names in its query; user name and password, every value of the query and
the fragment become `***`. What could be read in two ways shows its scheme, and its host if that is beyond doubt.
"""

from __future__ import annotations

import io
import os
import re
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any, TextIO
from urllib.parse import unquote

HIDDEN = "***"
"""What stands for a secret."""

_SCHEME = r"[A-Za-z][A-Za-z0-9+.-]*"
_SLASHES = r":\\*/\\*/"
_WITH_BLANK = r"[^\s/?#@:]+:(?!\d*(?:[\s/?#'\")},.;]|$))[^\s@]*[ \t][^\n@]*@[^\s\\]*"
_URI = re.compile(rf"(?P<scheme>{_SCHEME})(?P<slashes>{_SLASHES})(?P<rest>{_WITH_BLANK}|\S*)")
_COLLAPSED_URI = re.compile(
    r"(?P<scheme>(?:https?|ftps?|s3|gs|postgres(?:ql)?|mysql|mssql|oracle)(?:\+\w+)?)(?P<slashes>:/)(?P<rest>[^\s/]\S*)"
)
"""What is left of a URI that was taken for a path."""
_ENCODED_URI = re.compile(rf"(?P<scheme>{_SCHEME})(?P<slashes>%3A%2F%2F)(?P<rest>\S*)", re.IGNORECASE)
_PATH_WITH_QUERY = re.compile(r"(?P<path>/[^\s?]*)\?(?P<query>[^\s=]+=\S*)")
_END_OF_SENTENCE = re.compile(r"[]'\")}>,.;:!`]*\Z")
_IPV6 = r"\[[0-9A-Fa-f:.]+(?:%[\w.~-]+)?\]"
_HOST = re.compile(rf"(?:{_IPV6}|(?:[\w.~-]|%[0-9A-Fa-f]{{2}})*)(?::\d*)?")
_HOSTS = re.compile(rf"{_HOST.pattern}(?:,{_HOST.pattern})*")
_PUBLIC_HOST = re.compile(rf"{_IPV6}|localhost|[\w-]+(?:\.[\w-]+)+")
_CERTAIN_HOST = re.compile(rf"(?:{_PUBLIC_HOST.pattern})(?::\d+)?|[\w-]+:\d+|[\w.-]+(?=/)")
_PARAMETER = re.compile(r"[\w.~\[\]-]{1,64}=")
_PROFILE = re.compile(r"[\w.-]+:[\w.-]+")
_FILES = ("file", "sqlite")
_WEB = ("http", "https")
_PROFILES = ("databricks", "databricks-uc", "uc")
_TOKENS = re.compile(
    r"\b(?:hf_[A-Za-z0-9]{30,}|gh[opsur]_[A-Za-z0-9]{36,}|github_pat_\w{50,}|glpat-[\w-]{20,}|dapi[0-9a-f]{32}"
    r"|eyJ[\w-]{10,}\.eyJ[\w-]{10,}\.[\w-]+)"
)
_ASSIGNED = re.compile(
    r"(?P<name>\b(?:password|passwd|pwd|access_token|api_key|client_secret)\s*=\s*)(?!\*\*\*)"
    r"(?:'[^'\n]*'|\"[^\"\n]*\"|[^\s,;&)]+)"
    r"|(?P<header>\bauthorization\W{1,4}(?:basic|bearer)\s+)[\w.~+/=-]+",
    re.IGNORECASE,
)
_SECRET_NAME = re.compile(r"(?:TOKEN|PASSWORD|PASSWD|SECRET|CREDENTIALS?|(?:_|^)(?:KEY|PWD|PASS))$", re.IGNORECASE)
_SHORTEST = 8
"""Shorter values of the environment, and plain words, stand in texts that have nothing to do with them."""


def redacted(text: str) -> str:
    """The text with the secrets of every URI in it hidden, and those of the environment.

    >>> redacted("cannot reach https://me:secret@mlflow.example/api?token=abc")
    'cannot reach https://***@mlflow.example/api?token=***'
    >>> redacted("sqlite:///mlflow.db")
    'sqlite:///mlflow.db'
    """
    for secret, shown in _of_environment():
        text = text.replace(secret, shown)
    return _without_tokens(_without_uris(text))


def redacted_uri(uri: str) -> str:
    """What is known to be one URI, with its secrets hidden; it may hold what no URI in a text could, such as blanks."""
    found = _URI.match(uri)
    if not found or not re.search(r"\s", uri):
        return redacted(uri)
    scheme, rest = found["scheme"].lower().partition("+")[0], uri[found.end("slashes") :]
    is_file = scheme in _FILES and rest.startswith("/")
    return uri[: found.end("slashes")] + (_shown(scheme, rest) if is_file else HIDDEN)


def redacted_values(value: Any) -> Any:
    """Tables and lists with every text in them redacted; pydantic's secrets are hidden altogether."""
    if isinstance(value, str):
        return redacted_uri(value) if _is_broken_uri(value) else redacted(value)
    if isinstance(value, Mapping):
        return {key: redacted_values(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [redacted_values(item) for item in value]
    return HIDDEN if hasattr(value, "get_secret_value") else value


def is_redacted(text: str) -> bool:
    """Whether something is hidden in a URI, or was the whole text."""
    return text == HIDDEN or any(HIDDEN in found["rest"] for found in _URI.finditer(text))


def address(uri: str) -> str:
    """A redacted URI without what stands for user name and password: what a person may open or configure.

    >>> address("https://***@mlflow.example/")
    'https://mlflow.example/'
    """
    return uri.replace(f"://{HIDDEN}@", "://", 1)


def _is_broken_uri(text: str) -> bool:
    """Whether a value is one URI with a blank before its host."""
    return re.match(rf"{_SCHEME}://\S*\s[^\n]*@", text) is not None


def _without_uris(text: str) -> str:
    text = _ENCODED_URI.sub(_encoded, _COLLAPSED_URI.sub(_found, _URI.sub(_found, text)))
    return _PATH_WITH_QUERY.sub(lambda found: f"{found['path']}?{_query(found['query'])}", text)


def _without_tokens(text: str) -> str:
    return _ASSIGNED.sub(rf"\g<name>\g<header>{HIDDEN}", _TOKENS.sub(HIDDEN, text))


def _found(found: re.Match[str]) -> str:
    shown = _shown(found["scheme"].lower().partition("+")[0], found["rest"])
    return f"{found['scheme']}{found['slashes']}{shown}"


def _encoded(found: re.Match[str]) -> str:
    plain = unquote(found["rest"])
    same = _shown(found["scheme"].lower().partition("+")[0], plain) == plain
    return found[0] if same else f"{found['scheme']}{found['slashes']}{_hidden(found['rest'])}"


def _shown(scheme: str, rest: str) -> str:
    """What follows the slashes of a URI, as far as it can be shown.

    The authority ends at the first slash, question mark or hash; or, where a password holds one of these, at an at sign
    that comes later.
    """
    head = re.split(r"\\*[/?#]", rest, maxsplit=1)[0]
    behind = rest[len(head) :]
    if scheme in _FILES and not head:
        return _path_and_query(behind, fragments=scheme != "sqlite")
    _, at, host = head.rpartition("@")
    if "@" not in behind:
        bare = host if behind else _END_OF_SENTENCE.sub("", host)
        if not (_HOSTS.fullmatch(bare) or (scheme in _PROFILES and _PROFILE.fullmatch(bare))):
            return _hidden(rest)
        return (f"{HIDDEN}@" if at else "") + host + _path_and_query(behind)
    doubtful = re.split(r"[?#]", behind)[0] if scheme in _WEB else behind  # whose queries hold anything
    is_users_name = re.search(r":[^@]*@", _URI.sub("", doubtful))  # perhaps, with a slash in it
    if not at and _PUBLIC_HOST.fullmatch(head) and not is_users_name:
        return head + _path_and_query(behind)
    return _host_behind(rest, only=not at and not _HOSTS.fullmatch(head) and rest.count("@") == 1)


def _host_behind(rest: str, only: bool) -> str:
    """The host behind the last at sign, if it is beyond doubt that it is one.

    Args:
        rest: What follows the slashes of a URI.
        only: Whether there is no other place where a host could be.
    """
    user, _, behind = rest.rpartition("@")
    if not only and re.search(r"[?&][^@]*=|#", user):  # the at sign may stand in a query's value
        return HIDDEN
    host = (_HOST if only else _CERTAIN_HOST).match(behind)
    if not host or not host[0] or not re.match(r"[/?#\\\s'\")},.;]|\Z", behind[host.end() :]):
        return HIDDEN
    return f"{HIDDEN}@{host[0]}"


def _path_and_query(text: str, fragments: bool = True) -> str:
    path, question, query = text.partition("?")
    path, hash_sign, fragment = path.partition("#") if fragments else (path, "", "")
    if hash_sign:
        return f"{_without_uris(path)}#{_hidden(fragment + question + query)}"
    return _without_uris(path) + (f"?{_query(query)}" if query else question)


def _query(query: str) -> str:
    query, hash_sign, fragment = query.partition("#")
    shown = re.sub(r"[^&;]+", lambda part: _parameter(part[0]), query)
    return shown + (f"#{_hidden(fragment)}" if hash_sign else "")


def _parameter(part: str) -> str:
    name = _PARAMETER.match(part)
    return f"{name[0]}{_hidden(part[name.end() :])}" if name else _hidden(part)


def _hidden(secret: str) -> str:
    """What stands for a secret; what is hidden already keeps the end of the sentence or list that it is in."""
    is_hidden = not secret or _END_OF_SENTENCE.sub("", secret) == HIDDEN
    return secret if is_hidden else HIDDEN


def _of_environment() -> tuple[tuple[str, str], ...]:
    """What to hide of the environment, each with what is shown instead."""
    return _secrets_of(tuple((name, value) for name, value in os.environ.items() if _may_be_secret(name, value)))


def _may_be_secret(name: str, value: str) -> bool:
    return "://" in value or (_SECRET_NAME.search(name) is not None and _is_telling(value))


def _is_telling(value: str) -> bool:
    """Whether a value is its own, and no word or path that stands in texts for other reasons."""
    return len(value) >= _SHORTEST and not value.isalpha() and not value.startswith(("/", "~", "."))


@lru_cache(maxsize=8)
def _secrets_of(variables: tuple[tuple[str, str], ...]) -> tuple[tuple[str, str], ...]:
    secrets: dict[str, str] = {}
    for _, value in variables:
        secrets.update(_parts_of(value) if "://" in value else [(value, HIDDEN)])
    return tuple(sorted(secrets.items(), key=lambda item: -len(item[0])))


def _parts_of(uri: str) -> Iterator[tuple[str, str]]:
    """A URI with a password, and the parts of it that libraries tell of alone, some by reading it wrongly."""
    found = _URI.match(uri)
    if not found or "@" not in found["rest"]:
        return
    if re.search(r"\s", uri):
        yield uri, f"{found['scheme']}{found['slashes']}{HIDDEN}"
    user, _, host = found["rest"].rpartition("@")
    password = user.partition(":")[2]
    for secret in {password, unquote(password)}:
        if _is_telling(secret):
            yield secret, HIDDEN
    name = re.split(r"[:/?#]", host)[0]
    for cut in re.finditer(r"[@/?#]", user):
        if rest := user[cut.end() :]:
            yield f"{rest}@{name}", f"{HIDDEN}@{name}"


class RedactedStream(io.TextIOBase):
    """Passes text on without the secrets in it, line by line; `finish` passes on what is left of a line."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._line = ""

    def write(self, text: str) -> int:
        """Pass on the lines that are whole."""
        lines, end, self._line = (self._line + text).rpartition("\n")
        if end:
            self._stream.write(redacted(lines) + end)
        return len(text)

    def flush(self) -> None:
        """Have what was passed on written."""
        self._stream.flush()

    def finish(self) -> None:
        """Pass on the last line, that has no end."""
        line, self._line = self._line, ""
        self._stream.write(redacted(line))
        self._stream.flush()
