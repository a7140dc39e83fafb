"""The verdict as a JUnit XML report, which test viewers of forges read.

Three kinds of test case: the verdict itself, each commit, and each code that was found. One
fails where an error stands behind it, so that the report has a failure exactly where the exit
code is not 0. Warnings, notes and what was not proven are output of their cases.
"""

from __future__ import annotations

from collections.abc import Sequence
from xml.etree import ElementTree as ET

from agentprov.formats.visible import safe
from agentprov.verify.finding import CommitVerdict, Finding, Verdict

VERDICT = "agentprov.verdict"
COMMIT = "agentprov.commit"
FINDING = "agentprov.finding"


def verdict_junit(verdict: Verdict) -> str:
    """Give the verdict as one XML document in ASCII; foreign text is made visible first."""
    cases = [_verdict_case(verdict)]
    of_commit: dict[str | None, list[Finding]] = {}
    of_code: dict[str, list[Finding]] = {}
    for item in verdict.findings:
        of_commit.setdefault(item.commit, []).append(item)
        of_code.setdefault(item.code, []).append(item)
    for commit in verdict.commits:
        found = of_commit.get(commit.commit, [])
        cases.append(_case(COMMIT, commit.commit, found, _said(commit)))
    cases += [_case(FINDING, code, found) for code, found in of_code.items()]
    failed = sum(case.find("failure") is not None for case in cases)
    counts = {"tests": str(len(cases)), "failures": str(failed), "errors": "0"}
    root = ET.Element("testsuites", name="agentprov", attrib=counts)
    suite = ET.SubElement(
        root,
        "testsuite",
        name=safe(verdict.target),
        timestamp=verdict.as_of.removesuffix("Z"),
        attrib={**counts, "skipped": "0"},
    )
    properties = ET.SubElement(suite, "properties")
    for name, value in (
        ("exitCode", str(verdict.exit_code)),
        ("policy", verdict.policy_sha256 and f"sha256:{verdict.policy_sha256}"),
        ("trust", f"sha256:{verdict.trust_sha256}"),
    ):
        if value:
            ET.SubElement(properties, "property", name=name, value=value)
    suite.extend(cases)
    ET.indent(root)
    body = ET.tostring(root, encoding="us-ascii", xml_declaration=False).decode("ascii")
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{body}'


def _verdict_case(verdict: Verdict) -> ET.Element:
    case = ET.Element("testcase", classname=VERDICT, name="holds", time="0")
    if not verdict.holds:
        text = f"fails with exit code {verdict.exit_code}"
        ET.SubElement(case, "failure", message=text, type=str(verdict.exit_code)).text = text
    lines = [f"Not proven: {safe(item.claim)}: {safe(item.why)}" for item in verdict.not_proven]
    ET.SubElement(case, "system-out").text = "\n".join(lines)
    return case


def _said(commit: CommitVerdict) -> str:
    return f"coverage: {commit.coverage}{f' ({commit.way})' if commit.way else ''}"


def _case(kind: str, name: str, found: Sequence[Finding], *said: str) -> ET.Element:
    case = ET.Element("testcase", classname=kind, name=safe(name), time="0")
    errors = [item for item in found if item.severity == "error"]
    others = [_line(item) for item in found if item.severity != "error"]
    if errors:
        ET.SubElement(
            case, "failure", message=safe(errors[0].message), type=errors[0].code
        ).text = "\n".join(_line(item) for item in errors)
    if others or said:
        ET.SubElement(case, "system-out").text = "\n".join([*said, *others])
    return case


def _line(item: Finding) -> str:
    text = f"{item.severity}: {item.code}: {item.message} (in {item.subject}; {item.remedy})"
    return safe(text)


__all__ = ["COMMIT", "FINDING", "VERDICT", "verdict_junit"]
