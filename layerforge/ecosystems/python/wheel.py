"""A wheel as a pack: its RECORD held to, its files at their places below python/.

Follows the binary distribution format (PEP 427, PEP 491 and their living version at
https://packaging.python.org/specifications/binary-distribution-format/).
"""

from __future__ import annotations

import base64
import csv
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

from packaging.utils import (
    InvalidWheelFilename,
    canonicalize_name,
    parse_wheel_filename,
)
from packaging.version import InvalidVersion, Version

from layerforge.archives.zips import index_zip
from layerforge.ecosystems.python.agreement import parse_metadata
from layerforge.errors import ArchiveError
from layerforge.pack import Pack
from layerforge.tree import FileEntry

ROOT: Final = "python/"
SCRIPTS: Final = f"{ROOT}bin/"
SHEBANG: Final = b"#!python"  # for whoever installs the wheel to complete (PEP 427)

LONGEST_DOCUMENT: Final = 64 << 20  # bytes; RECORD is held in memory
REMEDY: Final = "The wheel is malformed: ask its maintainers, or take another version."

_UNRECORDED: Final = ("RECORD", "RECORD.jws", "RECORD.p7s")


def index_wheel(path: Path, filename: str, digest: str) -> Pack:
    """Read a wheel strictly, and lay it out; raises `ArchiveError`.

    ``filename`` is the wheel's own, which ``path`` in the store hasn't got.
    """
    entries = index_zip(path, archive=filename)
    info, pack = lay_out(filename, digest, entries)
    by_name = {entry.path: entry for entry in entries}
    _check_version(filename, _document(filename, by_name, f"{info}/WHEEL"))
    _check_record(filename, info, by_name)
    metadata = parse_metadata(
        _document(filename, by_name, f"{info}/METADATA"), filename
    )
    return replace(
        pack,
        scripts=tuple(
            entry.path
            for entry in pack.entries
            if entry.path.startswith(SCRIPTS) and _names_python(entry)
        ),
        requires=tuple(map(str, metadata.requires)),
        requires_python=metadata.requires_python,
    )


def lay_out(
    filename: str, digest: str, entries: Sequence[FileEntry]
) -> tuple[str, Pack]:
    """Put a wheel's files where a layer has them; give its .dist-info's name too.

    Raises `ArchiveError` where names and folders are not those of ``filename``.
    """
    try:
        name, version, _, _ = parse_wheel_filename(filename)
    except InvalidWheelFilename as error:
        raise ArchiveError(f"{filename}: {error}", remedy=REMEDY) from error
    info = _dist_info(filename, name, version, entries)
    data = info.removesuffix(".dist-info") + ".data"
    laid: list[FileEntry] = []
    left_out: list[str] = []
    for entry in entries:
        place = _place(filename, data, entry)
        if place is None:
            left_out.append(entry.path)
        else:
            laid.append(replace(entry, path=ROOT + place, origin=name))
    return info, Pack(
        name=name,
        version=str(version),
        digest=digest,
        entries=tuple(laid),
        left_out=tuple(left_out),
    )


def _dist_info(
    filename: str, name: str, version: Version, entries: Sequence[FileEntry]
) -> str:
    folders = {entry.path.partition("/")[0] for entry in entries if "/" in entry.path}
    found = sorted(folder for folder in folders if folder.endswith(".dist-info"))
    if len(found) != 1:
        has = ", ".join(found) or "none"
        raise ArchiveError(
            f"{filename}: one .dist-info folder is expected, there is {has}",
            remedy=REMEDY,
        )
    own_name, _, own_version = found[0].removesuffix(".dist-info").rpartition("-")
    try:
        fits = canonicalize_name(own_name) == name and Version(own_version) == version
    except InvalidVersion:
        fits = False
    if not fits:
        raise ArchiveError(
            f"{filename}: its metadata is that of another package, {found[0]}",
            remedy=REMEDY,
        )
    return found[0]


