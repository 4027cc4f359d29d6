from __future__ import annotations

import base64
import hashlib
import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from layerforge.aws.errors import LostAnswerError
from layerforge.aws.everywhere import compare_everywhere, publish_everywhere
from layerforge.aws.grants import read_grants, read_policy
from layerforge.aws.pending import Pending
from layerforge.aws.publish import Patience, publish
from layerforge.aws.releases import Release
from layerforge.aws.versions import get_version, list_versions
from layerforge.cli import group
from layerforge.errors import ConfigError, LockError, PublishError
from layerforge.events import Event, Finished, Noted, Started
from layerforge.store import Store
from tests.aws.servers import Recorded, Reply, Server, failure, session
from tests.aws.zips import layer_zip, write_built
from tests.wheels import make_wheel

REGION = "eu-west-1"
ROOT = Path(__file__).parents[2]
VERSIONS = "/2018-10-31/layers/web/versions"


@pytest.fixture
def release(tmp_path: Path) -> Release:
    return release_of(tmp_path, "x = 1")


def release_of(folder: Path, content: str) -> Release:
    body = layer_zip(content)
    path = folder / f"{hashlib.sha256(body).hexdigest()[:8]}.zip"
    path.write_bytes(body)
    return Release(
        layer="web",
        name="web",
        region=REGION,
        zip=path,
        zipped=len(body),
        code_sha256=base64.b64encode(hashlib.sha256(body).digest()).decode(),
        runtimes=("python3.12", "python3.13"),
        architectures=("arm64", "x86_64"),
        description="for tests",
        licence="MIT",
    )


