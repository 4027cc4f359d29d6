"""What a package says of itself, in METADATA or in package.json.

Follows https://packaging.python.org/specifications/core-metadata/ (2.4) and
https://docs.npmjs.com/cli/v11/configuring-npm/package-json. What is malformed says
nothing.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from email.parser import HeaderParser
from typing import Any, Final

_METADATA: Final = re.compile(
    r"python/(?:lib/python[\d.]+/site-packages/)?"
    r"(?P<place>(?:.+/)?)[^/]+\.dist-info/METADATA"
)
_PACKAGE_JSON: Final = re.compile(
    r"nodejs/(?:node\d+/)?(?P<place>(?:.+/)?node_modules/(?:@[^/]+/)?[^/]+/)package\.json"
)
_LONGEST_NAME: Final = 60  # characters; what is longer is the text of a licence
_CLASSIFIER: Final = "License ::"


@dataclass(frozen=True, slots=True, kw_only=True)
class Statement:
    """A package by its own words, each on one line; '' where it has none.

    Several ``licences`` are a choice between them, or all hold: who lists classifiers
    doesn't say which.
    """

    name: str = ""
    version: str = ""
    summary: str = ""
    licences: tuple[str, ...] = ()


def place_of(path: str) -> str | None:
    """Say where the package stands that the file at ``path`` in /opt describes.

    That is '' for a distribution where Python looks for them and ``some/_vendor`` for
    one inside of another's modules, or, for Node.js, what `Pin` calls a location. None
    where the file describes no package.
    """
    match = _METADATA.fullmatch(path) or _PACKAGE_JSON.fullmatch(path)
    return match["place"].rstrip("/") if match else None


def read_statement(path: str, document: bytes) -> Statement:
    """Read the file of a package that `place_of` knows."""
    text = document.decode("utf-8", errors="replace")
    read = _of_metadata if _METADATA.fullmatch(path) else _of_package_json
    return read(text)


def _of_metadata(text: str) -> Statement:
    headers = HeaderParser().parsestr(text)

    def stated(key: str) -> str:
        return _plain(headers.get(key))

    return Statement(
        name=stated("Name"),
        version=stated("Version"),
        summary=stated("Summary"),
        licences=_first(
            lambda: [stated("License-Expression")],
            lambda: [_name(stated("License"))],
            lambda: _classified(headers.get_all("Classifier", [])),
        ),
    )


def _of_package_json(text: str) -> Statement:
    try:
        document = json.loads(text)
    except (ValueError, RecursionError):
        return Statement()
    if not isinstance(document, dict):
        return Statement()
    return Statement(
        name=_plain(document.get("name")),
        version=_plain(document.get("version")),
        summary=_plain(document.get("description")),
        licences=_first(
            lambda: [_of_field(document.get("license"))],
            lambda: map(_of_field, _rows(document.get("licenses"))),
        ),
    )


def _first(*sources: Callable[[], Iterable[str]]) -> tuple[str, ...]:
    """Give what the first source says that says anything."""
    for source in sources:
        found = sorted(set(source()) - {""})
        if found:
            return tuple(found)
    return ()


def _classified(rows: Iterable[str]) -> Iterator[str]:
    for row in map(_plain, rows):
        if row.startswith(_CLASSIFIER) and not row.endswith(":: OSI Approved"):
            yield row.rpartition("::")[2].strip()


def _rows(value: Any) -> list[Any]:  # noqa: ANN401 - JSON's values
    return value if isinstance(value, list) else []


def _of_field(value: Any) -> str:  # noqa: ANN401 - JSON's values
    """Read a licence; packages of before npm 2 have objects."""
    return _name(_plain(value.get("type") if isinstance(value, dict) else value))


def _name(text: str) -> str:
    return text if len(text) <= _LONGEST_NAME and text.upper() != "UNKNOWN" else ""


def _plain(value: object) -> str:
    """Give a text on one line, as UTF-8 can hold it; '' for anything else."""
    words = value.split() if isinstance(value, str) else ()
    return " ".join(words).encode(errors="replace").decode()
