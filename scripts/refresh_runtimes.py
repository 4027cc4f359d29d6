#!/usr/bin/env python3
"""Write the dates of layerforge/data/runtimes.toml anew, from cfn-lint's data.

    scripts/refresh_runtimes.py            # shows the difference and writes it
    scripts/refresh_runtimes.py --check    # exit status 1 where there is one

The data is that of the installed cfn-lint, else of its newest release on the package
index, else of a LmbdRuntimeLifecycle.json that is given. A runtime that cfn-lint says
nothing of stays as it is; one that is new is named, to be added by hand.
"""

import argparse
import difflib
import importlib.util
import json
import re
import subprocess
import sys
import tempfile
import tomllib
import zipfile
from datetime import UTC, datetime
from pathlib import Path

TABLE = Path(__file__).parent.parent / "layerforge/data/runtimes.toml"
LIFECYCLE = "data/AdditionalSpecs/LmbdRuntimeLifecycle.json"
KEYS = {
    "deprecated": "deprecated",
    "blocks-create": "create-block",
    "blocks-update": "update-block",
}
ROW = re.compile(r'^\[runtimes\."(?P<id>[^"]+)"\]\n(?:[^\n]+\n)*', re.MULTILINE)

Lifecycle = dict[str, dict[str, str]]


def lifecycle(path: Path | None) -> Lifecycle:
    """Read ``path``, else what the installed or the newest cfn-lint holds."""
    spec = importlib.util.find_spec("cfnlint")
    if path is None and spec is not None and spec.origin is not None:
        path = Path(spec.origin).parent / LIFECYCLE
    text = path.read_bytes() if path else downloaded()
    parsed: Lifecycle = json.loads(text)
    return parsed


def downloaded() -> bytes:
    """Read the data out of cfn-lint's newest wheel; nothing is installed."""
    with tempfile.TemporaryDirectory() as folder:
        pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
        only = ["--only-binary", ":all:", "--dest", folder, "cfn-lint"]
        subprocess.run([*pip, *only], check=True)
        (wheel,) = Path(folder).glob("*.whl")
        print(f"from {wheel.name}", file=sys.stderr)
        with zipfile.ZipFile(wheel) as archive:
            return archive.read(f"cfnlint/{LIFECYCLE}")


def refreshed(table: str, dates: Lifecycle) -> str:
    """Give ``table`` with the dates of every row that ``dates`` knows."""

    def rewrite(row: re.Match[str]) -> str:
        known = dates.get(row["id"])
        if known is None:
            return row[0]
        lines = row[0].splitlines(keepends=True)
        kept = [line for line in lines if line.split(" = ")[0] not in KEYS]
        return "".join(kept) + "".join(
            f"{ours} = {known[theirs]}\n" for ours, theirs in KEYS.items()
        )

    return ROW.sub(rewrite, table)


def missing(table: str, dates: Lifecycle) -> list[str]:
    """Name the runtimes of our languages that are in use and not in ``table``."""
    today = datetime.now(tz=UTC).date().isoformat()
    present = tomllib.loads(table)["runtimes"]
    return [
        name
        for name, row in dates.items()
        if name.startswith(("python", "nodejs"))
        and name not in present
        and row["deprecated"] > today
    ]


def main() -> int:
    """Refresh the table; give the exit status."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("lifecycle", nargs="?", type=Path, metavar="JSON")
    parser.add_argument("--check", action="store_true", help="write nothing")
    options = parser.parse_args()

    dates = lifecycle(options.lifecycle)
    old = TABLE.read_text(encoding="utf-8")
    new = refreshed(old, dates)
    for name in missing(old, dates):
        print(f"{name} is not in {TABLE.name}: add it", file=sys.stderr)
    diff = difflib.unified_diff(
        old.splitlines(keepends=True),
        new.splitlines(keepends=True),
        fromfile=f"{TABLE.name} (as it is)",
        tofile=f"{TABLE.name} (refreshed)",
    )
    sys.stdout.writelines(diff)
    if options.check:
        return int(new != old)
    TABLE.write_text(new, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
