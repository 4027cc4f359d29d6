"""What an answer of AWS means, or its absence: which error, and what to do.

Was it done or not? An error status below 500 proves that it was not, and so does a
connection that was never made. All else leaves it open.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, Final

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
from layerforge.indexes import hide_credentials


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """What was asked, for errors: ``operation`` as AWS writes it (ListLayers)."""

    service: str
    region: str
    operation: str
    parameters: Mapping[str, Any] = field(default_factory=dict)
    profile: str = ""

    @property
    def action(self) -> str:
        """The action that a policy has to allow, which may have another name."""
        name = f"{self.service}:{self.operation}"
        return _ACTIONS.get(name, name)

    @property
    def resource(self) -> str:
        """What the call speaks of, in the parameters' own words."""
        named = (self.parameters.get(name) for name in _RESOURCES)
        return next((str(value) for value in named if value), "")


# Where a policy's action isn't called as the operation is:
# https://docs.aws.amazon.com/service-authorization/latest/reference/list_awslambda.html
# and list_amazons3.html beside it.
_ACTIONS: Final = {
    "lambda:GetLayerVersionByArn": "lambda:GetLayerVersion",
    "s3:CompleteMultipartUpload": "s3:PutObject",
    "s3:CreateMultipartUpload": "s3:PutObject",
    "s3:HeadBucket": "s3:ListBucket",
    "s3:HeadObject": "s3:GetObject",
    "s3:UploadPart": "s3:PutObject",
}
_RESOURCES: Final = (
    "RoleArn",
    "Arn",
    "LayerName",
    "FunctionName",
    "Bucket",
    "Name",
    "Path",
)
_KINDS: Final[dict[type[AwsError], set[str]]] = {
    CredentialsError: {
        "AuthFailure",
        "ExpiredToken",
        "ExpiredTokenException",
        "IncompleteSignature",
        "InvalidAccessKeyId",
        "InvalidClientTokenId",
        "InvalidSignatureException",
        "InvalidToken",
        "MissingAuthenticationToken",
        "MissingAuthenticationTokenException",
        "RequestExpired",
        "SignatureDoesNotMatch",
        "UnrecognizedClientException",
    },
    DeniedError: {
        "403",  # S3 says no more to HEAD
        "AccessDenied",
        "AccessDeniedException",
        "AuthorizationError",
        "UnauthorizedOperation",
    },
    ThrottledError: {
        "429",
        "RequestLimitExceeded",
        "Throttling",
        "ThrottlingException",
        "TooManyRequestsException",
    },
    NotFoundError: {
        "404",
        "NoSuchBucket",
        "NoSuchKey",
        "NotFound",
        "ParameterNotFound",
        "ResourceNotFoundException",
    },
}
_REMEDIES: Final[dict[type[AwsError], str]] = {
    LostAnswerError: "Run it again: what was done isn't done twice.",
    NotFoundError: "Is it in this Region and account?",
    ThrottledError: "Run it again later: others use up this account's requests.",
}
_TIMED_OUT: Final = HTTPStatus.REQUEST_TIMEOUT
_TO_WHOM: Final = re.compile(
    r"(?:User: (?P<who>\S+) )?is not authorized to perform: (?P<action>\S+)"
    r"(?: on resource: (?P<resource>\S+))?"
)


