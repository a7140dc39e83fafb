"""Git's C-style quoting of paths, as it prints them with ``core.quotePath=true``."""

from __future__ import annotations

_ESCAPES = {7: b"a", 8: b"b", 9: b"t", 10: b"n", 11: b"v", 12: b"f", 13: b"r", 34: b'"', 92: b"\\"}
_UNESCAPES = {value: key for key, value in _ESCAPES.items()}


def quote(path: bytes) -> bytes:
    """Quote a path as git does; a path without odd bytes comes back as it is."""
    if all(32 <= byte < 127 and byte not in (34, 92) for byte in path):
        return path
    out = bytearray(b'"')
    for byte in path:
        if byte in _ESCAPES:
            out += b"\\" + _ESCAPES[byte]
        elif 32 <= byte < 127:
            out.append(byte)
        else:
            out += b"\\%03o" % byte
    return bytes(out + b'"')


def unquote(name: bytes) -> bytes:
    """Undo `quote`; a name that is not quoted comes back as it is."""
    if not (name.startswith(b'"') and name.endswith(b'"') and len(name) > 1):
        return name
    inner = name[1:-1]
    out = bytearray()
    index = 0
    while index < len(inner):
        if inner[index] != 92 or index + 1 == len(inner):
            out.append(inner[index])
            index += 1
        elif inner[index + 1 : index + 2].isdigit():
            out.append(int(inner[index + 1 : index + 4], 8) & 255)
            index += 4
        else:
            following = inner[index + 1 : index + 2]
            out.append(_UNESCAPES.get(following, following[0]))
            index += 2
    return bytes(out)
