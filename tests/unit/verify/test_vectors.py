"""Runs every folder of tests/vectors, from its files alone."""

from __future__ import annotations

import base64
import importlib.util
import json
from pathlib import Path
from typing import Any

import pytest

from agentprov import verify
from agentprov.errors import ConfigurationInvalid, MalformedInput
from agentprov.flows import strict_yaml
from agentprov.formats import bundle, names, review, statement
from agentprov.sign.evidence import OfflineEvidence
from agentprov.sign.verifier import KeyVerifier
from agentprov.verify import policy
from agentprov.verify import trust as trusts
from agentprov.verify.approvals import Surroundings
from agentprov.verify.catalogue import CATALOGUE
from agentprov.verify.rewritten import History

TESTS = Path(__file__).resolve().parents[2]
VECTORS = TESTS / "vectors"
FOLDERS = sorted(path.name for path in VECTORS.iterdir() if path.is_dir())


def read_commit(value: dict[str, Any]) -> verify.CommitFacts:
    diffs, contents = {}, {}
    for item in value["paths"]:
        old, new = item["old"] or {}, item["new"] or {}
        diffs[names.label_path(item["path"])] = verify.PathDiff(
            old.get("mode"), old.get("gitBlob"), new.get("mode"), new.get("gitBlob")
        )
        contents[new.get("gitBlob")] = item["sha256"]
    return verify.CommitFacts(
        value["oid"],
        value["tree"],
        tuple(value["parents"]),
        diffs,
        contents.get,
        tuple(value["trailers"]),
    )


def document(folder: Path, name: str) -> Any:
    """Give what a trust or policy document says, from YAML as somebody wrote it or from JSON."""
    written = folder / f"{name}.yaml"
    if written.exists():
        return strict_yaml.parse(written.read_bytes(), source=written.name)
    return json.loads((folder / f"{name}.json").read_bytes())


def read(folder: Path) -> verify.Case:
    expect = json.loads((folder / "expect.json").read_bytes())
    commits = [read_commit(item) for item in json.loads((folder / "commits.json").read_bytes())]
    anchor = commits[0].oid
    lines = (folder / "bundles.jsonl").read_bytes().splitlines()
    history = folder / "history.json"
    beside = json.loads(history.read_bytes())["beside"] if history.exists() else None
    records = [
        verify.Record(
            line,
            f"bundles.jsonl:{number}",
            anchor=anchor if beside is None or number in beside else None,
        )
        for number, line in enumerate(lines, 1)
    ]
    named = folder / "bundle.json"
    if named.exists():
        records.append(verify.Record(named.read_bytes(), "bundle.json", named=True))
    return verify.Case(
        target=folder.name,
        records=records,
        commits=commits,
        trust=trusts.parse(document(folder, "trust"), sha256="0" * 64, source="trust"),
        as_of=expect["asOf"],
        required=frozenset(facts.oid for facts in commits if expect["commitsNeedProvenance"]),
        plan_content=lambda _: (VECTORS / "PLAN.md").read_bytes(),
        **(about_approvals(folder) if (folder / "around.json").exists() else {}),
        **(about_history(folder) if (folder / "history.json").exists() else {}),
    )


def about_history(folder: Path) -> dict[str, Any]:
    said = json.loads((folder / "history.json").read_bytes())
    contents = {blob: base64.b64decode(text) for blob, text in said["contents"].items()}
    others = [read_commit(item) for item in said["commits"]]
    blobs = {
        facts.oid: {
            names.path_label(path): (diff.old_blob, diff.new_blob)
            for path, diff in facts.diffs.items()
        }
        for facts in others
    }
    return {
        "others": others,
        "history": History(blobs.get, contents.get, said["added"].get),
        "gone": frozenset(said["gone"]),
        "whole": said["whole"],
    }


def about_approvals(folder: Path) -> dict[str, Any]:
    around = json.loads((folder / "around.json").read_bytes())
    ranges = {(item["from"], item["to"]): item["commits"] for item in around["ranges"]}

    def between(base: str | None, commit: str) -> frozenset[str] | None:
        return frozenset(ranges[base, commit]) if (base, commit) in ranges else None

    def is_ancestor(first: str, second: str) -> bool | None:
        led = around["ancestors"].get(second)
        return None if led is None else first in led

    change = read_change(folder)
    return {
        "review_material": lambda view: change if view.commit == change.commit else None,
        "around": Surroundings(
            between=between,
            tree_of=around["trees"].get,
            is_ancestor=is_ancestor,
            repository=lambda: around["repository"],
            target_ref=around["targetRef"],
        ),
    }


