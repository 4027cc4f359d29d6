"""What a layer asks for, whatever file says it, as requirement lines.

Follows pip's requirements file format (https://pip.pypa.io/en/stable/reference/
requirements-file-format/). Includes are followed here, so that the digest of a lock
covers every line, wherever it stands.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from layerforge.ecosystems.python.pyproject import read_pyproject
from layerforge.errors import ConfigError
from layerforge.indexes import IndexSettings, hide_credentials
from layerforge.spec import Requirements

_PYLOCK: Final = re.compile(r"pylock(\.[^.]+)?\.toml")
_VARIABLE: Final = re.compile(r"\$\{([A-Z0-9_]+)\}")
_COMMENT: Final = re.compile(r"(?:^|\s)#.*$")
_QUERY: Final = re.compile(r"\?[^#\s]*")
_HASH: Final = " --hash="
_FOREIGN_LOCKS: Final = {"uv.lock", "poetry.lock", "Pipfile.lock"}
_SOURCES: Final = (".tar.gz", ".zip")
# Not by SSH: a container has no key, nor is to have one.
_REPOSITORIES: Final = ("git+https", "git+http", "git+file")
_IGNORED: Final = {"--prefer-binary", "--require-hashes", "--only-binary"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """Normalised requirements and constraints, and where their files say to look.

    ``prereleases`` tells that a file says ``--pre``. Where the file is another tool's
    lock, there are no lines, but the ``foreign`` lock's SHA-256 (hex).
    """

    requirements: tuple[str, ...] = ()
    constraints: tuple[str, ...] = ()
    indexes: IndexSettings = field(default_factory=IndexSettings)
    prereleases: bool = False
    foreign: str = ""

    @property
    def digest(self) -> str:
        """SHA-256 (hex) of all that decides a resolution, but for the indexes."""
        text = "\n".join(
            [
                *sorted(self.requirements),
                "--constraints",
                *sorted(self.constraints),
                "--pre" if self.prereleases else "",
                self.foreign,
            ]
        )
        return hashlib.sha256(hide_credentials(text).encode()).hexdigest()

    @property
    def parsed(self) -> tuple[Requirement, ...]:
        """The requirements as values, without their hashes."""
        return tuple(
            _requirement(line.partition(_HASH)[0]) for line in self.requirements
        )

    @property
    def settings(self) -> IndexSettings:
        """Where to look, with the archives that requirements name themselves."""
        named = (requirement.url for requirement in self.parsed)
        return replace(self.indexes, archives=tuple(url for url in named if url))

    @property
    def compiled(self) -> frozenset[str]:
        """The names of packages whose archive is given, and is no wheel."""
        return frozenset(
            canonicalize_name(requirement.name)
            for requirement in self.parsed
            if requirement.url and not urlsplit(requirement.url).path.endswith(".whl")
        )

    @property
    def hashes(self) -> Mapping[str, frozenset[str]]:
        """The hashes (``sha256:…``) that a package's file may have, by name.

        Packages that no line gives hashes for are not in it.
        """
        allowed: dict[str, frozenset[str]] = {}
        for line in (*self.requirements, *self.constraints):
            text, *hashes = line.split(_HASH)
            if hashes:
                name = canonicalize_name(Requirement(text).name)
                allowed[name] = allowed.get(name, frozenset()) | set(hashes)
        return allowed


@lru_cache(maxsize=1024)
def _requirement(line: str) -> Requirement:
    return Requirement(line)


def is_foreign_lock(file: Path) -> bool:
    """Say whether a file is another tool's lock, by its name (PEP 751 for pylock's)."""
    return file.name in _FOREIGN_LOCKS or bool(_PYLOCK.fullmatch(file.name))


def read_requirements(asked: Requirements) -> Asked:
    """Read requirement lines from wherever a layer says; raises `ConfigError`."""
    if asked.file is None:
        return Asked(
            requirements=tuple(
                _normalised(line, "the requirements") for line in asked.lines
            )
        )
    if asked.file.name == "pyproject.toml":
        lines = read_pyproject(asked.file, asked.extras, asked.groups)
        return Asked(
            requirements=tuple(_normalised(line, str(asked.file)) for line in lines)
        )
    if is_foreign_lock(asked.file):
        chosen = repr((asked.extras, asked.groups)).encode()
        digest = hashlib.sha256(asked.file.read_bytes() + chosen).hexdigest()
        return Asked(foreign=digest)
    return read_requirements_file(asked.file)


def read_requirements_file(file: Path) -> Asked:
    """Read a file of pip's format, and all that it includes."""
    reader = _Reader()
    reader.read(file, constraint=False)
    return Asked(
        requirements=tuple(reader.requirements),
        constraints=tuple(reader.constraints),
        indexes=reader.indexes,
        prereleases=reader.prereleases,
    )


