"""npm's settings, read as npm reads them, whether or not it is on the machine.

The format and the places are those of https://docs.npmjs.com/cli/v11/configuring-npm/npmrc
and of its parser, whose quirks people's files rely on.
"""

from __future__ import annotations

import base64
import json
import os
import re
import shutil
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from urllib.parse import unquote, urlsplit

from layerforge.ecosystems.node.packagelock import PUBLIC_REGISTRY

# One setting, or the several of KEY[].
Value = str | tuple[str, ...]

_LINE: Final = re.compile(
    r"\[(?P<section>[^\]]*)\]\s*|(?P<key>[^=]+)(?:=(?P<value>.*))?"
)
_VARIABLE: Final = re.compile(r"(?<!\\)(\\*)\$\{([^${}?]+)(\?)?\}")
_ESCAPE: Final = re.compile(r"\\([\\;#])|[;#].*")
_SCOPE: Final = re.compile(r"/(@[^/]+)/")
_PATHS: Final = ("cache", "cafile", "globalconfig", "prefix", "userconfig")
_DEFAULT_PORTS: Final = {"http": ":80", "https": ":443"}


@dataclass(frozen=True, slots=True, kw_only=True)
class NpmSettings:
    """What npm would go by in a folder: ``values`` by the names that npmrc has.

    Variables are put in, and paths are whole. ``extra_ca`` is the file that
    NODE_EXTRA_CA_CERTS names.
    """

    values: Mapping[str, Value] = field(default_factory=dict)
    extra_ca: str = ""

    def text(self, key: str) -> str:
        """Give a setting; '' where it isn't set, or by one of npm's words for that."""
        value = self.values.get(key, "")
        joined = value if isinstance(value, str) else ",".join(value)
        return "" if joined in {"null", "undefined", "false"} else joined

    @property
    def registries(self) -> Mapping[str, str]:
        """The registries' addresses by scope; '' is for all other packages."""
        scoped = {
            key.removesuffix(":registry"): self.text(key)
            for key in self.values
            if key.startswith("@") and key.endswith(":registry")
        }
        return {"": self.text("registry") or PUBLIC_REGISTRY[""], **scoped}

    @property
    def authority(self) -> str:
        """The certificates (PEM) that alone are trusted; '' where it is the usual."""
        path = self.text("cafile")
        if path and Path(path).is_file():
            return Path(path).read_text(encoding="utf-8")
        told = self.values.get("ca", ())
        return "\n".join([self.text("ca")] if isinstance(told, str) else told)

    def authorization(self, url: str) -> str:
        """Give the Authorization header that npm would send to an address, or ''.

        Credentials belong to what an address begins with. Where there are none, those
        of the package's registry serve, if that is the same host.
        """
        scope = _SCOPE.search(unquote(urlsplit(url).path))
        registries = self.registries
        registry = registries.get(scope[1] if scope else "") or registries[""]
        places = (url, registry) if _host(url) == _host(registry) else (url,)
        return next(filter(None, map(self._credentials, places)), "")

    def proxies(self, url: str) -> dict[str, str]:
        """Give the proxies for an address by scheme; none means the environment's."""
        proxy = self.text("https-proxy") or self.text("proxy")
        if _is_excepted(url, self.text("noproxy")):
            return {"no_proxy": "*"}
        return {"http": proxy, "https": proxy} if proxy else {}

    def _credentials(self, url: str) -> str:
        place = f"//{_host(url)}{urlsplit(url).path}"
        while len(place) > len("//"):
            if token := self.text(f"{place}:_authToken"):
                return f"Bearer {token}"
            if pair := self.text(f"{place}:_auth") or self._pair(place):
                return f"Basic {pair}"
            # With and without the slash, as people write both.
            end = -1 if place.endswith("/") else place.rindex("/") + 1
            place = place[:end]
        return ""

    def _pair(self, place: str) -> str:
        user, password = (
            self.text(f"{place}:{word}") for word in ("username", "_password")
        )
        if not (user and password):
            return ""
        # npm is as lenient about what isn't base64.
        known = base64.b64decode(password + "=" * (-len(password) % 4))
        return base64.b64encode(user.encode() + b":" + known).decode()


def read_npmrc(folder: Path, environ: Mapping[str, str] = os.environ) -> NpmSettings:
    """Read the settings of a project's folder, its user and its machine.

    npm_config_* variables go before the project's .npmrc, that before the user's, and
    the machine's comes last. What can't be read is left out, as npm does.
    """
    said = _environment(environ)
    builtin = _read(_builtin_file(environ), environ)
    known = builtin | said
    users = "~/.npmrc"
    mine = _path(known.get("userconfig", users), folder, environ)
    project_file = folder.absolute() / ".npmrc"
    project = {} if mine == project_file else _read(project_file, environ)
    known = builtin | project | said
    user = _read(_path(known.get("userconfig", users), folder, environ), environ)
    known = builtin | user | project | said
    prefix = known.get("prefix", _prefix(environ))
    machines = known.get("globalconfig", f"{prefix}/etc/npmrc")
    machine = _read(_path(machines, folder, environ), environ)
    values = builtin | machine | user | project | said
    paths = {
        key: str(_path(values[key], folder, environ))
        for key in _PATHS
        if values.get(key, "null") != "null"
    }
    extra = environ.get("NODE_EXTRA_CA_CERTS", "")
    return NpmSettings(values=values | paths, extra_ca=extra)


