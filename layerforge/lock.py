"""What was resolved for one layer and target: the file that a user commits.

A lock is a PEP 751 file, ``pylock.LAYER-TARGET.toml``, so other tools can install from
it. What the standard has no field for stands below ``[tool.layerforge]``: the digest
of the inputs that it was made from, and, for each package, what it weighs in a layer.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeVar
from urllib.parse import unquote, urlsplit

import tomli  # is tomllib, but compiled: a project has many locks

from layerforge.errors import DamagedLockError, LockError
from layerforge.target import Target

T = TypeVar("T")

FORMAT: Final = 1
_SHA256: Final = re.compile("[0-9a-f]{64}")
_COMMIT: Final = re.compile("[0-9a-f]{40,64}")
_COMMIT_URL: Final = re.compile(r"(\w+)\+(.+)@([0-9a-f]{40,64})(?:#subdirectory=(.+))?")
_CREATOR: Final = "layerforge"
_READY: Final = (".whl", ".tgz")  # no sdist is a .tgz (PEP 625)
_ENVIRONMENT: Final = (
    "implementation_name == 'cpython' and sys_platform == 'linux' "
    "and platform_machine == '{}'"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Weight:
    """What a package weighs in a layer, in bytes.

    ``unzipped`` is all of the wheel; ``kept`` what is left of it in the layer.
    ``predicted`` where the wheel itself has not been read: what trimming leaves of
    libraries is then an estimate, from their program headers.
    """

    unzipped: int
    kept: int
    predicted: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Pin:
    """One package, and the one archive of it that fits the target.

    ``url`` may be a file's, or a folder's; ``digest`` is the archive's, in hexadecimal
    (see `hashes`), ``size`` too, in bytes, 0 where no index said it. ``location`` is
    where Node.js has a package that doesn't stand under its own name at the top, as
    ``node_modules/a/node_modules/b``. ``dependencies`` are the `id` of other pins.

    An archive that is neither wheel nor npm tarball is a ``source``, which is
    compiled. So is a commit of a repository: it has a ``url`` such as
    ``git+https://…@COMMIT``, no file name, and a ``digest`` of that URL alone.
    """

    name: str
    version: str
    filename: str
    url: str
    digest: str
    size: int = 0
    location: str = ""
    dependencies: tuple[str, ...] = ()
    weight: Weight | None = None

    def __str__(self) -> str:
        return f"{self.name} {self.version}" if self.version else self.archive

    @property
    def id(self) -> str:
        """What tells it from every other pin of its lock."""
        return self.location or self.name

    @property
    def known_as(self) -> str:
        """The name that code asks for it by: its own, or an alias."""
        return self.id.rpartition("node_modules/")[2]

    @property
    def source(self) -> bool:
        """Say whether it has to be compiled."""
        return not self.filename.endswith(_READY)

    @property
    def archive(self) -> str:
        """What to call the archive: by its file, or by its commit."""
        return self.filename or self.url

    @property
    def path(self) -> Path | None:
        """Where the archive is, if it is a file of this machine."""
        parts = urlsplit(self.url)
        return Path(unquote(parts.path)) if parts.scheme == "file" else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Lock:
    """The pins of one layer for one target, by name.

    ``inputs`` is the digest of what they were resolved from, ``provided`` names the
    packages that the runtime brings and the layer leaves out, ``stripping`` is the
    digest of the rules that weights were taken by, ``interpreter`` the full version of
    the Python that compiles bytecode, where one does.
    """

    layer: str
    target: str
    inputs: str
    roots: tuple[str, ...]
    pins: tuple[Pin, ...]
    provided: tuple[str, ...] = ()
    stripping: str = ""
    interpreter: str = ""

    @property
    def digest(self) -> str:
        """SHA-256 (hex) of what is pinned: not of what it weighs or where it is."""
        pins = [(pin.id, pin.version, pin.filename, pin.digest) for pin in self.pins]
        decisive = repr((self.target, self.inputs, pins))
        return hashlib.sha256(decisive.encode()).hexdigest()

    def required_by(self, identifier: str) -> tuple[str, ...]:
        """Name the pins that ask for the one with this `Pin.id`."""
        return tuple(pin.name for pin in self.pins if identifier in pin.dependencies)

    def wanted_by(self, identifier: str, layer: str) -> tuple[str, ...]:
        """Name all who ask for it: ``layer``, where the layer itself does, and pins."""
        pins = self.required_by(identifier)
        return (layer, *pins) if identifier in self.roots or not pins else pins


def lock_path(folder: Path, layer: str, target: Target) -> Path:
    """Say where a layer's lock for a target is; PEP 751 allows no further dots."""
    return folder / f"pylock.{layer}-{target.slug}.toml"


