"""Zips that are too large for Lambda's own door go by way of a bucket.

The key is the zip's digest, so one upload serves whoever publishes the same bytes:
https://docs.aws.amazon.com/AmazonS3/latest/userguide/mpuoverview.html
"""

from __future__ import annotations

import base64
import hashlib
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final

from layerforge.aws.errors import AwsError, NotFoundError, RefusedError
from layerforge.aws.session import Session
from layerforge.errors import ConfigError, PublishError
from layerforge.events import Failed, Finished, Listener, Progress, Started, silent
from layerforge.limits import DIRECT_UPLOAD_LIMIT
from layerforge.publication import filled
from layerforge.spec import StorageMode

PART: Final = 8 << 20  # bytes; S3 takes parts of 5 MiB and more, 10,000 of them
_AT_ONCE: Final = 4
_LEFT_FOR: Final = timedelta(days=1)  # no upload of ours takes as long
_STORAGE_MODE: Final = "S3ObjectStorageMode"
_NO_VERSION: Final = "null"  # the version's name where the bucket has no versions


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredZip:
    """A zip in a bucket; ``version`` is '' where the bucket keeps none."""

    bucket: str
    key: str
    version: str = ""


def refuse_without_bucket(name: str, zipped: int, template: str) -> None:
    """Raise `ConfigError` for a zip that needs a bucket where none is named.

    ``template`` is what layerforge.toml or ``--bucket`` says. Nobody is asked for it.
    """
    if goes_by_bucket(zipped) and not template:
        raise ConfigError(
            f"the zip of {name} has {zipped} bytes, and from {DIRECT_UPLOAD_LIMIT} on "
            "Lambda takes one from S3 alone: no bucket is named",
            remedy="Name the Regions' buckets in layerforge.toml: [publish] "
            'bucket = "layers-{account}-{region}". Or give --bucket NAME.',
        )


def goes_by_bucket(zipped: int) -> bool:
    """Say whether a zip of so many bytes can't be sent to Lambda itself."""
    return zipped >= DIRECT_UPLOAD_LIMIT


def content_of(stored: StoredZip, mode: StorageMode) -> dict[str, str]:
    """Give a stored zip as PublishLayerVersion's ``Content``.

    Raises `ConfigError` where boto3 is too old to know another mode than copying.
    """
    content = {"S3Bucket": stored.bucket, "S3Key": stored.key}
    if stored.version:
        content["S3ObjectVersion"] = stored.version
    if mode is not StorageMode.COPY:
        _refuse_old_boto()
        content[_STORAGE_MODE] = mode.upper()
    return content


def upload(  # noqa: PLR0913 - each is another thing
    archive: Path,
    *,
    zipped: int,
    digest: str,
    bucket: str,
    session: Session,
    region: str,
    listen: Listener = silent,
    now: datetime | None = None,
) -> StoredZip:
    """Have a zip in a bucket of the Region's; it is sent where it isn't there already.

    ``bucket`` is a template of ``{account}`` and ``{region}``; ``digest`` is the zip's
    SHA-256 (hex), ``zipped`` its bytes. S3 checks each part as it comes. Raises
    `AwsError`, and `PublishError` for a bucket that isn't there, or is elsewhere, and
    for a zip that has other bytes by now.
    """
    words = {"account": session.account, "region": region}
    sending = _Sending(
        archive=archive,
        zipped=zipped,
        digest=digest,
        parts=_part_digests(archive, digest),
        bucket=filled(bucket, words, key="bucket"),
        session=session,
        region=region,
    )
    sending.refuse_elsewhere()
    stored = sending.find()
    if stored is None:
        sending.abort_leftovers((now or datetime.now(UTC)) - _LEFT_FOR)
        stored = sending.send(listen)
    return stored


