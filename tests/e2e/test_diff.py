"""layerforge diff: of zips, and of versions that MiniStack has."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from pathlib import Path

import boto3
import pytest

from tests.aws.servers import CREDENTIALS, Server, ministack
from tests.e2e.program import TARGET, Program

WEB = ("build", "-r", "requirements.in", "--name", "web", *TARGET)
ZIP = "dist/web-python3.12-x86_64.zip"
REGION = "eu-west-1"


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with ministack() as server:
        yield server


@pytest.fixture
def cloud(web: Program, server: Server) -> Program:
    """The program beside a requirements.in, where AWS is a MiniStack."""
    return web.elsewhere(variables={**CREDENTIALS, "AWS_ENDPOINT_URL": server.url})


@pytest.fixture
def two(cloud: Program) -> Program:
    """The program beside old.zip and new.zip, which another tool made."""
    make_zip(
        cloud.folder / "old.zip",
        {
            "python/demo-1.0.dist-info/METADATA": b"m" * 71,
            "python/demo/__init__.py": b"import helper\n",
            "python/helper-1.1.dist-info/METADATA": b"m" * 48,
            "python/helper.py": b"ANSWER = 42\n",
        },
    )
    make_zip(
        cloud.folder / "new.zip",
        {
            "python/demo-1.1.dist-info/METADATA": b"m" * 50,
            "python/demo/__init__.py": b"import json\n",
        },
    )
    return cloud


def make_zip(path: Path, files: dict[str, bytes]) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in files.items():
            archive.writestr(name, data)


def publish(program: Program, server: Server, name: str) -> str:
    layers = boto3.client(
        "lambda",
        region_name=REGION,
        endpoint_url=server.url,
        aws_access_key_id=CREDENTIALS["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=CREDENTIALS["AWS_SECRET_ACCESS_KEY"],
    )
    data = (program.folder / name).read_bytes()
    answer = layers.publish_layer_version(LayerName="web", Content={"ZipFile": data})
    return answer["LayerVersionArn"]


def test_says_what_changes_from_one_zip_to_another(two: Program) -> None:
    ran = two("diff", "old.zip", "new.zip")

    sizes = [(two.folder / name).stat().st_size for name in ("old.zip", "new.zip")]
    assert (ran.status, ran.stderr) == (0, "")
    assert ran.stdout == (
        "before  old.zip\n"
        "after   new.zip\n"
        "\n"
        "            before  after  change\n"
        "  unzipped     145     62     -83\n"
        f"  zipped       {sizes[0]}    {sizes[1]}    {sizes[1] - sizes[0]}\n"
        "  files          4      2      -2\n"
        "\n"
        "  package  before  after  bytes\n"
        "  demo     1.0     1.1      -23\n"
        "  helper   1.1     -        -60\n"
        "\n"
        "  files: 1 added, 3 removed, 1 changed\n"
        "  -71  python/demo-1.0.dist-info/METADATA\n"
        "  +50  python/demo-1.1.dist-info/METADATA\n"
        "  -48  python/helper-1.1.dist-info/METADATA\n"
        "  -12  python/helper.py\n"
        "   -2  python/demo/__init__.py\n"
    )


def test_json_has_these_fields(two: Program) -> None:
    ran = two("diff", "old.zip", "new.zip", "--json")

    document = ran.document
    assert {key: type(value).__name__ for key, value in document.items()} == {
        "format": "int",
        "same_bytes": "bool",
        "same_contents": "bool",
        "before": "dict",
        "after": "dict",
        "packages": "list",
        "files": "list",
        "libraries": "list",
        "symbols": "list",
    }
    assert document["packages"][0] == {
        "name": "demo",
        "location": "",
        "before": "1.0",
        "after": "1.1",
        "growth": -23,
    }


def test_markdown_is_for_a_pull_request(two: Program) -> None:
    ran = two("diff", "old.zip", "new.zip", "--markdown")

    assert ran.status == 0
    assert ran.stdout.startswith("### `old.zip` → `new.zip`\n\n| ")
    assert "| `demo` | 1.0 | 1.1 | -23 |\n" in ran.stdout


def test_a_build_is_compared_with_a_zip_of_another_tool(two: Program) -> None:
    two(*WEB)

    ran = two("diff", "new.zip", ZIP, "--json")

    assert [
        (row["name"], row["before"], row["after"]) for row in ran.document["packages"]
    ] == [("demo", "1.1", "1.0"), ("helper", None, "1.1")]


def test_two_builds_are_compared_by_their_manifests(web: Program) -> None:
    web(*WEB)
    for name in (ZIP, ZIP.replace(".zip", ".json")):
        (web.folder / name).rename(web.folder / f"old{Path(name).suffix}")
    web.write(
        "layerforge.toml",
        f"""[layers.web]
