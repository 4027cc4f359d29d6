"""A layer's software bill of materials: CycloneDX 1.6 (ECMA-424), as JSON.

https://cyclonedx.org/docs/1.6/json/. Packages are known by their purls
(https://github.com/package-url/purl-spec). Of addresses no password, token or
signature is told, nor any path of the machine that built.

The library takes longer to import than a build with nothing to do: whoever builds
imports this module when there is something to write.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit
from uuid import NAMESPACE_URL, UUID, uuid5

from cyclonedx.exception.model import InvalidUriException
from cyclonedx.model import (
    ExternalReference,
    ExternalReferenceType,
    HashAlgorithm,
    HashType,
    Property,
    XsUri,
)
from cyclonedx.model.bom import Bom, BomMetaData
from cyclonedx.model.component import Component as CycloneComponent
from cyclonedx.model.component import ComponentScope, ComponentType
from cyclonedx.model.dependency import Dependency
from cyclonedx.model.license import (
    DisjunctiveLicense,
    License,
    LicenseAcknowledgement,
    LicenseExpression,
)
from cyclonedx.model.lifecycle import LifecyclePhase, PredefinedLifecycle
from cyclonedx.model.tool import ToolRepository
from cyclonedx.output.json import JsonV1Dot6
from packageurl import PackageURL
from packaging.licenses import (
    InvalidLicenseExpression,
    canonicalize_license_expression,
)

from layerforge.address import shown
from layerforge.documents.components import Component, components_of, graph_of
from layerforge.hashes import title_of
from layerforge.lock import Lock, Pin, sorted_pins
from layerforge.manifest import BuildReport
from layerforge.target import Target
from layerforge.tree import Tree

# What purls call the registries of a runtime's language.
_PURL_TYPES: Final = {"node": "npm", "python": "pypi"}
_LONGEST_SUMMARY: Final = 200  # characters
_SHORT_DIGEST: Final = 12  # characters
# As uv and pip write a commit, and as npm does.
_COMMIT: Final = re.compile(
    r"(?P<url>[^#]+)@(?P<commit>[0-9a-f]{40,64})(?:#subdirectory=(?P<folder>.+))?"
)
_NPM_COMMIT: Final = re.compile(r"(?P<url>[^#]+)#(?P<commit>[0-9a-f]{40,64})")
# What no identifier of SPDX's list has, or would have it taken for one of the list.
_COMPOUND: Final = re.compile(r"[\s(+]|LicenseRef-")
_ARCHIVES: Final = (".whl", ".tgz", ".tar", ".zip", ".tar.gz", ".tar.bz2", ".tar.xz")


def sbom_path(archive: Path) -> Path:
    """Say where a zip's bill of materials is."""
    return archive.with_suffix(".cdx.json")


def dump_sbom(
    report: BuildReport, target: Target, locks: Sequence[Lock], tree: Tree
) -> str:
    """Give the text of a layer's bill of materials; equal layers, equal text.

    ``locks`` are those of all runtimes that the one zip serves. It has no timestamp,
    and its serial number follows from what the layer is.
    """
    components = components_of(locks, tree)
    bom = _bom(report, target, locks, components)
    document = json.loads(JsonV1Dot6(bom).output_as_string())
    del document["metadata"]["timestamp"]  # the library can't do without
    return json.dumps(document, indent=2, ensure_ascii=False, sort_keys=True) + "\n"


def _bom(
    report: BuildReport,
    target: Target,
    locks: Sequence[Lock],
    components: Sequence[Component],
) -> Bom:
    purl_type = _PURL_TYPES[target.runtime.language]
    layer = _layer(report, locks)
    described = {one.id: _component(one, purl_type) for one in components}
    refs = {
        "": layer.bom_ref,
        **{identifier: one.bom_ref for identifier, one in described.items()},
    }
    return Bom(
        serial_number=_serial_number(report, locks),
        metadata=_metadata(report, layer),
        components=described.values(),
        dependencies=[
            Dependency(refs[identifier], [Dependency(refs[each]) for each in asked])
            for identifier, asked in graph_of(locks, components).items()
        ],
    )


def _serial_number(report: BuildReport, locks: Sequence[Lock]) -> UUID:
    decisive = [
        report.layer,
        report.target,
        report.layerforge,
        report.code_sha256,
        report.tree_digest,
        *(replace(lock, pins=sorted_pins(lock.pins)).digest for lock in locks),
    ]
    return uuid5(NAMESPACE_URL, json.dumps(decisive))


def _metadata(report: BuildReport, layer: CycloneComponent) -> BomMetaData:
    tool = CycloneComponent(
        type=ComponentType.APPLICATION, name="layerforge", version=report.layerforge
    )
    return BomMetaData(
        component=layer,
        lifecycles=[PredefinedLifecycle(phase=LifecyclePhase.BUILD)],
        tools=ToolRepository(components=[tool]),
    )


