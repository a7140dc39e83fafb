"""Every byte of a small history, changed: refused, or nothing that it says is different.

The history is one commit in a real repository: a signed plan, a session, a generation, an approval,
and the trust and policy files among what was committed. What "says the same" means:

- of stored records: the verdict on the commit is the same, and what was accepted for it are the
  same payloads by the same signers;
- of trust and policy files that the judge is given: the document that was read is equal, so only
  its spelling differs (a comment, a space);
- of committed files: nothing; every changed byte is another commit, and no record speaks for it.

Trust and policy are not signed: whoever chooses them chooses what counts. For a byte that changes
what they say, the tests show that the verdict names another digest, and that no payload and no
key is accepted that was not accepted before.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import pytest

from agentprov import verify
from agentprov.errors import ConfigurationInvalid
from agentprov.flows import strict_yaml
from agentprov.flows.commit_facts import ContentDigests, commit_facts
from agentprov.formats import bundle, names
from agentprov.formats.digest import sha256
from agentprov.formats.facts import Change, Commit
from agentprov.sign.evidence import OfflineEvidence
from agentprov.sign.verifier import KeyVerifier
from agentprov.store import lines, objects
from agentprov.store.notes import NotesStore
from agentprov.store.objects import Entry, NewObjects
from agentprov.system.git import Git
from agentprov.system.git_objects import parse_commit
from agentprov.verify import policy, signatures
from agentprov.verify import trust as trusts
from agentprov.verify.approvals import Surroundings
from agentprov.verify.claims import claims_of
from agentprov.verify.policy import Policy
from agentprov.verify.subjects import CommitFacts
from agentprov.verify.trust import TrustRoot
from support import rewrite_defects
from support.homes import private_home
from support.repository import Repository
from support.story import (
    AS_OF,
    HUMAN,
    JANE,
    PLAN_TEXT,
    RECORDER,
    SESSION,
    Story,
    seal,
    trust_of,
)

pytestmark = pytest.mark.slow


def spki(key: object) -> str:
    return base64.b64encode(key.spki).decode()  # type: ignore[attr-defined]


TRUST = f"""\
schema: {trusts.SCHEMA} # ours
keys:
- {{publicKey: {spki(HUMAN)}, person: "mailto:ada@example.com", roles: [human]}}
- publicKey: {spki(RECORDER)}
  person: recorder
  roles: [recorder]
  builders: [{names.LOCAL_WRAPPER}]
- {{publicKey: {spki(JANE)}, person: "mailto:jane@example.com", roles: [reviewer]}}
""".encode()
POLICY = b"""\
version: 1
mode: enforce # since the first of the month
require:
  coverage: [covered]
  plan: signed
  approvals: {people: 1, notPlanAuthor: true}
