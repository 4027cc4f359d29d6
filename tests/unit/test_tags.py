from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
from typing import TYPE_CHECKING, cast

import pytest
import uv
from packaging.markers import Marker, default_environment
from packaging.utils import parse_wheel_filename
from packaging.version import Version

from layerforge.ecosystems.python.tags import environment, uv_platform, wheel_tags
from layerforge.target import Arch, Target, find_arch, find_runtime, load_runtimes

if TYPE_CHECKING:
    from pathlib import Path

PYTHONS = [
    runtime for runtime in load_runtimes().values() if runtime.language == "python"
]
TARGETS = [Target(runtime=runtime, arch=arch) for runtime in PYTHONS for arch in Arch]

# The target whose Python and machine are this interpreter's, on a glibc that is no
# older than the target's.
HERE = next(
    (
        target
        for target in TARGETS
        if target.runtime.version_info == sys.version_info[:2]
        and target.arch.machine == platform.machine()
        and platform.libc_ver()[0] == "glibc"
        and target.runtime.glibc <= Version(platform.libc_ver()[1]).release
    ),
    None,
)

every_target = pytest.mark.parametrize("target", TARGETS, ids=str)


def target(runtime: str, arch: str) -> Target:
    return Target(runtime=find_runtime(runtime), arch=find_arch(arch))


def loads(wheel: str, runtime: str, arch: str) -> bool:
    return not parse_wheel_filename(wheel)[3].isdisjoint(
        wheel_tags(target(runtime, arch))
    )


def platforms(target: Target) -> list[str]:
    """The platforms of the best tags, those of the interpreter's own ABI."""
    abi = wheel_tags(target)[0].abi
    return [tag.platform for tag in wheel_tags(target) if tag.abi == abi]


class TestWheelTags:
    def test_on_amazon_linux_2023_x86_64_every_glibc_from_2_34_to_2_5_is_there(
        self,
    ) -> None:
        assert platforms(target("python3.13", "x86_64")) == [
            *(f"manylinux_2_{minor}_x86_64" for minor in range(34, 16, -1)),
            "manylinux2014_x86_64",
            *(f"manylinux_2_{minor}_x86_64" for minor in range(16, 11, -1)),
            "manylinux2010_x86_64",
            *(f"manylinux_2_{minor}_x86_64" for minor in range(11, 4, -1)),
            "manylinux1_x86_64",
            "linux_x86_64",
        ]

    def test_on_amazon_linux_2_arm64_every_glibc_from_2_26_to_2_17_is_there(
        self,
    ) -> None:
        assert platforms(target("python3.11", "arm64")) == [
            *(f"manylinux_2_{minor}_aarch64" for minor in range(26, 16, -1)),
            "manylinux2014_aarch64",
            "linux_aarch64",
        ]

    def test_a_wheel_for_the_interpreter_itself_is_best(self) -> None:
        best = wheel_tags(target("python3.13", "arm64"))[0]

        assert str(best) == "cp313-cp313-manylinux_2_34_aarch64"

    def test_a_pure_wheel_of_python_3_s_first_days_is_worst(self) -> None:
        worst = wheel_tags(target("python3.13", "arm64"))[-1]

        assert str(worst) == "py30-none-any"

    def test_after_the_own_abi_come_the_stable_and_then_none(self) -> None:
        tags = wheel_tags(target("python3.12", "x86_64"))

        order = dict.fromkeys(f"{tag.interpreter}-{tag.abi}" for tag in tags)

        assert list(order)[:5] == [
            "cp312-cp312",
            "cp312-abi3",
            "cp312-none",
            "cp311-abi3",
            "cp310-abi3",
        ]

    @pytest.mark.skipif(HERE is None, reason="this Python is none of a Lambda runtime")
    def test_they_are_what_an_interpreter_on_that_glibc_says_of_itself(
        self, tmp_path: Path
    ) -> None:
        assert HERE is not None
        ours = wheel_tags(HERE)

        theirs = tags_of_this_interpreter(tmp_path, HERE.runtime.glibc)

        # packaging 26.3 moved linux_* to the front; pip in the images has it last.
        assert [str(tag) for tag in ours if "-linux_" not in str(tag)] == [
            tag for tag in theirs if "-linux_" not in tag
        ]
        assert {str(tag) for tag in ours} == set(theirs)


def tags_of_this_interpreter(folder: Path, glibc: tuple[int, int]) -> list[str]:
    """Ask it for its tags, with a glibc that admits to no more than ``glibc``.

    A module named _manylinux may say so (PEP 600): it is how a system declares it.
    """
    (folder / "_manylinux.py").write_text(
        f"def manylinux_compatible(*version_and_arch):\n"
        f"    return version_and_arch[:2] <= {glibc}\n"
    )
    code = (
        "import json; from packaging.tags import sys_tags;"
        "print(json.dumps([str(tag) for tag in sys_tags()]))"
    )
    result = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | {"PYTHONPATH": str(folder)},
        capture_output=True,
        text=True,
        check=True,
    )
    tags: list[str] = json.loads(result.stdout)
    return tags


