from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from layerforge.findings import Finding, Severity
from layerforge.target import Target, find_arch, find_runtime
from layerforge.tree import FileEntry, unite
from layerforge.verify.native import CHECKS
from tests.elf_files import Workshop
from tests.entries import make_entry
from tests.libraries import AARCH64, I386, X86_64, foreign, library

ADDON = "nodejs/node_modules/demo/prebuilds"


def target(runtime: str = "python3.12", arch: str = "x86_64") -> Target:
    return Target(runtime=find_runtime(runtime), arch=find_arch(arch))


def findings(*entries: FileEntry, of: Target | None = None) -> list[Finding]:
    tree = unite(entries)
    return [found for check in CHECKS for found in check(tree, of or target())]


def messages(*entries: FileEntry, of: Target | None = None) -> list[str]:
    return [f"{found.check}: {found.message}" for found in findings(*entries, of=of)]


# -- machines --------


@pytest.mark.parametrize(("arch", "machine"), [("x86_64", X86_64), ("arm64", AARCH64)])
def test_a_library_for_the_target_is_not_spoken_of(arch: str, machine: int) -> None:
    assert findings(library(machine=machine), of=target(arch=arch)) == []


def test_a_library_for_another_machine_is_warned_of() -> None:
    assert findings(library(machine=AARCH64)) == [
        Finding(
            check="machine",
            severity=Severity.WARNING,
            path="python/demo/_a.so",
            message="is for arm64, and the layer for x86_64",
            remedy="Build the layer for python3.12-x86_64, or leave the file out with "
            "exclude if nothing loads it.",
        )
    ]


@pytest.mark.parametrize(
    ("machine", "bits", "message"),
    [
        (I386, 32, "machine: is for x86 of 32 bits, and the layer for x86_64"),
        (X86_64, 32, "machine: is for x86_64 of 32 bits, and the layer for x86_64"),
        (8, 64, "machine: is for ELF machine 8, and the layer for x86_64"),
    ],
)
def test_a_machine_is_called_by_its_name(machine: int, bits: int, message: str) -> None:
    assert messages(library(machine=machine, bits=bits)) == [message]


def test_code_for_a_gpu_is_not_spoken_of() -> None:
    assert findings(library("python/demo/kernel.cubin", machine=190)) == []


@pytest.mark.parametrize("executable", [True, False])
def test_what_has_no_library_s_name_counts_where_it_can_be_run(
    *, executable: bool
) -> None:
    entry = replace(library("python/demo/tool", machine=AARCH64), executable=executable)

    assert bool(findings(entry)) is executable


def test_what_a_library_for_another_machine_needs_is_of_no_account() -> None:
    entry = library(machine=AARCH64, needed=("libx.so",), versions=("GLIBC_9.9",))

    assert [finding.check for finding in findings(entry)] == ["machine"]


# -- formats --------


def test_code_for_another_system_is_warned_of() -> None:
    assert findings(foreign("python/demo/_a.so")) == [
        Finding(
            check="format",
            severity=Severity.WARNING,
            path="python/demo/_a.so",
            message="is for macOS (Mach-O), and Lambda runs Linux",
            remedy="Build the layer for python3.12-x86_64, or leave the file out with "
            "exclude if nothing loads it.",
        )
    ]


def test_code_for_windows_is_said_to_be_that() -> None:
    assert messages(foreign("nodejs/node_modules/demo/demo.node", "PE")) == [
        "format: is for Windows (PE), and Lambda runs Linux"
    ]


@pytest.mark.parametrize(
    "path", ["python/demo/_a.so", "lib/libx.so.1", "nodejs/node_modules/demo/demo.node"]
)
def test_what_has_the_name_of_native_code_and_is_none_is_warned_of(
    tmp_path: Path, path: str
) -> None:
    assert findings(make_entry(tmp_path, path, b"\x7fELF")) == [
        Finding(
            check="format",
            severity=Severity.WARNING,
            path=path,
            message="has the name of native code, and is no whole ELF file",
            remedy="Install its package anew, or leave the file out with exclude if "
            "nothing loads it.",
        )
    ]


@pytest.mark.parametrize(
    "text",
    [
        b"INPUT (libtbb.so.12)\n",
        b"/* GNU ld script */\nOUTPUT_FORMAT(elf64-x86-64)\nGROUP ( libx.so.1 )\n",
        b"SEARCH_DIR(/usr/lib)\nINPUT(libtbb.so.12)\n",
        b"OUTPUT(libtbb.so)\nINPUT(libtbb.so.12)\n",
        b"AS_NEEDED(libtbb.so.12)\n",
    ],
)
def test_a_script_for_linkers_is_not_damaged(tmp_path: Path, text: bytes) -> None:
    assert findings(make_entry(tmp_path, "python/x.libs/libtbb.so", text)) == []


@pytest.mark.parametrize("path", ["python/libtcl8.6.so", "lib/libstdc++.so"])
def test_a_script_for_linkers_has_the_name_of_a_library(
    tmp_path: Path, path: str
) -> None:
    assert findings(make_entry(tmp_path, path, b"INPUT(libx.so.1)")) == []


