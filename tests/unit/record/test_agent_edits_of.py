"""What a tool call on the wire would write, agent by agent."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest

from agentprov.formats.exchange import ToolCall
from agentprov.record.agents.registry import adapter_named

PATCH = """*** Begin Patch
*** Add File: new.py
+A = 1
+B = 2
*** Update File: old.py
@@
 kept
-gone
+it's here
 kept
+and `there` too: C:\\new
*** End Patch
"""
PATCHED = [
    ("/repo/new.py", "A = 1\nB = 2\n"),
    ("/repo/old.py", "it's here\n"),
    ("/repo/old.py", "and `there` too: C:\\new\n"),
]


def edits(name: str, tool: str, arguments: Any) -> list[tuple[str, str]]:
    written = arguments if isinstance(arguments, str) else json.dumps(arguments)
    found = adapter_named(name).edits_of(ToolCall("call-1", tool, written), "/repo")
    assert all(edit.basis == "intercepted" and edit.call_id == "call-1" for edit in found)
    assert all(edit.model is None and edit.at is None for edit in found)
    return [(edit.path, edit.text) for edit in found]


@pytest.mark.parametrize(
    ("name", "tool", "arguments", "expected"),
    [
        ("claude-code", "Write", {"file_path": "/x/a", "content": "1\n"}, [("/x/a", "1\n")]),
        ("claude-code", "Edit", {"file_path": "a", "new_string": "n"}, [("/repo/a", "n")]),
        (
            "claude-code",
            "MultiEdit",
            {"file_path": "a", "edits": [{"new_string": "1"}, {"new_string": "2"}]},
            [("/repo/a", "1"), ("/repo/a", "2")],
        ),
        (
            "claude-code",
            "NotebookEdit",
            {"notebook_path": "/n.ipynb", "new_source": "print()"},
            [("/n.ipynb", "print()")],
        ),
        ("claude-code", "Bash", {"command": "cat > a <<X\nb\nX"}, []),
        ("claude-code", "mcp__x__Write", {"file_path": "/x", "content": "1"}, []),
        ("codex", "apply_patch", PATCH, PATCHED),
        ("codex", "apply_patch", {"input": PATCH}, PATCHED),
        ("codex", "shell", {"command": ["apply_patch", PATCH]}, PATCHED),
        (
            "codex",
            "shell",
            {"command": ["apply_patch", PATCH], "workdir": "/other"},
            [(path.replace("/repo", "/other"), text) for path, text in PATCHED],
        ),
        ("codex", "exec_command", {"cmd": f"apply_patch <<'E'\n{PATCH}E"}, []),
        ("codex", "exec_command", {"cmd": "cat > a <<X\nb\nX"}, []),
        ("gemini-cli", "write_file", {"file_path": "a", "content": "1"}, [("/repo/a", "1")]),
        (
            "gemini-cli",
            "replace",
            {"file_path": "a", "old_string": "o", "new_string": "n"},
            [("/repo/a", "n")],
        ),
        ("gemini-cli", "run_shell_command", {"command": "echo 1 > a"}, []),
        ("opencode", "write", {"filePath": "a", "content": "1"}, [("/repo/a", "1")]),
        (
            "opencode",
            "edit",
            {"filePath": "a", "oldString": "o", "newString": "n"},
            [("/repo/a", "n")],
        ),
        ("opencode", "bash", {"command": "echo 1 > a"}, []),
        ("pi", "write", {"path": "a", "content": "1"}, [("/repo/a", "1")]),
        (
            "pi",
            "edit",
            {"path": "a", "edits": [{"oldText": "o", "newText": "n"}, {"newText": "m"}]},
            [("/repo/a", "n"), ("/repo/a", "m")],
        ),
        ("pi", "bash", {"command": "echo 1 > a"}, []),
        ("qwen-code", "write_file", {"file_path": "a", "content": "1"}, [("/repo/a", "1")]),
        ("qwen-code", "edit", {"file_path": "a", "new_string": "n"}, [("/repo/a", "n")]),
        (
            "qwen-code",
            "tool_call",
            {"name": "write_file", "arguments": {"file_path": "a", "content": "1"}},
            [("/repo/a", "1")],
        ),
        ("qwen-code", "tool_call", {"name": "mcp__x__write_file", "arguments": {"path": "a"}}, []),
    ],
)
def test_a_write_tool_is_read_and_nothing_else(
    name: str, tool: str, arguments: Any, expected: list[tuple[str, str]]
) -> None:
    assert edits(name, tool, arguments) == expected


TEMPLATE = PATCH.replace("\\", "\\\\").replace("`", "\\`")
SINGLE = "'" + json.dumps(PATCH)[1:-1].replace('\\"', '"').replace("'", "\\'") + "'"


@pytest.mark.parametrize(
    "script",
    [
        f"text(await tools.apply_patch({json.dumps(PATCH)}));",
        f"const patch = {SINGLE};\nawait tools.apply_patch(patch)",
        f"// it's a comment\n/* and 'another */ tools.apply_patch(`{TEMPLATE}`)",
        f"const t = 'x'; tools.apply_patch(String.raw`{PATCH.replace('`there`', 'there')}`)",
    ],
)
def test_a_patch_that_stands_in_full_in_a_script_is_read(script: str) -> None:
    found = edits("codex", "exec", script)
    assert [(path, text.replace("`", "")) for path, text in found] == [
        (path, text.replace("`", "")) for path, text in PATCHED
    ]


@pytest.mark.parametrize(
    "script",
    [
        f"tools.apply_patch(`{TEMPLATE.replace('B = 2', 'B = ${two}')}`)",
        f"const unused = {json.dumps(PATCH)}; tools.exec_command({{cmd: 'ls'}})",
        "tools.apply_patch(lines.join('\\n'))",
        'tools.apply_patch("*** Begin Pa',
    ],
)
def test_a_patch_that_a_script_puts_together_is_not_guessed(script: str) -> None:
    assert edits("codex", "exec", script) == []


def test_escapes_of_a_script_mean_what_they_mean_in_javascript() -> None:
    body = r"*** Begin Patch\n*** Add File: a\n+\u00e9 \u{1F600} \ud83d\ude00 \x41\
 z\n*** End Patch"
    assert edits("codex", "exec", f'tools.apply_patch("{body}")') == [("/repo/a", "é 😀 😀 A z\n")]


@pytest.mark.parametrize(
    "part", ["`", "\\`", '\\"', "/*", "'", '"', "String.raw ", "String.raw`", "//", "${"]
)
def test_a_hostile_script_takes_no_time_without_bounds(part: str) -> None:
    start = time.process_time()
    for opening in ("", "`", '"', "'", "/*"):
        script = f"tools.apply_patch({opening}{part * 30_000}"
        assert edits("codex", "exec", script) == []
    assert time.process_time() - start < 3


@pytest.mark.parametrize(
    ("name", "tool", "arguments"),
    [
        ("gemini-cli", "replace", {"file_path": "a", "old_string": "o", "new_string": "n"}),
        ("opencode", "edit", {"filePath": "a", "oldString": "o", "newString": "n"}),
        ("pi", "edit", {"path": "a", "edits": [{"oldText": "o", "newText": "n"}]}),
        ("qwen-code", "edit", {"file_path": "a", "old_string": "o", "new_string": "n"}),
    ],
)
def test_a_replacement_says_what_it_replaces(
    name: str, tool: str, arguments: dict[str, Any]
) -> None:
    (edit,) = adapter_named(name).edits_of(ToolCall("c", tool, json.dumps(arguments)), "/repo")
    assert (edit.text, edit.replaces, edit.every) == ("n", "o", False)


@pytest.mark.parametrize(
    ("name", "tool", "arguments"),
    [
        ("gemini-cli", "replace", {"file_path": "a", "new_string": "n", "allow_multiple": True}),
        ("opencode", "edit", {"filePath": "a", "newString": "n", "replaceAll": True}),
        ("qwen-code", "edit", {"file_path": "a", "new_string": "n", "replace_all": True}),
    ],
)
def test_a_replacement_of_every_place_says_so(
    name: str, tool: str, arguments: dict[str, Any]
) -> None:
    (edit,) = adapter_named(name).edits_of(ToolCall("c", tool, json.dumps(arguments)), "/repo")
    assert edit.every