class TestPublish:
    def test_makes_a_version_of_what_is_new(
        self, server: Server, release: Release
    ) -> None:
        speaker = session(server.url)

        version = publish(release, speaker)

        assert (version.version, version.created_now) == (1, True)
        assert version.code_sha256 == release.code_sha256

    def test_says_what_the_version_is_for(
        self, ministack: Server, release: Release
    ) -> None:
        speaker = session(ministack.url)

        found, _ = get_version(speaker, publish(release, speaker).arn)

        assert (found.runtimes, found.architectures) == (
            release.runtimes,
            release.architectures,
        )
        assert (found.description, found.licence) == ("for tests", "MIT")

    def test_leaves_what_is_there_as_it_is(
        self, server: Server, release: Release
    ) -> None:
        speaker = session(server.url)
        publish(release, speaker)

        version = publish(release, speaker)

        assert (version.version, version.created_now) == (1, False)
        assert len(list_versions(speaker, REGION, "web")) == 1

    def test_makes_a_new_version_of_older_bytes(
        self, server: Server, tmp_path: Path
    ) -> None:
        speaker = session(server.url)
        old, new = release_of(tmp_path, "x = 1"), release_of(tmp_path, "x = 2")

        versions = [publish(one, speaker).version for one in (old, new, old)]

        assert versions == [1, 2, 3]

    def test_tells_what_else_is_different(
        self, ministack: Server, release: Release
    ) -> None:
        speaker, heard = session(ministack.url), list[Event]()
        publish(release, speaker)
        other = replace(release, runtimes=("python3.13",), description="for me")

        version = publish(other, speaker, heard.append)

        assert version.created_now is False
        assert heard == [
            Noted(
                message="web in eu-west-1 has these bytes already, but another list of "
                "runtimes, python3.12, python3.13, not python3.13; another "
                "description, 'for tests', not 'for me'. Nothing is published for that "
                "alone, unless --force asks for it",
                warning=True,
            )
        ]

    def test_publishes_equal_bytes_where_it_is_forced_to(
        self, server: Server, release: Release
    ) -> None:
        speaker = session(server.url)
        publish(release, speaker)

        assert publish(release, speaker, force=True).version == 2

    def test_tells_what_it_does(self, server: Server, release: Release) -> None:
        heard: list[Event] = []

        publish(release, session(server.url), heard.append)

        assert heard == [
            Started(task="web in eu-west-1", doing="publishing", done="published"),
            Finished(task="web in eu-west-1"),
        ]

    def test_refuses_a_zip_that_has_changed(
        self, moto: Server, release: Release
    ) -> None:
        release.zip.write_bytes(layer_zip("x = 3"))

        with pytest.raises(PublishError) as caught:
            publish(release, session(moto.url))

        assert caught.value.message == f"{release.zip} changed while it was published"
        assert list_versions(session(moto.url), REGION, "web") == ()

    def test_waits_as_long_as_aws_asks(
        self, recorded: Recorded, release: Release
    ) -> None:
        throttled = failure(
            429, "TooManyRequestsException", "Rate exceeded", Retry_After="1"
        )
        recorded.when("GET", VERSIONS, Reply(body={"LayerVersions": []}))
        recorded.when("POST", VERSIONS, throttled, published(release))
        waits: list[float] = []

        publish(release, session(recorded.url), patience=Patience(sleep=waits.append))

        assert waits == [1.0]

    def test_tells_that_it_looks_for_what_may_be_published(
        self, recorded: Recorded, release: Release
    ) -> None:
        broken = failure(500, "ServiceException", "Internal error")
        recorded.when("GET", VERSIONS, Reply(body={"LayerVersions": []}))
        recorded.when("POST", VERSIONS, broken, published(release))
        heard: list[Event] = []

        publish(
            release, session(recorded.url), heard.append, patience=Patience(looks=(0,))
        )

        assert heard[1] == Noted(
            message="web in eu-west-1: no answer; looking whether it was published"
        )

    def test_asks_again_for_nothing_that_was_refused(
        self, recorded: Recorded, release: Release
    ) -> None:
        full = "Code storage limit exceeded."
        recorded.when("GET", VERSIONS, Reply(body={"LayerVersions": []}))
        recorded.when(
            "POST", VERSIONS, failure(400, "CodeStorageExceededException", full)
        )

        with pytest.raises(PublishError) as caught:
            publish(release, session(recorded.url))

        assert caught.value.message == (
            "lambda:PublishLayerVersion in eu-west-1: Code storage limit exceeded "
            "(CodeStorageExceededException)"
        )
        assert len(recorded.requests("POST", VERSIONS)) == 1

    def test_takes_no_answer_that_says_nothing_for_a_version(
        self, recorded: Recorded, release: Release
    ) -> None:
        recorded.when("GET", VERSIONS, Reply(body={"LayerVersions": []}))
        recorded.when("POST", VERSIONS, Reply(body=b"<html>welcome</html>"))
        once = Patience(attempts=1, looks=(0,))

        with pytest.raises(LostAnswerError) as caught:
            publish(release, session(recorded.url), patience=once)

        assert caught.value.message == (
            "lambda:PublishLayerVersion in eu-west-1: the answer is lost"
        )

    def test_refuses_a_version_with_other_bytes(
        self, recorded: Recorded, release: Release
    ) -> None:
        other = replace(release, code_sha256="AAAA")
        recorded.when("GET", VERSIONS, Reply(body={"LayerVersions": []}))
        recorded.when("POST", VERSIONS, published(other))

        with pytest.raises(PublishError) as caught:
            publish(release, session(recorded.url))

        assert caught.value.message == (
            "arn:aws:lambda:eu-west-1:123456789012:layer:web:1 has the CodeSha256 "
            f"AAAA, and {release.zip} has {release.code_sha256}"
        )


def published(release: Release) -> Reply:
    arn = f"arn:aws:lambda:{REGION}:123456789012:layer:{release.name}"
    body = {
        "LayerArn": arn,
        "LayerVersionArn": f"{arn}:1",
        "Version": 1,
        "Content": {"CodeSha256": release.code_sha256, "CodeSize": release.zipped},
    }
    return Reply(status=201, body=body)