@pytest.mark.parametrize(
    "path",
    [
        "python/demo/_a.cpython-312-x86_64-linux-gnu.so",
        "python/lib_a.abi3.so",
        "python/_a.so",
        "nodejs/node_modules/demo/demo.node",
    ],
)
def test_a_script_for_linkers_in_a_module_s_place_is_damaged(
    tmp_path: Path, path: str
) -> None:
    assert messages(make_entry(tmp_path, path, b"INPUT(libx.so.1)")) == [
        "format: has the name of native code, and is no whole ELF file"
    ]


def test_a_link_with_the_name_of_native_code_is_no_such_file() -> None:
    link = FileEntry(path="lib/libx.so", origin="", link="libx.so.1")

    assert findings(library("lib/libx.so.1"), link) == []


@pytest.mark.parametrize(
    "path", ["python/setuptools/cli-64.exe", "python/a/b.dll", "python/a/b.dylib"]
)
def test_what_linux_would_never_load_is_not_spoken_of(path: str) -> None:
    assert findings(foreign(path, "PE")) == []


@pytest.mark.parametrize(
    "other",
    [
        foreign(f"{ADDON}/darwin-arm64/demo.node"),
        library(f"{ADDON}/linux-arm64/demo.node", machine=AARCH64),
        library(f"{ADDON}/linux-x64/demo.musl.node", needed=("libc.musl-x86_64.so.1",)),
    ],
    ids=["system", "machine", "libc"],
)
def test_addons_for_others_beside_the_target_s_are_not_spoken_of(
    other: FileEntry,
) -> None:
    assert findings(library(f"{ADDON}/linux-x64/demo.node"), other) == []


@pytest.mark.parametrize(
    ("name", "needed"),
    [
        ("linux-x64-musl", ("libc.so",)),
        ("linux-arm64-gnu", ()),
        ("darwin-arm64", ()),
    ],
)
def test_packages_for_others_beside_the_target_s_are_not_spoken_of(
    name: str, needed: tuple[str, ...]
) -> None:
    folder = "nodejs/node_modules/@demo"
    machine = AARCH64 if "arm64" in name else X86_64
    other = library(f"{folder}/{name}/index.node", machine=machine, needed=needed)
    own = library(f"{folder}/linux-x64-gnu/index.node")

    assert findings(own, other) == []
    assert len(findings(other)) == 1


@pytest.mark.parametrize("place", ["build/Release", "lib/binding"])
def test_an_addon_that_names_no_platform_is_not_chosen_among_others(place: str) -> None:
    path = f"nodejs/node_modules/demo/{place}/demo.node"
    other = library(path, machine=AARCH64)

    assert messages(library(f"{ADDON}/linux-x64/demo.node"), other) == [
        "machine: is for arm64, and the layer for x86_64"
    ]


def test_a_module_for_macos_beside_the_one_for_linux_is_not_spoken_of() -> None:
    entries = (
        library("python/demo/_a.cpython-312-x86_64-linux-gnu.so"),
        foreign("python/demo/_a.cpython-312-darwin.so"),
    )

    assert findings(*entries) == []


# -- C libraries --------


def test_what_is_for_musl_is_warned_of_and_nothing_else_said() -> None:
    entry = library(needed=("libc.musl-x86_64.so.1", "libx.so.1"))

    assert findings(entry) == [
        Finding(
            check="libc",
            severity=Severity.WARNING,
            path="python/demo/_a.so",
            message="is for musl, Alpine's C library, and AL2023 has glibc",
            remedy="Take the package's variant for glibc: a manylinux wheel, or npm's "
            'libc "glibc".',
        )
    ]


# -- symbol versions --------


def test_a_newer_glibc_than_the_runtime_s_is_warned_of() -> None:
    assert findings(library(versions=("GLIBC_2.35",))) == [
        Finding(
            check="symbol-version",
            severity=Severity.WARNING,
            path="python/demo/_a.so",
            message="needs GLIBC_2.35, and AL2023 has GLIBC_2.34: it will not load",
            remedy="Take another version of its package, or have it compiled for the "
            "runtime.",
        )
    ]


def test_the_versions_that_a_file_needs_are_told_together() -> None:
    entry = library(versions=("CXXABI_1.3.16", "GLIBCXX_3.4.34", "GLIBC_2.38"))

    assert messages(entry) == [
        (
            "symbol-version: needs CXXABI_1.3.16, GLIBCXX_3.4.34 and GLIBC_2.38, and "
            "AL2023 has CXXABI_1.3.15, GLIBCXX_3.4.33 and GLIBC_2.34: it will not load"
        )
    ]


def test_what_only_newer_images_have_is_told_apart() -> None:
    entry = library(versions=("CXXABI_1.3.14", "GLIBCXX_3.4.33"))

    assert messages(entry) == [
        (
            "image-version: needs CXXABI_1.3.14 and GLIBCXX_3.4.33, which only newer "
            "images of AL2023 have: a function that is held to an older one can't load "
            "it"
        )
    ]