def _layer(report: BuildReport, locks: Sequence[Lock]) -> CycloneComponent:
    provided = {name for lock in locks for name in lock.provided}
    providers = (report.provided_by or report.runtimes) if provided else ()
    return CycloneComponent(
        type=ComponentType.LIBRARY,
        bom_ref=f"layer:{report.layer}",
        name=report.layer,
        version=report.tree_digest[:_SHORT_DIGEST],
        description=report.description or None,
        licenses=_licences([report.licence] if report.licence else []),
        hashes=[_hash(base64.b64decode(report.code_sha256).hex())],
        properties=[
            *_properties("target", {lock.target for lock in locks}),
            *_properties("tree-digest", [f"sha256:{report.tree_digest}"]),
            *_properties("unzipped-bytes", [str(report.unzipped)]),
            *_properties("provided", provided),
            *_properties("provided-by", providers),
        ],
    )


def _component(one: Component, purl_type: str) -> CycloneComponent:
    pin, statement = one.pin, one.statement
    gone = bool(pin) and not one.files
    short = len(statement.summary) <= _LONGEST_SUMMARY
    scope, _, name = one.name.rpartition("/")
    return CycloneComponent(
        type=ComponentType.LIBRARY if one.is_package else ComponentType.FILE,
        bom_ref=one.id,
        group=scope or None,
        name=name,
        version=one.version or None,
        description=(short and statement.summary) or None,
        scope=ComponentScope.EXCLUDED if gone else None,
        hashes=[_hash(pin.digest)] if pin and _is_archive(pin) else [],
        licenses=_licences(statement.licences),
        purl=_purl(one, purl_type) if one.is_package else None,
        external_references=_references(pin) if pin else [],
        properties=[*_component_properties(one)],
    )


def _component_properties(one: Component) -> Iterator[Property]:
    """Give what CycloneDX has no field for.

    Names that begin with cdx: are of its own taxonomy:
    https://github.com/CycloneDX/cyclonedx-property-taxonomy
    """
    if one.holder:
        yield from _properties("inside-of", [one.holder])
    else:
        yield from _properties("files", [str(one.files)])
        yield from _properties("unzipped-bytes", [str(one.size)])
    if one.pin and one.pin.source:
        yield from _properties("compiled", ["true"])
    if one.pin and one.pin.location:
        yield from _properties("path", [one.pin.location], namespace="cdx:npm:package")
    if not one.statement.licences:
        yield from _properties("no-licence", [_why_no_licence(one)])


def _why_no_licence(one: Component) -> str:
    if not one.is_package:
        return "the layer's own files"
    return "the package states none" if one.folder else "its metadata was left out"


def _properties(
    name: str, values: Iterable[str], namespace: str = "layerforge"
) -> list[Property]:
    return [
        Property(name=f"{namespace}:{name}", value=value) for value in sorted(values)
    ]


def _licences(stated: Sequence[str]) -> list[License]:
    """Give licences as their owners state them: by SPDX where that is what they say."""
    declared = LicenseAcknowledgement.DECLARED
    spdx = [_spdx(text) for text in stated]
    if len(spdx) == 1 and _COMPOUND.search(spdx[0]):  # no list holds an expression
        return [LicenseExpression(spdx[0], acknowledgement=declared)]
    return [
        DisjunctiveLicense(id=known, acknowledgement=declared)
        if known and not _COMPOUND.search(known)
        else DisjunctiveLicense(name=text, acknowledgement=declared)
        for known, text in zip(spdx, stated, strict=True)
    ]


def _spdx(text: str) -> str:
    """Give a licence's text as an SPDX expression; '' where it is none."""
    try:
        return str(canonicalize_license_expression(text))
    except InvalidLicenseExpression:
        return ""


def _hash(digest: str) -> HashType:
    return HashType(alg=HashAlgorithm(title_of(digest)), content=digest)


def _is_archive(pin: Pin) -> bool:
    """Say whether a digest is of an archive: those of commits and folders are not."""
    is_folder = pin.path is not None and not pin.path.name.endswith(_ARCHIVES)
    return bool(pin.filename) and not is_folder


def _purl(one: Component, purl_type: str) -> PackageURL | None:
    """Give a package's URL; what calls itself as no package can has none."""
    scope, _, name = one.name.rpartition("/")
    try:
        return PackageURL(
            type=purl_type,
            namespace=scope or None,
            name=name,
            version=one.version or None,
            qualifiers={"vcs_url": _commit(one.pin)} if one.pin else None,
        )
    except ValueError:
        return None


def _commit(pin: Pin) -> str:
    """Name a commit as SPDX does, git+https://HOST/PATH@COMMIT#FOLDER; '' for others.

    https://spdx.github.io/spdx-spec/v2.3/package-information/#77-package-download-location-field
    """
    match = _COMMIT.fullmatch(pin.url) or _NPM_COMMIT.fullmatch(pin.url)
    address = _public(match["url"]) if match and not pin.filename else ""
    if not match or not address:
        return ""
    folder = match.groupdict().get("folder")
    return f"{address}@{match['commit']}" + (f"#{folder}" if folder else "")


def _references(pin: Pin) -> Iterator[ExternalReference]:
    kind, address = ExternalReferenceType.DISTRIBUTION, _public(pin.url)
    if not pin.filename:
        kind, address = ExternalReferenceType.VCS, _commit(pin)
    if address:
        with suppress(InvalidUriException):
            yield ExternalReference(type=kind, url=XsUri(address))


def _public(url: str) -> str:
    """Give an address without what is secret in it; '' for one of this machine."""
    parts = urlsplit(url)
    is_file = parts.scheme.rpartition("+")[2] == "file"
    return "" if is_file or not parts.hostname else shown(url)