class TestEverywhere:
    def test_one_regions_failure_stops_no_other(
        self, ministack: Server, release: Release
    ) -> None:
        speaker = session(ministack.url)
        wrong = replace(release, region="eu_west_9")
        other = replace(release, region="us-east-1")

        found = publish_everywhere([release, wrong, other], {"": speaker})

        assert [one.version.arn if one.version else None for one in found] == [
            "arn:aws:lambda:eu-west-1:000000000000:layer:web:1",
            None,
            "arn:aws:lambda:us-east-1:000000000000:layer:web:1",
        ]
        assert found[1].error
        assert found[1].error.message == "'eu_west_9' is no name of a Region"

    def test_comparing_changes_nothing(
        self, recorded: Recorded, release: Release
    ) -> None:
        recorded.when("GET", VERSIONS, Reply(body={"LayerVersions": []}))

        (found,) = compare_everywhere([release], {"": session(recorded.url)})

        assert found.standing
        assert (found.standing.is_there, found.standing.newest) == (False, None)
        assert {one.method for one in recorded.asked} == {"GET"}


class TestPatience:
    def test_has_a_second_more_for_each_half_mebibyte(self) -> None:
        assert Patience().timeout(50 << 20) == Patience().timeout(0) + 100

    def test_waits_as_long_as_it_is_asked_to(self) -> None:
        slept: list[float] = []
        patience = Patience(sleep=slept.append)

        patience.pause(0, 7)
        patience.pause(0, None)

        assert slept == [7, 1]


def test_a_version_that_is_there_gets_what_grants_it_lacks(
    ministack: Server, release: Release
) -> None:
    speaker = session(ministack.url)
    arn = publish(release, speaker).arn
    granted = replace(release, grants=read_grants(("123456789012",)))

    (outcome,) = publish_everywhere([granted], {"": speaker})

    assert outcome.version is not None
    assert outcome.version.arn == arn
    assert [*read_policy(speaker, arn).grants.values()] == [*granted.grants]


@pytest.mark.parametrize("note", [b"", b"{", b"[1]", b"7"])
def test_a_note_that_cannot_be_read_is_none(
    note: bytes, release: Release, tmp_path: Path
) -> None:
    store = Store(tmp_path / "store")
    pending = Pending(
        release=release, session=session("http://127.0.0.1:9"), store=store
    )
    pending.open(3)
    (path,) = (path for path in (store.root / "records").rglob("*") if path.is_file())
    assert pending.newest_before() == 3

    path.write_bytes(note)

    assert pending.newest_before() is None


@pytest.fixture
def project(tmp_path: Path, ministack: Server, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project with one layer, built; whoever asks AWS asks MiniStack."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", ministack.url)
    monkeypatch.setenv("LAYERFORGE_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "layerforge.toml").write_text(
        '[layers.web]\nrequirements = ["demo"]\nruntimes = ["python3.13"]\n'
        'architectures = ["arm64"]\n[publish]\nregions = ["eu-west-1", "us-east-1"]\n'
    )
    write_built(tmp_path / "dist")
    return tmp_path


def run(*arguments: str) -> Result:
    return CliRunner().invoke(group, ["publish", *arguments])


def arns(account: str = "000000000000", version: int = 1) -> list[str]:
    return [
        f"arn:aws:lambda:{region}:{account}:layer:web-python313-arm64:{version}"
        for region in ("eu-west-1", "us-east-1")
    ]


