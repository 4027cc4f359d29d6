"""All that can be said of a layer without running it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from layerforge.ecosystems import ecosystem_of
from layerforge.errors import VerifyError
from layerforge.findings import Finding, Severity, Waiver, waive
from layerforge.linking import with_needed
from layerforge.target import Target
from layerforge.tree import Tree
from layerforge.verify import UNLOADABLE, verify


def audit(
    tree: Tree, target: Target, waivers: Sequence[Waiver] = ()
) -> tuple[Finding, ...]:
    """Run every check, of Lambda's and of the language's own.

    A file that can't be loaded is an error where importing a module of the layer loads
    it, and a warning where that is up to the function.
    """
    ecosystem = ecosystem_of(target)
    found = (*verify(tree, target), *ecosystem.verify(tree, target))
    if any(finding.check in UNLOADABLE for finding in found):
        loaded = with_needed(tree, ecosystem.loaded(tree, target))
        found = tuple(
            replace(finding, severity=Severity.ERROR)
            if finding.check in UNLOADABLE and finding.path in loaded
            else finding
            for finding in found
        )
    return waive(found, waivers)


def refusal(what: str, errors: Sequence[Finding]) -> VerifyError:
    """Put errors into one, each with its place; remedies are told once."""
    lines = "".join(
        f"\n  {f'{error.path}: ' if error.path else ''}{error.message} [{error.check}]"
        for error in errors
    )
    remedies = dict.fromkeys(error.remedy for error in errors if error.remedy)
    return VerifyError(f"{what} would not work:{lines}", remedy=" ".join(remedies))
