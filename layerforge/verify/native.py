"""Could the runtime load a layer's native code? Asked of the files alone.

What importing a module loads is another question: here nothing is worse than a warning.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Mapping
from posixpath import basename, dirname
from typing import Final

from layerforge.elf import ElfFacts, read_version
from layerforge.findings import Finding, Severity
from layerforge.target import Arch, Target, host_libraries
from layerforge.tree import FileEntry, Tree
from layerforge.verify.linking import Linkage
from layerforge.verify.missing import listed, remedies_for

# Machines (e_machine) that others build for, by their usual names, from the System V
# ABI's registry: https://www.sco.com/developers/gabi/latest/ch4.eheader.html
_MACHINES: Final = {
    3: "x86",
    20: "ppc",
    21: "ppc64",
    22: "s390x",
    40: "arm",
    243: "riscv64",
    258: "loong64",
    **{arch.elf_machine: str(arch) for arch in Arch},
}
# What a device is given to run (CUDA, AMD's GPUs, Linux's BPF), and no loader loads.
_DEVICES: Final = {190, 224, 247}
_BITS: Final = 64
_BUILT_ELSEWHERE: Final = (
    "Build the layer for {target}, or leave the file out with exclude if nothing "
    "loads it."
)

_DAMAGED: Final = (
    "Install its package anew, or leave the file out with exclude if nothing loads it."
)

_SYSTEMS: Final = {"Mach-O": "macOS", "PE": "Windows"}
# Names by which Linux is asked for native code; Windows' .pyd is none of them.
_LOADED: Final = re.compile(r".+\.(?:so(?:\.[\d.]+)?|node)")
# What stands in for a link to a library, as in "INPUT(libtbb.so.12)", for linkers
# alone: https://sourceware.org/binutils/docs/ld/File-Commands.html
_LINKER_SCRIPT: Final = re.compile(
    rb"(?:\s|/\*(?:[^*]|\*(?!/))*+\*/)*+(?:AS_NEEDED|EXTERN|GROUP|INPUT|"
    rb"OUTPUT(?:_ARCH|_FORMAT)?|SEARCH_DIR|STARTUP|TARGET)\s*\("
)
# Where -lNAME leads linkers. Extension modules have tags where this has numbers.
_LINKED: Final = re.compile(r"lib[^.]+(?:\.\d+)*\.so")
_LONGEST_SCRIPT: Final = 4096  # bytes

_ADDON: Final = ".node"
_MODULES: Final = "node_modules/"
# Words by which packages have addons for several platforms: Node.js's own
# (https://nodejs.org/api/process.html#processplatform, #processarch), and others'.
_PLATFORMS: Final = {
    *("prebuilds", "aix", "android", "darwin", "freebsd", "linux", "mac", "macos"),
    *("eabihf", "glibc", "gnu", "gnueabihf", "msvc", "musleabihf"),
    *("musl", "openbsd", "osx", "sunos", "win", "win32", "windows"),
    *("aarch64", "amd64", "arm", "arm64", "armv6", "armv7", "ia32", "loong64", "mips"),
    *("mipsel", "ppc64", "riscv64", "s390x", "x32", "x64", "x86"),
}

# Alpine's C library: what is linked with it needs it by these names.
_MUSL: Final = re.compile(r"(?:libc\.musl-|ld-musl-).*|libc\.so")  # glibc's: libc.so.6

# Whose versions a library asks for: https://gcc.gnu.org/onlinedocs/libstdc++/manual/abi.html
_CPP: Final = "libstdc++.so"
_GNU_CPP: Final = frozenset({"GLIBCXX", "CXXABI"})
_FAMILIES: Final[Mapping[str, Callable[[Target], tuple[int, ...]]]] = {
    "GLIBC": lambda target: target.runtime.glibc,
    "GLIBCXX": lambda target: _numbers(target.runtime.glibcxx),
    "CXXABI": lambda target: _numbers(target.runtime.cxxabi),
}
_LATEST: Final[Mapping[str, Callable[[Target], tuple[int, ...]]]] = {
    "GLIBC": lambda target: target.runtime.glibc,
    "GLIBCXX": lambda target: _numbers(target.runtime.latest_glibcxx),
    "CXXABI": lambda target: _numbers(target.runtime.latest_cxxabi),
}


def check_machine(tree: Tree, target: Target) -> Iterator[Finding]:
    """Find libraries and programs for another machine, or of 32 bits.

    What has neither a library's name nor an x bit is data: an emulator's, a compiler's.
    """
    other = [
        (entry, entry.elf)
        for entry in tree
        if entry.elf
        and not _is_for(entry.elf, target)
        and (_has_name(entry) or entry.executable)
    ]
    present = _modules(tree, target) if other else ()
    for entry, facts in other:
        if facts.machine in _DEVICES or _is_one_of_several(entry, present):
            continue
        name = _MACHINES.get(facts.machine, f"ELF machine {facts.machine}")
        bits = f" of {facts.bits} bits" if facts.bits != _BITS else ""
        yield _unloadable(
            entry,
            f"is for {name}{bits}, and the layer for {target.arch}",
            _BUILT_ELSEWHERE.format(target=target),
            check="machine",
        )


def check_format(tree: Tree, target: Target) -> Iterator[Finding]:
    """Find what has a name by which Linux loads native code, and is none of Linux's.

    What is called otherwise (.exe, .dll, .dylib) nobody asks for here.
    """
    others = [entry for entry in tree if _has_name(entry) and not _is_linuxs(entry)]
    present = _modules(tree, target) if others else ()
    for entry in others:
        if not _is_one_of_several(entry, present):
            system = _SYSTEMS.get(entry.foreign)
            yield _unloadable(
                entry,
                f"is for {system} ({entry.foreign}), and Lambda runs Linux"
                if system
                else "has the name of native code, and is no whole ELF file",
                _BUILT_ELSEWHERE.format(target=target) if system else _DAMAGED,
                check="format",
            )


def check_libc(tree: Tree, target: Target) -> Iterator[Finding]:
    """Find what was linked with musl, Alpine's C library."""
    linked = [e for e in tree if _loads(e, target) and _is_musls(e)]
    present = _modules(tree, target) if linked else ()
    for entry in linked:
        if not _is_one_of_several(entry, present):
            yield _unloadable(
                entry,
                f"is for musl, Alpine's C library, and {target.runtime.os} has glibc",
                "Take the package's variant for glibc: a manylinux wheel, or npm's "
                'libc "glibc".',
                check="libc",
            )


