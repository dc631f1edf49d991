"""Kafka as a container, where a Docker engine answers. testcontainers removes it, also when its owner is killed."""

import base64
import time
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from typing import TYPE_CHECKING, Final

from tests.lab.kafka_node.broker import Broker, NoKafka, Say, answers, usual
from tests.lab.kafka_node.jars import lock_file, read_lock

if TYPE_CHECKING:
    from testcontainers.core.container import DockerContainer

engine_within_s: Final = 5
ready_within_s: Final = 120.0
look_every_s: Final = 0.1
inside: Final = 9092  # the port in the container
told: Final = "/tmp/advertised"  # which port Docker gives it outside is known only once it runs
command: Final = f"until [ -f {told} ]; do sleep 0.1; done; . {told}; exec /etc/kafka/docker/run"


def engine_answers() -> bool:
    """A client alone, as many machines have it, is not enough."""
    try:
        from testcontainers.core.docker_client import DockerClient

        return bool(DockerClient(timeout=engine_within_s).client.ping())
    except Exception:  # docker's, requests' or the system's own: each means that there is none to use
        return False


@contextmanager
def container(say: Say) -> Iterator[Broker]:
    """Raises NoKafka when Docker can't run it."""
    from testcontainers.core.container import DockerContainer

    version = read_lock(lock_file.read_text()).version
    say(f"starting Kafka {version} in Docker (its image is pulled once)…")
    with ExitStack() as stack:
        try:
            served = DockerContainer(f"apache/kafka:{version}", env=environment(), ports=[inside])
            stack.callback(remove, served)
            served.with_command(["sh", "-c", command]).start()
            host, port = served.get_container_host_ip(), served.get_exposed_port(inside)
            line = f"export KAFKA_ADVERTISED_LISTENERS=CLIENT://{host}:{port}"
            served.exec(["sh", "-c", f"echo {line} > {told}.new && mv {told}.new {told}"])
            wait_for(host, port)
        except Exception as error:  # whatever docker, requests or testcontainers raise
            raise NoKafka(f"Docker can't run Kafka: {type(error).__name__}") from error
        yield Broker(f"{host}:{port}", "docker")


def environment() -> dict[str, str]:
    """The broker's settings as its image takes them."""
    settings = {
        **usual,
        "listeners": f"CLIENT://0.0.0.0:{inside},CONTROLLER://127.0.0.1:9093",
        "controller.quorum.voters": "1@127.0.0.1:9093",
    }
    return {
        **{f"KAFKA_{name.upper().replace('.', '_')}": value for name, value in settings.items()},
        "KAFKA_HEAP_OPTS": "-Xmx512m",
        "CLUSTER_ID": base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("="),
    }


def wait_for(host: str, port: int) -> None:
    deadline = time.monotonic() + ready_within_s
    while not answers(host, port):
        if time.monotonic() > deadline:
            raise TimeoutError
        time.sleep(look_every_s)


def remove(served: "DockerContainer") -> None:
    with suppress(Exception):  # the engine is gone, say; testcontainers' reaper comes after us
        served.stop()
