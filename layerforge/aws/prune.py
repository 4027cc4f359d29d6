"""Old versions of a layer, deleted: never one that a function holds.

https://docs.aws.amazon.com/lambda/latest/api/API_DeleteLayerVersion.html: what holds a
deleted version goes on with it, but can't be made to hold it again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from layerforge.aws.names import Layers, list_all
from layerforge.aws.session import Session
from layerforge.aws.usage import User, find_users, in_parallel
from layerforge.aws.versions import PublishedVersion
from layerforge.errors import ConfigError, LayerforgeError, PublishError
from layerforge.events import Listener, Noted, silent


@dataclass(frozen=True, slots=True, kw_only=True)
class Pruning:
    """What is to be deleted, and what stays though it is old: it is in use."""

    delete: tuple[PublishedVersion, ...]
    in_use: Mapping[PublishedVersion, tuple[User, ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pruned:
    """What was deleted, and by ARN or Region why something wasn't."""

    deleted: tuple[PublishedVersion, ...]
    failures: Mapping[str, LayerforgeError]


def look(
    session: Session,
    regions: Sequence[str],
    layers: Layers,
    *,
    keep: int,
    listen: Listener = silent,
) -> tuple[Pruning, Mapping[str, LayerforgeError]]:
    """Say what may go in all Regions; the errors are of those that can't be judged.

    Raises `ConfigError` where one version is meant, and not a layer.
    """
    if layers.versions:
        raise ConfigError(
            f"{layers.word} is one version of a layer",
            remedy="Name the layer: what goes is what is old, and what is old depends "
            "on all of its versions.",
        )
    versions, unlisted = in_parallel(
        regions, lambda region: list_all(session, region, layers)
    )
    usage = find_users(session, tuple(versions), layers, listen)
    known = [
        version
        for region, found in versions.items()
        if region not in usage.failures
        for version in found
    ]
    pruning = plan_pruning(known, usage.users, keep=keep)
    return pruning, {**unlisted, **usage.failures}


def plan_pruning(
    versions: Sequence[PublishedVersion], users: Sequence[User], *, keep: int
) -> Pruning:
    """Choose what may go: all but the newest ``keep`` of each layer in each Region.

    Of those, what ``users`` hold stays.
    """
    by_arn: dict[str, list[User]] = {}
    for user in users:
        by_arn.setdefault(user.layer.arn, []).append(user)
    groups: dict[tuple[str, str], list[PublishedVersion]] = {}
    for version in sorted(versions, key=lambda version: -version.version):
        groups.setdefault((version.layer, version.region), []).append(version)
    old = [version for _, group in sorted(groups.items()) for version in group[keep:]]
    return Pruning(
        delete=tuple(version for version in old if version.arn not in by_arn),
        in_use={
            version: tuple(by_arn[version.arn])
            for version in old
            if version.arn in by_arn
        },
    )


def prune(
    session: Session, pruning: Pruning, layers: Layers, listen: Listener = silent
) -> Pruned:
    """Delete exactly what was chosen, unless a function has come to hold it since.

    One that can't be deleted stops no other.
    """
    regions = tuple(dict.fromkeys(version.region for version in pruning.delete))
    usage = find_users(session, regions, layers, listen)
    failures: dict[str, LayerforgeError] = dict(usage.failures)
    known = [one for one in pruning.delete if one.region not in usage.failures]
    again = plan_pruning(known, usage.users, keep=0)
    for version, users in again.in_use.items():
        failures[version.arn] = PublishError(
            f"{users[0].function} has come to hold it meanwhile",
            remedy="It stays. See who uses it: layerforge usage " + layers.word,
        )
    deleted, undeleted = in_parallel(
        again.delete, lambda version: _delete(session, version, listen)
    )
    failures |= {version.arn: error for version, error in undeleted.items()}
    return Pruned(deleted=tuple(deleted), failures=failures)


def _delete(session: Session, version: PublishedVersion, listen: Listener) -> None:
    session.call(
        "lambda",
        version.region,
        "delete_layer_version",
        LayerName=version.layer,
        VersionNumber=version.version,
    )
    listen(Noted(message=f"deleted {version.arn}"))
