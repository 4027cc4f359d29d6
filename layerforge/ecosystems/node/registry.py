"""npm's registries asked: where a tarball is, and as whom to fetch it."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit, urlunsplit

from layerforge.client import Client, usual_bundle
from layerforge.ecosystems.node.npmrc import NpmSettings
from layerforge.indexes import environments_bundle

_SIGN_IN: Final = (
    "Have a token for {host} that may read this in .npmrc: "
    "//{host}/:_authToken=${{NPM_TOKEN}}"
)


def tarball_address(resolved: str, settings: NpmSettings) -> str:
    """Say where a lock's tarball is fetched: npmjs.org means the registry that is set.

    ``replace-registry-host`` may name another host to be replaced, or a whole address,
    or be "always" or "never".
    """
    told = settings.text("replace-registry-host") or "npmjs"
    replaced = urlsplit("https://registry.npmjs.org" if told == "npmjs" else told)
    host = replaced.hostname or told
    prefix = replaced.path.rstrip("/") if replaced.hostname and told != "npmjs" else ""
    parts, registry = urlsplit(resolved), urlsplit(settings.registries[""])
    if parts.scheme not in {"http", "https"} or host not in {"always", parts.hostname}:
        return resolved
    if not _is_below(parts.path, prefix):
        return resolved
    path, base = parts.path.removeprefix(prefix), registry.path.rstrip("/")
    if prefix or not _is_below(path, base):
        path = f"{base}{path}"
    return urlunsplit(
        parts._replace(scheme=registry.scheme, netloc=registry.netloc, path=path)
    )


@contextmanager
def open_npm_client(settings: NpmSettings) -> Iterator[Client]:
    """Open a client that asks servers with npm's credentials, proxies and authorities.

    It knows no client certificates (``certfile``, ``keyfile``), and ``strict-ssl``
    doesn't move it to trust a server whose certificate nobody vouches for.
    """
    with (
        tempfile.TemporaryDirectory(prefix="layerforge-") as name,
        Client(
            authorize=settings.authorization,
            proxies=settings.proxies,
            ca_bundle=_bundle(settings, Path(name)),
            sign_in=_SIGN_IN,
        ) as client,
    ):
        yield client


def _bundle(settings: NpmSettings, folder: Path) -> Path | None:
    """Have the certificates in one file; nothing where the client's own will do."""
    text = settings.authority
    extra = Path(settings.extra_ca)
    if not text and settings.extra_ca and extra.is_file():
        # Node.js adds these, and the client can only be told of one file.
        usual = Path(environments_bundle() or usual_bundle())
        if usual == extra:
            return extra
        text = f"{usual.read_text(encoding='utf-8')}\n"
        text += extra.read_text(encoding="utf-8")
    if not text:
        return None
    bundle = folder / "ca.pem"
    bundle.write_text(text, encoding="utf-8")
    return bundle


def _is_below(path: str, folder: str) -> bool:
    return not folder or path == folder or path.startswith(f"{folder}/")
