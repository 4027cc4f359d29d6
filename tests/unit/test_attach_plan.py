from __future__ import annotations

from dataclasses import replace

import pytest

from layerforge.aws.attachment import (
    Attachment,
    Wish,
    choose,
    plan_attachment,
    refusal,
)
from layerforge.aws.budget import Budget, Part
from layerforge.aws.functions import Function
from layerforge.aws.moves import Moves
from layerforge.aws.usage import User
from layerforge.errors import ConfigError
from layerforge.limits import MAX_UNZIPPED
from layerforge.reports.attachments import moves_text
from tests.aws.deployed import WEB, a_function, a_version, arn_of, meant


def small(function: Function) -> Budget:
    return of_sizes(function, 1)


def of_sizes(function: Function, *sizes: int | None) -> Budget:
    parts = tuple(
        Part(title=f"part{place}", zipped=1, unzipped=size)
        for place, size in enumerate(sizes)
    )
    return Budget(function=function, parts=parts)


def wish(version: int = 7, name: str = WEB, word: str = "web") -> Wish:
    return Wish(version=a_version(name, version), layers=meant(word))


def names(planned: Attachment) -> list[str]:
    return [str(layer) for layer in planned.after]


def test_a_layer_goes_behind_those_that_are_there() -> None:
    planned = plan_attachment(a_function("data:3"), [wish()], small)

    assert names(planned) == ["data:3", f"{WEB}:7"]
    assert planned.refusals == ()


def test_a_version_takes_the_place_of_another() -> None:
    function = a_function("a:1", f"{WEB}:6", "b:2")

    planned = plan_attachment(function, [wish()], small)

    assert names(planned) == ["a:1", f"{WEB}:7", "b:2"]


def test_a_version_takes_the_place_of_the_same_layer_for_another_runtime() -> None:
    function = a_function("a:1", "web-python312-arm64:31", "b:2")

    planned = plan_attachment(function, [wish()], small)

    assert names(planned) == ["a:1", f"{WEB}:7", "b:2"]


def test_a_layer_whose_name_begins_alike_is_another() -> None:
    function = a_function("web-api-python313-arm64:1")

    planned = plan_attachment(function, [wish()], small)

    assert names(planned) == ["web-api-python313-arm64:1", f"{WEB}:7"]


def test_a_layer_of_another_account_with_the_same_name_is_another() -> None:
    theirs = arn_of(WEB, 6, account="999999999999")

    planned = plan_attachment(a_function(theirs), [wish()], small)

    assert [layer.arn for layer in planned.after] == [theirs, arn_of(WEB, 7)]


def test_an_old_layer_of_somebody_elses_gives_way_where_that_is_asked() -> None:
    theirs = arn_of("web", 3, account="999999999999")
    asked = replace(wish(), old=meant(theirs))

    planned = plan_attachment(a_function("a:1", theirs), [asked], small)

    assert names(planned) == ["a:1", f"{WEB}:7"]


def test_what_is_held_already_changes_nothing_and_is_not_measured() -> None:
    def never(_function: Function) -> Budget:
        raise AssertionError

    planned = plan_attachment(a_function(f"{WEB}:7"), [wish()], never)

    assert not planned.changes


def test_a_sixth_layer_is_refused() -> None:
    function = a_function("a:1", "b:1", "c:1", "d:1", "e:1")

    planned = plan_attachment(function, [wish()], small)

    assert planned.refusals == (
        f"6 layers, where 5 are the most: a:1, b:1, c:1, d:1, e:1, {WEB}:7",
    )


def test_two_versions_of_one_layer_are_refused() -> None:
    planned = plan_attachment(a_function(), [wish(6), wish(7)], small)

    assert planned.refusals == (f"{WEB}:6 and {WEB}:7 are versions of one layer",)


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"runtime": "python3.12"}, "is for python3.13, the function python3.12"),
        ({"architecture": "x86_64"}, "is for arm64, the function x86_64"),
        ({"region": "us-east-1"}, "is in eu-west-1, the function us-east-1"),
    ],
)
def test_a_layer_for_something_else_is_refused(
    fields: dict[str, str], reason: str
) -> None:
    planned = plan_attachment(a_function(**fields), [wish()], small)

    assert planned.refusals == (f"{WEB}:7 {reason}",)


def test_a_layer_that_says_nothing_of_runtimes_is_for_all() -> None:
    asked = Wish(version=a_version(runtimes=(), architectures=()), layers=meant())

    planned = plan_attachment(a_function(runtime="provided.al2023"), [asked], small)

    assert planned.refusals == ()


def test_a_container_image_takes_no_layers() -> None:
    planned = plan_attachment(a_function(runtime=""), [wish()], small)

    assert planned.refusals == ("it is a container image, which holds no layers",)


def test_a_published_version_is_not_changed() -> None:
    planned = plan_attachment(a_function(version="3"), [wish()], small)

    assert planned.refusals == ("a published version can't be changed, only $LATEST",)


def test_a_function_that_fills_the_limit_exactly_is_not_refused() -> None:
    planned = plan_attachment(
        a_function(), [wish()], lambda function: of_sizes(function, MAX_UNZIPPED)
    )

    assert planned.refusals == ()


