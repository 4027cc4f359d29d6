"""A layer proven by running it: all its modules imported, in the runtime if possible.

Before anyone uploads it, and as a function would: by one process, one after another.
"""

from __future__ import annotations

import stat
import tarfile
import tempfile
import zipfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Final

from layerforge.containers.image import Image
from layerforge.containers.task import EngineError
from layerforge.ecosystems import ecosystem_of
from layerforge.errors import VerifyError
from layerforge.events import Noted
from layerforge.imports import How, Import, Imported, Importer, Run
from layerforge.loader import remedy_for
from layerforge.target import Target
from layerforge.tools import Tools
from layerforge.tree import FileEntry, Tree

_STRANGER: Final = 65534  # nobody's number
_FILE, _FOLDER = 0o644, 0o755


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbeResult:
    """One module as it was imported; ``memory`` is what that took, in bytes.

    A failed one that is ``optional`` lacks what nothing in the layer brings, or is only
    there for others, and nobody asked for it. ``error``, the ``cause`` that it was
    raised after, and ``trace`` are the language's own words.
    """

    module: str
    distribution: str
    ok: bool
    milliseconds: float
    memory: int
    optional: bool = False
    error: str = ""
    cause: str = ""
    remedy: str = ""
    trace: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbeReport:
    """All modules of a layer, in the order in which they were imported.

    ``init_milliseconds`` is the time until a function that imports nothing answered,
    ``peak_memory`` the largest resident set with all modules in it, in bytes.
    """

    target: Target
    how: How
    modules: tuple[ProbeResult, ...]
    init_milliseconds: float
    peak_memory: int

    @property
    def failed(self) -> tuple[ProbeResult, ...]:
        """The modules that are broken, optional ones apart."""
        return tuple(row for row in self.modules if not row.ok and not row.optional)

    @property
    def import_milliseconds(self) -> float:
        """What importing everything takes, which is part of a cold start."""
        return sum(row.milliseconds for row in self.modules)


def probe_zip(  # noqa: PLR0913 - what to import, what with, and whom to tell
    path: Path,
    tree: Tree,
    target: Target,
    tools: Tools,
    *,
    imports: Sequence[str] = (),
    local: bool = False,
    shaken: bool = False,
) -> ProbeReport:
    """Import every module of the zip at ``path``, which ``tree`` describes.

    ``imports`` are further modules, which nothing excuses. Where it is to be
    ``local``, or no engine answers, an interpreter of this machine does it. Of a
    ``shaken`` layer only what has all its parts is imported by itself. Raises
    `VerifyError` where the runtime doesn't start with the layer at all, and
    `BuildError` where there is nothing to prove it with.
    """
    importer = _importer(target, tools)
    found = importer.find_imports(tree.entries, target, shaken=shaken)
    separator = importer.separator
    wanted = _with_required(found, imports, separator)
    image = None if local else _image(target, tools)
    if image:
        run = _run_in_container(path, wanted, target, image, tools)
    else:
        run = _run_here(tree, wanted, target, tools)
    if run.failure:
        raise _no_start(run, target)
    present = {one.module for one in found}
    return ProbeReport(
        target=target,
        how=run.how,
        modules=tuple(
            judge(one, imported, present, target, separator)
            for one, imported in zip(wanted, run.modules, strict=True)
        ),
        init_milliseconds=run.init_milliseconds,
        peak_memory=run.peak_memory,
    )


def judge(
    wanted: Import,
    imported: Imported,
    present: Iterable[str],
    target: Target,
    separator: str,
) -> ProbeResult:
    """Say whether an import failed, whether that matters, and what helps.

    ``present`` are the modules that the layer has; ``separator`` stands between the
    name of a module and that of its part.
    """
    lacking = imported.missing
    absent = bool(lacking) and not any(_has(n, lacking, separator) for n in present)
    known = (
        _absent(lacking, wanted, target, separator)
        if absent
        else _broken(imported, target)
    )
    excused = absent or (wanted.dependency and not _is_damaged(imported, target))
    return ProbeResult(
        module=wanted.module,
        distribution=wanted.distribution,
        ok=not imported.error,
        optional=excused and bool(imported.error) and not wanted.required,
        milliseconds=imported.milliseconds,
        memory=imported.memory,
        error=imported.error,
        cause=imported.cause,
        remedy=known,
        trace=imported.trace,
    )


def _is_damaged(imported: Imported, target: Target) -> bool:
    """Say whether a dependency lacks a part of its own, or has a library that is wrong.

    Any other failure is the concern of what depends on it, which is tried as well:
    packages are left that only some systems or versions need.
    """
    if imported.remedy or imported.error.startswith("the process ended"):
        return False
    lost = imported.missing == imported.module
    return lost or bool(remedy_for(f"{imported.error}\n{imported.cause}", target))


