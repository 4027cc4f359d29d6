"""The licences of a layer's packages in full, as one text to hand on with it.

Most licences ask for no less: that their text, and notices beside it, go with every
copy. Nothing is fetched: the texts are those that packages bring (PEP 639's
``licenses`` folder, and files beside a package's metadata).
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from layerforge.documents.components import Component, components_of
from layerforge.lock import Lock
from layerforge.tree import FileEntry, Tree

# Below the folder that has a package's metadata; what looks alike may be a module.
_WORD: Final = re.compile(r"licen[cs]e|copying|copyright|notice", re.IGNORECASE)
_TEXT: Final = re.compile(
    rf"(?:licen[cs]es|license_files)/.+|[^/]*(?:{_WORD.pattern})[^/]*", re.IGNORECASE
)
_NO_TEXT: Final = re.compile(
    r".*\.(?:[cm]?[jt]s|json|map|node|py|pyc|so)", re.IGNORECASE
)
_UTF16: Final = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
_WIDTH: Final = 80


def licence_texts_path(archive: Path) -> Path:
    """Say where the licences of a zip's packages are."""
    return archive.with_suffix(".licences.txt")


def dump_licence_texts(title: str, locks: Sequence[Lock], tree: Tree) -> str:
    """Give every licence text and notice in a layer, below who has it.

    A text that several packages have stands once. Packages without any are listed at
    the end. Equal layers, equal text.
    """
    packages = [one for one in components_of(locks, tree) if one.is_package]
    named = [entry for entry in tree if _WORD.search(entry.path)]
    owners: dict[str, list[str]] = {}
    without: list[str] = []
    for package in packages:
        found = list(_texts(package, named))
        for name, text in found:
            owners.setdefault(text, []).append(f"{_named(package)}: {name}")
        if not found:
            without.append(_named(package))
    sections = [
        _section(sorted(names), text)
        for text, names in sorted(owners.items(), key=lambda item: sorted(item[1]))
    ]
    if without:
        sections.append(_section(["Packages that bring no text"], _listed(without)))
    return "\n".join([f"The licences of {title}\n", *sections])


def _texts(
    package: Component, entries: Sequence[FileEntry]
) -> Iterator[tuple[str, str]]:
    """Give the name of each of a package's texts, and the text."""
    if not package.folder:
        return
    folder = f"{package.folder}/"
    for entry in entries:
        name = entry.path.removeprefix(folder)
        if (
            name != entry.path
            and _TEXT.fullmatch(name)
            and not _NO_TEXT.fullmatch(name)
        ):
            text = _decoded(entry)
            if text:
                yield name, text


def _decoded(entry: FileEntry) -> str:
    """Give a file as text, whatever its encoding and ends of lines; '' for no text."""
    data = entry.content.inflated() if entry.content else b""
    encoding = "utf-16" if data.startswith(_UTF16) else "utf-8-sig"
    if encoding != "utf-16" and b"\0" in data:
        return ""
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError:
        text = data.decode("latin-1")  # which any bytes are
    return "\n".join(line.rstrip() for line in text.splitlines()).strip("\n")


def _named(package: Component) -> str:
    licences = " OR ".join(package.statement.licences)
    named = f"{package.name} {package.version}".rstrip()
    return f"{named} ({licences or 'states no licence'})"


def _listed(names: Sequence[str]) -> str:
    return "\n".join(sorted(set(names)))


def _section(heads: Sequence[str], text: str) -> str:
    lines = ["=" * _WIDTH, *heads, "-" * _WIDTH, "", text, ""]
    return "\n".join(lines)
