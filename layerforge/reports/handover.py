"""Where published layers are, in the languages of those who deploy functions.

Whatever the order in which layers were published, the text is the same.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict
from typing import Any, Final, TypeAlias

from layerforge.errors import ConfigError
from layerforge.handover import Place

_Arns: TypeAlias = dict[str, dict[str, str]]
_HEAD: Final = "Layers that layerforge published"


def handover_json(places: Iterable[Place]) -> str:
    """Give a document with a row for each place."""
    document = {"format": 1, "layers": [asdict(place) for place in sorted(places)]}
    return json.dumps(document, indent=2)


def handover_terraform(places: Iterable[Place]) -> str:
    """Give a Terraform file with the ARNs as a local value.

    ``local.lambda_layers["web"]["python3.13"]["arm64"]["123456789012"]["eu-west-1"]``
    is one: https://developer.hashicorp.com/terraform/language/values/locals
    """
    tree: dict[str, Any] = {}
    for place in sorted(places):
        keys = (place.layer, place.runtime, place.architecture, place.account)
        node = tree
        for key in keys:
            node = node.setdefault(key, {})
        node[place.region] = place.arn
    lines = [
        f"# {_HEAD}, by layer, runtime, architecture, account and Region",
        "locals {",
        "  lambda_layers = {",
        *_terraform(tree, "    "),
        "  }",
        "}",
    ]
    return "\n".join(lines)


def handover_cloudformation(places: Iterable[Place]) -> str:
    """Give a CloudFormation template's mappings, in YAML; SAM takes them as well.

    ``!FindInMap [WebPython313Arm64, !Ref AWS::Region, !Ref AWS::AccountId]`` finds one
    of the stack's own account:
    https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/mappings-section-structure.html

    Raises `ConfigError` where two layers' names become one.
    """
    lines = [
        f"# {_HEAD}, by Region and account",
        "Mappings:",
    ]
    for name, arns in _named(places, _logical_name, lambda at: (at.region, at.account)):
        lines.append(f"  {name}:")
        for region, by_account in arns.items():
            lines.append(f"    {region}:")
            lines += [f'      "{key}": "{arn}"' for key, arn in by_account.items()]
    return "\n".join(lines)


def handover_cdk(places: Iterable[Place]) -> str:
    """Give a Python module of constants for the AWS CDK.

    ``WEB_PYTHON313_ARM64["123456789012"]["eu-west-1"]`` is an ARN for
    ``LayerVersion.from_layer_version_arn``. Raises `ConfigError` where two layers'
    names become one.
    """
    lines = [f'"""{_HEAD}, by account and Region."""']
    for name, arns in _named(places, _constant, lambda at: (at.account, at.region)):
        lines += ["", f"{name} = {{"]
        for account, by_region in arns.items():
            lines.append(f'    "{account}": {{')
            lines += [f'        "{key}": "{arn}",' for key, arn in by_region.items()]
            lines.append("    },")
        lines.append("}")
    return "\n".join(lines)


HANDOVERS: Final[Mapping[str, Callable[[Iterable[Place]], str]]] = {
    "json": handover_json,
    "terraform": handover_terraform,
    "cloudformation": handover_cloudformation,
    "cdk": handover_cdk,
}
"""How each format is written, by the name that a user asks for it with."""


def _terraform(tree: Mapping[str, Any], indent: str) -> Iterator[str]:
    """Write nested objects as `terraform fmt` would."""
    width = max(map(len, tree), default=0) + 2
    for key, value in tree.items():
        name = f'"{key}"'
        if isinstance(value, str):
            yield f'{indent}{name:{width}} = "{value}"'
        else:
            yield f"{indent}{name} = {{"
            yield from _terraform(value, f"{indent}  ")
            yield f"{indent}}}"


def _named(
    places: Iterable[Place],
    name_of: Callable[[str], str],
    keys_of: Callable[[Place], tuple[str, str]],
) -> Iterator[tuple[str, _Arns]]:
    """Give the ARNs of each layer and target under a name, by two keys, in order."""
    spellings: dict[str, str] = {}
    arns: dict[str, _Arns] = {}
    for place in sorted(places):
        runtime = place.runtime.removesuffix(".x").replace(".", "")
        target = f"{place.layer}-{runtime}-{place.architecture}"
        name = name_of(target)
        known = spellings.setdefault(name, target)
        if known != target:
            raise ConfigError(
                f"{known} and {target} would both be named {name}",
                remedy="Rename one of the layers, or hand over as json or terraform.",
            )
        first, second = keys_of(place)
        arns.setdefault(name, {}).setdefault(first, {})[second] = place.arn
    yield from sorted(arns.items())


def _logical_name(target: str) -> str:
    """Name a mapping: CloudFormation takes letters and digits alone."""
    words = re.split(r"[^a-zA-Z0-9]+", target)
    return "".join(word[:1].upper() + word[1:] for word in words)


def _constant(target: str) -> str:
    """Name a constant of Python's, which begins with no digit."""
    name = re.sub(r"\W", "_", target).upper()
    return f"LAYER_{name}" if name[0].isdigit() else name
