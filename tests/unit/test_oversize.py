from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from layerforge.findings import Finding
from layerforge.lock import Lock, Pin
from layerforge.oversize import explain_size
from layerforge.plan import Job
from layerforge.spec import LayerSpec
from layerforge.strip import Profile
from layerforge.target import Target, find_arch, find_runtime
from layerforge.tree import Content, FileEntry
from layerforge.verify import verify_size
from tests.entries import make_entry
from tests.libraries import library

LIMIT = 262_144_000
TARGET = Target(runtime=find_runtime("python3.12"), arch=find_arch("x86_64"))


def job(spec: LayerSpec) -> Job:
    return Job(
        spec=spec,
        target=TARGET,
        lock_file=Path("pylock.data-python312-x86_64.toml"),
        output=Path("dist/data.zip"),
        lock_words=("layerforge", "lock", "data"),
    )


def entry(path: str, size: int) -> FileEntry:
    """Give a file of a package that is named as its folder below python/."""
    content = Content(
        file="", offset=0, length=size, method=0, size=size, crc32=0, sha256=path
    )
    return FileEntry(path=path, origin=path.split("/")[1], content=content)


def pin(name: str, *dependencies: str) -> Pin:
    return Pin(
        name=name,
        version="1.0",
        filename=f"{name}-1.0-py3-none-any.whl",
        url=f"https://example.org/{name}-1.0-py3-none-any.whl",
        digest="ab" * 32,
        dependencies=dependencies,
    )


def lock(*pins: Pin) -> Lock:
    return Lock(
        layer="data", target=str(TARGET), inputs="", roots=("pandas",), pins=pins
    )


def finding(size: int, most: int | None = None) -> Finding:
    (found,) = verify_size(size, most)
    return found


def test_the_message_says_by_how_much_who_and_what_would_help() -> None:
    entries = [
        entry("python/numpy/core/libn.so", 100_000_000),
        entry("python/numpy/typing.pyi", 2_000_000),
        entry("python/pandas/_libs/algos.so", 90_000_000),
        entry("python/pandas/tests.md", 500_000),
        entry("python/botocore/data/a.json", 80_000_000),
        entry("python/flask/flask.json", 30_000),
    ]
    pins = (
        pin("botocore"),
        pin("flask"),
        pin("numpy"),
        pin("pandas", "numpy", "flask"),
        pin("pyarrow", "numpy"),
    )
    size = sum(entry.size for entry in entries)

    error = explain_size(
        finding(size), job(LayerSpec(name="data")), lock(*pins), entries
    )

    assert error.exit_code == 5
    assert error.message.splitlines() == [
        f"data for python3.12-x86_64: {finding(size).message}",
        "The largest packages, in bytes unzipped:",
        "  102,000,000  numpy (required by pandas, pyarrow)",
        "   90,500,000  pandas (required by the layer itself)",
        "   80,000,000  botocore (required by the layer itself)",
        "       30,000  flask (required by pandas)",
        "What would save bytes:",
        '    2,000,000  strip = "slim"',
        "   80,000,000  exclude-runtime-sdk = true (the runtime has it)",
        '  100,000,000  exclude = ["numpy/core"], if your code never uses it',
        '   80,000,000  exclude = ["botocore/data"], if your code never uses it',
        '    2,000,000  exclude = ["numpy/typing.pyi"], if your code never uses it',
    ]
    assert error.remedy == (
        "Leave something out, or split the layer: a function takes five, but their "
        "sum has the same limit."
    )


def test_a_limit_of_the_layer_s_own_is_named() -> None:
    entries = [entry("python/flask/flask.json", 2000)]
    spec = LayerSpec(name="data", max_unzipped=1000)

    error = explain_size(finding(2000, 1000), job(spec), lock(pin("flask")), entries)

    assert error.message.splitlines() == [
        f"data for python3.12-x86_64: {finding(2000, 1000).message}",
        "The largest packages, in bytes unzipped:",
        "        2,000  flask (required by the layer itself)",
    ]


def test_only_the_six_largest_packages_are_named() -> None:
    names = [f"package{number}" for number in range(8)]
    entries = [
        entry(f"python/{name}/a.py", LIMIT - number)
        for number, name in enumerate(names)
    ]
    pins = [pin(name) for name in names]

    error = explain_size(
        finding(8 * LIMIT), job(LayerSpec(name="data")), lock(*pins), entries
    )

    shown = error.message.splitlines()[2:]
    assert [line.split()[1] for line in shown[:7]] == [*names[:6], "would"]


@pytest.mark.parametrize("profile", [Profile.SAFE, Profile.NONE])
def test_slim_is_offered_where_it_is_not_chosen(profile: Profile) -> None:
    entries = [entry("python/a/typing.pyi", LIMIT)]
    spec = LayerSpec(name="data", strip=profile)

    error = explain_size(finding(LIMIT), job(spec), lock(pin("a")), entries)

    assert '  262,144,000  strip = "slim"' in error.message.splitlines()


def test_what_imports_load_is_not_offered(tmp_path: Path) -> None:
    size = 2 << 20
    code = make_entry(tmp_path, "python/a/__init__.py", b"from . import core")
    core = library(
        "python/a/core.abi3.so",
        needed=("libbig.so.1",),
        rpath=("$ORIGIN/lib",),
        origin="a",
    )
    big = library("python/a/lib/libbig.so.1", origin="a")
    entries = [
        code,
        core,
        replace(big, content=entry("python/a/lib/libbig.so.1", size).content),
        entry("python/a/lib/libother.so.1", size),
        entry("python/a/data/x.json", size),
    ]

    error = explain_size(
        finding(LIMIT), job(LayerSpec(name="data")), lock(pin("a")), entries
    )

    assert error.message.splitlines()[-3:] == [
        "What would save bytes:",
        '    2,097,152  exclude = ["a/data"], if your code never uses it',
        '    2,097,152  exclude = ["a/lib/libother.so.1"], if your code never uses it',
    ]


def test_small_and_private_folders_are_not_offered() -> None:
    entries = [
        entry("python/a/small/x.json", (1 << 20) - 1),
        entry("python/a/large/x.json", 1 << 19),
        entry("python/a/large/y.json", 1 << 19),
        entry("python/a/_private/x.so", 1 << 20),
    ]

    error = explain_size(
        finding(LIMIT), job(LayerSpec(name="data")), lock(pin("a")), entries
    )

    assert error.message.splitlines()[3:] == [
        "What would save bytes:",
        '    1,048,576  exclude = ["a/large"], if your code never uses it',
    ]
