"""sigstore-js for tests: installed once from npm at a pinned version, spoken to over stdin.

It lives where the real agents live, in ``$AGENTPROV_TEST_AGENTS`` or ``.cache/agents``.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from agentprov.system.files import locked
from support import real_agents

PACKAGE, VERSION = "sigstore", "5.0.1"
NEEDS_NODE = (22, 22)
_SCRIPT = Path(__file__).with_name("sigstore_js.mjs")


def verify(bundle: bytes, trusted_root: bytes, *, identity: str | None = None) -> str:
    """Have sigstore-js verify a keyless bundle offline; gives "good" or its complaint.

    With `identity`, the certificate must be for exactly that name.
    """
    question = _to_verify(json.loads(bundle), json.loads(trusted_root))
    (answer,) = _ask([question | {"identity": identity}])
    return str(answer["verdict"])


def verify_all(bundles: Sequence[dict[str, Any]], trusted_root: dict[str, Any]) -> list[str]:
    """Have sigstore-js verify bundles one by one in one process, for whatever identity."""
    answers = _ask([_to_verify(bundle, trusted_root) for bundle in bundles])
    return [str(answer["verdict"]) for answer in answers]


def _to_verify(bundle: dict[str, Any], trusted_root: dict[str, Any]) -> dict[str, Any]:
    return {"do": "verify", "bundle": bundle, "trustedRoot": trusted_root}


def sign(payload: bytes, payload_type: str, token: str, urls: dict[str, str]) -> dict[str, Any]:
    """Have sigstore-js sign a payload keyless; `urls` name fulcio, rekor (v1) and tsa."""
    asked = {
        "do": "sign",
        "payload": payload.decode(),
        "payloadType": payload_type,
        "token": token,
        "urls": urls,
    }
    (answer,) = _ask([asked])
    if "bundle" not in answer:
        raise AssertionError(answer["verdict"])
    bundle: dict[str, Any] = answer["bundle"]
    return bundle


def _ask(questions: list[dict[str, Any]]) -> list[dict[str, Any]]:
    node, modules = _install()
    done = subprocess.run(
        [node, str(_SCRIPT)],
        input=json.dumps(questions),
        env={"PATH": os.environ.get("PATH", os.defpath), "SIGSTORE_JS": str(modules)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    if done.returncode != 0:
        raise AssertionError(f"sigstore-js: {done.stderr[-2000:]}")
    answers: list[dict[str, Any]] = json.loads(done.stdout)
    return answers


@cache
def _install() -> tuple[str, Path]:
    for tool in ("node", "npm"):
        if shutil.which(tool) is None:
            _give_up(f"sigstore-js needs {tool}, which is not installed")
    try:
        folder = real_agents.newer_node(NEEDS_NODE)
    except real_agents.AgentMissing as error:
        _give_up(str(error))
    node = "node" if folder is None else str(folder / "node")
    root = Path(os.environ.get("AGENTPROV_TEST_AGENTS") or real_agents.TOP / ".cache" / "agents")
    root.mkdir(parents=True, exist_ok=True)
    prefix = root / f"sigstore-js-{VERSION}"
    complete = prefix / real_agents.COMPLETE
    with locked(root / f"sigstore-js-{VERSION}.lock", 300):
        if not complete.exists():
            prefix.mkdir(parents=True, exist_ok=True)
            _npm_install(prefix)
            complete.touch()
    return node, prefix / "node_modules"


def _npm_install(prefix: Path) -> None:
    options = ["--no-save", "--no-audit", "--no-fund", "--ignore-scripts", "--prefix", str(prefix)]
    done = subprocess.run(
        ["npm", "install", *options, f"{PACKAGE}@{VERSION}"],
        cwd=prefix,
        # The autouse fixtures give tests an empty home; npm needs its own configuration.
        env={**os.environ, "HOME": real_agents.real_home()},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    if done.returncode != 0:
        _give_up(f"npm could not install {PACKAGE}: {done.stderr.strip()[-400:]}")


def _give_up(reason: str) -> None:
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)
