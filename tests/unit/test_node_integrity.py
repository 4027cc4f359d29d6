"""What a lock says that a tarball hashes to."""

from __future__ import annotations

import base64
import hashlib

import pytest

from layerforge.ecosystems.node.integrity import digest_of, is_weak
from layerforge.ecosystems.node.packagelock import Package, Source
from layerforge.errors import LockError
from tests.registry import integrity_of

DATA = b"a tarball"
SHA512 = hashlib.sha512(DATA).hexdigest()
SHA1 = hashlib.sha1(DATA, usedforsecurity=False).hexdigest()


def package(integrity: str) -> Package:
    return Package(
        path="node_modules/a",
        name="a",
        version="1.0.0",
        source=Source.REGISTRY,
        integrity=integrity,
    )


@pytest.mark.parametrize("algorithm", ["sha512", "sha384", "sha256", "sha1"])
def test_each_algorithm_of_npms_is_known(algorithm: str) -> None:
    digest = digest_of(package(integrity_of(DATA, algorithm)))

    assert digest == hashlib.new(algorithm, DATA).hexdigest()


@pytest.mark.parametrize(
    "integrity",
    [
        f"{integrity_of(DATA, 'sha1')} {integrity_of(DATA)}",
        f"{integrity_of(DATA)} {integrity_of(DATA, 'sha1')}",
        f" {integrity_of(DATA)}\n\t{integrity_of(DATA, 'sha256')}",
    ],
)
def test_of_several_the_strongest_counts_in_any_order(integrity: str) -> None:
    assert digest_of(package(integrity)) == SHA512


def test_options_behind_a_question_mark_are_passed_over() -> None:
    assert digest_of(package(f"{integrity_of(DATA)}?ct=application/gzip")) == SHA512


@pytest.mark.parametrize(
    "wrong",
    [
        "sha512-AAAA",
        "sha512-" + "A" * 87 + "==",
        "sha512-not*base64",
        "md5-AAAAAAAAAAAAAAAAAAAAAA==",
        "SHA512-" + base64.b64encode(bytes(64)).decode(),
        "nonsense",
    ],
)
def test_what_is_malformed_is_passed_over_for_what_is_not(wrong: str) -> None:
    right = integrity_of(DATA, "sha1")

    assert digest_of(package(f"{wrong} {right}")) == SHA1
    assert digest_of(package(f"{right} {wrong}")) == SHA1


def test_one_that_is_malformed_does_not_hide_another_of_its_algorithm() -> None:
    assert digest_of(package(f"{integrity_of(DATA)} sha512-AAAA")) == SHA512


@pytest.mark.parametrize(
    ("integrity", "told"),
    [
        ("", "is missing"),
        ("sha512-AAAA", "is 'sha512-AAAA'"),
        ("md5-AAAA", "is 'md5-AAAA'"),
        ("sha512-" + "A" * 85, "is 'sha512-" + "A" * 85 + "'"),
    ],
)
def test_none_that_can_be_checked_is_an_error(integrity: str, told: str) -> None:
    with pytest.raises(LockError) as caught:
        digest_of(package(integrity))

    assert caught.value.message == (
        f"the lock can't say what a 1.0.0 (node_modules/a) is: its integrity {told}"
    )
    assert caught.value.remedy == (
        "Have npm put it in: remove the package's entry from the lock and run "
        "npm install --package-lock-only --ignore-scripts"
    )


def test_sha_1_alone_is_weak() -> None:
    assert is_weak(SHA1)
    assert not is_weak(hashlib.sha256(DATA).hexdigest())
    assert not is_weak(SHA512)