class _Reader:
    """Gathers lines and options while it follows includes."""

    def __init__(self) -> None:
        self.requirements: list[str] = []
        self.constraints: list[str] = []
        self.indexes = IndexSettings()
        self.prereleases = False
        self._open: list[Path] = []

    def read(self, file: Path, *, constraint: bool) -> None:
        if any(file.samefile(one) for one in self._open):
            raise ConfigError(
                f"{file} includes itself: "
                + " → ".join(str(one) for one in [*self._open, file])
            )
        self._open.append(file)
        for number, line in _logical_lines(file):
            self._take(line, file, f"{file}, line {number}", constraint=constraint)
        self._open.pop()

    def _take(self, line: str, file: Path, where: str, *, constraint: bool) -> None:
        if not line.startswith("-"):
            lines = self.constraints if constraint else self.requirements
            lines.append(_normalised(line, where))
            return
        option, value = _option(line, where)
        match option:
            case "-r" | "--requirement":
                self.read(_included(file, value, where), constraint=constraint)
            case "-c" | "--constraint":
                self.read(_included(file, value, where), constraint=True)
            case "-i" | "--index-url" | "--extra-index-url" | "-f" | "--find-links":
                self.indexes = self.indexes.with_option(option, value, file.parent)
            case "--no-index" | "--trusted-host":
                self.indexes = self.indexes.with_option(option, value, file.parent)
            case "--pre":
                self.prereleases = True
            case _ if option in _IGNORED:
                pass  # what they ask for is always so
            case "-e" | "--editable":
                raise _refuse_source(where, value)
            case _:
                raise ConfigError(f"{where}: {option} is not understood here")


def _logical_lines(file: Path) -> Iterator[tuple[int, str]]:
    try:
        text = file.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise ConfigError(f"{file} is not UTF-8: {error.reason}") from error
    except OSError as error:
        raise ConfigError(f"cannot read {file}: {error.strerror}") from error
    start, joined = 0, ""
    for number, line in enumerate(text.splitlines(), 1):
        start = start or number
        # As in pip, a line that is all comment is never continued.
        if line.endswith("\\") and not line.lstrip().startswith("#"):
            joined += line[:-1]
            continue
        whole = _VARIABLE.sub(_from_environment, _COMMENT.sub("", joined + line))
        if whole.strip():
            yield start, whole.strip()
        start, joined = 0, ""
    if joined.strip():
        yield start, joined.strip()


def _from_environment(match: re.Match[str]) -> str:
    return os.environ.get(match[1], match[0])


def _option(line: str, where: str) -> tuple[str, str]:
    import shlex  # noqa: PLC0415 - few files have options

    try:
        words = shlex.split(line)
    except ValueError as error:
        raise ConfigError(f"{where}: {error}") from error
    option, equals, value = words[0].partition("=")
    if equals:
        return option, value
    if not option.startswith("--") and len(option) > len("-r"):
        return option[:2], option[2:]
    return option, " ".join(words[1:])


def _included(file: Path, value: str, where: str) -> Path:
    if "://" in value:
        raise ConfigError(
            f"{where}: {hide_credentials(value)} is not a file",
            remedy="Download it, and include the copy: what a URL gives can change "
            "unseen, and a lock would not notice.",
        )
    path = file.parent / value
    if not path.is_file():
        raise ConfigError(f"{where}: there is no file {path}")
    return path


@lru_cache(maxsize=1024)  # each target of a layer has the same lines
def _normalised(line: str, where: str) -> str:
    """Write a requirement the one way that equal requirements share."""
    text, *hashes = re.split(r"\s+--hash[=\s]", line)
    try:
        requirement = Requirement(text.strip())
    except InvalidRequirement as error:
        if re.match(r"(?!.*@ ).*\.whl$", text):
            raise ConfigError(
                f"{where}: {hide_credentials(text)!r} does not name its package",
                remedy="Write NAME @ file:///…/NAME-1.0-py3-none-any.whl",
            ) from error
        if re.match(r"[./]|[a-z+]+://|.*\.(tar\.gz|zip)$", text):
            raise _refuse_source(where, text.strip()) from error
        reason = str(error).splitlines()[0]
        shown = hide_credentials(text.strip())
        raise ConfigError(f"{where}: {shown!r} is no requirement: {reason}") from error
    requirement.name = canonicalize_name(requirement.name)
    requirement.extras = {canonicalize_name(extra) for extra in requirement.extras}
    if requirement.url and not _is_archive(requirement.url):
        raise _refuse_source(where, str(requirement))
    return _HASH.join([str(requirement), *sorted(value.strip() for value in hashes)])


def _is_archive(url: str) -> bool:
    """Say whether a URL is an archive's or a repository's, and not a folder's."""
    parts = urlsplit(url)
    return parts.scheme in _REPOSITORIES or parts.path.endswith((".whl", *_SOURCES))


def _refuse_source(where: str, value: str) -> ConfigError:
    place = f"{where}: " if where else ""
    said = _QUERY.sub("", hide_credentials(value))  # which may hold a signature
    return ConfigError(
        f"{place}{said!r} names neither a package nor its archive",
        remedy="Write NAME @ and the URL of a wheel, an sdist or a git repository "
        "(NAME @ git+https://…@v1.0); or, for code of your own, put its folder into "
        "the layer with include.",
    )
