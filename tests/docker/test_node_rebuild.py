"""Install scripts run in the build container, once, and hold to their target."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import tarfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import pytest

from layerforge.containers.service import Containers
from layerforge.containers.settings import ContainerSettings, SystemPackages
from layerforge.containers.task import Task, TaskError
from layerforge.ecosystems.node.npmrc import NpmSettings
from layerforge.ecosystems.node.packagelock import Dependency, Group, Package, Source
from layerforge.ecosystems.node.rebuild import Rebuilder
from layerforge.ecosystems.node.tarballs import admit_tarball
from layerforge.ecosystems.node.toolchain import have_build_image
from layerforge.errors import BuildError
from layerforge.events import Event, Finished
from layerforge.pack import Pack
from layerforge.store import Store
from layerforge.target import Arch, Target, find_runtime
from layerforge.tools import Tools
from tests.elf_files import TEXT, make_elf, set_field

# The packages of the build image come from the system's own servers.
pytestmark = [
    pytest.mark.docker,
    pytest.mark.network,
    pytest.mark.xdist_group("build image of Node.js"),
]

BASES: Final = ContainerSettings(image="layerforge-base:{runtime}-{arch}")
NODE_22: Final = Target(runtime=find_runtime("nodejs22.x"), arch=Arch.X86_64)
NODE_20: Final = Target(runtime=find_runtime("nodejs20.x"), arch=Arch.X86_64)
MACHINE: Final = 18  # where e_machine stands in an ELF header

ADDON: Final = """
#include <node_api.h>
NAPI_MODULE_INIT() {
    napi_value answer;
    napi_create_int32(env, 42, &answer);
    return answer;
}
"""
GYP: Final = '{"targets": [{"target_name": "tiny", "sources": ["tiny.c"]}]}'
TINY: Final = {
    "binding.gyp": GYP,
    "tiny.c": ADDON,
    "index.js": 'module.exports = require("./build/Release/tiny.node")',
}


@pytest.fixture
def heard() -> list[Event]:
    return []


@pytest.fixture
def tools(tmp_path: Path, heard: list[Event]) -> Iterator[Tools]:
    with Containers(BASES, heard.append) as containers:
        store = Store(tmp_path / "store")
        yield Tools(store=store, containers=containers, listen=heard.append)


@dataclass(frozen=True, kw_only=True)
class Layer:
    """Packages and their packs, by place."""

    packages: Mapping[str, Package]
    packs: Mapping[str, Pack]


Make = Callable[..., Layer]


@pytest.fixture
def make(tools: Tools, tmp_path: Path) -> Make:
    """Make a layer of packages with these files, by name, each of version 1.

    ``needs`` says on which others one depends, ``fields`` what is in a package.json.
    """

    def run(
        files: Mapping[str, Mapping[str, str]],
        *,
        needs: Mapping[str, tuple[str, ...]] | None = None,
        store: Store = tools.store,
        **fields: Mapping[str, object],
    ) -> Layer:
        packs, packages = {}, {}
        for name, texts in files.items():
            manifest = {"name": name, "version": "1.0.0", **fields.get(name, {})}
            path = tmp_path / "package.tgz"
            path.write_bytes(tarball({"package.json": json.dumps(manifest), **texts}))
            digest = hashlib.sha512(path.read_bytes()).hexdigest()
            archive = store.adopt(path, digest)
            place = f"node_modules/{name}"
            packs[place] = admit_tarball(
                archive, name=name, version="1.0.0", digest=digest, store=store
            )
            packages[place] = Package(
                path=place,
                name=name,
                version="1.0.0",
                source=Source.REGISTRY,
                has_install_script=True,
                dependencies=tuple(
                    Dependency(name=other, range="*", group=Group.PROD)
                    for other in (needs or {}).get(name, ())
                ),
            )
        return Layer(packages=packages, packs=packs)

    return run


def tarball(texts: Mapping[str, str]) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as tar:
        for name, text in texts.items():
            member = tarfile.TarInfo(f"package/{name}")
            member.size = len(text.encode())
            tar.addfile(member, io.BytesIO(text.encode()))
    return gzip.compress(stream.getvalue(), mtime=0)


def rebuild(
    tools: Tools, layer: Layer, *names: str, target: Target = NODE_22
) -> dict[str, Pack]:
    rebuilder = Rebuilder(
        target=target, packages=SystemPackages(), npm=NpmSettings(), tools=tools
    )
    places = [f"node_modules/{name}" for name in names]
    return rebuilder.packs(places, layer.packages, layer.packs)


def paths(pack: Pack) -> set[str]:
    return {entry.path for entry in pack.entries}


def contents(pack: Pack, path: str) -> bytes:
    (entry,) = [entry for entry in pack.entries if entry.path == path]
    assert entry.content
    return entry.content.inflated()


def required(tools: Tools, pack: Pack, target: Target) -> str:
    """Give what the target's Node.js prints of a package in a layer."""
    image = tools.containers.base_image(target)
    folder = "/opt/nodejs/node_modules/tiny"
    task = Task(
        name="a try",
        image=image.id,
        arch=image.arch,
        command=("node", "-p", "require('tiny')"),
        files={
            f"{folder}/{entry.path}": contents(pack, entry.path)
            for entry in pack.entries
        },
        environment={"NODE_PATH": "/opt/nodejs/node_modules"},
    )
    return tools.containers.run(task).stdout.decode()


