"""All that can be said of a layer without running it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from layerforge.ecosystems import ecosystem_of
from layerforge.errors import VerifyError
from layerforge.findings import Finding, Severity, Waiver, load_checks, waive
from layerforge.target import Target, host_libraries
from layerforge.tree import FileEntry, Tree
from layerforge.verify import UNLOADABLE, verify
from layerforge.verify.linking import Linkage


def audit(
    tree: Tree,
    target: Target,
    waivers: Sequence[Waiver] = (),
    *,
    bases: Sequence[FileEntry] = (),
) -> tuple[Finding, ...]:
    """Run every check, of Lambda's and of the language's own.

    A file that can't be loaded is an error where importing a module of the layer loads
    it, and a warning where that is up to the function. What the layer lacks, but the
    ``bases`` that it stands on have, is no finding.
    """
    found = (*_found(tree, target), *_overlaps(tree, bases, target))
    lacking = {one.path for one in found if _is_lack(one)}
    if bases and lacking:
        together = _found(above(bases, tree), target)
        found = (
            *(one for one in found if not _is_lack(one)),
            *(one for one in together if _is_lack(one) and one.path in lacking),
        )
    return waive(found, waivers)


def _overlaps(
    tree: Tree, bases: Sequence[FileEntry], target: Target
) -> Iterator[Finding]:
    same = ecosystem_of(target).same
    below = {entry.path: entry for entry in bases}
    for entry in tree:
        other = below.get(entry.path)
        if other and not same(entry, other):
            yield Finding(
                check="overlap",
                severity=Severity.WARNING,
                path=entry.path,
                message="a layer below has it too, with other contents: of the two the "
                "function finds that of the layer which it lists last",
                remedy="Leave it out of one of them with exclude.",
            )


def _is_lack(finding: Finding) -> bool:
    return load_checks()[finding.check].provided


def above(bases: Sequence[FileEntry], tree: Tree) -> Tree:
    """Give what a function finds in /opt where a layer comes after its bases."""
    files = {entry.path: entry for entry in (*bases, *tree)}
    return Tree(tuple(files[path] for path in sorted(files)))


def _found(tree: Tree, target: Target) -> tuple[Finding, ...]:
    ecosystem = ecosystem_of(target)
    found = (*verify(tree, target), *ecosystem.verify(tree, target))
    if any(finding.check in UNLOADABLE for finding in found):
        loaded = loaded_files(tree, target)
        found = tuple(
            replace(finding, severity=Severity.ERROR)
            if finding.check in UNLOADABLE and finding.path in loaded
            else finding
            for finding in found
        )
    return found


def loaded_files(tree: Tree, target: Target) -> frozenset[str]:
    """Name the native files that importing a layer's top-level modules loads."""
    linkage = Linkage(tree, host_libraries(target))
    return linkage.closure(ecosystem_of(target).loaded(tree, target))


def refusal(what: str, errors: Sequence[Finding]) -> VerifyError:
    """Put errors into one: each fault once, with its places; each remedy once."""
    places: dict[tuple[str, str], list[str]] = {}
    for error in errors:
        places.setdefault((error.check, error.message), []).append(error.path)
    lines = "".join(
        f"\n  {_where(paths)}{message} [{check}]"
        for (check, message), paths in places.items()
    )
    remedies = dict.fromkeys(error.remedy for error in errors if error.remedy)
    return VerifyError(f"{what} would not work:{lines}", remedy=" ".join(remedies))


def _where(paths: Sequence[str]) -> str:
    first, *others = paths
    more = f" and {len(others)} more" if others else ""
    return f"{first}{more}: " if first else ""
