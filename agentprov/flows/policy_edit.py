"""Adds a rule to the policy of the work tree, beside whatever people wrote there.

The file is a proposal until it is merged. Text that is there stays as it is, comments too; the new
file stands only if, read again, it says what the old one said and the rule.
"""

from __future__ import annotations

import json
import re

from agentprov.errors import ConfigurationInvalid, UserError
from agentprov.flows import strict_yaml
from agentprov.flows.trust import POLICY_PATH
from agentprov.flows.world import World
from agentprov.formats.digest import sha256
from agentprov.formats.visible import safe
from agentprov.system import files
from agentprov.verify import policy

_RULES = re.compile(r"^rules:[ \t]*(?:#.*)?$", re.MULTILINE)
_ITEM = re.compile(r"^([ ]*)- ")


def deny_model(world: World, pattern: str, reason: str) -> bool:
    """Add a rule that denies a model; says whether the policy enforces.

    `pattern` is the policies' own. A commit that a person signed or approved and that has no
    record is excused, every other one must show what was at work. Raises UserError where the
    rule cannot be added without touching what is there, ConfigurationInvalid for a policy that
    cannot be read.
    """
    path = world.git.top / POLICY_PATH
    try:
        data = files.read_bounded(path, strict_yaml.MAX_BYTES, follow=False)
    except FileNotFoundError:
        raise UserError(
            f"there is no {POLICY_PATH} here", hint="`agentprov init` makes one"
        ) from None
    except OSError as error:
        raise UserError(f"{POLICY_PATH}: {error.strerror}") from error
    before = strict_yaml.parse(data, source=POLICY_PATH)
    policy.parse(before, sha256=sha256(data), source=POLICY_PATH)
    rule = {
        "name": f"no {pattern}"[:128],
        "require": {"models": {"deny": [pattern]}, "unrecorded": "human"},
    }
    known = before.get("rules", [])
    if any(item.get("name") == rule["name"] for item in known):
        raise UserError(f"{POLICY_PATH} has a rule {rule['name']!r} already")
    text = _with_rule(data.decode("utf-8"), rule, reason)
    new = text.encode("utf-8")
    try:
        after = strict_yaml.parse(new, source=POLICY_PATH)
        read = policy.parse(after, sha256=sha256(new), source=POLICY_PATH)
    except ConfigurationInvalid as error:
        raise UserError(f"this rule cannot be added: {error.message}") from error
    if after != {**before, "rules": [rule, *known]}:
        raise UserError(
            f"{POLICY_PATH} is written in a way that a rule cannot be added to",
            hint=f"add it by hand, under `rules:`: {json.dumps(rule)}",
        )
    try:
        files.atomic_write(path, new, mode=0o644)
    except OSError as error:
        raise UserError(f"cannot write {path}: {error.strerror}") from error
    return read.enforces


def _with_rule(text: str, rule: object, reason: str) -> str:
    """Put a rule before all others, in the one-line form of YAML that JSON is."""
    found = _RULES.search(text)
    if found is None:
        end = "" if not text or text.endswith("\n") else "\n"
        return text + end + "rules:\n" + _lines("  ", rule, reason)
    rest = text[found.end() :].lstrip("\r")
    indent = "  "
    for line in rest.split("\n"):
        item = _ITEM.match(line)
        if item is not None:
            indent = item[1]
            break
    return text[: found.end()] + "\n" + _lines(indent, rule, reason).rstrip("\n") + rest


def _lines(indent: str, rule: object, reason: str) -> str:
    return f"{indent}# {safe(reason)}\n{indent}- {json.dumps(rule)}\n"


__all__ = ["deny_model"]
