"""npm's settings: its dialect of INI, its places, its credentials, its addresses."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from pathlib import Path

import pytest

from layerforge.ecosystems.node.npmrc import NpmSettings, Value, dump_npmrc, read_npmrc
from layerforge.ecosystems.node.registry import open_npm_client, tarball_address
from layerforge.errors import FetchError
from tests.servers import Fault, Index

CERTIFICATE = Path(__file__).parents[1] / "data" / "loopback.pem"
PACKUMENT = "https://registry.npmjs.org/pg/-/pg-8.0.0.tgz"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    home = tmp_path / "home"
    home.mkdir()
    return home


@pytest.fixture
def project(tmp_path: Path) -> Path:
    project = tmp_path / "project"
    project.mkdir()
    return project


def settings_of(text: str, project: Path, **environ: str) -> NpmSettings:
    """Read a project's .npmrc on a machine where there is nothing else."""
    (project / ".npmrc").write_text(text)
    return read_npmrc(project, bare(project, **environ))


def bare(home: Path, **environ: str) -> dict[str, str]:
    return {"HOME": str(home / "nobody"), "PATH": "", "PREFIX": str(home), **environ}


class TestFormat:
    @pytest.mark.parametrize(
        ("line", "value"),
        [
            ("key=value", "value"),
            ("  key  =  value  ", "value"),
            ("key = a = b", "a = b"),
            ("key=value ; a remark", "value"),
            ("key=value # a remark", "value"),
            (r"key=a\;b\#c\\d\e", r"a;b#c\d\e"),
            ('key="value ; no remark"', "value ; no remark"),
            (r'key="two\nlines"', "two\nlines"),
            ("key='single'", "single"),
            ('key="', '"'),
            ("key=", ""),
            ("key", "true"),
            ("key=first\nkey=last", "last"),
            ("key=value\r\nother=1", "value"),
        ],
    )
    def test_is_read_as_npm_reads_it(
        self, line: str, value: str, project: Path
    ) -> None:
        assert settings_of(line, project).values["key"] == value

    @pytest.mark.parametrize("line", ["# key=value", " ; key=value", "[a]\nkey=1", ""])
    def test_has_lines_that_set_nothing(self, line: str, project: Path) -> None:
        assert "key" not in settings_of(line, project).values

    def test_has_lists(self, project: Path) -> None:
        settings = settings_of("ca[]=one\nca[]=two\n", project)

        assert settings.values["ca"] == ("one", "two")

    def test_adds_to_a_list_that_has_begun(self, project: Path) -> None:
        settings = settings_of("ca[]=one\nca=two\n", project)

        assert settings.values["ca"] == ("one", "two")


class TestVariables:
    @pytest.mark.parametrize(
        ("text", "value"),
        [
            ("${NAME}", "secret"),
            ("a-${NAME}-b", "a-secret-b"),
            ("${UNSET}", "${UNSET}"),
            ("${UNSET?}", ""),
            ("${NAME?}", "secret"),
            (r"\${NAME}", "${NAME}"),
            ("$NAME", "$NAME"),
        ],
    )
    def test_are_put_in(self, text: str, value: str, project: Path) -> None:
        settings = settings_of(f"key={text}", project, NAME="secret")

        assert settings.values["key"] == value

    def test_may_stand_in_keys(self, project: Path) -> None:
        settings = settings_of("//${HOST}/:_authToken=1", project, HOST="npm.test")

        assert settings.values["//npm.test/:_authToken"] == "1"


class TestPlaces:
    def test_go_from_the_variables_to_the_machine(
        self, project: Path, home: Path
    ) -> None:
        (project / ".npmrc").write_text("a=project\nb=project\n")
        (home / ".npmrc").write_text("a=user\nb=user\nc=user\n")
        (home / "etc").mkdir()
        (home / "etc/npmrc").write_text("b=machine\nc=machine\nd=machine\n")
        environ = bare(home, HOME=str(home), npm_config_a="environment")

        values = read_npmrc(project, environ).values

        assert values == {
            "a": "environment",
            "b": "project",
            "c": "user",
            "d": "machine",
        }

    def test_may_be_named(self, project: Path, home: Path) -> None:
        (home / "mine").write_text(f"a=mine\nglobalconfig={home}/theirs\n")
        (home / "theirs").write_text("b=theirs\n")

        settings = read_npmrc(
            project, bare(home, NPM_CONFIG_USERCONFIG=str(home / "mine"))
        )

        assert (settings.text("a"), settings.text("b")) == ("mine", "theirs")

    def test_need_not_be_there(self, project: Path, home: Path) -> None:
        assert read_npmrc(project, bare(home)) == NpmSettings()

    def test_are_npm_s_own_too(self, project: Path, home: Path) -> None:
        program = home / "lib/node_modules/npm/bin/npm-cli.js"
        program.parent.mkdir(parents=True)
        program.write_text("")
        program.chmod(0o755)
        program.parents[1].joinpath("npmrc").write_text("a=distributor\n")
        (home / "npm").symlink_to(program)

        settings = read_npmrc(project, bare(home, PATH=str(home)))

        assert settings.text("a") == "distributor"

    def test_of_variables_have_dashes_but_for_credentials(
        self, project: Path, home: Path
    ) -> None:
        environ = {
            "npm_config_fetch_retries": "1",
            "NPM_CONFIG__authToken": "2",
            "npm_config_//npm.test/a_b/:_authToken": "3",
            "npm_config_empty": "",
        }

        values = read_npmrc(project, bare(home) | environ).values

        assert values == {
            "fetch-retries": "1",
            "_authtoken": "2",
            "//npm.test/a_b/:_authToken": "3",
        }

    def test_of_certificates_are_seen_from_the_project(self, project: Path) -> None:
        settings = settings_of("cafile=certs/ca.pem", project)

        assert settings.text("cafile") == f"{project}/certs/ca.pem"


