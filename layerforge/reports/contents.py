"""What is in a zip, whoever built it, in at most 80 columns."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

from packaging.utils import canonicalize_name

from layerforge.limits import DIRECT_UPLOAD_LIMIT, UNZIPPED_LIMIT
from layerforge.manifest import BuildReport
from layerforge.reports.columns import bytes_of, clipped, columns, mebibytes
from layerforge.reports.paths import shown_place
from layerforge.target import Arch
from layerforge.tree import FileEntry

_NAME_WIDTH: Final = 34
_VERSION_WIDTH: Final = 16
_PATH_WIDTH: Final = 62
_LARGEST: Final = 10
_MACHINES: Final = {arch.elf_machine: str(arch) for arch in Arch}
# Where Lambda's runtimes look for packages:
# https://docs.aws.amazon.com/lambda/latest/dg/packaging-layers.html
_ROOT: Final = re.compile(
    r"python/(?:lib/python[\d.]+/site-packages/)?|nodejs/(?:node\d+/)?node_modules/"
)
_DIST_INFO: Final = re.compile(r"(.+)-([^-]+)\.dist-info")
_MODULE: Final = re.compile(r"\.(?:py|pyc|so)$|\.(?:cpython|abi3|pypy)[^/]*\.so$")


@dataclass(frozen=True, slots=True, kw_only=True)
class Contents:
    """A zip as it was read: sizes in bytes, ``code_sha256`` as Lambda gives it.

    ``manifest`` is what a build left beside it, if it did.
    """

    path: str
    zipped: int
    code_sha256: str
    entries: tuple[FileEntry, ...]
    manifest: BuildReport | None = None

    @property
    def unzipped(self) -> int:
        """Bytes that count against Lambda's limit."""
        return sum(entry.size for entry in self.entries)

    @property
    def is_as_built(self) -> bool:
        """Say whether the manifest speaks of this zip, byte for byte."""
        return (
            self.manifest is not None and self.manifest.code_sha256 == self.code_sha256
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """A package of a zip, or as near to one as names tell; ``size`` in bytes.

    ``location`` is told as in `Pin`.
    """

    name: str
    version: str
    size: int
    files: int
    location: str = ""


def parts_of(contents: Contents) -> tuple[Part, ...]:
    """Divide a zip into packages, the largest first.

    The manifest knows them. Without it, each folder or module that can be imported is
    one, with the version of the distribution that has its name; the metadata of other
    distributions stands by itself.
    """
    if contents.manifest and contents.is_as_built:
        parts = [
            Part(
                name=row.name,
                version=row.version,
                size=row.size,
                files=row.files,
                location=row.location,
            )
            for row in contents.manifest.packages
        ]
        own = Part(
            name="files of your own",
            version="",
            size=contents.unzipped - sum(part.size for part in parts),
            files=len(contents.entries) - sum(part.files for part in parts),
        )
        parts += [own] if own.files else []
    else:
        parts = _parts_by_name(contents.entries)
    return tuple(sorted(parts, key=lambda part: (-part.size, part.name)))


def machines_of(entries: Iterable[FileEntry]) -> dict[str, int]:
    """Count native libraries and programs by the machine that they are for."""
    machines = Counter(entry.elf.machine for entry in entries if entry.elf)
    return {
        _MACHINES.get(machine, f"ELF machine {machine}"): count
        for machine, count in sorted(machines.items())
    }


def contents_text(contents: Contents) -> str:
    """Say what is in a zip: sums, packages, the largest files, native libraries."""
    unzipped = contents.unzipped
    share = f"{unzipped / UNZIPPED_LIMIT:.1%} of Lambda's limit"
    if unzipped >= UNZIPPED_LIMIT:
        over = bytes_of(unzipped - UNZIPPED_LIMIT + 1)
        share = f"{over} too many for Lambda"
    machines = machines_of(contents.entries).items()
    native = ", ".join(f"{count:,} for {name}" for name, count in machines)
    facts = [
        *_built_as(contents.manifest),
        ("unzipped", f"{bytes_of(unzipped)} bytes ({mebibytes(unzipped)}), {share}"),
        ("zipped", _zipped(contents.zipped)),
        ("files", f"{len(contents.entries):,}"),
        ("native", native or "none"),
        ("CodeSha256", contents.code_sha256),
    ]
    lines = [contents.path]
    lines += [f"  {line}" for line in columns(facts)]
    lines += ["", *_packages(parts_of(contents), unzipped)]
    lines += ["", "  largest files", *_largest(contents.entries)]
    return "\n".join(lines)


def contents_document(contents: Contents) -> dict[str, Any]:
    """Give the same as JSON's values."""
    manifest = contents.manifest
    return {
        "path": contents.path,
        "layer": manifest.layer if manifest else None,
        "target": manifest.target if manifest else None,
        "as_built": contents.is_as_built if manifest else None,
        "unzipped": contents.unzipped,
        "unzipped_limit": UNZIPPED_LIMIT,
        "zipped": contents.zipped,
        "code_sha256": contents.code_sha256,
        "files": len(contents.entries),
        "native": machines_of(contents.entries),
        "packages": [asdict(part) for part in parts_of(contents)],
        "largest": [
            {"path": entry.path, "size": entry.size}
            for entry in _by_size(contents.entries)
        ],
    }


def _built_as(manifest: BuildReport | None) -> list[tuple[str, str]]:
    if manifest is None:
        return []
    return [
        ("layer", f"{manifest.layer} for {manifest.target}"),
        ("built by", f"layerforge {manifest.layerforge}, from {manifest.lock}"),
    ]


def _zipped(zipped: int) -> str:
    way = ", published by way of S3" if zipped >= DIRECT_UPLOAD_LIMIT else ""
    return f"{bytes_of(zipped)} bytes ({mebibytes(zipped)}){way}"


def _packages(parts: Sequence[Part], unzipped: int) -> list[str]:
    rows = [("package", "version", "files", "bytes", "share")]
    rows += [
        (
            shown_place(part.name, part.location, _NAME_WIDTH),
            clipped(part.version, _VERSION_WIDTH),
            f"{part.files:,}",
            bytes_of(part.size),
            f"{part.size / max(unzipped, 1):.1%}",
        )
        for part in parts
    ]
    return [f"  {line}" for line in columns(rows, right="<<>>>")]


def _largest(entries: Iterable[FileEntry]) -> list[str]:
    rows = [
        (bytes_of(entry.size), clipped(entry.path, _PATH_WIDTH))
        for entry in _by_size(entries)
    ]
    return [f"  {line}" for line in columns(rows, right=">")]


def _by_size(entries: Iterable[FileEntry]) -> list[FileEntry]:
    ordered = sorted(entries, key=lambda entry: (-entry.size, entry.path))
    return ordered[:_LARGEST]


def _parts_by_name(entries: Iterable[FileEntry]) -> list[Part]:
    sizes, files = Counter[str](), Counter[str]()
    for entry in entries:
        group = _group(entry.path)
        sizes[group] += entry.size
        files[group] += 1
    infos = {
        group: (match[1], match[2])
        for group in sizes
        if (match := _DIST_INFO.fullmatch(group))
    }
    importable = {canonicalize_name(group): group for group in sizes.keys() - infos}
    parts: dict[str, Part] = {}
    for group in sizes.keys() - infos:
        parts[group] = Part(
            name=group, version="", size=sizes[group], files=files[group]
        )
    for info, (name, version) in infos.items():
        group = importable.get(canonicalize_name(name), "")
        known = parts.get(group)
        parts[group or info] = Part(
            name=group or name,
            version=version,
            size=sizes[info] + (known.size if known else 0),
            files=files[info] + (known.files if known else 0),
        )
    return list(parts.values())


def _group(path: str) -> str:
    """Name what a file is imported by, or the top folder where it can't be."""
    root = _ROOT.match(path)
    if root is None:
        return path.partition("/")[0] + ("/" if "/" in path else "")
    first, *rest = path[root.end() :].split("/")
    if first.startswith("@") and rest:
        return f"{first}/{rest[0]}"  # npm's scopes
    return first if rest else _MODULE.sub("", first)
