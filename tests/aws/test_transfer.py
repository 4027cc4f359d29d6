"""Zips by way of S3, on MiniStack, and on a server that says what only S3 does."""

from __future__ import annotations

import base64
import hashlib
import zipfile
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import boto3
import pytest

from layerforge.aws.errors import DeniedError
from layerforge.aws.session import Session
from layerforge.aws.transfer import (
    PART,
    StoredZip,
    content_of,
    goes_by_bucket,
    refuse_without_bucket,
    upload,
)
from layerforge.errors import ConfigError, PublishError
from layerforge.events import Event, Finished, Progress, Started
from layerforge.limits import DIRECT_UPLOAD_LIMIT
from layerforge.spec import StorageMode
from tests.aws.proxy import Fault, FaultProxy
from tests.aws.servers import Asked, Recorded, Reply, Server, session

REGION = "eu-west-1"
TEMPLATE = "layers-{account}-{region}"
SIZE = 2 * PART + 5  # bytes: three parts, the last of them a short one


@dataclass(frozen=True, slots=True, kw_only=True)
class Zip:
    path: Path
    digest: str


@pytest.fixture
def archive(tmp_path: Path) -> Zip:
    data = (b"layer" * (SIZE // 5 + 1))[:SIZE]
    path = tmp_path / "web-python3.13-arm64.zip"
    path.write_bytes(data)
    return Zip(path=path, digest=hashlib.sha256(data).hexdigest())


def s3_of(server: Server, region: str = REGION) -> Any:  # noqa: ANN401 - boto3's
    return boto3.client("s3", region_name=region, endpoint_url=server.url)


def make_bucket(server: Server, region: str = REGION, *, versions: bool = False) -> str:
    name = f"layers-{server.account}-{REGION}"
    s3 = s3_of(server, region)
    place = {"LocationConstraint": region}
    s3.create_bucket(Bucket=name, CreateBucketConfiguration=place)
    if versions:
        status = {"Status": "Enabled"}
        s3.put_bucket_versioning(Bucket=name, VersioningConfiguration=status)
    return name


def send(archive: Zip, speaker: Session, **options: Any) -> StoredZip:  # noqa: ANN401
    return upload(
        archive.path,
        zipped=SIZE,
        digest=archive.digest,
        bucket=TEMPLATE,
        session=speaker,
        region=REGION,
        **options,
    )


@pytest.mark.parametrize(
    ("zipped", "expected"),
    [(DIRECT_UPLOAD_LIMIT - 1, False), (DIRECT_UPLOAD_LIMIT, True)],
)
def test_a_zip_goes_by_bucket_from_lambdas_limit_on(
    zipped: int, *, expected: bool
) -> None:
    assert goes_by_bucket(zipped) is expected


def test_a_large_zip_without_a_bucket_is_refused_with_the_line_to_add() -> None:
    with pytest.raises(ConfigError) as caught:
        refuse_without_bucket("web-python313-arm64", 52428800, "")

    assert caught.value.message == (
        "the zip of web-python313-arm64 has 52428800 bytes, and from 52428800 on "
        "Lambda takes one from S3 alone: no bucket is named"
    )
    assert caught.value.remedy == (
        "Name the Regions' buckets in layerforge.toml: [publish] "
        'bucket = "layers-{account}-{region}". Or give --bucket NAME.'
    )


@pytest.mark.parametrize(("zipped", "bucket"), [(52428799, ""), (52428800, "mine")])
def test_a_small_zip_or_a_named_bucket_is_not_refused(zipped: int, bucket: str) -> None:
    refuse_without_bucket("web", zipped, bucket)


def test_a_zip_is_stored_whole_under_its_digest(server: Server, archive: Zip) -> None:
    bucket = make_bucket(server)

    stored = send(archive, session(server.url))

    key = f"layerforge/{archive.digest}.zip"
    body = s3_of(server).get_object(Bucket=bucket, Key=key)["Body"].read()
    assert stored == StoredZip(bucket=bucket, key=key)
    assert hashlib.sha256(body).hexdigest() == archive.digest


def test_lambda_has_the_same_bytes_from_the_bucket(
    ministack: Server, tmp_path: Path
) -> None:
    path = tmp_path / "web.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("python/data.bin", bytes(SIZE))
    digest = hashlib.sha256(path.read_bytes()).digest()
    make_bucket(ministack, versions=True)
    speaker = session(ministack.url)
    stored = upload(
        path,
        zipped=path.stat().st_size,
        digest=digest.hex(),
        bucket=TEMPLATE,
        session=speaker,
        region=REGION,
    )

    answer = speaker.call(
        "lambda",
        REGION,
        "publish_layer_version",
        LayerName="web",
        Content=content_of(stored, StorageMode.COPY),
    )

    assert answer["Content"]["CodeSha256"] == base64.b64encode(digest).decode()


def test_the_version_is_told_where_the_bucket_keeps_some(
    server: Server, archive: Zip
) -> None:
    bucket = make_bucket(server, versions=True)

    stored = send(archive, session(server.url))

    [version] = s3_of(server).list_object_versions(Bucket=bucket)["Versions"]
    assert stored.version == version["VersionId"]
    assert stored.version not in ("", "null")


def test_what_is_there_already_is_not_sent_again(
    ministack: Server, archive: Zip
) -> None:
    bucket = make_bucket(ministack, versions=True)
    first = send(archive, session(ministack.url))
    events: list[Event] = []

    second = send(archive, session(ministack.url, events.append))

    versions = s3_of(ministack).list_object_versions(Bucket=bucket)["Versions"]
    assert (second, events, len(versions)) == (first, [], 1)


def test_what_was_put_there_in_one_piece_is_taken(
    ministack: Server, archive: Zip
) -> None:
    bucket = make_bucket(ministack)
    s3_of(ministack).put_object(
        Bucket=bucket,
        Key=f"layerforge/{archive.digest}.zip",
        Body=archive.path.read_bytes(),
        ChecksumAlgorithm="SHA256",
    )
    events: list[Event] = []

    send(archive, session(ministack.url), listen=events.append)

    assert events == []


def test_other_bytes_at_its_key_are_replaced(ministack: Server, archive: Zip) -> None:
    bucket = make_bucket(ministack)
    key = f"layerforge/{archive.digest}.zip"
    s3 = s3_of(ministack)
    s3.put_object(Bucket=bucket, Key=key, Body=bytes(SIZE), ChecksumAlgorithm="SHA256")

    send(archive, session(ministack.url))

    body = s3.get_object(Bucket=bucket, Key=key)["Body"].read()
    assert hashlib.sha256(body).hexdigest() == archive.digest


def test_progress_is_told_part_by_part(ministack: Server, archive: Zip) -> None:
    bucket = make_bucket(ministack)
    events: list[Event] = []

    send(archive, session(ministack.url), listen=events.append)

    task = f"web-python3.13-arm64.zip to {bucket}"
    started, *progress, finished = events
    assert started == Started(task=task, total=SIZE, doing="uploading", done="uploaded")
    assert finished == Finished(task=task, size=SIZE)
    done = [event.done for event in progress if isinstance(event, Progress)]
    assert (len(done), done[-1]) == (3, SIZE)
    assert done == sorted(done)


@pytest.mark.parametrize(
    ("method", "part"),
    [
        pytest.param("POST", "uploads", id="create"),
        pytest.param("PUT", "partNumber=2", id="part"),
        pytest.param("POST", "uploadId", id="complete"),
    ],
)
@pytest.mark.parametrize(
    "fault",
    [Fault.CUT_BEFORE, Fault.CUT_AFTER, Fault.CUT_ANSWER, Fault.FAILED_AFTER],
    ids=lambda fault: fault.name.lower(),
)
def test_a_fault_does_no_harm_to_an_upload(
    ministack: Server, archive: Zip, method: str, part: str, fault: Fault
) -> None:
    bucket = make_bucket(ministack)

    with FaultProxy(ministack.port) as proxy:
        proxy.fail(method, part, fault)
        stored = send(archive, session(proxy.url))

    body = s3_of(ministack).get_object(Bucket=bucket, Key=stored.key)["Body"].read()
    assert proxy.suffered == [fault]
    assert hashlib.sha256(body).hexdigest() == archive.digest


def test_a_bucket_that_is_not_there(ministack: Server, archive: Zip) -> None:
    with pytest.raises(PublishError) as caught:
        send(archive, session(ministack.url))

    assert caught.value.message == (
        "there is no bucket layers-000000000000-eu-west-1, by which "
        "web-python3.13-arm64.zip would go to Lambda in eu-west-1"
    )
    assert caught.value.remedy == (
        "Make it: aws s3 mb s3://layers-000000000000-eu-west-1 --region eu-west-1. Or "
        "name another with --bucket."
    )


def test_a_bucket_in_another_region_is_explained_before_anything_is_sent(
    ministack: Server, archive: Zip
) -> None:
    bucket = make_bucket(ministack, "us-west-2")

    with pytest.raises(PublishError) as caught:
        send(archive, session(ministack.url))

    assert caught.value.message == (
        f"the bucket {bucket} is in us-west-2, and Lambda in eu-west-1 takes zips from "
        "buckets of its own Region alone"
    )
    assert caught.value.remedy == (
        'Name a bucket for each Region: [publish] bucket = "layers-{account}-{region}".'
    )
    assert "Contents" not in s3_of(ministack, "us-west-2").list_objects(Bucket=bucket)


@pytest.mark.parametrize(
    ("later", "left"), [(timedelta(hours=1), 1), (timedelta(2), 0)]
)
def test_what_an_interrupted_run_left_is_aborted_after_a_day(
    ministack: Server, archive: Zip, later: timedelta, left: int
) -> None:
    bucket = make_bucket(ministack)
    s3 = s3_of(ministack)
    s3.create_multipart_upload(Bucket=bucket, Key=f"layerforge/{archive.digest}.zip")

    send(archive, session(ministack.url), now=datetime.now(UTC) + later)

    uploads = s3.list_multipart_uploads(Bucket=bucket).get("Uploads", [])
    assert len(uploads) == left


STARTED = Reply(
    body=b"<InitiateMultipartUploadResult><UploadId>up-1</UploadId>"
    b"</InitiateMultipartUploadResult>"
)
COMPLETED = Reply(
    body=b"<CompleteMultipartUploadResult></CompleteMultipartUploadResult>"
)
FORBIDDEN = Reply(
    status=403,
    body=b"<Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>",
)
LOST = Reply(
    status=500, body=b"<Error><Code>InternalError</Code><Message>Oh</Message></Error>"
)


def a_bucket(recorded: Recorded, *, parts: Reply, completed: Reply = COMPLETED) -> None:
    """Have a server take parts so, where nobody may list anything."""

    def post(asked: Asked) -> Reply:
        return STARTED if "uploads" in asked.query else completed

    recorded.when("HEAD", "/layers-.*", Reply(status=403))
    recorded.when("GET", "/layers-.*", FORBIDDEN)
    recorded.when("POST", "/layers-.*", post)
    recorded.when("PUT", "/layers-.*", parts)
    recorded.when("DELETE", "/layers-.*", Reply(status=204))


def test_who_may_only_write_can_send(recorded: Recorded, archive: Zip) -> None:
    a_bucket(recorded, parts=Reply(headers={"ETag": '"e"'}))

    stored = send(archive, session(recorded.url))

    assert stored.bucket == "layers-123456789012-eu-west-1"
    assert recorded.requests("DELETE") == []


def test_each_part_carries_its_checksum(recorded: Recorded, archive: Zip) -> None:
    a_bucket(recorded, parts=Reply(headers={"ETag": '"e"'}))

    send(archive, session(recorded.url))

    parts = recorded.requests("PUT")
    assert len(parts) == 3
    assert all("x-amz-checksum-sha256" in part.headers for part in parts)


def test_a_zip_of_other_bytes_than_were_promised_is_not_sent(
    recorded: Recorded, archive: Zip
) -> None:
    archive.path.write_bytes(bytes(SIZE))

    with pytest.raises(PublishError) as caught:
        send(archive, session(recorded.url))

    assert caught.value.message == f"{archive.path} changed while it was published"
    assert caught.value.remedy == "Publish it again, when nothing builds it."
    assert recorded.requests("POST", "/layers-.*") == []


def test_a_zip_that_changes_under_way_is_not_completed(
    recorded: Recorded, archive: Zip
) -> None:
    a_bucket(recorded, parts=Reply(headers={"ETag": '"e"'}))

    def start(asked: Asked) -> Reply:
        assert "uploads" in asked.query, "it was completed"
        archive.path.write_bytes(bytes(SIZE))
        return STARTED

    recorded.when("POST", "/layers-.*", start)

    with pytest.raises(PublishError, match="changed while it was published"):
        send(archive, session(recorded.url))

    [aborted] = recorded.requests("DELETE")
    assert aborted.query == "uploadId=up-1"


def test_an_upload_that_fails_is_aborted_and_told(
    recorded: Recorded, archive: Zip
) -> None:
    a_bucket(recorded, parts=FORBIDDEN)

    with pytest.raises(DeniedError) as caught:
        send(archive, session(recorded.url))

    assert caught.value.action == "s3:PutObject"
    [aborted] = recorded.requests("DELETE")
    assert aborted.query == "uploadId=up-1"


def test_a_lost_answer_to_an_upload_that_was_done_is_no_failure(
    recorded: Recorded, archive: Zip
) -> None:
    a_bucket(recorded, parts=Reply(headers={"ETag": '"e"'}), completed=LOST)
    whole = base64.b64encode(bytes.fromhex(archive.digest)).decode()
    there = Reply(
        headers={"x-amz-checksum-sha256": whole, "x-amz-version-id": "v1"},
        body=archive.path.read_bytes(),
    )
    key = f"/layers-.*/layerforge/{archive.digest}.zip"
    recorded.when("HEAD", key, Reply(status=404), there)

    stored = send(archive, session(recorded.url))

    assert stored.version == "v1"
    assert recorded.requests("DELETE") == []


@pytest.mark.parametrize(
    ("mode", "expected"),
    [
        (StorageMode.COPY, {}),
        (StorageMode.REFERENCE, {"S3ObjectStorageMode": "REFERENCE"}),
    ],
)
def test_lambda_is_told_where_the_zip_is_and_how_to_keep_it(
    mode: StorageMode, expected: dict[str, str]
) -> None:
    stored = StoredZip(bucket="b", key="k.zip", version="v1")

    content = content_of(stored, mode)

    where = {"S3Bucket": "b", "S3Key": "k.zip", "S3ObjectVersion": "v1"}
    assert content == where | expected


def test_no_version_is_named_where_there_is_none() -> None:
    content = content_of(StoredZip(bucket="b", key="k.zip"), StorageMode.COPY)

    assert content == {"S3Bucket": "b", "S3Key": "k.zip"}
