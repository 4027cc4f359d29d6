"""The layerforge.toml that a user begins with."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

_KNOWN: Final = ("requirements.in", "requirements.txt")

_TEXT: Final = """\
# What this project's AWS Lambda layers are made of: `layerforge build` makes a zip of
# each layer for each of its targets, in dist/. Paths start from this file's folder.

[defaults]  # what holds for every layer that doesn't say otherwise
runtimes = ["python3.13"]           # `layerforge runtimes` lists them all
architectures = ["x86_64", "arm64"]

[layers.{name}]
requirements = {requirements}
# A file does as well: "requirements.in", "pyproject.toml", "uv.lock", "pylock.toml".
# extras = ["excel"]                # of pyproject.toml or uv.lock; so are groups
# description = "What our web functions share"
# licence = "Apache-2.0"
# strip = "safe"                    # or "none", or "slim"
# exclude = ["**/*.md"]             # patterns of files below python/ to leave out
# keep = ["pandas/tests"]           # and of files to keep, whatever else is said
# exclude-runtime-sdk = true        # boto3 and all else that the runtime brings
# bytecode = true                   # compile modules: larger, but imports are quicker
# container = true                  # resolve in the runtime's own container
# system-packages = {{ dnf = ["libpq-devel"] }}   # what compiling needs there
# imports = ["shared.models"]       # modules that must be importable, besides all
# max-unzipped = "200 MB"           # fail above this; Lambda's own limit always holds
# include = {{ "src/shared" = "python/shared" }}  # files and folders of your own
# collisions = {{ "python/a.py" = "demo" }}       # whose file it is, where two write it
"""


def project_text(folder: Path) -> str:
    """Give the text for a project in ``folder``, which its layer is named after."""
    found = [name for name in _KNOWN if (folder / name).is_file()]
    name = re.sub(r"[^a-zA-Z0-9_-]+", "-", folder.resolve().name).strip("-") or "app"
    requirements = f'"{found[0]}"' if found else '["requests>=2.32"]'
    return _TEXT.format(name=name[:100], requirements=requirements)
