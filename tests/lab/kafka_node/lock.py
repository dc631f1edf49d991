"""`python -m tests.lab.kafka_node.lock VERSION > jars.lock` pins the jars of another Kafka.

Not of 4.3.0 to 4.4.0: when a partition is without a leader for a moment, as after a crash of a lone broker, they drop the markers
of a committed transaction, and `read_committed` readers wait for ever (KAFKA-20734). `test_kafka_node.py` kills one and looks.
"""

import hashlib
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from jgo.maven import MavenContext

from tests.lab.kafka_node.jars import answer_within_s, server

logging: Final = "org.slf4j:slf4j-simple:1.7.36"  # of the slf4j-api that Kafka asks for; its warnings are all we want


def lock(version: str, repository: Path) -> Iterator[str]:
    """A line a jar, the server's first: all that Kafka needs to run."""
    context = MavenContext(repo_cache=repository, timeout=answer_within_s)
    asked = [context.create_dependency(coordinate) for coordinate in (f"{server}:{version}", logging)]
    first, further = context.resolver.resolve(asked)
    yield f"# The jars of Kafka {version}: SHA-256, bytes, coordinate. Made by `python -m {__spec__.name} {version}`."
    for one in [*first, *sorted((one for one in further if one.scope in ("compile", "runtime")), key=str)]:
        jar = one.artifact.resolve().read_bytes()
        digest = hashlib.sha256(jar).hexdigest()
        yield f"{digest} {len(jar):>8} {one.groupId}:{one.artifactId}:{one.version}"


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        for line in lock(sys.argv[1], Path(folder)):
            print(line)
