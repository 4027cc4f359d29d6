"""Other tools' locks, pnpm's and yarn's, taken over into a package-lock.json.

Neither says all that npm's does, and yarn's neither where packages stand. So npm is
asked for a lock, bound to the very versions that theirs has, and what it gives is held
to them: the same packages in the same versions, with the same integrity.
"""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from layerforge.ecosystems.node.agreement import check_complete
from layerforge.ecosystems.node.manifests import FILENAME
from layerforge.ecosystems.node.npm import LOCK_NAME, Npm
from layerforge.ecosystems.node.packagelock import (
    PUBLIC_REGISTRY,
    Package,
    Source,
    parse_package_lock,
)
from layerforge.errors import LockError
from layerforge.events import Listener, Noted, silent

PNPM_LOCK: Final = "pnpm-lock.yaml"
YARN_LOCK: Final = "yarn.lock"

_INSTEAD: Final = (
    "Make a package-lock.json yourself, and see what it has: "
    "npm install --package-lock-only --ignore-scripts"
)
_PNPM_VERSIONS: Final = re.compile(r"(6|9)\.\d+")
_GROUPS: Final = ("dependencies", "optionalDependencies", "devDependencies")
_OUTLINE: Final = re.compile(r"( *)('[^']+'|\"[^\"]+\"|[^\s'\"#-].*?):(?: +(.*))?")
_INTEGRITY: Final = re.compile(r"integrity: ([^,}\s]+)")
_PEERS: Final = re.compile(r"\(.*\)$")
_DESCRIPTOR: Final = re.compile(r"(?P<name>@?[^@]+)@(?P<range>.*)")
_YARN_HEAD: Final = re.compile(
    r'^(?! |#|__metadata)"?(?P<keys>\S.*?)"?:$', re.MULTILINE
)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Entry:
    """A package of a foreign lock, with what it leads to: names, and what they are.

    An identity is (name, version) as the registry has them, whatever an alias is.
    """

    name: str
    version: str
    integrity: str = ""
    dependencies: Mapping[str, tuple[str, str]]

    @property
    def identity(self) -> tuple[str, str]:
        return self.name, self.version


def take_over(
    name: str,
    text: str,
    files: Mapping[str, bytes],
    npm: Npm,
    listen: Listener = silent,
) -> str:
    """Give the package-lock.json that says what a yarn.lock or pnpm-lock.yaml does.

    ``name`` is the file's, ``files`` are what `manifests.project_files` gives. Raises
    `LockError` where it can't be done without changing a version.
    """
    if name == PNPM_LOCK:
        return _from_pnpm(text, files, npm)
    return _from_yarn(text, files, npm, listen)


def _from_yarn(
    text: str, files: Mapping[str, bytes], npm: Npm, listen: Listener
) -> str:
    if "\n__metadata:" in text:
        entries = tuple(_berry_entries(text))
        text = _as_classic(text)
    else:
        entries = tuple(_classic_entries(text))
    # yarn leaves peers to whoever wants them.
    command = ("install", "--legacy-peer-deps")
    locked = npm.lock({**files, YARN_LOCK: text.encode()}, command)
    added = _hold(locked, entries, YARN_LOCK)
    if added:
        message = (
            f"{YARN_LOCK} has only one platform's optional packages; added: "
            f"{', '.join(added)}"
        )
        listen(Noted(message=message))
    return locked


def _classic_entries(text: str) -> Iterator[_Entry]:
    for keys, body in _blocks(text):
        wanted = _DESCRIPTOR.fullmatch(keys[0])
        version = re.search(r'^  version "?([^"\n]+)', body, re.MULTILINE)
        integrity = re.search(r"^  integrity (\S+)", body, re.MULTILINE)
        if wanted and version:
            yield _Entry(
                name=_named(wanted["name"], wanted["range"]),
                version=version[1],
                integrity=integrity[1] if integrity else "",
                dependencies={},
            )


def _berry_entries(text: str) -> Iterator[_Entry]:
    for _, body in _blocks(text):
        found = re.search(r'^  resolution: "(@?[^@"]+)@npm:([^":]+)"', body, re.M)
        if found:
            yield _Entry(name=found[1], version=found[2], dependencies={})
        elif re.search(r'^  resolution: ".*@patch:(?!.*~builtin<)', body, re.M):
            raise _impossible(YARN_LOCK, f"{_resolution(body)} is patched")
        elif not re.search(r'^  resolution: ".*@(workspace|patch):', body, re.M):
            raise _impossible(YARN_LOCK, f"{_resolution(body)} is from no registry")


