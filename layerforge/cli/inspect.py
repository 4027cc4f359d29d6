"""layerforge inspect."""

from __future__ import annotations

import base64
import hashlib
from pathlib import Path
from typing import Any

import click

from layerforge.archives.zips import index_zip
from layerforge.cli.console import Console
from layerforge.cli.options import console_of, console_options
from layerforge.errors import ArchiveError, ConfigError
from layerforge.manifest import manifest_path, read_manifest
from layerforge.reports.contents import Contents, contents_document, contents_text
from layerforge.reports.paths import shown_path


@click.command(
    "inspect", epilog="Try: layerforge inspect dist/web-python3.13-arm64.zip"
)
@click.argument("archive", metavar="ZIP", type=click.Path(path_type=Path))
@console_options
def command(archive: Path, **options: Any) -> None:  # noqa: ANN401 - as click hands them over
    """Show what is in a layer's zip, whoever built it.

    The zip is read to its last byte; what two readers could take for two things is an
    error. The manifest beside it, where there is one, tells what it was built from.
    """
    console = console_of(options)
    contents = _read(archive)
    _warn(archive, contents, console)
    document = {"format": 1, **contents_document(contents)}
    console.result(contents_text(contents), document)


def _read(archive: Path) -> Contents:
    if not archive.is_file():
        raise ConfigError(
            f"there is no file {archive}",
            remedy="Name a zip; layerforge build prints the paths of those it makes.",
        )
    try:
        entries = index_zip(archive, layer=True)
    except ArchiveError as error:
        remedy = "Build it anew: Lambda, or what reads it there, may refuse it as well."
        raise ArchiveError(error.message, remedy=remedy) from error
    with archive.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").digest()
    return Contents(
        path=shown_path(archive),
        zipped=archive.stat().st_size,
        code_sha256=base64.b64encode(digest).decode(),
        entries=entries,
        manifest=read_manifest(archive),
    )


def _warn(archive: Path, contents: Contents, console: Console) -> None:
    manifest = contents.manifest
    if manifest and not contents.is_as_built:
        console.warn(
            f"{shown_path(manifest_path(archive))} speaks of another zip, with "
            f"CodeSha256 {manifest.code_sha256}: this one was changed or replaced"
        )
