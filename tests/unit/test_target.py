from __future__ import annotations

import json
import subprocess
import sys
from datetime import date
from pathlib import Path

import pytest

from layerforge.errors import ConfigError
from layerforge.target import (
    Arch,
    Runtime,
    Target,
    find_arch,
    find_runtime,
    host_libraries,
    load_runtimes,
)

ROOT = Path(__file__).parents[2]
RUNTIMES = list(load_runtimes().values())
TARGETS = [Target(runtime=runtime, arch=arch) for runtime in RUNTIMES for arch in Arch]

every_runtime = pytest.mark.parametrize("runtime", RUNTIMES, ids=str)
every_target = pytest.mark.parametrize("target", TARGETS, ids=str)


def target(runtime: str, arch: str) -> Target:
    return Target(runtime=find_runtime(runtime), arch=find_arch(arch))


class TestArch:
    def test_x86_64_is_spelled_as_each_tool_wants_it(self) -> None:
        arch = Arch.X86_64

        assert str(arch) == "x86_64"
        assert arch.machine == "x86_64"
        assert arch.docker == "linux/amd64"
        assert arch.npm == "x64"
        assert arch.elf_machine == 62
        assert arch.oldest_manylinux == 5

    def test_arm64_is_spelled_as_each_tool_wants_it(self) -> None:
        arch = Arch.ARM64

        assert str(arch) == "arm64"
        assert arch.machine == "aarch64"
        assert arch.docker == "linux/arm64"
        assert arch.npm == "arm64"
        assert arch.elf_machine == 183
        assert arch.oldest_manylinux == 17

    def test_the_elf_machine_of_this_host_is_that_of_its_interpreter(self) -> None:
        head = Path(sys.executable).read_bytes()[:20]
        if not head.startswith(b"\x7fELF"):
            pytest.skip("this host's programs are no ELF files")

        machine = int.from_bytes(head[18:20], sys.byteorder)

        assert machine in {arch.elf_machine for arch in Arch}

    @pytest.mark.parametrize("arch", Arch, ids=str)
    def test_an_architecture_is_found_by_lambdas_spelling(self, arch: Arch) -> None:
        assert find_arch(str(arch)) is arch

    @pytest.mark.parametrize(
        ("spelling", "meant"),
        [
            ("aarch64", "arm64"),
            ("linux/arm64", "arm64"),
            ("ARM64", "arm64"),
            ("amd64", "x86_64"),
            ("linux/amd64", "x86_64"),
            ("x64", "x86_64"),
        ],
    )
    def test_another_spelling_is_refused_with_lambdas(
        self, spelling: str, meant: str
    ) -> None:
        with pytest.raises(ConfigError) as caught:
            find_arch(spelling)

        assert caught.value.message == f"unknown architecture '{spelling}'"
        assert caught.value.remedy == f"Lambda calls it {meant}."

    def test_an_architecture_that_lambda_lacks_is_refused_with_those_it_has(
        self,
    ) -> None:
        with pytest.raises(ConfigError) as caught:
            find_arch("riscv64")

        assert caught.value.message == "unknown architecture 'riscv64'"
        assert caught.value.remedy == "Lambda has x86_64 and arm64."


class TestFindRuntime:
    def test_a_runtime_is_found_by_its_id(self) -> None:
        assert find_runtime("nodejs22.x").id == "nodejs22.x"

    @pytest.mark.parametrize(
        ("name", "nearest"),
        [
            ("python3.31", "python3.13"),
            ("python 3.13", "python3.13"),
            ("py3.12", "python3.12"),
            ("3.11", "python3.11"),
            ("nodejs22", "nodejs22.x"),
            ("node20", "nodejs20.x"),
        ],
    )
    def test_an_unknown_runtime_is_refused_with_the_nearest(
        self, name: str, nearest: str
    ) -> None:
        with pytest.raises(ConfigError) as caught:
            find_runtime(name)

        assert caught.value.message == f"unknown runtime '{name}'"
        assert caught.value.remedy == (
            f"Did you mean {nearest}? `layerforge runtimes` lists them all."
        )

    def test_a_name_like_no_runtime_is_refused_without_a_guess(self) -> None:
        with pytest.raises(ConfigError) as caught:
            find_runtime("ruby3.4")

        assert caught.value.message == "unknown runtime 'ruby3.4'"
        assert caught.value.remedy == "`layerforge runtimes` lists them all."