class TestRegistries:
    def test_are_by_scope(self, project: Path) -> None:
        text = "registry=https://npm.test/\n@me:registry=https://me.test/npm/\n"

        assert settings_of(text, project).registries == {
            "": "https://npm.test/",
            "@me": "https://me.test/npm/",
        }

    def test_are_npmjs_s_where_none_is_set(self) -> None:
        assert NpmSettings().registries == {"": "https://registry.npmjs.org/"}


class TestAuthorization:
    @pytest.mark.parametrize(
        "key",
        ["//npm.test/a/", "//npm.test/a", "//npm.test/", "//npm.test"],
    )
    def test_is_of_what_an_address_begins_with(self, key: str, project: Path) -> None:
        settings = settings_of(f"{key}:_authToken=t", project)

        assert settings.authorization("https://npm.test/a/pg.tgz") == "Bearer t"

    @pytest.mark.parametrize(
        "url",
        [
            "https://npm.test/ab/pg.tgz",
            "https://other.test/a/pg.tgz",
            "https://npm.test:8443/a/pg.tgz",
            "https://npm.test.evil.test/a/pg.tgz",
        ],
    )
    def test_is_for_nothing_else(self, url: str, project: Path) -> None:
        settings = settings_of("//npm.test/a/:_authToken=t", project)

        assert settings.authorization(url) == ""

    def test_prefers_what_is_nearest(self, project: Path) -> None:
        text = "//npm.test/:_authToken=far\n//npm.test/a/:_authToken=near\n"
        settings = settings_of(text, project)

        assert settings.authorization("https://npm.test/a/pg.tgz") == "Bearer near"

    def test_ignores_the_port_that_goes_without_saying(self, project: Path) -> None:
        settings = settings_of("//npm.test/:_authToken=t", project)

        assert settings.authorization("https://npm.test:443/pg") == "Bearer t"

    def test_is_basic_where_the_setting_is(self, project: Path) -> None:
        settings = settings_of("//npm.test/:_auth=YW5uOnM=", project)

        assert settings.authorization("https://npm.test/pg") == "Basic YW5uOnM="

    def test_is_made_of_user_and_password(self, project: Path) -> None:
        password = base64.b64encode("sécret".encode()).decode()
        text = f"//npm.test/:username=ann\n//npm.test/:_password={password}\n"
        settings = settings_of(text, project)

        said = settings.authorization("https://npm.test/pg")

        kind, _, pair = said.partition(" ")
        assert kind == "Basic"
        assert base64.b64decode(pair).decode() == "ann:sécret"

    def test_of_a_registry_serves_its_whole_host(self, project: Path) -> None:
        text = "registry=https://npm.test/api/\n//npm.test/api/:_authToken=t\n"
        settings = settings_of(text, project)

        assert settings.authorization("https://npm.test/files/pg.tgz") == "Bearer t"

    def test_of_a_scope_s_registry_serves_its_packages(self, project: Path) -> None:
        text = "@me:registry=https://npm.test/me/\n//npm.test/me/:_authToken=t\n"
        settings = settings_of(text, project)

        assert settings.authorization("https://npm.test/x/@me/a.tgz") == "Bearer t"
        assert settings.authorization("https://npm.test/x/a.tgz") == ""


class TestProxies:
    def test_are_npm_s_where_it_has_one(self) -> None:
        settings = NpmSettings(values={"https-proxy": "http://proxy.test:3128"})

        assert settings.proxies("https://npm.test/pg") == {
            "http": "http://proxy.test:3128",
            "https": "http://proxy.test:3128",
        }

    def test_are_the_environment_s_where_it_has_none(self) -> None:
        assert NpmSettings(values={"proxy": "null"}).proxies("https://npm.test/") == {}

    @pytest.mark.parametrize("domain", ["npm.test", ".test", "a.test, test"])
    def test_are_left_out_for_some(self, domain: str) -> None:
        values = {"proxy": "http://proxy.test", "noproxy": domain}

        settings = NpmSettings(values=values)

        assert settings.proxies("https://npm.test/pg") == {"no_proxy": "*"}


