"""What `check` reads: locks, included files, code, of real projects on disk."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Callable
from dataclasses import replace
from datetime import date
from hashlib import sha256
from pathlib import Path

import pytest

from layerforge.check import Bound, Size, Survey
from layerforge.check.survey import survey
from layerforge.ecosystems.python.inputs import inputs_digest
from layerforge.errors import ConfigError
from layerforge.findings import Severity
from layerforge.jobs import Selection, select_jobs
from layerforge.lock import Lock, Pin, Weight, dump_lock
from layerforge.manifest import BuildReport, dump_manifest, manifest_path
from layerforge.plan import Job
from layerforge.project import read_project

TODAY = date(2026, 11, 23)
ARN = "arn:aws:lambda:eu-west-1:123456789012:layer:theirs:3"
LAYERS = """
[defaults]
runtimes = ["python3.13"]
architectures = ["arm64"]

[layers.web]
requirements = ["demo>=1"]

[layers.base]
requirements = ["demo"]
"""

Write = Callable[..., None]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Write layerforge.toml, and for each layer a lock of packages by their sizes."""

    def run(more: str = "", *, predicted: bool = False, **kept: int | None) -> None:
        file = tmp_path / "layerforge.toml"
        file.write_text(LAYERS + more, encoding="utf-8")
        for job in jobs(tmp_path):
            pins = tuple(
                pin(name, size, predicted=predicted) for name, size in kept.items()
            )
            lock = Lock(
                layer=job.spec.name,
                target=str(job.target),
                inputs=inputs_digest(job.spec, job.target),
                roots=(),
                pins=pins,
                stripping=job.stripping.digest,
                interpreter="3.13.1",
            )
            job.lock_file.write_text(dump_lock(lock, job.target, tmp_path))

    return run


def pin(name: str, kept: int | None, *, predicted: bool) -> Pin:
    filename = f"{name}-1.0-py3-none-any.whl"
    weight = kept is not None and Weight(
        unzipped=2 * kept, kept=kept, predicted=predicted
    )
    return Pin(
        name=name,
        version="1.0",
        filename=filename,
        url=f"https://example.org/{filename}",
        digest=sha256(name.encode()).hexdigest(),
        weight=weight or None,
    )


def jobs(folder: Path) -> tuple[Job, ...]:
    project = read_project(folder / "layerforge.toml")
    return select_jobs(Selection(folder=folder), project)


def check(folder: Path, *names: str, today: date = TODAY) -> Survey:
    return survey(read_project(folder / "layerforge.toml"), folder, today, names)


def found(check: Survey) -> list[tuple[str, Severity, str, str]]:
    return [
        (one.check, one.severity, one.message, one.remedy)
        for told in check.told
        for one in [told.finding]
    ]


def test_a_fresh_lock_tells_a_layers_size(write: Write, tmp_path: Path) -> None:
    write(demo=1000, helper=24)

    checked = check(tmp_path)

    assert [(each.name, each.size) for each in checked.layers] == [
        ("web", Size(bytes=1024)),
        ("base", Size(bytes=1024)),
    ]
    assert checked.told == ()


def test_predictions_are_about_right(write: Write, tmp_path: Path) -> None:
    write(demo=1000, predicted=True)

    assert check(tmp_path).layers[0].size == Size(bytes=1000, bound=Bound.ABOUT)


