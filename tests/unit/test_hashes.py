from __future__ import annotations

import hashlib

import pytest

from layerforge.hashes import algorithm_of, hasher_for, labelled, title_of

ALGORITHMS = [("sha1", "SHA-1"), ("sha256", "SHA-256"), ("sha512", "SHA-512")]


@pytest.mark.parametrize(("algorithm", "title"), ALGORITHMS)
def test_a_digest_alone_tells_its_algorithm(algorithm: str, title: str) -> None:
    digest = hashlib.new(algorithm, b"a package").hexdigest()

    assert algorithm_of(digest) == algorithm
    assert title_of(digest) == title
    assert labelled(digest) == f"{algorithm}:{digest}"


@pytest.mark.parametrize("algorithm", [name for name, _ in ALGORITHMS])
def test_bytes_are_held_to_a_digest_by_its_own_algorithm(algorithm: str) -> None:
    digest = hashlib.new(algorithm, b"a package").hexdigest()
    found = hasher_for(digest)

    found.update(b"a package")

    assert found.hexdigest() == digest