def check_versions(tree: Tree, target: Target) -> Iterator[Finding]:
    """Find what needs newer symbols than the image's C and C++ libraries have.

    A C++ library of the layer's own counts where the loader finds it before the
    image's, which it does by DT_RPATH alone.
    """
    linkage = Linkage(tree, host_libraries(target))
    system = target.runtime.os
    for entry in tree:
        newer = _newer(entry, linkage, target) if _loads(entry, target) else {}
        never = {key: newer[key] for key in newer if not _is_latest(newer[key], target)}
        if never:
            has = [f"{each}_{_dotted(_LATEST[each](target))}" for each in never]
            yield _unloadable(
                entry,
                f"needs {listed(list(never.values()))}, and {system} has "
                f"{listed(has)}: it will not load",
                "Take another version of its package, or have it compiled for the "
                "runtime.",
                check="symbol-version",
            )
        elif newer:
            yield _unloadable(
                entry,
                f"needs {listed(list(newer.values()))}, which only newer images of "
                f"{system} have: a function that is held to an older one can't load it",
                "Leave the function's runtime version to Lambda (Auto).",
                check="image-version",
            )


def _is_latest(needed: str, target: Target) -> bool:
    """Say whether the newest images have a version of symbols."""
    family, numbers = read_version(needed)
    return numbers <= _LATEST[family](target)


def _newer(entry: FileEntry, linkage: Linkage, target: Target) -> Mapping[str, str]:
    """Give the versions that a file needs, and the target hasn't got, by family."""
    newer = {}
    for needed in entry.elf.versions if entry.elf else ():
        family, numbers = read_version(needed)
        if family in _FAMILIES and numbers > _FAMILIES[family](target):
            newer[family] = needed
    if not newer.keys().isdisjoint(_GNU_CPP):
        needs = linkage.needs(entry)
        if any(need.path and need.name.startswith(_CPP) for need in needs):
            return {key: newer[key] for key in newer if key not in _GNU_CPP}
    return newer


