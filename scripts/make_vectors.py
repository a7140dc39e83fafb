"""Write tests/vectors again: one folder per case of tests/support/defects.py.

Run from anywhere: ``python scripts/make_vectors.py``. Keys come from fixed seeds and signatures
are deterministic, so the same source gives the same files.
"""

from __future__ import annotations

import base64
import json
import shutil
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

TOP = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(TOP), str(TOP / "tests")]

from agentprov.formats import names, review  # noqa: E402
from agentprov.verify import trust as trusts  # noqa: E402
from agentprov.verify.subjects import CommitFacts  # noqa: E402
from support import (  # noqa: E402
    approval_defects,
    chain_defects,  # noqa: F401
    document_defects,  # noqa: F401
    json_defects,  # noqa: F401
    rewrite_defects,  # noqa: F401
)
from support.defects import CASES, Vector  # noqa: E402
from support.story import AS_OF, PLAN_TEXT  # noqa: E402


def commit_json(facts: CommitFacts) -> dict[str, Any]:
    """Give a commit's facts as data."""
    return {
        "oid": facts.oid,
        "tree": facts.tree,
        "parents": list(facts.parents),
        "trailers": list(facts.trailers),
        "paths": [
            {
                "path": names.path_label(path),
                "old": _side(diff.old_mode, diff.old_blob),
                "new": _side(diff.new_mode, diff.new_blob),
                "sha256": facts.sha256_of(diff.new_blob) if diff.new_blob else None,
            }
            for path, diff in facts.diffs.items()
        ],
    }


def _side(mode: str | None, blob: str | None) -> dict[str, str] | None:
    return None if mode is None or blob is None else {"mode": mode, "gitBlob": blob}


def history_json(vector: Vector) -> dict[str, Any]:
    """Give what git knows of old commits and of lines as data."""
    past = vector.past
    assert past is not None
    return {
        "beside": [number for number, name in enumerate(vector.lines, 1) if name == "rewrite"],
        "commits": [commit_json(facts) for facts in past.others],
        "contents": {
            blob: base64.b64encode(content).decode() for blob, content in past.contents.items()
        },
        "added": past.added,
        "gone": sorted(past.gone),
        "whole": past.whole,
    }


def files_of(name: str, vector: Vector) -> Iterator[tuple[str, bytes]]:
    """Give the files of one vector."""
    verdict = "must be refused" if vector.exit_code else "must be accepted"
    yield "README.md", f"# {name}\n\n{vector.about}\n\nIt {verdict}.\n".encode()
    yield "bundles.jsonl", b"".join(line + b"\n" for line in vector.lines.values())
    if vector.named is not None:
        yield "bundle.json", vector.named + b"\n"
    if "trust.yaml" not in vector.documents:
        yield "trust.json", _json(trusts.document(vector.trust.keys, vector.trust.timestamps))
    yield from vector.documents.items()
    if vector.reviewed is not None:
        told = vector.reviewed
        yield "around.json", _json(told.around.json())
        yield "policy.json", _json(approval_defects.policy_json(told.approvals))
        yield "review.json", _json(approval_defects.review_json(told.change))
        yield "review.txt", review.render(told.change).text.encode()
    if vector.past is not None:
        yield "history.json", _json(history_json(vector))
    yield "commits.json", _json([commit_json(facts) for facts in vector.commits])
    yield (
        "expect.json",
        _json(
            {
                "asOf": AS_OF,
                "commitsNeedProvenance": vector.required,
                "verdict": "fail" if vector.exit_code else "pass",
                "exitCode": vector.exit_code,
                "errors": sorted(vector.errors),
                "warnings": sorted(vector.warnings),
                "coverage": [] if vector.refused else [vector.coverage for _ in vector.commits],
                **({"refused": vector.refused} if vector.refused else {}),
            }
        ),
    )


def _json(value: Any) -> bytes:
    return json.dumps(value, indent=1, ensure_ascii=True, sort_keys=True).encode() + b"\n"


def everything() -> Mapping[str, bytes]:
    """Give all files of all vectors by path inside tests/vectors, but its own README.md."""
    found: dict[str, bytes] = {"PLAN.md": PLAN_TEXT}
    for name, make in CASES.items():
        for file, content in files_of(name, make()):
            found[f"{name}/{file}"] = content
    return found


def main() -> None:
    """Replace the vectors on disk."""
    place = TOP / "tests" / "vectors"
    for name in place.iterdir():
        if name.is_dir():
            shutil.rmtree(name)
    for file, content in everything().items():
        target = place / file
        target.parent.mkdir(exist_ok=True)
        target.write_bytes(content)
    print(f"{len(CASES)} vectors")


if __name__ == "__main__":
    main()
