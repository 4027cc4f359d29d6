from __future__ import annotations

import pytest

from layerforge.loader import remedy_for
from layerforge.target import Arch, Target, find_runtime

TARGET = Target(runtime=find_runtime("python3.13"), arch=Arch.ARM64)


@pytest.mark.parametrize(
    ("said", "remedy"),
    [
        pytest.param(
            "ImportError: libgomp.so.1: cannot open shared object file: No such file "
            "or directory",
            "Add a package that brings libgomp.so.1, or put it into the layer's lib/ "
            "with include.",
            id="library",
        ),
        pytest.param(
            "ImportError: /opt/python/x.abi3.so: cannot open shared object file: No "
            "such file or directory",
            "It is for another machine, or not there: build the layer for "
            "python3.13-arm64.",
            id="another machine's",
        ),
        pytest.param(
            "ImportError: /opt/python/x.so: invalid ELF header",
            "A library is damaged or for another machine: build the layer for "
            "python3.13-arm64.",
            id="machine",
        ),
        pytest.param(
            "/lib64/libc.so.6: version `GLIBC_2.38' not found (required by x.so)",
            "python3.13-arm64 has GLIBC_2.34: take a version of the package with a "
            "wheel for that, or have it compiled (layerforge build --container).",
            id="glibc",
        ),
        pytest.param(
            "libstdc++.so.6: version `GLIBCXX_3.4.32' not found (required by x.so)",
            "The libstdc++ of python3.13-arm64 is older: take another version of the "
            "package, or have it compiled (layerforge build --container).",
            id="libstdc++",
        ),
        pytest.param(
            "x.so: undefined symbol: PyUnicode_AsWideChar",
            "Libraries of the layer do not fit each other, or not this version of the "
            "language: build it anew for python3.13-arm64.",
            id="symbol",
        ),
        pytest.param(
            "libgomp.so: cannot allocate memory in static TLS block",
            "The loader has no room left for it: import it before other modules.",
            id="tls",
        ),
        pytest.param(
            "PermissionError: [Errno 13] Permission denied: '/opt/python/x.py'",
            "In a layer, files need mode 644, folders and executables 755.",
            id="mode",
        ),
        pytest.param(
            "the process ended: signal: killed",
            "It may have had too little memory: [containers] memory of "
            "layerforge.toml.",
            id="memory",
        ),
        pytest.param(
            "the process ended: signal: segmentation fault",
            "Its own code ended the process: take another version of its package.",
            id="crash",
        ),
        pytest.param("ValueError: no", "", id="anything else"),
    ],
)
def test_what_the_loader_says_has_a_remedy(said: str, remedy: str) -> None:
    assert remedy_for(said, TARGET) == remedy
