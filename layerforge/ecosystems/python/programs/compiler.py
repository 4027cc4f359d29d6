"""Run by the target's interpreter, with nothing of a package on its path.

Reads from standard input, for each module, a line of JSON ({"path", "size"}) and that
many bytes of source; writes for each a line with the number of bytes that follow, and
the .pyc of PEP 552 (unchecked, by hash): 0 where the source is not of this Python.
Only the standard library, and no later than Python 3.9: compiling executes nothing.
"""

import importlib.util
import json
import marshal
import sys
import types
import warnings

_UNCHECKED_HASH = 0b01

# Later versions of the format mark what this process happens to hold elsewhere too, so
# that the bytes would depend on what was compiled before. This one takes a fifth more
# room, and marks nothing; every Python reads it.
_WITHOUT_REFERENCES = 2


def main() -> None:
    """Compile until the input ends."""
    warnings.simplefilter("ignore")  # of other people's sources
    stdin, stdout = sys.stdin.buffer, sys.stdout.buffer
    for line in stdin:
        asked = json.loads(line)
        source = stdin.read(asked["size"])
        try:
            code = compile(source, asked["path"], "exec", dont_inherit=True, optimize=0)
        except (SyntaxError, ValueError, RecursionError, OverflowError, MemoryError):
            stdout.write(b"0\n")
            continue
        bytecode = (
            importlib.util.MAGIC_NUMBER
            + _UNCHECKED_HASH.to_bytes(4, "little")
            + importlib.util.source_hash(source)
            + _dumped(code)
        )
        stdout.write(b"%d\n" % len(bytecode))
        stdout.write(bytecode)
    stdout.flush()


def _dumped(code: types.CodeType) -> bytes:
    try:
        return marshal.dumps(code, _WITHOUT_REFERENCES)
    except ValueError:  # 3.14 has constants that only its own version can hold
        return marshal.dumps(code)


if __name__ == "__main__":
    main()
