"""What a signer is shown: a versioned pure function of a plan's bytes.

The signer sees every byte that a model would read: the source itself, not what a renderer makes
of it, with line numbers, and with everything unseen written out. The digest of these shown bytes
goes into the plan statement with the name and version of this function (`RENDERER`), and a
verifier that has the plan makes them again and compares. docs/spec/presentation.md is the page;
any change of the outcome for any plan is a new VERSION.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256

from agentprov.errors import MalformedInput
from agentprov.formats.hidden_text import Finding, escape_unseen, scan

VERSION = 1
RENDERER = f"agentprov-source/{VERSION}"
MAX_PLAN_BYTES = 4 * 1024 * 1024


@dataclass(frozen=True)
class Presentation:
    """The shown text of a plan, its digest, and what was found hidden in it.

    `text` ends with a newline and holds no control character but newline and tab, so that it may
    go to a terminal as it is. `sha256` is of its UTF-8 bytes.
    """

    renderer: str
    text: str
    sha256: str
    findings: tuple[Finding, ...]

    @property
    def refusals(self) -> tuple[Finding, ...]:
        """Give the findings above note: those that need to be accepted by name."""
        return tuple(finding for finding in self.findings if finding.severity != "note")


def present(plan: bytes) -> Presentation:
    """Make the presentation of a plan.

    Raises MalformedInput for bytes that are not UTF-8 or more than MAX_PLAN_BYTES. Does not look
    for what docs/spec/presentation.md lists as not looked for.
    """
    if len(plan) > MAX_PLAN_BYTES:
        raise MalformedInput(f"plan: {len(plan)} bytes is more than the {MAX_PLAN_BYTES} allowed")
    try:
        source = plan.decode("utf-8")
    except UnicodeDecodeError as error:
        raise MalformedInput(f"plan: not UTF-8: {error.reason} at byte {error.start}") from error
    findings = tuple(scan(source))
    text = "".join(f"{line}\n" for line in _shown_lines(plan, source, findings))
    return Presentation(RENDERER, text, sha256(text.encode("utf-8")).hexdigest(), findings)


def _shown_lines(plan: bytes, source: str, findings: tuple[Finding, ...]) -> Iterator[str]:
    shown = _lines(source)
    ends_with_newline = shown[-1] == ""
    if ends_with_newline:
        shown.pop()
    yield f"agentprov presentation {VERSION}"
    yield f"sha256 {sha256(plan).hexdigest()}, {len(plan)} bytes, {len(shown)} lines"
    for number, line in enumerate(shown, 1):
        yield f"{number:>6} | {line}"
    if not ends_with_newline:
        yield "       \\ no newline at the end"
    yield f"findings: {len(findings)}"
    for finding in findings:
        where = f"line {finding.start}"
        if finding.end != finding.start:
            where = f"lines {finding.start}-{finding.end}"
        yield f"! {finding.id} ({finding.severity}, {where}): {finding.message}"
        for line in _lines(finding.text):
            yield f"       > {line}"


def _lines(text: str) -> list[str]:
    return [line.removesuffix("\r") for line in escape_unseen(text).split("\n")]
