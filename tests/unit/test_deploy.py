"""Operations get a compose file and locks: they are checked as far as this machine can."""

import subprocess
import tomllib
from collections.abc import Sequence
from itertools import chain
from pathlib import Path
from shutil import which

import pytest

root = Path(__file__).parents[2]


def compose() -> Sequence[str] | None:
    """The compose client, as a plugin of docker's or on its own."""
    for command in (["docker", "compose"], ["docker-compose"]):
        if which(command[0]) and subprocess.run([*command, "version"], capture_output=True).returncode == 0:
            return command
    return None


def test_compose_accepts_the_file() -> None:
    if (command := compose()) is None:
        pytest.skip("no compose client on this machine")
    checked = subprocess.run([*command, "config", "--quiet"], cwd=root, capture_output=True, text=True)

    assert (checked.returncode, checked.stderr) == (0, "")


@pytest.mark.parametrize("lock", ["requirements.lock", "requirements-run.lock"])
def test_a_lock_names_no_address_and_pins_every_line(lock: str) -> None:
    lines = (root / "deploy" / lock).read_text().splitlines()

    assert not [line for line in lines if "://" in line or "index" in line]
    assert all("==" in line or line.lstrip().startswith(("--hash=sha256:", "#")) for line in lines if line.strip())


def test_the_locks_hold_what_the_project_asks_for() -> None:
    project = tomllib.loads((root / "pyproject.toml").read_text())["project"]
    asked = [*project["dependencies"], *chain.from_iterable(project["optional-dependencies"].values())]
    locked = (root / "deploy" / "requirements.lock").read_text()

    assert asked
    assert [pin for pin in asked if f"{pin} " not in locked] == []
