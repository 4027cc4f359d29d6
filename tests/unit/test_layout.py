from __future__ import annotations

import pytest

from layerforge.findings import Finding, Severity
from layerforge.target import Target, find_arch, find_runtime
from layerforge.tree import FileEntry, Tree, unite
from layerforge.verify.layout import check_places, verify_layout

PYTHON_LOOKS = "python3.13 looks in python/ and python/lib/python3.13/site-packages/"
NODE_LOOKS = "nodejs22.x looks in nodejs/node_modules/ and nodejs/node22/node_modules/"


def target(runtime: str = "python3.13") -> Target:
    return Target(runtime=find_runtime(runtime), arch=find_arch("arm64"))


def tree_of(*paths: str) -> Tree:
    return unite(FileEntry(path=path, origin="demo") for path in paths)


def places(*paths: str, runtime: str = "python3.13") -> list[Finding]:
    return list(check_places(tree_of(*paths), target(runtime)))


def told(*paths: str, runtime: str = "python3.13") -> list[tuple[str, str, str]]:
    return [
        (str(finding.severity), finding.path, finding.message)
        for finding in places(*paths, runtime=runtime)
    ]


# -- where a runtime looks --------


@pytest.mark.parametrize(
    ("runtime", "paths"),
    [
        ("python3.13", ["python/demo.py"]),
        ("python3.13", ["python/demo/__init__.py", "python/demo-1.dist-info/METADATA"]),
        ("python3.13", ["python/lib/python3.13/site-packages/demo.py"]),
        (
            "python3.13",
            [
                f"python/lib/python3.{minor}/site-packages/demo-1.dist-info/METADATA"
                for minor in (12, 13)
            ],
        ),
        ("nodejs22.x", ["nodejs/node_modules/demo/index.js"]),
        ("nodejs22.x", ["nodejs/node22/node_modules/demo/index.js"]),
        ("nodejs22.x", ["nodejs/index.mjs"]),
        (
            "nodejs22.x",
            [f"nodejs/node{major}/node_modules/demo/a.js" for major in (20, 22)],
        ),
    ],
)
def test_where_the_runtime_looks_is_not_spoken_of(
    runtime: str, paths: list[str]
) -> None:
    assert places(*paths, runtime=runtime) == []


@pytest.mark.parametrize("runtime", ["python3.13", "nodejs22.x"])
@pytest.mark.parametrize(
    "paths",
    [
        ["bin/tool", "lib/libdemo.so"],
        ["extensions/agent", "agent/requests-2.dist-info/METADATA"],
        ["share/fonts/a.ttf", "etc/fonts.conf"],
        ["python/demo.py", "nodejs/node_modules/demo/index.js"],
        ["python/demo.py", "nodejs/index.mjs"],
        ["bin/python3.13", "lib/python3.13/os.py"],
    ],
)
def test_what_else_lies_in_opt_is_a_function_s_own_affair(
    paths: list[str], runtime: str
) -> None:
    assert places(*paths, runtime=runtime) == []


def test_a_python_of_the_layers_own_has_its_own_packages() -> None:
    paths = ["bin/python3", "lib/python3.13/os.py"]
    paths += ["lib/python3.13/site-packages/pip-25.dist-info/METADATA"]

    assert places(*paths, "python/demo.py") == []


def test_packages_inside_a_package_are_its_own() -> None:
    assert (
        places(
            "python/setuptools/__init__.py",
            "python/setuptools/_vendor/wheel-1.dist-info/METADATA",
        )
        == []
    )


def test_an_odd_folder_that_a_wheel_brings_is_not_spoken_of() -> None:
    assert (
        places("python/demo.py", "python/site-packages/demo-1.dist-info/METADATA") == []
    )


# -- where it doesn't --------


def test_packages_at_the_root_of_the_zip_are_found_by_nobody() -> None:
    assert places("demo/__init__.py", "demo-1.0.dist-info/METADATA") == [
        Finding(
            check="prefix",
            severity=Severity.ERROR,
            message=f"it has packages at the root of the zip, and {PYTHON_LOOKS}",
            remedy="Put them into python/ (or python/lib/python3.13/site-packages/): "
            "the zip's root becomes /opt.",
        )
    ]


def test_packages_for_another_version_are_found_by_nobody() -> None:
    folder = "python/lib/python3.12/site-packages"

    assert places(f"{folder}/demo/__init__.py") == [
        Finding(
            check="prefix",
            severity=Severity.ERROR,
            path=folder,
            message=f"has packages, and {PYTHON_LOOKS}",
            remedy="Build it for python3.13; where nothing in it is compiled, python/ "
            "serves all versions.",
        )
    ]


@pytest.mark.parametrize(
    ("folder", "path"),
    [
        ("lib/python3.13/site-packages", "demo/__init__.py"),
        ("python/lib64/python3.13/site-packages", "demo/__init__.py"),
        ("opt/python", "demo-1.dist-info/METADATA"),
        ("python/python", "demo-1.dist-info/METADATA"),
        ("opt/python", "demo.py"),
        ("python/python", "demo.py"),
        ("my-layer/python", "demo.py"),
        ("site-packages", "demo.py"),
        ("", "demo.py"),
        ("", "demo/__init__.py"),
    ],
)
def test_python_finds_nothing_there(folder: str, path: str) -> None:
    has = "has packages" if folder else "it has packages at the root of the zip"

    assert told(f"{folder}/{path}".lstrip("/")) == [
        ("error", folder, f"{has}, and {PYTHON_LOOKS}")
    ]


