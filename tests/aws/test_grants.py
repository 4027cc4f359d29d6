"""Grants, on MiniStack, and on a server that says what only Lambda does."""

from __future__ import annotations

import io
import json
import zipfile
from typing import Any

import pytest

from layerforge.aws.grants import Grant, Policy, apply_grants, read_grants, read_policy
from layerforge.aws.session import Session
from layerforge.errors import ConfigError, PublishError
from layerforge.events import Event, Noted
from tests.aws.proxy import Fault, FaultProxy
from tests.aws.servers import Recorded, Reply, Server, failure, session

REGION = "eu-west-1"
ARN = "arn:aws:lambda:eu-west-1:123456789012:layer:web:7"
POLICY = "/2018-10-31/layers/web/versions/7/policy"
FRIEND = "222233334444"
ORGANISATION = "org:o-a1b2c3d4e5"


@pytest.fixture
def arn(ministack: Server) -> str:
    """A version that nobody else may use."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("python/demo.py", "x = 1\n")
    answer = session(ministack.url).call(
        "lambda",
        REGION,
        "publish_layer_version",
        LayerName="web",
        Content={"ZipFile": stream.getvalue()},
    )
    return str(answer["LayerVersionArn"])


def statements(speaker: Session, layer: str) -> list[dict[str, Any]]:
    """Give the statements of version 1 as AWS has them."""
    answer = speaker.call(
        "lambda", REGION, "get_layer_version_policy", LayerName=layer, VersionNumber=1
    )
    found: list[dict[str, Any]] = json.loads(answer["Policy"])["Statement"]
    return found


def policy(
    *grants: str, revision: str = "r1", other: dict[str, Any] | None = None
) -> Reply:
    """Answer with a policy of grants as Lambda writes them, and another statement."""
    rows: list[dict[str, Any]] = [
        {
            "Sid": grant.statement_id,
            "Effect": "Allow",
            "Principal": {"AWS": f"arn:aws:iam::{grant.account}:root"}
            if grant.account != "*"
            else "*",
            "Action": "lambda:GetLayerVersion",
            "Resource": ARN,
        }
        for grant in read_grants(grants)
    ]
    rows += [other] if other else []
    text = json.dumps({"Version": "2012-10-17", "Statement": rows})
    return Reply(body={"Policy": text, "RevisionId": revision})


ADDED = Reply(status=201, body={"Statement": "{}", "RevisionId": "r2"})
NO_POLICY = failure(404, "ResourceNotFoundException", "No policy is associated.")


@pytest.mark.parametrize(
    ("text", "grant", "statement_id"),
    [
        (FRIEND, Grant(account=FRIEND), "layerforge-222233334444"),
        (
            ORGANISATION,
            Grant(account="*", organisation="o-a1b2c3d4e5"),
            "layerforge-o-a1b2c3d4e5",
        ),
        ("public", Grant(account="*"), "layerforge-public"),
    ],
)
def test_a_grant_has_a_statement_of_its_own(
    text: str, grant: Grant, statement_id: str
) -> None:
    assert read_grants([text]) == (grant,)
    assert grant.statement_id == statement_id
    assert str(grant) == text


@pytest.mark.parametrize("texts", [[], ["private"], ["private", "private"]])
def test_private_is_no_grant(texts: list[str]) -> None:
    assert read_grants(texts) == ()


def test_all_that_are_no_grants_are_named_at_once() -> None:
    with pytest.raises(ConfigError) as caught:
        read_grants(["12345", FRIEND, "org:mine"])

    assert caught.value.message == "12345, org:mine: no such grant"
    assert caught.value.remedy == (
        "A grant is private, public, an account (123456789012), or an organisation "
        "(org:o-a1b2c3d4e5)."
    )


def test_private_and_another_grant_contradict_each_other() -> None:
    with pytest.raises(ConfigError) as caught:
        read_grants(["private", FRIEND])

    assert caught.value.message == f"private is granted together with {FRIEND}"


def test_a_version_has_the_grants_that_were_asked_for(
    ministack: Server, arn: str
) -> None:
    speaker = session(ministack.url)
    grants = read_grants([FRIEND, ORGANISATION])

    applied = apply_grants(speaker, arn, grants)

    assert set(applied.grants.values()) == set(grants)
    account, organisation = sorted(
        statements(speaker, "web"), key=lambda row: str(row["Sid"])
    )
    assert account["Principal"] == {"AWS": f"arn:aws:iam::{FRIEND}:root"}
    assert organisation["Principal"] == "*"
    assert organisation["Condition"] == {
        "StringEquals": {"aws:PrincipalOrgID": "o-a1b2c3d4e5"}
    }


def test_granting_again_changes_nothing(ministack: Server, arn: str) -> None:
    speaker = session(ministack.url)
    first = apply_grants(speaker, arn, read_grants([FRIEND]))

    second = apply_grants(speaker, arn, read_grants([FRIEND]))

    assert second == first


@pytest.mark.parametrize("fault", Fault, ids=lambda fault: fault.name.lower())
def test_a_fault_leaves_no_grant_out_and_none_twice(
    ministack: Server, arn: str, fault: Fault
) -> None:
    grants = read_grants([FRIEND, ORGANISATION])

    with FaultProxy(ministack.port) as proxy:
        proxy.fail("POST", "/policy", fault)
        apply_grants(session(proxy.url), arn, grants)

    assert proxy.suffered == [fault]
    names = [row["Sid"] for row in statements(session(ministack.url), "web")]
    assert sorted(names) == [grant.statement_id for grant in sorted(grants, key=str)]


def test_public_is_refused_where_nobody_agreed(ministack: Server, arn: str) -> None:
    speaker = session(ministack.url)

    with pytest.raises(PublishError) as caught:
        apply_grants(speaker, arn, read_grants(["public"]))

    assert caught.value.message == (
        f"{arn} would be public: every AWS account could use and download it"
    )
    assert caught.value.remedy == "If that is meant, say so with --yes."
    assert read_policy(speaker, arn).grants == {}


def test_public_is_granted_where_somebody_agreed(ministack: Server, arn: str) -> None:
    speaker = session(ministack.url)

    apply_grants(speaker, arn, read_grants(["public"]), public=True)

    [statement] = statements(speaker, "web")
    assert statement["Principal"] == "*"
    assert "Condition" not in statement


def test_what_nobody_asked_for_stays_and_is_told(ministack: Server, arn: str) -> None:
    speaker = session(ministack.url)
    apply_grants(speaker, arn, read_grants([FRIEND]))
    events: list[Event] = []

    applied = apply_grants(speaker, arn, (), events.append)

    assert set(applied.grants.values()) == {Grant(account=FRIEND)}
    assert events == [
        Noted(
            message=f"{arn} stays granted to {FRIEND}, which nobody asked for",
            warning=True,
        )
    ]


def test_a_statement_of_another_kind_is_named(recorded: Recorded) -> None:
    foreign = {"Sid": "by-hand", "Effect": "Allow", "Principal": {"Service": "x"}}
    recorded.when("GET", POLICY, policy(FRIEND, other=foreign))
    events: list[Event] = []

    apply_grants(session(recorded.url), ARN, read_grants([FRIEND]), events.append)

    assert events == [
        Noted(
            message=f"{ARN} stays granted to by-hand, which nobody asked for",
            warning=True,
        )
    ]


def test_a_grant_by_another_statement_is_not_given_twice(recorded: Recorded) -> None:
    by_hand = {
        "Sid": "by-hand",
        "Effect": "Allow",
        "Principal": {"AWS": f"arn:aws-cn:iam::{FRIEND}:root"},
        "Action": "lambda:GetLayerVersion",
        "Resource": ARN,
    }
    recorded.when("GET", POLICY, policy(other=by_hand))

    apply_grants(session(recorded.url), ARN, read_grants([FRIEND]))

    assert recorded.requests("POST", POLICY) == []


def test_each_statement_names_the_revision_before_it(recorded: Recorded) -> None:
    others = ["333344445555", "444455556666"]
    recorded.when("GET", POLICY, policy(FRIEND, revision="r1"), policy(FRIEND, *others))
    recorded.when("POST", POLICY, ADDED)

    apply_grants(session(recorded.url), ARN, read_grants([FRIEND, *others]))

    asked = [one.query for one in recorded.requests("POST", POLICY)]
    assert asked == ["RevisionId=r1", "RevisionId=r2"]


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(
            failure(412, "PreconditionFailedException", "The RevisionId is stale."),
            id="412",
        ),
        pytest.param(
            failure(409, "ResourceConflictException", "The statement id exists."),
            id="409",
        ),
    ],
)
def test_a_policy_that_changed_meanwhile_is_read_again(
    recorded: Recorded, answer: Reply
) -> None:
    recorded.when("GET", POLICY, NO_POLICY, policy(FRIEND))
    recorded.when("POST", POLICY, answer)

    applied = apply_grants(session(recorded.url), ARN, read_grants([FRIEND]))

    assert applied.grants == {"layerforge-222233334444": Grant(account=FRIEND)}


def test_a_grant_that_does_not_come_about_is_an_error(recorded: Recorded) -> None:
    recorded.when("GET", POLICY, NO_POLICY)
    recorded.when("POST", POLICY, ADDED)

    with pytest.raises(PublishError) as caught:
        apply_grants(session(recorded.url), ARN, read_grants([FRIEND]))

    assert caught.value.message == (
        f"{ARN} is not granted to {FRIEND}, though AWS was asked 5 times"
    )
    assert caught.value.remedy == (
        "Somebody else changes its policy, or has a statement of that name "
        "(layerforge-222233334444): aws lambda get-layer-version-policy shows it. Then "
        "run it again."
    )


def test_another_refusal_is_told_as_it_is(recorded: Recorded) -> None:
    recorded.when("GET", POLICY, NO_POLICY)
    too_long = failure(400, "PolicyLengthExceededException", "The policy is too long.")
    recorded.when("POST", POLICY, too_long)

    with pytest.raises(PublishError, match="The policy is too long"):
        apply_grants(session(recorded.url), ARN, read_grants([FRIEND]))


def test_a_version_without_a_policy_grants_nothing(recorded: Recorded) -> None:
    recorded.when("GET", POLICY, NO_POLICY)

    assert read_policy(session(recorded.url), ARN) == Policy(grants={})
