from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from layerforge.aws.grants import read_grants
from layerforge.aws.releases import (
    BuiltZip,
    Destinations,
    Release,
    plan_releases,
)
from layerforge.errors import ConfigError
from layerforge.limits import DIRECT_UPLOAD_LIMIT, UNZIPPED_LIMIT
from layerforge.manifest import BuildReport
from layerforge.spec import PublishAccount, PublishSpec

IN_IRELAND = Destinations(regions=("eu-west-1",))


def built(
    *runtimes: str,
    arch: str = "arm64",
    publish: PublishSpec | None = None,
    licences: tuple[str, ...] = (),
    **fields: Any,  # noqa: ANN401 - of a report, whichever
) -> BuiltZip:
    runtimes = runtimes or ("python3.13",)
    report = BuildReport(
        layer="web",
        runtime=runtimes[0],
        runtimes=runtimes,
        architecture=arch,
        description="",
        licence="",
        zip="web.zip",
        zipped=1000,
        unzipped=3000,
        files=1,
        code_sha256="3q2+7w==",
        tree_digest="0123456789abcdef",
        lock="pylock.web.toml",
        lock_digest="",
        packages=(),
        removals=(),
        trimmed=0,
        bytecode=0,
        bytecode_estimate=0,
        findings=(),
        layerforge="0",
    )
    return BuiltZip(
        path=Path("dist/web.zip"),
        report=replace(report, **fields),
        publish=publish or PublishSpec(),
        licences=licences,
    )


def one_of(
    *zips: BuiltZip, words: dict[str, str] | None = None, bucket: str = ""
) -> Release:
    (release,) = plan_releases(zips, IN_IRELAND, words=words, bucket=bucket)
    return release


def refusal(*zips: BuiltZip, destinations: Destinations = IN_IRELAND) -> ConfigError:
    with pytest.raises(ConfigError) as caught:
        plan_releases(zips, destinations)
    return caught.value


def test_a_release_has_all_that_a_zip_was_built_for() -> None:
    assert one_of(built("python3.13", licences=("MIT", "PSF-2.0"))) == Release(
        layer="web",
        name="web-python313-arm64",
        region="eu-west-1",
        zip=Path("dist/web.zip"),
        zipped=1000,
        code_sha256="3q2+7w==",
        runtimes=("python3.13",),
        architectures=("arm64",),
        description="web 0123456789ab",
        licence="MIT, PSF-2.0",
        targets=("python3.13-arm64",),
    )


class TestName:
    def test_of_a_zip_for_several_runtimes_has_them_all(self) -> None:
        release = one_of(built("python3.12", "python3.13"))

        assert release.name == "web-python312-python313-arm64"
        assert release.runtimes == ("python3.12", "python3.13")

    def test_is_what_the_template_says(self) -> None:
        publish = PublishSpec(name="acme_{layer}-{version}")

        release = one_of(built(publish=publish), words={"version": "7"})

        assert release.name == "acme_web-7"

    def test_must_be_one_that_aws_takes(self) -> None:
        error = refusal(built(publish=PublishSpec(name="{layer} for {arch}")))

        assert error.message == (
            "'web for arm64' is no name of a layer on AWS: at most 140 letters, "
            "digits, - and _ (of web, by publish.name '{layer} for {arch}')"
        )

    def test_can_have_140_characters_and_no_more(self) -> None:
        longest = PublishSpec(name="x" * 140)
        longer = PublishSpec(name="x" * 141)

        assert one_of(built(publish=longest)).name == "x" * 140
        assert refusal(built(publish=longer)).remedy == "Change publish.name."

    def test_that_equal_bytes_share_makes_them_one_release(self) -> None:
        publish = PublishSpec(name="{layer}")

        release = one_of(
            built("python3.13", arch="x86_64", publish=publish),
            built("python3.12", arch="arm64", publish=publish),
            built("python3.13", arch="arm64", publish=publish),
        )

        assert release.runtimes == ("python3.12", "python3.13")
        assert release.architectures == ("arm64", "x86_64")

    def test_that_different_bytes_share_is_refused(self) -> None:
        publish = PublishSpec(name="{layer}")

        error = refusal(
            built("python3.12", publish=publish),
            built("python3.13", publish=publish, code_sha256="AAAA"),
        )

        assert error.message == (
            "web for python3.12-arm64 and web for python3.13-arm64 would both be web, "
            "and they are different zips"
        )
        assert error.remedy == (
            'Tell them apart by publish.name, such as "{layer}-{target}", which is the '
            "default."
        )

    def test_that_two_layers_share_is_refused(self) -> None:
        publish = PublishSpec(name="all")

        error = refusal(built(publish=publish), built(publish=publish, layer="data"))

        assert error.message.endswith(
            "would both be all, and they are different layers"
        )


