from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from layerforge.aws.errors import (
    AwsError,
    CredentialsError,
    DeniedError,
    LostAnswerError,
    NotFoundError,
    RefusedError,
    ThrottledError,
    UnreachableError,
)
from layerforge.aws.pace import Pace
from layerforge.aws.session import Access, Session
from layerforge.events import Event, Noted
from tests.aws.servers import Recorded, Reply, Server, failure, free_port, session

REGION = "eu-west-1"
LAYERS = "/2018-10-31/layers"


class Time:
    """A clock that goes on only when somebody sleeps."""

    def __init__(self) -> None:
        self.now = 100.0
        self.slept: list[float] = []

    def clock(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.slept.append(round(seconds, 6))
        self.now += seconds


def error_of(speaker: Session, *, once: bool = False) -> AwsError:
    ask = speaker.once if once else speaker.call
    with pytest.raises(AwsError) as caught:
        ask("lambda", REGION, "list_layers")
    return caught.value


class TestIdentity:
    def test_is_what_sts_says(self, server: Server) -> None:
        speaker = session(server.url)

        assert (speaker.account, speaker.partition) == (server.account, "aws")

    def test_is_asked_for_once(self, recorded: Recorded) -> None:
        speaker = session(recorded.url)

        with ThreadPoolExecutor(8) as pool:
            accounts = set(pool.map(lambda _: speaker.account, range(16)))

        assert accounts == {"123456789012"}
        assert len(recorded.requests("POST")) == 1

    def test_has_the_partition_of_its_arn(self, recorded: Recorded) -> None:
        body = b"""<GetCallerIdentityResponse><GetCallerIdentityResult>
            <Arn>arn:aws-cn:iam::123456789012:user/ci</Arn>
            <Account>123456789012</Account></GetCallerIdentityResult>
            </GetCallerIdentityResponse>"""
        recorded.when("POST", "/", Reply(body=body))

        assert session(recorded.url).partition == "aws-cn"

    def test_is_a_roles_where_one_is_assumed(self, server: Server) -> None:
        role = "arn:aws:iam::210987654321:role/publish"

        speaker = Session(Access(role=role, endpoint_url=server.url))

        assert speaker.account == "210987654321"


class TestDefaultRegion:
    def test_is_boto3s(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-north-1")

        assert Session(Access()).default_region == "eu-north-1"

    def test_is_empty_where_there_is_none(self) -> None:
        assert Session(Access()).default_region == ""

    def test_asks_nobody_for_a_role(self) -> None:
        nowhere = f"http://127.0.0.1:{free_port()}"
        role = "arn:aws:iam::210987654321:role/publish"

        speaker = Session(Access(role=role, endpoint_url=nowhere))

        assert speaker.default_region == ""


class TestCall:
    def test_is_repeated_where_aws_had_a_mishap(self, recorded: Recorded) -> None:
        mishap = failure(500, "ServiceException", "Internal error")
        recorded.when("GET", LAYERS, mishap, Reply(body={"Layers": []}))

        answer = session(recorded.url).call("lambda", REGION, "list_layers")

        assert answer["Layers"] == []
        assert len(recorded.requests("GET", LAYERS)) == 2

    def test_waits_as_long_as_it_is_asked_to(self, recorded: Recorded) -> None:
        throttled = failure(
            429, "TooManyRequestsException", "Rate exceeded", Retry_After="7"
        )
        recorded.when("GET", LAYERS, throttled, Reply(body={"Layers": []}))
        time, heard = Time(), list[Event]()
        speaker = Session(
            Access(endpoint_url=recorded.url),
            heard.append,
            pace=lambda: Pace(clock=time.clock, sleep=time.sleep),
        )

        speaker.call("lambda", REGION, "list_layers")

        assert time.slept == [7.0]
        assert heard == [Noted(message="eu-west-1: AWS asks to wait 7 s")]

    def test_has_the_pages_of_a_list(self, recorded: Recorded) -> None:
        first = Reply(body={"Layers": [{"LayerName": "a"}], "NextMarker": "more"})
        last = Reply(body={"Layers": [{"LayerName": "b"}]})
        recorded.when("GET", LAYERS, first, last)

        pages = session(recorded.url).pages("lambda", REGION, "list_layers")

        names = [row["LayerName"] for page in pages for row in page["Layers"]]
        assert names == ["a", "b"]

    def test_is_paced_in_each_region_by_itself(self, recorded: Recorded) -> None:
        recorded.when("GET", LAYERS, Reply(body={"Layers": []}))
        time = Time()
        speaker = Session(
            Access(endpoint_url=recorded.url),
            pace=lambda: Pace(10, clock=time.clock, sleep=time.sleep),
        )

        for region in ("eu-west-1", "us-east-1", "eu-west-1", "eu-west-1"):
            speaker.call("lambda", region, "list_layers")

        assert time.slept == [0.1, 0.1]


class TestOnce:
    def test_asks_once_whatever_happens(self, recorded: Recorded) -> None:
        recorded.when("GET", LAYERS, failure(500, "ServiceException", "Internal error"))

        error = error_of(session(recorded.url, attempts=5), once=True)

        assert isinstance(error, LostAnswerError)
        assert len(recorded.requests("GET", LAYERS)) == 1

    def test_has_the_wait_of_what_is_throttled(self, recorded: Recorded) -> None:
        throttled = failure(
            429, "TooManyRequestsException", "Rate exceeded", Retry_After="3"
        )
        recorded.when("GET", LAYERS, throttled)

        error = error_of(session(recorded.url), once=True)

        assert isinstance(error, ThrottledError)
        assert (error.code, error.status) == ("TooManyRequestsException", 429)
        assert error.retry_after == 3.0

    @pytest.mark.parametrize("status", [408, 500, 502, 503, 504])
    def test_leaves_open_what_a_server_in_between_says(
        self, recorded: Recorded, status: int
    ) -> None:
        recorded.when("GET", LAYERS, Reply(status=status, body=b"<html>sorry</html>"))

        assert isinstance(error_of(session(recorded.url), once=True), LostAnswerError)

    @pytest.mark.parametrize("status", [400, 403, 404, 409, 412, 413, 429])
    def test_is_proven_not_done_by_a_status_below_500(
        self, recorded: Recorded, status: int
    ) -> None:
        recorded.when("GET", LAYERS, failure(status, "Whatever", "No"))

        assert isinstance(error_of(session(recorded.url), once=True), RefusedError)

    def test_is_proven_not_done_where_nobody_listens(self) -> None:
        url = f"http://127.0.0.1:{free_port()}"

        error = error_of(session(url), once=True)

        assert isinstance(error, UnreachableError)
        assert error.message == (
            f"lambda:ListLayers in eu-west-1: no connection to {url}{LAYERS}"
        )


class TestErrors:
    def test_name_who_may_not_do_what_with_what(self, recorded: Recorded) -> None:
        who = "arn:aws:iam::123456789012:user/ci"
        layer = "arn:aws:lambda:eu-west-1:123456789012:layer:web"
        said = (
            f"User: {who} is not authorized to perform: lambda:ListLayerVersions on "
            f"resource: {layer} because no identity-based policy allows the "
            "lambda:ListLayerVersions action"
        )
        recorded.when("GET", ".*", failure(403, "AccessDeniedException", said))

        with pytest.raises(DeniedError) as caught:
            session(recorded.url).call(
                "lambda", REGION, "list_layer_versions", LayerName="web"
            )

        assert caught.value.message == (
            f"{who} may not lambda:ListLayerVersions on {layer} in eu-west-1"
        )
        assert caught.value.remedy == (
            "Allow lambda:ListLayerVersions in a policy; the README lists what each "
            "command needs."
        )
        assert caught.value.action == "lambda:ListLayerVersions"

    def test_tell_a_policy_that_denies(self, recorded: Recorded) -> None:
        said = (
            "User: arn:aws:iam::123456789012:user/ci is not authorized to perform: "
            "lambda:ListLayers with an explicit deny in an identity-based policy"
        )
        recorded.when("GET", LAYERS, failure(403, "AccessDeniedException", said))

        assert error_of(session(recorded.url)).remedy == (
            "A policy denies lambda:ListLayers: ask who keeps the account's policies."
        )

    def test_say_what_to_do_about_expired_credentials(self, recorded: Recorded) -> None:
        said = "The security token included in the request is expired"
        recorded.when("GET", LAYERS, failure(403, "ExpiredTokenException", said))

        error = error_of(session(recorded.url))

        assert isinstance(error, CredentialsError)
        assert error.message == (
            f"AWS does not take the credentials: {said} (ExpiredTokenException)"
        )
        assert error.remedy == (
            "Sign in again (aws sso login, or aws configure), or name another profile: "
            "--profile NAME."
        )

    def test_say_that_there_are_no_credentials(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.delenv("AWS_ACCESS_KEY_ID")
        monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")

        error = error_of(session("http://127.0.0.1:1"))

        assert isinstance(error, CredentialsError)
        assert error.message == "no credentials: Unable to locate credentials"

    def test_name_a_profile_that_is_not_there(self) -> None:
        error = error_of(Session(Access(profile="live")))

        assert isinstance(error, CredentialsError)
        assert error.message == "there is no profile live"
        assert error.remedy == "List them: aws configure list-profiles"

    def test_name_a_region_that_can_be_none(self) -> None:
        with pytest.raises(RefusedError) as caught:
            session("http://127.0.0.1:1").call("lambda", "eu_west_1", "list_layers")

        assert caught.value.message == "'eu_west_1' is no name of a Region"

    def test_name_what_is_not_there(self, recorded: Recorded) -> None:
        with pytest.raises(NotFoundError) as caught:
            session(recorded.url).call(
                "lambda",
                REGION,
                "get_layer_version",
                LayerName="web",
                VersionNumber=7,
            )

        assert caught.value.message == (
            "web: lambda:GetLayerVersion in eu-west-1: The resource you requested does "
            "not exist (ResourceNotFoundException)"
        )

    def test_name_s3s_action_as_policies_do(self, server: Server) -> None:
        with pytest.raises(NotFoundError) as caught:
            session(server.url).call("s3", REGION, "head_bucket", Bucket="nowhere")

        assert caught.value.action == "s3:ListBucket"


class TestPace:
    def test_spaces_requests_out(self) -> None:
        time = Time()
        pace = Pace(4, clock=time.clock, sleep=time.sleep)

        for _ in range(3):
            pace.wait()

        assert time.slept == [0.25, 0.25]

    def test_owes_nothing_to_who_comes_late(self) -> None:
        time = Time()
        pace = Pace(4, clock=time.clock, sleep=time.sleep)
        pace.wait()
        time.now += 10

        pace.wait()

        assert time.slept == []

    def test_holds_everybody_where_it_is_asked_to(self) -> None:
        time = Time()
        pace = Pace(4, clock=time.clock, sleep=time.sleep)

        pace.hold(3)
        pace.wait()

        assert time.slept == [3.0]


def test_boto3_is_not_imported_before_something_is_asked() -> None:
    words = "import sys, layerforge.aws.session; assert 'botocore' not in sys.modules"

    subprocess.run(
        [sys.executable, "-c", words], check=True, cwd=Path(__file__).parents[2]
    )


def test_what_was_signed_is_not_shown(recorded: Recorded) -> None:
    said = (
        "The request signature we calculated does not match the signature you "
        "provided.\n\nThe Canonical String for this request should have been\n"
        "x-amz-security-token:SECRET"
    )
    recorded.when("GET", LAYERS, failure(403, "InvalidSignatureException", said))

    error = error_of(session(recorded.url))

    assert error.message == (
        "AWS does not take the credentials: The request signature we calculated does "
        "not match the signature you provided (InvalidSignatureException)"
    )
