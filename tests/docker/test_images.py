"""Images made and looked into by a real engine, on what scripts/base-images makes."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from hashlib import sha256
from pathlib import Path
from typing import Final

import pytest

from layerforge.containers.engine import Engine
from layerforge.containers.image import Image
from layerforge.containers.images import base_image, list_images
from layerforge.containers.service import Containers
from layerforge.containers.settings import ContainerSettings, SystemPackages
from layerforge.containers.streams import ImageBuild, build
from layerforge.containers.task import ImageError, Task, TaskError
from layerforge.ecosystems import ecosystem_of
from layerforge.store import Store
from layerforge.target import Arch, Target, find_runtime
from layerforge.tools import Tools

pytestmark = pytest.mark.docker

BASES: Final = ContainerSettings(image="layerforge-base:{runtime}-{arch}")
PYTHON_3_9: Final = Target(runtime=find_runtime("python3.9"), arch=Arch.X86_64)
PYTHON_3_13: Final = Target(runtime=find_runtime("python3.13"), arch=Arch.X86_64)
ARM64: Final = Target(runtime=find_runtime("python3.9"), arch=Arch.ARM64)
NODE_22: Final = Target(runtime=find_runtime("nodejs22.x"), arch=Arch.X86_64)
# Asks the emulator, once it listens.
ASK: Final = """
const url = "http://127.0.0.1:8080/2015-03-31/functions/function/invocations";
const ask = () => fetch(url, { method: "POST", body: '{"a": 1}' });
const wait = () => new Promise((resolve) => setTimeout(resolve, 50));
const answer = () => ask().catch(() => wait().then(answer));
answer().then((found) => found.text()).then(console.log);
setTimeout(() => process.exit(1), 60000).unref();
"""
TOOLS: Final = "/layerforge/tools/bin/python"
PROXY: Final = "http://me:s3cret@proxy.example:3128"


@pytest.fixture
def containers() -> Iterator[Containers]:
    with Containers(BASES) as containers:
        yield containers


@pytest.fixture
def engine(containers: Containers) -> Engine:
    return containers.engine(Arch.X86_64)


def run(
    engine: Engine,
    image: Image,
    *command: str,
    files: Mapping[str, bytes] | None = None,
    environment: Mapping[str, str] | None = None,
) -> str:
    """Give what a command in a container printed."""
    task = Task(
        name="a try",
        image=image.id,
        arch=image.arch,
        command=command,
        files=files or {},
        environment=environment or {},
    )
    return engine.run(task, BASES).stdout.decode()


@pytest.mark.parametrize(
    ("target", "glibc"),
    [
        pytest.param(PYTHON_3_9, (2, 31), id="the suite's own Python"),
        pytest.param(PYTHON_3_13, (2, 31), id="a compiled Python"),
        pytest.param(ARM64, (2, 31), id="an emulated machine"),
        pytest.param(NODE_22, (2, 31), id="Node.js"),
    ],
)
def test_a_stand_in_has_the_runtimes_interpreter_and_an_old_glibc(
    containers: Containers, target: Target, glibc: tuple[int, int]
) -> None:
    image = containers.base_image(target)

    assert image.interpreter.startswith(f"{target.runtime.version}.")
    assert (image.glibc, image.arch) == (glibc, target.arch)


def test_a_stand_in_for_arm64_is_marked_as_such(engine: Engine) -> None:
    marks = engine.client.images.get(BASES.base_of(ARM64, "")).attrs

    assert marks["Architecture"] == "arm64"


def test_a_stand_in_has_what_python_needs_and_no_compiler(
    containers: Containers, engine: Engine
) -> None:
    image = containers.base_image(PYTHON_3_13)
    modules = "bz2, ctypes, hashlib, lzma, sqlite3, ssl, uuid, venv, zlib, boto3"
    code = f"import shutil, {modules}; print(shutil.which('gcc'))"

    said = run(
        engine,
        image,
        "/var/lang/bin/python3.13",
        "-c",
        code,
        environment={"PYTHONPATH": "/var/runtime"},
    )

    assert said == "None\n"


def test_a_stand_in_looks_for_modules_where_lambda_does(
    containers: Containers, engine: Engine
) -> None:
    image = containers.base_image(PYTHON_3_9)
    version = "/opt/python/lib/python3.9/site-packages"
    files = {f"{version}/more.pth": b"/opt/more\n", "/opt/more/x.py": b""}
    code = (
        "import os, sys, types\n"
        "ric = types.ModuleType('awslambdaric.bootstrap')\n"
        "ric.run = lambda *_: print([p for p in sys.path if 'lib/python3' not in p\n"
        "                            or p.startswith('/opt')])\n"
        "sys.modules['awslambdaric.bootstrap'] = ric\n"
        "os.environ.update(_HANDLER='', AWS_LAMBDA_RUNTIME_API='')\n"
        "sys.path.insert(0, '/var/runtime')\n"
        "import bootstrap\n"
        "bootstrap.main()\n"
    )

    said = run(engine, image, "/var/lang/bin/python3.9", "-c", code, files=files)

    places = json.loads(said.replace("'", '"'))
    assert places[:5] == [
        "/var/task",
        version,
        "/opt/more",
        "/opt/python",
        "/var/runtime",
    ]


def test_a_stand_in_for_node_answers_events_as_lambda_does(
    containers: Containers, engine: Engine
) -> None:
    image = containers.base_image(NODE_22)
    code = (
        "exports.handler = async (event) => {\n"
        "  let refused = '';\n"
        "  try { require('./esm.mjs'); } catch (error) { refused = error.code; }\n"
        "  return { event, layer: require('layer'), refused };\n"
        "};\n"
    )
    files = {
        "/var/task/app.js": code.encode(),
        "/var/task/esm.mjs": b"export default 1;\n",
        "/opt/nodejs/node22/node_modules/layer/index.js": b"module.exports = 7;\n",
        "/ask.js": ASK.encode(),
    }
    script = "/lambda-entrypoint.sh app.handler >/dev/null 2>&1 & exec node /ask.js"

    said = run(engine, image, "sh", "-c", f"cd /var/task; {script}", files=files)

    assert json.loads(said) == {
        "event": {"a": 1},
        "layer": 7,
        "refused": "ERR_REQUIRE_ESM",
    }


def test_a_stand_in_does_not_start_without_a_handler(
    containers: Containers, engine: Engine
) -> None:
    image = containers.base_image(PYTHON_3_9)

    with pytest.raises(TaskError) as caught:
        run(engine, image, "/lambda-entrypoint.sh")

    assert caught.value.status == 142


def test_an_image_of_another_python_is_refused(engine: Engine) -> None:
    settings = ContainerSettings(image=BASES.base_of(PYTHON_3_9, ""))

    with pytest.raises(ImageError) as caught:
        base_image(engine, PYTHON_3_13, settings)

    assert caught.value.message == (
        "layerforge-base:python3.9-x86_64 can't stand for python3.13-x86_64: it has "
        "no python3.13"
    )


@pytest.fixture
def scratch(engine: Engine, request: pytest.FixtureRequest) -> Iterator[str]:
    """Give a name for an image, which is gone when the test is."""
    name = f"layerforge-test:{request.node.originalname.replace('_', '-')[-60:]}"
    yield name
    if engine.client.images.list(name):
        engine.client.images.remove(name, force=True)


def test_an_image_that_lies_about_its_machine_is_refused(
    engine: Engine, scratch: str
) -> None:
    dockerfile = (
        f"FROM {BASES.base_of(PYTHON_3_9, '')}\n"
        "RUN printf '#!/bin/sh\\necho aarch64\\n' >/bin/uname\n"
    )
    context = {"Dockerfile": dockerfile.encode()}
    build(engine, ImageBuild(name=scratch, arch=Arch.X86_64, context=context))

    with pytest.raises(ImageError) as caught:
        base_image(engine, PYTHON_3_9, ContainerSettings(image=scratch))

    assert caught.value.message == (
        f"{scratch} can't stand for python3.9-x86_64: its programs are for aarch64"
    )


def test_a_proxy_reaches_the_steps_and_stays_in_none(
    engine: Engine, scratch: str
) -> None:
    dockerfile = (
        f"FROM {BASES.base_of(PYTHON_3_9, '')}\n"
        'RUN printf %s "$HTTPS_PROXY" | sha256sum | head -c 64 >/seen\n'
    )
    recipe = ImageBuild(
        name=scratch,
        arch=Arch.X86_64,
        context={"Dockerfile": dockerfile.encode()},
        proxies={"HTTPS_PROXY": PROXY},
    )

    build(engine, recipe)

    image = engine.client.images.get(scratch)
    taken = base_image(engine, PYTHON_3_9, ContainerSettings(image=scratch))
    assert run(engine, taken, "cat", "/seen") == sha256(PROXY.encode()).hexdigest()
    assert "s3cret" not in json.dumps([image.attrs, image.history()])


def test_a_step_that_fails_says_so_with_its_last_lines(
    engine: Engine, scratch: str
) -> None:
    dockerfile = (
        f"FROM {BASES.base_of(PYTHON_3_9, '')}\nRUN echo the reason >&2; exit 3\n"
    )
    context = {"Dockerfile": dockerfile.encode()}

    with pytest.raises(ImageError) as caught:
        build(engine, ImageBuild(name=scratch, arch=Arch.X86_64, context=context))

    first, *lines = caught.value.message.splitlines()
    assert first.startswith(f"building {scratch} failed: ")
    assert "returned a non-zero code: 3" in first
    assert "  the reason" in lines


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Engine, Image]]:
    """Have a build image; its tools come from the index."""
    store = Store(tmp_path_factory.mktemp("cache"))
    with Containers(BASES) as containers:
        tools = Tools(store=store, containers=containers)
        image = ecosystem_of(PYTHON_3_9).build_image(
            PYTHON_3_9, SystemPackages(), tools
        )
        yield containers.engine(Arch.X86_64), image


@pytest.mark.network
@pytest.mark.xdist_group("build image")
class TestBuildImage:
    def test_its_tools_are_of_the_runtimes_interpreter(
        self, built: tuple[Engine, Image]
    ) -> None:
        names = "setuptools, auditwheel, build, pip, piptools, wheel"
        code = f"import platform, {names}; print(platform.python_version())"

        said = run(*built, TOOLS, "-c", code)

        assert said == f"{built[1].interpreter}\n"

    def test_pip_takes_no_wheel_that_the_runtime_could_not_load(
        self, built: tuple[Engine, Image]
    ) -> None:
        module = "pip._vendor.packaging.tags"
        code = f"from {module} import sys_tags; print(*sys_tags())"

        said = run(*built, TOOLS, "-c", code)

        newest = next(tag for tag in said.split() if "-manylinux" in tag)
        assert newest == "cp39-cp39-manylinux_2_26_x86_64"

    def test_c_and_cpp_compile_without_a_network_or_capabilities(
        self, built: tuple[Engine, Image]
    ) -> None:
        script = (
            "include=$(/layerforge/tools/bin/python -c 'import sysconfig; "
            'print(sysconfig.get_path("include"))\')\n'
            "gcc -shared -fPIC -I $include -o c.so /source/x.c -lssl -lffi -lz\n"
            "g++ -shared -fPIC -I $include -o cpp.so /source/x.cpp\n"
            "ls *.so"
        )
        source = b"#include <Python.h>\n#include <ffi.h>\n#include <openssl/ssl.h>\n"
        files = {"/source/x.c": source, "/source/x.cpp": source}

        said = run(*built, "sh", "-euc", f"cd /tmp\n{script}", files=files)

        assert said.split() == ["c.so", "cpp.so"]

    def test_no_wheels_and_no_package_lists_stay_in_it(
        self, built: tuple[Engine, Image]
    ) -> None:
        said = run(*built, "ls", "/layerforge", "/var/lib/apt/lists")

        assert "wheels" not in said
        assert "Packages" not in said

    def test_it_is_listed(self, built: tuple[Engine, Image]) -> None:
        engine, image = built

        (kept,) = [kept for kept in list_images(engine) if kept.name == image.name]

        assert kept.target == "python3.9-x86_64"
        assert kept.base == "layerforge-base:python3.9-x86_64"

    def test_it_is_made_once(
        self, built: tuple[Engine, Image], containers: Containers
    ) -> None:
        def wheels() -> list[Path]:
            raise AssertionError

        again = containers.build_image(PYTHON_3_9, wheels, SystemPackages())

        assert again == built[1]

    def test_a_package_that_the_system_has_not_is_told(
        self, built: tuple[Engine, Image], containers: Containers
    ) -> None:
        del built  # so that the steps before are there
        packages = SystemPackages(apt=("libnothing-of-the-kind-dev",))

        with pytest.raises(ImageError) as caught:
            containers.build_image(PYTHON_3_9, list, packages)

        last = "  E: Unable to locate package libnothing-of-the-kind-dev"
        assert last in caught.value.message.splitlines()
