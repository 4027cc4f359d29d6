"""Limits, budgets and runtimes, judged by numbers alone."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest

import layerforge
from layerforge.check import (
    Bound,
    Kind,
    Part,
    Size,
    Standing,
    Survey,
    Told,
    gather,
    judge_function,
    judge_layer,
    judge_runtime,
    sum_of,
)
from layerforge.findings import Finding, Severity, load_checks
from layerforge.limits import MAX_UNZIPPED, UNZIPPED_LIMIT
from layerforge.target import find_runtime

NEAR = MAX_UNZIPPED // 50
PARTS = (
    Part(title="pandas", size=Size(bytes=60 << 20)),
    Part(title="pyarrow", size=Size(bytes=140 << 20)),
    Part(title="six", size=Size(bytes=1 << 20)),
    Part(title="numpy", size=Size(bytes=49 << 20)),
)
LARGEST = "The largest: pyarrow 140.0 MiB, pandas 60.0 MiB, numpy 49.0 MiB"


def layer(size: int, bound: Bound = Bound.EXACT, most: int = MAX_UNZIPPED) -> Standing:
    return Standing(
        kind=Kind.LAYER,
        name="web",
        target="python3.13-arm64",
        parts=PARTS,
        size=Size(bytes=size, bound=bound),
        most=most,
    )


def function(*sizes: int, code: int = 0, bound: Bound = Bound.EXACT) -> Standing:
    parts = (
        Part(title="code", size=Size(bytes=code)),
        *(
            Part(title=f"layer{number}", size=Size(bytes=size, bound=bound))
            for number, size in enumerate(sizes)
        ),
    )
    return Standing(
        kind=Kind.FUNCTION,
        name="api",
        target="python3.13-arm64",
        parts=parts,
        size=sum_of(parts),
    )


def finding(severity: Severity, check: str = "size", waived: str = "") -> Finding:
    return Finding(check=check, severity=severity, message="m", waived=waived)


def status(*findings: Finding, strict: bool = False) -> int:
    told = tuple(Told(about="web", table="layers.web", finding=one) for one in findings)
    return Survey(layers=(), functions=(), told=told).status(strict=strict)


class TestLayer:
    def test_one_byte_less_than_the_limit_is_well(self) -> None:
        assert list(judge_layer(layer(MAX_UNZIPPED))) == []

    def test_the_limit_itself_is_too_much(self) -> None:
        (found,) = judge_layer(layer(UNZIPPED_LIMIT))

        assert found.is_error
        assert found.check == "size"
        assert found.message == (
            "it has 262,144,000 bytes (250.0 MiB) unzipped, 1 too many: Lambda's "
            '"250 MB" are 262,144,000 bytes, and a layer must be smaller. ' + LARGEST
        )

    def test_a_limit_of_the_users_own_is_told_as_such(self) -> None:
        (found,) = judge_layer(layer(1001, most=1000))

        assert found.message == (
            "it has 1,001 bytes unzipped, 1 more than max-unzipped allows: 1,000. "
            + LARGEST
        )

    @pytest.mark.parametrize("over", [-NEAR, 0, 1, NEAR])
    def test_a_prediction_near_the_limit_is_a_warning(self, over: int) -> None:
        (found,) = judge_layer(layer(MAX_UNZIPPED + over, Bound.ABOUT))

        assert (found.check, found.severity) == ("near-limit", Severity.WARNING)

    def test_a_prediction_near_the_limit_says_what_tells(self) -> None:
        (found,) = judge_layer(layer(MAX_UNZIPPED - 9, Bound.ABOUT))

        assert found.message == (
            "it has about 262,143,990 bytes (250.0 MiB) unzipped, 9 less than the "
            "262,143,999 that it may have: only a build tells. " + LARGEST
        )
        assert found.remedy == (
            "Build, and take the sizes: layerforge build web && layerforge lock web"
        )

    def test_a_prediction_well_below_the_limit_is_well(self) -> None:
        assert list(judge_layer(layer(MAX_UNZIPPED - NEAR - 1, Bound.ABOUT))) == []

    def test_a_prediction_far_above_the_limit_is_an_error(self) -> None:
        (found,) = judge_layer(layer(MAX_UNZIPPED + NEAR + 1, Bound.ABOUT))

        assert found.is_error

    def test_what_a_layer_has_at_most_may_turn_out_less(self) -> None:
        (found,) = judge_layer(layer(2 * UNZIPPED_LIMIT, Bound.AT_MOST))

        assert (found.check, found.severity) == ("near-limit", Severity.WARNING)

    def test_what_a_layer_has_at_least_it_has(self) -> None:
        (found,) = judge_layer(layer(UNZIPPED_LIMIT, Bound.AT_LEAST))

        assert found.is_error

    def test_a_layer_that_is_divided_may_be_larger(self) -> None:
        (found,) = judge_layer(layer(UNZIPPED_LIMIT), divided=True)

        assert found.severity is Severity.WARNING

    def test_a_layer_of_unknown_size_is_not_judged(self) -> None:
        assert list(judge_layer(replace(layer(0), size=None))) == []


class TestFunction:
    def test_code_and_layers_may_have_one_byte_less_than_the_limit(self) -> None:
        assert list(judge_function(function(MAX_UNZIPPED - 5, code=5))) == []

    def test_code_counts_as_layers_do(self) -> None:
        (found,) = judge_function(function(MAX_UNZIPPED, code=10 << 20))

        assert (found.check, found.is_error) == ("budget", True)
        assert found.message == (
            "with its layers it has 272,629,759 bytes (260.0 MiB) unzipped, 10,485,760 "
            'too many: Lambda\'s "250 MB" are 262,144,000 bytes for all together. The '
            "largest: layer0 250.0 MiB, code 10.0 MiB"
        )

    def test_what_has_next_to_nothing_is_not_named_as_large(self) -> None:
        (found,) = judge_function(function(MAX_UNZIPPED, 1, code=1))

        assert found.message.endswith("The largest: layer0 250.0 MiB")

    def test_five_layers_are_well(self) -> None:
        assert list(judge_function(function(1, 1, 1, 1, 1))) == []

    def test_a_sixth_layer_is_an_error(self) -> None:
        (found,) = judge_function(function(1, 1, 1, 1, 1, 1))

        assert (found.check, found.is_error) == ("layer-count", True)
        assert found.message == (
            "it has 6 layers, and Lambda takes 5: layer0, layer1, layer2, layer3, "
            "layer4, layer5"
        )

    def test_each_zip_of_a_divided_layer_is_one(self) -> None:
        one = function(1, 1, 1)
        divided = replace(one.parts[1], zips=4)

        (found,) = judge_function(
            replace(one, parts=(one.parts[0], divided, *one.parts[2:]))
        )

        assert found.message == (
            "it has 6 layers, and Lambda takes 5: layer0 (4 zips), layer1, layer2"
        )

    def test_predictions_near_the_limit_are_a_warning(self) -> None:
        (found,) = judge_function(function(MAX_UNZIPPED, code=9, bound=Bound.ABOUT))

        assert (found.check, found.severity) == ("near-limit", Severity.WARNING)
        assert found.remedy.endswith(
            "layerforge build layer0 && layerforge lock layer0"
        )


class TestSum:
    def test_is_exact_where_all_parts_are(self) -> None:
        assert sum_of(PARTS) == Size(bytes=250 << 20)

    @pytest.mark.parametrize(
        ("bounds", "bound"),
        [
            ([Bound.EXACT, Bound.ABOUT], Bound.ABOUT),
            ([Bound.EXACT, Bound.AT_LEAST], Bound.AT_LEAST),
            ([Bound.EXACT, Bound.AT_MOST], Bound.AT_MOST),
            ([Bound.ABOUT, Bound.AT_LEAST], Bound.ABOUT),
            ([Bound.AT_MOST, Bound.AT_LEAST], Bound.PERHAPS),
        ],
    )
    def test_is_as_sure_as_its_parts(self, bounds: list[Bound], bound: Bound) -> None:
        parts = [Part(title="a", size=Size(bytes=1, bound=each)) for each in bounds]

        assert sum_of(parts) == Size(bytes=2, bound=bound)

    def test_is_at_least_what_is_known(self) -> None:
        parts = [*PARTS[:1], Part(title="theirs", size=None)]

        assert sum_of(parts) == Size(bytes=60 << 20, bound=Bound.AT_LEAST)


class TestRuntime:
    def test_a_supported_runtime_is_well(self) -> None:
        runtime = find_runtime("python3.13")

        assert list(judge_runtime(runtime, date(2026, 11, 23))) == []

    def test_a_deprecated_runtime_is_told_with_its_days(self) -> None:
        runtime = replace(
            find_runtime("python3.9"),
            deprecated=date(2025, 12, 15),
            blocks_create=date(2026, 6, 1),
            blocks_update=date(2026, 7, 1),
        )

        (found,) = judge_runtime(runtime, date(2026, 6, 1))

        assert (found.check, found.severity) == ("runtime", Severity.WARNING)
        assert found.message == (
            "deprecated since 2025-12-15: functions get no patches, none can be "
            "created since 2026-06-01, none can be updated from 2026-07-01 on"
        )

    def test_a_runtime_is_deprecated_on_its_day(self) -> None:
        runtime = replace(find_runtime("python3.9"), deprecated=date(2026, 1, 1))

        assert list(judge_runtime(runtime, date(2025, 12, 31))) == []
        assert list(judge_runtime(runtime, date(2026, 1, 1))) != []


class TestGather:
    def test_what_is_wrong_alike_with_several_targets_is_told_once(self) -> None:
        one = replace(layer(1), findings=(finding(Severity.ERROR),))
        others = [replace(one, target=f"python3.{minor}-arm64") for minor in (11, 12)]

        (told,) = gather([one, *others])

        assert told.about == "web for python3.13-arm64 and 2 other targets"

    def test_what_is_wrong_otherwise_is_told_apart(self) -> None:
        one = replace(layer(1), findings=(finding(Severity.ERROR),))
        other = replace(one, findings=(finding(Severity.ERROR, check="weights"),))

        assert len(gather([one, other])) == 2


class TestStatus:
    def test_is_0_where_nothing_is_wrong(self) -> None:
        assert status() == 0

    def test_of_a_stale_lock_is_3(self) -> None:
        assert status(finding(Severity.ERROR, "lock-stale")) == 3

    def test_of_a_limit_is_5(self) -> None:
        assert status(finding(Severity.ERROR)) == 5

    def test_is_the_lowest_that_applies(self) -> None:
        stale = finding(Severity.ERROR, "lock-missing")

        assert status(finding(Severity.ERROR), stale) == 3

    def test_warnings_and_notes_are_no_errors(self) -> None:
        assert status(finding(Severity.WARNING), finding(Severity.NOTE)) == 0

    def test_strict_counts_warnings(self) -> None:
        assert status(finding(Severity.WARNING), strict=True) == 5

    def test_strict_counts_no_notes(self) -> None:
        assert status(finding(Severity.NOTE), strict=True) == 0

    @pytest.mark.parametrize("severity", [Severity.ERROR, Severity.WARNING])
    def test_what_is_waived_does_not_count(self, severity: Severity) -> None:
        assert status(finding(severity, "code", waived="known"), strict=True) == 0


def test_no_build_is_asked_for_what_check_alone_finds() -> None:
    """Else a waiver that check needs is told to be of no use."""
    package = Path(layerforge.__file__).parent
    emitted: dict[str, set[bool]] = {}
    for path in package.rglob("*.py"):
        in_check = path.is_relative_to(package / "check")
        for name in re.findall(r'\bcheck="([a-z0-9-]+)"', path.read_text("utf-8")):
            emitted.setdefault(name, set()).add(in_check)
    ours = [load_checks()[name] for name, places in emitted.items() if places == {True}]

    assert [
        each.id for each in ours if each.waivable and each.found_by == "build"
    ] == []
    assert "bases" in {each.id for each in ours}


@pytest.mark.parametrize("name", ["lock-missing", "lock-stale", "budget", "size"])
def test_locks_and_limits_cannot_be_waived(name: str) -> None:
    assert not load_checks()[name].waivable
