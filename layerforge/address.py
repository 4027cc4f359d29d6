"""URLs (RFC 3986), and the secrets that may stand in them."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import unquote, urlsplit, urlunsplit

from layerforge.errors import FetchError


def split_userinfo(url: str) -> tuple[str, tuple[str, str] | None]:
    """Part an address from the user and password that may stand in it."""
    parts = urlsplit(url)
    userinfo, at, host = parts.netloc.rpartition("@")
    if not at:
        return url, None
    user, _, password = userinfo.partition(":")
    return urlunsplit(parts._replace(netloc=host)), (unquote(user), unquote(password))


def shown(url: str) -> str:
    """Give an address as messages may show it: no password, token or signature."""
    parts = urlsplit(split_userinfo(url)[0])
    return urlunsplit(parts._replace(query="", fragment=""))


def local_path(url: str) -> Path | None:
    """Give the path of a file: address, or nothing for any other."""
    try:
        parts = urlsplit(url)
    except ValueError as error:
        raise FetchError(
            f"not an address that can be fetched: {error}",
            remedy="Use https: or file:.",
        ) from error
    return Path(unquote(parts.path)) if parts.scheme == "file" else None