class TestRuntime:
    @pytest.mark.parametrize(
        ("name", "slug"), [("python3.13", "python313"), ("nodejs22.x", "nodejs22")]
    )
    def test_a_slug_has_no_dots(self, name: str, slug: str) -> None:
        assert find_runtime(name).slug == slug

    @pytest.mark.parametrize(
        ("path", "place"),
        [
            ("python/six.py", "python/"),
            (
                "python/lib/python3.13/site-packages/six.py",
                "python/lib/python3.13/site-packages/",
            ),
            ("python/lib/python3.12/site-packages/six.py", "python/"),
            ("pythonic/six.py", ""),
            ("lib/libx.so", ""),
        ],
    )
    def test_it_imports_from_folders_of_opt(self, path: str, place: str) -> None:
        assert find_runtime("python3.13").place_of(path) == place

    @pytest.mark.parametrize(
        ("today", "state"),
        [
            (date(2026, 10, 30), "supported"),
            (date(2026, 10, 31), "deprecated"),
            (date(2027, 1, 31), "deprecated"),
            (date(2027, 2, 1), "blocked"),
        ],
    )
    def test_a_state_begins_on_its_day(self, today: date, state: str) -> None:
        assert find_runtime("python3.10").state(today) == state

    def test_a_preview_is_neither_supported_nor_deprecated(self) -> None:
        assert find_runtime("python3.15").state(date.max) == "preview"


class TestTarget:
    def test_it_is_written_as_runtime_and_architecture(self) -> None:
        assert str(target("python3.13", "arm64")) == "python3.13-arm64"

    def test_its_slug_has_no_dots(self) -> None:
        assert target("nodejs22.x", "x86_64").slug == "nodejs22-x86_64"

    def test_equal_targets_are_one_key(self) -> None:
        one, other = target("python3.13", "arm64"), target("python3.13", "arm64")

        assert len({one, other}) == 1

    def test_sorting_goes_by_language_then_version_then_architecture(self) -> None:
        mixed = [
            target("python3.10", "x86_64"),
            target("python3.9", "x86_64"),
            target("python3.10", "arm64"),
            target("nodejs22.x", "x86_64"),
        ]

        assert list(map(str, sorted(mixed))) == [
            "nodejs22.x-x86_64",
            "python3.9-x86_64",
            "python3.10-arm64",
            "python3.10-x86_64",
        ]


class TestRuntimesTable:
    def test_it_has_every_runtime_in_order(self) -> None:
        assert list(load_runtimes()) == [
            *(f"python3.{minor}" for minor in range(9, 16)),
            *(f"nodejs{major}.x" for major in range(18, 27, 2)),
        ]

    @every_runtime
    def test_language_and_version_make_the_id(self, runtime: Runtime) -> None:
        ids = {
            "python": f"python{runtime.version}",
            "node": f"nodejs{runtime.version}.x",
        }

        assert runtime.id == ids[runtime.language]

    @every_runtime
    def test_a_full_version_is_python_s_and_a_patch_release_of_the_version(
        self, runtime: Runtime
    ) -> None:
        minor, _, patch = runtime.full_version.rpartition(".")

        if runtime.language == "python":
            assert (minor, patch.isdigit()) == (runtime.version, True)
        else:
            assert runtime.full_version == ""

    @every_runtime
    def test_the_operating_system_decides_the_c_and_cpp_libraries(
        self, runtime: Runtime
    ) -> None:
        system = {
            "AL2": ((2, 26), "3.4.24"),
            "AL2023": ((2, 34), "3.4.29"),
        }

        assert (runtime.glibc, runtime.glibcxx) == system[runtime.os]

    @every_runtime
    def test_the_newest_images_have_at_least_what_all_have(
        self, runtime: Runtime
    ) -> None:
        def numbers(version: str) -> list[int]:
            return [int(part) for part in version.split(".")]

        assert numbers(runtime.latest_glibcxx) >= numbers(runtime.glibcxx)
        assert numbers(runtime.latest_cxxabi) >= numbers(runtime.cxxabi)

    @every_runtime
    def test_dates_are_announced_together_and_in_order(self, runtime: Runtime) -> None:
        dates = [runtime.deprecated, runtime.blocks_create, runtime.blocks_update]
        announced = [day for day in dates if day]

        assert len(announced) == (0 if runtime.preview else 3)
        assert announced == sorted(announced)

    @pytest.mark.parametrize(
        "runtime", [each for each in RUNTIMES if each.blocks_update], ids=str
    )
    def test_when_it_can_t_be_updated_a_runtime_is_blocked(
        self, runtime: Runtime
    ) -> None:
        assert runtime.blocks_update is not None

        assert runtime.state(runtime.blocks_update) == "blocked"

    def test_the_sdk_of_python_is_boto3_with_all_that_it_requires(self) -> None:
        assert find_runtime("python3.13").sdk == (
            "boto3",
            "botocore",
            "jmespath",
            "python-dateutil",
            "s3transfer",
            "six",
            "urllib3",
        )

    def test_the_sdk_of_node_is_a_scope(self) -> None:
        assert find_runtime("nodejs22.x").sdk == ("@aws-sdk/*", "@smithy/*")


