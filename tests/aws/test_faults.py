"""No fault on the way to AWS makes a version too many, and none is missing."""

from __future__ import annotations

import base64
import hashlib
import random
from dataclasses import replace
from itertools import product
from pathlib import Path

import pytest

from layerforge.aws.errors import AwsError
from layerforge.aws.everywhere import publish_everywhere
from layerforge.aws.grants import read_grants, read_policy
from layerforge.aws.publish import Patience, publish
from layerforge.aws.releases import Release
from layerforge.aws.session import Session
from layerforge.aws.versions import get_version, list_versions
from layerforge.store import Store
from tests.aws.proxy import SLOW, Fault, FaultProxy
from tests.aws.servers import Server, session
from tests.aws.zips import layer_zip

REGION = "eu-west-1"
PUBLISH = ("POST", "/versions$")
# Where the proxy has told its server, or never will, before the client hears anything.
PROMPT = Patience(looks=(0, 0.05, 0.1), pauses=(0.01,))
# Where a server may do it later: looked for much longer than that takes.
PATIENT = replace(PROMPT, read_timeout=SLOW / 2, looks=(0, 0.1, 0.2, 0.4, 0.8, 2, 4))
PAIRED = (Fault.CUT_BEFORE, Fault.CUT_ANSWER, Fault.FAILED_AFTER, Fault.THROTTLED)
EACH = pytest.mark.parametrize("fault", Fault, ids=lambda fault: fault.name.lower())


def release_of(folder: Path, content: str, name: str = "web") -> Release:
    body = layer_zip(content)
    path = folder / f"{hashlib.sha256(body).hexdigest()[:8]}.zip"
    path.write_bytes(body)
    return Release(
        layer=name,
        name=name,
        region=REGION,
        zip=path,
        zipped=len(body),
        code_sha256=base64.b64encode(hashlib.sha256(body).digest()).decode(),
        runtimes=("python3.13",),
        architectures=("arm64",),
        description="for tests",
    )


def patience(fault: Fault) -> Patience:
    return PATIENT if fault.name.startswith("SLOW") else PROMPT


def hashes(speaker: Session, name: str = "web") -> list[str]:
    """Give the CodeSha256 of each version, the oldest first."""
    rows = list_versions(speaker, REGION, name)
    return [get_version(speaker, row.arn)[0].code_sha256 for row in rows][::-1]


@EACH
def test_a_fault_makes_no_second_version(
    server: Server, tmp_path: Path, fault: Fault
) -> None:
    first, second = release_of(tmp_path, "1"), release_of(tmp_path, "2")
    direct = session(server.url)
    publish(first, direct)

    with FaultProxy(server.port) as proxy:
        proxy.fail(*PUBLISH, fault)
        version = publish(second, session(proxy.url), patience=patience(fault))

    assert proxy.suffered == [fault]
    assert hashes(direct) == [first.code_sha256, second.code_sha256]
    assert (version.version, version.created_now) == (2, True)


def test_ours_is_found_where_somebody_published_after_it(
    moto: Server, tmp_path: Path
) -> None:
    ours, theirs = release_of(tmp_path, "1"), release_of(tmp_path, "2")
    direct = session(moto.url)
    waits: list[float] = []

    def sleep(seconds: float) -> None:
        if not waits:
            publish(theirs, direct)
        waits.append(seconds)

    with FaultProxy(moto.port) as proxy:
        proxy.fail(*PUBLISH, Fault.CUT_AFTER)
        speaker = session(proxy.url)
        version = publish(ours, speaker, patience=replace(PROMPT, sleep=sleep))

    assert hashes(direct) == [ours.code_sha256, theirs.code_sha256]
    assert version.version == 1


def test_what_an_interrupted_run_sent_is_looked_for_by_the_next(
    moto: Server, tmp_path: Path
) -> None:
    release, direct = release_of(tmp_path, "1"), session(moto.url)
    store = Store(tmp_path / "store")

    def interrupted(_seconds: float) -> None:
        raise KeyboardInterrupt

    with FaultProxy(moto.port) as proxy:
        speaker = session(proxy.url)
        proxy.fail(*PUBLISH, Fault.CUT_BEFORE)
        impatient = replace(PROMPT, sleep=interrupted)
        with pytest.raises(KeyboardInterrupt):
            publish(release, speaker, patience=impatient, store=store)

        # Done by AWS only now, after the next run has looked once.
        waits: list[float] = []

        def sleep(seconds: float) -> None:
            if len(waits) == 1:
                publish(release, direct)
            waits.append(seconds)

        patient = replace(PROMPT, sleep=sleep)
        version = publish(release, speaker, patience=patient, store=store)

    assert hashes(direct) == [release.code_sha256]
    assert version.version == 1


