"""[functions] of layerforge.toml: what holds the layers."""

from __future__ import annotations

from pathlib import Path

import pytest

from layerforge.errors import ConfigError
from layerforge.project import read_project
from layerforge.spec import ForeignLayer, FunctionSpec

THEIRS = "arn:aws:lambda:eu-west-1:123456789012:layer:theirs:3"
LAYERS = """
[defaults]
runtimes = ["python3.12", "python3.13", "nodejs24.x"]
architectures = ["arm64"]

[layers.web]
requirements = ["requests"]

[layers.old]
requirements = ["six"]
runtimes = ["python3.12"]

[layers.node]
packages = ["pg"]

[functions.api]
"""


def divided(folder: Path, text: str) -> tuple[FunctionSpec, ...]:
    """Read the same where the layer web is divided."""
    file = folder / "layerforge.toml"
    layers = LAYERS.replace('["requests"]', '["requests"]\nsplit = true')
    file.write_text(layers + text, encoding="utf-8")
    return read_project(file).functions


def functions(folder: Path, text: str) -> tuple[FunctionSpec, ...]:
    file = folder / "layerforge.toml"
    file.write_text(LAYERS + text, encoding="utf-8")
    return read_project(file).functions


def mistakes(folder: Path, text: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        functions(folder, text)
    return [line.strip() for line in caught.value.message.splitlines()[1:]]


def targets(function: FunctionSpec) -> list[str]:
    return [str(target) for target in function.targets]


def test_a_function_has_layers_of_ours_and_of_others(tmp_path: Path) -> None:
    (api,) = functions(
        tmp_path,
        f'layers = ["web", "{THEIRS}", {{arn = "{THEIRS[:-8]}x:1", unzipped = 12}}]',
    )

    assert api.layers == (
        "web",
        ForeignLayer(arn=THEIRS),
        ForeignLayer(arn=f"{THEIRS[:-8]}x:1", unzipped=12),
    )


def test_a_function_may_hold_several_parts_of_a_layer(tmp_path: Path) -> None:
    (api,) = divided(tmp_path, 'layers = ["web-1", "web-3"]')

    assert api.layers == ("web-1", "web-3")


@pytest.mark.parametrize(
    ("layers", "mistake"),
    [
        (
            '["web-1", "web"]',
            'layers[0]: found "web-1", expected no part of web beside web itself',
        ),
        (
            '["web", "web-1"]',
            'layers[1]: found "web-1", expected no part of web beside web itself',
        ),
        (
            '["web-1", "web-1"]',
            'layers[1]: found "web-1", expected each layer once, in one version',
        ),
    ],
)
def test_no_function_holds_anything_twice_by_its_parts(
    tmp_path: Path, layers: str, mistake: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        divided(tmp_path, f"layers = {layers}")

    assert caught.value.message.splitlines()[1:] == [f"  functions.api.{mistake}"]


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("12000000", 12_000_000),
        ('"12 MB"', 12_000_000),
        ('"build/api.zip"', Path("build/api.zip")),
        ('"src/"', Path("src")),
    ],
)
def test_code_is_bytes_or_a_path(tmp_path: Path, text: str, code: Path | int) -> None:
    (api,) = functions(tmp_path, f"code = {text}")

    assert api.code == (tmp_path / code if isinstance(code, Path) else code)


def test_code_need_not_be_said(tmp_path: Path) -> None:
    (api,) = functions(tmp_path, 'layers = ["web"]')

    assert api.code is None


def test_a_function_runs_on_what_all_of_its_layers_are_for(tmp_path: Path) -> None:
    (api,) = functions(tmp_path, 'layers = ["web", "old"]')

    assert targets(api) == ["python3.12-arm64"]


def test_a_function_may_choose_of_its_layers_targets(tmp_path: Path) -> None:
    (api,) = functions(tmp_path, 'layers = ["web"]\nruntime = "python3.13"')

    assert targets(api) == ["python3.13-arm64"]


def test_a_function_without_a_choice_has_every_target_of_its_layers(
    tmp_path: Path,
) -> None:
    (api,) = functions(tmp_path, 'layers = ["web"]')

    assert targets(api) == ["python3.12-arm64", "python3.13-arm64"]


def test_a_function_with_layers_of_others_alone_says_what_it_runs_on(
    tmp_path: Path,
) -> None:
    (api,) = functions(
        tmp_path,
        f'layers = ["{THEIRS}"]\nruntime = "python3.13"\narchitecture = "x86_64"',
    )

    assert targets(api) == ["python3.13-x86_64"]


@pytest.mark.parametrize(
    ("text", "mistake"),
    [
        (
            'layers = ["wbe"]',
            ('layers[0]: found "wbe", expected a layer (web, old, node), or an ARN'),
        ),
        (
            'layers = ["web", "old", "web"]',
            ('layers[2]: found "web", expected each layer once, in one version'),
        ),
        (
            f'layers = ["{THEIRS}", "{THEIRS[:-1]}4"]',
            (
                f'layers[1]: found "{THEIRS[:-1]}4", expected each layer '
                "once, in one version"
            ),
        ),
        (
            'layers = ["old"]\nruntime = "python3.13"',
            (
                'layers[0]: found "old", expected a layer for python3.13, '
                "and it is for python3.12-arm64"
            ),
        ),
        (
            'layers = ["web"]\nruntime = "python3.13"\narchitecture = "x86_64"',
            (
                'layers[0]: found "web", expected a layer for python3.13 on '
                "x86_64, and it is for python3.12-arm64, python3.13-arm64"
            ),
        ),
        (
            'layers = ["old", "node"]',
            (
                'layers[1]: found "node", expected a layer for '
                "python3.12-arm64, and it is for nodejs24.x-arm64"
            ),
        ),
        (
            "layers = [{unzipped = 3}]",
            (
                "layers[0]: found a table, expected a layer: "
                '{arn = "…", unzipped = 12345678}'
            ),
        ),
        (
            f'layers = [{{arn = "{THEIRS}", unzipped = "big"}}]',
            (
                'layers[0].unzipped: found "big", expected bytes: a whole '
                'number, "200 MB" or "190 MiB"'
            ),
        ),
        (
            "code = true",
            ('code: found true, expected a zip, a folder, or bytes: 12000000, "12 MB"'),
        ),
        (
            "memory = 3",
            ("memory: unknown; known here: architecture, code, layers, runtime"),
        ),
    ],
)
def test_a_mistake_is_told_where_it_is(tmp_path: Path, text: str, mistake: str) -> None:
    assert mistakes(tmp_path, text) == [f"functions.api.{mistake}"]
