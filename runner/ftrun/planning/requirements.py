"""What a plugin lacks: the requirement, or the extra, of its distribution that would bring a module."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib.metadata import PackageNotFoundError, requires

from ftrun.planning.choice import normalized

CALLED: Mapping[str, str] = {
    "bs4": "beautifulsoup4",
    "cv2": "opencv-python",
    "PIL": "pillow",
    "skimage": "scikit-image",
    "sklearn": "scikit-learn",
    "yaml": "pyyaml",
}
"""Modules whose distributions are called otherwise."""


def what_would_bring(error: BaseException, distribution: str) -> str | None:
    """What to install where a plugin of a distribution found no module; None where nobody can tell."""
    if not isinstance(error, ModuleNotFoundError) or not error.name:
        return None
    top = error.name.partition(".")[0]
    wanted = normalized(CALLED.get(top, top))
    for required, extra in _required(distribution):
        if normalized(required) in (wanted, f"python-{wanted}"):
            what = f"'{distribution}[{extra}]'" if extra else required
            return f"pip install {what}"
    return None


def _required(distribution: str) -> Iterator[tuple[str, str | None]]:
    """What a distribution requires, each with the extra that it is for."""
    from packaging.requirements import InvalidRequirement, Requirement

    try:
        told = requires(distribution) or []
    except (PackageNotFoundError, ValueError):
        return
    for text in told:
        try:
            requirement = Requirement(text)
        except InvalidRequirement:
            continue
        yield requirement.name, _extra_of(requirement)


def _extra_of(requirement: object) -> str | None:
    """The extra that a requirement's marker names."""
    marker = str(getattr(requirement, "marker", None) or "")
    _, found, after = marker.partition("extra ==")
    return after.replace("'", '"').split('"')[1] if found and '"' in after.replace("'", '"') else None
