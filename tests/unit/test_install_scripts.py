"""Install scripts judged: which matter to a layer, and why the others don't."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Final

import pytest

from layerforge.containers.service import Containers
from layerforge.containers.settings import ContainerSettings, SystemPackages
from layerforge.containers.task import EngineError
from layerforge.ecosystems.node import install_scripts
from layerforge.ecosystems.node.install_scripts import (
    Known,
    Verdict,
    judge_scripts,
    known_scripts,
)
from layerforge.ecosystems.node.installation import needed
from layerforge.ecosystems.node.npmrc import NpmSettings
from layerforge.ecosystems.node.packagelock import Dependency, Group, Package, Source
from layerforge.ecosystems.node.rebuild import Rebuilder
from layerforge.elf import ElfFacts
from layerforge.pack import Pack
from layerforge.spec import Script
from layerforge.store import Store
from layerforge.target import Arch, Target, find_runtime
from layerforge.tools import Tools
from layerforge.tree import FileEntry
from tests.entries import make_entry

X86: Final = Target(runtime=find_runtime("nodejs22.x"), arch=Arch.X86_64)
AARCH64: Final = Arch.ARM64.elf_machine


def package(place: str, *wanted: Dependency, **fields: object) -> Package:
    name = place.rpartition("node_modules/")[2]
    made = Package(
        path=place,
        name=name,
        version="1.0.0",
        source=Source.REGISTRY,
        has_install_script=True,
        dependencies=wanted,
    )
    return replace(made, **fields)  # type: ignore[arg-type]  # any field


def wish(name: str, group: Group = Group.PROD) -> Dependency:
    optional = group is Group.OPTIONAL
    return Dependency(name=name, range="*", group=group, optional=optional)


def file(path: str, machine: int = 0, **facts: tuple[str, ...]) -> FileEntry:
    elf = ElfFacts(machine=machine, bits=64, **facts) if machine else None  # type: ignore[arg-type]  # two of its fields
    return FileEntry(path=path, origin="", elf=elf)


NATIVE: Final = package("node_modules/native")


def judge(
    *entries: FileEntry,
    package: Package = NATIVE,
    others: tuple[Package, ...] = (),
    choices: Mapping[str, Script] | None = None,
) -> Verdict:
    files = {package.path: entries}
    (verdict,) = judge_scripts((package, *others), files, choices or {}, X86)
    return verdict


@pytest.fixture(autouse=True)
def _known(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = {
        "greeter": Known(run=False, why="It prints a greeting."),
        "fetcher": Known(run=True, why="It fetches a program."),
    }
    monkeypatch.setattr(install_scripts, "known_scripts", lambda: rows)


def test_a_package_without_scripts_is_not_judged() -> None:
    plain = package("node_modules/plain", has_install_script=False)

    assert judge_scripts([plain], {}, {}, X86) == ()


@pytest.mark.parametrize(
    ("manifest", "judged"),
    [
        pytest.param("{}", 1, id="as npm has it"),
        pytest.param('{"gypfile": false}', 0, id="told not to"),
    ],
)
def test_a_binding_gyp_is_a_script_though_no_lock_tells_of_it(
    manifest: str, judged: int, tmp_path: Path
) -> None:
    quiet = package("node_modules/quiet", has_install_script=False)
    files = (
        make_entry(tmp_path, "binding.gyp", b"{}"),
        make_entry(tmp_path, "package.json", manifest.encode()),
    )

    verdicts = judge_scripts([quiet], {quiet.path: files}, {}, X86)

    assert [verdict.run for verdict in verdicts] == [True] * judged


def test_scripts_of_a_package_that_brings_nothing_are_run() -> None:
    verdict = judge(file("binding.gyp"), file("src/addon.cc"))

    assert str(verdict) == (
        "native 1.0.0: its install scripts are run. It brings no binary for the target."
    )


def test_scripts_of_a_package_with_an_addon_for_the_target_are_skipped() -> None:
    verdict = judge(
        file("prebuilds/linux-arm64/node.napi.node", AARCH64),
        file("prebuilds/linux-x64/node.napi.node", X86.arch.elf_machine),
    )

    assert str(verdict) == (
        "native 1.0.0: its install scripts are skipped. It brings "
        "prebuilds/linux-x64/node.napi.node."
    )


@pytest.mark.parametrize(
    "addon",
    [
        pytest.param(file("a.node", AARCH64), id="another machine"),
        pytest.param(file("a.node"), id="another system"),
        pytest.param(file("a.so", X86.arch.elf_machine), id="no addon"),
        pytest.param(
            file("a.node", X86.arch.elf_machine, needed=("libc.musl-x86_64.so.1",)),
            id="musl",
        ),
        pytest.param(
            file("a.node", X86.arch.elf_machine, versions=("GLIBC_2.38",)),
            id="a newer glibc",
        ),
    ],
)
def test_what_the_target_could_not_load_is_no_binary(addon: FileEntry) -> None:
    assert judge(addon).run


def test_a_package_of_the_targets_platform_brings_the_binary_of_another() -> None:
    image = package(
        "node_modules/image",
        wish("@image/linux-x64", Group.OPTIONAL),
        wish("@image/linux-arm64", Group.OPTIONAL),
    )
    other = package(
        "node_modules/@image/linux-x64",
        has_install_script=False,
        os=("linux",),
        cpu=("x64",),
    )

    verdict = judge(package=image, others=(other,))

    assert (verdict.run, verdict.why) == (
        False,
        "@image/linux-x64 1.0.0 brings its binary.",
    )


def test_a_dependency_for_every_platform_brings_no_binary() -> None:
    native = package("node_modules/native", wish("plain", Group.OPTIONAL))
    plain = package("node_modules/plain", has_install_script=False)

    assert judge(package=native, others=(plain,)).run


def test_what_is_bundled_is_taken_as_it_was_packed() -> None:
    verdict = judge(package=package("node_modules/a", source=Source.BUNDLED))

    assert (verdict.run, verdict.why) == (
        False,
        "It comes inside of another package, as that was packed.",
    )


@pytest.mark.parametrize(
    ("name", "run", "why"),
    [
        pytest.param("greeter", False, "It prints a greeting.", id="harmless"),
        pytest.param("fetcher", True, "It fetches a program.", id="needed"),
    ],
)
def test_what_is_known_goes_before_what_shows(name: str, run: bool, why: str) -> None:  # noqa: FBT001 - a parameter
    addon = (file("a.node", X86.arch.elf_machine),) if run else ()

    verdict = judge(*addon, package=package(f"node_modules/{name}"))

    assert (verdict.run, verdict.why) == (run, why)


@pytest.mark.parametrize(
    ("name", "choice", "run"),
    [("greeter", Script.RUN, True), ("fetcher", Script.SKIP, False)],
)
def test_the_layers_choice_goes_before_what_is_known(
    name: str,
    choice: Script,
    run: bool,  # noqa: FBT001 - a parameter
) -> None:
    verdict = judge(package=package(f"node_modules/{name}"), choices={name: choice})

    assert (verdict.run, verdict.why) == (run, "The layer's install-scripts say so.")


def test_every_row_of_the_data_has_its_reason() -> None:
    rows = known_scripts()

    assert [name for name, known in rows.items() if not known.why.endswith(".")] == []


def test_a_package_sees_what_its_dependencies_lead_to_and_nothing_else() -> None:
    packages = {
        each.path: each
        for each in (
            package("node_modules/native", wish("a"), wish("missing")),
            package("node_modules/native/node_modules/a", wish("b")),
            package("node_modules/a"),
            package("node_modules/b", wish("native")),
        )
    }

    assert needed(["node_modules/native"], packages) == {
        "node_modules/b",
        "node_modules/native",
        "node_modules/native/node_modules/a",
    }


def test_without_an_engine_the_packages_and_the_choices_are_named(
    tmp_path: Path,
) -> None:
    places = ("node_modules/native", "node_modules/other")
    packages = {place: package(place) for place in places}
    packs = {
        place: Pack(name=place, version="1.0.0", digest="0" * 64, entries=())
        for place in places
    }
    nowhere = f"unix://{tmp_path}/none"
    settings = ContainerSettings(hosts={Arch.X86_64: nowhere})
    with Containers(settings) as containers:
        rebuilder = Rebuilder(
            target=X86,
            packages=SystemPackages(),
            npm=NpmSettings(),
            tools=Tools(store=Store(tmp_path / "store"), containers=containers),
        )

        with pytest.raises(EngineError) as caught:
            rebuilder.packs(places, packages, packs)

    assert caught.value.message.startswith(
        "the install scripts of native 1.0.0, other 1.0.0 must be run for "
        "nodejs22.x-x86_64, and "
    )
    assert nowhere in caught.value.message
    assert caught.value.remedy.endswith(
        "Or take versions that bring binaries for the target, or, if the layer can do "
        'without, skip them: install-scripts = {"native" = "skip", "other" = "skip"}.'
    )