def test_included_files_count(write: Write, tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text("x = 1\n")
    write('include = {"own.py" = "python/own.py"}', demo=1000)

    assert check(tmp_path, "base").layers[0].size == Size(bytes=1006)


def test_a_missing_lock_is_an_error(write: Write, tmp_path: Path) -> None:
    write(demo=1)
    lock = tmp_path / "pylock.web-python313-arm64.toml"
    lock.unlink()

    checked = check(tmp_path)

    assert found(checked) == [
        (
            "lock-missing",
            Severity.ERROR,
            f"there is no {lock}",
            "Make it, and commit it: layerforge lock web",
        )
    ]
    assert checked.status(strict=False) == 3


def test_a_stale_lock_is_an_error(write: Write, tmp_path: Path) -> None:
    write(demo=1)
    file = tmp_path / "layerforge.toml"
    file.write_text(file.read_text().replace("demo>=1", "demo>=0.5"))

    lock = tmp_path / "pylock.web-python313-arm64.toml"
    assert found(check(tmp_path)) == [
        (
            "lock-stale",
            Severity.ERROR,
            f"{lock} was made from other requirements than web has now",
            "Bring it up to date: layerforge lock web",
        )
    ]


def test_a_damaged_lock_is_an_error(write: Write, tmp_path: Path) -> None:
    write(demo=1)
    (tmp_path / "pylock.web-python313-arm64.toml").write_text("{")

    ((name, severity, _, remedy),) = found(check(tmp_path))

    assert (name, severity) == ("lock-stale", Severity.ERROR)
    assert remedy == "Make it again: layerforge lock"


def test_a_lock_without_sizes_is_a_warning(write: Write, tmp_path: Path) -> None:
    write(demo=None, helper=None, six=1)

    checked = check(tmp_path, "web")

    assert found(checked) == [
        (
            "weights",
            Severity.WARNING,
            "no size is known of demo 1.0 and 1 more: it can't be held to its limit",
            "Weigh them: layerforge lock web",
        )
    ]
    assert checked.layers[0].size is None


def test_sizes_by_other_rules_are_about_right(write: Write, tmp_path: Path) -> None:
    write(demo=1)
    file = tmp_path / "layerforge.toml"
    file.write_text(file.read_text() + 'exclude = ["demo/data"]\n')

    checked = check(tmp_path, "base")

    assert found(checked) == [
        (
            "weights",
            Severity.NOTE,
            "its packages were weighed when other rules said what is left out",
            "Weigh them anew: layerforge lock base",
        )
    ]
    assert checked.layers[0].size == Size(bytes=1, bound=Bound.ABOUT)


def test_a_layer_above_its_own_limit_is_an_error(write: Write, tmp_path: Path) -> None:
    write("max-unzipped = 999\n", demo=1000)

    checked = check(tmp_path)

    assert [told.about for told in checked.told] == ["base for python3.13-arm64"]
    assert checked.status(strict=False) == 5


def test_a_layer_with_bytecode_has_at_least_its_packages(
    write: Write, tmp_path: Path
) -> None:
    write("bytecode = true\n", demo=1000)

    size = check(tmp_path, "base").layers[0].size

    assert size == Size(bytes=1000, bound=Bound.AT_LEAST)


def test_a_build_of_the_very_lock_tells_what_bytecode_adds(
    write: Write, tmp_path: Path
) -> None:
    write("bytecode = true\n", demo=1000)
    (job,) = select_jobs(
        Selection(folder=tmp_path, names=("base",)),
        read_project(tmp_path / "layerforge.toml"),
    )
    lock = check(tmp_path, "base").layers[0].lock
    assert lock
    leave_manifest(job, lock.digest, 1700)

    assert check(tmp_path, "base").layers[0].size == Size(bytes=1700, bound=Bound.EXACT)
    leave_manifest(job, "0" * 64, 1700)
    assert check(tmp_path, "base").layers[0].size == Size(
        bytes=1000, bound=Bound.AT_LEAST
    )


def test_a_build_of_the_very_lock_tells_the_zips_of_a_divided_layer(
    write: Write, tmp_path: Path
) -> None:
    write(
        'split = true\n[functions.api]\nlayers = ["base"]\ncode = 1\n',
        demo=1000,
    )
    (job,) = select_jobs(
        Selection(folder=tmp_path, names=("base",)),
        read_project(tmp_path / "layerforge.toml"),
    )
    lock = check(tmp_path, "base").layers[0].lock
    assert lock
    leave_manifest(job, lock.digest, 1700, parts=("a.zip", "b.zip"))

    (api,) = check(tmp_path, "api").functions

    assert [str(part) for part in api.parts] == ["code", "base (2 zips)"]
    assert api.size == Size(bytes=1001)


def test_a_function_may_hold_parts_alone(write: Write, tmp_path: Path) -> None:
    write('split = true\n[functions.api]\nlayers = ["base-2"]\ncode = 1\n', demo=1000)
    (job,) = select_jobs(
        Selection(folder=tmp_path, names=("base",)),
        read_project(tmp_path / "layerforge.toml"),
    )
    before = check(tmp_path, "api")
    lock = before.layers[0].lock
    assert lock
    parts = tuple(job.output.with_name(f"base-{n}.zip").name for n in (1, 2))
    leave_manifest(job, lock.digest, 1000, parts=parts)
    for number, name in enumerate(parts, 1):
        part = replace(
            job,
            spec=replace(job.spec, name=f"base-{number}"),
            output=job.output.with_name(name),
        )
        leave_manifest(part, lock.digest, number * 100)

    after = check(tmp_path, "api")

    assert [told.finding.message for told in before.told] == [
        "what is in base-2 isn't known before it is built"
    ]
    assert after.told == ()
    assert after.functions[0].size == Size(bytes=201)


@pytest.mark.parametrize(
    ("parts", "made", "names"),
    [
        (("a.zip", "b.zip"), "in 2 parts", "base-1, base-2"),
        ((), "as one zip", "base"),
    ],
)
def test_a_part_that_no_build_makes_is_refused(
    write: Write, tmp_path: Path, parts: tuple[str, ...], made: str, names: str
) -> None:
    write('split = true\n[functions.api]\nlayers = ["base-3"]\ncode = 1\n', demo=1000)
    (job,) = select_jobs(
        Selection(folder=tmp_path, names=("base",)),
        read_project(tmp_path / "layerforge.toml"),
    )
    lock = check(tmp_path, "base").layers[0].lock
    assert lock
    leave_manifest(job, lock.digest, 1000, parts=parts)

    with pytest.raises(ConfigError) as caught:
        check(tmp_path)

    assert caught.value.message == (
        f"function api holds base-3, and base for python3.13-arm64 was built {made}"
    )
    assert caught.value.remedy == f"Name what there is in its layers: {names}"


def test_a_part_of_a_build_that_is_gone_is_a_note(write: Write, tmp_path: Path) -> None:
    write('split = true\n[functions.api]\nlayers = ["base-2"]\ncode = 1\n', demo=1000)
    (job,) = select_jobs(
        Selection(folder=tmp_path, names=("base",)),
        read_project(tmp_path / "layerforge.toml"),
    )
    lock = check(tmp_path, "base").layers[0].lock
    assert lock
    leave_manifest(job, lock.digest, 1000, parts=("base-1.zip", "base-2.zip"))

    assert [told.finding.check for told in check(tmp_path).told] == ["unknown-size"]


def leave_manifest(
    job: Job, digest: str, unzipped: int, parts: tuple[str, ...] = ()
) -> None:
    report = BuildReport(
        layer=job.spec.name,
        runtime="python3.13",
        runtimes=("python3.13",),
        architecture="arm64",
        description="",
        licence="",
        zip=job.output.name,
        zipped=1,
        unzipped=unzipped,
        files=1,
        code_sha256="",
        tree_digest="",
        lock="",
        lock_digest=digest,
        parts=parts,
        packages=(),
        removals=(),
        trimmed=0,
        bytecode=0,
        bytecode_estimate=0,
        findings=(),
        layerforge="",
    )
    job.output.parent.mkdir(exist_ok=True)
    manifest_path(job.output).write_text(dump_manifest(report))


def test_a_function_has_its_code_and_its_layers(write: Write, tmp_path: Path) -> None:
    write('[functions.api]\nlayers = ["web", "base"]\ncode = 500\n', demo=1000)

    (api,) = check(tmp_path).functions

    assert api.size == Size(bytes=2500)
    assert api.target == "python3.13-arm64"


def test_a_folder_of_code_is_what_its_zip_would_hold(
    write: Write, tmp_path: Path
) -> None:
    write('[functions.api]\ncode = "src"\n', demo=1)
    (tmp_path / "src" / "__pycache__").mkdir(parents=True)
    (tmp_path / "src" / "handler.py").write_text("x = 1\n")
    (tmp_path / "src" / "__pycache__" / "handler.pyc").write_text("x")

    assert check(tmp_path, "api").functions[0].size == Size(bytes=6)


def test_a_zip_of_code_counts_unzipped(write: Write, tmp_path: Path) -> None:
    write('[functions.api]\ncode = "api.zip"\n', demo=1)
    with zipfile.ZipFile(tmp_path / "api.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("handler.py", "x" * 10_000)

    assert check(tmp_path, "api").functions[0].size == Size(bytes=10_000)


def test_code_that_is_no_zip_is_an_error_of_its_function(
    write: Write, tmp_path: Path
) -> None:
    write('[functions.api]\ncode = "api.zip"\n', demo=1)
    (tmp_path / "api.zip").write_text("no")

    checked = check(tmp_path, "api")

    assert [told.about for told in checked.told] == ["function api"]
    assert found(checked) == [
        (
            "code",
            Severity.ERROR,
            (
                f"its code can't be counted: {tmp_path}/api.zip is no zip, or a "
                "damaged one"
            ),
            "Name a zip, a folder that is zipped, or its size in bytes.",
        )
    ]
    assert checked.status(strict=False) == 5


def test_a_zip_with_names_that_nobody_can_read_is_an_error_of_its_function(
    write: Write, tmp_path: Path
) -> None:
    write('[functions.api]\ncode = "api.zip"\n', demo=1)
    with zipfile.ZipFile(tmp_path / "api.zip", "w") as archive:
        archive.writestr("\u00e9.py", b"")
    told = (tmp_path / "api.zip").read_bytes()
    (tmp_path / "api.zip").write_bytes(told.replace("\u00e9".encode(), b"\xff\xff"))

    [(check_id, severity, message, _)] = found(check(tmp_path, "api"))

    assert (check_id, severity) == ("code", Severity.ERROR)
    assert message.endswith("api.zip is no zip, or a damaged one")


def test_code_that_is_no_file_is_an_error_of_its_function(
    write: Write, tmp_path: Path
) -> None:
    write('[functions.api]\ncode = "api.zip"\n', demo=1)
    os.mkfifo(tmp_path / "api.zip")

    ((name, severity, message, _),) = found(check(tmp_path, "api"))

    assert (name, severity) == ("code", Severity.ERROR)
    assert message == (
        f"its code can't be counted: {tmp_path}/api.zip is neither a zip nor a folder"
    )


def test_a_layer_without_the_one_that_it_stands_on_is_a_warning(
    write: Write, tmp_path: Path
) -> None:
    functions = (
        'provided-by = ["web"]\n[functions.half]\nlayers = ["base"]\n'
        '[functions.whole]\nlayers = ["base", "web"]\n'
    )
    write(functions, demo=1)

    checked = check(tmp_path)

    assert [told.about for told in checked.told if told.finding.check == "bases"] == [
        "function half for python3.13-arm64"
    ]
    assert (
        "bases",
        Severity.WARNING,
        "it holds base, which stands on web, and not that",
        "Add web to its layers.",
    ) in found(checked)


@pytest.mark.parametrize("held", ['"base-1"', '"base-1", "base-2"'])
def test_parts_without_the_layer_that_theirs_stands_on_are_one_warning(
    write: Write, tmp_path: Path, held: str
) -> None:
    write(
        'split = true\nprovided-by = ["web"]\n'
        f"[functions.half]\nlayers = [{held}]\ncode = 1\n",
        demo=1,
    )

    (told,) = (one for one in check(tmp_path).told if one.finding.check == "bases")

    assert told.finding.message.endswith(", which stands on web, and not that")
    assert told.finding.message.startswith("it holds base-")
    assert told.finding.remedy == "Add web to its layers."


def test_parts_of_the_layer_that_another_stands_on_are_that(
    write: Write, tmp_path: Path
) -> None:
    write(
        "split = true\n"
        '[layers.top]\nrequirements = ["demo"]\nprovided-by = ["base"]\n'
        '[functions.api]\nlayers = ["top", "base-1"]\ncode = 1\n',
        demo=1,
    )

    assert "bases" not in [told.finding.check for told in check(tmp_path).told]


def test_code_that_is_not_there_is_a_warning(write: Write, tmp_path: Path) -> None:
    write('[functions.api]\nlayers = ["web"]\ncode = "api.zip"\n', demo=1)

    checked = check(tmp_path)

    assert found(checked) == [
        (
            "code",
            Severity.WARNING,
            f"there is no {tmp_path}/api.zip: only its layers are counted",
            "Package it first, or give its size in bytes as code.",
        )
    ]
    assert checked.status(strict=False) == 0
    assert checked.status(strict=True) == 5


def test_a_layer_of_others_has_the_size_that_is_told(
    write: Write, tmp_path: Path
) -> None:
    write(
        f'[functions.api]\nlayers = [{{arn = "{ARN}", unzipped = 77}}]\ncode = 1\n',
        demo=1,
    )

    checked = check(tmp_path, "api")

    assert checked.functions[0].size == Size(bytes=78)
    assert checked.told == ()


def test_a_layer_of_others_without_a_size_is_a_note(
    write: Write, tmp_path: Path
) -> None:
    write(f'[functions.api]\nlayers = ["{ARN}"]\ncode = 1\n', demo=1)

    checked = check(tmp_path, "api")

    assert checked.functions[0].size == Size(bytes=1, bound=Bound.AT_LEAST)
    assert found(checked) == [
        (
            "unknown-size",
            Severity.NOTE,
            f"the size of {ARN} isn't known here",
            (
                "Ask AWS (layerforge budget --function api), and say it as "
                f'{{arn = "{ARN}", unzipped = BYTES}}.'
            ),
        )
    ]


def test_a_function_brings_its_own_layers(write: Write, tmp_path: Path) -> None:
    write('[functions.api]\nlayers = ["base"]\ncode = 1\n', demo=1)

    checked = check(tmp_path, "api")

    assert [each.name for each in checked.layers] == ["base"]


def test_a_layer_brings_no_functions(write: Write, tmp_path: Path) -> None:
    write('[functions.api]\nlayers = ["base"]\ncode = 1\n', demo=1)

    assert check(tmp_path, "base").functions == ()


def test_a_name_that_nothing_has_is_refused(write: Write, tmp_path: Path) -> None:
    write(demo=1)

    with pytest.raises(ConfigError) as caught:
        check(tmp_path, "wbe")

    error = caught.value
    assert error.message == "layerforge.toml has neither a layer nor a function wbe"
    assert error.remedy == "Did you mean web? Without a name, all are checked."


def test_a_deprecated_runtime_is_told_once_for_all_layers(
    write: Write, tmp_path: Path
) -> None:
    write(demo=1)

    checked = check(tmp_path, today=date(2029, 6, 30))

    assert [told.about for told in checked.told] == ["python3.13 (web, base)"]


def test_a_waiver_holds_for_what_it_names(write: Write, tmp_path: Path) -> None:
    write('waive = [{check = "weights", why = "It is small."}]\n', demo=None)

    told = {each.about: each.finding.waived for each in check(tmp_path).told}

    assert told == {
        "web for python3.13-arm64": "",
        "base for python3.13-arm64": "It is small.",
    }


def test_nothing_is_written(write: Write, tmp_path: Path) -> None:
    write(demo=1)
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}

    check(tmp_path)

    after = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    assert after == before
