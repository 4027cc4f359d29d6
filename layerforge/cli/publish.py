"""layerforge publish."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from layerforge.aws.built import find_built
from layerforge.aws.errors import AwsError
from layerforge.aws.everywhere import (
    Outcome,
    compare_everywhere,
    publish_everywhere,
)
from layerforge.aws.releases import BuiltZip, Destinations, Release, plan_releases
from layerforge.aws.session import Access, Session
from layerforge.aws.versions import LayerArn
from layerforge.cli.access import (
    access_options,
    agreed,
    end_with,
    ending,
    failures_document,
    show_failures,
)
from layerforge.cli.console import Console, error_document
from layerforge.cli.handover import hand_over, handover_of, handover_options
from layerforge.cli.options import (
    console_of,
    console_options,
    store_of,
    store_options,
)
from layerforge.errors import ConfigError, LayerforgeError
from layerforge.events import Listener
from layerforge.fields import Wrong
from layerforge.handover import Place, places_of
from layerforge.project import find_project
from layerforge.publication import BUCKET_WORDS, a_template, words_of
from layerforge.reports.publishing import (
    comparisons_text,
    outcomes_text,
    release_document,
    version_document,
    would,
)
from layerforge.revision import git_revision, project_version
from layerforge.spec import Project, PublishAccount


@click.command(
    "publish", epilog="Try: layerforge publish web --region eu-west-1 --dry-run"
)
@click.argument("names", nargs=-1, metavar="[LAYER | ZIP]...")
@click.option("--dry-run", is_flag=True, help="Show what would be published, and end.")
@click.option("--force", is_flag=True, help="Publish bytes that are there already.")
@click.option(
    "--bucket",
    default="",
    callback=lambda _context, _option, value: _a_bucket(value),
    help="By which zips of 50 MiB and more go.",
)
@click.option("--yes", is_flag=True, help="Don't ask before a layer becomes public.")
@access_options
@handover_options
@store_options
@console_options
def command(names: tuple[str, ...], **options: Any) -> None:  # noqa: ANN401 - as click hands them over
    """Publish layers that were built, in every Region, where their bytes are new.

    All layers of layerforge.toml, those that are named, or any zip with its manifest
    beside it. Prints the ARN of each. What was interrupted, or failed in a Region, is
    finished by doing it again.
    """
    console = console_of(options)
    dry_run, yes, force = (options.pop(name) for name in ("dry_run", "yes", "force"))
    handover = handover_of(options, json=console.json)
    store = store_of(options)
    project = find_project(Path.cwd())
    built = find_built(names, Path.cwd(), project)
    with console.listening() as listen:
        accesses = _accesses(options, project)
        releases = _releases(built, accesses, options, project)
        sessions = _sessions(accesses, releases, listen)
        _refuse_one_account_twice(sessions)
        if dry_run:
            _compare(releases, sessions, console, force=force)
            return
        _ask(releases, console, yes=yes)
        outcomes = publish_everywhere(
            releases, sessions, listen, force=force, store=store
        )
    failures = {str(one.release): one.error for one in outcomes if one.error}
    console.say(outcomes_text(outcomes))
    show_failures(failures, console)
    speakers = {
        LayerArn.parse(one.version.arn).account: sessions[one.release.account]
        for one in outcomes
        if one.version
    }
    with console.listening() as listen:
        unwritten = hand_over(
            handover, _places(outcomes), speakers.__getitem__, console, listen
        )
    _print(outcomes, unwritten, console, silent=bool(handover.format))
    show_failures(unwritten, console)
    end_with({**failures, **unwritten})


def _a_bucket(value: str) -> str:
    """Read --bucket as [publish] bucket is read."""
    try:
        return a_template(BUCKET_WORDS)(value)
    except Wrong as wrong:
        raise click.BadParameter(f"{value!r}: expected {wrong.expected}") from None


def _accesses(
    options: dict[str, Any], project: Project
) -> dict[PublishAccount, Access]:
    """Say who publishes: one that was named, all of the file's accounts, or boto3's."""
    profile, account = options.pop("profile"), options.pop("account")
    endpoint_url = options.pop("endpoint_url")
    accounts = [one for one in project.accounts if account in ("", one.name)]
    if account and not accounts:
        known = ", ".join(one.name for one in project.accounts)
        raise ConfigError(
            f"{account} is not in [publish.accounts]",
            remedy=f"It has {known}." if known else "",
        )
    if profile and not account:
        accounts = []
    return {
        one: Access(
            profile=profile or one.profile, role=one.role, endpoint_url=endpoint_url
        )
        for one in accounts or [PublishAccount(name="")]
    }


def _releases(
    built: Sequence[BuiltZip],
    accesses: Mapping[PublishAccount, Access],
    options: dict[str, Any],
    project: Project,
) -> tuple[Release, ...]:
    destinations = Destinations(
        accounts=tuple(accesses),
        regions=options.pop("regions"),
        default_regions={
            account.name: Session(access).default_region
            for account, access in accesses.items()
        },
    )
    return plan_releases(
        built, destinations, words=_words(built, project), bucket=options.pop("bucket")
    )


def _words(built: Iterable[BuiltZip], project: Project) -> dict[str, str]:
    """Look up the words that templates use: git is asked where one wants it."""
    templates = [
        template
        for one in built
        for template in (one.publish.name, one.publish.description)
    ]
    used = {word for template in templates for word in words_of(template)}
    sources = {"version": project_version, "revision": git_revision}
    return {word: sources[word](project.folder) for word in used & set(sources)}


def _sessions(
    accesses: Mapping[PublishAccount, Access],
    releases: Iterable[Release],
    listen: Listener,
) -> dict[str, Session]:
    # STS is asked where something is published: it answers for its own partition.
    regions = {release.account: release.region for release in releases}
    return {
        account.name: Session(replace(access, region=regions[account.name]), listen)
        for account, access in accesses.items()
        if account.name in regions
    }


def _refuse_one_account_twice(sessions: Mapping[str, Session]) -> None:
    """Have no two publish the same at once: neither would see the other's version."""
    names: dict[str, str] = {}
    for name, session in sessions.items() if len(sessions) > 1 else ():
        with suppress(AwsError):  # who can't be asked can't publish
            other = names.setdefault(session.account, name)
            if other != name:
                raise ConfigError(
                    f"{other} and {name} of [publish.accounts] are both the account "
                    f"{session.account}",
                    remedy="Leave one of them, with the Regions of both.",
                )


