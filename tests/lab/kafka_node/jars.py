"""The jars of a Kafka server: jgo fetches them once into the user's cache; each is checked against jars.lock before it runs."""

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

from tests.lab.kafka_node.broker import NoKafka, Say

lock_file: Final = Path(__file__).with_name("jars.lock")
server: Final = "org.apache.kafka:kafka_2.13"
downloads_at_once: Final = 8
tries: Final = 3
answer_within_s: Final = 60


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
        """Whether the very bytes of the lock lie there."""
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
    """A jar a line: sha256, size in bytes, group:artifact:version. Raises ValueError naming the line."""
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
    versions = [jar.version for jar in jars if f"{jar.group}:{jar.artifact}" == server]
    if len(versions) != 1:
        raise ValueError(f"{lock_file.name}: names {server} {len(versions)} times")
    return Lock(versions[0], jars)


def cache_folder(environ: Mapping[str, str]) -> Path:
    return Path(environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "hydrant"


def fetch(lock: Lock, cache: Path, say: Say) -> Sequence[Path]:
    """The class path. What isn't there, or not as it should be, is fetched; two processes may do so at once. Raises NoKafka."""
    folder = cache / f"kafka-{lock.version}"
    try:
        if missing(lock.jars, folder):
            folder.mkdir(parents=True, exist_ok=True)
            with alone(folder / ".lock", say):
                if wanted := missing(lock.jars, folder):  # another process may have been first
                    size = sum(jar.size for jar in wanted) / 1_000_000
                    say(f"resolving Kafka {lock.version} ({size:.0f} MB, once)…")
                    download(wanted, folder)
    except OSError as error:
        raise NoKafka(f"{folder}: {error.strerror}; XDG_CACHE_HOME can name another place") from None
    return [folder / jar.name for jar in lock.jars]


def missing(jars: Sequence[Jar], folder: Path) -> Sequence[Jar]:
    return [jar for jar in jars if not jar.is_at(folder / jar.name)]


@contextmanager
def alone(path: Path, say: Say) -> Iterator[None]:
    """One process at a time, and none waits for one that died."""
    with path.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("waiting for another process that resolves Kafka…")
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def download(jars: Sequence[Jar], folder: Path) -> None:
    """Whole and checked, or not there: a jar moves to its place in one step."""
    staging = folder / ".staging"
    shutil.rmtree(staging, ignore_errors=True)  # of a process that died; ours alone under the lock
    try:
        with ThreadPoolExecutor(downloads_at_once) as pool:
            for jar, path in zip(jars, pool.map(lambda jar: resolve(jar, staging), jars), strict=True):
                if not jar.is_at(path):
                    raise NoKafka(
                        f"{jar.coordinate}: the checksum of what was downloaded isn't that of {lock_file.name}; "
                        "it was removed: something on the way changed it, or the lock is out of date"
                    )
                os.replace(path, folder / jar.name)
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def resolve(jar: Jar, repository: Path) -> Path:
    try:
        from jgo.maven import MavenContext
    except ImportError:
        raise NoKafka("Kafka's jars are fetched by jgo: `pip install jgo` brings it") from None
    context = MavenContext(repo_cache=repository, timeout=answer_within_s)
    artifact = context.create_dependency(jar.coordinate).artifact
    for attempt in range(1, tries + 1):
        try:
            return artifact.resolve()
        except (OSError, RuntimeError) as error:  # requests' are OSErrors; jgo's own say which addresses it asked
            if artifact.cached_path:
                artifact.cached_path.unlink(missing_ok=True)  # half a file
            if attempt == tries:
                raise NoKafka(f"{jar.coordinate}: can't be downloaded ({type(error).__name__})") from None
    raise AssertionError("unreachable")