def _document(filename: str, entries: Mapping[str, FileEntry], name: str) -> str:
    entry = entries.get(name)
    if entry is None or entry.content is None:
        raise ArchiveError(f"{filename}: {name} is missing", remedy=REMEDY)
    if entry.size > LONGEST_DOCUMENT:
        raise ArchiveError(f"{filename}: {name} has {entry.size} bytes", remedy=REMEDY)
    try:
        return entry.content.inflated().decode()
    except UnicodeDecodeError as error:
        raise ArchiveError(f"{filename}: {name} is not UTF-8", remedy=REMEDY) from error


def _check_version(filename: str, document: str) -> None:
    for line in document.splitlines():
        key, _, value = line.partition(":")
        if key == "Wheel-Version" and value.strip().partition(".")[0] == "1":
            return
    raise ArchiveError(f"{filename}: it is not of wheel version 1", remedy=REMEDY)


def _check_record(filename: str, info: str, entries: Mapping[str, FileEntry]) -> None:
    unrecorded = {f"{info}/{name}" for name in _UNRECORDED}
    recorded: set[str] = set()
    record = f"{info}/RECORD"
    for row in _rows(filename, record, _document(filename, entries, record)):
        path, stated, size = (*row, "", "", "")[:3]
        entry = entries.get(path)
        if entry is None:
            raise _record_error(filename, path, "RECORD lists it, but it isn't there")
        if path in recorded:
            raise _record_error(filename, path, "RECORD lists it twice")
        recorded.add(path)
        if path in unrecorded:
            continue
        if not stated:
            raise _record_error(filename, path, "RECORD gives no hash for it")
        if size and size != str(entry.size):
            how = f"it has {entry.size} bytes, RECORD says {size}"
            raise _record_error(filename, path, how)
        if _hash(entry, stated.partition("=")[0]) != stated.rstrip("="):
            raise _record_error(filename, path, "it hasn't the hash that RECORD gives")
    for path in entries:
        if path not in recorded and path not in unrecorded:
            raise _record_error(filename, path, "RECORD doesn't list it")


def _rows(filename: str, record: str, document: str) -> list[list[str]]:
    try:
        return list(csv.reader(document.splitlines()))
    except csv.Error as error:
        raise _record_error(filename, record, f"it is no table: {error}") from error


def _hash(entry: FileEntry, algorithm: str) -> str:
    if entry.content is None:
        return ""
    if algorithm == "sha256":
        digest = bytes.fromhex(entry.content.sha256)
    elif algorithm in {"sha384", "sha512"}:
        digest = hashlib.new(algorithm, entry.content.inflated()).digest()
    else:
        return ""
    return f"{algorithm}={base64.urlsafe_b64encode(digest).decode().rstrip('=')}"


def _record_error(filename: str, path: str, how: str) -> ArchiveError:
    return ArchiveError(f"{filename}: {path!r}: {how}", remedy=REMEDY)


def _place(filename: str, data: str, entry: FileEntry) -> str | None:
    """Say where below python/ an entry goes; nowhere, where it has no place."""
    if not entry.path.startswith(f"{data}/"):
        return entry.path
    _, scheme, *rest = entry.path.split("/", 2)
    inside = "".join(rest)
    if not inside:
        raise ArchiveError(
            f"{filename}: {entry.path!r} is a file, a folder is expected",
            remedy=REMEDY,
        )
    match scheme:
        case "purelib" | "platlib" | "data":
            return inside
        case "scripts":
            return f"bin/{inside}"
        case "headers":
            return None
        case _:
            raise ArchiveError(
                f"{filename}: {entry.path!r}: wheels have no scheme {scheme!r}",
                remedy=REMEDY,
            )


def _names_python(entry: FileEntry) -> bool:
    if entry.content is None or entry.size > LONGEST_DOCUMENT:
        return False
    return entry.content.inflated().startswith(SHEBANG)
