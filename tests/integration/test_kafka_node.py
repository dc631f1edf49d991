"""Test that the KRaft node serves, keeps its data across a crash, and ends with its owner however the owner ends."""

import asyncio
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from tests.lab.kafka_node import Node, NoKafka, leash, node
from tests.lab.kafka_node.broker import takes_requests
from tests.lab.kafka_node.jars import Lock, fetch, lock_file, read_lock
from tests.lab.kafka_node.kraft import free_ports

owner = """
import sys, time
from tests.lab.kafka_node import node
with node() as mine:
    print(mine.pid, mine.folder, flush=True)
    time.sleep(600)
"""


@pytest.fixture(scope="module")
def mine() -> Iterator[Node]:
    with node() as running:
        yield running


async def test_what_was_committed_survives_a_crash(mine: Node, topic_prefix: str) -> None:
    """After a restart on the same port, the broker shows a committed record to `read_committed` readers.

    A broker that is killed before a transaction's marker is written must write the marker later. (KAFKA-20734: Kafka 4.3
    forgets it one time in three.)
    """
    topic = f"{topic_prefix}topic"
    admin = AIOKafkaAdminClient(bootstrap_servers=mine.bootstrap)
    await admin.start()
    await admin.create_topics([NewTopic(topic, 1, 1)])
    await admin.close()
    producer = AIOKafkaProducer(bootstrap_servers=mine.bootstrap, transactional_id=topic)
    await producer.start()
    async with producer.transaction():
        await producer.send_and_wait(topic, b"kept")
    await producer.stop()

    before = mine.pid
    mine.kill()
    assert not takes_requests("127.0.0.1", mine.port)
    mine.start()

    assert mine.pid not in (None, before)
    consumer = AIOKafkaConsumer(bootstrap_servers=mine.bootstrap, isolation_level="read_committed")
    await consumer.start()
    consumer.assign([TopicPartition(topic, 0)])
    await consumer.seek_to_beginning()
    async with asyncio.timeout(20):
        assert (await consumer.getone()).value == b"kept"
    await consumer.stop()


def test_two_nodes_run_side_by_side(mine: Node) -> None:
    """Each has its own ports and data."""
    with node() as other:
        assert other.bootstrap != mine.bootstrap
        assert takes_requests("127.0.0.1", other.port)
        folder, pid = other.folder, other.pid
    assert gone(pid)
    assert not folder.exists()
    assert takes_requests("127.0.0.1", mine.port)


def test_a_node_ends_with_its_killed_owner() -> None:
    """After kill -9 of the process that started it, neither the JVM nor its folder is left."""
    with subprocess.Popen([sys.executable, "-c", owner], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        pid, folder = process.stdout.readline().split()
        assert not gone(int(pid))
        process.kill()

    wait_until(lambda: gone(int(pid)) and not Path(folder).exists())


def test_a_child_ends_with_its_owner_though_the_pipe_stays_open(tmp_path: Path) -> None:
    """A process forked from the owner may hold the pipe for ever, so the leash looks at the owner itself, too."""
    folder, child = tmp_path / "folder", tmp_path / "child"
    folder.mkdir()
    held, pipe = os.pipe()
    start = f"""
import os, subprocess, sys, time
leash = subprocess.Popen(
    [sys.executable, {leash.__file__!r}, {str(folder)!r}, str(os.getpid()), "remove"], stdin={held}, stdout=subprocess.PIPE
)
open({str(child)!r}, "wb").write(leash.stdout.readline())
time.sleep(600)
"""
    with subprocess.Popen([sys.executable, "-c", start], pass_fds=[held]) as process:
        os.write(pipe, b'run ["sleep", "600"]\n')
        wait_until(lambda: child.exists() and child.read_text().startswith("running"))
        process.kill()

    wait_until(lambda: gone(int(child.read_text().split()[1])) and not folder.exists())
    os.close(held)
    os.close(pipe)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ends a process with its parent")
def test_a_child_ends_with_its_killed_leash(tmp_path: Path) -> None:
    """No child runs on without its leash."""
    command = [sys.executable, leash.__file__, str(tmp_path), str(os.getpid()), "keep"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdin
        assert holder.stdout
        holder.stdin.write(b'run ["sleep", "600"]\n')
        holder.stdin.flush()
        pid = int(holder.stdout.readline().split()[1])
        assert not gone(pid)
        holder.kill()

    wait_until(lambda: gone(pid))


def test_a_server_that_cannot_start_shows_its_log(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its port is taken; the last lines of its log are in the error."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        monkeypatch.setattr("tests.lab.kafka_node.kraft.free_ports", lambda _: [taken.getsockname()[1], *free_ports(1)])
        with pytest.raises(NoKafka) as error, node():
            pass

    message = str(error.value)
    assert message.startswith("Kafka didn't start; the last lines of its log:\n")
    assert "Address already in use" in message


def test_another_checksum_is_refused(tmp_path: Path) -> None:
    """A jar that differs from the lock is neither run nor kept."""
    with pytest.raises(NoKafka, match=r"^org\.jspecify:jspecify:1\.0\.0: the checksum of the download"):
        fetch(small(sha256="00" * 32), tmp_path, print)

    assert not list(tmp_path.rglob("*.jar"))


def test_two_processes_may_resolve_at_once(tmp_path: Path) -> None:
    """One downloads, the other waits and finds all jars; a spoilt jar is fetched anew."""
    notes: list[str] = []
    lock = small()
    with ThreadPoolExecutor(2) as pool:
        (first,), (second,) = pool.map(lambda _: fetch(lock, tmp_path, notes.append), range(2))

    assert first == second
    assert sum("resolving" in note for note in notes) == 1
    first.write_bytes(b"spoilt")
    fetch(lock, tmp_path, notes.append)
    assert lock.jars[0].is_at(first)


def test_a_port_without_a_broker_is_not_ready() -> None:
    """That is no error."""
    assert not takes_requests("127.0.0.1", *free_ports(1))


def small(sha256: str | None = None) -> Lock:
    """Return a lock with the smallest jar alone."""
    lock = read_lock(lock_file.read_text())
    jar = min(lock.jars, key=lambda jar: jar.size)
    return replace(lock, jars=[replace(jar, sha256=sha256 or jar.sha256)])


def gone(pid: int | None) -> bool:
    """Return True if no such process runs. A process that only waits to be collected counts as gone."""
    try:
        return pid is None or Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] in "ZX"
    except FileNotFoundError:
        return True


def wait_until(reached: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 15
    while not reached():
        assert time.monotonic() < deadline
        time.sleep(0.05)
