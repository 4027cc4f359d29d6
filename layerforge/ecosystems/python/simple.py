"""Which files an index has of a project: the simple repository API (PEP 503, 691)."""

from __future__ import annotations

import json
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

from packaging.utils import (
    InvalidSdistFilename,
    InvalidWheelFilename,
    canonicalize_name,
    parse_sdist_filename,
    parse_wheel_filename,
)
from packaging.version import Version

from layerforge.client import Client
from layerforge.ecosystems.python.agreement import loads
from layerforge.target import Target

_ACCEPT = (
    "application/vnd.pypi.simple.v1+json, "
    "application/vnd.pypi.simple.v1+html;q=0.2, text/html;q=0.1"
)


class Project:
    """The files that an index has of one project, by version."""

    def __init__(self, name: str, filenames: list[str]) -> None:
        self.name = name
        self.versions: dict[Version, list[str]] = {}
        for filename in filenames:
            version = _version(filename)
            if version is not None:
                self.versions.setdefault(version, []).append(filename)

    def loadable(self, target: Target) -> list[Version]:
        """Give the versions that have a wheel for the target, the newest first."""
        return sorted(
            (
                version
                for version, filenames in self.versions.items()
                if any(_loads(filename, target) for filename in filenames)
            ),
            reverse=True,
        )

    def unloadable(self, target: Target) -> list[Version]:
        """Give the versions that have none, the oldest first."""
        return sorted(self.versions.keys() - set(self.loadable(target)))


def read_project(client: Client, index: str, name: str) -> list[str]:
    """Ask an index for the names of a project's files; raises `FetchError`."""
    url = f"{index.rstrip('/')}/{canonicalize_name(name)}/"
    parts = urlsplit(url)
    if parts.scheme == "file":
        page = Path(unquote(parts.path)) / "index.html"
        return _html_filenames(page.read_text(encoding="utf-8"))
    answer = client.get(url, accept=_ACCEPT)
    if "json" in answer.content_type:
        files = json.loads(answer.body)["files"]
        return [file["filename"] for file in files]
    return _html_filenames(answer.body.decode(errors="replace"))


def read_links(client: Client, place: str, name: str) -> list[str]:
    """Name those files of a find-links folder or page that are of a project.

    Raises `FetchError` and `OSError`.
    """
    if "://" in place:
        answer = client.get(place)
        filenames = _html_filenames(answer.body.decode(errors="replace"))
    else:
        filenames = [path.name for path in Path(place).iterdir()]
    wanted = canonicalize_name(name)
    return [
        filename
        for filename in filenames
        if canonicalize_name(_project_of(filename)) == wanted
    ]


def _project_of(filename: str) -> str:
    split = str.partition if filename.endswith(".whl") else str.rpartition
    return split(filename, "-")[0]


def _html_filenames(page: str) -> list[str]:
    anchors = _Anchors()
    anchors.feed(page)
    return [
        unquote(urlsplit(address).path.rpartition("/")[2])
        for address in anchors.addresses
    ]


class _Anchors(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.addresses: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "a":
            self.addresses += [value for key, value in attrs if key == "href" and value]


def _version(filename: str) -> Version | None:
    try:
        if filename.endswith(".whl"):
            return parse_wheel_filename(filename)[1]
        return parse_sdist_filename(filename)[1]
    except (InvalidWheelFilename, InvalidSdistFilename):
        return None


def _loads(filename: str, target: Target) -> bool:
    return filename.endswith(".whl") and loads(filename, target)
