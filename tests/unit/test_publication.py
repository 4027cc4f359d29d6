from __future__ import annotations

from pathlib import Path

import pytest

from layerforge.errors import ConfigError
from layerforge.project import read_project
from layerforge.publication import filled
from layerforge.spec import Project, PublishAccount, PublishSpec, StorageMode

WORDS = "{layer}, {target}, {runtime}, {arch}, {version}, {revision}, {digest}"
WEB = '[layers.web]\nrequirements = ["demo"]\n'


def project(folder: Path, text: str) -> Project:
    file = folder / "layerforge.toml"
    file.write_text(text)
    return read_project(file)


def mistakes(folder: Path, text: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        project(folder, text)
    return [line.strip() for line in caught.value.message.splitlines()[1:]]


def test_publish_has_all_its_keys(tmp_path: Path) -> None:
    found = project(
        tmp_path,
        """
        [publish]
        regions = ["eu-west-1"]
        name = "acme-{layer}-{target}"
        description = "{layer} {version} {revision} {digest}"
        licence = "MIT"
        bucket = "layers-{account}-{region}"
        storage-mode = "reference"
        grants = ["123456789012"]
        """,
    )

    assert found.publish == PublishSpec(
        regions=("eu-west-1",),
        name="acme-{layer}-{target}",
        description="{layer} {version} {revision} {digest}",
        licence="MIT",
        bucket="layers-{account}-{region}",
        storage_mode=StorageMode.REFERENCE,
        grants=("123456789012",),
    )


def test_a_layer_says_what_is_different_for_it(tmp_path: Path) -> None:
    found = project(
        tmp_path,
        '[publish]\nregions = ["eu-west-1"]\ngrants = ["public"]\n'
        + WEB
        + "publish = {grants = []}\n",
    )

    assert found.layers[0].publish == PublishSpec(regions=("eu-west-1",))


def test_accounts_are_kept_in_order(tmp_path: Path) -> None:
    found = project(
        tmp_path,
        """
        [publish.accounts]
        test = {profile = "test"}
        live = {role = "arn:aws:iam::123456789012:role/ci", regions = ["us-east-1"]}
        """,
    )

    assert found.accounts == (
        PublishAccount(name="test", profile="test"),
        PublishAccount(
            name="live",
            role="arn:aws:iam::123456789012:role/ci",
            regions=("us-east-1",),
        ),
    )


@pytest.mark.parametrize(
    ("line", "mistake"),
    [
        (
            'name = "{layr}"',
            'publish.name: found "{layr}", expected no words in braces but ' + WORDS,
        ),
        (
            'name = "{layer"',
            'publish.name: found "{layer", expected a template of ' + WORDS,
        ),
        (
            'name = "{layer.__class__}"',
            'publish.name: found "{layer.__class__}", expected no words in braces but '
            + WORDS,
        ),
        (
            'bucket = "{layer}"',
            (
                'publish.bucket: found "{layer}", expected no words in braces but '
                "{account}, {region}"
            ),
        ),
        (
            'storage-mode = "move"',
            'publish.storage-mode: found "move", expected "copy" or "reference"',
        ),
        (
            'accounts = {live = {role = "me"}}',
            (
                'publish.accounts.live.role: found "me", expected the form '
                "arn:aws[a-z-]*:iam::[0-9]{12}:role/.+"
            ),
        ),
    ],
)
def test_a_mistake_is_told_with_its_place(
    tmp_path: Path, line: str, mistake: str
) -> None:
    assert mistakes(tmp_path, f"[publish]\n{line}\n") == [mistake]


def test_a_layer_has_no_accounts_of_its_own(tmp_path: Path) -> None:
    (mistake,) = mistakes(tmp_path, WEB + "publish = {accounts = {}}\n")

    assert mistake.startswith("layers.web.publish.accounts: unknown")


def test_a_template_is_filled_with_words() -> None:
    assert filled("{layer}-{{x}}", {"layer": "web"}, key="publish.name") == "web-{x}"


def test_a_word_that_is_not_known_is_missed() -> None:
    with pytest.raises(ConfigError) as caught:
        filled("{layer} {version}", {"layer": "web"}, key="publish.description")

    assert caught.value.message == (
        "publish.description is '{layer} {version}', and there is no version"
    )
    assert caught.value.remedy == (
        "It is that of the pyproject.toml or package.json beside layerforge.toml: "
        "write it there, or leave it out."
    )
