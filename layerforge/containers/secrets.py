"""What pip in a container needs, to reach the indexes that this machine reaches.

As files for a job's tmpfs (`Task.secrets`): addresses in pip.conf, users and passwords
in netrc, certificates in ca.pem, and the variables that name those in ``environment``.
"""

from __future__ import annotations

import os
import re
import shlex
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from layerforge.address import local_path, split_userinfo
from layerforge.containers.task import SECRETS_FOLDER
from layerforge.credentials import Pair, with_credentials
from layerforge.errors import ConfigError
from layerforge.events import Listener, silent
from layerforge.indexes import IndexSettings

LINKS_FOLDER: Final = "/layerforge/links"

_PROXIES: Final = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")
_BUNDLE_NAMES: Final = (
    "PIP_CERT",
    "SSL_CERT_FILE",
    "REQUESTS_CA_BUNDLE",
    "CURL_CA_BUNDLE",
    "GIT_SSL_CAINFO",
    "CARGO_HTTP_CAINFO",
)
_ALWAYS: Final = {
    "PIP_CONFIG_FILE": f"{SECRETS_FOLDER}/pip.conf",
    "PIP_NO_INPUT": "1",
    "PIP_DISABLE_PIP_VERSION_CHECK": "1",
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_ASKPASS": "",
}
# Older gits know no other place for it.
_LINK_GITCONFIG: Final = (
    f'ln -sf {SECRETS_FOLDER}/gitconfig "${{HOME:-/root}}/.gitconfig"\n'.encode()
)
# The installers' names for what they install, as pip knows them.
_DISTRIBUTIONS: Final = (".whl", ".zip", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz")
_CERTIFICATE: Final = re.compile(
    rb"-----BEGIN (?:TRUSTED )?CERTIFICATE-----"
    rb".+?-----END (?:TRUSTED )?CERTIFICATE-----",
    re.DOTALL,
)
# What netrc means by quotes and backslashes is another thing since Python 3.11.
_PLAIN: Final = re.compile(r"[!#-\[\]-~]+")


def index_secrets(
    settings: IndexSettings, listen: Listener = silent
) -> dict[str, bytes]:
    """Give a job's secrets, by name.

    Folders of this machine are looked for where `local_links` puts them. One answer
    serves any number of jobs: keyring is asked each time. Raises `ConfigError` where
    the CA bundle isn't there.
    """
    known = with_credentials(settings, listen)
    machines = _machines(known)
    files = {
        "pip.conf": _pip_conf(known, machines),
        "netrc": _netrc(machines),
        "ca.pem": read_bundle(settings.ca_bundle),
    }
    variables = {**_ALWAYS, **proxies()}
    if files["netrc"]:
        variables["NETRC"] = f"{SECRETS_FOLDER}/netrc"
    if files["ca.pem"]:
        variables |= dict.fromkeys(_BUNDLE_NAMES, f"{SECRETS_FOLDER}/ca.pem")
    files["environment"] = "".join(
        f"export {name}={shlex.quote(value)}\n"
        for name, value in sorted(variables.items())
    ).encode()
    files["gitconfig"] = _gitconfig(known)
    if files["gitconfig"]:
        files["environment"] += _LINK_GITCONFIG
    return {name: data for name, data in files.items() if data}


def local_links(settings: IndexSettings) -> tuple[dict[str, Path], tuple[str, ...]]:
    """Give this machine's find-links: files by their path inside, and folders inside.

    Only what pip could install is among the files. Each folder keeps its own place, so
    that equal names don't meet, and `index_secrets` names these places to pip.
    """
    files: dict[str, Path] = {}
    places = []
    for number, link in enumerate(settings.find_links):
        found = list(_distributions(link))
        place = f"{LINKS_FOLDER}/{number}"
        files |= {f"{place}/{path.name}": path for path in found}
        places += [place] if found else []
    return files, tuple(places)


def out_of_reach(settings: IndexSettings, *, network: str = "") -> tuple[str, ...]:
    """Say what this machine reaches and containers don't, a sentence each."""
    folders = [
        f"{url} is a folder of this machine, so jobs in containers don't look there"
        for url in settings.addresses
        if not _is_remote(url)
    ]
    if network == "host":
        return tuple(folders)
    relays = [
        url if "://" in url else f"http://{url}"
        for name, url in proxies().items()
        if name.lower() != "no_proxy"
    ]
    loopback = [
        f"{split_userinfo(url)[0]} is this machine's own address: jobs in containers "
        'reach it with [containers] network = "host"'
        for url in (*settings.addresses, *relays)
        if _is_loopback(url)
    ]
    return tuple(dict.fromkeys((*folders, *loopback)))


def read_bundle(name: str) -> bytes:
    """Read the certificates (PEM) of a file or folder; none where none is named.

    Nothing else that stands there is given, such as a key. Raises `ConfigError` where
    there are none.
    """
    if not name:
        return b""
    path = Path(name)
    try:
        # A folder, as OpenSSL has it, names each certificate by its hash as well.
        files = (
            sorted(filter(Path.is_file, path.iterdir())) if path.is_dir() else [path]
        )
        texts = [file.read_bytes() for file in files]
    except OSError as error:
        raise _no_bundle(f"{path} can't be read: {error.strerror}") from error
    found = [text for each in texts for text in _CERTIFICATE.findall(each)]
    if not found:
        raise _no_bundle(f"{path} has no certificates")
    return b"".join(text + b"\n" for text in dict.fromkeys(found))


def _no_bundle(reason: str) -> ConfigError:
    return ConfigError(
        f"the CA bundle {reason}",
        remedy="Is the path right, in pip's cert setting or REQUESTS_CA_BUNDLE?",
    )


def proxies() -> dict[str, str]:
    """Give the proxy variables in both cases: programs differ in which they read."""
    found: dict[str, str] = {}
    for name in _PROXIES:
        value = os.environ.get(name) or os.environ.get(name.upper())
        if value:
            found |= {name: value, name.upper(): value}
    return found


def _distributions(link: str) -> Iterator[Path]:
    path = local_path(link) if "://" in link else Path(link).expanduser()
    if path is None:
        return
    candidates = sorted(path.iterdir()) if path.is_dir() else [path]
    for candidate in candidates:
        if candidate.name.endswith(_DISTRIBUTIONS) and candidate.is_file():
            yield candidate


def _is_loopback(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    return host in ("localhost", "::1") or host.startswith("127.")


def _machines(settings: IndexSettings) -> dict[str, Pair]:
    """Give what netrc can say: one plain pair for all that a host serves.

    Two paths of a host may want different ones, as on servers with an index for each
    project, and two ports are two servers. Those stay in their addresses.
    """
    servers: dict[str, set[tuple[str, str]]] = defaultdict(set)
    pairs: dict[str, set[Pair]] = defaultdict(set)
    for url in (*settings.addresses, *filter(_is_remote, settings.find_links)):
        bare, pair = split_userinfo(url)
        parts = urlsplit(bare)
        host = parts.hostname or ""
        servers[host].add((parts.scheme, parts.netloc))
        pairs[host] |= {pair} if pair else set()
    return {
        host: next(iter(found))
        for host, found in pairs.items()
        if len(found) == len(servers[host]) == 1
        and all(_PLAIN.fullmatch(word) for pair in found for word in pair)
    }


def _gitconfig(settings: IndexSettings) -> bytes:
    """Have git put in the credentials that locks and command lines go without."""
    lines = []
    for url in settings.archives:
        bare, pair = split_userinfo(url.removeprefix("git+"))
        parts, whole = urlsplit(bare), urlsplit(url.removeprefix("git+"))
        if pair and url.startswith("git+"):
            address = f"{parts.scheme}://{whole.netloc}/"
            instead = f"{parts.scheme}://{parts.netloc}/"
            lines.append(f'[url "{address}"]\n\tinsteadOf = {instead}\n')
    return "".join(dict.fromkeys(lines)).encode()


def _netrc(machines: Mapping[str, Pair]) -> bytes:
    return "".join(
        f"machine {host}\nlogin {user}\npassword {password}\n"
        for host, (user, password) in sorted(machines.items())
    ).encode()


def _pip_conf(settings: IndexSettings, machines: Mapping[str, Pair]) -> bytes:
    def told(url: str) -> str:
        known = (urlsplit(url).hostname or "") in machines
        return split_userinfo(url)[0] if known else url

    addresses = [told(url) for url in settings.addresses if _is_remote(url)]
    links = [told(link) for link in settings.find_links if _is_remote(link)]
    values: dict[str, Sequence[str]] = {
        # No index left must not mean PyPI.
        "no-index": () if addresses else ("true",),
        "index-url": addresses[:1],
        "extra-index-url": addresses[1:],
        "find-links": (*links, *local_links(settings)[1]),
        "trusted-host": settings.trusted_hosts,
    }
    lines = [
        # A value of one line begins with what is after it: pip takes it as it is.
        f"{key} = " + "\n    ".join(items)
        for key, items in values.items()
        if items
    ]
    return "\n".join(["[global]", *lines, ""]).encode()


def _is_remote(link: str) -> bool:
    return "://" in link and local_path(link) is None
