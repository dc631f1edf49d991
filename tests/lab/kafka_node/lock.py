"""Pin the jars of another Kafka: `python -m tests.lab.kafka_node.lock VERSION > jars.lock`.

Don't pin 4.3.0 to 4.4.0. When a partition is without a leader for a moment, as after a crash of a lone broker, they drop the
markers of a committed transaction, and `read_committed` readers wait for ever (KAFKA-20734). `test_kafka_node.py` tests that.
"""

import hashlib
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from jgo.maven import MavenContext

from tests.lab.kafka_node.jars import response_within_s, server_artifact

logging_artifact: Final = (
    "org.slf4j:slf4j-simple:1.7.36"  # of the slf4j-api that Kafka asks for; we only want its warnings
)


def lock(version: str, repository: Path) -> Iterator[str]:
    """Yield a line for each jar that Kafka needs to run, the server's first."""
    context = MavenContext(repo_cache=repository, timeout=response_within_s)
    wanted = [
        context.create_dependency(coordinate) for coordinate in (f"{server_artifact}:{version}", logging_artifact)
    ]
    first, further = context.resolver.resolve(wanted)
    yield f"# The jars of Kafka {version}: SHA-256, bytes, coordinate. Made by `python -m {__spec__.name} {version}`."
    for entry in [*first, *sorted((entry for entry in further if entry.scope in ("compile", "runtime")), key=str)]:
        jar = entry.artifact.resolve().read_bytes()
        digest = hashlib.sha256(jar).hexdigest()
        yield f"{digest} {len(jar):>8} {entry.groupId}:{entry.artifactId}:{entry.version}"


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        for line in lock(sys.argv[1], Path(folder)):
            print(line)
