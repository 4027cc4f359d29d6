from __future__ import annotations

from layerforge.aws.functions import HeldLayer
from layerforge.aws.prune import plan_pruning
from layerforge.aws.usage import User
from layerforge.aws.versions import PublishedVersion
from layerforge.reports.usage import pruning_document, pruning_text
from tests.aws.deployed import WEB, a_function, a_version


def versions_of(*numbers: int, region: str = "eu-west-1") -> list[PublishedVersion]:
    return [a_version(version=number, region=region) for number in numbers]


def holder(
    version: PublishedVersion, name: str = "api", number: str = "$LATEST", *aliases: str
) -> User:
    function = a_function(
        name=name, version=number, aliases=aliases, region=version.region
    )
    return User(function=function, layer=HeldLayer(arn=version.arn))


def test_all_but_the_newest_go() -> None:
    found = versions_of(3, 10, 9, 1)

    pruning = plan_pruning(found, [], keep=2)

    assert [version.version for version in pruning.delete] == [3, 1]


def test_of_each_name_in_each_region_so_many_stay() -> None:
    found = [
        *versions_of(1, 2),
        *versions_of(5, 6, region="us-east-1"),
        a_version("data", 1),
        a_version("data", 2),
    ]

    pruning = plan_pruning(found, [], keep=1)

    assert [(one.layer, one.region, one.version) for one in pruning.delete] == [
        ("data", "eu-west-1", 1),
        (WEB, "eu-west-1", 1),
        (WEB, "us-east-1", 5),
    ]


def test_fewer_versions_than_stay_are_left_alone() -> None:
    assert plan_pruning(versions_of(1, 2), [], keep=5).delete == ()


def test_a_version_in_use_stays_and_is_told() -> None:
    one, two, three = versions_of(1, 2, 3)
    user = holder(two)

    pruning = plan_pruning([one, two, three], [user], keep=1)

    assert pruning.delete == (one,)
    assert pruning.in_use == {two: (user,)}


def test_a_version_in_use_in_another_region_is_another_version() -> None:
    here, there = versions_of(1), versions_of(1, 2, region="us-east-1")

    pruning = plan_pruning([*here, *there], [holder(here[0])], keep=1)

    assert pruning.delete == (there[0],)


def test_a_version_in_use_does_not_count_among_those_that_stay() -> None:
    found = versions_of(1, 2, 3, 4)

    pruning = plan_pruning(found, [holder(found[0])], keep=2)

    assert [version.version for version in pruning.delete] == [2]


def test_the_table_says_where_a_version_is_in_use() -> None:
    one, two, three = versions_of(1, 2, 3)
    users = [
        holder(two, "api", "4", "live"),
        holder(two, "jobs"),
        holder(two, "mail"),
        holder(two, "web"),
    ]

    text = pruning_text(plan_pruning([one, two, three], users, keep=1))

    assert text == (
        "Region     layer                version  created\n"
        "eu-west-1  web-python313-arm64        1  2026-11-23  delete\n"
        "eu-west-1  web-python313-arm64        2  2026-11-23  in use\n"
        "  web-python313-arm64:2 in eu-west-1 is held by api:4 (live), jobs, mail and "
        "1\n"
        "    more"
    )


def test_nothing_to_delete_is_said() -> None:
    text = pruning_text(plan_pruning(versions_of(1), [], keep=1))

    assert text == "nothing is old enough to go"


def test_the_document_has_exactly_what_would_be_deleted() -> None:
    one, two, three = versions_of(1, 2, 3)

    pruning = plan_pruning([one, two, three], [holder(two, "api", "4", "live")], keep=1)

    assert pruning_document(pruning) == {
        "delete": [one.arn],
        "in_use": [
            {
                "arn": two.arn,
                "users": [
                    {
                        "region": "eu-west-1",
                        "function": "api",
                        "version": "4",
                        "aliases": ["live"],
                        "runtime": "python3.13",
                        "architecture": "arm64",
                        "layer": two.arn,
                    }
                ],
            }
        ],
    }
