"""Docs can't drift: whatever the code offers is in them, and they offer nothing else."""

import re
from pathlib import Path

import pytest
import typer

from processor import cli
from processor.settings import NOT_SERVED, variables
from processor.telemetry.metrics import METRICS
from processor.topics import TOPICS

root = Path(__file__).parents[2]
readme, operations, contract = (
    (root / name).read_text() for name in ("README.md", "deploy/README.md", "schemas/README.md")
)


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
    """Links, files and names in back quotes."""
    for folder, text in ((root, readme), (root / "deploy", operations), (root / "schemas", contract)):
        for link in re.findall(r"\]\(([^)#:]+)\)", text):
            assert (folder / link).exists(), link
    for name, file in re.findall(r"`([\w.]+)` in `((?:highlevel|ratelimit|shard)/\w+\.py)`", readme):
        assert name.rpartition(".")[2] in (root / "processor" / file).read_text(), name


def test_the_readmes_commands_are_the_makefiles() -> None:
    makefile = (root / "Makefile").read_text()

    for target in re.findall(r"`?make ([\w-]+)", readme):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target
