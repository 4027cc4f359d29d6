"""What checks found, in at most 80 columns: the worst first, equals together."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Final

from layerforge.findings import Finding, Severity
from layerforge.reports.columns import counted
from layerforge.reports.prose import printable, wrapped

_WIDTH: Final = 80
_INDENT: Final = "  "
_SHOWN: Final = 3  # paths of one finding
_RANKS: Final = {severity: rank for rank, severity in enumerate(Severity)}
_MORE: Final = "-v shows them"


def findings_text(
    findings: Iterable[Finding], *, indent: str = "", verbose: bool = False
) -> str:
    """Say what was found, where, and what helps; '' where nothing was.

    Paths with the same fault are told together. A remedy that helps several findings
    stands below the last of them, with their number. Waived findings are counted, or
    told with their reasons when ``verbose``.
    """
    findings = tuple(findings)
    blocks = _blocks(one for one in findings if not one.waived)
    lines = [line for block in _told_once(blocks) for line in _lines(block, verbose)]
    waived = [one for one in findings if one.waived]
    if verbose:
        lines += [line for block in _blocks(waived) for line in _lines(block, verbose)]
    elif waived:
        lines.append(f"{counted(len(waived), 'finding')} waived ({_MORE})")
    return "\n".join(wrapped(f"{indent}{line}", _WIDTH) for line in lines)


def findings_sum(findings: Iterable[Finding]) -> str:
    """Count what was found by severity; what is waived counts no more."""
    open_ = [one for one in findings if not one.waived]
    counts = [
        counted(count, str(severity))
        for severity in Severity
        if (count := sum(one.severity is severity for one in open_))
    ]
    return ", ".join(counts) or "nothing wrong"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Block:
    """One finding's text, and all the paths that it is about."""

    label: str
    check: str
    message: str
    remedy: str
    waived: str
    paths: tuple[str, ...]
    helps: int = 1  # so many blocks, of which this is the last


def _blocks(findings: Iterable[Finding]) -> list[_Block]:
    """Put findings together that differ in their paths alone, the worst first."""
    paths: dict[tuple[Severity, str, str, str, str], list[str]] = {}
    for one in findings:
        key = (one.severity, one.check, one.message, one.remedy, one.waived)
        paths.setdefault(key, []).append(one.path)
    checks = list(dict.fromkeys(check for _, check, *_ in paths))
    ordered = sorted(paths, key=lambda key: (_RANKS[key[0]], checks.index(key[1])))
    return [
        _Block(
            label="waived" if waived else str(severity),
            check=check,
            message=message,
            remedy="" if waived else remedy,
            waived=waived,
            paths=tuple(paths[severity, check, message, remedy, waived]),
        )
        for severity, check, message, remedy, waived in ordered
    ]


def _told_once(blocks: Sequence[_Block]) -> Iterator[_Block]:
    """Leave a remedy out where the next block has the same."""
    for _, alike in groupby(blocks, lambda block: (block.check, block.remedy)):
        *others, last = alike
        yield from (replace(block, remedy="") for block in others)
        yield replace(last, helps=len(others) + 1)


def _lines(block: _Block, verbose: bool) -> Iterator[str]:  # noqa: FBT001 - private
    first, *others = map(printable, block.paths)
    message = printable(block.message)
    head = f"{block.label}[{block.check}]:"
    if not first:
        yield f"{head} {message}"
    else:
        yield f"{head} {first}"
        if others:
            yield f"{_INDENT}{_also(others, verbose=verbose)}"
        yield f"{_INDENT}{message}"
    if block.remedy:
        label = "try" if block.helps == 1 else f"try, for all {block.helps:,}"
        yield f"{_INDENT}{label}: {printable(block.remedy)}"
    if block.waived:
        yield f"{_INDENT}because: {block.waived}"


def _also(paths: Sequence[str], *, verbose: bool) -> str:
    shown = paths if verbose else paths[: _SHOWN - 1]
    more = len(paths) - len(shown)
    named = ", ".join(shown)
    return f"and {named}, and {more:,} more ({_MORE})" if more else f"and {named}"
