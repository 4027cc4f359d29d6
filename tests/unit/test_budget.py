from __future__ import annotations

import pytest

from layerforge.aws.budget import Budget, Part, explain
from layerforge.limits import MAX_UNZIPPED, UNZIPPED_LIMIT
from layerforge.reports.budget import budget_document, budget_text
from tests.aws.deployed import a_function, arn_of

LIMIT = (
    'Lambda\'s "250 MB" are 262144000 bytes, and a function with its layers must be '
    "smaller."
)


def a_budget(*parts: Part) -> Budget:
    return Budget(function=a_function(), parts=parts)


CODE = Part(title="code", zipped=1_500, unzipped=4_000)
WEB = Part(title="web:7", zipped=30_000, unzipped=96_000, arn=arn_of("web", 7))
GONE = Part(title="gone:3", zipped=70, arn=arn_of("gone", 3), reason="deleted")


@pytest.mark.parametrize(
    ("message", "meaning"),
    [
        pytest.param(
            "Unzipped size must be smaller than 262144000 bytes",
            f"That is all there is for a zip, and for code and layers. {LIMIT}",
            id="a layer, or code without layers",
        ),
        pytest.param(
            "Unzipped size must be smaller than 53642504 bytes",
            "53642504 bytes are what the function's layers leave: they have 208501496 "
            "unzipped, of 262144000. The code must be smaller than the rest, or a "
            "layer must go.",
            id="code beside layers",
        ),
        pytest.param(
            "Function code combined with layers exceeds the maximum allowed size of "
            "262144000 bytes. The actual size is 262144001 bytes.",
            "The code and all layers have 262144001 bytes together, unzipped: 2 too "
            f"many. {LIMIT}",
            id="all together",
        ),
        pytest.param(
            "Layers consume more than the available size of 262144000 bytes",
            "The layers alone have 262144000 bytes or more, unzipped; the code comes "
            f"on top. {LIMIT}",
            id="layers alone",
        ),
        pytest.param("The role can't be assumed", "", id="of something else"),
    ],
)
def test_a_message_of_the_services_is_explained_in_bytes(
    message: str, meaning: str
) -> None:
    assert explain(message) == meaning


def test_the_limit_itself_is_one_byte_too_many() -> None:
    budget = a_budget(Part(title="code", zipped=1, unzipped=UNZIPPED_LIMIT))

    assert budget.left == -1


def test_one_byte_below_the_limit_leaves_nothing() -> None:
    budget = a_budget(Part(title="code", zipped=1, unzipped=MAX_UNZIPPED))

    assert budget.left == 0


def test_a_budget_is_told_part_by_part() -> None:
    assert budget_text(a_budget(CODE, WEB)) == (
        "api (python3.13, arm64) in eu-west-1\n"
        "  part   zipped  unzipped  share\n"
        "  code    1,500     4,000   4.0%\n"
        "  web:7  30,000    96,000  96.0%\n"
        "  unzipped 100,000 bytes (0.1 MiB), 0.0% of Lambda's limit\n"
        "  262,043,999 bytes are left"
    )


def test_with_a_part_of_unknown_size_the_sum_is_at_least_the_rest() -> None:
    assert budget_text(a_budget(CODE, GONE)) == (
        "api (python3.13, arm64) in eu-west-1\n"
        "  part    zipped  unzipped   share\n"
        "  code     1,500     4,000  100.0%\n"
        "  gone:3      70         ?\n"
        "  unzipped at least 4,000 bytes (0.0 MiB), 0.0% of Lambda's limit\n"
        "  at most 262,139,999 bytes are left\n"
        "  gone:3: not known: deleted"
    )


def test_too_many_bytes_are_told_as_that() -> None:
    large = Part(title="code", zipped=1, unzipped=UNZIPPED_LIMIT + 9)

    assert budget_text(a_budget(large)).splitlines()[-1] == "  10 bytes too many"


def test_the_table_fits_80_columns() -> None:
    wide = Part(title="w" * 140 + ":12345", zipped=52_428_800, unzipped=262_143_999)

    text = budget_text(a_budget(wide, GONE))

    assert max(map(len, text.splitlines())) <= 80


def test_the_document_has_null_for_what_is_not_known() -> None:
    document = budget_document(a_budget(CODE, GONE))

    assert document == {
        "function": "api",
        "version": "$LATEST",
        "region": "eu-west-1",
        "unzipped": 4_000,
        "limit": 262_144_000,
        "left": 262_139_999,
        "parts": [
            {
                "title": "code",
                "zipped": 1_500,
                "unzipped": 4_000,
                "arn": "",
                "reason": "",
            },
            {
                "title": "gone:3",
                "zipped": 70,
                "unzipped": None,
                "arn": arn_of("gone", 3),
                "reason": "deleted",
            },
        ],
    }
