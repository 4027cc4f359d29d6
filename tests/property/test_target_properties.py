from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from layerforge.ecosystems.python.tags import uv_platform, wheel_tags
from layerforge.errors import ConfigError
from layerforge.target import Arch, Target, find_arch, find_runtime, load_runtimes

if TYPE_CHECKING:
    from layerforge.target import Runtime

RUNTIMES = list(load_runtimes().values())
STATES = ["supported", "deprecated", "blocked"]

EVERY_TARGET = [
    Target(runtime=runtime, arch=arch) for runtime in RUNTIMES for arch in Arch
]

runtimes = st.sampled_from(RUNTIMES)
targets = st.sampled_from(EVERY_TARGET)
python_targets = targets.filter(lambda target: target.runtime.language == "python")


@given(runtimes, st.lists(st.dates(min_value=date(2020, 1, 1)), min_size=2))
def test_a_runtime_s_state_only_ever_gets_worse(
    runtime: Runtime, days: list[date]
) -> None:
    states = [runtime.state(day) for day in sorted(days)]

    if runtime.preview:
        assert set(states) == {"preview"}
    else:
        assert states == sorted(states, key=STATES.index)


@given(targets, targets)
def test_targets_have_equal_names_only_if_they_are_equal(
    one: Target, other: Target
) -> None:
    same = one == other

    assert (str(one) == str(other)) == same
    assert (one.slug == other.slug) == same
    assert (hash(one) == hash(other)) or not same


@given(targets, targets)
def test_of_two_targets_one_is_first_or_they_are_equal(
    one: Target, other: Target
) -> None:
    assert [one < other, one == other, one > other].count(True) == 1


@given(st.permutations(EVERY_TARGET))
def test_sorted_targets_do_not_depend_on_the_order_they_came_in(
    shuffled: list[Target],
) -> None:
    assert sorted(shuffled) == sorted(EVERY_TARGET)


@given(st.text(max_size=40).filter(lambda name: name not in load_runtimes()))
def test_any_other_name_of_a_runtime_is_a_clear_error(name: str) -> None:
    with pytest.raises(ConfigError) as caught:
        find_runtime(name)

    assert caught.value.message == f"unknown runtime {name!r}"
    assert caught.value.remedy.endswith("`layerforge runtimes` lists them all.")


@given(st.text(max_size=40).filter(lambda name: name not in {"x86_64", "arm64"}))
def test_any_other_name_of_an_architecture_is_a_clear_error(name: str) -> None:
    with pytest.raises(ConfigError) as caught:
        find_arch(name)

    assert caught.value.message == f"unknown architecture {name!r}"
    assert caught.value.remedy.startswith("Lambda ")


@given(python_targets)
def test_no_tag_comes_twice(target: Target) -> None:
    tags = wheel_tags(target)

    assert len(set(tags)) == len(tags)


@given(python_targets)
def test_no_tag_asks_for_a_newer_glibc_or_another_machine(target: Target) -> None:
    for tag in wheel_tags(target):
        family, _, rest = tag.platform.partition("_")
        minor = rest.split("_")[1] if family == "manylinux" else "0"

        assert int(minor) <= target.runtime.glibc[1]
        assert tag.platform == "any" or rest.endswith(target.arch.machine)


@given(python_targets)
def test_a_wheel_for_a_newer_glibc_is_preferred(target: Target) -> None:
    own = [tag for tag in wheel_tags(target) if tag.abi == tag.interpreter]
    minors = [
        int(tag.platform.split("_")[2])
        for tag in own
        if tag.platform.startswith("manylinux_")
    ]

    assert minors == sorted(minors, reverse=True)
    assert minors[-1] == target.arch.oldest_manylinux


@given(python_targets)
def test_uv_s_platform_is_never_older_than_the_target(target: Target) -> None:
    machine, _, glibc = uv_platform(target).partition("-manylinux_2_")

    assert machine == target.arch.machine
    assert int(glibc) >= target.runtime.glibc[1]
