from __future__ import annotations

import hashlib
import struct
import zlib

import pytest

from layerforge.compressor import compress
from layerforge.tree import DEFLATED, STORED

TEXT = b"".join(b"%d bottles of beer on the wall\n" % n for n in range(32))
# Records of a counter, a scattered number and a few flags, as libraries have tables.
BINARY = b"".join(
    struct.pack("<IIHxx", n * 24, n * 0x9E3779B1 % 2**32, n % 7) for n in range(25_000)
)
NOISE = hashlib.shake_256(b"noise").digest(10_000)


@pytest.mark.parametrize(
    ("data", "method", "sha256"),
    [
        pytest.param(
            TEXT,
            DEFLATED,
            "c3f488497c5baf75b6fe7e92c7fa8074afd1a7142bbf1c1c860dc1fb1accc4ee",
            id="text",
        ),
        pytest.param(
            BINARY,
            DEFLATED,
            "6cd73ed9a716400b844820815c3388c403ff10061bf0f1da4f518059cd46bedb",
            id="binary",
        ),
        pytest.param(
            NOISE,
            STORED,
            "1a034308366d26fc16b32677612d13c12a5b7a4d10ff7618bd4716801cfa2719",
            id="noise",
        ),
    ],
)
def test_compressed_bytes_are_what_they_always_were(
    data: bytes, method: int, sha256: str
) -> None:
    """Layers would no longer be the same: raise nothing, pin the library instead."""
    found, packed = compress(data)

    assert (found, hashlib.sha256(packed).hexdigest()) == (method, sha256)


@pytest.mark.parametrize("data", [TEXT, BINARY], ids=["text", "binary"])
def test_compressed_bytes_inflate_to_what_they_were(data: bytes) -> None:
    _, packed = compress(data)

    assert zlib.decompress(packed, wbits=-15) == data


@pytest.mark.parametrize("data", [b"", b"a", NOISE], ids=["empty", "tiny", "noise"])
def test_what_deflate_would_not_make_smaller_is_stored_as_it_is(data: bytes) -> None:
    assert compress(data) == (STORED, data)


def test_a_buffer_is_compressed_as_bytes_are() -> None:
    assert compress(bytearray(TEXT)) == compress(TEXT)
