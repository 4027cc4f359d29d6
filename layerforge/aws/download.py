"""A published version's zip, brought into the store."""

from __future__ import annotations

import base64
from pathlib import Path

from layerforge.aws.session import Session
from layerforge.aws.versions import PublishedVersion, get_version
from layerforge.events import Listener, silent
from layerforge.fetch import Client, Download, fetch
from layerforge.store import Store

EXPIRED = (
    "The address that AWS gave for it holds for ten minutes: run it again, and where "
    "{host} stays so, ask who keeps your network."
)
"""What to do where a presigned address is refused, for `Client`'s ``sign_in``."""


def download(
    session: Session,
    arn: str,
    store: Store,
    client: Client,
    listen: Listener = silent,
) -> tuple[PublishedVersion, Path]:
    """Have a version's zip in the store; it is fetched where it isn't there already.

    Raises `AwsError`, `FetchError`, and `ArchiveError` where the bytes are not those
    that its CodeSha256 names.
    """
    version, location = get_version(session, arn)
    digest = base64.b64decode(version.code_sha256).hex()
    archive = Download(
        name=f"{version.layer}:{version.version}",
        url=location,
        digest=digest,
        size=version.zipped,
    )
    fetch([archive], store, client, listen=listen)
    return version, store.artifact(digest)
