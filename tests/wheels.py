"""Wheels for tests: real and lawful ones, from a few words."""

from __future__ import annotations

import base64
import csv
import hashlib
import io
import re
import zipfile
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path


def make_wheel(
    folder: Path,
    name: str,
    version: str,
    files: Mapping[str, bytes],
    *,
    requires: Iterable[str] = (),
    requires_python: str = "",
    tag: str = "py3-none-any",
    executables: Collection[str] = (),
    metadata: Iterable[str] = (),
    build: str = "",
) -> Path:
    """Write a wheel into ``folder`` as PEP 427 has it, the same bytes every time.

    A path of ``files`` that starts with ``.data/`` or ``.dist-info/`` goes into the
    wheel's own folder of that kind, one of ``executables`` gets mode 755.
    ``metadata`` are further lines of METADATA, such as ``Provides-Extra: fast``.
    ``tag`` may be compressed (``py2.py3-none-any``); ``build`` is a build number.
    """
    stem = f"{re.sub(r'[-_.]+', '_', name)}-{version}"
    own = {
        ".dist-info/METADATA": _metadata(
            name, version, requires, requires_python, metadata
        ),
        ".dist-info/WHEEL": _wheel(tag, build),
    }
    contents = {_placed(path, stem): data for path, data in (own | {**files}).items()}
    record = f"{stem}.dist-info/RECORD"
    contents[record] = _record(contents, record)
    modes = {_placed(path, stem): 0o755 for path in executables}
    parts = (stem, build, tag) if build else (stem, tag)
    wheel = folder / f"{'-'.join(parts)}.whl"
    folder.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(wheel, "w", zipfile.ZIP_DEFLATED) as archive:
        for path, data in contents.items():
            info = zipfile.ZipInfo(path)  # dated 1980-01-01
            info.create_system = 3  # where modes mean something
            info.compress_type = zipfile.ZIP_DEFLATED
            info.external_attr = (0o100000 | modes.get(path, 0o644)) << 16
            archive.writestr(info, data)
    return wheel


def _placed(path: str, stem: str) -> str:
    own = path.startswith((".data/", ".dist-info/"))
    return f"{stem}{path}" if own else path


def _metadata(
    name: str,
    version: str,
    requires: Iterable[str],
    requires_python: str,
    more: Iterable[str],
) -> bytes:
    lines = ["Metadata-Version: 2.1", f"Name: {name}", f"Version: {version}"]
    if requires_python:
        lines.append(f"Requires-Python: {requires_python}")
    lines += [*more, *(f"Requires-Dist: {requirement}" for requirement in requires)]
    return "".join(f"{line}\n" for line in lines).encode()


def _wheel(tag: str, build: str) -> bytes:
    pythons, abis, platforms = (part.split(".") for part in tag.split("-"))
    pure = str(platforms == ["any"]).lower()
    lines = ["Wheel-Version: 1.0", "Generator: tests", f"Root-Is-Purelib: {pure}"]
    lines += [
        f"Tag: {python}-{abi}-{platform}"
        for python in pythons
        for abi in abis
        for platform in platforms
    ]
    lines += [f"Build: {build}"] if build else []
    return "".join(f"{line}\n" for line in lines).encode()


def _record(contents: Mapping[str, bytes], record: str) -> bytes:
    table = io.StringIO()
    rows = csv.writer(table, lineterminator="\n")
    for path, data in contents.items():
        digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest())
        rows.writerow((path, f"sha256={digest.rstrip(b'=').decode()}", len(data)))
    rows.writerow((record, "", ""))
    return table.getvalue().encode()
