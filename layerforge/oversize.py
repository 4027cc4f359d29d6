"""Why a layer is too large, and what would make it smaller, in bytes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Final

from layerforge.errors import VerifyError
from layerforge.lock import Lock
from layerforge.plan import Job
from layerforge.strip import Profile, strip
from layerforge.tree import FileEntry
from layerforge.verify import Finding

_SHOWN: Final = 6
_FOLDER_DEPTH: Final = 2  # PACKAGE/FOLDER
_MIB: Final = 1 << 20


def explain_size(
    finding: Finding, job: Job, lock: Lock, entries: Sequence[FileEntry]
) -> VerifyError:
    """Say which packages are the largest, who wants them, and what could go.

    ``entries`` are the layer's, with the sizes that they would have in it.
    """
    by_package = Counter[str]()
    for entry in entries:
        by_package[entry.origin] += entry.size
    lines = [f"{job}: {finding.message}", "The largest packages, in bytes unzipped:"]
    for name, size in by_package.most_common(_SHOWN):
        users = ", ".join(lock.required_by(name)) or "the layer itself"
        lines.append(f"  {size:>11}  {name} (required by {users})")
    if savings := tuple(_savings(job, entries)):
        lines += ["What would save bytes:", *savings]
    return VerifyError(
        "\n".join(lines),
        remedy="Leave something out, or split the layer: a function takes five, "
        "but their sum has the same limit.",
    )


def _savings(job: Job, entries: Sequence[FileEntry]) -> Iterable[str]:
    slim = replace(job, spec=replace(job.spec, strip=Profile.SLIM)).stripping
    slimmed = sum(removal.size for removal in strip(entries, slim).removals)
    if slimmed:
        yield f'  {slimmed:>11}  strip = "slim"'
    brought = frozenset(job.target.runtime.sdk)
    doubled = sum(entry.size for entry in entries if entry.origin in brought)
    if doubled:
        yield f"  {doubled:>11}  exclude-runtime-sdk = true (the runtime has it)"
    for pattern, size in _exclusions(entries)[:_SHOWN]:
        yield f'  {size:>11}  exclude = ["{pattern}"], if your code never uses it'


def _exclusions(entries: Sequence[FileEntry]) -> list[tuple[str, int]]:
    """Give the largest files and folders that a user may know not to need.

    Not what is named as private: packages need their own insides.
    """
    sizes = Counter[str]()
    for entry in entries:
        _, *parts = entry.path.split("/")
        if len(parts) < _FOLDER_DEPTH or any(part[0] in "_." for part in parts):
            continue
        for depth in {_FOLDER_DEPTH, len(parts)}:  # the folder, and the file itself
            sizes["/".join(parts[:depth])] += entry.size
    return [(pattern, size) for pattern, size in sizes.most_common() if size >= _MIB]
