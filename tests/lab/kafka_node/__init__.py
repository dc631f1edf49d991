"""Kafka without ceremony, for the demo and the tests: one that is there, else Docker's, else a node that needs but Python.

`broker` says what all of them are · `docker` has a container run · `kraft` is a JVM of our own: its `jars` are checked
against jars.lock (which `lock` makes), `java` finds what runs them, and a `leash` ends it with its owner.
"""

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager

from tests.lab.kafka_node.broker import Broker, NoKafka, Origin, Say, quiet
from tests.lab.kafka_node.docker import container, engine_answers
from tests.lab.kafka_node.kraft import Node, node

__all__ = ["Broker", "NoKafka", "Node", "Origin", "kafka", "node", "origin"]


@contextmanager
def kafka(say: Say = quiet, environ: Mapping[str, str] = os.environ) -> Iterator[Broker]:
    """A broker that is ours to use until the end of the block. Blocks for seconds, the first time for longer.

    `say` hears what takes a while. Raises NoKafka.
    """
    with ExitStack() as stack:
        match origin(environ, engine_answers):
            case "environment":
                broker = Broker(environ["KAFKA_BOOTSTRAP_SERVERS"], "environment")
            case "docker":
                try:
                    broker = stack.enter_context(container(say))
                except NoKafka as why:  # an engine without a way to the image, say
                    say(f"{why}; doing without")
                    broker = stack.enter_context(node(say, environ))
            case "kraft node":
                broker = stack.enter_context(node(say, environ))
        yield broker


def origin(environ: Mapping[str, str], docker: Callable[[], bool]) -> Origin:
    """Where the broker comes from. Docker is asked only when the environment names none."""
    if environ.get("KAFKA_BOOTSTRAP_SERVERS"):
        return "environment"
    return "docker" if docker() else "kraft node"
