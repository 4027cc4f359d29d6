from __future__ import annotations

import pytest

from layerforge.bases import without_provided
from layerforge.errors import LockError
from layerforge.lock import Lock, Pin


def pin(name: str, version: str = "1.0", *dependencies: str, location: str = "") -> Pin:
    return Pin(
        name=name,
        version=version,
        filename=f"{name}-{version}-py3-none-any.whl",
        url=f"https://index.example/{name}-{version}-py3-none-any.whl",
        digest="ab" * 32,
        location=location,
        dependencies=dependencies,
    )


def lock(layer: str, *pins: Pin, roots: tuple[str, ...] = ()) -> Lock:
    return Lock(
        layer=layer, target="python3.13-arm64", inputs="", roots=roots, pins=pins
    )


def refused(whole: Lock, *bases: Lock) -> LockError:
    with pytest.raises(LockError) as caught:
        without_provided(whole, bases)
    return caught.value


def test_a_lock_without_bases_is_what_it_was() -> None:
    whole = lock("web", pin("demo", "1.0", "helper"), pin("helper"))

    assert without_provided(whole, []) is whole


def test_what_a_base_has_is_left_out() -> None:
    whole = lock(
        "web", pin("demo", "1.0", "helper", "other"), pin("helper"), pin("other")
    )

    left = without_provided(whole, [lock("base", pin("helper"), pin("unused"))])

    assert left.pins == (pin("demo", "1.0", "other"), pin("other"))


def test_what_is_left_out_counts_as_provided() -> None:
    whole = lock("web", pin("demo"), pin("helper"), roots=("demo", "helper"))

    left = without_provided(whole, [lock("base", pin("helper"))])

    assert (left.roots, left.provided) == (("demo",), ("helper",))


def test_a_lock_that_leaves_more_to_its_base_has_another_digest() -> None:
    whole = lock("web", pin("demo"), pin("helper"))

    left = without_provided(whole, [lock("base", pin("helper"))])

    assert left.digest != whole.digest


def test_another_version_is_an_error_that_says_who_wants_what() -> None:
    old = pin("urllib3", "1.26")
    whole = lock("web", pin("botocore", "1.29", "urllib3"), old, roots=("botocore",))
    base = lock("base", pin("requests", "2.32", "urllib3"), pin("urllib3", "2.5"))

    error = refused(whole, base)

    assert error.message == (
        "web and base need different versions for python3.13-arm64:\n"
        "  urllib3: web has 1.26 (for botocore), base has 2.5 (for requests)"
    )
    assert error.remedy == (
        "Where base has changed since: layerforge lock web. Otherwise have one of them "
        "ask for urllib3 as both can have it, and lock both: layerforge lock base web"
    )


def test_requirements_of_the_layer_s_own_are_told_as_such() -> None:
    whole = lock("web", pin("six", "1.16"), roots=("six",))

    error = refused(whole, lock("base", pin("six", "1.17"), roots=("six",)))

    assert error.message.splitlines()[1:] == [
        (
            "  six: web has 1.16 (for its own requirements), "
            "base has 1.17 (for its own requirements)"
        )
    ]


def test_two_bases_must_agree_with_each_other() -> None:
    one, other = lock("base", pin("six", "1.16")), lock("more", pin("six", "1.17"))

    error = refused(lock("web", pin("demo")), one, other)

    assert error.message.startswith("base and more need different versions for ")
    assert error.remedy == (
        "Have one of them ask for six as both can have it, and lock both: "
        "layerforge lock more base"
    )


def test_two_bases_may_have_the_same() -> None:
    bases = [lock("base", pin("six")), lock("more", pin("six"))]

    left = without_provided(lock("web", pin("demo"), pin("six")), bases)

    assert left.pins == (pin("demo"),)


def test_a_package_of_npm_s_at_another_place_is_another() -> None:
    nested = pin("b", "1.0", location="node_modules/a/node_modules/b")
    base = lock("base", pin("b", "2.0", location="node_modules/b"))

    left = without_provided(lock("web", nested), [base])

    assert left.pins == (nested,)


def test_another_package_under_the_same_alias_is_an_error() -> None:
    mine = pin("b-fork", "1.0", location="node_modules/b")
    base = lock("base", pin("b", "1.0", location="node_modules/b"))

    error = refused(lock("web", mine), base)

    assert error.message.startswith("web and base need different versions for ")