def dump_npmrc(settings: NpmSettings, *, without: Collection[str] = ()) -> str:
    """Write settings as one file that npm reads the same, but for some keys."""
    lines = []
    for key, value in sorted(settings.values.items()):
        if key in without:
            continue
        told = [value] if isinstance(value, str) else value
        name = key if isinstance(value, str) else f"{key}[]"
        for item in told:
            # What looks like a variable by now is none.
            quoted = json.dumps(item.replace("${", "\\${"), ensure_ascii=False)
            lines.append(f"{name}={quoted}\n")
    return "".join(lines)


def _read(path: Path | None, environ: Mapping[str, str]) -> dict[str, Value]:
    try:
        text = path.read_text(encoding="utf-8", errors="replace") if path else ""
    except OSError:
        return {}
    return {
        _expanded(key, environ): _expanded(value, environ)
        if isinstance(value, str)
        else tuple(_expanded(item, environ) for item in value)
        for key, value in _parse(text).items()
    }


def _parse(text: str) -> dict[str, Value]:
    """Read npm's dialect of INI; what stands in sections is no setting."""
    found: dict[str, Value] = {}
    for line in re.split(r"[\r\n]+", text):
        match = None if re.match(r"\s*([;#]|$)", line) else _LINE.fullmatch(line)
        if match is None:
            continue
        if match["section"] is not None:
            break
        raw = _unquoted(match["key"])
        key = raw.removesuffix("[]") if len(raw) > len("[]") else raw
        value = "true" if match["value"] is None else _unquoted(match["value"])
        present = found.get(key, ())
        if raw != key or (present and not isinstance(present, str)):
            before = (present,) if isinstance(present, str) else present
            found[key] = (*before, value)
        else:
            found[key] = value
    return found


def _unquoted(text: str) -> str:
    text = text.strip()
    quoted = text[:1] in {'"', "'"} and text[-1:] == text[:1]
    if not quoted:
        return _ESCAPE.sub(lambda found: found[1] or "", text).strip()
    inner = text[1:-1] if text.startswith("'") else text
    try:
        value = json.loads(inner)
    except ValueError:
        return inner
    return value if isinstance(value, str) else inner


def _expanded(text: str, environ: Mapping[str, str]) -> str:
    """Put in variables: ${NAME}, which stays where it isn't set, and ${NAME?}."""

    def put(found: re.Match[str]) -> str:
        escapes, name, optional = found.groups()
        if len(escapes) % 2:
            return found[0][(len(escapes) + 1) // 2 :]
        unset = "" if optional else f"${{{name}}}"
        return escapes[len(escapes) // 2 :] + environ.get(name, unset)

    return _VARIABLE.sub(put, text.strip())


def _environment(environ: Mapping[str, str]) -> dict[str, Value]:
    found: dict[str, Value] = {}
    for name, value in environ.items():
        key = name[len("npm_config_") :]
        if not name.lower().startswith("npm_config_") or not value:
            continue
        if not key.startswith("//"):
            key = re.sub("(?<!^)_", "-", key).lower()
        items = tuple(_expanded(item, environ) for item in value.split("\n\n"))
        found[_expanded(key, environ)] = items if len(items) > 1 else items[0]
    return found


def _path(value: Value, folder: Path, environ: Mapping[str, str]) -> Path:
    text = value if isinstance(value, str) else "".join(value)
    if text.startswith("~/"):
        return Path(environ.get("HOME") or Path.home(), text[2:])
    return folder.absolute() / text


def _prefix(environ: Mapping[str, str]) -> str:
    """Say where npm is installed, which is where Node.js is."""
    told = environ.get("PREFIX")
    node = shutil.which("node", path=environ.get("PATH"))
    return told or (str(Path(node).resolve().parents[1]) if node else "/usr/local")


def _builtin_file(environ: Mapping[str, str]) -> Path | None:
    """Name the npmrc inside npm itself, where distributors put their settings."""
    npm = shutil.which("npm", path=environ.get("PATH"))
    return Path(npm).resolve().parent.with_name("npmrc") if npm else None


def _host(url: str) -> str:
    """Give host and port as npm compares them."""
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2].lower()
    return host.removesuffix(_DEFAULT_PORTS.get(parts.scheme, "\0"))


def _is_excepted(url: str, noproxy: str) -> bool:
    host = (urlsplit(url).hostname or "").split(".")
    domains = (item.strip().strip(".").split(".") for item in noproxy.split(","))
    return any(host[-len(each) :] == each for each in domains if each != [""])
