from __future__ import annotations

import io
import random
import re
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from layerforge.aws.budget import Part, measure
from layerforge.aws.directory import read_members, unzipped_size
from layerforge.client import Client
from layerforge.errors import ArchiveError
from layerforge.store import Store
from tests.aws.deployed import (
    REGION,
    WEB,
    a_function,
    arn_of,
    configuration,
    deploy,
    publish,
)
from tests.aws.servers import Asked, Recorded, Reply, Server, failure, session
from tests.aws.zips import layer_zip

LAYER = f"/2018-10-31/layers/{re.escape(arn_of(WEB, 7).rpartition(':')[0])}/versions/7"


def a_zip(files: int = 1, size: int = 400_000) -> bytes:
    """Make a zip that hardly compresses, so that its end is far from its beginning."""
    stream = io.BytesIO()
    noise = random.Random(7)  # noqa: S311 - it hides nothing
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for number in range(files):
            name = f"python/{'long' * 20}{number}.bin"
            archive.writestr(name, noise.randbytes(size))
    return stream.getvalue()


def ranges_of(whole: bytes) -> Callable[[Asked], Reply]:
    def answer(asked: Asked) -> Reply:
        stated = next(v for k, v in asked.headers.items() if k.lower() == "range")
        first, last = re.fullmatch(r"bytes=(\d+)-(\d+)", stated).groups()  # type: ignore[union-attr]  # an assertion by itself
        part = whole[int(first) : int(last) + 1]
        extent = f"bytes {first}-{int(first) + len(part) - 1}/{len(whole)}"
        return Reply(body=part, status=206, headers={"Content-Range": extent})

    return answer


def serve_layer(recorded: Recorded, whole: bytes, arn: str = arn_of(WEB, 7)) -> None:
    number = arn.rpartition(":")[2]
    body = {
        "Content": {"Location": f"{recorded.url}/zip", "CodeSize": len(whole)},
        "LayerVersionArn": arn,
        "Version": int(number),
    }
    recorded.when("GET", LAYER, Reply(body=body))
    recorded.when("GET", "/zip", ranges_of(whole))


def asked_bytes(recorded: Recorded) -> int:
    ranges = [
        re.fullmatch(r"bytes=(\d+)-(\d+)", value)
        for asked in recorded.requests("GET", "/zip")
        for name, value in asked.headers.items()
        if name.lower() == "range"
    ]
    return sum(int(match[2]) - int(match[1]) + 1 for match in ranges if match)


def test_of_a_large_zip_only_the_end_is_read(recorded: Recorded) -> None:
    whole = a_zip(size=2_000_000)
    serve_layer(recorded, whole)

    with Client() as client:
        (member,) = read_members(f"{recorded.url}/zip", client)

    assert member.file_size == 2_000_000
    assert asked_bytes(recorded) < 100_000


def test_a_directory_that_is_longer_than_the_first_range_is_read_whole(
    recorded: Recorded,
) -> None:
    serve_layer(recorded, a_zip(files=1_500, size=10))

    with Client() as client:
        members = read_members(f"{recorded.url}/zip", client)

    assert sum(member.file_size for member in members) == 15_000


def test_a_layers_size_is_asked_for_once(recorded: Recorded, tmp_path: Path) -> None:
    serve_layer(recorded, a_zip())
    speaker, store = session(recorded.url), Store(tmp_path)
    with Client() as client:
        first = unzipped_size(speaker, arn_of(WEB, 7), store, client)
        before = len(recorded.asked)

        second = unzipped_size(speaker, arn_of(WEB, 7), store, client)

    assert (first, second) == (400_000, 400_000)
    assert len(recorded.asked) == before


def test_a_comment_and_a_prefix_are_read_over_as_lambda_does(
    recorded: Recorded,
) -> None:
    stream = io.BytesIO(layer_zip("x = 1"))
    with zipfile.ZipFile(stream, "a") as archive:
        archive.comment = b"made by hand"
    serve_layer(recorded, b"#!/bin/sh\n" + stream.getvalue())

    with Client() as client:
        members = read_members(f"{recorded.url}/zip", client)

    assert [member.filename for member in members] == ["python/demo.py"]


def test_what_is_no_zip_is_an_error(recorded: Recorded) -> None:
    serve_layer(recorded, b"nothing of the kind" * 10)

    with Client() as client, pytest.raises(ArchiveError) as caught:
        read_members(f"{recorded.url}/zip", client)

    assert caught.value.message == f"{recorded.url}/zip: File is not a zip file"


def test_of_a_server_without_ranges_the_whole_is_read(
    ministack: Server, tmp_path: Path
) -> None:
    speaker = session(ministack.url)
    arn = publish(speaker, archive=a_zip(size=300_000))

    with Client() as client:
        size = unzipped_size(speaker, arn, Store(tmp_path), client)

    assert size == 300_000


def test_code_and_layers_are_summed(ministack: Server, tmp_path: Path) -> None:
    speaker = session(ministack.url)
    arn = publish(speaker, content="x" * 5_000)
    deploy(speaker, "api", arn, content="y" * 700)
    function = a_function(arn)

    budget = measure(speaker, function, Store(tmp_path))

    assert [part.unzipped for part in budget.parts] == [700, 5_000]
    assert budget.used == 5_700


def test_a_layer_that_was_deleted_has_no_size(
    recorded: Recorded, tmp_path: Path
) -> None:
    serve_code(recorded)

    budget = measure(session(recorded.url), a_function(arn_of(WEB, 7)), Store(tmp_path))

    assert budget.unknown == (
        Part(
            title=f"{WEB}:7",
            zipped=0,
            arn=arn_of(WEB, 7),
            reason="deleted, or of nobody who lets us read it",
        ),
    )


def test_a_layer_that_may_not_be_read_has_no_size(
    recorded: Recorded, tmp_path: Path
) -> None:
    serve_code(recorded)
    said = (
        "User: arn:aws:iam::123456789012:user/ci is not authorized to perform: "
        f"lambda:GetLayerVersion on resource: {arn_of(WEB, 7)} because no "
        "resource-based policy allows the lambda:GetLayerVersion action"
    )
    recorded.when("GET", LAYER, failure(403, "AccessDeniedException", said))

    budget = measure(session(recorded.url), a_function(arn_of(WEB, 7)), Store(tmp_path))

    (part,) = budget.unknown
    assert part.reason == (
        "arn:aws:iam::123456789012:user/ci may not lambda:GetLayerVersion on "
        f"{arn_of(WEB, 7)} in {REGION}"
    )


def serve_code(recorded: Recorded) -> None:
    whole = layer_zip("def handler(*_): pass", "api.py")
    body = {
        "Configuration": configuration(),
        "Code": {"Location": f"{recorded.url}/code"},
    }
    recorded.when("GET", "/2015-03-31/functions/api", Reply(body=body))
    recorded.when("GET", "/code", ranges_of(whole))
