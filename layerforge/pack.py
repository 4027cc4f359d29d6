"""An artifact's index: what is in an archive, read strictly once and kept as JSON."""

from __future__ import annotations

import json
from dataclasses import astuple, dataclass
from typing import Any, Final

from layerforge.elf import ElfFacts
from layerforge.store import Store
from layerforge.tree import Content, FileEntry

FORMAT: Final = 3  # to be raised whenever an index would be read or written otherwise


@dataclass(frozen=True, slots=True, kw_only=True)
class Pack:
    """What one artifact brings to a layer: entries at their places below /opt.

    ``scripts`` are the paths whose first line names an interpreter that is to be
    replaced by the runtime's. ``left_out`` are names in the archive that have no place
    in a layer, such as headers. ``requires`` and ``requires_python`` are what the
    package's own metadata asks for.

    ``unpacked`` tells that the contents do not lie in the archive, but in a file of
    the store's own.

    A pack is ``predicted`` where only the archive's directory, and the first bytes of
    some files, were read: its entries then have sizes, but no contents.
    """

    name: str
    version: str
    digest: str
    entries: tuple[FileEntry, ...]
    scripts: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()
    requires: tuple[str, ...] = ()
    requires_python: str = ""
    predicted: bool = False
    unpacked: bool = False

    @property
    def size(self) -> int:
        """Unzipped bytes of all entries."""
        return sum(entry.size for entry in self.entries)


def load_pack(store: Store, digest: str, *, predicted: bool = False) -> Pack | None:
    """Read the index of an artifact, if one was made by this version's rules.

    An index that is cut short, as by a loss of power, counts as not there, and so does
    one whose contents are gone.
    """
    document = store.load("indexes", _key(digest, predicted=predicted))
    if document is None:
        return None
    try:
        return _from_json(json.loads(document), store)
    except (ValueError, KeyError, TypeError):
        return None


def save_pack(store: Store, pack: Pack) -> None:
    """Keep an index for the next build."""
    contents = store.contents(pack.digest).name if pack.unpacked else ""
    document = json.dumps(_to_json(pack, contents), separators=(",", ":"))
    key = _key(pack.digest, predicted=pack.predicted)
    store.save("indexes", key, document.encode())


def _key(digest: str, *, predicted: bool) -> str:
    return f"{digest}-{FORMAT}{'-predicted' if predicted else ''}"


def _to_json(pack: Pack, contents: str) -> dict[str, Any]:
    return {
        "name": pack.name,
        "version": pack.version,
        "digest": pack.digest,
        "scripts": pack.scripts,
        "left_out": pack.left_out,
        "requires": pack.requires,
        "requires_python": pack.requires_python,
        "predicted": pack.predicted,
        "contents": contents,
        "entries": [
            (
                entry.path,
                entry.executable,
                (astuple(entry.content)[1:]) if entry.content else entry.link,
                astuple(entry.elf) if entry.elf else None,
                entry.foreign,
            )
            for entry in pack.entries
        ],
    }


def _from_json(document: dict[str, Any], store: Store) -> Pack | None:
    origin, digest = document["name"], document["digest"]
    place, contents = store.artifact(digest), document["contents"]
    if contents:
        place = store.contents(digest)
        # Of another compressor's, the index knows nothing.
        if contents != place.name or not store.has_contents(digest, _end(document)):
            return None
    archive = str(place)
    return Pack(
        name=origin,
        version=document["version"],
        digest=digest,
        scripts=tuple(document["scripts"]),
        left_out=tuple(document["left_out"]),
        requires=tuple(document["requires"]),
        requires_python=document["requires_python"],
        predicted=document["predicted"],
        unpacked=bool(contents),
        entries=tuple(
            FileEntry(
                path=path,
                origin=origin,
                executable=executable,
                link=where if isinstance(where, str) else "",
                content=None if isinstance(where, str) else _content(archive, where),
                elf=_elf(facts) if facts else None,
                foreign=foreign,
            )
            for path, executable, where, facts, foreign in document["entries"]
        ),
    )


def _end(document: dict[str, Any]) -> int:
    """Say how many bytes the contents have, which lie behind one another."""
    fields = (where for _, _, where, *_ in document["entries"])
    return max((f[0] + f[1] for f in fields if not isinstance(f, str)), default=0)


def _content(archive: str, fields: list[Any]) -> Content:
    offset, length, method, size, crc32, sha256 = fields
    return Content(
        file=archive,
        offset=offset,
        length=length,
        method=method,
        size=size,
        crc32=crc32,
        sha256=sha256,
    )


def _elf(fields: list[Any]) -> ElfFacts:
    machine, bits, soname, needed, runpath, rpath, versions, *trim = fields
    trimmed, untrimmable = trim
    return ElfFacts(
        machine=machine,
        bits=bits,
        soname=soname,
        needed=tuple(needed),
        runpath=tuple(runpath),
        rpath=tuple(rpath),
        versions=tuple(versions),
        trimmed=trimmed,
        untrimmable=untrimmable,
    )