@pytest.mark.parametrize("target", [NODE_22, NODE_20], ids=str)
def test_an_addon_is_compiled_and_loads(
    make: Make, tools: Tools, target: Target
) -> None:
    packs = rebuild(tools, make({"tiny": TINY}), "tiny", target=target)

    pack = packs["node_modules/tiny"]
    assert paths(pack) == {*TINY, "package.json", "build/Release/tiny.node"}
    assert required(tools, pack, target) == "42\n"


def test_the_second_time_nothing_is_built(
    make: Make, tools: Tools, heard: list[Event]
) -> None:
    first = rebuild(tools, make({"tiny": TINY}), "tiny")["node_modules/tiny"]
    built = [event for event in heard if isinstance(event, Finished)]
    heard.clear()

    again = rebuild(tools, make({"tiny": TINY}), "tiny")["node_modules/tiny"]

    assert (again.digest, paths(again)) == (first.digest, paths(first))
    assert Finished(task="tiny 1.0.0") in built
    assert Finished(task="tiny 1.0.0") not in heard


def test_another_version_of_a_dependency_has_it_built_anew(
    make: Make, tools: Tools
) -> None:
    def built(header: str) -> Pack:
        files = {"tiny": TINY | {"tiny.c": source}, "headers": {"x.h": header}}
        layer = make(files, needs={"tiny": ("headers",)})
        return rebuild(tools, layer, "tiny")["node_modules/tiny"]

    source = '#include "../headers/x.h"\n' + ADDON.replace("42", "ANSWER")

    assert built("#define ANSWER 1") != built("#define ANSWER 2")


def test_the_same_package_gives_the_same_bytes(
    make: Make, tools: Tools, tmp_path: Path
) -> None:
    other = replace(tools, store=Store(tmp_path / "other"))
    theirs = make({"tiny": TINY}, store=other.store)

    one = rebuild(tools, make({"tiny": TINY}), "tiny")["node_modules/tiny"]
    two = rebuild(other, theirs, "tiny")["node_modules/tiny"]

    assert one.digest == two.digest


def test_scripts_call_the_programs_of_dependencies_and_see_nothing_else(
    make: Make, tools: Tools
) -> None:
    layer = make(
        {
            "tiny": {"index.js": ""},
            "maker": {"cli.js": "#!/usr/bin/env node\n" + LIST},
            "stranger": {"index.js": ""},
        },
        needs={"tiny": ("maker",)},
        tiny={"scripts": {"postinstall": "maker"}},
        maker={"bin": {"maker": "cli.js"}},
    )

    pack = rebuild(tools, layer, "tiny")["node_modules/tiny"]

    assert json.loads(contents(pack, "seen.json")) == ["maker", "tiny"]


