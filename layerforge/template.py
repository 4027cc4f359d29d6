"""The layerforge.toml that a user begins with."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Final

_REQUIREMENTS: Final = ("requirements.in", "requirements.txt")
_MANIFEST: Final = "package.json"
_RUNTIMES: Final = ("python3.13", "nodejs24.x")

_HEAD: Final = """\
# What this project's AWS Lambda layers are made of: `layerforge build` makes a zip of
# each layer for each of its targets, in dist/. Paths start from this file's folder.

[defaults]  # what holds for every layer that doesn't say otherwise
runtimes = [{runtimes}]           # `layerforge runtimes` lists them all
architectures = ["x86_64", "arm64"]
"""

_PYTHON: Final = """
[layers.{name}]
requirements = {requirements}
# A file does as well: "requirements.in", "pyproject.toml", "uv.lock", "pylock.toml".
# extras = ["excel"]                # of pyproject.toml or uv.lock; so are groups
# description = "What our web functions share"    # on AWS, too
# licence = "Apache-2.0"
# strip = "safe"                    # or "none", or "slim"
# exclude = ["**/*.md"]             # patterns of files below python/ to leave out
# keep = ["pandas/tests"]           # and of files to keep, whatever else is said
# exclude-runtime-sdk = true        # boto3 and all else that the runtime brings
# bytecode = true                   # compile modules: larger, but imports are quicker
# container = true                  # resolve in the runtime's own container
# system-packages = {{ dnf = ["libpq-devel"] }}   # what compiling needs there
# imports = ["shared.models"]       # modules that must be importable, besides all
# one-zip = true                    # one for all runtimes, where it is the same
# provided-by = ["base"]            # leave out what these layers have
# split = true                      # several zips, where one is too large to upload
# waive = [{{ check = "library", path = "python/demo/**", why = "not used" }}]
# licence-texts = true              # all packages' licences in a file beside the zip
# max-unzipped = "200 MB"           # fail above this; Lambda's own limit always holds
# include = {{ "src/shared" = "python/shared" }}  # files and folders of your own
# collisions = {{ "python/a.py" = "demo" }}       # whose file it is, where two write it
"""

_NODE: Final = """
[layers.{name}]
package-json = "package.json"       # its lock is the package-lock.json beside it
# Or without a file: packages = ["pg", "redis@^5"].
# description = "What our web functions share"    # on AWS, too
# licence = "Apache-2.0"
# strip = "safe"                    # or "none", or "slim"
# exclude = ["**/*.wasm"]           # patterns below nodejs/node_modules/ to leave out
# keep = ["yaml/README.md"]         # and of files to keep, whatever else is said
# exclude-runtime-sdk = true        # the AWS SDK, which the runtime brings
# install-scripts = {{ canvas = "skip" }}         # or "run", in a container
# system-packages = {{ dnf = ["cairo-devel"] }}   # what compiling needs there
# shake = true                      # keep only the files that these can reach
# entry-points = ["src/handler.js"]
# imports = ["pg/lib/utils"]        # what must load, besides every package
# one-zip = true                    # one for all runtimes, where it is the same
# versioned-folder = true           # nodejs/node24/node_modules, not for all runtimes
# provided-by = ["base"]            # leave out what these layers have
# split = true                      # several zips, where one is too large to upload
# waive = [{{ check = "library", path = "nodejs/**/demo/**", why = "not used" }}]
# licence-texts = true              # all packages' licences in a file beside the zip
# max-unzipped = "200 MB"           # fail above this; Lambda's own limit always holds
# include = {{ "src/shared" = "nodejs/node_modules/shared" }}  # files of your own
# collisions = {{ "nodejs/node_modules/.bin/a" = "demo" }}     # whose it is, of two
"""

_PUBLISH: Final = """
# [publish]                         # where `layerforge publish` takes all layers
# regions = ["eu-west-1"]           # or that of your AWS profile
# name = "{layer}-{target}"         # and words of your own: "acme-{layer}-{target}"
# description = "{layer} {version}, {revision}"
# licence = "Apache-2.0"            # instead of those of the packages
# bucket = "layers-{account}-{region}"            # for zips of 50 MiB and more
# storage-mode = "copy"             # or "reference": the zip stays in the bucket
# grants = ["123456789012"]         # who else may use them; or "org:o-…", "public"
"""

_FUNCTIONS: Final = """
# [functions.api]                   # what `layerforge check` holds to Lambda's limit
# layers = ["{name}"]  # or ARNs
# code = "build/api.zip"            # or a folder, or bytes: "12 MB"
"""


def project_text(folder: Path) -> str:
    """Give the text for a project in ``folder``, which its layers are named after.

    It has a layer for each language that the folder has a file of, or one for Python.
    """
    name = re.sub(r"[^a-zA-Z0-9_-]+", "-", folder.resolve().name).strip("-") or "app"
    name = name[:90]  # some of the 100 that it may have are for a suffix
    found = [each for each in _REQUIREMENTS if (folder / each).is_file()]
    requirements = f'"{found[0]}"' if found else '["requests>=2.32"]'
    python = _PYTHON.format(name=name, requirements=requirements)
    rest = _FUNCTIONS.format(name=name) + _PUBLISH
    if not (folder / _MANIFEST).is_file():
        return _HEAD.format(runtimes=_quoted(_RUNTIMES[:1])) + python + rest
    if not found:
        node = _NODE.format(name=name)
        return _HEAD.format(runtimes=_quoted(_RUNTIMES[1:])) + node + rest
    node = _NODE.format(name=f"{name}-node")
    return _HEAD.format(runtimes=_quoted(_RUNTIMES)) + python + node + rest


def _quoted(names: Sequence[str]) -> str:
    return ", ".join(f'"{name}"' for name in names)
