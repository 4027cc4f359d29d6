"""What a change costs: git's past of a project beside its locks of today."""

from __future__ import annotations

import os
import subprocess
from datetime import date
from pathlib import Path
from typing import Final

import pytest

from layerforge.check import Survey
from layerforge.check.cost import Cost, cost_since
from layerforge.check.history import read_past
from layerforge.check.survey import survey
from layerforge.ecosystems.python.inputs import inputs_digest
from layerforge.jobs import Selection, select_jobs
from layerforge.lock import Lock, Pin, Weight, dump_lock
from layerforge.project import read_project
from layerforge.reports.cost import cost_document, cost_markdown, cost_text

LAYERS: Final = """
[defaults]
runtimes = ["python3.12", "python3.13"]
architectures = ["arm64"]

[layers.web]
requirements = ["demo"]
"""
BASE: Final = '[layers.base]\nrequirements = ["demo"]\nruntimes = ["python3.13"]\n'
API: Final = '[functions.api]\nlayers = ["web"]\ncode = 1\nruntime = "python3.13"\n'
LEDGER: Final = """
format = 1
layer = "node"
target = "nodejs24.x-arm64"
stripping = ""
unzipped = 9
kept = 9

[[packages]]
id = "pg"
version = "8.0.0"
unzipped = 5
kept = 5

[[packages]]
id = "node_modules/pg/node_modules/ms"
version = "2.0.0"
unzipped = 4
kept = 4
"""

Packages = dict[str, tuple[str, int]]


def git(folder: Path, *words: str) -> None:
    own = ("-c", "user.name=a", "-c", "user.email=a@example.org")
    settings = os.environ | {"GIT_CONFIG_GLOBAL": os.devnull}
    subprocess.run(["git", *own, *words], cwd=folder, check=True, env=settings)


def commit(folder: Path) -> None:
    git(folder, "add", ".")
    git(folder, "commit", "--quiet", "--message", "one")


def write(
    folder: Path,
    layer: str,
    packages: Packages,
    *,
    predicted: bool = False,
    digest: str = "a" * 64,
) -> None:
    """Write the locks of a layer."""
    project = read_project(folder / "layerforge.toml")
    for job in select_jobs(Selection(folder=folder, names=(layer,)), project):
        pins = tuple(
            Pin(
                name=name,
                version=version,
                filename=f"{name}-{version}-py3-none-any.whl",
                url=f"https://example.org/{name}-{version}-py3-none-any.whl",
                digest=digest,
                weight=Weight(unzipped=kept, kept=kept, predicted=predicted),
            )
            for name, (version, kept) in packages.items()
        )
        lock = Lock(
            layer=layer,
            target=str(job.target),
            inputs=inputs_digest(job.spec, job.target),
            roots=(),
            pins=pins,
            stripping=job.stripping.digest,
        )
        job.lock_file.write_text(dump_lock(lock, job.target, folder))


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A repository with a project whose layer is locked."""
    folder = tmp_path / "infra"
    folder.mkdir()
    git(tmp_path, "init", "--quiet")
    (folder / "layerforge.toml").write_text(LAYERS + API)
    write(folder, "web", {"demo": ("1.0", 1000), "helper": ("1.0", 50)})
    commit(tmp_path)
    return folder


def check(folder: Path) -> Survey:
    project = read_project(folder / "layerforge.toml")
    return survey(project, folder, date(2026, 11, 23))


def cost(folder: Path) -> Cost:
    project = read_project(folder / "layerforge.toml")
    return cost_since(read_past(project, "HEAD"), check(folder))


def test_where_nothing_changed_it_costs_nothing(checkout: Path) -> None:
    found = cost(checkout)

    assert (found.layers, found.functions, found.unread) == ((), (), ())
    assert cost_text(found) == "since HEAD: no package changed"


def test_text_says_what_each_package_costs(checkout: Path) -> None:
    write(checkout, "web", {"demo": ("1.1", 1500), "other": ("3.0", 2)})

    assert (
        cost_text(cost(checkout))
        == """\
since HEAD: +904 bytes in 2 zips

web for python3.12-arm64 and 1 other target
  1,050 → 1,502 bytes, +452
  package  before  after  bytes  change
  demo     1.0     1.1    1,500    +500
  helper   1.0     -          -     -50
  other    -       3.0        2      +2

function  target            before  after  change
api       python3.13-arm64   1,050  1,502    +452"""
    )


def test_markdown_is_for_a_pull_request(checkout: Path) -> None:
    write(checkout, "web", {"demo": ("1.1", 1500), "helper": ("1.0", 50)})

    assert (
        cost_markdown(cost(checkout))
        == """\
