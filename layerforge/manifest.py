"""What a build made and from what: the JSON that lies beside each zip."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from layerforge.findings import Finding, Severity
from layerforge.strip import Removal

FORMAT: Final = 1
_LONGEST_NAME: Final = 255  # bytes
_TEXTS: Final = ("layer", "runtime", "architecture", "code_sha256", "lock_digest")


@dataclass(frozen=True, slots=True, kw_only=True)
class PackageReport:
    """One package's part in a layer; ``size`` is its unzipped bytes there.

    ``digest`` is the archive's, after its algorithm (``sha256:…``); ``location`` is
    told as in `Pin`.
    """

    name: str
    version: str
    archive: str
    digest: str
    location: str
    size: int
    files: int
    required_by: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class RemovalReport:
    """What one strip rule removed."""

    rule: str
    files: int
    size: int
    paths: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildReport:
    """One layer as it was built; all sizes in bytes.

    ``runtimes`` are all that it suits, the first of them is ``runtime``. ``zip``,
    ``sbom``, ``licence_texts`` and ``lock`` are file names, beside the manifest or not.
    A layer that was divided has no zip, but ``parts``, file names too, each with a
    manifest of its own that says what it is ``part_of``. ``provided_by`` are the zips
    of the layers that it stands on. ``trimmed`` is
    what cutting the tails of libraries saved, ``bytecode`` what compiled modules add,
    and ``bytecode_estimate`` about what they would. ``imports`` are modules whose
    import proves the layer. ``unchanged`` tells that there was
    nothing to do; it isn't kept.
    """

    layer: str
    runtime: str
    runtimes: tuple[str, ...]
    architecture: str
    description: str
    licence: str
    zip: str
    zipped: int
    unzipped: int
    files: int
    code_sha256: str
    tree_digest: str
    lock: str
    lock_digest: str
    packages: tuple[PackageReport, ...]
    removals: tuple[RemovalReport, ...]
    trimmed: int
    bytecode: int
    bytecode_estimate: int
    findings: tuple[Finding, ...]
    layerforge: str
    imports: tuple[str, ...] = ()
    parts: tuple[str, ...] = ()
    part_of: str = ""
    provided_by: tuple[str, ...] = ()
    sbom: str = ""
    licence_texts: str = ""
    unchanged: bool = False

    @property
    def target(self) -> str:
        """The target as people write it, with all runtimes as in the zip's name."""
        return "-".join((*self.runtimes, self.architecture))

    @property
    def shaken(self) -> bool:
        """Say whether files went that no entry point reaches."""
        return any(removal.rule == "shake" for removal in self.removals)


def summarise(removals: Iterable[Removal]) -> tuple[RemovalReport, ...]:
    """Add removals up by rule, in the order in which the rules first removed."""
    by_rule: dict[str, list[Removal]] = {}
    for removal in removals:
        by_rule.setdefault(removal.rule, []).append(removal)
    return tuple(
        RemovalReport(
            rule=rule,
            files=len(removed),
            size=sum(removal.size for removal in removed),
            paths=tuple(removal.path for removal in removed),
        )
        for rule, removed in by_rule.items()
    )


def to_document(report: BuildReport) -> dict[str, Any]:
    """Give a report as JSON's values."""
    document = asdict(report)
    if not document.pop("unchanged"):
        return {"format": FORMAT, **document}
    return {"format": FORMAT, **document, "unchanged": True}


def manifest_path(archive: Path) -> Path:
    """Say where a zip's manifest is."""
    return archive.with_suffix(".json")


def dump_manifest(report: BuildReport) -> str:
    """Give the text of a zip's manifest."""
    return json.dumps(to_document(report), indent=2, ensure_ascii=False) + "\n"


def outputs(archive: Path, report: BuildReport) -> tuple[Path, ...]:
    """Say where a layer's zips are: at ``archive``, or beside it, if it was divided."""
    return tuple(map(archive.with_name, report.parts)) or (archive,)


def is_whole(archive: Path, report: BuildReport) -> bool:
    """Say whether all files that a manifest names are still there."""
    names = (*report.parts, report.zip, report.sbom, report.licence_texts)
    return all(archive.with_name(name).is_file() for name in names if name)


def read_manifest(archive: Path) -> BuildReport | None:
    """Read the manifest beside a zip, if there is one that can be read."""
    try:
        document = json.loads(manifest_path(archive).read_text(encoding="utf-8"))
        return _from_document(document)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None  # nothing is known of it, then


def _file_name(name: str) -> str:
    """Take a name that leads nowhere else; a manifest may be of anybody's making."""
    if not name or Path(name).name != name or len(name.encode()) > _LONGEST_NAME:
        raise ValueError(name)
    return name


def _list_of_texts(told: Any) -> tuple[str, ...]:  # noqa: ANN401 - as JSON has it
    if not isinstance(told, list) or not all(isinstance(one, str) for one in told):
        raise TypeError(told)
    return tuple(told)


def _from_document(document: Mapping[str, Any]) -> BuildReport | None:
    fields = dict(document)
    if fields.pop("format") != FORMAT:
        return None
    fields["packages"] = tuple(
        PackageReport(**row | {"required_by": tuple(row["required_by"])})
        for row in fields["packages"]
    )
    fields["removals"] = tuple(
        RemovalReport(**row | {"paths": tuple(row["paths"])})
        for row in fields["removals"]
    )
    fields["runtimes"] = _list_of_texts(fields["runtimes"])
    fields["imports"] = _list_of_texts(fields.get("imports", []))
    for name in ("parts", "provided_by"):
        fields[name] = tuple(map(_file_name, _list_of_texts(fields.get(name, []))))
    for name in _TEXTS:
        if not isinstance(fields.get(name, ""), str):
            raise TypeError(name)
    for name in ("zip", "lock", "sbom", "licence_texts"):
        _file_name(fields.get(name, "") or "none")
    fields["findings"] = tuple(
        Finding(**row | {"severity": Severity(row["severity"])})
        for row in fields["findings"]
    )
    return BuildReport(**fields)
