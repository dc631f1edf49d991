"""Describe a Kafka broker, the settings of a broker of our own, and the check that a broker takes requests."""

import socket
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, Literal

Origin = Literal["environment", "docker", "kraft node"]
Notify = Callable[[str], None]  # is called with a line about each step that takes a while


class NoKafka(Exception):
    """Raised where nothing can serve as Kafka. The message names what was tried, and what helps."""


@dataclass
class Broker:
    bootstrap: str  # host:port, or several with commas between
    origin: Origin


broker_settings: Final[Mapping[str, str]] = {
    "node.id": "1",
    "process.roles": "broker,controller",
    "listener.security.protocol.map": "CLIENT:PLAINTEXT,CONTROLLER:PLAINTEXT",
    "inter.broker.listener.name": "CLIENT",
    "controller.listener.names": "CONTROLLER",
    "offsets.topic.replication.factor": "1",
    "offsets.topic.num.partitions": "5",  # each costs files and time at the start
    "transaction.state.log.replication.factor": "1",
    "transaction.state.log.min.isr": "1",
    "transaction.state.log.num.partitions": "5",
    "group.initial.rebalance.delay.ms": "0",  # a group of one needn't wait for others
    "group.min.session.timeout.ms": "1000",  # tests kill members and don't want to wait for 6 s
    "auto.create.topics.enable": "false",  # a misspelt topic is an error
    "broker.session.timeout.ms": "4000",  # a killed broker can't register anew before, 9 s by default
    "broker.heartbeat.interval.ms": "500",
    "log.cleaner.dedupe.buffer.size": str(16 * 1024 * 1024),  # bytes, of the heap; 128 MiB by default
}


def ignore_note(_: str) -> None:
    pass


def takes_requests(host: str, port: int, within_s: float = 2.0) -> bool:
    """Return True if a broker takes requests there. KRaft's broker does once it is registered and unfenced."""
    api_versions, version, correlation, no_client = 18, 0, 7, -1
    request = struct.pack(">hhih", api_versions, version, correlation, no_client)
    try:
        with socket.create_connection((host, port), timeout=within_s) as connection:
            connection.sendall(struct.pack(">i", len(request)) + request)
            head = connection.recv(10, socket.MSG_WAITALL)  # size, correlation, error code
    except OSError:
        return False
    return len(head) == 10 and struct.unpack(">ih", head[4:]) == (correlation, 0)