@pytest.mark.parametrize(
    "folder",
    ["node_modules", "nodejs/node20/node_modules", "layer/nodejs/node_modules"],
)
def test_node_finds_nothing_there(folder: str) -> None:
    assert told(f"{folder}/demo/package.json", runtime="nodejs22.x") == [
        ("error", folder, f"has packages, and {NODE_LOOKS}")
    ]


def test_what_lies_beside_packages_that_are_found_is_warned_of() -> None:
    folder = "python/lib/python3.12/site-packages"

    found = told("python/demo.py", f"{folder}/core.py", "six-1.dist-info/METADATA")

    assert [(severity, path) for severity, path, _ in found] == [
        ("warning", ""),
        ("warning", folder),
    ]


@pytest.mark.parametrize(
    ("program", "severity"), [("bin/tool", "error"), ("extensions/agent", "warning")]
)
def test_what_lambda_starts_itself_has_a_use_without_packages(
    program: str, severity: str
) -> None:
    folder = "lib/python3.13/site-packages"

    found = told(program, f"{folder}/demo.py")

    assert [(how, path) for how, path, _ in found] == [(severity, folder)]


def test_packages_that_npm_installed_globally_are_their_programs_own() -> None:
    paths = ("bin/npx", "lib/node_modules/npm/package.json")

    assert places(*paths, runtime="nodejs22.x") == []


@pytest.mark.parametrize(
    ("runtime", "path", "message"),
    [
        (
            "nodejs22.x",
            "python/demo.py",
            "is for Python: nodejs22.x looks in nodejs/ and finds nothing",
        ),
        (
            "python3.13",
            "nodejs/node_modules/demo/index.js",
            "is for Node.js: python3.13 looks in python/ and finds nothing",
        ),
    ],
)
def test_a_layer_for_the_other_language_is_an_error(
    runtime: str, path: str, message: str
) -> None:
    top = path.partition("/")[0]

    assert told(path, runtime=runtime) == [("error", top, message)]


def test_what_the_finder_of_macos_adds_is_warned_of() -> None:
    assert places("python/demo.py", "__MACOSX/python/._demo.py") == [
        Finding(
            check="prefix",
            severity=Severity.WARNING,
            path="__MACOSX",
            message="has 0 bytes of macOS's own, which nothing on Lambda reads",
            remedy="Zip without it: zip -r layer.zip python",
        )
    ]


# -- names --------


def test_names_that_differ_in_case_alone_are_warned_of() -> None:
    found = verify_layout(tree_of("python/A.py", "python/B.py", "python/a.py"))

    assert list(found) == [
        Finding(
            check="case",
            severity=Severity.WARNING,
            path="python/a.py",
            message="differs from python/A.py in case alone: Lambda keeps both, macOS "
            "and Windows unpack one of them",
            remedy="Leave one out with exclude, or rename it.",
        )
    ]


def test_each_such_name_can_be_waived_by_itself() -> None:
    found = verify_layout(tree_of("A", "B", "a", "b", "É", "é"))

    assert [one.path for one in found] == ["a", "b", "é"]


def test_folders_with_such_names_are_told_and_not_all_that_is_in_them() -> None:
    paths = ("python/A/x.py", "python/A/y.py", "python/a/x.py", "python/a/y.py")

    (found,) = verify_layout(tree_of(*paths))

    assert (found.path, found.message.partition(":")[0]) == (
        "python/a",
        "differs from python/A in case alone",
    )


def test_names_that_are_shown_alike_are_told_by_what_differs() -> None:
    composed, decomposed = "caf\N{LATIN SMALL LETTER E WITH ACUTE}.py", "cafe\u0301.py"

    (found,) = verify_layout(tree_of(composed, decomposed))

    assert found.message == (
        "differs from another in the encoding of accents alone: Lambda keeps both, "
        "macOS and Windows unpack one of them"
    )


@pytest.mark.parametrize(
    ("path", "message"),
    [
        (
            f"python/{'a' * 256}.py",
            "a part of its name has 259 bytes, more than 255: Lambda can't unpack it",
        ),
        (
            f"python/{'é' * 128}",
            "a part of its name has 256 bytes, more than 255: Lambda can't unpack it",
        ),
        (
            "/".join(["abcdefg"] * 600),
            "its name has 4,799 bytes, more than 4,090: Lambda can't unpack it",
        ),
    ],
)
def test_a_name_that_linux_has_no_room_for_is_an_error(path: str, message: str) -> None:
    (found,) = verify_layout(tree_of(path))

    assert (found.check, found.severity, found.message) == (
        "name-length",
        Severity.ERROR,
        message,
    )


@pytest.mark.parametrize("path", ["a" * 255, "é" * 127, "/".join(["abcdefg"] * 511)])
def test_a_name_that_just_fits_is_fine(path: str) -> None:
    assert list(verify_layout(tree_of(path))) == []