class TestRealWheels:
    """Names of files on PyPI, and where they load."""

    @pytest.mark.parametrize(
        ("wheel", "where"),
        [
            pytest.param(
                "requests-2.32.5-py3-none-any.whl", set(TARGETS), id="pure: everywhere"
            ),
            pytest.param(
                "six-1.17.0-py2.py3-none-any.whl", set(TARGETS), id="py2.py3: the same"
            ),
            pytest.param(
                "numpy-2.2.6-cp312-cp312-manylinux_2_17_x86_64.manylinux2014_x86_64.whl",
                {target("python3.12", "x86_64")},
                id="own ABI: one runtime, one architecture",
            ),
            pytest.param(
                "numpy-2.3.5-cp311-cp311-manylinux_2_27_x86_64.manylinux_2_28_x86_64.whl",
                set(),
                id="too new a glibc for the runtime of its Python",
            ),
            pytest.param(
                "pyarrow-22.0.0-cp313-cp313-manylinux_2_28_aarch64.whl",
                {target("python3.13", "arm64")},
                id="2_28 loads on 2_34",
            ),
            pytest.param(
                "cryptography-46.0.3-cp38-abi3-manylinux_2_34_aarch64.whl",
                {
                    each
                    for each in TARGETS
                    if each.arch is Arch.ARM64 and each.runtime.os == "AL2023"
                },
                id="stable ABI: every later Python of the same system",
            ),
            pytest.param(
                "cryptography-46.0.3-cp311-abi3-manylinux_2_17_x86_64.manylinux2014_x86_64.whl",
                {
                    each
                    for each in TARGETS
                    if each.arch is Arch.X86_64 and each.runtime.version_info >= (3, 11)
                },
                id="stable ABI: no earlier Python",
            ),
            pytest.param(
                "ruff-0.14.5-py3-none-manylinux_2_17_aarch64.manylinux2014_aarch64.whl",
                {each for each in TARGETS if each.arch is Arch.ARM64},
                id="a program: every Python",
            ),
            pytest.param(
                "numpy-2.3.5-cp313-cp313t-manylinux_2_27_x86_64.manylinux_2_28_x86_64.whl",
                set(),
                id="free-threaded: nowhere",
            ),
            pytest.param(
                "numpy-2.3.5-cp313-cp313-musllinux_1_2_x86_64.whl",
                set(),
                id="musl: nowhere",
            ),
            pytest.param(
                "numpy-2.3.5-cp313-cp313-macosx_14_0_arm64.whl",
                set(),
                id="macOS: nowhere",
            ),
        ],
    )
    def test_a_wheel_loads_where_its_name_says(
        self, wheel: str, where: set[Target]
    ) -> None:
        found = {
            each for each in TARGETS if loads(wheel, each.runtime.id, str(each.arch))
        }

        assert found == where


class TestEnvironment:
    def test_it_is_the_target_s_and_not_the_host_s(self) -> None:
        assert environment(target("python3.13", "arm64")) == {
            "implementation_name": "cpython",
            "implementation_version": "3.13.9",
            "os_name": "posix",
            "platform_machine": "aarch64",
            "platform_python_implementation": "CPython",
            "platform_release": "",
            "platform_system": "Linux",
            "platform_version": "",
            "python_full_version": "3.13.9",
            "python_version": "3.13",
            "sys_platform": "linux",
        }

    @every_target
    def test_it_has_the_variables_of_a_real_environment(self, target: Target) -> None:
        assert environment(target).keys() == default_environment().keys()

    @pytest.mark.parametrize(
        ("marker", "holds"),
        [
            ("python_version < '3.10'", False),
            ("python_full_version < '3.11.3'", False),
            ("platform_machine == 'aarch64'", True),
            ("sys_platform == 'win32'", False),
            ("platform_python_implementation != 'PyPy'", True),
            ("implementation_version >= '3.11.4'", True),
        ],
    )
    def test_markers_can_be_evaluated_in_it(self, marker: str, holds: bool) -> None:  # noqa: FBT001  # an expected value
        values = cast("dict[str, str]", environment(target("python3.11", "arm64")))

        assert Marker(marker).evaluate(values) is holds


class TestUvPlatform:
    @pytest.mark.parametrize(
        ("runtime", "arch", "expected"),
        [
            ("python3.13", "x86_64", "x86_64-manylinux_2_34"),
            ("python3.13", "arm64", "aarch64-manylinux_2_34"),
            ("python3.11", "x86_64", "x86_64-manylinux_2_28"),
            ("python3.11", "arm64", "aarch64-manylinux_2_28"),
        ],
    )
    def test_it_is_the_glibc_s_own_or_the_next_newer(
        self, runtime: str, arch: str, expected: str
    ) -> None:
        assert uv_platform(target(runtime, arch)) == expected

    @every_target
    def test_uv_knows_the_platform(self, tmp_path: Path, target: Target) -> None:
        assert uv_accepts(uv_platform(target), tmp_path)

    def test_uv_has_no_platform_for_amazon_linux_2(self, tmp_path: Path) -> None:
        assert not uv_accepts("x86_64-manylinux_2_26", tmp_path)


def uv_accepts(name: str, folder: Path) -> bool:
    """Resolve nothing at all for the platform ``name``, with the real uv."""
    command = [uv.find_uv_bin(), "pip", "compile", "-", "--offline", "--no-config"]
    result = subprocess.run(
        [*command, "--python", sys.executable, "--python-platform", name],
        cwd=folder,
        input="",
        capture_output=True,
        text=True,
        check=False,
    )
    return result.returncode == 0
