"""One zip becomes one version: published where it isn't yet, and never twice.

PublishLayerVersion has no client token, so a repeated request makes a second version:
https://docs.aws.amazon.com/lambda/latest/api/API_PublishLayerVersion.html. It is sent
once, without retries of the SDK's. After an answer that was lost our bytes are looked
for, by CodeSha256, among the versions that are newer than the newest one seen before.
Done again is what is proven not to have been done, or not found however long we look.
"""

from __future__ import annotations

import base64
import hashlib
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import takewhile
from typing import Any, Final

from layerforge.aws.answers import lost
from layerforge.aws.budget import explain
from layerforge.aws.errors import (
    AwsError,
    LostAnswerError,
    RefusedError,
    ThrottledError,
    UnreachableError,
)
from layerforge.aws.pending import Pending
from layerforge.aws.releases import Release
from layerforge.aws.session import READ_TIMEOUT, Session
from layerforge.aws.transfer import content_of, upload
from layerforge.aws.versions import PublishedVersion, get_version, version_of, versions
from layerforge.errors import PublishError
from layerforge.events import Failed, Finished, Listener, Noted, Started, silent
from layerforge.store import Store

_SLOWEST: Final = 512 << 10  # bytes a second that a request is given time for


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How long not to give up; all in seconds.

    A request is sent at most ``attempts`` times. ``looks`` are the waits before each
    look for a version whose answer was lost: what AWS had got by then it should have
    finished at the last of them. ``pauses`` are between requests that were refused.
    """

    attempts: int = 5
    looks: tuple[float, ...] = (0, 1, 2, 4, 8, 15)
    pauses: tuple[float, ...] = (1, 2, 4, 8)
    read_timeout: float = READ_TIMEOUT
    sleep: Callable[[float], None] = time.sleep

    def pause(self, attempt: int, asked: float | None) -> None:
        """Wait before the next attempt, for as long as AWS ``asked``, if it did."""
        usual = self.pauses[min(attempt, len(self.pauses) - 1)]
        self.sleep(usual if asked is None else asked)

    def timeout(self, zipped: int) -> float:
        """Say how long an answer may take for a zip of so many bytes."""
        return self.read_timeout + zipped / _SLOWEST


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """What should be, and the newest version that is there, if there is any."""

    release: Release
    newest: PublishedVersion | None = None

    @property
    def is_there(self) -> bool:
        """Say whether the newest version has these very bytes."""
        return (
            self.newest is not None
            and self.newest.code_sha256 == self.release.code_sha256
        )

    @property
    def differences(self) -> tuple[str, ...]:
        """Say in what else than bytes the newest version is not what it should be."""
        if self.newest is None or not self.is_there:
            return ()
        newest, release = self.newest, self.release
        sets = (
            ("list of runtimes,", newest.runtimes, release.runtimes),
            ("list of architectures,", newest.architectures, release.architectures),
        )
        texts = (
            ("description", newest.description, release.description),
            ("licence", newest.licence, release.licence),
        )
        return (
            *(
                f"{what} {', '.join(is_) or 'none'}, not {', '.join(should) or 'none'}"
                for what, is_, should in sets
                if set(is_) != set(should)
            ),
            *(
                f"{what}, {is_!r}, not {should!r}"
                for what, is_, should in texts
                if is_ != should
            ),
        )


def standing(release: Release, session: Session) -> Standing:
    """Look at the newest version of a release's layer; nothing is changed."""
    for newest in versions(session, release.region, release.name):
        version, _ = get_version(session, newest.arn)
        return Standing(release=release, newest=version)
    return Standing(release=release)


def publish(  # noqa: PLR0913 - how, and how patiently
    release: Release,
    session: Session,
    listen: Listener = silent,
    *,
    force: bool = False,
    patience: Patience | None = None,
    store: Store | None = None,
) -> PublishedVersion:
    """Have a release's bytes as the newest version of its layer.

    Where they are, nothing is published, and what else differs is told, but for
    ``force``. Raises `AwsError`; to do it again is safe. With a ``store``, that holds
    after an interruption too: a request that was on its way is then looked for.
    """
    found = standing(release, session)
    if found.newest and found.is_there and not force:
        if found.differences:
            listen(Noted(message=_told(found), warning=True))
        return found.newest
    task = str(release)
    listen(Started(task=task, doing="publishing", done="published"))
    try:
        sending = _Sending(
            release=release,
            session=session,
            listen=listen,
            request=_request(release, session, listen),
            seen=found.newest.version if found.newest else 0,
            patience=patience or Patience(),
        )
        version = _once(sending, store)
        _refuse_other_bytes(release, version)
    except BaseException as error:
        listen(Failed(task=task, reason=str(error)))
        raise
    listen(Finished(task=task))
    return version


