"""layerforge diff."""

from __future__ import annotations

import base64
import hashlib
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import click

from layerforge.archives.zips import index_zip
from layerforge.aws.download import EXPIRED, download
from layerforge.aws.session import Access, Session
from layerforge.cli.console import Console
from layerforge.cli.options import (
    console_of,
    console_options,
    store_of,
    store_options,
)
from layerforge.client import Client
from layerforge.difference import Layer, compare
from layerforge.errors import ArchiveError, ConfigError
from layerforge.manifest import read_manifest
from layerforge.reports.difference import (
    difference_document,
    difference_markdown,
    difference_text,
)
from layerforge.reports.paths import shown_path
from layerforge.store import Store

_ARN: Final = "arn:"


@click.command(
    "diff", epilog="Try: layerforge diff old.zip dist/web-python3.13-arm64.zip"
)
@click.argument("before", metavar="BEFORE")
@click.argument("after", metavar="AFTER")
@click.option("--markdown", is_flag=True, help="Print Markdown for a pull request.")
@click.option("--profile", default="", help="A profile of ~/.aws/config.")
@click.option("--endpoint-url", default="", help="Ask there, not AWS itself.")
@store_options
@console_options
def command(before: str, after: str, **options: Any) -> None:  # noqa: ANN401 - as click hands them over
    """Show what changes from one layer to another: packages, files, libraries.

    BEFORE and AFTER are zips, whoever built them, or ARNs of published versions,
    which are downloaded once.
    """
    console = console_of(options)
    markdown = options.pop("markdown")
    store = store_of(options)
    layers = [
        _published(place, store, console, **options)
        if place.startswith(_ARN)
        else _built(Path(place))
        for place in (before, after)
    ]
    difference = compare(*layers)
    text = difference_markdown if markdown else difference_text
    document = {"format": 1, **difference_document(difference)}
    console.result(text(difference), document)


def _built(archive: Path) -> Layer:
    if not archive.is_file():
        raise ConfigError(
            f"there is no file {archive}",
            remedy="Name a zip, or the ARN of a layer version (arn:aws:lambda:…:7).",
        )
    manifest = read_manifest(archive)
    layer = _read(shown_path(archive), archive)
    as_built = manifest and manifest.code_sha256 == layer.code_sha256
    return replace(layer, manifest=manifest) if as_built else layer


def _published(
    arn: str, store: Store, console: Console, *, profile: str, endpoint_url: str
) -> Layer:
    with console.listening() as listen, Client(sign_in=EXPIRED) as client:
        session = Session(Access(profile=profile, endpoint_url=endpoint_url), listen)
        _, archive = download(session, arn, store, client, listen)
    return _read(arn, archive)


def _read(place: str, archive: Path) -> Layer:
    try:
        entries = index_zip(archive, archive=place, layer=True)
    except ArchiveError as error:
        remedy = "Compare with another zip: tools may take this one for two things."
        raise ArchiveError(error.message, remedy=remedy) from error
    with archive.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").digest()
    return Layer(
        place=place,
        zipped=archive.stat().st_size,
        code_sha256=base64.b64encode(digest).decode(),
        entries=entries,
    )
