"""Layers' zips from a few words."""

from __future__ import annotations

import base64
import hashlib
import io
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

from layerforge.manifest import BuildReport, dump_manifest, manifest_path


def layer_zip(content: str, path: str = "python/demo.py") -> bytes:
    """Make a zip of one file."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(zipfile.ZipInfo(path, (1980, 1, 1, 0, 0, 0)), content)
    return stream.getvalue()


def write_built(
    folder: Path,
    content: str = "x = 1",
    *,
    layer: str = "web",
    runtimes: tuple[str, ...] = ("python3.13",),
    arch: str = "arm64",
    **fields: Any,  # noqa: ANN401 - of a report, whichever
) -> tuple[Path, BuildReport]:
    """Write a zip, with the manifest that a build would leave beside it."""
    body = layer_zip(content)
    path = folder / f"{layer}-{'-'.join(runtimes)}-{arch}.zip"
    report = report_of(
        body, path, layer=layer, runtimes=runtimes, architecture=arch, **fields
    )
    folder.mkdir(parents=True, exist_ok=True)
    path.write_bytes(body)
    manifest_path(path).write_text(dump_manifest(report))
    return path, report


def report_of(body: bytes, path: Path, **fields: Any) -> BuildReport:  # noqa: ANN401 - the same
    """Report a zip with these bytes."""
    usual = BuildReport(
        layer="web",
        runtime="",
        runtimes=("python3.13",),
        architecture="arm64",
        description="",
        licence="",
        zip=path.name,
        zipped=len(body),
        unzipped=len(body),
        files=1,
        code_sha256=base64.b64encode(hashlib.sha256(body).digest()).decode(),
        tree_digest=hashlib.sha256(body).hexdigest(),
        lock="pylock.web.toml",
        lock_digest="",
        packages=(),
        removals=(),
        trimmed=0,
        bytecode=0,
        bytecode_estimate=0,
        findings=(),
        layerforge="0",
    )
    report = replace(usual, **fields)
    return replace(report, runtime=report.runtimes[0])
