"""Fetch the jars of a Kafka server with jgo, once, into the user's cache. Each is checked against jars.lock before it runs."""

import fcntl
import hashlib
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.lab.kafka_node.broker import NoKafka, Notify

lock_file: Final = Path(__file__).with_name("jars.lock")
server_artifact: Final = "org.apache.kafka:kafka_2.13"
downloads_at_once: Final = 8
tries: Final = 3
response_within_s: Final = 60


@dataclass(frozen=True, slots=True)
class Jar:
    sha256: str
    size: int  # bytes
    group: str
    artifact: str
    version: str

    @property
    def coordinate(self) -> str:
        return f"{self.group}:{self.artifact}:{self.version}"

    @property
    def name(self) -> str:
        return f"{self.artifact}-{self.version}.jar"

    def is_at(self, path: Path) -> bool:
        """Return True if the file there has the checksum of the lock."""
        try:
            with path.open("rb") as file:
                return hashlib.file_digest(file, "sha256").hexdigest() == self.sha256
        except FileNotFoundError:
            return False


@dataclass(frozen=True, slots=True)
class Lock:
    version: str  # of Kafka
    jars: Sequence[Jar]


def read_lock(text: str) -> Lock:
    """Read a jar a line: sha256, size in bytes, group:artifact:version. Raise ValueError, which names the line."""
    jars: list[Jar] = []
    for number, line in enumerate(text.splitlines(), 1):
        if line.strip() and not line.startswith("#"):
            try:
                sha256, size, coordinate = line.split()
                group, artifact, version = coordinate.split(":")
                if len(bytes.fromhex(sha256)) != hashlib.sha256().digest_size:
                    raise ValueError("the checksum isn't a SHA-256")
                jars.append(Jar(sha256, int(size), group, artifact, version))
            except ValueError as wrong:
                raise ValueError(f"{lock_file.name}: line {number}: {wrong}") from None
    versions = [jar.version for jar in jars if f"{jar.group}:{jar.artifact}" == server_artifact]
    if len(versions) != 1:
        raise ValueError(f"{lock_file.name}: names {server_artifact} {len(versions)} times")
    return Lock(versions[0], jars)


def cache_folder(environ: Mapping[str, str]) -> Path:
    return Path(environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "hydrant"


def fetch(lock: Lock, cache: Path, notify: Notify) -> Sequence[Path]:
    """Fetch the jars that are missing or changed, and return the class path. Two processes may do so at once. Raise NoKafka."""
    folder = cache / f"kafka-{lock.version}"
    try:
        if missing(lock.jars, folder):
            folder.mkdir(parents=True, exist_ok=True)
            with exclusive(folder / ".lock", notify):
                if wanted := missing(lock.jars, folder):  # another process may have been first
                    size = sum(jar.size for jar in wanted) / 1_000_000
                    notify(f"resolving Kafka {lock.version} ({size:.0f} MB, once)…")
                    download(wanted, folder)
    except OSError as error:
        raise NoKafka(f"{folder}: {error.strerror}; XDG_CACHE_HOME can name another place") from None
    return [folder / jar.name for jar in lock.jars]


def missing(jars: Sequence[Jar], folder: Path) -> Sequence[Jar]:
    return [jar for jar in jars if not jar.is_at(folder / jar.name)]


@contextmanager
def exclusive(path: Path, notify: Notify) -> Iterator[None]:
    """Hold a lock on the file, so that one process at a time is in the block. A process that dies gives its lock back."""
    with path.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            notify("waiting for another process that resolves Kafka…")
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def download(jars: Sequence[Jar], folder: Path) -> None:
    """Download and check the jars. A jar moves to its place in one step, so it is whole there or missing."""
    staging = folder / ".staging"
    shutil.rmtree(staging, ignore_errors=True)  # left by a process that died; only we use it under the lock
    try:
        with ThreadPoolExecutor(downloads_at_once) as pool:
            for jar, path in zip(jars, pool.map(lambda jar: resolve(jar, staging), jars), strict=True):
                if not jar.is_at(path):
                    raise NoKafka(
                        f"{jar.coordinate}: the checksum of the download isn't that of {lock_file.name}; "
                        "the download was removed: it was changed on its way, or the lock is out of date"
                    )
                os.replace(path, folder / jar.name)
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def resolve(jar: Jar, repository: Path) -> Path:
    try:
        from jgo.maven import MavenContext
    except ImportError:
        raise NoKafka("Kafka's jars are fetched by jgo: `pip install jgo` brings it") from None
    context = MavenContext(repo_cache=repository, timeout=response_within_s)
    artifact = context.create_dependency(jar.coordinate).artifact
    for attempt in range(1, tries + 1):
        try:
            return artifact.resolve()
        except (OSError, RuntimeError) as error:  # requests' are OSErrors; jgo's own errors name hosts
            if artifact.cached_path:
                artifact.cached_path.unlink(missing_ok=True)  # half a file
            if attempt == tries:
                raise NoKafka(f"{jar.coordinate}: can't be downloaded ({type(error).__name__})") from None
    raise AssertionError("unreachable")