@pytest.mark.usefixtures("project")
class TestCommand:
    def test_prints_the_arns_of_all_regions(self) -> None:
        assert run().stdout.splitlines() == arns()

    def test_shows_what_became_of_each(self) -> None:
        run("--region", "eu-west-1")

        shown = run()

        assert shown.stderr.splitlines()[-3:] == [
            "layer                Region     version",
            "web-python313-arm64  eu-west-1        1  unchanged",
            "web-python313-arm64  us-east-1        1  published",
        ]

    def test_takes_a_zip_as_well(self) -> None:
        found = run("dist/web-python3.13-arm64.zip")

        assert found.stdout.splitlines() == arns()

    def test_publishes_every_part_of_a_divided_layer(self, project: Path) -> None:
        names = [
            write_built(project / "dist", f"x = {part}", layer=part, part_of="web")[1]
            for part in ("web-1", "web-2")
        ]
        write_built(project / "dist", parts=tuple(one.zip for one in names), zip="")

        found = run("web", "--region", "eu-west-1")

        assert found.stdout.splitlines() == [
            f"arn:aws:lambda:eu-west-1:000000000000:layer:{part}-python313-arm64:1"
            for part in ("web-1", "web-2")
        ]

    def test_publishes_in_all_accounts(self, project: Path) -> None:
        with (project / "layerforge.toml").open("a") as toml:
            toml.write(
                "[publish.accounts]\n"
                'live = {role = "arn:aws:iam::123456789012:role/publish"}\n'
                'test = {role = "arn:aws:iam::210987654321:role/publish"}\n'
            )

        every, one = run(), run("--account", "live")

        live = arns("123456789012")
        assert every.stdout.splitlines() == [*live, *arns("210987654321")]
        assert one.stdout.splitlines() == live

    def test_refuses_one_account_by_two_names(self, project: Path) -> None:
        with (project / "layerforge.toml").open("a") as toml:
            toml.write(
                "[publish.accounts]\n"
                'live = {role = "arn:aws:iam::123456789012:role/publish"}\n'
                'again = {role = "arn:aws:iam::123456789012:role/other"}\n'
            )

        error = run().exception

        assert isinstance(error, ConfigError)
        assert error.message == (
            "live and again of [publish.accounts] are both the account 123456789012"
        )

    def test_shows_what_force_would_do(self) -> None:
        run()

        shown = run("--dry-run", "--force", "--region", "eu-west-1").stdout

        assert shown.splitlines()[1:] == [
            "web-python313-arm64  eu-west-1       1  would be published"
        ]

    def test_refuses_a_bucket_that_is_no_template(self) -> None:
        shown = run("--bucket", "layers-{")

        assert shown.exit_code == 2
        assert "'layers-{': expected a template of {account}, {region}" in shown.stderr

    def test_explains_an_address_that_is_none(self) -> None:
        shown = run("--endpoint-url", "foo")

        assert shown.exit_code == 2
        assert "AWS can't be asked: Invalid endpoint: foo" in shown.stderr

    def test_refuses_an_account_that_is_not_named(self) -> None:
        error = run("--account", "live").exception

        assert isinstance(error, ConfigError)
        assert error.message == "live is not in [publish.accounts]"

    def test_hands_over_instead_of_printing_arns(self) -> None:
        document = json.loads(run("--output", "json").stdout)

        assert all(arn in json.dumps(document) for arn in arns())

    def test_keeps_arns_in_parameters(self, ministack: Server) -> None:
        run("--ssm", "/layers")

        name = "/layers/web/python3.13/arm64/latest"
        speaker = session(ministack.url)
        answer = speaker.call("ssm", REGION, "get_parameter", Name=name)
        assert answer["Parameter"]["Value"] == arns()[0]

    def test_publishes_nothing_in_a_dry_run(self, ministack: Server) -> None:
        shown = run("--dry-run")

        assert shown.stdout.splitlines() == [
            "layer                Region     newest",
            "web-python313-arm64  eu-west-1    none  would be published",
            "web-python313-arm64  us-east-1    none  would be published",
        ]
        assert (
            list_versions(session(ministack.url), REGION, "web-python313-arm64") == ()
        )

    def test_gives_one_document(self) -> None:
        document = json.loads(run("web", "--region", "eu-west-1", "--json").stdout)

        (release,) = document["releases"]
        assert (release["published"], release["version"]["arn"]) == (True, arns()[0])

    def test_ends_with_the_status_of_what_failed(self, recorded: Recorded) -> None:
        no = failure(403, "AccessDeniedException", "No")
        recorded.when("GET", "/2018-10-31/layers/.*", no)

        ended = run("--region", "eu-west-1", "--endpoint-url", recorded.url)

        assert (ended.exit_code, ended.stdout) == (6, "")
        assert ended.stderr.splitlines() == [
            "layer                Region",
            "web-python313-arm64  eu-west-1  failed",
            (
                "error: web-python313-arm64 in eu-west-1: whoever these credentials "
                "are for may not lambda:ListLayerVersions on web-python313-arm64 in "
                "eu-west-1"
            ),
            (
                "try: Allow lambda:ListLayerVersions in a policy; the README lists "
                "what each command needs."
            ),
        ]

    def test_makes_nothing_public_without_being_told(self, project: Path) -> None:
        toml = project / "layerforge.toml"
        toml.write_text(toml.read_text() + 'grants = ["public"]\n')

        refused, agreed = run(), run("--yes")

        assert isinstance(refused.exception, ConfigError)
        assert refused.exception.message == (
            "nobody is there to be asked: Make them public?"
        )
        assert agreed.stdout.splitlines() == arns()

    def test_refuses_a_zip_that_is_not_its_manifests(self, project: Path) -> None:
        archive = project / "dist" / "web-python3.13-arm64.zip"
        archive.write_bytes(archive.read_bytes() + b"\n")

        error = run().exception

        assert isinstance(error, ConfigError)
        assert error.message == (
            f"{archive} is not the zip that {archive.with_suffix('.json')} tells of: "
            "it was changed or replaced"
        )

    def test_refuses_what_is_not_built(self, project: Path) -> None:
        archive = project / "dist" / "web-python3.13-arm64.zip"
        archive.unlink()

        error = run("web").exception

        assert isinstance(error, ConfigError)
        assert error.message == f"there is no zip {archive}"
        assert error.remedy == "Build it: layerforge build web"

    def test_lists_what_is_published(self) -> None:
        run()

        shown = CliRunner().invoke(group, ["list", "web"]).stdout.splitlines()

        assert [line.split()[:3] for line in shown[1:]] == [
            ["web-python313-arm64", "1", "eu-west-1"],
            ["web-python313-arm64", "1", "us-east-1"],
        ]
        assert [line.split()[-1] for line in shown[1:]] == ["private", "private"]

    def test_publishes_what_the_aws_cli_reads_back(self, project: Path) -> None:
        run("--region", REGION)

        told = aws(
            "lambda",
            "get-layer-version",
            "--layer-name=web-python313-arm64",
            "--version-number=1",
        )

        body = (project / "dist" / "web-python3.13-arm64.zip").read_bytes()
        digest = base64.b64encode(hashlib.sha256(body).digest()).decode()
        assert told["Content"]["CodeSha256"] == digest
        assert told["CompatibleRuntimes"] == ["python3.13"]
        assert told["CompatibleArchitectures"] == ["arm64"]


