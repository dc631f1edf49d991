"""Run a single KRaft node on this machine: broker and controller in one JVM, with a folder that is removed when its owner ends."""

import base64
import os
import random
import signal
import socket
import tempfile
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from tests.lab.kafka_node.broker import Broker, NoKafka, Notify, broker_settings, ignore_note, takes_requests
from tests.lab.kafka_node.jars import cache_folder, fetch, lock_file, read_lock
from tests.lab.kafka_node.java import find_java
from tests.lab.kafka_node.leash import Leash, LeashBroken

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
    """Run a node that a test may `kill` or `stop`, and `start` again with the same data and port. They block: use a thread."""

    def __init__(self, folder: Path, java: Path, class_path: Sequence[Path]) -> None:
        self.port, controller = free_ports(2)
        super().__init__(f"127.0.0.1:{self.port}", "kraft node")
        self.folder = folder
        self._log = folder / "server.log"
        self._java = [str(java), *jvm, "-cp", os.pathsep.join(map(str, class_path))]
        self._properties = folder / "server.properties"
        self._properties.write_text(
            "".join(f"{name}={value}\n" for name, value in {**broker_settings, **self._addresses(controller)}.items())
        )
        self._leash = Leash(folder, self._log)

    def _addresses(self, controller: int) -> Mapping[str, str]:
        return {
            "listeners": f"CLIENT://{self.bootstrap},CONTROLLER://127.0.0.1:{controller}",
            "advertised.listeners": f"CLIENT://{self.bootstrap}",
            "controller.quorum.voters": f"1@127.0.0.1:{controller}",
            "log.dirs": str(self.folder / "data"),
        }

    @property
    def pid(self) -> int | None:
        """Return the process id of its JVM while that runs."""
        return self._leash.pid

    def format(self) -> None:
        """Format its storage, once, before its first start."""
        cluster = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
        # with "=": one cluster id in 64 begins with a dash
        self._run("kafka.tools.StorageTool", "format", f"--cluster-id={cluster}", "-c", str(self._properties))
        deadline = time.monotonic() + format_within_s
        while (code := self._leash.exit_code) != 0:
            if code is not None or time.monotonic() > deadline:
                raise self._failed("Kafka couldn't format its storage")
            time.sleep(look_every_s)

    def start(self) -> None:
        """Start it and return once it takes requests. After a kill its old registration must run out first, 4 s. Raise NoKafka."""
        self._run("kafka.Kafka", str(self._properties))
        deadline = time.monotonic() + ready_within_s
        while not takes_requests("127.0.0.1", self.port):
            if self.pid is None:
                raise self._failed("Kafka didn't start")
            if time.monotonic() > deadline:
                raise self._failed(f"Kafka wasn't ready after {ready_within_s:.0f} s")
            time.sleep(look_every_s)

    def stop(self) -> None:
        """End it in good order."""
        self._leash.end(signal.SIGTERM)

    def kill(self) -> None:
        """End it as a crash does, by SIGKILL."""
        self._leash.end(signal.SIGKILL)

    def close(self) -> None:
        """Kill its JVM and remove its folder."""
        self._leash.close()

    def _run(self, *command: str) -> None:
        try:
            self._leash.run(*self._java, *command)
        except LeashBroken:
            raise self._failed("the process that holds Kafka has ended") from None

    def _failed(self, what: str) -> NoKafka:
        last = self._log.read_text(errors="replace").splitlines()[-20:] if self._log.exists() else []
        return NoKafka("\n".join([f"{what}; the last lines of its log:", *last]))


@contextmanager
def node(notify: Notify = ignore_note, environ: Mapping[str, str] = os.environ) -> Iterator[Node]:
    """Run a node until the end of the block. Any number of them can run on one machine. Raise NoKafka."""
    java = find_java(environ)
    lock = read_lock(lock_file.read_text())
    class_path = fetch(lock, cache_folder(environ), notify)
    notify(f"starting Kafka {lock.version} on Java {java.version}…")
    running = Node(Path(tempfile.mkdtemp(prefix="hydrant-kafka-")), java.path, class_path)
    try:
        running.format()
        running.start()
        yield running
    finally:
        running.close()


def free_ports(wanted: int) -> Sequence[int]:
    """Return different ports that nothing listens on."""
    free: set[int] = set()
    while len(free) < wanted:
        port = random.choice(ports)
        with suppress(OSError), socket.socket() as probe:
            probe.bind(("127.0.0.1", port))
            free.add(port)
    return list(free)
