"""Run Kafka as a container where a Docker engine responds. testcontainers removes it, also when its owner is killed."""

import base64
import time
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from typing import TYPE_CHECKING, Final

from tests.lab.kafka_node.broker import Broker, NoKafka, Notify, broker_settings, takes_requests
from tests.lab.kafka_node.jars import lock_file, read_lock

if TYPE_CHECKING:
    from testcontainers.core.container import DockerContainer

engine_within_s: Final = 5
ready_within_s: Final = 120.0
look_every_s: Final = 0.1
inner_port: Final = 9092  # in the container
advertised: Final = "/tmp/advertised"  # the outer port, which Docker gives only once the container runs
command: Final = f"until [ -f {advertised} ]; do sleep 0.1; done; . {advertised}; exec /etc/kafka/docker/run"


def docker_available() -> bool:
    """Return True if an engine responds. Many machines have a client alone, which is not enough."""
    try:
        from testcontainers.core.docker_client import DockerClient

        return bool(DockerClient(timeout=engine_within_s).client.ping())
    except Exception:  # docker's, requests' or the system's own: each means that there is no engine to use
        return False


@contextmanager
def container(notify: Notify) -> Iterator[Broker]:
    """Run Kafka until the end of the block. Raise NoKafka if Docker can't run it."""
    from testcontainers.core.container import DockerContainer

    version = read_lock(lock_file.read_text()).version
    notify(f"starting Kafka {version} in Docker (its image is pulled once)…")
    with ExitStack() as stack:
        try:
            running = DockerContainer(f"apache/kafka:{version}", env=environment(), ports=[inner_port])
            stack.callback(remove, running)
            running.with_command(["sh", "-c", command]).start()
            host, port = running.get_container_host_ip(), running.get_exposed_port(inner_port)
            line = f"export KAFKA_ADVERTISED_LISTENERS=CLIENT://{host}:{port}"
            running.exec(["sh", "-c", f"echo {line} > {advertised}.new && mv {advertised}.new {advertised}"])
            wait_for(host, port)
        except Exception as error:  # docker, requests and testcontainers raise errors of many kinds
            raise NoKafka(f"Docker can't run Kafka: {type(error).__name__}") from error
        yield Broker(f"{host}:{port}", "docker")


def environment() -> dict[str, str]:
    """Return the broker's settings as its image takes them."""
    settings = {
        **broker_settings,
        "listeners": f"CLIENT://0.0.0.0:{inner_port},CONTROLLER://127.0.0.1:9093",
        "controller.quorum.voters": "1@127.0.0.1:9093",
    }
    return {
        **{f"KAFKA_{name.upper().replace('.', '_')}": value for name, value in settings.items()},
        "KAFKA_HEAP_OPTS": "-Xmx512m",
        "CLUSTER_ID": base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("="),
    }


def wait_for(host: str, port: int) -> None:
    deadline = time.monotonic() + ready_within_s
    while not takes_requests(host, port):
        if time.monotonic() > deadline:
            raise TimeoutError
        time.sleep(look_every_s)


def remove(running: "DockerContainer") -> None:
    with suppress(Exception):  # for example, the engine is gone; testcontainers' reaper comes after us
        running.stop()
