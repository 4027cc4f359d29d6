"""The files of a layer, as values: what /opt will look like, before there is a zip.

Nothing is unpacked to make a tree. Each file points at bytes that lie, deflated or
stored, in an archive of the store.
"""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import IO, Final

from layerforge.elf import ElfFacts
from layerforge.errors import BuildError

STORED: Final = 0
DEFLATED: Final = 8

_CHUNK: Final = 1 << 20  # bytes
_SHOWN: Final = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Content:
    """Bytes of one file: where they lie, and what they are once inflated.

    ``offset`` and ``length`` say where in ``file`` the (deflated or stored) bytes
    are; ``size``, ``crc32`` and ``sha256`` (hex) speak of the inflated bytes.
    """

    file: str
    offset: int
    length: int
    method: int
    size: int
    crc32: int
    sha256: str

    def raw(self) -> bytes:
        """Give the bytes as they lie in ``file``."""
        with Path(self.file).open("rb") as stream:
            stream.seek(self.offset)
            return stream.read(self.length)

    def inflated(self) -> bytes:
        """Give the bytes of the file itself, all at once; raises `BuildError`."""
        raw = self.raw()
        try:
            data = raw if self.method == STORED else zlib.decompress(raw, wbits=-15)
        except zlib.error:
            data = b""
        if len(data) != self.size:
            raise BuildError(
                f"{self.file} is not what it was when it was read",
                remedy="Delete that file, and run it again.",
            )
        return data

    def inflate_into(self, image: bytearray) -> None:
        """Fill ``image``, of this content's size, without a second copy of it."""
        with Path(self.file).open("rb") as stream:
            stream.seek(self.offset)
            at = 0
            for chunk in _inflated(stream, self.length, self.method):
                image[at : at + len(chunk)] = chunk
                at += len(chunk)


def _inflated(stream: IO[bytes], length: int, method: int) -> Iterator[bytes]:
    inflater = zlib.decompressobj(-15)
    while length and (chunk := stream.read(min(_CHUNK, length))):
        length -= len(chunk)
        if method == STORED:
            yield chunk
        while method == DEFLATED and chunk:
            yield inflater.decompress(chunk, _CHUNK)
            chunk = inflater.unconsumed_tail
    yield inflater.flush()


@dataclass(frozen=True, slots=True, kw_only=True)
class FileEntry:
    """One file or symbolic link of a layer, at ``path`` below /opt.

    ``origin`` is the distribution that it came with. A symbolic link has a ``link``
    and no ``content``. ``foreign`` names the format of native code for another system
    than Linux, such as Mach-O.
    """

    path: str
    origin: str
    content: Content | None = None
    link: str = ""
    executable: bool = False
    elf: ElfFacts | None = None
    foreign: str = ""

    @property
    def size(self) -> int:
        """Bytes that count against Lambda's limit: a link's are its target's name."""
        return self.content.size if self.content else len(self.link.encode())

    @property
    def identity(self) -> str:
        """What must be equal for two entries to be the same file but for its mode."""
        return self.content.sha256 if self.content else f"link:{self.link}"


Judge = Callable[[FileEntry, FileEntry], bool]


def same_file(one: FileEntry, other: FileEntry) -> bool:
    """Say whether two entries at one path may be taken for one file."""
    return one.identity == other.identity


@dataclass(frozen=True)
class Tree:
    """Entries in path order, no path twice, no path both a file and a folder."""

    entries: tuple[FileEntry, ...]

    def __iter__(self) -> Iterator[FileEntry]:
        return iter(self.entries)

    def __len__(self) -> int:
        return len(self.entries)

    @cached_property
    def size(self) -> int:
        """Unzipped bytes, as Lambda counts them."""
        return sum(entry.size for entry in self.entries)

    @cached_property
    def digest(self) -> str:
        """SHA-256 (hex) of paths, modes and contents.

        It does not depend on how the bytes are compressed, so it is the same for
        every version of layerforge that makes the same layer.
        """
        digest = hashlib.sha256()
        for entry in self.entries:
            mode = "link" if entry.link else "755" if entry.executable else "644"
            digest.update(f"{entry.path}\0{mode}\0{entry.identity}\n".encode())
        return digest.hexdigest()


