"""Where packages are looked for: layerforge's options, the files' own, uv's, pip's.

uv reads its own settings; pip's are translated for it. Options given to layerforge
replace both, as they would replace them in pip.
"""

from __future__ import annotations

import ast
import os
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final
from urllib.parse import unquote, urlsplit

PYPI: Final = "https://pypi.org/simple"
_BUNDLE_VARIABLES: Final = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE")
_USER_INFORMATION: Final = re.compile(r"(?<=://)[^/?#\s]+@")
_INDEX_NAME: Final = re.compile(r"^[\w.-]+=(?=\w+://)")


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexSettings:
    """Package indexes, by pip's meaning of the words.

    An extra index may be written as uv has it, with a name: ``NAME=URL``.
    ``archives`` are URLs that requirements name themselves, for their credentials.
    ``uv_decides`` where they are uv's own settings: which index wins is then, too.
    """

    index_url: str = ""
    extra_index_urls: tuple[str, ...] = ()
    find_links: tuple[str, ...] = ()
    no_index: bool = False
    trusted_hosts: tuple[str, ...] = ()
    ca_bundle: str = ""
    archives: tuple[str, ...] = ()
    uv_decides: bool = False

    def with_option(self, option: str, value: str, folder: Path) -> IndexSettings:
        """Add what one line of a requirements file in ``folder`` says."""
        match option:
            case "-i" | "--index-url":
                return replace(self, index_url=value)
            case "--extra-index-url":
                return replace(self, extra_index_urls=(*self.extra_index_urls, value))
            case "--no-index":
                return replace(self, no_index=True)
            case "--trusted-host":
                return replace(self, trusted_hosts=(*self.trusted_hosts, value))
            case _:
                place = value if "://" in value else str(folder / value)
                return replace(self, find_links=(*self.find_links, place))

    def or_else(self, other: IndexSettings) -> IndexSettings:
        """Fill what is not said here from ``other``."""
        return IndexSettings(
            index_url=self.index_url or other.index_url,
            extra_index_urls=self.extra_index_urls or other.extra_index_urls,
            find_links=self.find_links or other.find_links,
            no_index=self.no_index or other.no_index,
            trusted_hosts=self.trusted_hosts or other.trusted_hosts,
            ca_bundle=self.ca_bundle or other.ca_bundle,
            archives=self.archives or other.archives,
            uv_decides=self.uv_decides or other.uv_decides,
        )

    @property
    def addresses(self) -> tuple[str, ...]:
        """The URLs of all indexes that are looked into, the main one first."""
        if self.no_index:
            return ()
        extra = (_INDEX_NAME.sub("", url) for url in self.extra_index_urls)
        return (self.index_url or PYPI, *extra)

    @property
    def credentials(self) -> Mapping[str, tuple[str, str]]:
        """User and password by host, of the URLs that carry them."""
        found = {}
        for url in (*self.addresses, *self.find_links, *self.archives):
            parts = urlsplit(url)
            if parts.username is not None:
                host = parts.netloc.rpartition("@")[2]
                found[host] = (unquote(parts.username), unquote(parts.password or ""))
        return found

    def uv_arguments(self) -> list[str]:
        """Give the options by which uv looks where these settings say.

        Indexes are none of them: see `uv_environment`.
        """
        arguments: list[str] = []
        for place in self.find_links:
            if "://" in place or Path(place).exists():
                arguments += ["--find-links", place]
        for host in self.trusted_hosts:
            arguments += ["--allow-insecure-host", host]
        if self.no_index:
            return [*arguments, "--no-index"]
        told = self.uv_decides or "UV_INDEX_STRATEGY" in os.environ
        if self.extra_index_urls and not told:
            # To pip all indexes are one: the newest version counts, wherever it is.
            arguments += ["--index-strategy", "unsafe-best-match"]
        return arguments

    def uv_environment(self) -> dict[str, str]:
        """Give the indexes as uv's variables: a process list shows arguments to all."""
        variables = {
            "UV_DEFAULT_INDEX": self.index_url,
            "UV_INDEX": " ".join(self.extra_index_urls),
        }
        return {name: value for name, value in variables.items() if value}


def machine_settings() -> IndexSettings:
    """Give what this machine's pip is set to, unless uv has settings of its own."""
    settings = _pip_settings()
    ours = IndexSettings(
        ca_bundle=settings.get("cert") or environments_bundle(),
        trusted_hosts=tuple(settings.get("trusted-host", "").split()),
    )
    uv = _uv_settings()
    if uv.uv_decides:
        return uv.or_else(ours)
    return replace(
        ours,
        index_url=settings.get("index-url", ""),
        extra_index_urls=tuple(settings.get("extra-index-url", "").split()),
        find_links=tuple(settings.get("find-links", "").split()),
        no_index=settings.get("no-index", "").lower() in {"1", "true", "yes", "on"},
    )


def environments_bundle() -> str:
    """Give the bundle that a variable names: uv and requests read different ones."""
    found = (os.environ.get(name) for name in _BUNDLE_VARIABLES)
    return next((path for path in found if path), "")


def _uv_settings() -> IndexSettings:
    said = os.environ.get
    main = said("UV_DEFAULT_INDEX") or said("UV_INDEX_URL") or ""
    extra = f"{said('UV_INDEX', '')} {said('UV_EXTRA_INDEX_URL', '')}".split()
    return IndexSettings(
        index_url=_INDEX_NAME.sub("", main),
        extra_index_urls=tuple(extra),
        uv_decides=bool(main or extra),
    )


def _pip_settings() -> dict[str, str]:
    """Ask pip, which alone knows all the places that its settings come from."""
    import subprocess  # noqa: PLC0415 - settings are parsed more often than asked for

    command = [sys.executable, "-m", "pip", "config", "list"]
    # -m would look into the present folder first, where a user may have a pip.py.
    environment = os.environ | {"PYTHONSAFEPATH": "1", "PYTHONUTF8": "1"}
    answer = subprocess.run(
        command, capture_output=True, text=True, check=False, env=environment
    )
    settings: dict[str, str] = {}
    for rank in ("global.", "download.", ":env:."):
        for line in answer.stdout.splitlines():
            key, _, value = line.partition("=")
            if key.startswith(rank):
                settings[key.removeprefix(rank)] = str(ast.literal_eval(value))
    return settings


def hide_credentials(text: str) -> str:
    """Give a text that may be shown: without user and password in its URLs."""
    return _USER_INFORMATION.sub("", text)