@pytest.mark.parametrize(
    ("runtime", "version", "loads"),
    [
        ("python3.12", "GLIBC_2.34", True),
        ("python3.12", "GLIBC_2.4", True),
        ("python3.12", "GLIBC_2.2.5", True),
        ("python3.12", "GLIBC_2.34.1", False),
        ("python3.11", "GLIBC_2.26", True),
        ("python3.11", "GLIBC_2.27", False),
        ("python3.12", "GLIBCXX_3.4.29", True),
        ("python3.12", "GLIBCXX_3.4.30", False),
        ("python3.11", "CXXABI_1.3.11", True),
        ("python3.11", "CXXABI_1.3.12", False),
        ("python3.12", "CXXABI_1.3.13", True),
        ("python3.12", "CXXABI_1.3.14", False),
        ("python3.12", "CXXABI_TM_1", True),
        ("python3.12", "GLIBC_PRIVATE", True),
        ("python3.12", "OPENSSL_9.9.9", True),
        ("python3.12", "GLIBC_9..3", True),
        ("python3.12", "GLIBC_9.", True),
        ("python3.12", "GLIBC_9.²", True),
    ],
)
def test_versions_are_compared_as_numbers(
    runtime: str, version: str, *, loads: bool
) -> None:
    entry = library(versions=(version,))

    assert (findings(entry, of=target(runtime)) == []) is loads


def cpp(*, rpath: tuple[str, ...] = (), runpath: tuple[str, ...] = ()) -> FileEntry:
    versions = ("GLIBCXX_3.4.34", "GLIBC_2.38")
    needed = ("libstdc++.so.6",)
    return library(versions=versions, needed=needed, rpath=rpath, runpath=runpath)


def test_a_libstdcxx_that_an_rpath_leads_to_has_versions_of_its_own() -> None:
    entries = (cpp(rpath=("/opt/lib",)), library("lib/libstdc++.so.6"))

    assert messages(*entries) == [
        "symbol-version: needs GLIBC_2.38, and AL2023 has GLIBC_2.34: it will not load"
    ]


def test_the_image_s_libstdcxx_comes_before_that_of_a_runpath_or_of_lib() -> None:
    entries = (cpp(runpath=("/opt/lib",)), library("lib/libstdc++.so.6"))

    assert messages(*entries) == [
        (
            "symbol-version: needs GLIBCXX_3.4.34 and GLIBC_2.38, and AL2023 has "
            "GLIBCXX_3.4.33 and GLIBC_2.34: it will not load"
        )
    ]


# -- libraries --------


def test_a_library_that_is_nowhere_is_warned_of_with_what_brings_it() -> None:
    assert findings(library(needed=("libc.so.6", "libgomp.so.1"))) == [
        Finding(
            check="library",
            severity=Severity.WARNING,
            path="python/demo/_a.so",
            message="needs libgomp.so.1, which neither AL2023 nor the layer has",
            remedy="Amazon Linux has libgomp.so.1 in libgomp: copy it into the layer's "
            "lib/ with include.",
        )
    ]


def test_libraries_that_are_brought_in_different_ways_are_told_apart() -> None:
    entry = library(needed=("libx.so.1", "libexpat.so.1", "liby.so.2"))

    assert messages(entry) == [
        "library: needs libexpat.so.1, which neither AL2023 nor the layer has",
        (
            "library: needs libx.so.1 and liby.so.2, which neither AL2023 nor the "
            "layer has"
        ),
    ]


def test_files_that_miss_the_same_in_another_order_are_told_alike() -> None:
    one = library("python/demo/_a.so", needed=("libx.so.1", "liby.so.2"))
    other = library("python/demo/_b.so", needed=("liby.so.2", "libx.so.1"))

    first, second = findings(one, other)

    assert first.message == second.message


def test_what_one_image_lacks_another_has() -> None:
    entry = library(needed=("libexpat.so.1",))

    assert findings(entry, of=target("python3.11")) == []


def test_a_library_that_nothing_leads_to_is_warned_of() -> None:
    other = library("python/other/liba.so.1", origin="other")

    assert findings(library(needed=("liba.so.1",)), other) == [
        Finding(
            check="library-path",
            severity=Severity.WARNING,
            path="python/demo/_a.so",
            message="needs liba.so.1, and nothing leads the loader to "
            "python/other/liba.so.1: it loads where that is loaded before",
            remedy="Import what loads liba.so.1 first, or put it into the layer's lib/ "
            "with include.",
        )
    ]


def test_a_library_of_the_build_machine_is_read_for_real(tmp_path: Path) -> None:
    image = Workshop.open(tmp_path).compile_library()
    arch = {X86_64: "x86_64", AARCH64: "arm64"}[image[18]]  # e_machine, little-endian

    found = messages(make_entry(tmp_path, "a/b.so", image), of=target(arch=arch))

    assert found == ["library: needs libdep.so, which neither AL2023 nor the layer has"]
