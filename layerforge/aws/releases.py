"""From zips and what ``[publish]`` says to what should be where: pure, no call made.

All that AWS would refuse is refused here, before the first call:
https://docs.aws.amazon.com/lambda/latest/api/API_PublishLayerVersion.html
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from layerforge.aws.grants import Grant, read_grants
from layerforge.aws.transfer import goes_by_bucket, refuse_without_bucket
from layerforge.documents.licences import listed
from layerforge.errors import ConfigError
from layerforge.limits import UNZIPPED_LIMIT
from layerforge.manifest import BuildReport
from layerforge.publication import filled
from layerforge.spec import (
    DESCRIPTION_LENGTH,
    LICENCE_LENGTH,
    PublishAccount,
    PublishSpec,
    StorageMode,
)
from layerforge.target import Target, find_arch, find_runtime

NAME: Final = "{layer}-{target}"
DESCRIPTION: Final = "{layer} {digest}"

_LAYER_NAME: Final = r"[a-zA-Z0-9_-]{1,140}"
_MOST_RUNTIMES: Final = 15
_MOST_ARCHITECTURES: Final = 2
_DIGEST: Final = 12  # characters


@dataclass(frozen=True, slots=True, kw_only=True)
class BuiltZip:
    """A zip with its manifest, and how its layer is to be published."""

    path: Path
    report: BuildReport
    publish: PublishSpec
    licences: tuple[str, ...] = ()

    @property
    def targets(self) -> tuple[Target, ...]:
        """All that the zip was built and checked for."""
        arch = find_arch(self.report.architecture)
        return tuple(
            Target(runtime=find_runtime(name), arch=arch)
            for name in self.report.runtimes
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Destinations:
    """Where to: accounts by ``[publish.accounts]``, or the one that speaks.

    ``regions`` are the command line's; ``default_regions`` are boto3's, by account,
    where it knows one.
    """

    accounts: tuple[PublishAccount, ...] = ()
    regions: tuple[str, ...] = ()
    default_regions: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Release:
    """What should be the newest version of a layer, in one Region of one account.

    ``account`` is a name of ``[publish.accounts]``, or ''. ``zipped`` is in bytes,
    ``code_sha256`` base64, as AWS tells it. ``bucket`` is a template still; '' where
    the zip is sent to Lambda itself.
    """

    layer: str
    name: str
    region: str
    zip: Path
    zipped: int
    code_sha256: str
    runtimes: tuple[str, ...]
    architectures: tuple[str, ...]
    account: str = ""
    description: str = ""
    licence: str = ""
    grants: tuple[Grant, ...] = ()
    bucket: str = ""
    storage_mode: StorageMode = StorageMode.COPY
    targets: tuple[str, ...] = ()

    def __str__(self) -> str:
        account = f" of {self.account}" if self.account else ""
        return f"{self.name} in {self.region}{account}"


def plan_releases(
    built: Sequence[BuiltZip],
    destinations: Destinations,
    *,
    words: Mapping[str, str] | None = None,
    bucket: str = "",
) -> tuple[Release, ...]:
    """Say what should be where, by name, account and Region.

    ``words`` are the ``version`` and ``revision`` of templates; ``bucket`` stands for
    what layers say. Raises `ConfigError`.
    """
    return tuple(
        release
        for name, zips in sorted(_by_name(built, words or {}).items())
        for release in _releases(name, zips, destinations, words or {}, bucket)
    )


def _by_name(
    built: Iterable[BuiltZip], words: Mapping[str, str]
) -> dict[str, list[BuiltZip]]:
    by_name: dict[str, list[BuiltZip]] = {}
    for one in built:
        template = one.publish.name or NAME
        name = filled(template, _words([one], words), key="publish.name")
        if not re.fullmatch(_LAYER_NAME, name):
            raise ConfigError(
                f"{name!r} is no name of a layer on AWS: at most 140 letters, digits, "
                f"- and _ (of {one.report.layer}, by publish.name {template!r})",
                remedy="Change publish.name.",
            )
        by_name.setdefault(name, []).append(one)
    for name, zips in by_name.items():
        _refuse_difference(name, zips)
    return by_name


def _refuse_difference(name: str, zips: Sequence[BuiltZip]) -> None:
    first = zips[0]
    for other in zips[1:]:
        same_layer = other.report.layer == first.report.layer
        if same_layer and other.report.code_sha256 == first.report.code_sha256:
            continue
        raise ConfigError(
            f"{_titled(first)} and {_titled(other)} would both be {name}, and they are "
            f"different {'zips' if same_layer else 'layers'}",
            remedy='Tell them apart by publish.name, such as "{layer}-{target}", which '
            "is the default.",
        )


def _releases(
    name: str,
    zips: Sequence[BuiltZip],
    destinations: Destinations,
    words: Mapping[str, str],
    bucket: str,
) -> Iterator[Release]:
    first = zips[0]
    report, publish = first.report, first.publish
    bucket = bucket or publish.bucket
    _refuse_size(first, bucket)
    targets = sorted({target for one in zips for target in one.targets})
    release = Release(
        layer=report.layer,
        name=name,
        region="",
        zip=first.path,
        zipped=report.zipped,
        code_sha256=report.code_sha256,
        runtimes=tuple(dict.fromkeys(str(target.runtime) for target in targets)),
        architectures=tuple(dict.fromkeys(str(target.arch) for target in targets)),
        description=_description(zips, words),
        licence=publish.licence or listed(_licences(first), most=LICENCE_LENGTH),
        grants=read_grants(publish.grants),
        bucket=bucket if goes_by_bucket(report.zipped) else "",
        storage_mode=publish.storage_mode,
        targets=tuple(map(str, targets)),
    )
    _refuse_too_many(release)
    for account, region in _places(publish, destinations, report.layer):
        yield replace(release, account=account, region=region)


def _places(
    publish: PublishSpec, destinations: Destinations, layer: str
) -> list[tuple[str, str]]:
    places: list[tuple[str, str]] = []
    for account in destinations.accounts or (PublishAccount(name=""),):
        default = destinations.default_regions.get(account.name, "")
        regions = destinations.regions or account.regions or publish.regions
        regions = regions or ((default,) if default else ())
        if not regions:
            of_account = f" in {account.name}" if account.name else ""
            raise ConfigError(
                f"no Region is named for {layer}{of_account}",
                remedy='Name them: --region eu-west-1, or regions = ["eu-west-1"] in '
                "[publish] of layerforge.toml.",
            )
        places += [(account.name, region) for region in dict.fromkeys(regions)]
    return places


def _words(zips: Sequence[BuiltZip], words: Mapping[str, str]) -> dict[str, str]:
    targets = sorted({target for one in zips for target in one.targets})
    runtimes = "-".join(dict.fromkeys(target.runtime.slug for target in targets))
    arch = "-".join(dict.fromkeys(str(target.arch) for target in targets))
    return {
        **words,
        "layer": zips[0].report.layer,
        "target": f"{runtimes}-{arch}",
        "runtime": runtimes,
        "arch": arch,
        "digest": zips[0].report.tree_digest[:_DIGEST],
    }


def _description(zips: Sequence[BuiltZip], words: Mapping[str, str]) -> str:
    first = zips[0]
    template = first.publish.description or DESCRIPTION
    text = filled(template, _words(zips, words), key="publish.description")
    if first.report.description and not first.publish.description:
        text = first.report.description
    if len(text) > DESCRIPTION_LENGTH:
        raise ConfigError(
            f"the description of {_titled(first)} has {len(text)} characters, and AWS "
            f"takes {DESCRIPTION_LENGTH}",
            remedy="Shorten publish.description.",
        )
    return text


def _licences(one: BuiltZip) -> tuple[str, ...]:
    return (one.report.licence,) if one.report.licence else one.licences


def _refuse_size(one: BuiltZip, bucket: str) -> None:
    report = one.report
    if report.unzipped >= UNZIPPED_LIMIT:
        raise ConfigError(
            f"{_titled(one)} has {report.unzipped} bytes unzipped, and Lambda takes "
            f"less than {UNZIPPED_LIMIT}",
            remedy="Build it smaller: layerforge plan shows what is large.",
        )
    refuse_without_bucket(_titled(one), report.zipped, bucket)


def _refuse_too_many(release: Release) -> None:
    for found, most, what in (
        (release.runtimes, _MOST_RUNTIMES, "runtimes"),
        (release.architectures, _MOST_ARCHITECTURES, "architectures"),
    ):
        if len(found) > most:
            raise ConfigError(
                f"{release.name} is for {len(found)} {what}, and a layer version on "
                f"AWS for at most {most}: {', '.join(found)}",
                remedy="Publish it under several names, by publish.name.",
            )


def _titled(one: BuiltZip) -> str:
    return f"{one.report.layer} for {one.report.target}"
