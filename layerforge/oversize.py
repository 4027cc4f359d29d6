"""Why a layer is too large, and what would make it smaller, in bytes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace
from typing import Final

from layerforge.audit import loaded_files
from layerforge.errors import VerifyError
from layerforge.findings import Finding
from layerforge.limits import UNZIPPED_LIMIT
from layerforge.lock import Lock
from layerforge.plan import Job
from layerforge.strip import Profile, strip
from layerforge.tree import FileEntry, Tree

_SHOWN: Final = 6
_HOPELESS: Final = 2  # times the limit; trimming has saved no layer half of it
_REMEDY: Final = (
    "Leave something out, or split the layer: a function takes five, but their sum has "
    "the same limit."
)
_FOLDER_DEPTH: Final = 2  # PACKAGE/FOLDER
_MIB: Final = 1 << 20


def explain_size(
    finding: Finding, job: Job, lock: Lock, entries: Sequence[FileEntry]
) -> VerifyError:
    """Say which packages are the largest, who wants them, and what could go.

    ``entries`` are the layer's, with the sizes that they would have in it.
    """
    sizes = Counter[str]()
    for entry in entries:
        sizes[entry.origin] += entry.size
    lines = [f"{job}: {finding.message}", *_largest(sizes, lock)]
    if savings := tuple(_savings(job, entries)):
        lines += ["What would save bytes:", *savings]
    return VerifyError("\n".join(lines), remedy=_REMEDY)


def refuse_hopeless(job: Job, lock: Lock) -> None:
    """Raise `VerifyError` where a lock's weights alone are far above any limit.

    So far that no trimming can help: nothing has to be fetched to know that.
    """
    if job.spec.split or lock.stripping != job.stripping.digest:
        return  # to be divided, or weighed by other rules than those that hold now
    sizes = Counter({pin.id: pin.weight.kept for pin in lock.pins if pin.weight})
    total = sizes.total()
    if total >= _HOPELESS * UNZIPPED_LIMIT:
        told = (
            f"{job}: it would have about {total:,} bytes ({total // _MIB} MiB) "
            f'unzipped, where Lambda\'s "250 MB" are {UNZIPPED_LIMIT:,} bytes; nothing '
            "was fetched"
        )
        lines = [told, *_largest(sizes, lock)]
        raise VerifyError("\n".join(lines), remedy=_REMEDY)


def _largest(sizes: Counter[str], lock: Lock) -> Iterable[str]:
    yield "The largest packages, in bytes unzipped:"
    for name, size in sizes.most_common(_SHOWN):
        users = ", ".join(lock.wanted_by(name, "the layer itself"))
        yield f"  {size:>11,}  {name} (required by {users})"


def _savings(job: Job, entries: Sequence[FileEntry]) -> Iterable[str]:
    slim = replace(job, spec=replace(job.spec, strip=Profile.SLIM)).stripping
    slimmed = sum(removal.size for removal in strip(entries, slim).removals)
    if slimmed:
        yield f'  {slimmed:>11,}  strip = "slim"'
    brought = frozenset(job.target.runtime.sdk)
    doubled = sum(entry.size for entry in entries if entry.origin in brought)
    if doubled:
        yield f"  {doubled:>11,}  exclude-runtime-sdk = true (the runtime has it)"
    needed = loaded_files(Tree(tuple(entries)), job.target)
    for pattern, size in _exclusions(slim.root, entries, needed)[:_SHOWN]:
        yield f'  {size:>11,}  exclude = ["{pattern}"], if your code never uses it'


def _exclusions(
    root: str, entries: Sequence[FileEntry], needed: Collection[str]
) -> list[tuple[str, int]]:
    """Give the largest files and folders that a user may know not to need.

    Not what importing a package loads, nor what is named as private: packages need
    their own insides. A folder that is all one file's is told once, as the folder.
    """
    folders, files = Counter[str](), dict[str, tuple[str, int]]()
    kept = set()
    for entry in entries:
        path = entry.path.removeprefix(root)
        parts = path.split("/")
        if path == entry.path or len(parts) < _FOLDER_DEPTH:
            continue
        if not any(part[0] in "_." for part in parts):
            folder = "/".join(parts[:_FOLDER_DEPTH])
            folders[folder] += entry.size
            if entry.path in needed:
                kept.add(folder)
            else:
                files[path] = (folder, entry.size)
    found = [(folder, size) for folder, size in folders.items() if folder not in kept]
    found += [
        (file, size) for file, (in_, size) in files.items() if size < folders[in_]
    ]
    return sorted(
        ((pattern, size) for pattern, size in found if size >= _MIB),
        key=lambda pair: -pair[1],
    )
