"""A layer's versions as AWS has them: listed, looked at, told apart by their bytes.

https://docs.aws.amazon.com/lambda/latest/api/API_ListLayerVersions.html carries neither
CodeSha256 nor size; https://docs.aws.amazon.com/lambda/latest/api/API_GetLayerVersion.html
has both, and where the zip can be read for ten minutes.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from layerforge.aws.answers import lost
from layerforge.aws.errors import NotFoundError
from layerforge.aws.session import Session
from layerforge.errors import ConfigError

_ARN: Final = re.compile(
    r"(?P<layer>arn:(?P<partition>aws[a-z-]*):lambda:(?P<region>[a-z0-9-]+):"
    r"(?P<account>[0-9]{12}):layer:(?P<name>[a-zA-Z0-9_-]+)):(?P<version>[0-9]+)"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerArn:
    """The parts of a layer version's ARN; ``layer`` is the ARN without version."""

    layer: str
    partition: str
    region: str
    account: str
    name: str
    version: int

    @classmethod
    def parse(cls, arn: str) -> LayerArn:
        """Take an ARN apart; raises `ConfigError` where it is no layer version's."""
        match = _ARN.fullmatch(arn)
        if match is None:
            raise ConfigError(
                f"{arn} is not the ARN of a layer version",
                remedy="They look like arn:aws:lambda:eu-west-1:123456789012:layer:"
                "web:7, the version last.",
            )
        return cls(
            layer=match["layer"],
            partition=match["partition"],
            region=match["region"],
            account=match["account"],
            name=match["name"],
            version=int(match["version"]),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishedVersion:
    """A version of a layer as AWS has it; ``zipped`` is in bytes.

    ``code_sha256`` (base64, of the zip) and ``zipped`` are empty where it was only
    listed. ``created_now`` tells what was published from what was there already.
    """

    arn: str
    layer: str
    region: str
    version: int
    created: str
    description: str = ""
    licence: str = ""
    runtimes: tuple[str, ...] = ()
    architectures: tuple[str, ...] = ()
    code_sha256: str = ""
    zipped: int = 0
    created_now: bool = False


def list_layers(session: Session, region: str) -> tuple[str, ...]:
    """Name the account's own layers in a Region, in order."""
    pages = session.pages("lambda", region, "list_layers")
    return tuple(sorted(row["LayerName"] for page in pages for row in page["Layers"]))


def list_versions(
    session: Session, region: str, layer: str
) -> tuple[PublishedVersion, ...]:
    """List a layer's versions, the newest first; none where there is no such layer."""
    return tuple(versions(session, region, layer))


def versions(session: Session, region: str, layer: str) -> Iterator[PublishedVersion]:
    """Give a layer's versions, the newest first, a page at a time as they are taken."""
    pages = session.pages("lambda", region, "list_layer_versions", LayerName=layer)
    try:
        for page in pages:
            if "LayerVersions" not in page:  # of a proxy on the way, perhaps
                raise lost("lambda:ListLayerVersions", region)
            rows = page["LayerVersions"]
            # Each page is in AWS's order, the newest first; not every server knows it.
            for row in sorted(rows, key=lambda row: -int(row["Version"])):
                yield _read(row, "lambda:ListLayerVersions", region)
    except NotFoundError:  # of a layer that never was, said by some servers
        return


def get_version(session: Session, arn: str) -> tuple[PublishedVersion, str]:
    """Look at one version; the other value is where its zip can be read, for minutes.

    Raises `NotFoundError` where it was deleted, or never was.
    """
    parts = LayerArn.parse(arn)
    answer = session.call(
        "lambda",
        parts.region,
        "get_layer_version",
        LayerName=parts.layer,
        VersionNumber=parts.version,
    )
    version = _read(answer, "lambda:GetLayerVersion", parts.region)
    return version, answer.get("Content", {}).get("Location", "")


def _read(answer: Mapping[str, Any], action: str, region: str) -> PublishedVersion:
    """Read a version; raises `LostAnswerError` for an answer that isn't AWS's."""
    try:
        return version_of(answer)
    except (KeyError, ValueError) as error:
        raise lost(action, region) from error


def version_of(
    answer: Mapping[str, Any], *, created_now: bool = False
) -> PublishedVersion:
    """Read a version from an answer of AWS's; raises `KeyError` where it is none."""
    arn = answer["LayerVersionArn"]
    parts = LayerArn.parse(arn)
    content = answer.get("Content", {})
    return PublishedVersion(
        arn=arn,
        layer=parts.name,
        region=parts.region,
        version=int(answer["Version"]),
        created=answer.get("CreatedDate", ""),
        description=answer.get("Description", ""),
        licence=answer.get("LicenseInfo", ""),
        runtimes=tuple(answer.get("CompatibleRuntimes", ())),
        architectures=tuple(answer.get("CompatibleArchitectures", ())),
        code_sha256=content.get("CodeSha256", ""),
        zipped=int(content.get("CodeSize", 0)),
        created_now=created_now,
    )
