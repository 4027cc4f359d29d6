"""Which layers on AWS a word means: publish.name read backwards.

A layer of layerforge.toml has a name on AWS for each of its targets, those of targets
that it no longer has among them.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from string import Formatter
from typing import Final

from layerforge.aws.functions import HeldLayer
from layerforge.aws.session import Session
from layerforge.aws.versions import (
    LayerArn,
    PublishedVersion,
    get_version,
    list_layers,
    versions,
)
from layerforge.errors import ConfigError, guess

_RUNTIME: Final = "(?:python|nodejs)[0-9]+"
_RUNTIMES: Final = f"{_RUNTIME}(?:-{_RUNTIME})*"
_ARCHITECTURES: Final = "(?:x86_64|arm64|arm64-x86_64|x86_64-arm64)"
_FORMS: Final = {
    "arch": _ARCHITECTURES,
    "digest": "[0-9a-f]{12}",
    "runtime": _RUNTIMES,
    "target": f"{_RUNTIMES}-{_ARCHITECTURES}",
    "version": "[0-9][a-zA-Z0-9_-]*",
}
_ANYTHING: Final = "[a-zA-Z0-9_-]+"  # revisions, as people tag them
_VERSIONED: Final = re.compile(r"(?P<name>[a-zA-Z0-9_-]+)(?::(?P<version>[0-9]+))?")


@dataclass(frozen=True, slots=True, kw_only=True)
class Layers:
    """Layers of one account whose names have a form; any version where none is named.

    Names that have one of the forms ``others`` are those of other layers. ``arn`` is
    that of the one version that was meant, ``region`` its Region, or ''.
    """

    word: str
    account: str
    names: str
    others: tuple[str, ...] = ()
    versions: Collection[int] = ()
    arn: str = ""
    region: str = ""

    def owns(self, held: HeldLayer) -> bool:
        """Say whether it is a version, any, of one of these layers."""
        return held.account == self.account and self.named(held.name)

    def named(self, name: str) -> bool:
        """Say whether a layer of the account with this name is one of them."""
        if name == self.word.partition(":")[0]:
            return True
        return bool(re.fullmatch(self.names, name)) and not any(
            re.fullmatch(form, name) for form in self.others
        )

    def __contains__(self, held: HeldLayer) -> bool:
        return self.owns(held) and (not self.versions or held.version in self.versions)


def parse_layers(
    word: str, template: str, account: str, others: Mapping[str, str] | None = None
) -> Layers:
    """Read ``web``, ``web-python313-arm64:7`` or an ARN; raises `ConfigError`.

    ``template`` is the layer's publish.name: a name stands for itself, too. ``others``
    are the templates of the project's layers: with an open word in its own, a layer's
    names might else be taken for those of ``web-admin``.
    """
    if word.startswith("arn:"):
        arn = LayerArn.parse(word)
        return Layers(
            word=word,
            account=arn.account,
            names=arn.name,
            versions=(arn.version,),
            arn=word,
            region=arn.region,
        )
    match = _VERSIONED.fullmatch(word)
    if match is None:
        raise ConfigError(
            f"{word!r} names no layer",
            remedy="Name a layer of layerforge.toml, one on AWS (web-python313-arm64, "
            "or one of its versions, web-python313-arm64:7), or an ARN.",
        )
    name, version = match["name"], match["version"]
    return Layers(
        word=word,
        account=account,
        names=f"{name}|{name_form(template, name)}",
        others=tuple(
            name_form(form, other)
            for other, form in (others or {}).items()
            if other != name and other.startswith(name)
        ),
        versions=(int(version),) if version else (),
    )


def name_form(template: str, layer: str) -> str:
    """Give the form, as a regular expression, of all names that a template gives."""
    return "".join(
        re.escape(text)
        + ("" if word is None else layer if word == "layer" else _form(word))
        for text, word, _, _ in Formatter().parse(template)
    )


def _form(word: str) -> str:
    return _FORMS.get(word, _ANYTHING)


def list_all(
    session: Session, region: str, layers: Layers
) -> tuple[PublishedVersion, ...]:
    """List all versions in a Region of the account's own layers that are meant."""
    return tuple(
        version
        for name in list_layers(session, region)
        if layers.named(name)
        for version in _wanted(session, region, name, layers)
    )


def newest(
    session: Session, region: str, layers: Layers
) -> tuple[PublishedVersion, ...]:
    """Give the version that is meant, or the newest of each layer that is meant.

    Raises `NotFoundError` where the version is gone, `ConfigError` where a Region has
    none of the layers.
    """
    if layers.arn:
        return (get_version(session, layers.arn)[0],)
    names = list_layers(session, region)
    found = [
        next(iter(_wanted(session, region, name, layers)), None)
        for name in names
        if layers.named(name)
    ]
    given = tuple(version for version in found if version)
    if not given:
        raise ConfigError(
            f"there is no layer {layers.word} in {region}",
            remedy=guess(layers.word, names)
            + f"Publish it: layerforge publish --region {region}",
        )
    return given


def _wanted(
    session: Session, region: str, name: str, layers: Layers
) -> Iterator[PublishedVersion]:
    return (
        version
        for version in versions(session, region, name)
        if not layers.versions or version.version in layers.versions
    )
