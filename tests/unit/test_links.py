from __future__ import annotations

import pytest

from layerforge.findings import Finding, Severity
from layerforge.tree import FileEntry, unite
from layerforge.verify.links import check_links, follow


def found(links: dict[str, str], *files: str) -> list[Finding]:
    entries = [FileEntry(path=path, origin="", link=to) for path, to in links.items()]
    entries += [FileEntry(path=path, origin="") for path in files]
    return list(check_links(unite(entries)))


def told(links: dict[str, str], *files: str) -> list[tuple[str, str]]:
    return [(str(one.severity), one.message) for one in found(links, *files)]


@pytest.mark.parametrize(
    ("path", "to"),
    [
        ("lib/a.so", "a.so.1"),
        ("lib/a.so", "./../lib//a.so.1"),
        ("bin/a", "../lib/a.so.1"),
        ("bin/a", "/opt/lib/a.so.1"),
        ("bin/lib", "../lib"),
        ("bin/a", "/opt"),
    ],
)
def test_a_link_to_what_the_layer_has_is_fine(path: str, to: str) -> None:
    assert found({path: to}, "lib/a.so.1") == []


def test_links_are_followed_through_links() -> None:
    links = {"a": "b/c/x", "b": "d", "d/c": "/opt/e"}

    assert follow("a", links) == "/opt/e/x"
    assert found(links, "e/x") == []


def test_a_module_that_is_a_link_to_nowhere_is_an_error() -> None:
    assert found({"python/demo.py": "gone.py"}) == [
        Finding(
            check="link",
            severity=Severity.ERROR,
            path="python/demo.py",
            message="is a link to /opt/python/gone.py, which is not in the layer",
            remedy="Put the file itself there, or leave the link out with exclude.",
        )
    ]


@pytest.mark.parametrize(
    ("path", "to", "severity", "message"),
    [
        (
            "share/doc",
            "gone",
            "warning",
            "is a link to /opt/share/gone, which is not in the layer",
        ),
        (
            "python/.#demo.py",
            "me@host.1",
            "warning",
            "is a link to /opt/python/me@host.1, which is not in the layer",
        ),
        (
            "python/demo.py",
            "/home/me/demo.py",
            "error",
            "is a link to /home/me/demo.py, which Lambda hasn't got",
        ),
        (
            "share/me",
            "/Users/me",
            "warning",
            "is a link to /Users/me, which Lambda hasn't got",
        ),
        (
            "python/a.so",
            "../../usr/lib64/a.so",
            "warning",
            (
                "is a link out of the layer, to /usr/lib64/a.so: whether that is "
                "there, is the runtime's"
            ),
        ),
        (
            "python/root",
            "../../../..",
            "warning",
            "is a link out of the layer, to /: whether that is there, is the runtime's",
        ),
        (
            "python/a.py",
            "a.py",
            "error",
            "is a link that goes round in a circle",
        ),
    ],
)
def test_where_a_link_leads_decides(
    path: str, to: str, severity: str, message: str
) -> None:
    assert told({path: to}) == [(severity, message)]
