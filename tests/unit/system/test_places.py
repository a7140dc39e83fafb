from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from agentprov.system import places
from support.terminal import environment


def test_agentprov_home_decides_and_nothing_is_created(tmp_path: Path) -> None:
    environ = {"AGENTPROV_HOME": str(tmp_path / "here")}
    assert places.home(environ) == tmp_path / "here"
    assert places.keys(environ) == tmp_path / "here" / "keys"
    assert places.cache(environ) == tmp_path / "here" / "cache"
    assert not (tmp_path / "here").exists()


def test_a_relative_agentprov_home_counts_from_the_working_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert places.home({"AGENTPROV_HOME": "here"}) == tmp_path / "here"


@pytest.mark.skipif(sys.platform != "linux", reason="XDG")
def test_without_it_the_platforms_configuration_directory_is_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    assert places.home({}) == tmp_path / "agentprov"
    assert not (tmp_path / "agentprov").exists()


def test_platformdirs_is_not_loaded_while_agentprov_home_is_set() -> None:
    program = (
        "import sys; from agentprov.system import places; places.keys();"
        "print('platformdirs' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        env=environment(AGENTPROV_HOME="/nowhere"),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout == "False\n"


@pytest.mark.parametrize(
    ("path", "short"),
    [("/h/u/a/b", "~/a/b"), ("/h/u", "~"), ("/h/us/a", "/h/us/a"), ("/etc/x", "/etc/x")],
)
def test_paths_in_the_home_directory_are_written_short(path: str, short: str) -> None:
    assert places.short(path, Path("/h/u")) == short