def _ask(releases: Iterable[Release], console: Console, *, yes: bool) -> None:
    """Ask before layers become public; a no ends it, as an interruption would."""
    public = [
        str(release)
        for release in releases
        if any(grant.is_public for grant in release.grants)
    ]
    if not public:
        return
    plan = "\n".join(["Every AWS account will be able to use:", *public])
    if not agreed(plan, "Make them public?", console, yes=yes):
        raise click.Abort


def _compare(
    releases: Iterable[Release],
    sessions: Mapping[str, Session],
    console: Console,
    *,
    force: bool,
) -> None:
    comparisons = compare_everywhere(releases, sessions)
    documents = [
        {
            **release_document(one.release),
            "newest": version_document(one.standing.newest)
            if one.standing and one.standing.newest
            else None,
            "would": would(one, force=force),
            "differences": list(one.standing.differences) if one.standing else [],
            **({"error": error_document(one.error)} if one.error else {}),
        }
        for one in comparisons
    ]
    for one in comparisons:
        for difference in one.standing.differences if one.standing else ():
            console.say(f"{one.release}: {difference}")
        for grant in one.release.grants:
            console.say(f"{one.release}: to be granted to {grant}")
    document = {"format": 1, "releases": documents}
    console.result(comparisons_text(comparisons, force=force), document)
    failures = {str(one.release): one.error for one in comparisons if one.error}
    ending(failures, console)


def _print(
    outcomes: Sequence[Outcome],
    unwritten: Mapping[str, LayerforgeError],
    console: Console,
    *,
    silent: bool,
) -> None:
    documents = [
        {
            **release_document(one.release),
            "version": version_document(one.version) if one.version else None,
            "published": bool(one.version and one.version.created_now),
            **({"error": error_document(one.error)} if one.error else {}),
        }
        for one in outcomes
    ]
    arns = "\n".join(one.version.arn for one in outcomes if one.version)
    if console.json or (arns and not silent):
        document: dict[str, Any] = {"format": 1, "releases": documents}
        if unwritten:
            document["failures"] = failures_document(unwritten)
        console.result(arns, document)


def _places(outcomes: Iterable[Outcome]) -> list[Place]:
    """Give what is to be handed over: what is as it should be."""
    return [
        place
        for one in outcomes
        if one.version and not one.error
        for place in places_of(
            one.release.layer,
            one.version.arn,
            runtimes=one.release.runtimes,
            architectures=one.release.architectures,
        )
    ]