### Since `HEAD`: +1,000 bytes in 2 zips

| layer | target | before | after | change |
| --- | --- | --: | --: | --: |
| `web` | python3.12-arm64 | 1,050 | 1,550 | +500 |
| `web` | python3.13-arm64 | 1,050 | 1,550 | +500 |

<details><summary>2 packages</summary>

| layer | target | package | version before | version after | bytes before | \
bytes after | change |
| --- | --- | --- | --- | --- | --: | --: | --: |
| `web` | python3.12-arm64 | `demo` | 1.0 | 1.1 | 1,000 | 1,500 | +500 |
| `web` | python3.13-arm64 | `demo` | 1.0 | 1.1 | 1,000 | 1,500 | +500 |

</details>

| function | target | before | after | change |
| --- | --- | --: | --: | --: |
| `api` | python3.13-arm64 | 1,050 | 1,550 | +500 |"""
    )


def test_the_document_has_both_sides(checkout: Path) -> None:
    write(checkout, "web", {"demo": ("1.1", 1500)})

    document = cost_document(cost(checkout))

    assert document["layers"][0]["packages"][0] == {
        "before": {
            "name": "demo",
            "version": "1.0",
            "size": 1000,
            "location": "",
            "digest": "",
        },
        "after": {
            "name": "demo",
            "version": "1.1",
            "size": 1500,
            "location": "",
            "digest": "",
        },
        "growth": 500,
    }
    assert document["functions"][0]["growth"] == 450


@pytest.mark.parametrize("then", [True, False])
def test_a_forecast_that_was_corrected_costs_nothing(
    checkout: Path, *, then: bool
) -> None:
    write(checkout, "web", {"demo": ("1.0", 1000)}, predicted=then)
    commit(checkout)
    write(checkout, "web", {"demo": ("1.0", 980)}, predicted=not then)

    found = cost(checkout)

    assert (found.layers, found.functions) == ((), ())


def test_what_was_corrected_is_no_part_of_what_a_change_costs(checkout: Path) -> None:
    write(checkout, "web", {"demo": ("1.0", 1000)}, predicted=True)
    commit(checkout)
    write(checkout, "web", {"demo": ("1.0", 980), "other": ("3.0", 2)})

    found = cost(checkout)

    for layer in found.layers:
        assert (layer.before, layer.after) == (980, 982)
        assert [change.growth for change in layer.packages] == [2]
    assert [each.growth for each in found.functions] == [2]
    assert len(found.layers) == 2


def test_another_version_costs_its_bytes_whoever_foretold_them(checkout: Path) -> None:
    write(checkout, "web", {"demo": ("1.0", 1000)}, predicted=True)
    commit(checkout)
    write(checkout, "web", {"demo": ("1.1", 1500)})

    assert [layer.growth for layer in cost(checkout).layers] == [500, 500]


def test_another_archive_of_a_version_costs_its_bytes(checkout: Path) -> None:
    write(checkout, "web", {"demo": ("1.0", 1000)}, predicted=True)
    commit(checkout)
    write(checkout, "web", {"demo": ("1.0", 1500)}, digest="b" * 64)

    assert [layer.growth for layer in cost(checkout).layers] == [500, 500]


def test_what_other_rules_leave_out_is_a_change(checkout: Path) -> None:
    write(checkout, "web", {"demo": ("1.0", 1000)}, predicted=True)
    commit(checkout)
    file = checkout / "layerforge.toml"
    file.write_text(
        file.read_text().replace("[functions", 'strip = "slim"\n[functions')
    )
    write(checkout, "web", {"demo": ("1.0", 700)})

    assert [layer.growth for layer in cost(checkout).layers] == [-300, -300]


def test_another_archive_of_the_same_size_is_no_change(checkout: Path) -> None:
    packages = {"demo": ("1.0", 1000), "helper": ("1.0", 50)}
    write(checkout, "web", packages, digest="b" * 64)

    assert cost(checkout).layers == ()


def test_a_new_layer_and_a_removed_one_are_told(checkout: Path) -> None:
    file = checkout / "layerforge.toml"
    file.write_text(LAYERS.replace("layers.web", "layers.new"))
    write(checkout, "new", {"demo": ("1.0", 9)})

    layers = {(each.name, each.target): each for each in cost(checkout).layers}

    assert [(*key, each.before, each.after) for key, each in layers.items()] == [
        ("web", "python3.12-arm64", 1050, None),
        ("web", "python3.13-arm64", 1050, None),
        ("new", "python3.12-arm64", None, 9),
        ("new", "python3.13-arm64", None, 9),
    ]


def test_a_function_that_holds_another_layer_costs_its_bytes(checkout: Path) -> None:
    (checkout / "layerforge.toml").write_text(
        LAYERS + BASE + API.replace('["web"]', '["web", "base"]')
    )
    write(checkout, "base", {"demo": ("1.0", 7)})

    (api,) = cost(checkout).functions

    assert (api.before, api.after) == (1050, 1057)


def test_a_function_that_was_not_there_has_no_before(checkout: Path) -> None:
    file = checkout / "layerforge.toml"
    file.write_text(LAYERS + API.replace("api", "new"))

    (new,) = cost(checkout).functions

    assert (new.before, new.after) == (None, 1050)


def test_what_a_base_has_is_no_part_of_a_layer(checkout: Path) -> None:
    file = checkout / "layerforge.toml"
    file.write_text(LAYERS + 'provided-by = ["base"]\n' + BASE)
    text = file.read_text().replace('runtimes = ["python3.13"]\n', "")
    file.write_text(text)
    write(checkout, "base", {"demo": ("1.0", 1000)})

    past = read_past(read_project(file), "HEAD")
    commit(checkout)
    then = read_past(read_project(file), "HEAD")

    assert past.layers["web", "python3.13-arm64"].size == 1050
    assert then.layers["web", "python3.13-arm64"].size == 50


def test_a_stale_lock_of_today_is_told(checkout: Path) -> None:
    file = checkout / "layerforge.toml"
    file.write_text(LAYERS.replace('["demo"]', '["demo>=1"]'))

    found = cost(checkout)

    assert found.unknown == ("web for python3.12-arm64", "web for python3.13-arm64")
    assert cost_text(found).endswith(
        "not weighed now: web for python3.12-arm64, web for python3.13-arm64"
    )


@pytest.mark.parametrize("text", ["{", "[tool.layerforge]\nformat = 0\n"])
def test_a_lock_that_cannot_be_read_any_more_is_told(checkout: Path, text: str) -> None:
    lock = checkout / "pylock.web-python312-arm64.toml"
    good = lock.read_text()
    lock.write_text(text)
    commit(checkout)
    lock.write_text(good)

    found = cost(checkout)

    assert found.unread == ("pylock.web-python312-arm64.toml",)


@pytest.mark.parametrize("text", ["{", "[tool.layerforge]\nformat = 0\n"])
def test_what_is_not_known_of_the_past_is_no_growth(checkout: Path, text: str) -> None:
    lock = checkout / "pylock.web-python312-arm64.toml"
    good = lock.read_text()
    lock.write_text(text)
    commit(checkout)
    lock.write_text(good)

    found = cost(checkout)

    assert (found.layers, found.functions) == ((), ())
    assert cost_text(found) == (
        "since HEAD: no change is known\n\n"
        "without sizes in HEAD: pylock.web-python312-arm64.toml"
    )


def test_locks_of_another_project_are_not_ours(checkout: Path) -> None:
    other = checkout / "other"
    other.mkdir()
    lock = checkout / "pylock.web-python312-arm64.toml"
    (other / "pylock.web-python312-arm64.toml").write_text(lock.read_text())
    commit(checkout)

    past = read_past(read_project(checkout / "layerforge.toml"), "HEAD")

    assert len(past.layers) == 2


def test_ledgers_of_node_js_are_read(checkout: Path) -> None:
    (checkout / "layerforge.toml").write_text(
        '[layers.node]\npackage-json = "app/package.json"\n'
        'runtimes = ["nodejs24.x"]\narchitectures = ["arm64"]\n'
    )
    (checkout / "app").mkdir()
    (checkout / "app" / "package.json").write_text("{}")
    name = "layerforge-ledger.node-nodejs24-arm64.toml"
    (checkout / "app" / name).write_text(LEDGER)
    commit(checkout)

    past = read_past(read_project(checkout / "layerforge.toml"), "HEAD")

    packages = past.layers["node", "nodejs24.x-arm64"].packages
    assert [(each.name, each.location, each.size) for each in packages] == [
        ("pg", "", 5),
        ("ms", "node_modules/pg/node_modules/ms", 4),
    ]


def test_a_layerforge_toml_of_nonsense_refuses_nothing(checkout: Path) -> None:
    file = checkout / "layerforge.toml"
    good = file.read_text()
    file.write_text("layers = 3\nfunctions = [\n")
    commit(checkout)
    file.write_text(good)

    assert cost(checkout).layers == ()
