"""Sources become wheels in the build container, once, and hold to their target."""

from __future__ import annotations

import io
import subprocess
import tarfile
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from hashlib import sha256
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from layerforge.client import Client
from layerforge.containers.service import Containers
from layerforge.containers.settings import ContainerSettings, SystemPackages
from layerforge.ecosystems.python.locking import make_lock
from layerforge.ecosystems.python.sdist import Compiler
from layerforge.errors import BuildError, LayerforgeError
from layerforge.events import Event, Finished
from layerforge.indexes import IndexSettings, machine_settings
from layerforge.lock import Pin
from layerforge.pack import Pack
from layerforge.spec import LayerSpec, Requirements
from layerforge.store import Store
from layerforge.target import Arch, Target, find_runtime
from layerforge.tools import Tools
from layerforge.tree import Tree
from layerforge.verify import verify

pytestmark = [pytest.mark.docker, pytest.mark.network]

BASES = ContainerSettings(image="layerforge-base:{runtime}-{arch}")
PYTHON_3_13 = Target(runtime=find_runtime("python3.13"), arch=Arch.X86_64)
PYTHON_3_11 = Target(runtime=find_runtime("python3.11"), arch=Arch.X86_64)

MODULE = """
#include <Python.h>
#include <math.h>
static volatile double EXPONENT = 2.0;
static PyObject *answer(PyObject *self, PyObject *x) {
    return PyFloat_FromDouble(pow(PyFloat_AsDouble(x), EXPONENT));
}
static PyMethodDef methods[] = {{"square", answer, METH_O, NULL}, {NULL}};
static struct PyModuleDef def = {PyModuleDef_HEAD_INIT, "tiny", NULL, -1, methods};
PyMODINIT_FUNC PyInit_tiny(void) { return PyModule_Create(&def); }
"""
SETUP = """
from setuptools import Extension, setup
setup(name="tiny", version="1.0", ext_modules=[
    Extension("tiny", ["tiny.c"], libraries=["m"])
])
"""


def make_sdist(folder: Path, **files: str | None) -> Path:
    """Write an sdist of a package named tiny, of a C extension if not told else."""
    whole = {
        "setup.py": SETUP,
        "tiny.c": MODULE,
        "PKG-INFO": "Metadata-Version: 2.1\nName: tiny\nVersion: 1.0\n",
        "pyproject.toml": '[build-system]\nrequires = ["setuptools"]\n',
    } | {name.replace("__", "."): text for name, text in files.items()}
    path = folder / "tiny-1.0.tar.gz"
    with tarfile.open(path, "w:gz") as tar:
        for name, text in whole.items():
            if text is None:
                continue
            member = tarfile.TarInfo(f"tiny-1.0/{name}")
            member.size = len(text)
            tar.addfile(member, io.BytesIO(text.encode()))
    return path


@pytest.fixture
def heard() -> list[Event]:
    return []


@pytest.fixture
def tools(tmp_path: Path, heard: list[Event]) -> Iterator[Tools]:
    with Containers(BASES, heard.append) as containers:
        yield Tools(
            store=Store(tmp_path / "store"),
            indexes=IndexSettings(index_url="https://pypi.org/simple"),
            containers=containers,
            listen=heard.append,
        )


@pytest.fixture
def lock(tools: Tools) -> Callable[..., dict[str, Pack]]:
    def run(
        *lines: str, target: Target = PYTHON_3_13, tools: Tools = tools, **words: object
    ) -> dict[str, Pack]:
        spec = LayerSpec(name="web", requirements=Requirements(lines=lines))
        spec = replace(spec, **words)  # type: ignore[arg-type]  # any field
        return dict(make_lock(spec, target, tools, preferred=())[1])

    return run


def libraries(pack: Pack) -> list[str]:
    return [entry.path for entry in pack.entries if entry.elf]


def compiled(heard: list[Event]) -> list[str]:
    return [
        event.task
        for event in heard
        if isinstance(event, Finished) and event.task.endswith(" 1.0")
    ]


def test_an_sdist_of_a_file_is_compiled_for_the_target(
    lock: Callable[..., dict[str, Pack]], tmp_path: Path
) -> None:
    pack = lock(f"tiny @ {make_sdist(tmp_path).as_uri()}")["tiny"]

    assert libraries(pack) == ["python/tiny.cpython-313-x86_64-linux-gnu.so"]
    assert verify(Tree(pack.entries), PYTHON_3_13) == ()


