"""Provide a real Kafka for the demo and the tests: a given one, else Docker's, else a node that needs only Python.

`broker` describes all of them · `docker` runs a container · `kraft` runs a JVM of our own: its `jars` are checked against
jars.lock (which `lock` writes), `java` finds the Java that runs them, and a `leash` ends it with its owner.
"""

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager

from tests.lab.kafka_node.broker import Broker, NoKafka, Notify, Origin, ignore_note
from tests.lab.kafka_node.docker import container, docker_available
from tests.lab.kafka_node.kraft import Node, node

__all__ = ["Broker", "NoKafka", "Node", "Origin", "kafka", "node", "origin"]


@contextmanager
def kafka(notify: Notify = ignore_note, environ: Mapping[str, str] = os.environ) -> Iterator[Broker]:
    """Provide a broker until the end of the block. Block for seconds, the first time for longer. Raise NoKafka."""
    with ExitStack() as stack:
        match origin(environ, docker_available):
            case "environment":
                broker = Broker(environ["KAFKA_BOOTSTRAP_SERVERS"], "environment")
            case "docker":
                try:
                    broker = stack.enter_context(container(notify))
                except NoKafka as why:  # for example, an engine that can't pull the image
                    notify(f"{why}; doing without")
                    broker = stack.enter_context(node(notify, environ))
            case "kraft node":
                broker = stack.enter_context(node(notify, environ))
        yield broker


def origin(environ: Mapping[str, str], docker: Callable[[], bool]) -> Origin:
    """Return where the broker comes from. Call `docker` only if the environment names no broker."""
    if environ.get("KAFKA_BOOTSTRAP_SERVERS"):
        return "environment"
    return "docker" if docker() else "kraft node"