requirements = "requirements.in"
runtimes = ["{TARGET[1]}"]
architectures = ["{TARGET[3]}"]
exclude = ["helper.py"]
""",
    )
    ran = web("build")
    assert ran.status == 0, ran.stderr

    ran = web("diff", "old.zip", ZIP, "--json")

    assert ran.document["packages"] == [
        {
            "name": "helper",
            "location": "",
            "before": "1.1",
            "after": "1.1",
            "growth": -12,
        }
    ]


def test_a_zip_is_what_was_published_of_it(two: Program, server: Server) -> None:
    arn = publish(two, server, "new.zip")

    ran = two("diff", "new.zip", arn)

    assert ran.status == 0, ran.stderr
    assert ran.stdout.splitlines()[:2] == ["before  new.zip", f"after   {arn}"]
    assert "  the same zip, byte for byte: " in ran.stdout


def test_two_versions_are_compared_and_downloaded_once(
    two: Program, server: Server
) -> None:
    arns = [publish(two, server, name) for name in ("old.zip", "new.zip")]
    first = two("diff", *arns)

    second = two("diff", *arns, "--json")

    assert first.stderr.count("fetched web:") == 2
    assert second.stderr == ""
    assert [
        (row["name"], row["before"], row["after"])
        for row in second.document["packages"]
    ] == [("demo", "1.0", "1.1"), ("helper", "1.1", None)]


def test_an_endpoint_can_be_named(two: Program, server: Server) -> None:
    arn = publish(two, server, "new.zip")
    cloud = two.elsewhere(variables=CREDENTIALS)

    ran = cloud("diff", "new.zip", arn, "--endpoint-url", server.url)

    assert ran.status == 0, ran.stderr


def test_a_version_that_is_not_there(two: Program) -> None:
    arn = f"arn:aws:lambda:{REGION}:000000000000:layer:nothing:3"

    ran = two("diff", "new.zip", arn)

    assert ran.status == 6
    assert "layer:nothing: lambda:GetLayerVersion in eu-west-1: " in ran.stderr


def test_credentials_that_are_not_there(two: Program) -> None:
    nobody = two.elsewhere(variables={"AWS_EC2_METADATA_DISABLED": "true"})

    ran = nobody("diff", "new.zip", f"arn:aws:lambda:{REGION}:000000000000:layer:web:1")

    assert ran.status == 6
    assert ran.stderr.startswith("error: no credentials")


def test_a_file_that_is_not_there(layerforge: Program) -> None:
    ran = layerforge("diff", "old.zip", "new.zip")

    assert (ran.status, ran.stderr) == (
        2,
        (
            "error: there is no file old.zip\n"
            "try: Name a zip, or the ARN of a layer version (arn:aws:lambda:…:7).\n"
        ),
    )


def test_what_is_no_arn_of_a_version(layerforge: Program) -> None:
    arn = "arn:aws:lambda:eu-west-1:123456789012:layer:web"

    ran = layerforge("diff", arn, arn)

    assert ran.status == 2
    assert ran.stderr.startswith(f"error: {arn} is not the ARN of a layer version\n")


def test_a_file_that_is_no_zip(layerforge: Program) -> None:
    layerforge.write("layer.zip", "no zip at all")

    ran = layerforge("diff", "layer.zip", "layer.zip")

    assert (ran.status, ran.stderr) == (
        4,
        (
            "error: layer.zip: it is no zip archive, is cut short, or has bytes behind "
            "its end\n"
            "try: Compare with another zip: tools may take this one for two things.\n"
        ),
    )
