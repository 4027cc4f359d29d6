"""Whether a layer has its files where the runtime looks, under names that survive.

https://docs.aws.amazon.com/lambda/latest/dg/packaging-layers.html says where that is.
All else that lies in /opt is a function's own affair.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Final

from layerforge.findings import Finding, Severity
from layerforge.target import LANGUAGE_NAMES, Target
from layerforge.tree import Tree
from layerforge.verify.links import check_links

Check = Callable[[Tree, Target], Iterator[Finding]]

FOLDERS: Final = {"node": "nodejs/", "python": "python/"}
"""The folder of each language, below /opt."""

LONGEST_NAME: Final = 255  # bytes; Linux's file systems hold no longer name
LONGEST_PATH: Final = 4096 - len("/opt/") - 1  # bytes; Linux opens no longer path

# A folder of packages, whatever it is called: what installers leave beside them.
_INSTALLED: Final = {
    "node": re.compile(r"(?P<root>(?:[^/]+/)*?node_modules/)[^/]+/"),
    "python": re.compile(
        r"(?P<root>(?:[^/]+/)*?)"
        r"(?:(?<=-packages/)|[^/]+\.(?:dist-info/METADATA|egg-info/PKG-INFO)\Z)"
    ),
}
_PACKAGE: Final = {"node": "package.json", "python": "__init__.py"}
# In python/ these are no packages, though a finder would take them for namespaces.
_NO_PACKAGES: Final = frozenset({"bin", "etc", "include", "lib", "lib64", "share"})
# Lambda starts what lies here, and its packages may be anywhere.
_EXTENSIONS: Final = "extensions/"
_PROGRAMS: Final = ("bin/", _EXTENSIONS)
_NPM_GLOBAL: Final = "lib/node_modules/"  # where npm -g has packages of bin/'s programs
_FINDERS: Final = "__MACOSX/"


def verify_layout(tree: Tree) -> Iterator[Finding]:
    """Find what is wrong with names and links, whatever the target is."""
    return chain(_check_lengths(tree), _check_case(tree), check_links(tree))


def check_places(tree: Tree, target: Target) -> Iterator[Finding]:
    """Find packages that lie where the runtime doesn't look.

    An error where it finds nothing at all; a warning for what lies beside the rest.
    """
    yield from _check_leftovers(tree)
    places = _Places.of(tree, target)
    if places.strays:
        yield from places.findings(target)
    elif not places.visible and not places.programs:
        yield from _check_language(tree, target)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Places:
    """Where packages lie: ``strays`` are folders that the runtime doesn't look in.

    ``visible`` tells that there is something where it looks, ``programs`` that a layer
    has a use without that, ``extensions`` that Lambda itself starts some of them.
    """

    strays: tuple[str, ...]
    visible: bool
    programs: bool
    extensions: bool

    @classmethod
    def of(cls, tree: Tree, target: Target) -> _Places:
        paths = frozenset(entry.path for entry in tree)
        programs = any(path.startswith(_PROGRAMS) for path in paths)
        extensions = any(path.startswith(_EXTENSIONS) for path in paths)
        strays = _strays(paths, target)
        visible = _is_visible(paths, strays, target)
        if not visible and not strays and not programs:
            strays = _bare_roots(paths, target)
        return cls(
            strays=strays, visible=visible, programs=programs, extensions=extensions
        )

    def findings(self, target: Target) -> Iterator[Finding]:
        searched = _searched(target)
        looks = " and ".join(reversed(searched))
        # Wheels bring odd folders of their own: below the language's, they harm nobody.
        odd = FOLDERS[target.runtime.language] if self.visible else None
        for stray in self.strays:
            if odd and stray.startswith(odd) and not _is_versioned(stray, target):
                continue
            has = "has packages" if stray else "it has packages at the root of the zip"
            serious = not self.visible and not self.extensions
            yield Finding(
                check="prefix",
                severity=Severity.ERROR if serious else Severity.WARNING,
                path=stray.removesuffix("/"),
                message=f"{has}, and {target.runtime} looks in {looks}",
                remedy=_remedy(stray, searched, target),
            )


def _remedy(stray: str, searched: Sequence[str], target: Target) -> str:
    own, folder = searched
    if _is_versioned(stray, target):
        return (
            f"Build it for {target.runtime}; where nothing in it is compiled, {folder} "
            "serves all versions."
        )
    return f"Put them into {folder} (or {own}): the zip's root becomes /opt."


def _is_versioned(folder: str, target: Target) -> bool:
    """Say whether a folder is the one of some version of the target's language."""
    own, _ = _searched(target)
    form = re.escape(own).replace(re.escape(target.runtime.version), r"[\d.]+")
    return re.fullmatch(form, folder) is not None


def _searched(target: Target) -> tuple[str, ...]:
    """Give the folders that the runtime looks in, with slashes."""
    return tuple(f"{folder}/" for folder in target.runtime.search_path)


def _strays(paths: frozenset[str], target: Target) -> tuple[str, ...]:
    """Name the folders of packages that the runtime doesn't look in, in order."""
    language = target.runtime.language
    searched = _searched(target)
    find = _INSTALLED[language].match
    roots = {match["root"] for path in paths if (match := find(path))}
    packages = {
        path.removesuffix(_PACKAGE[language])
        for path in paths
        if path.endswith(f"/{_PACKAGE[language]}")
    }
    return tuple(
        root
        for root in sorted(roots)
        if root not in searched
        and not _is_inside(root, packages)
        and not _is_for_another_version(root, roots, target)
        and not _is_programs_own(root, paths)
    )


def _is_inside(root: str, packages: set[str]) -> bool:
    """Say whether a package has these packages inside, for itself."""
    parts = root.split("/")[:-1]
    return any("/".join(parts[:end]) + "/" in packages for end in range(1, len(parts)))


