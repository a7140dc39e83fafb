"""The demo's agent: a program that behaves like a coding agent and asks no model.

Standard library only, started as a file of its own. It reads the plan that it was given, writes
two files, says in its transcript what it wrote and which model it pretends to be, and commits.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

GREETING = '''"""Says hello, as the plan asks."""


def greet(name: str) -> str:
    """Give a greeting for one person."""
    return f"Hello, {name.strip() or 'stranger'}!"
'''
TEST = """from greeting import greet


def test_greets_by_name() -> None:
    assert greet("Ada") == "Hello, Ada!"
"""


def main() -> int:
    """Do what the plan says, and tell the transcript."""
    plan = Path(os.environ.get("AGENTPROV_PLAN", "PLAN.md"))
    told: list[dict[str, object]] = [{"kind": "read", "path": str(plan)}]
    print(f"scripted-agent: reading {plan.name}: {plan.read_text().splitlines()[0]}")
    for name, text in (("greeting.py", GREETING), ("test_greeting.py", TEST)):
        told.append(
            {
                "kind": "model",
                "provider": "scripted",
                "requested": "demo-model",
                "served": "demo-model-2026-11-01",
                "inputTokens": 120,
                "outputTokens": len(text) // 4,
            }
        )
        Path(name).write_text(text)
        told.append(
            {
                "kind": "edit",
                "path": str(Path(name).resolve()),
                "text": text,
                "model": "demo-model-2026-11-01",
            }
        )
        print(f"scripted-agent: wrote {name}")
    transcript = os.environ.get("AGENTPROV_SCRIPTED_TRANSCRIPT")
    if transcript:
        Path(transcript).write_text("".join(json.dumps(line) + "\n" for line in told))
    for command in (["add", "-A"], ["commit", "--quiet", "-m", "Greet people by name"]):
        status = subprocess.run(["git", *command], check=False).returncode
        if status:
            return status
    print("scripted-agent: committed")
    return 0


if __name__ == "__main__":
    sys.exit(main())
