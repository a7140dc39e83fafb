"""Names that we sign or print: type URIs, builder ids, and labels for git paths.

Type URIs stand in this one module, so that a vetted URI later is a change in one place
(FORMATS section 5).
"""

from __future__ import annotations

STATEMENT_TYPE = "https://in-toto.io/Statement/v1"
PAYLOAD_TYPE = "application/vnd.in-toto+json"
BUNDLE_TYPE = "application/vnd.dev.sigstore.bundle.v0.3+json"

PLAN_TYPE = "https://agentprov.github.io/plan/v0.1"
APPROVAL_TYPE = "https://agentprov.github.io/approval/v0.1"
SESSION_TYPE = "https://agentprov.github.io/session/v0.1"
REWRITE_TYPE = "https://agentprov.github.io/rewrite/v0.1"
PROVENANCE_TYPE = "https://slsa.dev/provenance/v1"
AGENT_SESSION_BUILD = "https://agentprov.github.io/buildtypes/agent-session/v0.1"

BUILDER_PREFIX = "https://agentprov.github.io/builders/"
LOCAL_WRAPPER = BUILDER_PREFIX + "local-wrapper/v0.1"
TRANSCRIPT_IMPORT = BUILDER_PREFIX + "transcript-import/v0.1"
MCP_DECLARED = BUILDER_PREFIX + "mcp-declared/v0.1"

VSA_TYPE = "https://slsa.dev/verification_summary/v1"
GATE_VERIFIER = "https://agentprov.github.io/verifiers/gate/v0.1"
FINDINGS_PAGE = "https://agentprov.github.io/spec/findings"

NOTES_REF = "refs/notes/agentprov"
PLANS_REF = "refs/agentprov/plans/"
TRAILER = "Agentprov-Session"

_ESCAPED = "%bytes:"
_PLAIN = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789/._-")


def path_label(path: bytes) -> str:
    """Give the label under which a git path is signed and printed in JSON.

    UTF-8 paths are their own label. Other byte strings, and the paths that would look like an
    escaped one, become ``%bytes:`` followed by percent-encoded bytes, so that no two paths
    share a label. No Unicode normalisation takes place (THREATS 42, 54).
    """
    try:
        text = path.decode("utf-8")
    except UnicodeDecodeError:
        text = ""
    if text and not text.startswith(_ESCAPED):
        return text
    return _ESCAPED + "".join(chr(byte) if byte in _PLAIN else f"%{byte:02x}" for byte in path)


def label_path(label: str) -> bytes:
    """Give back the git path of a label; the inverse of `path_label`.

    Raises ValueError for a label that `path_label` cannot have made.
    """
    if not label.startswith(_ESCAPED):
        return label.encode("utf-8")
    out = bytearray()
    rest = label[len(_ESCAPED) :]
    index = 0
    while index < len(rest):
        if rest[index] == "%":
            out.append(int(rest[index + 1 : index + 3], 16))
            index += 3
        else:
            out += rest[index].encode("ascii")
            index += 1
    path = bytes(out)
    if path_label(path) != label:
        raise ValueError("not a canonical path label")
    return path
