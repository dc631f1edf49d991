"""Test the demo as a person starts it, only smaller: a real Kafka, the simulator, two workers, and a verdict."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path

import pytest

from processor.kafka import KafkaConfig, admin_client
from tests.lab.kafka_node import Broker

small = ("--locations", "3", "--leads", "40", "--syncs", "6", "--sync-all", "600")
over_within_s = 180
leaves_within_s = 30  # a worker that drains, and the leash of a killed owner
root = Path(__file__).parents[2]


def environ(broker: Broker, folder: Path) -> Mapping[str, str]:
    """Return an environment in which all files of the demo lie in `folder`."""
    return {**os.environ, "KAFKA_BOOTSTRAP_SERVERS": broker.bootstrap, "TMPDIR": str(folder), "PYTHONUNBUFFERED": "1"}


@pytest.fixture
def demo(broker: Broker, tmp_path: Path) -> Iterator["subprocess.Popen[str]"]:
    """Start a demo, and wait until it is ready to publish."""
    command = [sys.executable, "-m", "tests.lab.demo", *small]
    with subprocess.Popen(
        command,
        cwd=root,
        env=environ(broker, tmp_path),
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    ) as running:
        try:
            assert running.stdout
            assert any("workers are ready" in line for line in running.stdout)
            assert len(list(processes_in(tmp_path))) == 3
            yield running
        finally:
            running.kill()


def processes_in(folder: Path) -> Iterator[str]:
    """Yield the processes of the demo: workers and simulator run in a folder of the demo."""
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):  # it ended meanwhile, or belongs to another user
            if os.readlink(process / "cwd").startswith(str(folder)):
                yield process.name


def gone(folder: Path) -> bool:
    """Wait until no process and no folder of the demo is left."""
    deadline = time.monotonic() + leaves_within_s
    while left := [*folder.glob("hydrant-demo-*"), *processes_in(folder)]:
        if time.monotonic() > deadline:
            pytest.fail(f"left: {left}")
        time.sleep(0.1)
    return True


def figures(output: str) -> dict[str, str]:
    return dict(re.findall(r"^([\w][\w ]*?)  +(\S.*?) *$", output, re.MULTILINE))


async def test_a_small_demo_comes_out_right(broker: Broker, tmp_path: Path) -> None:
    """The demo keeps its promises though a worker is killed.

    Every lead is as the ground truth says, every call is within the budget, and a shared Kafka is left as it was.
    """
    done = subprocess.run(  # noqa: ASYNC221  # nothing else is to be done meanwhile
        [sys.executable, "-m", "tests.lab.demo", *small],
        cwd=root,
        env=environ(broker, tmp_path),
        capture_output=True,
        text=True,
        timeout=over_within_s,
        check=False,
    )

    shown = figures(done.stdout)
    assert done.returncode == 0, done.stdout + done.stderr
    assert {name: shown[name] for name in ("lost", "repeated", "wrong", "429s")} == dict.fromkeys(
        ("lost", "repeated", "wrong", "429s"), "0"
    )
    imported, reported = (re.findall(r"^(\d+) imported$", shown[name]) for name in ("messages", "messages reported"))
    assert int(imported[0]) > int(reported[0]) > 100
    assert re.fullmatch(r"(\d+) of \1 malformed records", shown["dead letters"])
    assert shown["Syncs answered"].startswith("6 of 6 (p50 ")
    worst = re.findall(r"^worst in 10 s  +(\d+) calls of at most 100", done.stdout, re.MULTILINE)
    assert [int(calls) <= 100 for calls in worst] == [True, True]  # lead changes, Sync All
    assert "600 leads of location-04 are loaded" in done.stdout
    assert re.search(r"^600 leads: \d\d? calls, [\d.]+ s.*;$", done.stdout, re.MULTILINE)
    assert "All 720 leads came out right" in done.stdout
    (victim,) = re.findall(r"half the leads are done: (worker \d) is killed", done.stdout)
    assert f"a new {victim} starts" in done.stdout
    assert re.search(rf"the new {victim} took over: 6 and 6 partitions, [\d.]+ s after the kill", done.stdout)
    assert re.fullmatch(rf"{victim}, kill -9; [\d.]+ s later a new one had its partitions", shown["killed"])
    assert done.stderr == ""
    assert gone(tmp_path)
    async with admin_client(KafkaConfig(broker.bootstrap)) as admin:
        (prefix,) = re.findall(r"topics (demo-\w+\.)", done.stdout)
        assert [name for name in await admin.list_topics() if name.startswith(prefix)] == []


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM], ids=["ctrl-c", "sigterm"])
def test_an_interrupted_demo_stops_everything(
    demo: "subprocess.Popen[str]", tmp_path: Path, how: signal.Signals
) -> None:
    demo.send_signal(how)
    output, _ = demo.communicate(timeout=leaves_within_s)

    assert demo.returncode == 1
    assert "Interrupted: everything is stopped." in output
    assert gone(tmp_path)


def test_a_killed_demo_leaves_nothing_running(demo: "subprocess.Popen[str]", tmp_path: Path) -> None:
    demo.kill()

    assert gone(tmp_path)


def test_a_missing_kafka_is_reported_in_a_line(tmp_path: Path) -> None:
    missing = Broker("127.0.0.1:9", "environment")
    done = subprocess.run(
        [sys.executable, "-m", "tests.lab.demo", *small],
        cwd=root,
        env=environ(missing, tmp_path),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert done.returncode == 1
    assert "no answer from 127.0.0.1:9" in done.stdout
    assert "Traceback" not in done.stdout + done.stderr
