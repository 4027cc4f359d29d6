"""Start the runtime interface client with the sys.path that Lambda gives a function.

The function's own folder, then those of layers, then the runtime's. Folders of layers
are sites, so their .pth files run; a PYTHONPATH of the function's replaces them.
"""

import os
import site
import sys

RUNTIME = "/var/runtime"


def layer_folders() -> list[str]:
    """Give what sites of layers add to sys.path, in their order."""
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    before, sys.path = sys.path, []
    for folder in (f"/opt/python/lib/{version}/site-packages", "/opt/python"):
        site.addsitedir(folder)
    added, sys.path = sys.path, before
    return added


def main() -> None:
    """Serve events until the process is ended."""
    task = os.environ["LAMBDA_TASK_ROOT"]
    layers = [] if "PYTHONPATH" in os.environ else layer_folders()
    sys.path[:] = [task, *layers, RUNTIME, *sys.path[1:]]

    # As `python -m awslambdaric HANDLER` does: what is below differs by version.
    from awslambdaric import __main__ as client  # noqa: PLC0415 - after sys.path is right

    client.main([__file__, os.environ["_HANDLER"]])


if __name__ == "__main__":
    main()
