"""What `layerforge check` found: for people, pull requests, workflows, programs."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import asdict, replace
from typing import Any, Final

from layerforge.check import Part, Size, Standing, Survey, Told
from layerforge.errors import LayerforgeError
from layerforge.findings import Finding, Severity
from layerforge.limits import UNZIPPED_LIMIT
from layerforge.reports.columns import bytes_of, clipped, columns
from layerforge.reports.findings import findings_sum, findings_text
from layerforge.reports.markdown import code, plain, table
from layerforge.reports.paths import with_shown_paths

_NAME_WIDTH: Final = 24
_HEAD: Final = ("target", "unzipped", "share", "state")
_ORDER: Final = (Severity.ERROR, Severity.WARNING, Severity.NOTE)
_STATES: Final = {
    "lock-missing": "no lock",
    "lock-stale": "stale lock",
    "size": "too large",
    "empty": "empty",
    "budget": "too large",
    "layer-count": "too many layers",
    "near-limit": "near the limit",
    "split": "in parts",
    "weights": "not weighed",
    "unknown-size": "not all known",
    "code": "no code",
    "bases": "bases missing",
}
# https://docs.github.com/actions/reference/workflow-commands-for-github-actions
_COMMANDS: Final = {
    Severity.ERROR: "error",
    Severity.WARNING: "warning",
    Severity.NOTE: "notice",
}


def check_text(check: Survey, *, quiet: bool = False, verbose: bool = False) -> str:
    """List layers and functions, then what was found; if ``quiet``, what is wrong."""
    blocks = [] if quiet else [*_tables(check)]
    found = [_placed(told) for told in check.told]
    if quiet:
        found = [each for each in found if each.severity is not Severity.NOTE]
    if found:
        blocks.append(findings_text(found, verbose=verbose))
        blocks.append(findings_sum(found))
    return "\n\n".join(blocks)


def check_markdown(check: Survey) -> str:
    """Say the same in GitHub's Markdown, for a comment on a pull request."""
    blocks = []
    for kind, standings in (("layer", check.layers), ("function", check.functions)):
        if standings:
            rows = [
                (code(name), *others)
                for name, *others in (_row(standing) for standing in standings)
            ]
            blocks.append("\n".join(table([(kind, *_HEAD), *rows], right="<<>><")))
    told = [each for each in _in_order(check.told) if not each.finding.waived]
    blocks += ["\n".join(map(_item, told))] if told else []
    return "\n\n".join(blocks)


def check_commands(check: Survey, file: str, text: str) -> list[str]:
    """Give workflow commands, which GitHub shows as annotations of a ``file``.

    ``text`` is what stands in it: each finding is shown at its layer's table.
    """
    return [
        workflow_command(
            _COMMANDS[told.finding.severity],
            f"{told.about}: {told.finding.message}\n{told.finding.remedy}".strip(),
            file=file,
            line=str(line_of(text, told.table)),
            title=f"layerforge: {told.finding.check}",
        )
        for told in _in_order(check.told)
        if not told.finding.waived
    ]


def workflow_command(name: str, message: str, **properties: str) -> str:
    """Write a workflow command, with all escaped that would end a part of it."""
    given = ((key, _escaped(value)) for key, value in properties.items() if value)
    told = ",".join(
        f"{key}={value.replace(':', '%3A').replace(',', '%2C')}" for key, value in given
    )
    return (
        f"::{name}{f' {told}' if told else ''}::{_escaped(with_shown_paths(message))}"
    )


def error_markdown(error: LayerforgeError) -> str:
    """Say in GitHub's Markdown why nothing could be checked."""
    text = with_shown_paths(f"{error.message}. {error.remedy}".rstrip())
    return f"- **error** {plain(text)}"


def error_command(error: LayerforgeError, file: str) -> str:
    """Give the workflow command for the same, about a ``file`` if that is known."""
    message = f"{error.message}\n{error.remedy}".strip()
    return workflow_command("error", message, file=file, title="layerforge: check")


def check_document(check: Survey) -> dict[str, Any]:
    """Give the same as JSON's values, in bytes; null is what isn't known."""
    return {
        "limit": UNZIPPED_LIMIT,
        "layers": [
            {**_document(each), "lock": str(each.lock_file)} for each in check.layers
        ],
        "functions": [_document(each) for each in check.functions],
        "findings": [
            {"about": told.about, "table": told.table, **asdict(told.finding)}
            for told in _in_order(check.told)
        ],
    }


def line_of(text: str, name: str) -> int:
    """Say in which line of a layerforge.toml a table begins; 1 where none does."""
    kind, _, key = name.partition(".")
    quoted = rf"""["']?{re.escape(key)}["']?"""
    header = rf"^[ \t]*\[[^\]\n]*\b{kind}[ \t]*\.[ \t]*{quoted}[ \t]*\]"
    inline = rf"^[ \t]*(?:{kind}[ \t]*\.[ \t]*)?{quoted}[ \t]*="
    found = re.search(header, text, re.MULTILINE)
    found = found or re.search(inline, text, re.MULTILINE)
    return text.count("\n", 0, found.start()) + 1 if found else 1


def _placed(told: Told) -> Finding:
    """Give a finding with what it is about as its place."""
    message = with_shown_paths(told.finding.message)
    return replace(told.finding, path=told.about, message=message)


def _tables(check: Survey) -> Iterable[str]:
    for kind, standings in (("layer", check.layers), ("function", check.functions)):
        if standings:
            rows = [_row(standing, _NAME_WIDTH) for standing in standings]
            yield "\n".join(columns([(kind, *_HEAD), *rows], right="<<>><"))


def _row(standing: Standing, width: int = 0) -> tuple[str, ...]:
    size = standing.size
    return (
        clipped(standing.name, width) if width else standing.name,
        standing.target or "?",
        _shown(size) if size else "?",
        f"{size.bytes / UNZIPPED_LIMIT:.1%}" if size else "",
        _state(standing),
    )


def _state(standing: Standing) -> str:
    open_findings = [each for each in standing.findings if not each.waived]
    ordered = sorted(open_findings, key=lambda each: _ORDER.index(each.severity))
    states = (_STATES[each.check] for each in ordered if each.check in _STATES)
    known = all(part.size for part in standing.parts)
    return next(states, "ok" if known else "not all known")


def _shown(size: Size) -> str:
    return f"{size.bound} {bytes_of(size.bytes)}".lstrip()


def _in_order(told: Iterable[Told]) -> list[Told]:
    return sorted(told, key=lambda each: _ORDER.index(each.finding.severity))


def _item(told: Told) -> str:
    finding = told.finding
    text = f"{finding.message}. {finding.remedy}".rstrip()
    return (
        f"- **{finding.severity}** {code(finding.check)} "
        f"{plain(f'{told.about}: {with_shown_paths(text)}')}"
    )


def _document(standing: Standing) -> dict[str, Any]:
    size = standing.size
    return {
        "name": standing.name,
        "target": standing.target,
        "unzipped": size.bytes if size else None,
        "bound": str(size.bound) if size else "",
        "most": standing.most,
        "state": _state(standing),
        "parts": [_part(part) for part in standing.parts],
    }


def _part(part: Part) -> dict[str, Any]:
    unzipped = part.size.bytes if part.size else None
    return {"title": part.title, "unzipped": unzipped}


def _escaped(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")
