"""``waive`` of layerforge.toml, read: findings that are meant to be, and why.

[layers.web]
waive = [
    {check = "library", path = "python/numba/**", why = "We use the workqueue pool."},
]
"""

from __future__ import annotations

from typing import Final

from layerforge.fields import Wrong, a_table, a_text
from layerforge.findings import Waiver, load_checks

_KEYS: Final = {"check", "path", "why"}


def a_waiver(value: object) -> Waiver:
    """Read which findings a layer's user answers for; all three keys are texts."""
    table = a_table(value)
    texts = {key: a_text()(found) for key, found in table.items()}
    if texts.keys() - _KEYS or not {"check", "why"} <= texts.keys():
        raise Wrong('{check = "ID", path = "python/…", why = "…"}, path by choice')
    check = load_checks().get(texts["check"])
    if check is None:
        raise Wrong("a check: layerforge explain lists them", found=texts["check"])
    if not check.waivable:
        raise Wrong(
            "a check that can be waived: no reason makes this right", found=check.id
        )
    if texts.get("path", "").startswith("/"):
        raise Wrong("a path below /opt, such as python/demo", found=texts["path"])
    if not texts["why"].strip():
        raise Wrong("a reason in why", found=texts["why"])
    return Waiver(check=check.id, path=texts.get("path", ""), why=texts["why"])
