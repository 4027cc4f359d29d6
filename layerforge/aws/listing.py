"""Versions with all that there is to tell of them: sizes, and who may use them."""

from __future__ import annotations

from dataclasses import dataclass

from layerforge.aws.grants import read_policy
from layerforge.aws.names import Layers, list_all
from layerforge.aws.session import Session
from layerforge.aws.versions import (
    PublishedVersion,
    get_version,
    list_layers,
    versions,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedVersion:
    """A version, and who else may use it: grants, or statements that are none."""

    version: PublishedVersion
    grants: tuple[str, ...] = ()


def list_newest(session: Session, region: str) -> tuple[ListedVersion, ...]:
    """Give the newest version of each of the account's own layers in a Region."""
    newest = (
        next(versions(session, region, name), None)
        for name in list_layers(session, region)
    )
    return tuple(_listed(session, version.arn) for version in newest if version)


def list_layer(
    session: Session, region: str, layers: Layers
) -> tuple[ListedVersion, ...]:
    """Give all versions of the layers that are meant, the newest first of each."""
    return tuple(
        _listed(session, version.arn) for version in list_all(session, region, layers)
    )


def _listed(session: Session, arn: str) -> ListedVersion:
    version, _ = get_version(session, arn)
    policy = read_policy(session, arn)
    named = (*sorted(map(str, policy.grants.values())), *policy.others)
    return ListedVersion(version=version, grants=named)
