"""Requests that nobody heard the end of: an interrupted run's, for the next one.

What was sent before Ctrl-C may still be done, moments later. Who publishes the same
bytes again soon therefore looks for them first.
"""

from __future__ import annotations

import hashlib
import json
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from layerforge.aws.releases import Release
from layerforge.aws.session import Session
from layerforge.errors import BuildError
from layerforge.store import Store

_KIND: Final = "records"
_FRESH: Final = 300.0  # seconds; no request takes that long


@dataclass(frozen=True, slots=True, kw_only=True)
class Pending:
    """The note of one release's request, in the store."""

    release: Release
    session: Session
    store: Store

    def newest_before(self) -> int | None:
        """Give the newest version before a request for these bytes, if one is open."""
        try:
            note = json.loads(self.store.load(_KIND, self._key) or b"null")
            code_sha256, seen, sent = note or ("", 0, 0)
        except (BuildError, TypeError, ValueError):  # none that can be read
            return None
        fresh = abs(time.time() - sent) < _FRESH
        return seen if fresh and code_sha256 == self.release.code_sha256 else None

    def open(self, seen: int) -> None:
        """Note that a request is about to be sent."""
        note = [self.release.code_sha256, seen, time.time()]
        self._save(json.dumps(note).encode())

    def close(self) -> None:
        """Note that it is known what became of it."""
        self._save(b"")

    def _save(self, document: bytes) -> None:
        with suppress(BuildError):  # without it, an interruption is not looked after
            self.store.save(_KIND, self._key, document)

    @property
    def _key(self) -> str:
        place = [repr(self.session.access), self.release.region, self.release.name]
        return hashlib.sha256(json.dumps(["publish", *place]).encode()).hexdigest()
