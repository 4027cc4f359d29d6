"""``[publish]`` of layerforge.toml, read: where layers go, under which names.

[publish]
regions = ["eu-west-1", "us-east-1"]
description = "{layer} {version}, {revision}"

[publish.accounts]
live = {role = "arn:aws:iam::123456789012:role/publish", regions = ["eu-west-1"]}
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from string import Formatter
from typing import Final

from layerforge.errors import ConfigError
from layerforge.fields import Fields, Wrong, a_list_of, a_text, one_of
from layerforge.spec import (
    LICENCE_LENGTH,
    PublishAccount,
    PublishSpec,
    StorageMode,
)

NAME_WORDS: Final = (
    "layer",
    "target",
    "runtime",
    "arch",
    "version",
    "revision",
    "digest",
)
"""What a template of names and descriptions may say."""

BUCKET_WORDS: Final = ("account", "region")

ACCOUNT_NAME: Final = r"[a-zA-Z0-9_-]{1,64}"
ROLE: Final = r"arn:aws[a-z-]*:iam::[0-9]{12}:role/.+"


def read_publish(fields: Fields) -> PublishSpec:
    """Read how a layer is published, or all of them are."""
    return PublishSpec(
        regions=fields.get("regions", a_list_of(a_region), ()),
        name=fields.get("name", a_template(NAME_WORDS), ""),
        description=fields.get("description", a_template(NAME_WORDS), ""),
        licence=fields.get("licence", a_text(most=LICENCE_LENGTH), ""),
        bucket=fields.get("bucket", a_template(BUCKET_WORDS), ""),
        storage_mode=fields.get("storage-mode", one_of(StorageMode), StorageMode.COPY),
        grants=fields.get("grants", a_list_of(a_text()), ()),
    )


def read_accounts(publish: Fields) -> tuple[PublishAccount, ...]:
    """Read who publishes where else, in the order in which they stand there."""
    accounts = []
    for name, fields in publish.tables("accounts", ACCOUNT_NAME):
        account = PublishAccount(
            name=name,
            profile=fields.get("profile", a_text(), ""),
            role=fields.get("role", a_text(form=ROLE), ""),
            regions=fields.get("regions", a_list_of(a_region), ()),
        )
        fields.finish()
        accounts.append(account)
    return tuple(accounts)


def a_region(value: object) -> str:
    """Read the name of a Region; which there are, AWS knows."""
    return a_text(form=r"[a-z0-9-]+")(value)


def a_template(words: tuple[str, ...]) -> Callable[[object], str]:
    """Read a text in which some words stand for others: ``{layer}``."""

    def read(value: object) -> str:
        text = a_text()(value)
        known = ", ".join(f"{{{word}}}" for word in words)
        try:
            unknown = words_of(text) - set(words)
        except ValueError:
            raise Wrong(f"a template of {known}") from None
        if unknown:
            raise Wrong(f"no words in braces but {known}")
        return text

    return read


def words_of(template: str) -> set[str]:
    """Say which words a template uses; raises `ValueError` where it is none."""
    return {
        f"{word}{'!' if conversion else ''}{'[:]' if form else ''}"
        for _, word, form, conversion in Formatter().parse(template)
        if word is not None
    }


def filled(template: str, words: Mapping[str, str], *, key: str) -> str:
    """Put words into a template; raises `ConfigError` where one isn't known.

    ``key`` is where the template stands, for the error.
    """
    for word in sorted(words_of(template)):
        if not words.get(word):
            raise ConfigError(
                f"{key} is {template!r}, and there is no {word}",
                remedy=_WHENCE.get(word, "Leave it out."),
            )
    return template.format_map(words)


_WHENCE: Final = {
    "version": "It is that of the pyproject.toml or package.json beside "
    "layerforge.toml: write it there, or leave it out.",
    "revision": "It is git's: publish from a checkout with a commit, or leave it out.",
}
