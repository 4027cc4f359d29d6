"""Users and passwords for package indexes, from where pip finds them.

In pip's order: the index's own address, the machine's netrc, and keyring. What is
found goes into the addresses, so that whoever asks an index need only know those.
"""

from __future__ import annotations

import json
import os
import re
from dataclasses import replace
from netrc import NetrcParseError, netrc
from pathlib import Path
from typing import Final
from urllib.parse import quote, urlsplit, urlunsplit

from layerforge.address import split_userinfo
from layerforge.events import Listener, Noted, silent
from layerforge.indexes import IndexSettings

Pair = tuple[str, str]

KEYRING_TIMEOUT: Final = 30.0  # seconds; some keyrings ask a server themselves
_ADDRESS: Final = re.compile(r"(?P<name>(?:[\w.-]+=|git\+)?)(?P<url>https?://.+)")


def with_credentials(
    settings: IndexSettings, listen: Listener = silent
) -> IndexSettings:
    """Give the settings with user and password in each address that has some.

    Asks keyring, where that program is on PATH, for each address that neither itself
    nor netrc says enough for; never in a way that waits for a person.
    """

    def complete(place: str) -> str:
        match = _ADDRESS.fullmatch(place)
        if not match:
            return place
        return match["name"] + _completed(match["url"], listen)

    return replace(
        settings,
        index_url=complete(settings.index_url),
        extra_index_urls=tuple(map(complete, settings.extra_index_urls)),
        find_links=tuple(map(complete, settings.find_links)),
        archives=tuple(map(complete, settings.archives)),
    )


def _completed(url: str, listen: Listener) -> str:
    bare, said = split_userinfo(url)
    user, password = said or ("", "")
    if password:
        return url
    pair = _from_netrc(bare, user, listen) or _from_keyring(bare, user, listen)
    return _joined(bare, pair) if pair else url


def _joined(url: str, pair: Pair) -> str:
    parts = urlsplit(url)
    user, password = (quote(part, safe="") for part in pair)
    return urlunsplit(parts._replace(netloc=f"{user}:{password}@{parts.netloc}"))


def _from_netrc(url: str, user: str, listen: Listener) -> Pair | None:
    path = _netrc_path()
    if path is None:
        return None
    try:
        entry = netrc(path).authenticators(urlsplit(url).hostname or "")
    except (NetrcParseError, UnicodeDecodeError, OSError):
        # What the error itself says may be a password.
        message = f"{path} is no netrc that can be read: it is left out"
        listen(Noted(message=message, warning=True))
        return None
    if entry is None:
        return None
    login, account, password = entry
    named = login or account or ""
    return (named, password or "") if named and user in ("", named) else None


def _netrc_path() -> Path | None:
    """Say which file requests would read, and so pip."""
    told = os.environ.get("NETRC")
    home = Path.home()
    places = (Path(told),) if told else (home / ".netrc", home / "_netrc")
    return next(filter(Path.is_file, places), None)


def _from_keyring(url: str, user: str, listen: Listener) -> Pair | None:
    import shutil  # noqa: PLC0415 - start-up time

    program = shutil.which("keyring")
    if program is None:
        return None
    for service in (url, urlsplit(url).netloc):
        said = _ask_keyring(program, service, user, listen)
        if said is None:
            return None
        pair = (user, said.removesuffix("\n")) if user else _read_pair(said)
        if all(pair):
            return pair
    return None


def _ask_keyring(program: str, service: str, user: str, listen: Listener) -> str | None:
    """Give what keyring printed, '' where it knows nothing, None where it is silent."""
    import subprocess  # noqa: PLC0415 - start-up time

    # Only keyring 25.2 and newer can say who the user is; older ones refuse.
    query: tuple[str, ...] = ("get", service, user)
    if not user:
        query = ("--mode", "creds", "--output", "json", "get", service)
    try:
        answer = subprocess.run(
            (program, *query),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            timeout=KEYRING_TIMEOUT,
            check=False,
            start_new_session=True,  # it finds no terminal to ask for a password on
        )
    except subprocess.TimeoutExpired:
        message = (
            f"keyring said nothing for {KEYRING_TIMEOUT:g} seconds, asked for {service}"
        )
        listen(Noted(message=message, warning=True))
        return None
    except OSError as error:
        listen(Noted(message=f"keyring can't be run: {error}", warning=True))
        return None
    return answer.stdout.decode(errors="replace") if answer.returncode == 0 else ""


def _read_pair(said: str) -> Pair:
    try:
        document = json.loads(said)
        return str(document["username"] or ""), str(document["password"] or "")
    except (ValueError, TypeError, KeyError):
        return "", ""
