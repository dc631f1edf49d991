"""A single KRaft node on this machine: broker and controller in one JVM, data in a folder of its own, both gone with their owner."""

import base64
import json
import os
import random
import signal
import socket
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from tests.lab.kafka_node import leash
from tests.lab.kafka_node.broker import Broker, NoKafka, Say, answers, quiet, usual
from tests.lab.kafka_node.jars import cache_folder, fetch, lock_file, read_lock
from tests.lab.kafka_node.java import find_java

ports: Final = range(15_000, 32_000)  # below those of outgoing connections: one could take the port of a killed node
format_within_s: Final = 60.0
ready_within_s: Final = 120.0  # on a busy machine; 2 s on a quiet one
look_every_s: Final = 0.05
jvm: Final = (
    "-Xms128m",
    "-Xmx512m",
    "-XX:+UseSerialGC",
    "-XX:TieredStopAtLevel=1",  # it lives for seconds or minutes: measured, this starts sooner and takes less CPU
    "-XX:-UsePerfData",  # a killed JVM would leave its file behind
    "-XX:+ExitOnOutOfMemoryError",
    "-Djava.io.tmpdir=.",  # native libraries are unpacked there
    "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
)


class Node(Broker):
    """`kill`, `stop`, then `start` again, for fault tests: same data, same port. They block, so call them in a thread."""

    def __init__(self, folder: Path, java: Path, class_path: Sequence[Path]) -> None:
        self.port, controller = free_ports(2)
        super().__init__(f"127.0.0.1:{self.port}", "kraft node")
        self.folder = folder
        self._log = folder / "server.log"
        self._java = [str(java), *jvm, "-cp", os.pathsep.join(map(str, class_path))]
        self._properties = folder / "server.properties"
        self._properties.write_text(
            "".join(f"{name}={value}\n" for name, value in {**usual, **self._places(controller)}.items())
        )
        with self._log.open("wb") as log:
            self._leash = subprocess.Popen(
                [sys.executable, "-I", "-S", leash.__file__, str(folder), str(os.getpid())],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                start_new_session=True,  # Ctrl-C is the owner's to handle
            )

    def _places(self, controller: int) -> Mapping[str, str]:
        return {
            "listeners": f"CLIENT://{self.bootstrap},CONTROLLER://127.0.0.1:{controller}",
            "advertised.listeners": f"CLIENT://{self.bootstrap}",
            "controller.quorum.voters": f"1@127.0.0.1:{controller}",
            "log.dirs": str(self.folder / "data"),
        }

    @property
    def pid(self) -> int | None:
        """Of its JVM, while that runs."""
        how, _, which = self._ask("look").partition(" ")
        return int(which) if how == "running" else None

    def format(self) -> None:
        """Once, before its first start."""
        cluster = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
        # with "=": one cluster id in 64 begins with a dash
        self._run("kafka.tools.StorageTool", "format", f"--cluster-id={cluster}", "-c", str(self._properties))
        deadline = time.monotonic() + format_within_s
        while (standing := self._ask("look")) != "ended 0":
            if not standing.startswith("running") or time.monotonic() > deadline:
                raise self._failed("Kafka couldn't format its storage")
            time.sleep(look_every_s)

    def start(self) -> None:
        """Returns once it takes requests; after a kill its old registration must run out first, 4 s. Raises NoKafka."""
        self._run("kafka.Kafka", str(self._properties))
        deadline = time.monotonic() + ready_within_s
        while not answers("127.0.0.1", self.port):
            if self.pid is None:
                raise self._failed("Kafka didn't start")
            if time.monotonic() > deadline:
                raise self._failed(f"Kafka wasn't ready after {ready_within_s:.0f} s")
            time.sleep(look_every_s)

    def stop(self) -> None:
        """In good order."""
        self._ask(f"end {signal.SIGTERM:d}")

    def kill(self) -> None:
        """As by a crash: SIGKILL."""
        self._ask(f"end {signal.SIGKILL:d}")

    def close(self) -> None:
        """For good: its JVM is killed, its folder removed."""
        self._leash.communicate()

    def _run(self, *command: str) -> None:
        self._ask(f"run {json.dumps([*self._java, *command])}")

    def _ask(self, question: str) -> str:
        assert self._leash.stdin
        assert self._leash.stdout
        try:
            self._leash.stdin.write(f"{question}\n".encode())
            self._leash.stdin.flush()
            answer = self._leash.stdout.readline().decode()
        except BrokenPipeError:
            answer = ""
        if not answer:
            raise self._failed("the process that holds Kafka has ended")
        return answer.strip()

    def _failed(self, what: str) -> NoKafka:
        last = self._log.read_text(errors="replace").splitlines()[-20:] if self._log.exists() else []
        return NoKafka("\n".join([f"{what}; the last lines of its log:", *last]))


@contextmanager
def node(say: Say = quiet, environ: Mapping[str, str] = os.environ) -> Iterator[Node]:
    """A node of our own until the end of the block; any number of them get along on one machine. Raises NoKafka."""
    java = find_java(environ)
    lock = read_lock(lock_file.read_text())
    class_path = fetch(lock, cache_folder(environ), say)
    say(f"starting Kafka {lock.version} on Java {java.version}…")
    running = Node(Path(tempfile.mkdtemp(prefix="hydrant-kafka-")), java.path, class_path)
    try:
        running.format()
        running.start()
        yield running
    finally:
        running.close()


def free_ports(wanted: int) -> Sequence[int]:
    """Different ones that nothing listens on."""
    free: set[int] = set()
    while len(free) < wanted:
        port = random.choice(ports)
        with suppress(OSError), socket.socket() as probe:
            probe.bind(("127.0.0.1", port))
            free.add(port)
    return list(free)