"""
FILES = {
    b".agentprov/policy.yaml": POLICY,
    b".agentprov/trust.yaml": TRUST,
    b"README.md": "# Grüße\r\n".encode(),
    b"run": b"#!/bin/sh\necho \0\n",
}


@dataclass
class History:
    """A valid history, and how to put it before the judge with something else in it."""

    git: Git
    facts: CommitFacts
    note: bytes
    trust: TrustRoot
    policy: Policy

    def judge(
        self,
        note: set[bytes] | None = None,
        trust: TrustRoot | None = None,
        rules: Policy | None = None,
        *,
        named: bool = False,
        commits: list[CommitFacts] | None = None,
        anchors: list[str] | None = None,
    ) -> tuple[verify.Verdict, verify.Judgement]:
        found = lines.split(self.note) if note is None else note
        judgement = verify.judge(
            verify.Case(
                target="HEAD",
                records=[
                    verify.Record(line, "note", named=named, anchor=anchor)
                    for anchor in anchors or [self.facts.oid]
                    for line in sorted(found)
                ],
                commits=commits or [self.facts],
                trust=trust or self.trust,
                as_of=AS_OF,
                plan_content=lambda _: PLAN_TEXT,
                around=Surroundings(tree_of={self.facts.oid: self.facts.tree}.get),
            ),
            KeyVerifier(),
            OfflineEvidence(),
        )
        return policy.judge(rules or self.policy, judgement), judgement


def accepted(judgement: verify.Judgement) -> frozenset[tuple[str | None, object]]:
    """Give what the verdict rests on: payloads, and the keys that count for them."""
    return frozenset(
        (part.payload_sha256, signed.signer.mark)
        for entry in judgement.accepted
        for part in entry.everything()
        for signed in part.signatures.values()
    )


def warnings(verdict: verify.Verdict) -> int:
    return sum(item.severity == "warning" for item in verdict.findings)


@pytest.fixture(scope="module")
def history(tmp_path_factory: pytest.TempPathFactory) -> Iterator[History]:
    with pytest.MonkeyPatch.context() as patch:
        private_home(tmp_path_factory.mktemp("home"), patch)
        repository = Repository(tmp_path_factory.mktemp("history") / "work")
        for name, content in FILES.items():
            repository.write(name, content)
        repository.git("config", "core.autocrlf", "false")
        oid = repository.commit(f"Begin\n\n{names.TRAILER}: {SESSION.id}/1")
        git = Git.discover(repository.top)
        store = NotesStore(git)
        with git.cat_file() as reader:
            (facts,) = commit_facts(git, reader, [oid], ContentDigests(reader))
            blobs = {path: diff.new_blob or "" for path, diff in facts.diffs.items()}
            # The digests outlive the reader.
            known = {blob: facts.sha256_of(blob) for blob in blobs.values()}
            facts = replace(facts, sha256_of=known.get)
        told = Story(
            commit=Commit(
                oid=oid,
                tree=facts.tree,
                parents=(),
                patch_id=None,
                ref="refs/heads/main",
                sequence=1,
                changes=tuple(
                    Change(path, "add", str(diff.new_mode), blobs[path], known[blobs[path]])
                    for path, diff in facts.diffs.items()
                ),
            )
        ).tell()
        approval = told.approval()
        told_lines = [*told.lines().values(), seal(approval, JANE)]
        store.add({oid: told_lines})
        note = lines.join(store.get(oid))
        yield History(
            git,
            facts,
            note,
            trusts.parse(read(TRUST), sha256=sha256(TRUST), source="trust"),
            policy.parse(read(POLICY), sha256=sha256(POLICY), source="policy"),
        )


def read(document: bytes) -> object:
    return strict_yaml.parse(document, source="document")


def changed(data: bytes, values: Callable[[int], tuple[int, ...]]) -> Iterator[tuple[int, bytes]]:
    """Give the data with one byte changed, for every byte and every other value asked for."""
    for index, byte in enumerate(data):
        for value in sorted(set(values(byte)) - {byte}):
            yield index, data[:index] + bytes([value]) + data[index + 1 :]


def test_the_history_is_valid(history: History) -> None:
    verdict, judgement = history.judge()
    assert verdict.exit_code == 0, verdict.findings
    assert len(accepted(judgement)) == 4
    assert [item.valid for item in verdict.commits[0].approvals] == [True]
    assert history.judge(named=True)[0].exit_code == 0


def test_every_byte_of_the_note_is_refused_or_says_the_same(history: History) -> None:
    """Judge each change; what passes rests on the same payloads, keys and decisions."""
    before, whole = history.judge()
    refused = 0
    for index, body in changed(history.note, lambda byte: (byte ^ 0x01,)):
        found = lines.split(body)
        verdict, judgement = history.judge(found)
        if verdict.exit_code != 0:
            refused += 1
            continue
        # The closing statement alone may be missing while a session runs, and that is said.
        assert verdict.commits == before.commits, index
        assert accepted(judgement) <= accepted(whole), index
        if accepted(judgement) != accepted(whole):
            assert warnings(verdict) > warnings(before), index
    assert refused > len(history.note) // 2


def test_no_changed_byte_of_a_stored_line_gives_another_verified_statement(
    history: History,
) -> None:
    """Try more values for every byte at the one door to verified statements."""
    original = lines.split(history.note)
    known = {
        (checked.bundle.payload, checked.statement.signer.mark)
        for checked in (signatures.check(line, history.trust, KeyVerifier()) for line in original)
        if checked.bundle is not None and checked.statement is not None
    }
    assert len(known) == len(original) == 5
    passed = 0
    for index, body in changed(
        history.note, lambda byte: (byte ^ 0x20, byte ^ 0x80, 0x0A, ord('"'), ord("A"))
    ):
        for line in lines.split(body) - original:
            checked = signatures.check(line, history.trust, KeyVerifier())
            if checked.statement is not None and checked.bundle is not None:
                passed += 1
                assert (checked.bundle.payload, checked.statement.signer.mark) in known, index
            else:
                assert checked.problems, index
    # Records are written in one spelling only, without a byte that means nothing.
    assert passed == 0


def test_every_byte_of_a_bundle_file_is_refused(history: History) -> None:
    for line in sorted(lines.split(history.note)):
        rest = lines.split(history.note) - {line}
        for index, other in changed(line, lambda byte: (byte ^ 0x01,)):
            if (
                index % 8
                and signatures.check(other, history.trust, KeyVerifier()).problems[0].code
                == "bundle-malformed"
            ):
                # The judge says so at once; asking it for all of these shows nothing more.
                continue
            verdict, _ = history.judge(rest | {other}, named=True)
            assert verdict.exit_code in (11, 14, 17), index


@pytest.fixture(scope="module")
def rewritten() -> verify.Case:
    """A commit that a link makes of another, with all bytes that it can be made again from."""
    told, new = rewrite_defects.tell(), rewrite_defects.commit_of(rewrite_defects.NEW)
    bundles = [*told.lines().values(), seal(rewrite_defects.link(told, new), RECORDER)]
    return verify.Case(
        target="HEAD",
        records=[verify.Record(line, "note") for line in bundles],
        commits=[new],
        trust=trust_of(),
        as_of=AS_OF,
        required=frozenset({new.oid}),
        **rewrite_defects.past(told, new).about(),
    )


def test_every_byte_of_a_rewrite_link_is_refused(rewritten: verify.Case) -> None:
    *others, link = rewritten.records
    whole = verify.judge(rewritten, KeyVerifier())
    assert whole.verdict.exit_code == 0
    assert whole.verdict.commits[0].via == "rewrite"
    for index, other in changed(link.data, lambda byte: (byte ^ 0x01, byte ^ 0x20)):
        judged = verify.judge(
            replace(rewritten, records=[*others, verify.Record(other, "note")]), KeyVerifier()
        )
        assert judged.verdict.commits[0].coverage == "uncovered", index
        assert claims_of(judged, rewrite_defects.NEW_COMMIT) == {}, index


def test_no_byte_under_the_recorders_own_signature_makes_a_link_claim_something_else(
    rewritten: verify.Case,
) -> None:
    """Sign each changed statement: where it can be made again, not even the recorder can lie."""
    *others, link = rewritten.records
    payload = bundle.parse(link.data).payload

    def said(case: verify.Case) -> list[tuple[object, ...]]:
        found = claims_of(verify.judge(case, KeyVerifier()), rewrite_defects.NEW_COMMIT)
        return [
            (path, *claim[:6], [entry.payload_sha256 for entry in claim.sources])
            for path, item in found.items()
            for claim in item.ranges
        ]

    whole = said(rewritten)
    same = refused = 0
    for index, other in changed(payload, lambda byte: (byte ^ 0x01, byte ^ 0x03, ord("9"))):
        record = verify.Record(seal(other, RECORDER), "note")
        answer = said(replace(rewritten, records=[*others, record]))
        assert answer in ([], whole), index
        same += bool(answer)
        refused += not answer
    # Versions and the name of the method say nothing about lines.
    assert 0 < same < refused


def test_every_byte_of_the_trust_file_is_refused_or_makes_nobody_trusted(history: History) -> None:
    _, whole = history.judge()
    same = refused = told = 0
    for index, document in changed(
        TRUST, lambda byte: (byte ^ 0x01, byte ^ 0x20, ord("#"), ord(" "))
    ):
        try:
            root = trusts.parse(read(document), sha256=sha256(document), source="trust")
        except ConfigurationInvalid:
            refused += 1
            continue
        if replace(root, sha256=history.trust.sha256) == history.trust:
            same += 1
            continue
        verdict, judgement = history.judge(trust=root)
        if verdict.exit_code != 0:
            refused += 1
            continue
        told += 1
        assert keys_of(judgement) == keys_of(whole), index
        assert verdict.trust_sha256 != history.trust.sha256
    # Comments and spaces say nothing; of a person's name and the like only the spelling counts.
    assert same > 0
    assert refused > 4 * (same + told)


def keys_of(judgement: verify.Judgement) -> set[tuple[str | None, bytes]]:
    return {
        (part.payload_sha256, signed.signer.spki)  # type: ignore[union-attr]
        for entry in judgement.accepted
        for part in entry.everything()
        for signed in part.signatures.values()
    }


def test_every_byte_of_the_policy_file_is_refused_or_shows_in_the_verdict(
    history: History,
) -> None:
    before, whole = history.judge()
    same = refused = told = 0
    for index, document in changed(
        POLICY, lambda byte: (byte ^ 0x01, byte ^ 0x20, ord("#"), ord(" "), ord("\n"))
    ):
        try:
            rules = policy.parse(read(document), sha256=sha256(document), source="policy")
        except ConfigurationInvalid:
            refused += 1
            continue
        if replace(rules, sha256=history.policy.sha256) == history.policy:
            same += 1
            continue
        verdict, judgement = history.judge(rules=rules)
        told += 1
        assert accepted(judgement) == accepted(whole), index
        assert verdict.commits == before.commits, index
        assert verdict.policy_sha256 != before.policy_sha256, index
    assert same > 0
    assert refused > 4 * told


def test_no_changed_byte_of_a_committed_file_is_spoken_for(history: History) -> None:
    """Write each change as a commit of its own, by git's objects, and hang the records on it."""
    git = history.git
    new = NewObjects(git.object_format)
    with git.cat_file() as reader:
        original = reader.get(history.facts.oid)
        assert original is not None
        tree = parse_commit(history.facts.oid, original[1]).tree
        commits = []
        for path, content in FILES.items():
            for _, other in changed(content, lambda byte: (byte ^ 0x01, byte ^ 0x20, 0x0A)):
                root = with_blob(git, reader.get, tree, path.split(b"/"), other, new)
                commits.append(
                    new.add("commit", original[1].replace(tree.encode(), root.encode(), 1))
                )
        git.run("unpack-objects", "-q", input=new.pack())
        facts = commit_facts(git, reader, commits, ContentDigests(reader))
        assert len(facts) == len(set(commits)) > 1_000
        verdict, judgement = history.judge(commits=facts)
        assert judgement.accepted == ()
        assert {item.coverage for item in verdict.commits} == {"uncovered"}
        assert {item.commit for item in verdict.findings if item.severity == "error"} >= set(
            commits
        )
        # Nor where the changed bytes stand under the id that was signed, as by a collision.
        for index in range(0, len(facts), 10):
            lying = replace(facts[index], oid=history.facts.oid)
            verdict, judgement = history.judge(commits=[lying])
            assert verdict.exit_code == 12
            assert judgement.accepted == ()


def with_blob(
    git: Git,
    get: Callable[[str], tuple[str, bytes] | None],
    tree: str,
    steps: list[bytes],
    content: bytes,
    new: NewObjects,
) -> str:
    """Give the tree in which one file's content is another; new objects go into `new`."""
    found = get(tree)
    assert found is not None
    entries = objects.parse_tree(found[1], git.object_format)
    entry = entries[steps[0]]
    oid = (
        new.add("blob", content)
        if len(steps) == 1
        else with_blob(git, get, entry.oid, steps[1:], content, new)
    )
    entries[steps[0]] = Entry(entry.mode, oid)
    return new.add("tree", objects.format_tree(entries))
