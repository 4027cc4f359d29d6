"""Hints: every row of data/development.toml by its own examples, and what wins."""

from __future__ import annotations

import pytest

from layerforge.containers.hints import (
    Development,
    Hint,
    Sign,
    developments,
    hint,
    signs,
)
from layerforge.fields import Fields, Problems
from layerforge.project import read_system_packages


@pytest.mark.parametrize("sign", signs(), ids=lambda sign: sign.pattern.pattern)
def test_a_sign_names_what_is_missing(sign: Sign) -> None:
    found = [sign.pattern.search(example) for example in sign.examples]

    assert found
    assert {match["name"] for match in found if match} == {sign.name}
    assert None not in found


@pytest.mark.parametrize("row", developments(), ids=lambda row: row.hint.what)
def test_what_is_printed_leads_to_the_package(row: Development) -> None:
    assert row.examples
    assert row.hint.apt
    assert [hint([example]) for example in row.examples] == [row.hint] * len(
        row.examples
    )


def test_names_are_unique() -> None:
    assert len({row.hint.what for row in developments()}) == len(developments())


def test_the_last_known_package_counts() -> None:
    lines = (
        "checking for libpq-fe.h... fatal error: libpq-fe.h: No such file or directory",
        "zlib.c:1:10: fatal error: zlib.h: No such file or directory",
        "error: command '/usr/bin/gcc' failed with exit code 1",
        "note: This error originates from a subprocess, and is likely not a problem",
    )

    found = hint(lines)

    assert found is not None
    assert found.what == "zlib"
    assert found.remedy == (
        "It seems to lack zlib. Name it in the layer: system-packages = "
        '{dnf = ["zlib-devel"], apt = ["zlib1g-dev"]}.'
    )


def test_a_known_package_says_more_than_the_network() -> None:
    lines = (
        "Could NOT find ZLIB (missing: ZLIB_LIBRARY)",
        "CMake Error: Could not resolve host: github.com",
        "fatal error: my/own.h: No such file or directory",
    )

    found = hint(lines)

    assert found is not None
    assert found.what == "zlib"


def test_the_network_says_more_than_a_name_that_nobody_knows() -> None:
    lines = (
        "WARNING: Retrying: [Errno -3] Temporary failure in name resolution",
        "fatal error: my/own.h: No such file or directory",
    )

    found = hint(lines)

    assert found is not None
    assert found.remedy == (
        "It asked for the network, which is off while packages are compiled: "
        "[containers] compile-network = true allows it."
    )


def test_a_network_that_was_on_is_not_what_lacks() -> None:
    lines = ("fatal: unable to access: Could not resolve host: example.org",)

    assert hint(lines, network=True) is None


@pytest.mark.parametrize(
    ("line", "what"),
    [
        ("a.c:1:10: fatal error: my/own.h: No such file", None),
        (
            "a.c:1:10: fatal error: my/own.h: No such file or directory",
            "the header my/own.h",
        ),
        ("/usr/bin/ld: cannot find -lmine", "the library mine"),
        ("No package 'mine' found", "the module mine"),
        ("/bin/sh: 1: mine-config: not found", "the program mine-config"),
        ("FileNotFoundError: [Errno 2] No such file or directory: 'mine.txt'", None),
        ("error: command '/usr/bin/gcc' failed with exit code 1", None),
        ("ERROR: Failed building wheel for mysqlclient", None),
        ("", None),
    ],
)
def test_a_name_that_nobody_knows_is_still_said(line: str, what: str | None) -> None:
    found = hint([line])

    assert (found and found.what) == what


def test_of_what_nobody_knows_the_package_is_to_be_found() -> None:
    assert Hint(what="the header my.h").remedy == (
        "It seems to lack the header my.h. Find the package of the image's system that "
        'has it, and name it in the layer: system-packages = {dnf = ["..."], '
        'apt = ["..."]}.'
    )


def test_what_amazon_linux_has_no_package_of_needs_another_image() -> None:
    assert Hint(what="GEOS", apt=("libgeos-dev", "libgeos++-dev")).remedy == (
        "It seems to lack GEOS. Name it in the layer: system-packages = "
        '{apt = ["libgeos-dev", "libgeos++-dev"]}. Amazon Linux has no package of it: '
        "use an image that has it ([containers] image), or a version of the package "
        "that has a wheel."
    )


def test_packages_are_named_as_a_layer_may_name_them() -> None:
    document = {
        "layers": {
            row.hint.what: {
                "system-packages": {
                    "dnf": list(row.hint.dnf),
                    "apt": list(row.hint.apt),
                }
            }
            for row in developments()
        }
    }
    problems = Problems()

    for name, layer in Fields(document, "", problems).tables("layers", ".*"):
        assert read_system_packages(layer).apt, name

    problems.refuse("development.toml")