def check_libraries(tree: Tree, target: Target) -> Iterator[Finding]:
    """Find what needs libraries that nobody has, or that the loader doesn't find."""
    linkage = Linkage(tree, host_libraries(target))
    for entry in tree:
        if not _loads(entry, target) or _is_musls(entry):
            continue
        needs = list(linkage.needs(entry))
        # Sorted, so that files that miss the same are told together.
        missing = sorted({need.name for need in needs if need.missing})
        for remedy, names in remedies_for(missing, entry.path).items():
            yield _unloadable(
                entry,
                f"needs {listed(names)}, which neither {target.runtime.os} nor the "
                "layer has",
                remedy,
                check="library",
            )
        for need in needs:
            if need.elsewhere:
                yield _unled(entry, need.name, need.elsewhere)


def _unled(entry: FileEntry, name: str, elsewhere: str) -> Finding:
    return Finding(
        check="library-path",
        severity=Severity.WARNING,
        path=entry.path,
        message=f"needs {name}, and nothing leads the loader to {elsewhere}: it loads "
        "where that is loaded before",
        remedy=f"Import what loads {basename(elsewhere)} first, or put it into the "
        "layer's lib/ with include.",
    )


def _unloadable(entry: FileEntry, message: str, remedy: str, *, check: str) -> Finding:
    return Finding(
        check=check,
        severity=Severity.WARNING,
        path=entry.path,
        message=message,
        remedy=remedy,
    )


def _is_for(facts: ElfFacts, target: Target) -> bool:
    return (facts.machine, facts.bits) == (target.arch.elf_machine, _BITS)


def _loads(entry: FileEntry, target: Target) -> bool:
    return entry.elf is not None and _is_for(entry.elf, target)


def _is_musls(entry: FileEntry) -> bool:
    return entry.elf is not None and any(
        _MUSL.fullmatch(name) for name in entry.elf.needed
    )


def _has_name(entry: FileEntry) -> bool:
    return _LOADED.fullmatch(basename(entry.path)) is not None


def _is_linuxs(entry: FileEntry) -> bool:
    content = entry.content
    if entry.elf is not None or content is None:
        return True
    return (
        not entry.foreign
        and _LINKED.fullmatch(basename(entry.path)) is not None
        and content.size < _LONGEST_SCRIPT
        and _LINKER_SCRIPT.match(content.inflated()) is not None
    )


def _modules(tree: Tree, target: Target) -> frozenset[str]:
    """Name what there is for the target; nobody misses what is for others beside."""
    loadable = (e for e in tree if _loads(e, target) and not _is_musls(e))
    return frozenset(map(_module, loadable))


def _is_one_of_several(entry: FileEntry, present: Collection[str]) -> bool:
    """Say whether the one for the target is taken, which is there, and this one isn't.

    An addon for Node.js is chosen by the platform that its path names. One of which
    that says nothing is required as it is.
    """
    if entry.path.endswith(_ADDON):
        place = entry.path.rpartition(_MODULES)[2]
        if _PLATFORMS.isdisjoint(_words(place)):
            return False
    return _module(entry) in present


def _module(entry: FileEntry) -> str:
    """Say which module a file is, or, of addons for Node.js, which package's.

    Packages for one platform each, such as @libsql/linux-x64-gnu, are as one.
    """
    if entry.path.endswith(_ADDON):
        head, modules, package = _package(entry)
        words = [word for word in _words(package) if word not in _PLATFORMS]
        return head + modules + "-".join(words)
    return f"{dirname(entry.path)}/{basename(entry.path).partition('.')[0]}"


def _package(entry: FileEntry) -> tuple[str, str, str]:
    """Give the folder of a package, its last node_modules/, and the package's name."""
    head, modules, rest = entry.path.rpartition(_MODULES)
    depth = 2 if rest.startswith("@") else 1
    return head, modules, "/".join(rest.split("/")[:depth])


def _words(name: str) -> list[str]:
    return re.split(r"[^a-z0-9]+", name.lower())


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split("."))


def _dotted(version: tuple[int, ...]) -> str:
    return ".".join(map(str, version))


CHECKS: Final = (
    check_machine,
    check_format,
    check_libc,
    check_versions,
    check_libraries,
)

UNLOADABLE: Final = frozenset(
    {"machine", "format", "libc", "symbol-version", "library"}
)
"""The checks that find files which can't be loaded."""