def refused(
    call: Call, answer: Mapping[str, Any], retry_after: float | None
) -> AwsError:
    """Explain an answer that is an error; ``answer`` is botocore's reading of it."""
    code = str(answer.get("Error", {}).get("Code", ""))
    # A signature that is refused is explained with all that was signed: tokens, too.
    text = str(answer.get("Error", {}).get("Message", "")).strip()
    said = text.partition("\n")[0].strip().removesuffix(".")
    status = int(answer.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
    kind = _kind(code, status)
    message = f"{call.action} in {call.region}: {said or code} ({code or status})"
    remedy = _REMEDIES.get(kind, "")
    if kind is CredentialsError:
        message = f"AWS does not take the credentials: {said or code} ({code})"
        remedy = sign_in(call.profile)
    elif kind is DeniedError:
        message, remedy = _denied(call, said)
    elif kind is NotFoundError and call.resource:
        message = f"{call.resource}: {message}"
    return kind(
        message,
        remedy=remedy,
        action=call.action,
        code=code,
        status=status,
        retry_after=retry_after,
    )


def _kind(code: str, status: int) -> type[AwsError]:
    # What stands between us and AWS says 408, too, of a request that arrived.
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR or status == _TIMED_OUT:
        return LostAnswerError
    if status == HTTPStatus.TOO_MANY_REQUESTS:
        return ThrottledError
    known = (kind for kind, codes in _KINDS.items() if code in codes)
    return next(known, RefusedError)


def _denied(call: Call, said: str) -> tuple[str, str]:
    match = _TO_WHOM.search(said)
    who = (match and match["who"]) or "whoever these credentials are for"
    action = match["action"] if match else call.action
    resource = (match and match["resource"]) or call.resource
    on = f" on {resource}" if resource else ""
    message = f"{who} may not {action}{on} in {call.region}"
    remedy = f"Allow {action} in a policy; the README lists what each command needs."
    if "explicit deny" in said:
        remedy = f"A policy denies {action}: ask who keeps the account's policies."
    return message, remedy


def sign_in(profile: str) -> str:
    """Say how credentials that have gone, or run out, come back."""
    named = f" --profile {profile}" if profile else ""
    return (
        f"Sign in again (aws sso login{named}, or aws configure{named}), or name "
        "another profile: --profile NAME."
    )


def lost(action: str, region: str, why: str = "") -> LostAnswerError:
    """Explain an answer that says nothing, or never came."""
    because = f": {why}" if why else ""
    return LostAnswerError(
        f"{action} in {region}: the answer is lost{because}",
        remedy=_network(region, "Run it again: what was done isn't done twice. "),
        action=action,
    )


def _network(region: str, first: str = "") -> str:
    return (
        f"{first}Check the network, and --endpoint-url; is {region} a Region of AWS's?"
    )


def unanswered(call: Call, error: Exception) -> AwsError:
    """Explain why no answer came; ``error`` is botocore's."""
    from botocore import exceptions  # noqa: PLC0415 - start-up time

    kind: type[AwsError] = RefusedError
    where, remedy = f"{call.action} in {call.region}", ""
    match error:
        case exceptions.ProfileNotFound():
            named = error.kwargs["profile"]
            kind, message = CredentialsError, f"there is no profile {named}"
            remedy = "List them: aws configure list-profiles"
        case (
            exceptions.NoCredentialsError()
            | exceptions.NoAuthTokenError()
            | exceptions.PartialCredentialsError()
            | exceptions.CredentialRetrievalError()
            | exceptions.TokenRetrievalError()
            | exceptions.SSOError()
            | exceptions.LoginError()
        ):
            kind, message = CredentialsError, f"no credentials: {_plain(error)}"
            remedy = sign_in(call.profile)
        case exceptions.EndpointConnectionError() | exceptions.ConnectTimeoutError():
            url = hide_credentials(error.kwargs["endpoint_url"].partition("?")[0])
            kind, message = UnreachableError, f"{where}: no connection to {url}"
            remedy = _network(call.region)
        case exceptions.InvalidRegionError():
            message = f"{call.region!r} is no name of a Region"
            remedy = "They look like eu-west-1."
        case exceptions.ParamValidationError():
            message = f"{where}: {_plain(error)}"
        case exceptions.ReadTimeoutError():
            return lost(call.action, call.region, "AWS was silent for too long")
        case _:
            return lost(call.action, call.region, _plain(error))
    return kind(message, remedy=remedy, action=call.action)


def _plain(error: Exception) -> str:
    return hide_credentials(str(error)).strip().rstrip(".: ")