def read_lock(path: Path) -> Lock:
    """Read a lock that layerforge wrote; raises `LockError` for anything else."""
    try:
        return parse_lock(path.read_bytes(), path)
    except OSError as error:
        raise LockError(f"cannot read {path}: {error.strerror}") from error


def parse_lock(data: bytes, path: Path) -> Lock:
    """Do the same for the bytes of one, which lies or once lay at ``path``."""
    remedy = "Make it again: layerforge lock"
    try:
        document = tomli.loads(data.decode())
    except (ValueError, RecursionError) as error:
        raise DamagedLockError(f"{path} is not TOML: {error}", remedy=remedy) from error
    tools = document.get("tool")
    own = tools.get(_CREATOR) if isinstance(tools, dict) else None
    if not isinstance(own, dict):
        raise LockError(
            f"{path} was not made by layerforge",
            remedy="Move it away, or name it as the layer's requirements.",
        )
    if own.get("format") != FORMAT:
        raise DamagedLockError(
            f"{path} has format {own.get('format')!r}", remedy=remedy
        )
    try:
        return Lock(
            layer=_field(own, "layer", str),
            target=_field(own, "target", str),
            inputs=_field(own, "inputs", str),
            roots=_texts(own, "roots"),
            provided=_texts(own, "provided") if "provided" in own else (),
            stripping=_field({"stripping": "", **own}, "stripping", str),
            interpreter=_field({"interpreter": "", **own}, "interpreter", str),
            pins=tuple(
                _read_pin(row, path.parent)
                for row in _field(document, "packages", list)
            ),
        )
    except KeyError as error:
        raise DamagedLockError(
            f"{path} is damaged: {error.args[0]} is missing", remedy=remedy
        ) from error
    except (AttributeError, TypeError, ValueError) as error:
        raise DamagedLockError(f"{path} is damaged: {error}", remedy=remedy) from error


def _read_pin(row: Mapping[str, Any], folder: Path) -> Pin:
    own = row.get("tool", {}).get(_CREATOR)
    return Pin(
        name=_field(row, "name", str),
        version=_field(row, "version", str),
        **_read_archive(row, folder),
        dependencies=tuple(
            _field(item, "name", str)
            for item in _field({"dependencies": [], **row}, "dependencies", list)
        ),
        weight=None if own is None else read_weight(own),
    )