def _as_classic(text: str) -> str:
    """Write a lock of yarn 2 and later as npm can read it, in the format of yarn 1."""
    lines = ["# yarn lockfile v1", ""]
    for keys, body in _blocks(text):
        found = re.search(r'^  resolution: "(@?[^@"]+)@npm:([^":]+)"', body, re.M)
        if not found:
            continue
        name, version = found.groups()
        base = name.rpartition("/")[2]
        wanted = ", ".join(json.dumps(_classic_key(key)) for key in keys)
        address = f"{PUBLIC_REGISTRY['']}{name}/-/{base}-{version}.tgz"
        lines += [f"{wanted}:", f'  version "{version}"', f'  resolved "{address}"', ""]
    return "\n".join(lines)


def _classic_key(key: str) -> str:
    """Give a descriptor without the protocol that stands for the registry."""
    name, _, wanted = key.partition("@npm:")
    return f"{name}@{wanted}" if wanted and "@" not in wanted else key


def _blocks(text: str) -> Iterator[tuple[list[str], str]]:
    """Give each entry of a yarn.lock: the descriptors that it serves, and its lines."""
    heads = list(_YARN_HEAD.finditer(text))
    ends = [head.start() for head in heads[1:]] + [len(text)]
    for head, end in zip(heads, ends, strict=True):
        yield re.split(r'"?, "?', head["keys"]), text[head.end() : end]


def _resolution(body: str) -> str:
    found = re.search(r'^  resolution: "(.*)"', body, re.M)
    return found[1] if found else "a package"


def _from_pnpm(text: str, files: Mapping[str, bytes], npm: Npm) -> str:
    document = _outline(text)
    version = str(document.get("lockfileVersion", "")).strip("'\"")
    if not _PNPM_VERSIONS.fullmatch(version):
        raise _impossible(PNPM_LOCK, f"its lockfileVersion is {version or 'missing'}")
    if "patchedDependencies" in document:
        raise _impossible(PNPM_LOCK, "it has packages that are patched")
    importers = document.get("importers", {".": document})
    if list(importers) != ["."]:
        raise _impossible(PNPM_LOCK, "it is of a workspace with several packages")
    entries = tuple(_pnpm_entries(document))
    direct = dict(_pnpm_direct(importers["."]))
    manifest = json.loads(files[FILENAME])
    bound = _bound(manifest, direct, entries)
    command: tuple[str, ...] = ("install",)
    if document.get("settings", {}).get("autoInstallPeers") != "true":
        command += ("--legacy-peer-deps",)
    given = {**files, FILENAME: json.dumps(bound).encode()}
    locked = json.loads(npm.lock(given, command))
    project = locked["packages"][""]
    project |= {key: manifest[key] for key in _GROUPS if key in project}
    written = json.dumps(locked, indent=2, ensure_ascii=False) + "\n"
    if added := _hold(written, entries, PNPM_LOCK):
        raise _impossible(PNPM_LOCK, f"npm needs {', '.join(added)} as well")
    return written


def _bound(
    manifest: Mapping[str, Any],
    direct: Mapping[str, tuple[str, str]],
    entries: Iterable[_Entry],
) -> dict[str, Any]:
    """Give a package.json that lets npm choose only what a lock has.

    What all others agree on is an override for all; where they differ, each has its
    own. https://docs.npmjs.com/cli/v11/configuring-npm/package-json#overrides
    """
    known = tuple(entries)
    wishes: defaultdict[str, set[tuple[str, str]]] = defaultdict(set)
    for name, found in direct.items():
        wishes[name].add(found)
    for entry in known:
        for name, found in entry.dependencies.items():
            wishes[name].add(found)
    overrides: dict[str, Any] = {}
    for entry in known:
        own = {
            name: _spec(name, found)
            for name, found in entry.dependencies.items()
            if len(wishes[name]) > 1
        }
        if own:
            overrides[f"{entry.name}@{entry.version}"] = own
    for name, found in wishes.items():
        if len(found) == 1:
            overrides[name] = _spec(name, next(iter(found)))
    groups = {
        key: {
            name: _spec(name, direct[name]) if name in direct else wanted
            for name, wanted in manifest[key].items()
        }
        for key in _GROUPS
        if key in manifest
    }
    return {**manifest, **groups, "overrides": overrides}


