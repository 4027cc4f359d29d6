"""Who else may use a layer version: statements of its resource policy.

Each version has a policy of its own, so grants are given anew to every one:
https://docs.aws.amazon.com/lambda/latest/api/API_AddLayerVersionPermission.html
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from layerforge.aws.errors import NotFoundError, RefusedError
from layerforge.aws.session import Session
from layerforge.aws.versions import LayerArn
from layerforge.errors import ConfigError, PublishError
from layerforge.events import Listener, Noted, silent

ACTION: Final = "lambda:GetLayerVersion"

_ANYONE: Final = "*"
_PREFIX: Final = "org:"
_FORM: Final = re.compile(r"private|public|[0-9]{12}|org:o-[a-z0-9]{10,32}")
_PRINCIPAL: Final = re.compile(
    r"\*|(?:arn:aws[a-z-]*:iam::)?(?P<account>[0-9]{12})(?::root)?"
)
_ORGANISATION: Final = "aws:PrincipalOrgID"
_ROUNDS: Final = 5  # that others may change the policy meanwhile, before it is an error
_CHANGED_MEANWHILE: Final = {
    "PreconditionFailedException",  # 412: another revision than the one we read
    "ResourceConflictException",  # 409: a statement of this name is there by now
}
_FORMS: Final = (
    "A grant is private, public, an account (123456789012), or an organisation "
    "(org:o-a1b2c3d4e5)."
)


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Grant:
    """Who may use a version: an account of 12 digits, an organisation, or anyone.

    ``account`` is ``*`` for the accounts of an ``organisation``, and for all.
    """

    account: str
    organisation: str = ""

    def __str__(self) -> str:
        """Give it as it stands in layerforge.toml."""
        if self.organisation:
            return f"org:{self.organisation}"
        return "public" if self.is_public else self.account

    @property
    def is_public(self) -> bool:
        """Say whether every account of AWS's is meant."""
        return self.account == _ANYONE and not self.organisation

    @property
    def statement_id(self) -> str:
        """The name of its statement: the same for the same grant, and ours."""
        name = self.organisation or ("public" if self.is_public else self.account)
        return f"layerforge-{name}"


def read_grants(texts: Iterable[str]) -> tuple[Grant, ...]:
    """Read grants, each once and in order; ``private`` stands for none.

    Raises `ConfigError` that lists all that are none, or contradict each other.
    """
    texts = tuple(dict.fromkeys(texts))
    wrong = [text for text in texts if not _FORM.fullmatch(text)]
    if wrong:
        raise ConfigError(f"{_listed(wrong)}: no such grant", remedy=_FORMS)
    if "private" in texts and len(texts) > 1:
        others = [text for text in texts if text != "private"]
        raise ConfigError(
            f"private is granted together with {_listed(others)}",
            remedy="Take one of them out of grants.",
        )
    return tuple(sorted(_read(text) for text in texts if text != "private"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """A version's policy: what it grants, by statements' names, and its revision.

    ``others`` names statements that are no grants as layerforge gives them.
    """

    grants: Mapping[str, Grant]
    others: tuple[str, ...] = ()
    revision: str = ""


def read_policy(session: Session, arn: str) -> Policy:
    """Read the policy of a version; an empty one where it has none."""
    parts = LayerArn.parse(arn)
    try:
        answer = session.call(
            "lambda",
            parts.region,
            "get_layer_version_policy",
            LayerName=parts.name,
            VersionNumber=parts.version,
        )
    except NotFoundError:
        return Policy(grants={})
    statements = json.loads(answer["Policy"])["Statement"]
    understood = {row.get("Sid", ""): _grant_of(row) for row in statements}
    return Policy(
        grants={name: grant for name, grant in understood.items() if grant},
        others=tuple(name for name, grant in understood.items() if grant is None),
        revision=answer.get("RevisionId", ""),
    )


def apply_grants(
    session: Session,
    arn: str,
    grants: Iterable[Grant],
    listen: Listener = silent,
    *,
    public: bool = False,
) -> Policy:
    """Have a version granted, and give its policy as it was read back afterwards.

    What nobody asked for stays, and is told. Raises `AwsError`; `PublishError` where
    something is to be ``public`` and nobody agreed to that, and where the policy
    doesn't become what it should be.
    """
    wanted = tuple(grants)
    if any(grant.is_public for grant in wanted) and not public:
        raise PublishError(
            f"{arn} would be public: every AWS account could use and download it",
            remedy="If that is meant, say so with --yes.",
        )
    for _ in range(_ROUNDS):
        policy = read_policy(session, arn)
        present = set(policy.grants.values())
        missing = [grant for grant in wanted if grant not in present]
        if not missing:
            _tell_others(arn, policy, wanted, listen)
            return policy
        _add(session, LayerArn.parse(arn), missing, policy.revision)
    raise PublishError(
        f"{arn} is not granted to {_listed(map(str, missing))}, though AWS was asked "
        f"{_ROUNDS} times",
        remedy="Somebody else changes its policy, or has a statement of that name "
        f"({_listed(grant.statement_id for grant in missing)}): aws lambda "
        "get-layer-version-policy shows it. Then run it again.",
    )


def _add(
    session: Session, arn: LayerArn, grants: Iterable[Grant], revision: str
) -> None:
    """Add statements, as long as nobody else changes the policy."""
    for grant in grants:
        conditions = {"OrganizationId": grant.organisation, "RevisionId": revision}
        try:
            answer = session.call(
                "lambda",
                arn.region,
                "add_layer_version_permission",
                LayerName=arn.name,
                VersionNumber=arn.version,
                StatementId=grant.statement_id,
                Action=ACTION,
                Principal=grant.account,
                **{name: value for name, value in conditions.items() if value},
            )
        except RefusedError as error:
            if error.code in _CHANGED_MEANWHILE:
                return
            raise
        revision = answer.get("RevisionId", "")


def _tell_others(
    arn: str, policy: Policy, wanted: Iterable[Grant], listen: Listener
) -> None:
    unasked = set(policy.grants.values()) - set(wanted)
    named = [*map(str, sorted(unasked)), *policy.others]
    if named:
        message = f"{arn} stays granted to {_listed(named)}, which nobody asked for"
        listen(Noted(message=message, warning=True))


def _read(text: str) -> Grant:
    if text == "public":
        return Grant(account=_ANYONE)
    if text.startswith(_PREFIX):
        return Grant(account=_ANYONE, organisation=text.removeprefix(_PREFIX))
    return Grant(account=text)


def _grant_of(statement: Mapping[str, Any]) -> Grant | None:
    """Understand a statement of the kind that grants have."""
    principal = statement.get("Principal")
    if isinstance(principal, dict):
        principal = principal.get("AWS")
    match = _PRINCIPAL.fullmatch(principal) if isinstance(principal, str) else None
    condition = statement.get("Condition") or {}
    organisation = condition.get("StringEquals", {}).get(_ORGANISATION, "")
    plain = {"StringEquals": {_ORGANISATION: organisation}} if organisation else {}
    if (
        match is None
        or condition != plain
        or (statement.get("Effect"), statement.get("Action")) != ("Allow", ACTION)
    ):
        return None
    return Grant(account=match["account"] or _ANYONE, organisation=organisation)


def _listed(names: Iterable[str]) -> str:
    return ", ".join(names)
