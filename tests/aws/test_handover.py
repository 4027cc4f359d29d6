"""ARNs for Terraform, CloudFormation and SAM, read by those tools themselves."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Any, Final

import cfnlint.api  # type: ignore[import-untyped]  # it ships no types
import hcl2
import pytest

from layerforge.handover import Place, places_of
from layerforge.reports.handover import handover_cloudformation, handover_terraform

ONE: Final = "123456789012"
OTHER: Final = "210987654321"


def arn_of(name: str, region: str = "eu-west-1", account: str = ONE) -> str:
    return f"arn:aws:lambda:{region}:{account}:layer:{name}:7"


def web(region: str = "eu-west-1", account: str = ONE) -> tuple[Place, ...]:
    return places_of(
        "web",
        arn_of("web-python313-x86_64", region, account),
        runtimes=["python3.13"],
        architectures=["x86_64"],
    )


WEB: Final = (*web("us-east-1"), *web("eu-west-1"), *web("eu-west-1", OTHER))
PLACES: Final = (
    *WEB,
    *places_of(
        "pg-redis",
        arn_of("pg-redis-nodejs22-arm64"),
        runtimes=["nodejs22.x"],
        architectures=["arm64"],
    ),
)


def hcl_of(text: str) -> Any:  # noqa: ANN401 - HCL's values
    """Read HCL; the reader keeps the quotes of strings."""

    def bare(value: Any) -> Any:  # noqa: ANN401 - the same
        if isinstance(value, dict):
            return {key.strip('"'): bare(inner) for key, inner in value.items()}
        return value.strip('"') if isinstance(value, str) else value

    [local] = hcl2.loads(text)["locals"]
    return bare(local)["lambda_layers"]


def template_of(mappings: str, find: str) -> str:
    """Write a SAM template around mappings, with a function that looks one up."""
    return f"""\
AWSTemplateFormatVersion: "2010-09-09"
Transform: AWS::Serverless-2016-10-31
{mappings}
Resources:
  Api:
    Type: AWS::Serverless::Function
    Properties:
      Runtime: python3.13
      Handler: api.handler
      InlineCode: "def handler(event, context): pass"
      Layers:
        - !FindInMap [{find}]
"""


def complaints(template: str) -> list[str]:
    """Ask cfn-lint what is wrong in a template."""
    found = cfnlint.api.lint_all(template)
    told = [match for match in found if match.rule.severity != "informational"]
    return [f"{match.rule.id} {match.message}" for match in told]


def test_terraform_has_each_arn_at_its_keys() -> None:
    layers = hcl_of(handover_terraform(PLACES))

    name = "web-python313-x86_64"
    assert layers["web"]["python3.13"]["x86_64"] == {
        ONE: {
            "eu-west-1": arn_of(name),
            "us-east-1": arn_of(name, "us-east-1"),
        },
        OTHER: {"eu-west-1": arn_of(name, account=OTHER)},
    }
    assert layers["pg-redis"]["nodejs22.x"]["arm64"][ONE] == {
        "eu-west-1": arn_of("pg-redis-nodejs22-arm64")
    }


@pytest.mark.skipif(shutil.which("terraform") is None, reason="Terraform isn't here")
def test_terraform_finds_it_valid_and_well_formatted(tmp_path: Path) -> None:
    use = 'output "web" {\n  value = local.lambda_layers["web"]["python3.13"]\n}\n'
    (tmp_path / "layers.tf").write_text(handover_terraform(PLACES) + "\n")
    (tmp_path / "outputs.tf").write_text(use)

    for words in (("init",), ("validate",), ("fmt", "-check", "-diff")):
        ran = subprocess.run(
            ["terraform", *words],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
        )

        assert ran.returncode == 0, ran.stdout + ran.stderr


def test_cfn_lint_finds_nothing_wrong_in_a_template_that_looks_arns_up() -> None:
    find = "WebPython313X8664, !Ref AWS::Region, !Ref AWS::AccountId"
    template = template_of(handover_cloudformation(WEB), find)

    assert complaints(template) == []


def test_cfn_lint_would_tell_of_a_key_that_is_not_there() -> None:
    find = "WebPython313X8664, eu-west-1, Arn"
    template = template_of(handover_cloudformation(WEB), find)

    [complaint] = complaints(template)
    assert complaint.startswith("E1011 'Arn' is not one of ")
