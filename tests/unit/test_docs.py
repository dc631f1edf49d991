"""Docs can't drift: they name all that the code offers, and nothing else."""

import re
from pathlib import Path

import pytest
import typer

from processor import cli
from processor.settings import NOT_SERVED, variables
from processor.telemetry.metrics import METRICS
from processor.topics import TOPICS

root = Path(__file__).parents[2]
names = (
    "README.md",
    "deploy/README.md",
    "schemas/README.md",
    "deploy/proof.md",
    "deploy/highlevel.md",
    "deploy/jobs.md",
)
pages = {root / name: (root / name).read_text() for name in names}
readme, operations, contract, proof, guesses, _ = pages.values()


def commands() -> list[str]:
    group = typer.main.get_command(cli.command_line)
    names = []
    for name, command in group.commands.items():  # type: ignore[attr-defined]  # it is a group
        names += [f"{name} {inner}" for inner in command.commands] if hasattr(command, "commands") else [name]
    return names


def test_every_setting_is_documented_and_no_other() -> None:
    documented = set(
        re.findall(r"`((?:KAFKA|GHL|HYDRANT|SYNC)_\w+)`", operations.partition("## Settings")[2].partition("## ")[0])
    )

    assert documented == set(variables) - set(NOT_SERVED)


def test_every_metric_is_documented_and_no_other() -> None:
    assert set(re.findall(r"`(hydrant_\w+)`", operations)) == set(METRICS)


@pytest.mark.parametrize("command", commands())
def test_every_command_is_documented(command: str) -> None:
    assert f"`hydrant {command}" in operations


@pytest.mark.parametrize("topic", TOPICS)
def test_every_topic_is_documented(topic: str) -> None:
    assert topic in readme + contract


def test_what_the_readmes_point_to_is_there() -> None:
    """Links, files and names in back quotes, of every page."""
    for page, text in pages.items():
        for link in re.findall(r"\]\(([^)#:]+)", text):
            assert (page.parent / link).exists(), link
        for path in re.findall(r"`((?:processor|tests|deploy|schemas)/[\w/.*]+)`", text):
            assert list(root.glob(path)), path
    found = re.findall(r"`([\w.]+)` in `((?:highlevel|ratelimit|shard)(?:/\w+)+\.py)`", guesses)
    assert len(found) >= len(re.findall(r"^\| .* \|$", guesses, re.MULTILINE)) - 1  # each guess names its place
    for name, file in found:
        assert re.search(rf"\b{name.rpartition('.')[2]}\b", (root / "processor" / file).read_text()), name


def test_the_readme_is_one_screen() -> None:
    assert len(readme.splitlines()) <= 60


def test_the_readmes_commands_are_the_makefiles() -> None:
    makefile = (root / "Makefile").read_text()

    for target in re.findall(r"(?:`|^)make ([\w-]+)", readme + operations + proof, re.MULTILINE):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target