def _pnpm_direct(importer: Mapping[str, Any]) -> Iterator[tuple[str, tuple[str, str]]]:
    for group in _GROUPS:
        for name, row in importer.get(group, {}).items():
            yield name, _pnpm_identity(name, row.get("version", ""))


def _pnpm_entries(document: Mapping[str, Any]) -> Iterator[_Entry]:
    packages = document.get("packages", {})
    # Until lockfileVersion 9 these were one.
    snapshots = document.get("snapshots", packages)
    for key, row in snapshots.items():
        name, version = _pnpm_identity("", key)
        bare = _PEERS.sub("", key)
        resolution = packages.get(bare, row).get("resolution", "")
        integrity = _INTEGRITY.search(str(resolution))
        if not integrity:
            raise _impossible(PNPM_LOCK, f"{key.lstrip('/')} is from no registry")
        asked = {
            dependency: _pnpm_identity(dependency, wanted)
            for group in _GROUPS
            for dependency, wanted in row.get(group, {}).items()
        }
        yield _Entry(
            name=name, version=version, integrity=integrity[1], dependencies=asked
        )


def _pnpm_identity(name: str, wanted: str) -> tuple[str, str]:
    """Read ``1.2.3(peer@1)``, or where there is another name, ``/other@1.2.3``."""
    bare = _PEERS.sub("", wanted).lstrip("/")
    match = _DESCRIPTOR.fullmatch(bare)
    found = (match["name"], match["range"]) if match else (name, bare)
    if not re.match(r"\d", found[1]):
        raise _impossible(PNPM_LOCK, f"{name or bare} is from no registry: {wanted}")
    return found


def _spec(name: str, found: tuple[str, str]) -> str:
    real, version = found
    return version if real == name else f"npm:{real}@{version}"


def _named(name: str, wanted: str) -> str:
    """Give the registry's name of what may be an alias."""
    alias = re.fullmatch(r"npm:(@?[^@]+)(@.*)?", wanted)
    return alias[1] if alias else name


def _outline(text: str) -> dict[str, Any]:
    """Read the little of YAML that pnpm writes: mappings, one key a line.

    Lists and wrapped texts are not among what a lock is taken over by.
    """
    root: dict[str, Any] = {}
    open_: list[tuple[int, dict[str, Any]]] = [(-1, root)]
    for line in text.splitlines():
        match = _OUTLINE.fullmatch(line)
        if match is None:
            continue
        indent, key, value = len(match[1]), match[2].strip("'\""), match[3]
        while open_[-1][0] >= indent:
            open_.pop()
        holder = open_[-1][1]
        if value:
            holder[key] = value.strip("'\"")
        else:
            holder[key] = {}
            open_.append((indent, holder[key]))
    return root


def _hold(text: str, entries: Iterable[_Entry], where: str) -> tuple[str, ...]:
    """Hold a lock of npm's to a foreign one; give what optional packages it has more.

    Raises `LockError` with every other difference.
    """
    lock = parse_package_lock(text, LOCK_NAME)
    check_complete(lock)
    theirs = {entry.identity: entry.integrity for entry in entries}
    ours = {
        (package.name, package.version): package
        for package in lock.packages
        if package.installed and package.source is Source.REGISTRY
    }
    added = {key: ours[key] for key in sorted(ours.keys() - theirs.keys())}
    differences = [
        f"{package} is not in it"
        for package in added.values()
        if not (package.optional or package.dev_optional)
    ]
    lost = sorted(theirs.keys() - ours.keys())
    differences += [f"{name} {version} is only in it" for name, version in lost]
    differences += [
        f"{package} has another integrity"
        for key, package in sorted(ours.items())
        if _contradict(package, theirs.get(key, ""))
    ]
    if differences:
        raise _impossible(
            where, "npm's would differ:" + "\n  ".join(("", *differences))
        )
    return tuple(map(str, added.values()))


def _contradict(package: Package, integrity: str) -> bool:
    """Say whether two integrities of one strength have no hash in common."""
    one, other = set(package.integrity.split()), set(integrity.split())
    strengths = {each.partition("-")[0] for each in one} & {
        each.partition("-")[0] for each in other
    }
    return bool(strengths) and not one & other


def _impossible(where: str, why: str) -> LockError:
    return LockError(
        f"{where} can't be taken over as it is: {why}",
        remedy=_INSTEAD,
    )
