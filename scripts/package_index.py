"""Fetch pip from a package index, with nothing but the standard library.

Debian's python3 brings neither pip nor ensurepip, so pip has to come from the index
itself, which is read as PEP 503 says. Where the index is, and whom to trust, is taken
from where pip would take it: PIP_* variables first, then the pip.conf files.

    package_index.py    exit status 0 where the index answers, else 1 and the reason
"""

from __future__ import annotations

import base64
import configparser
import hashlib
import html.parser
import http.client
import os
import re
import ssl
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.error import URLError
from urllib.parse import unquote, urldefrag, urljoin, urlsplit
from urllib.request import Request, urlopen

PYPI: Final = "https://pypi.org/simple"
HTML: Final = "application/vnd.pypi.simple.v1+html, text/html;q=0.5"
SECONDS: Final = 15.0
# Numbers only: no pre-releases.
WHEEL: Final = re.compile(r"pip-([0-9]+(?:\.[0-9]+)*)-py3-none-any\.whl")


class PackageIndexError(Exception):
    """No index answers as it should; the message says which and why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wheel:
    """A wheel that an index offers, with the SHA-256 (hex) that it gives for it."""

    name: str
    url: str
    sha256: str


def pip_settings(environ: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Merge pip's global settings as pip does: a variable beats a file."""
    home = Path(environ.get("HOME", "/"))
    files = (
        Path("/etc/pip.conf"),
        home / ".pip/pip.conf",
        home / "Library/Application Support/pip/pip.conf",
        Path(environ.get("XDG_CONFIG_HOME", home / ".config"), "pip/pip.conf"),
        Path(environ.get("PIP_CONFIG_FILE", os.devnull)),
    )
    # PIP_CONFIG_FILE=/dev/null asks for no file at all.
    alone = environ.get("PIP_CONFIG_FILE") == os.devnull
    parser = configparser.RawConfigParser()
    parser.read(() if alone else files, encoding="utf-8")
    written = dict(parser["global"]) if parser.has_section("global") else {}
    exported = {
        name.removeprefix("PIP_").lower(): value
        for name, value in environ.items()
        if name.startswith("PIP_")
    }
    return {
        name.replace("_", "-"): value for name, value in (written | exported).items()
    }


def index_urls(settings: Mapping[str, str]) -> list[str]:
    """Name the indexes in the order in which they are asked."""
    main = settings.get("index-url", PYPI)
    return [main, *settings.get("extra-index-url", "").split()]


def read(url: str, settings: Mapping[str, str]) -> bytes:
    """Read all of ``url``, which may hold credentials; raise PackageIndexError."""
    parts = urlsplit(url)
    user, _, host = parts.netloc.rpartition("@")
    shown = parts._replace(netloc=host).geturl()
    request = Request(shown, headers={"Accept": HTML})  # noqa: S310  # the user's own
    if user:
        token = base64.b64encode(unquote(user).encode()).decode()
        # Not for whoever it is redirected to.
        request.add_unredirected_header("Authorization", f"Basic {token}")
    try:
        with urlopen(request, timeout=SECONDS, context=_trust(settings)) as response:  # noqa: S310
            body: bytes = response.read()
    except (OSError, http.client.HTTPException) as error:
        # A URLError's own text is its reason's, in brackets; an HTTPError's is better.
        reason = error.reason if type(error) is URLError else error
        raise PackageIndexError(f"{shown} does not answer: {reason}") from error
    return body


def _trust(settings: Mapping[str, str]) -> ssl.SSLContext:
    bundle = settings.get("cert") or os.environ.get("REQUESTS_CA_BUNDLE")
    if bundle and Path(bundle).is_dir():
        return ssl.create_default_context(capath=bundle)
    # Without a bundle it is SSL_CERT_FILE, else the system's own.
    return ssl.create_default_context(cafile=bundle or None)


class _Links(html.parser.HTMLParser):
    """The attributes of each link of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[dict[str, str | None]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "a":
            self.found.append(dict(attrs))


def newest_pip(page: str, url: str) -> Wheel | None:
    """Choose the newest pip that runs on this Python of the ``page`` at ``url``.

    What is yanked, or has no SHA-256, doesn't count.
    """
    links = _Links()
    links.feed(page)
    offered = {}
    for link in links.found:
        target, fragment = urldefrag(urljoin(url, link.get("href") or ""))
        name = target.rpartition("/")[2]
        match = WHEEL.fullmatch(name)
        if (
            match
            and fragment.startswith("sha256=")
            and "data-yanked" not in link
            and _suits(link.get("data-requires-python") or "")
        ):
            version = tuple(map(int, match[1].split(".")))
            sha256 = fragment.removeprefix("sha256=")
            offered[version] = Wheel(name=name, url=target, sha256=sha256)
    return offered[max(offered)] if offered else None


def _suits(requires_python: str) -> bool:
    # A lower bound is all that pip has ever asked for.
    match = re.search(r">=\s*3\.([0-9]+)", requires_python)
    return not match or int(match[1]) <= sys.version_info.minor


def fetch_pip(folder: Path) -> Path:
    """Save the newest pip wheel in ``folder``, its SHA-256 checked.

    The first index that has one gives it. Raises PackageIndexError.
    """
    settings = pip_settings()
    failures = []
    for index in index_urls(settings):
        try:
            return _fetch_pip_from(index, folder, settings)
        except PackageIndexError as error:
            failures.append(str(error))
    raise PackageIndexError("\n".join(failures))


def _fetch_pip_from(index: str, folder: Path, settings: Mapping[str, str]) -> Path:
    url = project_url(index)
    wheel = newest_pip(read(url, settings).decode(), url)
    if wheel is None:
        raise PackageIndexError(f"{index} has no wheel of pip with a SHA-256")
    body = read(wheel.url, settings)
    found = hashlib.sha256(body).hexdigest()
    if found != wheel.sha256:
        raise PackageIndexError(
            f"{wheel.name} has SHA-256 {found}, but the index gives {wheel.sha256}"
        )
    path = folder / wheel.name
    path.write_bytes(body)
    return path


def project_url(index: str) -> str:
    """Give the address of pip's own page on an index."""
    # A folder has no server that would answer with its index.html.
    page = "index.html" if index.startswith("file:") else ""
    return f"{index.rstrip('/')}/pip/{page}"


def main() -> int:
    """Say whether the main index answers."""
    settings = pip_settings()
    try:
        read(project_url(index_urls(settings)[0]), settings)
    except PackageIndexError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
