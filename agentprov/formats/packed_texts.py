"""The texts that packed lines name by a mark (docs/spec/packed.md).

Frozen: a mark never gets another meaning, and what is stored needs each of them for ever; another
table is another version of the line. A digest after a text belongs to the mark. A text begins
with a character that is no mark but one of `LATE`, which are written when the other texts have
been: so none is found across the end of a mark.
"""

from __future__ import annotations

from collections.abc import Mapping

GIT_ID = 27
SHA256 = 43
HALF = 22
"""How many characters of base64 a digest takes that follows a text; 0 where none does.

`HALF` is the first half of a SHA-256, as it stands for added lines."""

_STATEMENT = b'{"_type":"https://in-toto.io/Statement/v1","predicate":{'
_BUILDERS = b'"https://agentprov.github.io/builders/'

TEXTS: Mapping[bytes, tuple[bytes, int]] = {
    # What marks and JSON text need for themselves, and digests that stand after no text of ours.
    b"0": (b"~", 0),
    b"1": (b"'", 0),
    b"2": (b"\\", 0),
    b"7": (b"", GIT_ID),
    b"8": (b"", SHA256),
    # The bundle around the payload.
    b"3": (b'","payloadType":"application/vnd.in-toto+json","signatures":[{"sig":"', 0),
    b"4": (
        b'"}]},"mediaType":"application/vnd.dev.sigstore.bundle.v0.3+json",'
        b'"verificationMaterial":{"publicKey":{"hint":"',
        0,
    ),
    b"5": (b'"},"timestampVerificationData":{"rfc3161Timestamps":[]},"tlogEntries":[]}}', 0),
    b"6": (b'"},"timestampVerificationData":{"rfc3161Timestamps":[{"signedTimestamp":"', 0),
    # Generations.
    b"A": (
        _STATEMENT + b'"buildDefinition":{"buildType":'
        b'"https://agentprov.github.io/buildtypes/agent-session/v0.1",'
        b'"externalParameters":{"agent":"',
        0,
    ),
    b"B": (b'"},"resolvedDependencies":[{"digest":{"sha256":"', SHA256),
    b"C": (b'"},"name":"session-attestation"},{"digest":{"gitCommit":"', GIT_ID),
    b"D": (b'"},"name":"session-attestation"},{"digest":{"sha256":"', SHA256),
    b"E": (b'"},"name":"plan"},{"annotations":{"signature":{"sha256":"', SHA256),
    b"F": (b'"}},"digest":{"sha256":"', SHA256),
    b"G": (b'"},"name":"plan-attestation"},{"digest":{"gitCommit":"', GIT_ID),
    b"H": (
        b'"},"name":"base"},{"annotations":{"basis":"observed"},"digest":{"sha256":"',
        SHA256,
    ),
    b"I": (b'"},"name":"agent"', 0),
    b"J": (b',"uri":"pkg:', 0),
    b"K": (b'{"annotations":{"basis":"', 0),
    b"L": (b'","requested":"', 0),
    b"M": (b'","role":"main"},"name":"model/1","uri":"pkg:generic/', 0),
    b"N": (b'"},"name":"model/', 0),
    b"O": (b'"},"name":"mcp/', 0),
    b"P": (b']},"runDetails":{"builder":{"id":' + _BUILDERS, 0),
    b"Q": (b'/v0.1"},"metadata":{"agentprov_changes":[', 0),
    b"R": (b'{"gitBlob":"', GIT_ID),
    b"S": (b'","mode":"100644","op":"modify","path":"', 0),
    b"T": (b'","mode":"100644","op":"add","path":"', 0),
    b"U": (b'","ranges":[{"basis":"intercepted","end":', 0),
    b"V": (b'","ranges":[{"basis":"observed","end":', 0),
    b"W": (b'","ranges":[{"basis":"reported","end":', 0),
    b"X": (b'","origin":"model","start":', 0),
    b"Y": (b'},{"basis":"intercepted","end":', 0),
    b"Z": (b'},{"basis":"observed","end":', 0),
    b"a": (b',"origin":"unknown","start":', 0),
    b"b": (b'}]},{"gitBlob":"', GIT_ID),
    b"c": (b']}],"agentprov_commit":{"gitCommit":"', GIT_ID),
    b"d": (b'","gitTree":"', GIT_ID),
    b"e": (b'","parents":["', GIT_ID),
    b"f": (b'"],"patchId":"', GIT_ID),
    b"g": (b'","repository":"', 0),
    b"h": (b'","sequence":', 0),
    b"i": (b'},"invocationId":"', 0),
    b"j": (
        b'},"agentprov_unknown":[{"claim":"model",'
        b'"why":"no channel said which model was used"}],"invocationId":"',
        0,
    ),
    b"k": (b'","startedOn":"', 0),
    b"l": (
        b'"}}},"predicateType":"https://slsa.dev/provenance/v1","subject":[{"digest":'
        b'{"gitCommit":"',
        GIT_ID,
    ),
    b"m": (b'"},"name":"."},{"digest":{"sha256":"', SHA256),
    b"n": (b'"},{"digest":{"sha256":"', SHA256),
    b"o": (b'"},"name":"', 0),
    b"p": (b',"model":"', 0),
    b"q": (b',"why":"', 0),
    b"r": (b'"}]}', 0),
    b"s": (b'{"added":"', 0),
    # Openings and closings of sessions.
    b"t": (_STATEMENT + b'"agent":{"basis":"observed","command":"', 0),
    b"u": (b'","digest":{"sha256":"', SHA256),
    b"v": (b'"},"base":{"gitCommit":"', GIT_ID),
    b"w": (b'"},"builder":{"id":' + _BUILDERS, 0),
    b"x": (b'/v0.1","version":{"agentprov":"', 0),
    b"y": (b'"}},"commandLine":["', 0),
    b"z": (b'"],"materials":[', 0),
    b"!": (b'{"basis":"observed","digest":{"sha256":"', SHA256),
    b"#": (b'","role":"instruction"}', 0),
    b"$": (b'],"phase":"open","plan":{"digest":{"sha256":"', SHA256),
    b"%": (b'],"phase":"open","platform":"', 0),
    b"&": (b'","signature":{"sha256":"', SHA256),
    b"(": (b'"},"statement":{"sha256":"', SHA256),
    b")": (b'"}},"platform":"', 0),
    b"*": (b'","principal":{"basis":"declared","id":"', 0),
    b"+": (b'"},"ref":"refs/heads/', 0),
    b"-": (b'","session":{"id":"', 0),
    b".": (
        b'"}},"predicateType":"https://agentprov.github.io/session/v0.1","subject":[{"digest":'
        b'{"sha256":"',
        SHA256,
    ),
    b":": (b'"},"name":"journal"}]}', 0),
    b";": (_STATEMENT + b'"builder":{"id":' + _BUILDERS, 0),
    b"<": (b'"}},"channels":["', 0),
    b"=": (b'"],"generations":[{"sha256":"', SHA256),
    b">": (b'"},{"sha256":"', SHA256),
    b"?": (b'"}],"journal":{"entries":', 0),
    b"@": (b',"head":{"sha256":"', SHA256),
    b"^": (b'"}},"lastSequence":', 0),
    b"_": (b',"models":[{"basis":"', 0),
    b"`": (b'}],"open":{"sha256":"', SHA256),
    b"|": (b'"},"phase":"close","session":{"exitStatus":', 0),
    # Rewrites.
    b"[": (b'"}},"carrying":"agentprov-carry/1","changes":[', 0),
    b"9": (
        b']},"predicateType":"https://agentprov.github.io/rewrite/v0.1","subject":[{"digest":'
        b'{"gitCommit":"',
        GIT_ID,
    ),
    # Late ones.
    b",": (b'{"added":"', HALF),
    b"]": (b'{"annotations":{"basis":"intercepted","host":"', 0),
    b"}": (b'","repository":"git+https://github.com/', 0),
    b"/": (b'","gitBlob":"', GIT_ID),
    b"{": (b'","ref":"refs/heads/', 0),
}

LATE = b",]}/{"
"""Marks that are characters with which texts begin; in the order in which they are written."""