def test_the_second_time_nothing_is_compiled(
    lock: Callable[..., dict[str, Pack]], tmp_path: Path, heard: list[Event]
) -> None:
    line = f"tiny @ {make_sdist(tmp_path).as_uri()}"
    first = lock(line)
    heard.clear()

    assert lock(line) == first
    assert compiled(heard) == []


def test_another_sdist_of_the_same_name_is_compiled_anew(
    lock: Callable[..., dict[str, Pack]], tmp_path: Path
) -> None:
    first = lock(f"tiny @ {make_sdist(tmp_path).as_uri()}")
    again = make_sdist(tmp_path, tiny__c=MODULE.replace("2.0", "3.0"))

    assert lock(f"tiny @ {again.as_uri()}") != first


def test_the_same_source_gives_the_same_wheel(
    lock: Callable[..., dict[str, Pack]], tmp_path: Path, tools: Tools
) -> None:
    line = f"tiny @ {make_sdist(tmp_path).as_uri()}"
    other = replace(tools, store=Store(tmp_path / "other"))

    assert lock(line)["tiny"].digest == lock(line, tools=other)["tiny"].digest


def test_psycopg2_brings_the_libraries_that_no_runtime_has(
    lock: Callable[..., dict[str, Pack]],
) -> None:
    packages = SystemPackages(dnf=("libpq-devel",), apt=("libpq-dev",))

    pack = lock("psycopg2", system_packages=packages)["psycopg2"]

    grafted = [path for path in libraries(pack) if "psycopg2.libs/" in path]
    assert any("libpq" in path for path in grafted)
    assert verify(Tree(pack.entries), PYTHON_3_13) == ()


def test_what_a_package_lacks_is_named(lock: Callable[..., dict[str, Pack]]) -> None:
    with pytest.raises(LayerforgeError) as failed:
        lock("psycopg2")

    assert "pg_config" in failed.value.message
    assert 'apt = ["libpq-dev"]' in failed.value.remedy


def test_cython_and_cffi_packages_are_compiled(
    lock: Callable[..., dict[str, Pack]], tmp_path: Path
) -> None:
    cython = make_sdist(
        tmp_path,
        pyproject__toml='[build-system]\nrequires = ["setuptools", "cython"]\n',
        setup__py="from setuptools import setup\n"
        "from Cython.Build import cythonize\n"
        'setup(name="tiny", version="1.0", ext_modules=cythonize("tiny.pyx"))\n',
        tiny__c=None,
        tiny__pyx="def square(double x):\n    return x * x\n",
    )

    assert libraries(lock(f"tiny @ {cython.as_uri()}")["tiny"]) == [
        "python/tiny.cpython-313-x86_64-linux-gnu.so"
    ]

    cffi = make_sdist(
        tmp_path,
        pyproject__toml='[build-system]\nrequires = ["setuptools", "cffi"]\n',
        setup__py="from setuptools import setup\n"
        'setup(name="tiny", version="1.0", setup_requires=["cffi"],\n'
        '      cffi_modules=["build_tiny.py:ffi"])\n',
        build_tiny__py="from cffi import FFI\nffi = FFI()\n"
        'ffi.cdef("double pow(double, double);")\n'
        'ffi.set_source("_tiny", "#include <math.h>", libraries=["m"])\n',
    )

    assert libraries(lock(f"tiny @ {cffi.as_uri()}")["tiny"]) == [
        "python/_tiny.abi3.so"
    ]


@pytest.fixture
def repository(tmp_path: Path) -> Iterator[tuple[str, str]]:
    """Serve a repository on loopback; give its address and its one commit."""
    with tarfile.open(make_sdist(tmp_path)) as tar:
        tar.extractall(tmp_path, filter="data")
    project, bare = tmp_path / "tiny-1.0", tmp_path / "served" / "tiny.git"
    who = ("-c", "user.name=a", "-c", "user.email=a@example.org")
    for words in (
        ("init", "--quiet", "--initial-branch=main", project),
        ("-C", project, "add", "."),
        ("-C", project, *who, "commit", "--quiet", "--message", "one"),
        ("clone", "--quiet", "--bare", project, bare),
        ("-C", bare, "update-server-info"),
    ):
        subprocess.run(["git", *words], check=True)
    commit = subprocess.run(
        ["git", "-C", bare, "rev-parse", "HEAD"],
        check=True,
        capture_output=True,
        text=True,
    ).stdout.strip()
    handler = partial(Quiet, directory=str(tmp_path / "served"))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"git+http://127.0.0.1:{server.server_port}/tiny.git", commit
        server.shutdown()