def _read_archive(row: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    if "vcs" in row:
        vcs = _field(row, "vcs", dict)
        url, commit = _field(vcs, "url", str), _field(vcs, "commit-id", str)
        part = _field({"subdirectory": "", **vcs}, "subdirectory", str)
        return commit_archive(_field(vcs, "type", str), url, commit, part)
    if "sdist" in row:
        archive = _field(row, "sdist", dict)
    else:
        (archive,) = _field(row, "wheels", list)
    sha256 = _field(_field(archive, "hashes", dict), "sha256", str)
    if not _SHA256.fullmatch(sha256):
        raise ValueError(f"sha256 is {sha256!r}")
    return {
        "filename": _field(archive, "name", str),
        "url": _field(archive, "url", str)
        if "url" in archive
        else _file_url(folder / _field(archive, "path", str)),
        "size": _field({"size": 0, **archive}, "size", int),
        "digest": sha256,
    }


def commit_archive(kind: str, url: str, commit: str, part: str = "") -> dict[str, Any]:
    """Give the fields by which a `Pin` is a commit, or a folder (``part``) of one."""
    if not _COMMIT.fullmatch(commit):
        raise ValueError(f"commit-id is {commit!r}")
    whole = f"{kind}+{url}@{commit}" + (f"#subdirectory={part}" if part else "")
    digest = hashlib.sha256(whole.encode()).hexdigest()
    return {"filename": "", "url": whole, "digest": digest}


def read_weight(own: Mapping[str, Any]) -> Weight:
    """Read what a package weighs; raises what a damaged table does."""
    return Weight(
        unzipped=_bytes(own, "unzipped"),
        kept=_bytes(own, "kept"),
        predicted=_field({"predicted": False, **own}, "predicted", bool),
    )


def _field(table: Mapping[str, Any], key: str, kind: type[T]) -> T:
    value = table[key]
    if not isinstance(value, kind):
        raise TypeError(f"{key} is {value!r}")
    return value


def _bytes(table: Mapping[str, Any], key: str) -> int:
    size = _field(table, key, int)
    if isinstance(size, bool) or size < 0:
        raise ValueError(f"{key} is {size!r}")
    return size


def _texts(table: Mapping[str, Any], key: str) -> tuple[str, ...]:
    items = _field(table, key, list)
    if not all(isinstance(item, str) for item in items):
        raise TypeError(f"{key} is {items!r}")
    return tuple(items)


def dump_lock(lock: Lock, target: Target, folder: Path) -> str:
    """Give the text of a lock that is to lie in ``folder``; equal locks, equal text."""
    import tomli_w  # noqa: PLC0415 - a build from a lock doesn't write one

    own = {
        "format": FORMAT,
        "layer": lock.layer,
        "target": lock.target,
        "inputs": lock.inputs,
        "roots": list(lock.roots),
    }
    if lock.provided:
        own["provided"] = list(lock.provided)
    if lock.stripping:
        own["stripping"] = lock.stripping
    if lock.interpreter:
        own["interpreter"] = lock.interpreter
    document = {
        "lock-version": "1.0",
        "environments": [_ENVIRONMENT.format(target.arch.machine)],
        "requires-python": f"=={target.runtime.version}.*",
        "created-by": _CREATOR,
        "packages": [_dump_pin(pin, folder) for pin in sorted_pins(lock.pins)],
        "tool": {_CREATOR: own},
    }
    return tomli_w.dumps(document)


def _dump_pin(pin: Pin, folder: Path) -> dict[str, Any]:
    row: dict[str, Any] = {
        "name": pin.name,
        "version": pin.version,
        **_dump_archive(pin, folder),
    }
    if pin.dependencies:
        row["dependencies"] = [{"name": name} for name in sorted(pin.dependencies)]
    if pin.weight:
        own = {"unzipped": pin.weight.unzipped, "kept": pin.weight.kept}
        row["tool"] = {
            _CREATOR: own | ({"predicted": True} if pin.weight.predicted else {})
        }
    return row


def _dump_archive(pin: Pin, folder: Path) -> dict[str, Any]:
    commit = None if pin.filename else _COMMIT_URL.fullmatch(pin.url)
    if commit:
        keys = ("type", "url", "commit-id", "subdirectory")
        pairs = zip(keys, commit.groups(), strict=True)
        return {"vcs": {key: value for key, value in pairs if value}}
    archive: dict[str, Any] = {"name": pin.filename}
    path = pin.path.resolve() if pin.path else None
    if path and path.is_relative_to(folder.resolve()):
        archive["path"] = path.relative_to(folder.resolve()).as_posix()
    else:
        archive["url"] = pin.url
    if pin.size:
        archive["size"] = pin.size
    archive["hashes"] = {"sha256": pin.digest}
    return {"sdist": archive} if pin.source else {"wheels": [archive]}


def sorted_pins(pins: Iterable[Pin]) -> tuple[Pin, ...]:
    """Give pins in the one order that locks and layers have them in."""
    return tuple(sorted(pins, key=lambda pin: pin.id))


def dump_requirements(lock: Lock) -> str:
    """Give the lock as hashed requirements, for tools that read only those."""
    lines = []
    for pin in sorted_pins(lock.pins):
        if pin.filename:
            hashed = f"{pin.name}=={pin.version} \\\n    --hash=sha256:{pin.digest}"
            lines.append(hashed)
        else:
            raise LockError(
                f"{pin} is a commit, and a list with hashes can hold none",
                remedy="Use the lock itself: pip, uv and others read PEP 751.",
            )
        users = lock.wanted_by(pin.id, f"the requirements of {lock.layer}")
        lines.append(f"    # via {', '.join(users)}")
    return "\n".join(lines) + "\n"


def _file_url(path: Path) -> str:
    return path.resolve().as_uri()