class TestTarballAddress:
    @pytest.mark.parametrize(
        ("values", "address"),
        [
            ({}, PACKUMENT),
            (
                {"registry": "https://npm.test/"},
                "https://npm.test/pg/-/pg-8.0.0.tgz",
            ),
            (
                {"registry": "http://npm.test:81/a/b"},
                "http://npm.test:81/a/b/pg/-/pg-8.0.0.tgz",
            ),
            (
                {"registry": "https://npm.test/", "replace-registry-host": "never"},
                PACKUMENT,
            ),
            (
                {"registry": "https://npm.test/", "replace-registry-host": "x.test"},
                PACKUMENT,
            ),
        ],
    )
    def test_replaces_npmjs_by_the_registry(
        self, values: dict[str, str], address: str
    ) -> None:
        assert tarball_address(PACKUMENT, NpmSettings(values=values)) == address

    @pytest.mark.parametrize(
        ("replaced", "address"),
        [
            ("npmjs", "https://old.test/npm/pg.tgz"),
            ("always", "https://npm.test/a/npm/pg.tgz"),
            ("old.test", "https://npm.test/a/npm/pg.tgz"),
            ("https://old.test/npm/", "https://npm.test/a/pg.tgz"),
            ("https://old.test/other/", "https://old.test/npm/pg.tgz"),
        ],
    )
    def test_replaces_what_it_is_told_to(self, replaced: str, address: str) -> None:
        values = {
            "registry": "https://npm.test/a/",
            "replace-registry-host": replaced,
        }

        said = tarball_address(
            "https://old.test/npm/pg.tgz", NpmSettings(values=values)
        )

        assert said == address

    @pytest.mark.parametrize("address", ["git+ssh://git@x.test/a.git#1", "file:a.tgz"])
    def test_leaves_what_no_registry_has(self, address: str) -> None:
        values = {"registry": "https://npm.test/", "replace-registry-host": "always"}

        assert tarball_address(address, NpmSettings(values=values)) == address


class TestDump:
    def test_is_read_as_what_was_dumped(self, project: Path) -> None:
        values: dict[str, Value] = {
            "//npm.test/:_authToken": "a;b#c=d",
            "ca": ("-----BEGIN\nx", "y"),
            "legacy-peer-deps": "true",
            "quoted": '"it"',
            "variable": "${NAME}",
        }

        text = dump_npmrc(NpmSettings(values=values))

        assert settings_of(text, project, NAME="secret").values == values

    def test_goes_without_what_is_not_wanted(self) -> None:
        settings = NpmSettings(values={"a": "1", "b": "2"})

        assert dump_npmrc(settings, without={"a"}) == 'b="2"\n'


class TestClient:
    @pytest.fixture(autouse=True)
    def _direct(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE"):
            monkeypatch.delenv(name, raising=False)

    @pytest.fixture
    def registry(self, tmp_path: Path) -> Iterator[Index]:
        folder = tmp_path / "registry"
        folder.mkdir()
        (folder / "pg.tgz").write_bytes(b"tarball")
        with Index(folder, certificate=CERTIFICATE) as registry:
            yield registry

    def test_is_trusting_by_the_settings_file(self, registry: Index) -> None:
        settings = NpmSettings(values={"cafile": str(CERTIFICATE)})

        with open_npm_client(settings) as client:
            page = client.get(registry.file_url("pg.tgz"))

        assert page.body == b"tarball"

    def test_is_trusting_by_the_settings_certificates(self, registry: Index) -> None:
        settings = NpmSettings(values={"ca": CERTIFICATE.read_text()})

        with open_npm_client(settings) as client:
            page = client.get(registry.file_url("pg.tgz"))

        assert page.body == b"tarball"

    def test_is_trusting_by_what_is_added_to_node_s(self, registry: Index) -> None:
        with open_npm_client(NpmSettings(extra_ca=str(CERTIFICATE))) as client:
            page = client.get(registry.file_url("pg.tgz"))

        assert page.body == b"tarball"

    def test_shows_its_token(self, registry: Index) -> None:
        values = {
            "cafile": str(CERTIFICATE),
            f"//{registry.host}/:_authToken": "secret",
        }

        with open_npm_client(NpmSettings(values=values)) as client:
            client.get(registry.file_url("pg.tgz"))

        assert registry.requests[0].headers["authorization"] == "Bearer secret"

    def test_asks_for_a_token_in_npm_s_words(self, registry: Index) -> None:
        registry.script("/files/pg.tgz", Fault(status=401))
        settings = NpmSettings(values={"cafile": str(CERTIFICATE)})

        with open_npm_client(settings) as client, pytest.raises(FetchError) as caught:
            client.get(registry.file_url("pg.tgz"))

        assert caught.value.remedy == (
            f"Have a token for {registry.host} that may read this in .npmrc: "
            f"//{registry.host}/:_authToken=${{NPM_TOKEN}}"
        )
