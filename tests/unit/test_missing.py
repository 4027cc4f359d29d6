from __future__ import annotations

import re

import pytest

from layerforge.target import Arch, Target, find_runtime, host_libraries
from layerforge.verify.missing import Bringer, listed, load_bringers, remedies_for

IMAGES = [
    host_libraries(Target(runtime=find_runtime(runtime), arch=arch))
    for runtime in ("python3.11", "python3.13")
    for arch in Arch
]


@pytest.mark.parametrize("row", load_bringers(), ids=lambda row: row.names[0])
def test_a_row_is_of_libraries_that_an_image_lacks(row: Bringer) -> None:
    remedy = row.remedy.format(names="libx.so.1", them="it")

    assert row.why.endswith(".")
    assert remedy.endswith(".")
    assert not re.search(r"[{}]", remedy)
    for library in IMAGES[0].intersection(*IMAGES):
        assert not row.fits(library, "python/cv2/cv2.abi3.so")


def test_the_first_row_that_fits_is_told() -> None:
    missed = ["libGL.so.1"]

    (opencv,) = remedies_for(missed, "python/cv2/cv2.abi3.so")
    (other,) = remedies_for(missed, "python/demo/_a.so")

    assert opencv.startswith("Take opencv-python-headless instead of opencv-python")
    assert other.startswith("Lambda has no display")


def test_libraries_of_one_remedy_are_told_together() -> None:
    names = ["libSM.so.6", "liba.so.1", "libX11.so.6"]

    assert list(remedies_for(names, "python/demo/_a.so").values()) == [
        ("libSM.so.6", "libX11.so.6"),
        ("liba.so.1",),
    ]


@pytest.mark.parametrize(
    ("names", "remedy"),
    [
        (
            ["liba.so.1"],
            (
                "Add a package that brings liba.so.1, or copy it into the layer's lib/ "
                "with include."
            ),
        ),
        (
            ["liba.so.1", "libb.so.1"],
            (
                "Add a package that brings liba.so.1 and libb.so.1, or copy them into "
                "the layer's lib/ with include."
            ),
        ),
        (
            ["libodbc.so.2", "libodbcinst.so.2"],
            (
                "Amazon Linux has libodbc.so.2 and libodbcinst.so.2 in unixODBC: copy "
                "them into the layer's lib/ with include, and the driver of the "
                "database as well."
            ),
        ),
    ],
)
def test_a_remedy_speaks_of_one_or_of_several(names: list[str], remedy: str) -> None:
    assert list(remedies_for(names, "python/demo/_a.so")) == [remedy]


def test_nothing_is_missed_where_nothing_is_missing() -> None:
    assert remedies_for([], "python/demo/_a.so") == {}


@pytest.mark.parametrize(
    ("names", "text"),
    [(("a",), "a"), (("a", "b"), "a and b"), (("a", "b", "c"), "a, b and c")],
)
def test_names_are_written_as_a_sentence_has_them(
    names: tuple[str, ...], text: str
) -> None:
    assert listed(names) == text