def read_change(folder: Path) -> review.Change:
    said = json.loads((folder / "review.json").read_bytes())
    generations, ranges = {}, {}
    for line in (folder / "bundles.jsonl").read_bytes().splitlines():
        parsed = bundle.parse(line)
        try:
            read = statement.parse(parsed.payload)
        except MalformedInput:
            continue
        if read.kind == "generation":
            generations[parsed.payload_sha256] = read.predicate
            for item in read.predicate["runDetails"]["metadata"]["agentprov_changes"]:
                ranges[item["path"], item.get("gitBlob")] = item.get("ranges", ())
    paths = []
    for item in said["paths"]:
        old, new = item["old"] or {}, item["new"] or {}
        paths.append(
            review.ChangedPath(
                item["path"],
                old.get("mode"),
                new.get("mode"),
                base64.b64decode(old.get("content", "")),
                base64.b64decode(new.get("content", "")),
                old.get("gitBlob"),
                new.get("gitBlob"),
                "too large" if item["tooLarge"] else "",
                ranges.get((item["path"], new.get("gitBlob")), ()),
            )
        )
    plans = [("PLAN.md", (VECTORS / "PLAN.md").read_bytes())]
    commit, tree, base = said["commit"], said["tree"], said["base"]
    return review.Change(commit, tree, base, paths, plans, generations)


def held_against_its_policy(folder: Path, judged: verify.Judgement) -> verify.Verdict:
    if not any(folder.glob("policy.*")):
        return judged.verdict
    rules = policy.parse(document(folder, "policy"), sha256="0" * 64, source="policy")
    return policy.judge(rules, judged)


@pytest.mark.parametrize("name", FOLDERS)
def test_a_vector_gets_the_expected_verdict(name: str) -> None:
    expect = json.loads((VECTORS / name / "expect.json").read_bytes())
    if "refused" in expect:
        reader = trusts if expect["refused"] == "trust.yaml" else policy
        with pytest.raises(ConfigurationInvalid):
            reader.parse(  # type: ignore[attr-defined]
                document(VECTORS / name, reader.__name__.rpartition(".")[2]),
                sha256="0" * 64,
                source=expect["refused"],
            )
        assert expect["exitCode"] == 16
        return
    judged = verify.judge(read(VECTORS / name), KeyVerifier(), OfflineEvidence())
    said = verify.verdict_json(held_against_its_policy(VECTORS / name, judged))
    assert said["exitCode"] == expect["exitCode"]
    assert said["verdict"] == expect["verdict"]
    assert {item["code"] for item in said["findings"] if item["severity"] == "error"} == set(
        expect["errors"]
    )
    assert {item["code"] for item in said["findings"] if item["severity"] == "warning"} == set(
        expect["warnings"]
    )
    assert [item["coverage"] for item in said["commits"]] == expect["coverage"]


@pytest.mark.parametrize(
    "name", [name for name in FOLDERS if (VECTORS / name / "review.txt").exists()]
)
def test_what_a_reviewer_is_shown_is_the_text_of_the_vector(name: str) -> None:
    made = review.render(read_change(VECTORS / name))
    assert made.text.encode() == (VECTORS / name / "review.txt").read_bytes()


def test_there_are_enough_vectors_of_both_kinds() -> None:
    verdicts = [
        json.loads((VECTORS / name / "expect.json").read_bytes())["verdict"] for name in FOLDERS
    ]
    assert verdicts.count("fail") >= 150
    assert verdicts.count("pass") >= 20


def test_the_vectors_are_what_the_script_writes() -> None:
    place = TESTS.parent / "scripts" / "make_vectors.py"
    spec = importlib.util.spec_from_file_location("make_vectors", place)
    assert spec is not None
    assert spec.loader is not None
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    written = {
        path.relative_to(VECTORS).as_posix(): path.read_bytes()
        for path in VECTORS.rglob("*")
        if path.is_file() and path != VECTORS / "README.md"
    }
    assert written == dict(script.everything())


def test_every_bundle_of_the_valid_vectors_reads_back_to_itself() -> None:
    seen = 0
    for name in FOLDERS:
        # Bundles that others spell differently have vectors of their own.
        if name.startswith("valid-") and not name.startswith("valid-bundle-"):
            for line in (VECTORS / name / "bundles.jsonl").read_bytes().splitlines():
                try:
                    parsed = bundle.parse(line)
                except MalformedInput:
                    continue
                assert bundle.encode(parsed) == line
                seen += 1
    assert seen > 15


def test_every_error_code_stands_in_some_vector_or_is_tested_by_name() -> None:
    shown = set()
    for name in FOLDERS:
        expect = json.loads((VECTORS / name / "expect.json").read_bytes())
        shown |= {*expect["errors"], *expect["warnings"]}
    source = "".join(
        path.read_text(encoding="utf-8")
        for path in Path(__file__).parent.glob("test_*.py")
        if path != Path(__file__)
    )
    missing = {code for code in CATALOGUE if code not in shown and f'"{code}"' not in source}
    assert missing == set()