class TestDescription:
    def test_is_the_layers_own(self) -> None:
        assert one_of(built(description="For the web")).description == "For the web"

    def test_is_the_templates_before_all(self) -> None:
        publish = PublishSpec(description="{layer} {version} ({revision}) {digest}")

        release = one_of(
            built(publish=publish, description="For the web"),
            words={"version": "1.2", "revision": "abc-dirty"},
        )

        assert release.description == "web 1.2 (abc-dirty) 0123456789ab"

    def test_needs_the_words_of_its_template(self) -> None:
        error = refusal(built(publish=PublishSpec(description="{revision}")))

        assert error.message == (
            "publish.description is '{revision}', and there is no revision"
        )
        assert error.remedy == (
            "It is git's: publish from a checkout with a commit, or leave it out."
        )

    def test_has_at_most_256_characters(self) -> None:
        error = refusal(built(publish=PublishSpec(description="x" * 257)))

        assert error.message == (
            "the description of web for python3.13-arm64 has 257 characters, and AWS "
            "takes 256"
        )


class TestLicence:
    def test_is_what_the_project_says(self) -> None:
        publish = PublishSpec(licence="Proprietary")

        release = one_of(built(publish=publish, licences=("MIT",), licence="BSD"))

        assert release.licence == "Proprietary"

    def test_is_the_layers_own_before_those_of_packages(self) -> None:
        assert one_of(built(licences=("MIT",), licence="BSD")).licence == "BSD"

    def test_is_shortened_with_a_count(self) -> None:
        licences = tuple(f"Licence-{number:04}" for number in range(100))

        licence = one_of(built(licences=licences)).licence

        assert len(licence) <= 512
        assert licence.endswith("Licence-0034, and 65 more")


class TestSize:
    def test_needs_a_bucket_from_50_mib_on(self) -> None:
        error = refusal(built(zipped=DIRECT_UPLOAD_LIMIT))

        assert "52428800" in error.message
        assert "--bucket" in error.remedy

    def test_below_50_mib_needs_none(self) -> None:
        publish = PublishSpec(bucket="layers-{account}-{region}")

        release = one_of(built(zipped=DIRECT_UPLOAD_LIMIT - 1, publish=publish))

        assert release.bucket == ""

    def test_goes_by_the_bucket_of_the_command_line_first(self) -> None:
        publish = PublishSpec(bucket="layers-{account}-{region}")

        large = built(zipped=DIRECT_UPLOAD_LIMIT, publish=publish)

        assert one_of(large).bucket == "layers-{account}-{region}"
        assert one_of(large, bucket="mine").bucket == "mine"

    def test_unzipped_is_less_than_lambdas_limit(self) -> None:
        error = refusal(built(unzipped=UNZIPPED_LIMIT))

        assert error.message == (
            "web for python3.13-arm64 has 262144000 bytes unzipped, and Lambda takes "
            "less than 262144000"
        )


def test_a_version_is_for_at_most_15_runtimes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("layerforge.aws.releases._MOST_RUNTIMES", 1)

    assert refusal(built("python3.12", "python3.13")).message == (
        "web-python312-python313-arm64 is for 2 runtimes, and a layer version on AWS "
        "for at most 1: python3.12, python3.13"
    )


class TestPlaces:
    def test_are_the_layers_regions(self) -> None:
        zips = [built(publish=PublishSpec(regions=("eu-west-1", "us-east-1")))]

        releases = plan_releases(zips, Destinations())

        assert [one.region for one in releases] == ["eu-west-1", "us-east-1"]

    def test_are_those_of_the_command_line_first(self) -> None:
        zips = [built(publish=PublishSpec(regions=("us-east-1",)))]

        releases = plan_releases(zips, IN_IRELAND)

        assert [one.region for one in releases] == ["eu-west-1"]

    def test_are_boto3s_where_none_is_named(self) -> None:
        where = Destinations(default_regions={"": "eu-north-1"})

        assert [one.region for one in plan_releases([built()], where)] == ["eu-north-1"]

    def test_must_be_somewhere(self) -> None:
        error = refusal(built(), destinations=Destinations())

        assert error.message == "no Region is named for web"
        assert error.remedy == (
            'Name them: --region eu-west-1, or regions = ["eu-west-1"] in [publish] of '
            "layerforge.toml."
        )

    def test_are_each_accounts_own(self) -> None:
        live = PublishAccount(name="live", regions=("us-east-1",))
        test = PublishAccount(name="test")
        zips = [built(publish=PublishSpec(regions=("eu-west-1",)))]

        releases = plan_releases(zips, Destinations(accounts=(live, test)))

        assert [(one.account, one.region) for one in releases] == [
            ("live", "us-east-1"),
            ("test", "eu-west-1"),
        ]

    def test_are_missed_for_each_account(self) -> None:
        live = PublishAccount(name="live", regions=("us-east-1",))
        test = PublishAccount(name="test")

        error = refusal(built(), destinations=Destinations(accounts=(live, test)))

        assert error.message == "no Region is named for web in test"


class TestGrants:
    def test_are_read_before_anything_is_asked(self) -> None:
        publish = PublishSpec(grants=("123456789012", "org:o-a1b2c3d4e5"))

        assert one_of(built(publish=publish)).grants == read_grants(publish.grants)

    def test_that_are_none_are_refused(self) -> None:
        assert refusal(built(publish=PublishSpec(grants=("me",)))).message == (
            "me: no such grant"
        )
