"""The door to AWS: who speaks, how often, how patiently, and what answers mean.

Credentials, Regions, profiles and endpoints are found as boto3 finds them:
https://docs.aws.amazon.com/boto3/latest/guide/configuration.html
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from layerforge import __version__
from layerforge.aws.answers import Call, refused, unanswered
from layerforge.aws.pace import Pace
from layerforge.errors import ConfigError
from layerforge.events import Listener, Noted, silent
from layerforge.headers import retry_after
from layerforge.indexes import hide_credentials
from layerforge.retries import LONGEST_WAIT

if TYPE_CHECKING:
    import boto3

ATTEMPTS: Final = 6
"""How often a call is tried that may be repeated."""

READ_TIMEOUT: Final = 60.0
"""Seconds without an answer, after which it is lost."""

_CONNECT_TIMEOUT: Final = 10.0  # seconds
_TOLD_WAIT: Final = 2.0  # seconds; shorter ones aren't worth a line


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """Who asks AWS, and where; what is empty is boto3's to find.

    ``role`` is the ARN of a role to assume.
    """

    profile: str = ""
    role: str = ""
    region: str = ""
    endpoint_url: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """Whom AWS takes us for: an account of 12 digits, in a partition (``aws-cn``)."""

    account: str
    partition: str


class Session:
    """Calls of one account, in any Region; safe to share between threads.

    All of them raise `AwsError`, by kind. ``attempts`` is how often a call is tried
    that can be repeated; ``pace`` makes what spaces a Region's requests.
    """

    def __init__(
        self,
        access: Access,
        listen: Listener = silent,
        *,
        attempts: int = ATTEMPTS,
        pace: Callable[[], Pace] = Pace,
    ) -> None:
        self._access = access
        self._listen = listen
        self._attempts = attempts
        self._make_pace = pace
        self._paces: dict[str, Pace] = {}
        self._clients: dict[tuple[str, str, int, float], Any] = {}
        self._identity: Identity | None = None
        self._boto: boto3.Session | None = None
        self._lock = threading.RLock()

    @property
    def access(self) -> Access:
        """Who was to ask."""
        return self._access

    @property
    def account(self) -> str:
        """The 12 digits of the account, asked of STS once."""
        return self._whoami().account

    @property
    def partition(self) -> str:
        """The part of AWS that the account is in: aws, aws-cn or aws-us-gov."""
        return self._whoami().partition

    @property
    def default_region(self) -> str:
        """The Region where none is named, or ''."""
        with self._translating(self._bare("sts", "")):
            return self._access.region or self._source().region_name or ""

    def call(
        self, service: str, region: str, operation: str, **parameters: object
    ) -> dict[str, Any]:
        """Make a call that may be repeated: boto3's method, AWS's parameters."""
        client = self._client(service, region)
        with self._translating(self._asked(client, region, operation, parameters)):
            answer: dict[str, Any] = getattr(client, operation)(**parameters)
            return answer

    def pages(
        self, service: str, region: str, operation: str, **parameters: object
    ) -> Iterator[dict[str, Any]]:
        """Give a list's pages as they come, each asked for when it is wanted."""
        client = self._client(service, region)
        with self._translating(self._asked(client, region, operation, parameters)):
            yield from client.get_paginator(operation).paginate(**parameters)

    def once(
        self,
        service: str,
        region: str,
        operation: str,
        *,
        read_timeout: float = READ_TIMEOUT,
        **parameters: object,
    ) -> dict[str, Any]:
        """Make a call a single time.

        Raises `LostAnswerError` where nobody knows whether it was done, and
        `RefusedError` where it is proven that it wasn't.
        """
        client = self._client(service, region, attempts=1, read_timeout=read_timeout)
        with self._translating(self._asked(client, region, operation, parameters)):
            answer: dict[str, Any] = getattr(client, operation)(**parameters)
            return answer

    def _whoami(self) -> Identity:
        with self._lock:
            if self._identity is None:
                region = self.default_region or "us-east-1"
                answer = self.call("sts", region, "get_caller_identity")
                partition = answer["Arn"].split(":")[1]
                self._identity = Identity(
                    account=answer["Account"], partition=partition
                )
            return self._identity

    def _client(
        self,
        service: str,
        region: str,
        attempts: int = 0,
        read_timeout: float = READ_TIMEOUT,
    ) -> Any:  # noqa: ANN401 - boto3 makes its clients' classes as it runs
        attempts = attempts or self._attempts
        key = (service, region, attempts, read_timeout)
        with self._lock:
            if key not in self._clients:
                with self._translating(self._bare(service, region)):
                    self._clients[key] = self._new_client(*key)
            return self._clients[key]

    def _new_client(
        self, service: str, region: str, attempts: int, read_timeout: float
    ) -> Any:  # noqa: ANN401 - the same
        from botocore.config import Config  # noqa: PLC0415 - start-up time

        client: Any = self._session().client(
            service,  # type: ignore[call-overload]  # the stubs list services one by one
            region_name=region,
            endpoint_url=self._access.endpoint_url or None,
            config=Config(
                connect_timeout=_CONNECT_TIMEOUT,
                read_timeout=read_timeout,
                retries={"mode": "adaptive", "total_max_attempts": attempts},
                user_agent_extra=f"layerforge/{__version__}",
            ),
        )
        if service == "lambda":
            self._keep_pace(client, region)
        return client

    def _keep_pace(self, client: Any, region: str) -> None:  # noqa: ANN401 - the same
        """Have every attempt wait its turn, those of botocore's own among them."""
        pace = self._paces.setdefault(region, self._make_pace())

        def before_send(**_event: object) -> None:
            pace.wait()

        def after(response: tuple[Any, Any] | None, **_event: object) -> None:
            wait = _retry_after(response[0].headers) if response else None
            if wait:
                pace.hold(wait)
            if wait and wait >= _TOLD_WAIT:
                self._listen(Noted(message=f"{region}: AWS asks to wait {wait:g} s"))

        client.meta.events.register_first("before-send.lambda", before_send)
        client.meta.events.register_first("needs-retry.lambda", after)

    def _session(self) -> boto3.Session:
        with self._lock:
            if self._boto is None:
                source = self._source()
                self._boto = self._as_role(source) if self._access.role else source
            return self._boto

    def _source(self) -> boto3.Session:
        """Speak as the profile itself; a role is assumed from there."""
        import boto3  # noqa: PLC0415 - start-up time

        return boto3.Session(profile_name=self._access.profile or None)

    def _as_role(self, source: boto3.Session) -> boto3.Session:
        """Speak as a role, for the hour that AWS grants."""
        import boto3  # noqa: PLC0415 - start-up time

        role = self._access.role
        region = self._access.region or source.region_name or "us-east-1"
        asked = {"RoleArn": role, "RoleSessionName": "layerforge"}
        call = Call(
            service="sts", region=region, operation="AssumeRole", parameters=asked
        )
        with self._translating(call):
            sts = source.client(
                "sts",
                region_name=region,
                endpoint_url=self._access.endpoint_url or None,
            )
            given = sts.assume_role(RoleArn=role, RoleSessionName="layerforge")
        return boto3.Session(
            aws_access_key_id=given["Credentials"]["AccessKeyId"],
            aws_secret_access_key=given["Credentials"]["SecretAccessKey"],
            aws_session_token=given["Credentials"]["SessionToken"],
            region_name=source.region_name,
        )

    @contextmanager
    def _translating(self, call: Call) -> Iterator[None]:
        from botocore.exceptions import (  # noqa: PLC0415 - start-up time
            BotoCoreError,
            ClientError,
        )
        from botocore.parsers import ResponseParserError  # noqa: PLC0415 - the same

        try:
            yield
        except ClientError as error:
            headers = error.response.get("ResponseMetadata", {}).get("HTTPHeaders", {})
            answer: Any = error.response
            raise refused(call, answer, _retry_after(headers)) from error
        except (BotoCoreError, ResponseParserError) as error:
            raise unanswered(call, error) from error
        except ValueError as error:
            if "endpoint" not in str(error):
                raise
            raise ConfigError(
                f"AWS can't be asked: {hide_credentials(str(error))}",
                remedy="An endpoint looks like http://127.0.0.1:4566: see "
                "--endpoint-url, AWS_ENDPOINT_URL and ~/.aws/config.",
            ) from error

    def _bare(self, service: str, region: str) -> Call:
        return Call(
            service=service,
            region=region,
            operation="*",
            profile=self._access.profile,
        )

    def _asked(
        self,
        client: Any,  # noqa: ANN401 - the same
        region: str,
        operation: str,
        parameters: Mapping[str, Any],
    ) -> Call:
        return Call(
            service=client.meta.service_model.service_name,
            region=region,
            operation=client.meta.method_to_api_mapping[operation],
            parameters=parameters,
            profile=self._access.profile,
        )


def _retry_after(headers: Mapping[str, str]) -> float | None:
    wait = retry_after(headers.get("retry-after", ""), now=datetime.now(UTC))
    return None if wait is None else min(LONGEST_WAIT, wait)