def unite(
    entries: Iterable[FileEntry],
    *,
    same: Judge = same_file,
    chosen: Mapping[str, str] | None = None,
) -> Tree:
    """Make one tree of the entries of many packages.

    Two entries at one path must be ``same``, or ``chosen`` must say whose it is, as
    ``{path: origin}``. The order that entries come in is of no account. Raises
    `BuildError` for every collision at once, and for a choice that can't be meant.
    """
    ordered = sorted(entries, key=lambda entry: (entry.path, entry.origin))
    chosen = chosen or {}
    _refuse_vain_choices(ordered, chosen)
    kept: dict[str, FileEntry] = {}
    collisions: list[tuple[FileEntry, FileEntry]] = []
    for entry in ordered:
        present = kept.get(entry.path)
        if present is None:
            kept[entry.path] = entry
        elif entry.path in chosen:
            if entry.origin == chosen[entry.path]:
                kept[entry.path] = entry
        elif same(present, entry):
            if entry.executable and not present.executable:
                kept[entry.path] = entry
        else:
            collisions.append((present, entry))
    _refuse_collisions(collisions)
    _refuse_files_that_are_folders(kept)
    return Tree(tuple(kept.values()))


def refuse_difference(one: Tree, other: Tree, first: str, second: str) -> None:
    """Raise `BuildError` where one zip can't be both trees, with what differs."""
    if one.digest == other.digest:
        return
    mine = {(entry.path, entry.identity, entry.executable) for entry in one}
    theirs = {(entry.path, entry.identity, entry.executable) for entry in other}
    paths = sorted({path for path, *_ in mine ^ theirs})
    shown = "".join(f"\n  {path}" for path in paths[:_SHOWN])
    more = f"\n  and {len(paths) - _SHOWN} more" if len(paths) > _SHOWN else ""
    raise BuildError(
        f"one zip can't be {first} and {second}: "
        f"{len(paths)} files differ:{shown}{more}",
        remedy="Build a zip for each runtime: without one-zip.",
    )


def _refuse_vain_choices(
    entries: Iterable[FileEntry], chosen: Mapping[str, str]
) -> None:
    """Have a file come from the package that was chosen, never from another."""
    writers: dict[str, list[str]] = {}
    for entry in entries:
        if entry.path in chosen:
            writers.setdefault(entry.path, []).append(entry.origin)
    vain = [path for path in writers if chosen[path] not in writers[path]]
    if vain:
        lines = [
            f"  {path}: {chosen[path]} does not, {' and '.join(writers[path])} can"
            for path in vain
        ]
        raise BuildError(
            "collisions names packages that do not write the path:\n"
            + "\n".join(lines),
            remedy="Name one that does, or take the path out of collisions.",
        )


def _refuse_collisions(collisions: list[tuple[FileEntry, FileEntry]]) -> None:
    if not collisions:
        return
    lines = [
        f"  {one.path}: {one.origin} and {other.origin}" for one, other in collisions
    ]
    one, other = collisions[0]
    raise BuildError(
        "packages write different contents to the same path:\n" + "\n".join(lines),
        remedy="Say whose file it is to be, for each path, in the layer's table: "
        f'collisions = {{"{one.path}" = "{other.origin}"}}; or leave it out with '
        "exclude.",
    )


def _refuse_files_that_are_folders(kept: dict[str, FileEntry]) -> None:
    for path, entry in kept.items():
        folder = path.rpartition("/")[0]
        while folder:
            if folder in kept:
                raise BuildError(
                    f"{folder} is a file of {kept[folder].origin}, and a folder of "
                    f"{entry.origin} ({path})",
                    remedy="Leave one of them out with exclude.",
                )
            folder = folder.rpartition("/")[0]