@pytest.mark.parametrize(
    "faults",
    [*product(PAIRED, repeat=2)],
    ids=lambda faults: "-".join(fault.name.lower() for fault in faults),
)
def test_two_faults_in_a_row_make_no_second_version(
    moto: Server, tmp_path: Path, faults: tuple[Fault, Fault]
) -> None:
    release = release_of(tmp_path, "1")

    with FaultProxy(moto.port) as proxy:
        proxy.fail(*PUBLISH, *faults)
        publish(release, session(proxy.url), patience=PROMPT)

    assert hashes(session(moto.url)) == [release.code_sha256]


@EACH
def test_a_fault_while_it_is_forced_makes_one_version_more(
    moto: Server, tmp_path: Path, fault: Fault
) -> None:
    release = release_of(tmp_path, "1")
    publish(release, session(moto.url))

    with FaultProxy(moto.port) as proxy:
        proxy.fail(*PUBLISH, fault)
        speaker = session(proxy.url)
        version = publish(release, speaker, force=True, patience=patience(fault))

    assert hashes(session(moto.url)) == [release.code_sha256] * 2
    assert version.version == 2


@EACH
def test_faults_of_reading_change_nothing(
    moto: Server, tmp_path: Path, fault: Fault
) -> None:
    release = release_of(tmp_path, "1")

    with FaultProxy(moto.port) as proxy:
        proxy.fail("GET", "/2018-10-31/layers/", fault)
        publish(release, session(proxy.url), patience=PROMPT)

    assert hashes(session(moto.url)) == [release.code_sha256]


@pytest.mark.parametrize("seed", range(6))
def test_any_faults_make_no_second_version_and_lose_no_grant(
    ministack: Server, tmp_path: Path, seed: int
) -> None:
    chance = random.Random(seed)  # noqa: S311 - to have the same faults every time
    grants = read_grants(["123456789012", "org:o-a1b2c3d4e5"])
    release = replace(release_of(tmp_path, "1"), grants=grants)

    with FaultProxy(ministack.port) as proxy:
        proxy.fail(*PUBLISH, *chance.choices([*PAIRED, None], k=3))
        proxy.fail("GET", "/2018-10-31/layers/", *chance.choices([*PAIRED, None], k=2))
        sessions = {"": session(proxy.url, attempts=6)}
        (found,) = publish_everywhere([release], sessions, patience=PROMPT)

    assert found.error is None
    assert hashes(session(ministack.url)) == [release.code_sha256]
    assert found.version
    policy = read_policy(session(ministack.url), found.version.arn)
    assert sorted(policy.grants.values()) == sorted(grants)


@EACH
def test_a_fault_while_it_is_granted_leaves_all_grants(
    ministack: Server, tmp_path: Path, fault: Fault
) -> None:
    grants = read_grants(["123456789012", "210987654321"])
    release = replace(release_of(tmp_path, "1"), grants=grants)

    with FaultProxy(ministack.port) as proxy:
        proxy.fail("POST", "/policy$", fault)
        sessions = {"": session(proxy.url, attempts=4)}
        (found,) = publish_everywhere([release], sessions, patience=PROMPT)

    assert proxy.suffered == [fault]
    assert found.error is None
    assert found.version
    policy = read_policy(session(ministack.url), found.version.arn)
    assert sorted(policy.grants.values()) == sorted(grants)


def test_what_was_given_up_is_finished_by_publishing_again(
    moto: Server, tmp_path: Path
) -> None:
    release = release_of(tmp_path, "1")
    impatient = Patience(attempts=1, looks=(), pauses=(0,), read_timeout=SLOW / 2)
    with FaultProxy(moto.port) as proxy:
        proxy.fail(*PUBLISH, Fault.CUT_AFTER)
        with pytest.raises(AwsError):
            publish(release, session(proxy.url), patience=impatient)

    again = publish(release, session(moto.url))

    assert hashes(session(moto.url)) == [release.code_sha256]
    assert (again.version, again.created_now) == (1, False)


def test_a_server_that_never_answers_is_given_up(moto: Server, tmp_path: Path) -> None:
    release = release_of(tmp_path, "1")
    impatient = Patience(attempts=2, looks=(0,), pauses=(0,))

    with FaultProxy(moto.port) as proxy:
        proxy.fail(*PUBLISH, *[Fault.FAILED_BEFORE] * 2)
        with pytest.raises(AwsError) as caught:
            publish(release, session(proxy.url), patience=impatient)

    assert caught.value.message == (
        "lambda:PublishLayerVersion in eu-west-1: Internal error (ServiceException)"
    )
    assert caught.value.remedy == "Run it again: what was done isn't done twice."
    assert hashes(session(moto.url)) == []