LIST: Final = """
const fs = require("fs");
const names = fs.readdirSync("..").filter((name) => !name.startsWith("."));
fs.writeFileSync("seen.json", JSON.stringify(names));
"""


def test_a_package_is_built_after_what_it_depends_on(make: Make, tools: Tools) -> None:
    layer = make(
        {"a": {"index.js": ""}, "b": {"index.js": ""}},
        needs={"a": ("b",)},
        a={"scripts": {"install": "cp ../b/made made"}},
        b={"scripts": {"install": "echo by b >made"}},
    )

    packs = rebuild(tools, layer, "a", "b")

    assert contents(packs["node_modules/a"], "made") == b"by b\n"


def test_a_package_inside_of_another_stays_a_package_of_its_own(
    make: Make, tools: Tools
) -> None:
    inner = "outer/node_modules/inner"
    layer = make(
        {"outer": {"index.js": ""}, inner: {"index.js": ""}},
        needs={"outer": ("inner",)},
        outer={"scripts": {"install": "touch made"}},
    )

    pack = rebuild(tools, layer, "outer")["node_modules/outer"]

    assert paths(pack) == {"package.json", "index.js", "made"}


def test_a_script_that_fails_shows_its_last_words_and_the_choice(
    make: Make, tools: Tools
) -> None:
    layer = make(
        {"tiny": {"index.js": ""}},
        tiny={"scripts": {"install": "echo the reason >&2; exit 7"}},
    )

    with pytest.raises(TaskError) as failed:
        rebuild(tools, layer, "tiny")

    assert "  the reason" in failed.value.message.splitlines()
    assert failed.value.remedy == (
        "If the layer can do without what its install scripts make: "
        'install-scripts = {"tiny" = "skip"}.'
    )


def test_a_file_by_two_names_is_there_by_both(make: Make, tools: Tools) -> None:
    layer = make(
        {"tiny": {"index.js": "1"}},
        tiny={"scripts": {"install": "mkdir lib && ln index.js lib/index.js"}},
    )

    pack = rebuild(tools, layer, "tiny")["node_modules/tiny"]

    assert contents(pack, "index.js") == contents(pack, "lib/index.js") == b"1"


def test_a_missing_header_is_named_with_its_packages(make: Make, tools: Tools) -> None:
    source = "#include <libpq-fe.h>\n" + ADDON

    with pytest.raises(TaskError) as failed:
        rebuild(tools, make({"tiny": TINY | {"tiny.c": source}}), "tiny")

    assert 'apt = ["libpq-dev"]' in failed.value.remedy


def test_a_program_for_another_machine_is_refused(make: Make, tools: Tools) -> None:
    image = set_field(make_elf(TEXT), "<H", MACHINE, Arch.ARM64.elf_machine)
    code = (
        'const fs = require("fs");\n'
        'const hex = fs.readFileSync("program.hex", "utf8");\n'
        'fs.writeFileSync("program", Buffer.from(hex, "hex"), { mode: 0o755 });\n'
    )
    layer = make(
        {"tiny": {"program.hex": image.hex(), "fetch.js": code}},
        tiny={"scripts": {"install": "node fetch.js"}},
    )

    with pytest.raises(BuildError) as refused:
        rebuild(tools, layer, "tiny")

    assert refused.value.message == (
        "tiny 1.0.0 was built, but not for nodejs22.x-x86_64:\n"
        "  program is for arm64, and the layer for x86_64"
    )


def test_a_build_image_has_the_headers_of_its_node(tools: Tools) -> None:
    image = have_build_image(NODE_22, SystemPackages(), tools)
    task = Task(
        name="a try",
        image=image.id,
        arch=image.arch,
        command=("sh", "-c", "ls /var/lang/include/node/node_api.h /layerforge/tools"),
    )

    said = tools.containers.run(task).stdout.decode()

    assert image.interpreter.startswith("22.")
    assert said.split() == [
        "/var/lang/include/node/node_api.h",
        "/layerforge/tools:",
        "bin",
    ]
