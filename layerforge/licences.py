"""The licences that a layer's packages state, read from the zip itself.

License-Expression, License or classifiers of METADATA (core metadata 2.4), and
"license" of package.json: https://docs.npmjs.com/cli/configuring-npm/package-json.
"""

from __future__ import annotations

import json
import re
import zipfile
from collections.abc import Iterable
from email.parser import BytesParser
from pathlib import Path
from typing import Final

_METADATA: Final = re.compile(r"python/(?:.+/)?[^/]+\.dist-info/METADATA")
_PACKAGE_JSON: Final = re.compile(
    r"nodejs/(?:.+/)?node_modules/(?:@[^/]+/)?[^/]+/package\.json"
)
_LONGEST_NAME: Final = 60  # characters; what is longer is the text of a licence
_CLASSIFIER: Final = "License ::"


def licences_of(archive: Path) -> tuple[str, ...]:
    """Name the licences of a layer's packages, each once, in order."""
    found: set[str] = set()
    with zipfile.ZipFile(archive) as layer:
        for name in layer.namelist():
            if _METADATA.fullmatch(name):
                found.add(_of_metadata(layer.read(name)))
            elif _PACKAGE_JSON.fullmatch(name):
                found.add(_of_package_json(layer.read(name)))
    return tuple(sorted(found - {""}, key=lambda text: (text.casefold(), text)))


def listed(licences: Iterable[str], *, most: int) -> str:
    """List licences in at most so many characters; how many more there are is told."""
    names = list(licences)
    for count in range(len(names), -1, -1):
        left = len(names) - count
        shown = names[:count] + ([f"and {left} more"] if left else [])
        text = ", ".join(shown)
        if len(text) <= most:
            return text
    return ""


def _of_metadata(document: bytes) -> str:
    headers = BytesParser().parsebytes(document, headersonly=True)
    stated = [headers.get("License-Expression", ""), headers.get("License", "")]
    for text in map(str, stated):
        plain = " ".join(text.split())
        if 0 < len(plain) <= _LONGEST_NAME and plain.upper() != "UNKNOWN":
            return plain
    classified = [
        str(row).rpartition("::")[2].strip()
        for row in headers.get_all("Classifier", [])
        if str(row).startswith(_CLASSIFIER)
    ]
    return " OR ".join(sorted(set(classified) - {"OSI Approved"}))


def _of_package_json(document: bytes) -> str:
    try:
        stated = json.loads(document).get("license", "")
    except (ValueError, AttributeError):
        return ""
    if isinstance(stated, dict):  # as packages did before npm 2
        stated = stated.get("type", "")
    plain = stated.strip() if isinstance(stated, str) else ""
    return plain if len(plain) <= _LONGEST_NAME else ""