@dataclass(frozen=True, slots=True, kw_only=True)
class _Sending:
    """One zip on its way into one bucket; ``parts`` are the SHA-256 of its parts."""

    archive: Path
    zipped: int
    digest: str
    parts: tuple[bytes, ...]
    bucket: str
    session: Session
    region: str

    @property
    def key(self) -> str:
        return f"layerforge/{self.digest}.zip"

    def refuse_elsewhere(self) -> None:
        """Explain a bucket that Lambda could not read from, before anything is sent."""
        try:
            answer = self._call("head_bucket")
        except NotFoundError as error:
            raise PublishError(
                f"there is no bucket {self.bucket}, by which {self.archive.name} would "
                f"go to Lambda in {self.region}",
                remedy=f"Make it: aws s3 mb s3://{self.bucket} --region {self.region}. "
                "Or name another with --bucket.",
            ) from error
        except RefusedError as error:
            if error.status != HTTPStatus.FORBIDDEN:
                raise
            return  # who may not list a bucket may still write to it
        place = answer.get("BucketRegion", self.region)
        if place != self.region:
            raise PublishError(
                f"the bucket {self.bucket} is in {place}, and Lambda in {self.region} "
                "takes zips from buckets of its own Region alone",
                remedy="Name a bucket for each Region: [publish] "
                'bucket = "layers-{account}-{region}".',
            )

    def find(self) -> StoredZip | None:
        """Look for the zip in the bucket; its checksum tells that it is this one."""
        try:
            answer = self._call("head_object", Key=self.key, ChecksumMode="ENABLED")
        except RefusedError as error:
            if error.status in (HTTPStatus.FORBIDDEN, HTTPStatus.NOT_FOUND):
                return None  # who may not list a bucket isn't told what is missing
            raise
        known = answer.get("ChecksumSHA256")
        if answer["ContentLength"] != self.zipped or known not in self._checksums():
            return None
        return self._stored(answer)

    def abort_leftovers(self, before: datetime) -> None:
        """Have S3 forget parts that an interrupted run left: they are paid for."""
        with suppress(RefusedError):  # it is a courtesy, which not everybody may do
            for page in self.session.pages(
                "s3",
                self.region,
                "list_multipart_uploads",
                Bucket=self.bucket,
                Prefix=self.key,
            ):
                for started in page.get("Uploads", []):
                    if started["Initiated"] < before:
                        self._abort(started["UploadId"])

    def send(self, listen: Listener) -> StoredZip:
        """Send the zip, in parts, some of them at once."""
        task = f"{self.archive.name} to {self.bucket}"
        listen(
            Started(task=task, total=self.zipped, doing="uploading", done="uploaded")
        )
        try:
            stored = self._send_parts(_Counter(task, listen))
        except BaseException as error:
            listen(Failed(task=task, reason=str(error)))
            raise
        listen(Finished(task=task, size=self.zipped))
        return stored

    def _send_parts(self, counter: _Counter) -> StoredZip:
        upload_id = self._call(
            "create_multipart_upload",
            Key=self.key,
            ChecksumAlgorithm="SHA256",
            ContentType="application/zip",
        )["UploadId"]

        def send_part(number: int) -> dict[str, Any]:
            body = self._part(number)
            checksum = _encoded(self.parts[number - 1])
            part = {"PartNumber": number, "ChecksumSHA256": checksum}
            answer = self._call(
                "upload_part", Key=self.key, UploadId=upload_id, Body=body, **part
            )
            counter.add(len(body))
            return part | {"ETag": answer["ETag"]}

        try:
            with ThreadPoolExecutor(_AT_ONCE) as pool:
                numbers = range(1, len(self.parts) + 1)  # S3 counts from one
                parts = list(pool.map(send_part, numbers))
            return self._complete(upload_id, parts)
        except BaseException:
            with suppress(AwsError):
                self._abort(upload_id)
            raise

    def _complete(self, upload_id: str, parts: list[dict[str, Any]]) -> StoredZip:
        try:
            answer = self._call(
                "complete_multipart_upload",
                Key=self.key,
                UploadId=upload_id,
                MultipartUpload={"Parts": parts},
            )
        except AwsError:
            # Done all the same, perhaps, and only the answer was lost.
            stored = self.find()
            if stored is None:
                raise
            return stored
        return self._stored(answer)

    def _abort(self, upload_id: str) -> None:
        self._call("abort_multipart_upload", Key=self.key, UploadId=upload_id)

    def _call(self, operation: str, **parameters: Any) -> dict[str, Any]:  # noqa: ANN401 - boto3's own
        return self.session.call(
            "s3", self.region, operation, Bucket=self.bucket, **parameters
        )

    def _stored(self, answer: dict[str, Any]) -> StoredZip:
        version = answer.get("VersionId", "")
        return StoredZip(
            bucket=self.bucket,
            key=self.key,
            version="" if version == _NO_VERSION else version,
        )

    def _part(self, number: int) -> bytes:
        with self.archive.open("rb") as stream:
            stream.seek((number - 1) * PART)
            body = stream.read(PART)
        if _sha256(body) != self.parts[number - 1]:
            raise _changed(self.archive)
        return body

    def _checksums(self) -> tuple[str, str]:
        """Give S3's words for these bytes: sent whole, or in the parts that we send."""
        composite = _encoded(_sha256(b"".join(self.parts)))
        whole = _encoded(bytes.fromhex(self.digest))
        return whole, f"{composite}-{len(self.parts)}"


class _Counter:
    """Adds up what several threads have sent, and tells of it."""

    def __init__(self, task: str, listen: Listener) -> None:
        self._task = task
        self._listen = listen
        self._done = 0
        self._lock = threading.Lock()

    def add(self, size: int) -> None:
        with self._lock:
            self._done += size
            self._listen(Progress(task=self._task, done=self._done))


def _part_digests(archive: Path, digest: str) -> tuple[bytes, ...]:
    """Hash a zip's parts, and hold the whole to its digest."""
    whole = hashlib.sha256()
    parts = []
    with archive.open("rb") as stream:
        while part := stream.read(PART):
            whole.update(part)
            parts.append(_sha256(part))
    if whole.hexdigest() != digest:
        raise _changed(archive)
    return tuple(parts)


def _changed(archive: Path) -> PublishError:
    return PublishError(
        f"{archive} changed while it was published",
        remedy="Publish it again, when nothing builds it.",
    )


def _sha256(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()


def _encoded(digest: bytes) -> str:
    return base64.b64encode(digest).decode()


def _refuse_old_boto() -> None:
    import botocore  # noqa: PLC0415 - start-up time
    import botocore.session  # noqa: PLC0415 - the same

    model = botocore.session.get_session().get_service_model("lambda")
    content: Any = model.shape_for("LayerVersionContentInput")
    if _STORAGE_MODE not in content.members:
        raise ConfigError(
            f"botocore {botocore.__version__} knows of no {_STORAGE_MODE}, which "
            "storage-mode asks for",
            remedy="Take a newer one: pip install --upgrade boto3",
        )