def _importer(target: Target, tools: Tools) -> Importer:
    return ecosystem_of(target).importer(tools)


def _has(module: str, name: str, separator: str) -> bool:
    """Say whether a name is a module's, or that of a part of it."""
    return f"{name}{separator}".startswith(f"{module}{separator}")


def _with_required(
    found: Sequence[Import], required: Sequence[str], separator: str
) -> tuple[Import, ...]:
    """Mark the modules that are required, and put those that are deeper behind all."""
    tops = {one.module for one in found}
    deeper = [name for name in dict.fromkeys(required) if name not in tops]
    return (
        *(replace(one, required=one.module in required) for one in found),
        *(
            Import(
                module=name, distribution=_owner(name, found, separator), required=True
            )
            for name in deeper
        ),
    )


def _owner(module: str, found: Sequence[Import], separator: str) -> str:
    owners = [o.distribution for o in found if _has(o.module, module, separator)]
    return owners[0] if owners else ""


def _absent(module: str, wanted: Import, target: Target, separator: str) -> str:
    top = module.partition(separator)[0]
    if any(
        fnmatchcase(name, sdk) for sdk in target.runtime.sdk for name in (top, module)
    ):
        return f"Lambda's own image brings {module}: it can be proven there."
    need = "" if wanted.required else ", if you need this"
    return f"Add the package that brings {module}{need}."


def _broken(imported: Imported, target: Target) -> str:
    if imported.remedy or not imported.error:
        return imported.remedy
    if imported.alone:
        return "By itself it can be imported: it clashes with a module before it."
    if imported.missing:
        return (
            f"A part was left out, or is not for {target}: build the layer for it; if "
            "that is so, try --strip none."
        )
    return remedy_for(f"{imported.error}\n{imported.cause}", target)


def _no_start(run: Run, target: Target) -> VerifyError:
    said = "".join(f"\n  {line}" for line in run.log)
    return VerifyError(
        f"the runtime of {target} does not start with this layer: {run.failure}{said}",
        remedy="See whether a module (or, for Python, a .pth file) of the layer stands "
        "before one of the runtime's own.",
    )


def _image(target: Target, tools: Tools) -> Image | None:
    """Have the runtime's image, or nothing where no engine answers."""
    try:
        return tools.containers.base_image(target)
    except EngineError as error:
        instead = "the modules are imported on this machine, which proves less"
        tools.listen(Noted(message=f"{error.message}: {instead}", warning=True))
        return None


def _run_in_container(
    path: Path, wanted: Sequence[Import], target: Target, image: Image, tools: Tools
) -> Run:
    containers = tools.containers
    with tempfile.TemporaryDirectory(prefix="layerforge-") as name:
        tar = Path(name) / "opt.tar"
        write_tar(path, tar)
        with containers.volume(target.arch, image.id, tar) as volume:
            return _importer(target, tools).import_in_container(
                wanted, target, image, volume, containers
            )


def _run_here(
    tree: Tree, wanted: Sequence[Import], target: Target, tools: Tools
) -> Run:
    with tempfile.TemporaryDirectory(prefix="layerforge-") as name:
        for entry in tree:
            _unpack(entry, Path(name))
        return _importer(target, tools).import_here(wanted, target, Path(name))


def _unpack(entry: FileEntry, folder: Path) -> None:
    path = folder / entry.path
    path.parent.mkdir(parents=True, exist_ok=True)
    if entry.content is None:
        path.symlink_to(entry.link)
        return
    path.write_bytes(entry.content.inflated())
    path.chmod(0o755 if entry.executable else _FILE)


def write_tar(path: Path, tar: Path) -> None:
    """Write a zip's files into a tar, with their modes, as Lambda puts them at /opt.

    They are a stranger's, as Lambda's are to a function: what only the owner may read
    can't be read.
    """
    with zipfile.ZipFile(path) as archive, tarfile.open(tar, "w") as members:
        for folder in _folders(archive.namelist()):
            member = _member(folder, _FOLDER)
            member.type = tarfile.DIRTYPE
            members.addfile(member)
        for info in archive.infolist():
            if info.is_dir():
                continue
            mode = info.external_attr >> 16
            member = _member(info.filename, stat.S_IMODE(mode) or _FILE)
            if stat.S_ISLNK(mode):
                member.type = tarfile.SYMTYPE
                member.linkname = archive.read(info).decode()
                members.addfile(member)
            else:
                member.size = info.file_size
                with archive.open(info) as stream:
                    members.addfile(member, stream)


def _folders(names: Iterable[str]) -> list[str]:
    return sorted(
        {name[:at] for name in names for at, letter in enumerate(name) if letter == "/"}
    )


def _member(name: str, mode: int) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.mode, member.uid, member.gid = mode, _STRANGER, _STRANGER
    return member