def aws(*words: str) -> dict[str, Any]:
    """Run the AWS CLI, and give what it prints."""
    program = Path(sys.executable).with_name("aws")
    process = subprocess.run(
        [program, *words, f"--region={REGION}", "--output=json"],
        env=dict(os.environ),
        capture_output=True,
        text=True,
        check=True,
    )
    found: dict[str, Any] = json.loads(process.stdout)
    return found


class TestLock:
    def test_must_be_the_one_that_the_zip_was_built_from(self, project: Path) -> None:
        wheels = project / "wheels"
        wheels.mkdir()
        make_wheel(wheels, "demo", "1.0", {"demo.py": b"x = 1\n"})
        built = layerforge("build", "--no-index", "--find-links=wheels")
        manifest = project / "dist" / "web-python3.13-arm64.json"
        document = json.loads(manifest.read_text())
        accepted = run("web").exit_code
        manifest.write_text(json.dumps(document | {"lock_digest": "another"}))

        refused = [run(word).exception for word in ("web", built)]

        lock = project / document["lock"]
        archive = manifest.with_suffix(".zip")
        assert accepted == 0
        assert [str(error) for error in refused] == [
            f"{archive} was built from another lock than {lock} is now"
        ] * 2
        assert {type(error) for error in refused} == {LockError}


def layerforge(*words: str) -> str:
    """Run the program itself, and give what it prints."""
    process = subprocess.run(
        [sys.executable, "-m", "layerforge", *words],
        env={**os.environ, "PYTHONPATH": str(ROOT), "LAYERFORGE_CACHE_DIR": "cache"},
        capture_output=True,
        text=True,
        check=True,
    )
    return process.stdout.strip()
