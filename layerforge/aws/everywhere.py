"""Many releases at once: each Region for itself, whatever becomes of the others."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final, TypeVar

from layerforge.aws.grants import apply_grants
from layerforge.aws.publish import Patience, Standing, publish, standing
from layerforge.aws.releases import Release
from layerforge.aws.session import Session
from layerforge.aws.versions import PublishedVersion
from layerforge.errors import LayerforgeError
from layerforge.events import Listener, silent
from layerforge.store import Store

R = TypeVar("R")

_AT_ONCE: Final = 4  # each may hold a zip of 50 MB, three times over


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What became of a release: a version, or an error where it isn't as it should be.

    Both where it was published, and then not granted.
    """

    release: Release
    version: PublishedVersion | None = None
    error: LayerforgeError | None = None


def publish_everywhere(  # noqa: PLR0913 - what, where, and how
    releases: Iterable[Release],
    sessions: Mapping[str, Session],
    listen: Listener = silent,
    *,
    force: bool = False,
    patience: Patience | None = None,
    store: Store | None = None,
) -> tuple[Outcome, ...]:
    """Publish and grant releases; ``sessions`` are by the name of the account.

    Grants are given to what was there already, too: an earlier run may have ended
    before it came to them. Public ones are taken as agreed to.
    """

    def one(release: Release) -> Outcome:
        session = sessions[release.account]
        version = None
        try:
            version = publish(
                release, session, listen, force=force, patience=patience, store=store
            )
            apply_grants(session, version.arn, release.grants, listen, public=True)
        except LayerforgeError as error:
            return Outcome(release=release, version=version, error=error)
        return Outcome(release=release, version=version)

    return _each(one, releases)


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """How a release stands, or why that can't be told."""

    release: Release
    standing: Standing | None = None
    error: LayerforgeError | None = None


def compare_everywhere(
    releases: Iterable[Release], sessions: Mapping[str, Session]
) -> tuple[Comparison, ...]:
    """Say what publishing would do; no call is made that changes anything."""

    def one(release: Release) -> Comparison:
        try:
            found = standing(release, sessions[release.account])
        except LayerforgeError as error:
            return Comparison(release=release, error=error)
        return Comparison(release=release, standing=found)

    return _each(one, releases)


def _each(do: Callable[[Release], R], releases: Iterable[Release]) -> tuple[R, ...]:
    pool = ThreadPoolExecutor(_AT_ONCE)
    try:
        return tuple(pool.map(do, releases))
    finally:  # an interruption waits for nobody
        pool.shutdown(wait=False, cancel_futures=True)