class TestHostLibraries:
    @every_target
    def test_the_image_brings_what_every_elf_file_needs(self, target: Target) -> None:
        loader = {
            Arch.X86_64: "ld-linux-x86-64.so.2",
            Arch.ARM64: "ld-linux-aarch64.so.1",
        }

        assert {
            loader[target.arch],
            "libc.so.6",
            "libm.so.6",
            "libpthread.so.0",
            "libdl.so.2",
            "libgcc_s.so.1",
            "libstdc++.so.6",
            "libz.so.1",
        } <= host_libraries(target)

    @every_target
    @pytest.mark.parametrize(
        "name",
        [
            "libGL.so.1",
            "libX11.so.6",
            "libXext.so.6",
            "libXrender.so.1",
            "libICE.so.6",
            "libSM.so.6",
            "libatomic.so.1",
            "libgomp.so.1",
            "libgfortran.so.5",
            "libquadmath.so.0",
        ],
    )
    def test_what_desktops_and_compilers_have_is_not_there(
        self, target: Target, name: str
    ) -> None:
        assert name not in host_libraries(target)

    @pytest.mark.parametrize(
        "name",
        ["libexpat.so.1", "libnsl.so.1", "libcrypt.so.1", "libfreetype.so.6"],
    )
    def test_amazon_linux_2023_dropped_some(self, name: str) -> None:
        assert name in host_libraries(target("python3.11", "arm64"))
        assert name not in host_libraries(target("python3.12", "arm64"))

    def test_openssl_changed_its_name_between_the_systems(self) -> None:
        old = host_libraries(target("python3.11", "x86_64"))
        new = host_libraries(target("python3.12", "x86_64"))

        assert ("libcrypto.so.10" in old, "libcrypto.so.3" in old) == (True, False)
        assert ("libcrypto.so.10" in new, "libcrypto.so.3" in new) == (False, True)

    @every_target
    def test_only_names_of_shared_libraries_are_listed(self, target: Target) -> None:
        odd = {
            name
            for name in host_libraries(target)
            if ".so" not in name or name.startswith(".") or "/" in name
        }

        assert odd == set()


class TestRefreshRuntimes:
    """With the data of a file: where it comes from is the script's own business."""

    def check(self, tmp_path: Path, **changed: str) -> subprocess.CompletedProcess[str]:
        data = {
            runtime.id: {
                "deprecated": str(runtime.deprecated),
                "create-block": str(runtime.blocks_create),
                "update-block": str(runtime.blocks_update),
            }
            for runtime in RUNTIMES
            if runtime.deprecated
        }
        data["python3.13"] |= changed
        file = tmp_path / "lifecycle.json"
        file.write_text(json.dumps(data))
        script = ROOT / "scripts/refresh_runtimes.py"
        command = [sys.executable, str(script), "--check", str(file)]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    def test_the_same_dates_are_no_difference(self, tmp_path: Path) -> None:
        result = self.check(tmp_path)

        assert (result.returncode, result.stdout) == (0, "")

    def test_another_date_is_shown_and_fails_the_check(self, tmp_path: Path) -> None:
        result = self.check(tmp_path, deprecated="2031-06-30")

        changes = [
            line
            for line in result.stdout.splitlines()
            if line[0] in "+-" and line[:3] not in {"+++", "---"}
        ]
        assert result.returncode == 1
        assert changes == ["-deprecated = 2029-06-30", "+deprecated = 2031-06-30"]


class TestRefreshHostLibraries:
    def made(self, tmp_path: Path, listing: str) -> str:
        file = tmp_path / "AL2023-arm64.txt"
        file.write_text(listing)
        script = ROOT / "scripts/refresh_host_libraries.py"
        command = [sys.executable, str(script), str(file)]
        return subprocess.run(
            command, capture_output=True, text=True, check=True
        ).stdout.partition("\n\n")[2]

    def test_a_listing_becomes_sonames_and_the_loader(self, tmp_path: Path) -> None:
        listing = "libz.so.1.2.11\nlibz.so.1\nlibpython2.7.so.1.0\n.libz.so.1.hmac\n"

        assert self.made(tmp_path, listing) == (
            "[AL2023]\narm64 = [\n"
            '    "ld-linux-aarch64.so.1", "libpython2.7.so.1.0", "libz.so.1",\n]\n'
        )