def _is_for_another_version(root: str, roots: set[str], target: Target) -> bool:
    """Say whether one layer has packages for several versions, this one among them."""
    own, _ = _searched(target)
    folder = FOLDERS[target.runtime.language]
    return (
        own in roots and root.startswith(folder) and root.count("/") == own.count("/")
    )


def _is_programs_own(root: str, paths: frozenset[str]) -> bool:
    """Say whether programs of the layer's own bring packages for themselves."""
    library, _, _ = root.partition("site-packages/")
    if root == _NPM_GLOBAL or f"{library}os.py" in paths:
        return True  # npm's, or a Python of the layer's own
    top = root.partition("/")[0]
    lone = top not in {"", "python", "nodejs", "node_modules", "lib", "opt"}
    return lone and any(path.startswith(_PROGRAMS) for path in paths)


def _is_visible(paths: Iterable[str], strays: tuple[str, ...], target: Target) -> bool:
    """Say whether the runtime finds anything that could be imported."""
    own, folder = _searched(target)
    below = tuple(filter(None, strays))
    for path in paths:
        if path.startswith(own):
            return True
        first, slash, _ = path.removeprefix(folder).partition("/")
        if not path.startswith(folder) or path.startswith(below):
            continue
        nested = f"{first}/" == folder  # python/python
        if not (slash and (first in _NO_PACKAGES or nested)):
            return True
    return False


def _bare_roots(paths: frozenset[str], target: Target) -> tuple[str, ...]:
    """Find modules without any metadata: in a folder too deep, or at the root."""
    folder = FOLDERS[target.runtime.language]
    nested = {
        f"{top}/{folder}"
        for top, _, rest in (path.partition("/") for path in paths)
        if rest.startswith(folder)
    }
    if nested or target.runtime.language != "python":
        return tuple(sorted(nested))
    at_root = (
        path.partition("/")[2] == "__init__.py"
        or (path.endswith(".py") and "/" not in path)
        for path in paths
    )
    return ("",) if any(at_root) else ()


def _check_language(tree: Tree, target: Target) -> Iterator[Finding]:
    language = target.runtime.language
    tops = {f"{entry.path.partition('/')[0]}/" for entry in tree}
    for other, folder in FOLDERS.items():
        if folder in tops and FOLDERS[language] not in tops:
            yield Finding(
                check="prefix",
                severity=Severity.ERROR,
                path=folder.removesuffix("/"),
                message=f"is for {LANGUAGE_NAMES[other]}: {target.runtime} looks in "
                f"{FOLDERS[language]} and finds nothing",
                remedy=f"Name a runtime of {LANGUAGE_NAMES[other]}.",
            )


def _check_leftovers(tree: Tree) -> Iterator[Finding]:
    found = [entry for entry in tree if entry.path.startswith(_FINDERS)]
    if found:
        size = sum(entry.size for entry in found)
        yield Finding(
            check="prefix",
            severity=Severity.WARNING,
            path=_FINDERS.removesuffix("/"),
            message=f"has {size:,} bytes of macOS's own, which nothing on Lambda reads",
            remedy="Zip without it: zip -r layer.zip python",
        )


def _check_lengths(tree: Tree) -> Iterator[Finding]:
    for entry in tree:
        path = entry.path
        # No character has more than four bytes, and hardly any path comes near.
        if len(path) * 4 <= LONGEST_NAME:
            continue
        raw = path.encode()
        longest = max(map(len, raw.split(b"/")))
        if longest > LONGEST_NAME:
            problem = (
                f"a part of its name has {longest:,} bytes, more than {LONGEST_NAME}"
            )
        elif len(raw) > LONGEST_PATH:
            problem = f"its name has {len(raw):,} bytes, more than {LONGEST_PATH:,}"
        else:
            continue
        yield Finding(
            check="name-length",
            severity=Severity.ERROR,
            path=path,
            message=f"{problem}: Lambda can't unpack it",
            remedy="Leave it out with exclude, or give it a shorter name.",
        )


def _check_case(tree: Tree) -> Iterator[Finding]:
    first: dict[str, str] = {}
    clashes: dict[tuple[str, str], None] = {}
    for entry in tree:
        other = first.setdefault(_folded(entry.path), entry.path)
        if other != entry.path:
            clashes[_apart(other, entry.path)] = None
    for other, path in clashes:
        yield Finding(
            check="case",
            severity=Severity.WARNING,
            path=path,
            message=f"differs from {_difference(other, path)} alone: Lambda keeps "
            "both, macOS and Windows unpack one of them",
            remedy="Leave one out with exclude, or rename it.",
        )


def _apart(one: str, other: str) -> tuple[str, str]:
    """Give two paths as far as the first folder in which they differ."""
    pairs = list(zip(one.split("/"), other.split("/"), strict=True))
    length = next(n for n, (a, b) in enumerate(pairs, start=1) if a != b)
    tops = ("/".join(parts[:length]) for parts in zip(*pairs, strict=True))
    return next(tops), next(tops)


def _difference(one: str, other: str) -> str:
    """Say in what two names differ that a file system may take for one.

    Where they are shown alike, no person can tell them apart by the name.
    """
    forms = {unicodedata.normalize("NFC", name) for name in (one, other)}
    return f"{one} in case" if len(forms) > 1 else "another in the encoding of accents"


def _folded(path: str) -> str:
    """Give what a file system that ignores case, as macOS's does, sees in a name."""
    if path.isascii():
        return path.lower()
    return unicodedata.normalize("NFC", path).casefold()


def _check_names(tree: Tree, _target: Target) -> Iterator[Finding]:
    return verify_layout(tree)


CHECKS: Final[tuple[Check, ...]] = (check_places, _check_names)