def test_one_byte_too_many_is_refused_with_the_bytes_of_each_part() -> None:
    planned = plan_attachment(
        a_function(), [wish()], lambda function: of_sizes(function, MAX_UNZIPPED, 1)
    )

    (text,) = planned.refusals
    assert text == (
        "262144000 bytes unzipped, 1 too many: code and layers must be smaller than "
        '262144000 together, Lambda\'s "250 MB" (part0 262143999, part1 1)'
    )


def test_it_is_measured_with_the_layers_that_it_will_hold() -> None:
    measured: list[Function] = []

    def measure(function: Function) -> Budget:
        measured.append(function)
        return small(function)

    plan_attachment(a_function(f"{WEB}:6"), [wish()], measure)

    assert [str(layer) for layer in measured[0].layers] == [f"{WEB}:7"]


def test_a_part_of_unknown_size_is_a_warning() -> None:
    planned = plan_attachment(
        a_function(),
        [wish()],
        lambda function: Budget(
            function=function, parts=(Part(title="gone:3", zipped=1, reason="deleted"),)
        ),
    )

    (text,) = planned.warnings
    assert text == (
        "api: how much gone:3 has unzipped isn't known (deleted); Lambda will say "
        "whether all fits"
    )


@pytest.mark.parametrize(
    ("runtime", "variable"), [("python3.13", "PYTHONPATH"), ("nodejs22.x", "NODE_PATH")]
)
def test_a_search_path_of_the_functions_own_is_a_warning(
    runtime: str, variable: str
) -> None:
    function = a_function(runtime=runtime, search_path="/var/task/lib")
    version = a_version(runtimes=(runtime,))

    planned = plan_attachment(function, [Wish(version=version, layers=meant())], small)

    (text,) = planned.warnings
    assert text == (
        f"api sets {variable} itself: /var/task/lib. The runtime then adds no folder "
        "of layers to it, and nothing of them is found"
    )


def test_a_search_path_that_names_the_layers_folder_is_fine() -> None:
    function = a_function(search_path="/var/task/lib:/opt/python")

    planned = plan_attachment(function, [wish()], small)

    assert planned.warnings == ()


def test_all_refusals_are_told_at_once() -> None:
    function = a_function(runtime="python3.12", architecture="x86_64")

    error = refusal(plan_attachment(function, [wish()], small))

    assert error is not None
    assert error.message == (
        "its layers stay as they are:\n"
        f"  {WEB}:7 is for python3.13, the function python3.12\n"
        f"  {WEB}:7 is for arm64, the function x86_64"
    )
    assert error.remedy == (
        "See what it holds: layerforge budget --function api --region eu-west-1"
    )


def test_the_table_says_what_changes_and_what_stays() -> None:
    one = plan_attachment(a_function(f"{WEB}:6"), [wish()], small)
    two = plan_attachment(a_function(name="jobs", runtime="python3.9"), [wish()], small)
    fixed = User(
        function=a_function(version="3", aliases=("live",)), layer=wish(6).layer
    )
    moves = Moves(planned=(one, two), fixed=(fixed,), failures={})

    assert moves_text(moves) == (
        "Region     function  layer                now  then\n"
        "eu-west-1  api       web-python313-arm64    6     7  ok\n"
        "eu-west-1  jobs      web-python313-arm64          7  refused\n"
        "  api:3 (alias live) in eu-west-1 keeps web-python313-arm64:6: a published\n"
        "    version can't be changed, publish a new one"
    )


def test_the_table_fits_80_columns() -> None:
    version = a_version("l" * 140, 1000, region="ap-northeast-1")
    asked = Wish(version=version, layers=meant())
    function = a_function(name="f" * 64, region="ap-northeast-1", version="9")
    moves = Moves(planned=(plan_attachment(function, [asked], small),), failures={})

    assert max(map(len, moves_text(moves).splitlines())) <= 80


def test_the_version_for_the_functions_runtime_is_chosen() -> None:
    other = a_version("web-python312-arm64", 9, runtimes=("python3.12",))

    chosen = choose(a_function(), meant(), [other, a_version()])

    assert chosen.version == a_version()


def test_a_layer_without_a_version_for_the_runtime_is_an_error() -> None:
    others = [
        a_version("web-python311-arm64", 9, runtimes=("python3.11",)),
        a_version("web-python312-arm64", 4, runtimes=("python3.12",)),
    ]

    with pytest.raises(ConfigError) as caught:
        choose(a_function(), meant(), others)

    assert caught.value.message == (
        "of web's layers, none is for api in eu-west-1, which runs python3.13 on "
        "arm64: web-python311-arm64:9, web-python312-arm64:4"
    )
    assert caught.value.remedy == "Publish it for that runtime and architecture."


def test_two_versions_that_would_do_are_an_error() -> None:
    with pytest.raises(ConfigError) as caught:
        choose(a_function(), meant(), [a_version("web-a"), a_version("web-b")])

    assert caught.value.message == (
        "of web's layers, more than one is for api in eu-west-1, which runs python3.13 "
        "on arm64: web-a:7, web-b:7"
    )
    assert caught.value.remedy == "Name the one that is meant, as it is called on AWS."
