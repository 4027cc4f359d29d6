"""Locks and plans, in a line or as JSON's values."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from typing import Any

from layerforge.lock import Lock, Pin
from layerforge.plan import BuildPlan, Job
from layerforge.reports.columns import bytes_of, clipped, columns, counted, mebibytes
from layerforge.reports.paths import shown_path, shown_place

_NAME_WIDTH = 34
_VERSION_WIDTH = 16
_WIDTH = 80
_INDENT = " " * len("  strip   ")


def lock_line(job: Job, lock: Lock) -> str:
    """Say how many packages a lock pins, and what they weigh."""
    return ", ".join(
        filter(None, (f"{job}: {counted(len(lock.pins), 'package')}", _weight(lock)))
    )


def lock_document(job: Job, lock: Lock) -> dict[str, Any]:
    """Give a lock as JSON's values."""
    return {"path": str(job.lock_file), **asdict(lock)}


def plan_text(plan: BuildPlan) -> str:
    """Say what a build would do, step by step."""
    job = plan.job
    lines = [str(job)]
    if plan.lock is None:
        lines.append(f"  resolve, and write {shown_path(job.lock_file)}")
        lines.append("  fetch   what is then pinned and not in the store")
    else:
        lines.append(f"  lock    {shown_path(job.lock_file)}")
        lines.append(_fetching(plan.missing, len(plan.lock.pins)))
        rows = [
            (
                shown_place(pin.name, pin.location, _NAME_WIDTH),
                clipped(pin.version, _VERSION_WIDTH),
                bytes_of(pin.size) if pin.size else "",
                _state(pin, plan),
            )
            for pin in plan.lock.pins
        ]
        lines += [f"{_INDENT}{line}" for line in columns(rows, right="<<>")]
    if plan.compiled:
        lines += _listed("compile", map(str, plan.compiled))
    lines += _stripping(job)
    for include in job.spec.include:
        source = shown_path(include.source)
        lines.append(f"  include {source} as {include.destination}")
    parts = ", or its parts" if job.spec.split else ""
    lines.append(f"  write   {shown_path(job.output)}{parts}")
    if plan.lock and (weight := _weight(plan.lock)):
        lines.append(f"  holding {weight}")
    return "\n".join(lines)


def plan_document(plan: BuildPlan) -> dict[str, Any]:
    """Give a plan as JSON's values."""
    job = plan.job
    return {
        "layer": job.spec.name,
        "target": str(job.target),
        "lock": str(job.lock_file),
        "locked": plan.lock is not None,
        "fetch": [asdict(pin) for pin in plan.missing],
        "present": [asdict(pin) for pin in plan.present],
        "compile": [asdict(pin) for pin in plan.compiled],
        "rules": [rule.id for rule in job.stripping.rules],
        "zip": str(job.output),
    }


def _fetching(missing: Sequence[Pin], number: int) -> str:
    """Say what is to be fetched; npm's locks don't tell the sizes."""
    size = sum(pin.size for pin in missing)
    told = f", {bytes_of(size)} bytes" if size or not missing else ""
    return f"  fetch   {len(missing)} of {number} archives{told}"


def _state(pin: Pin, plan: BuildPlan) -> str:
    if not pin.filename:
        return "a commit"
    return "to fetch" if pin in plan.missing else "here"


def _stripping(job: Job) -> list[str]:
    rules = [rule.id for rule in job.stripping.rules]
    if job.trims:
        rules.append("tails of libraries")
    return _listed("strip", rules)


def _listed(verb: str, things: Iterable[str]) -> list[str]:
    return textwrap.wrap(
        ", ".join(things) or "nothing",
        _WIDTH,
        initial_indent=f"  {verb:8}",
        subsequent_indent=_INDENT,
        break_on_hyphens=False,
    )


def _weight(lock: Lock) -> str:
    weights = [pin.weight for pin in lock.pins if pin.weight]
    if len(weights) < len(lock.pins):
        return ""
    kept = sum(weight.kept for weight in weights)
    about = "about " if any(weight.predicted for weight in weights) else ""
    return f"{about}{bytes_of(kept)} bytes ({mebibytes(kept)})"