class Quiet(SimpleHTTPRequestHandler):
    """Serves files, and says nothing of it."""

    def log_message(self, *_arguments: object) -> None:
        pass


def test_a_branch_of_a_repository_is_pinned_as_its_commit(
    repository: tuple[str, str], tools: Tools
) -> None:
    url, commit = repository
    lines = (f"tiny @ {url}@main",)
    spec = LayerSpec(name="web", requirements=Requirements(lines=lines))
    on_loopback = replace(BASES, network="host")

    with Containers(on_loopback) as containers:
        tools = replace(tools, containers=containers)
        lock, packs = make_lock(spec, PYTHON_3_13, tools, preferred=())

    assert [(pin.name, pin.version, pin.url) for pin in lock.pins] == [
        ("tiny", "1.0", f"{url}@{commit}")
    ]
    assert libraries(packs["tiny"]) == ["python/tiny.cpython-313-x86_64-linux-gnu.so"]


def test_a_library_of_a_newer_system_is_refused(
    lock: Callable[..., dict[str, Pack]], tmp_path: Path
) -> None:
    # pow has another version since glibc 2.29; the runtime has 2.26, its stand-in 2.36.
    with pytest.raises(BuildError) as refused:
        lock(f"tiny @ {make_sdist(tmp_path).as_uri()}", target=PYTHON_3_11)

    assert "too-recent versioned symbols" in refused.value.message


def test_a_source_that_does_not_compile_shows_its_last_words(
    lock: Callable[..., dict[str, Pack]], tmp_path: Path
) -> None:
    broken = make_sdist(tmp_path, tiny__c="#error this one is broken\n")

    with pytest.raises(LayerforgeError) as failed:
        lock(f"tiny @ {broken.as_uri()}")

    assert failed.value.exit_code == 4
    assert "this one is broken" in failed.value.message


def test_a_wheel_of_a_platform_without_a_library_is_taken(
    lock: Callable[..., dict[str, Pack]], tmp_path: Path
) -> None:
    optional = make_sdist(
        tmp_path,
        tiny__c="#error not here\n",
        setup__py=SETUP.replace('libraries=["m"]', "optional=True").replace(
            "ext_modules", "py_modules=['plain'], ext_modules"
        ),
        plain__py="x = 1\n",
    )

    pack = lock(f"tiny @ {optional.as_uri()}")["tiny"]

    assert libraries(pack) == []
    assert "python/plain.py" in [entry.path for entry in pack.entries]


def test_an_sdist_of_a_local_folder_is_found(
    lock: Callable[..., dict[str, Pack]], tmp_path: Path, tools: Tools
) -> None:
    folder = tmp_path / "links"
    folder.mkdir()
    make_sdist(folder)
    local = replace(tools.indexes, find_links=(str(folder),))

    packs = lock("tiny", container=True, tools=replace(tools, indexes=local))

    assert libraries(packs["tiny"]) == ["python/tiny.cpython-313-x86_64-linux-gnu.so"]


def test_a_small_extension_is_compiled_for_the_other_architecture(
    tools: Tools, tmp_path: Path
) -> None:
    arm64 = Target(runtime=find_runtime("python3.9"), arch=Arch.ARM64)

    # glibc's pow is newer than this runtime's.
    old = MODULE.replace("pow(PyFloat_AsDouble(x), EXPONENT)", "EXPONENT")
    source = make_sdist(tmp_path, tiny__c=old)
    pin = Pin(
        name="tiny",
        version="1.0",
        filename=source.name,
        url=source.as_uri(),
        digest=sha256(source.read_bytes()).hexdigest(),
    )

    # Emulated: versions are not to be found as well.
    with Client() as client:
        compiler = Compiler(
            target=arm64,
            packages=SystemPackages(),
            indexes=tools.indexes.or_else(machine_settings()),
            client=client,
            tools=tools,
        )
        packs = compiler.packs([pin])

    (library,) = [entry for entry in packs["tiny"].entries if entry.elf]
    assert library.elf
    assert library.elf.machine == Arch.ARM64.elf_machine


def test_compiling_has_no_network(
    lock: Callable[..., dict[str, Pack]], tmp_path: Path
) -> None:
    curious = make_sdist(
        tmp_path,
        setup__py="import sys\n"
        "if 'bdist_wheel' in sys.argv:\n"
        "    import urllib.request\n"
        "    urllib.request.urlopen('https://pypi.org/simple/')\n" + SETUP,
    )

    with pytest.raises(LayerforgeError) as failed:
        lock(f"tiny @ {curious.as_uri()}")

    assert "compile-network = true" in failed.value.remedy
