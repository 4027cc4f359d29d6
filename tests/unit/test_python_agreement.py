"""Is a resolution true for its target? Every way in which it may not be."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pytest
from packaging.requirements import Requirement

from layerforge.ecosystems.python.agreement import (
    Audit,
    Metadata,
    audit,
    loads,
    parse_metadata,
)
from layerforge.errors import LockError
from layerforge.lock import Pin
from layerforge.target import Arch, Target, find_runtime

AL2 = Target(runtime=find_runtime("python3.11"), arch=Arch.ARM64)
AL2023 = Target(runtime=find_runtime("python3.12"), arch=Arch.X86_64)
FULL = AL2023.runtime.full_version


def audited(
    packages: Mapping[str, Sequence[str]],
    *roots: str,
    target: Target = AL2023,
    provided: Sequence[str] = (),
    pythons: dict[str, str] | None = None,
) -> Audit:
    """Audit packages, each ``"name version"`` with what it requires."""
    pins, metadata = [], {}
    for package, requires in packages.items():
        name, version = package.split()
        pins.append(pin(f"{name}-{version}-py3-none-any.whl"))
        metadata[name] = Metadata(
            requires=tuple(map(Requirement, requires)),
            requires_python=(pythons or {}).get(name, ""),
        )
    return audit(pins, metadata, map(Requirement, roots), target, provided)


def pin(filename: str) -> Pin:
    name, version = filename.split("-")[:2]
    return Pin(name=name, version=version, filename=filename, url="", digest="")


class TestProblems:
    def test_are_none_where_all_fits(self) -> None:
        found = audited({"a 1": ["b>1"], "b 2": []}, "a")

        assert found == Audit(dependencies={"a": ("b",), "b": ()}, problems=())

    @pytest.mark.parametrize(
        ("packages", "roots", "problem"),
        [
            ({}, ["a"], "the layer needs a, which is not among the pins"),
            (
                {"a 1": ["b>1"]},
                ["a"],
                "a needs b>1, which is not among the pins",
            ),
            (
                {"a 1": ["b>1"], "b 1": []},
                ["a"],
                "a needs b>1, but b 1 is pinned",
            ),
            ({"a 1": []}, ["a>=2"], "the layer needs a>=2, but a 1 is pinned"),
            (
                {"a 1": [], "b 1": []},
                ["a"],
                "b 1 is pinned, but nothing requires it",
            ),
            (
                {"a 1": ["b; extra == 'x'"], "b 1": []},
                ["a"],
                "b 1 is pinned, but nothing requires it",
            ),
            (
                {"a 1": ["b[x]"], "b 1": ["c; extra == 'x'"]},
                ["a"],
                'b needs c; extra == "x", which is not among the pins',
            ),
        ],
    )
    def test_are_told(
        self, packages: dict[str, list[str]], roots: list[str], problem: str
    ) -> None:
        assert audited(packages, *roots).problems == (problem,)

    def test_of_the_python_version_are_told(self) -> None:
        found = audited({"a 1": []}, "a", pythons={"a": ">=3.13"})

        assert found.problems == (f"a 1 is for Python >=3.13, not {FULL}",)

    def test_of_the_patch_release_are_told(self) -> None:
        found = audited({"a 1": []}, "a", pythons={"a": f">{FULL}"})

        assert found.problems == (f"a 1 is for Python >{FULL}, not {FULL}",)

    @pytest.mark.parametrize("stated", ["", ">=3.8", "not at all", f"=={FULL}"])
    def test_of_the_python_version_are_none_where_pip_sees_none(
        self, stated: str
    ) -> None:
        assert audited({"a 1": []}, "a", pythons={"a": stated}).problems == ()

    def test_of_tags_are_told(self) -> None:
        filename = "a-1-cp311-cp311-manylinux_2_28_aarch64.whl"

        found = audit([pin(filename)], {"a": Metadata()}, [Requirement("a")], AL2)

        assert found.problems == (f"{filename} does not load on python3.11-arm64",)

    def test_are_told_all_of_them(self) -> None:
        found = audited(
            {"a 1": ["b>1", "c"], "b 1": [], "d 1": []}, "a", pythons={"b": "<3"}
        )

        assert found.problems == (
            "a needs b>1, but b 1 is pinned",
            "a needs c, which is not among the pins",
            f"b 1 is for Python <3, not {FULL}",
            "d 1 is pinned, but nothing requires it",
        )


class TestMarkers:
    @pytest.mark.parametrize(
        ("marker", "target", "holds"),
        [
            ("python_version == '3.12'", AL2023, True),
            ("python_version == '3.12'", AL2, False),
            (f"python_full_version >= '{FULL}'", AL2023, True),
            ("python_full_version < '3.12.1'", AL2023, False),
            ("platform_machine == 'x86_64'", AL2023, True),
            ("platform_machine == 'aarch64'", AL2, True),
            ("platform_machine == 'arm64'", AL2, False),
            ("sys_platform == 'linux'", AL2, True),
            ("sys_platform == 'darwin'", AL2, False),
            ("platform_system != 'Linux'", AL2, False),
            ("os_name == 'nt'", AL2, False),
            ("implementation_name == 'pypy'", AL2, False),
            ("platform_python_implementation == 'CPython'", AL2, True),
        ],
    )
    def test_are_those_of_the_target(
        self, marker: str, target: Target, *, holds: bool
    ) -> None:
        found = audited({"a 1": [f"b; {marker}"]}, "a", target=target)

        assert bool(found.problems) is holds


class TestExtras:
    def test_are_followed_whatever_they_are_written_like(self) -> None:
        packages = {"a 1": ["b[Fast_Lane]"], "b 1": ["c; extra == 'fast-lane'"]}

        found = audited({**packages, "c 1": []}, "a")

        assert found == Audit(
            dependencies={"a": ("b",), "b": ("c",), "c": ()}, problems=()
        )

    def test_of_a_package_may_ask_for_others_of_its_own(self) -> None:
        requires = ["a[x]; extra == 'all'", "b; extra == 'x'"]

        found = audited({"a 1": requires, "b 1": []}, "a[all]")

        assert found == Audit(dependencies={"a": ("b",), "b": ()}, problems=())

    def test_that_a_package_has_not_ask_for_nothing(self) -> None:
        assert audited({"a 1": []}, "a[none]").problems == ()

    def test_add_up_over_the_packages_that_ask(self) -> None:
        found = audited(
            {
                "a 1": ["c[x]"],
                "b 1": ["c[y]"],
                "c 1": ["d; extra == 'x'", "e; extra == 'y'"],
                "d 1": [],
                "e 1": [],
            },
            "a",
            "b",
        )

        assert found.problems == ()
        assert found.dependencies["c"] == ("d", "e")


class TestProvided:
    def test_packages_need_no_pin(self) -> None:
        packages = {"a 1": ["boto3>=99"]}

        assert audited(packages, "a", "six", provided=["boto3", "six"]).problems == ()

    def test_packages_lead_nowhere(self) -> None:
        packages = {"a 1": ["boto3"], "boto3 1": [], "b 1": []}

        found = audited(packages, "a", "b", provided=["boto3"])

        assert found.problems == ("boto3 1 is pinned, but nothing requires it",)


def test_circles_come_to_an_end() -> None:
    found = audited({"a 1": ["b"], "b 1": ["c"], "c 1": ["a", "c"]}, "a")

    assert found == Audit(
        dependencies={"a": ("b",), "b": ("c",), "c": ("a",)}, problems=()
    )


def test_long_chains_are_followed_to_their_end() -> None:
    length = 2000
    packages: dict[str, list[str]] = {
        f"p{at} 1": [f"p{at + 1}"] for at in range(length)
    }

    found = audited(packages, "p0")

    assert found.problems == (
        f"p{length - 1} needs p{length}, which is not among the pins",
    )


def test_a_pre_release_meets_what_it_is_pinned_for() -> None:
    assert audited({"a 2.0rc1": []}, "a>=1").problems == ()


def test_a_requirement_by_url_is_met_by_its_pin() -> None:
    url = "a @ https://example.org/a-1-py3-none-any.whl"

    assert audited({"a 1": []}, url).problems == ()


class TestMetadata:
    def test_is_read_from_its_headers(self) -> None:
        text = (
            "Metadata-Version: 2.4\nName: a\nRequires-Python: >=3.8\n"
            "Requires-Dist: b>1 ; python_version<'3.9'\nRequires-Dist: c\n\n"
            "Requires-Dist: not-this\n"
        )

        metadata = parse_metadata(text, "a.whl")

        assert metadata.requires_python == ">=3.8"
        assert list(map(str, metadata.requires)) == [
            'b>1; python_version < "3.9"',
            "c",
        ]

    def test_may_ask_for_nothing(self) -> None:
        assert parse_metadata("Name: a\n", "a.whl") == Metadata()

    def test_that_no_standard_reads_is_refused(self) -> None:
        with pytest.raises(LockError) as caught:
            parse_metadata("Requires-Dist: b (>dev)\n", "a.whl")

        assert caught.value.message == (
            "a.whl: its metadata can't be read: Expected matching RIGHT_PARENTHESIS "
            "for LEFT_PARENTHESIS, after version specifier"
        )
        assert caught.value.remedy == "Take another version of the package."


@pytest.mark.parametrize(
    ("tags", "expected"),
    [
        ("py3-none-any", True),
        ("py2.py3-none-any", True),
        ("cp311-cp311-manylinux_2_17_aarch64.manylinux2014_aarch64", True),
        ("cp311-cp311-manylinux_2_26_aarch64", True),
        ("cp311-cp311-manylinux_2_17_aarch64.manylinux_2_28_aarch64", True),
        ("cp39-abi3-manylinux2014_aarch64", True),
        ("cp311-cp311-linux_aarch64", True),
        ("cp311-cp311-manylinux_2_27_aarch64", False),
        ("cp311-cp311-manylinux2014_x86_64", False),
        ("cp312-cp312-manylinux2014_aarch64", False),
        ("cp312-abi3-manylinux2014_aarch64", False),
        ("cp311-cp311-musllinux_1_2_aarch64", False),
        ("py2-none-any", False),
    ],
)
def test_a_wheel_loads_by_its_tags(tags: str, *, expected: bool) -> None:
    assert loads(f"a-1-{tags}.whl", AL2) is expected