def _once(sending: _Sending, store: Store | None) -> PublishedVersion:
    if store is None:
        return sending.send()
    pending = Pending(release=sending.release, session=sending.session, store=store)
    before = pending.newest_before()
    version = None if before is None else replace(sending, seen=before).look()
    if version is None:
        pending.open(sending.seen)
        try:
            version = sending.send()
        except RefusedError:
            pending.close()
            raise
    pending.close()
    return version


@dataclass(frozen=True, slots=True, kw_only=True)
class _Sending:
    """A request on its way; ``seen`` is the newest version before it, or 0."""

    release: Release
    session: Session
    listen: Listener
    request: Mapping[str, Any]
    seen: int
    patience: Patience

    def send(self) -> PublishedVersion:
        """Send it until it is done, or for as long as our patience lasts."""
        for attempt in range(self.patience.attempts):
            try:
                return self._sent()
            except LostAnswerError as error:
                failure: AwsError = error
                version = self.look()
                if version:
                    return version
            except (ThrottledError, UnreachableError) as error:
                failure = error
                if attempt + 1 < self.patience.attempts:
                    self.patience.pause(attempt, error.retry_after)
            except RefusedError as error:
                error.remedy = error.remedy or _remedy(error)
                raise
        raise failure

    def _sent(self) -> PublishedVersion:
        region = self.release.region
        answer = self.session.once(
            "lambda",
            region,
            "publish_layer_version",
            read_timeout=self.patience.timeout(self.release.zipped),
            **self.request,
        )
        try:
            return version_of(answer, created_now=True)
        except (KeyError, ValueError) as error:  # an answer, but not of AWS's
            raise lost("lambda:PublishLayerVersion", region) from error

    def look(self) -> PublishedVersion | None:
        """Look, for some time, for our bytes among the versions newer than ``seen``."""
        message = f"{self.release}: no answer; looking whether it was published"
        self.listen(Noted(message=message))
        for wait in self.patience.looks:
            self.patience.sleep(wait)
            for version in self._newer():
                if version.code_sha256 == self.release.code_sha256:
                    return replace(version, created_now=True)
        return None

    def _newer(self) -> Iterator[PublishedVersion]:
        rows = versions(self.session, self.release.region, self.release.name)
        for row in takewhile(lambda row: row.version > self.seen, rows):
            version, _ = get_version(self.session, row.arn)
            yield version


def _remedy(error: RefusedError) -> str:
    if error.code == "CodeStorageExceededException":
        return (
            "All versions in an account's Region share its room for code: delete old "
            "ones (layerforge prune), or ask AWS for more (Service Quotas)."
        )
    return explain(error.message)


def _request(release: Release, session: Session, listen: Listener) -> dict[str, Any]:
    request = {
        "LayerName": release.name,
        "Description": release.description,
        "LicenseInfo": release.licence,
        "CompatibleRuntimes": list(release.runtimes),
        "CompatibleArchitectures": list(release.architectures),
        "Content": _content(release, session, listen),
    }
    return {name: value for name, value in request.items() if value}


def _content(release: Release, session: Session, listen: Listener) -> Mapping[str, Any]:
    if not release.bucket:
        body = release.zip.read_bytes()
        if hashlib.sha256(body).digest() != base64.b64decode(release.code_sha256):
            raise PublishError(
                f"{release.zip} changed while it was published",
                remedy="Publish it again, when nothing builds it.",
            )
        return {"ZipFile": body}
    stored = upload(
        release.zip,
        zipped=release.zipped,
        digest=base64.b64decode(release.code_sha256).hex(),
        bucket=release.bucket,
        session=session,
        region=release.region,
        listen=listen,
    )
    return content_of(stored, release.storage_mode)


def _refuse_other_bytes(release: Release, version: PublishedVersion) -> None:
    if version.code_sha256 != release.code_sha256:
        raise PublishError(
            f"{version.arn} has the CodeSha256 {version.code_sha256}, and "
            f"{release.zip} has {release.code_sha256}",
            remedy="Something changed the zip on its way. Delete that version (aws "
            "lambda delete-layer-version), and publish again.",
        )


def _told(found: Standing) -> str:
    differences = "; another ".join(found.differences)
    return (
        f"{found.release} has these bytes already, but another {differences}. "
        "Nothing is published for that alone, unless --force asks for it"
    )
