"""Test that a failing or misconfigured Kafka costs time only: nothing is lost or repeated, and stopping is bounded.

The node is this file's own. Tests kill and stop it and leave it running, except for the last test.
"""

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from aiokafka import errors
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from processor.engine.ports import Broken
from processor.kafka import KafkaConfig, KafkaLog, Tail, admin_client, create_topics
from processor.shard.store import OutRecord
from processor.topics import home, message_max_bytes, prefixed
from tests.integration.canaries import made_up, marks, places
from tests.integration.topic_operations import delete_records, recreate_topic
from tests.integration.trial import Trial, trial
from tests.lab.harness.process import pause_process, wait_until
from tests.lab.harness.worker import WorkerProcess
from tests.lab.kafka_node import Node, node

stops_within_s = 12  # SIGTERM: 10 s, and a little for a busy machine


@pytest.fixture(scope="module")
def mortal() -> Iterator[Node]:
    with node() as running:
        yield running


@pytest.fixture
async def here(mortal: Node, topic_prefix: str, tmp_path: Path) -> AsyncIterator[Trial]:
    async with trial(mortal.bootstrap, topic_prefix, tmp_path, partitions=2) as made:
        yield made


async def test_a_broker_that_dies_under_a_backlog_and_comes_back_costs_time_only(here: Trial, mortal: Node) -> None:
    """It is killed by SIGKILL while turns commit and calls are in flight, some of them for requests."""
    leads = [lead for each, place in enumerate(places(4, 2)) for lead in made_up(place, 50, 1000 * each)]
    requests = [f"request-{lead.number}" for lead in leads[::40]]
    worker = here.start_worker("only", here.start_highlevel(leads))
    await here.wait_until_shared(worker)
    await here.publish([lead.change() for lead in leads])
    await here.wait_for_results(20)
    await here.publish([lead.sync(request) for lead, request in zip(leads[::40], requests, strict=True)])
    await asyncio.to_thread(mortal.kill)
    await asyncio.to_thread(mortal.start)
    await here.wait_for_leads(leads, requests)

    assert [] == await here.flaws(leads, requests)


async def test_a_broker_that_dies_amidst_commits_has_done_all_of_each_or_nothing(
    mortal: Node, topic_prefix: str
) -> None:
    """One log's commit never reaches the broker, and the response to the other's is lost.

    We can't distinguish them until both logs are opened anew. Then the results agree with the changelog.
    """
    config, stands = KafkaConfig(mortal.bootstrap, prefix=topic_prefix), asyncio.Barrier(2)
    await create_topics(config, 2, 1)
    logs = [KafkaLog(config, partition) for partition in range(2)]
    for log in logs:
        await log.open()
        await log.commit(*turn(1))
    end = logs[1]._producer.commit_transaction

    async def not_received() -> None:
        await stands.wait()
        mortal.kill()
        raise errors.KafkaConnectionError

    async def not_confirmed() -> None:
        await end()
        await stands.wait()
        raise errors.KafkaConnectionError

    logs[0]._producer.commit_transaction, logs[1]._producer.commit_transaction = not_received, not_confirmed
    failures = await asyncio.gather(*(log.commit(*turn(2)) for log in logs), return_exceptions=True)
    begin = time.monotonic()
    await asyncio.gather(*(log.close() for log in logs))
    took_s = time.monotonic() - begin
    await asyncio.to_thread(mortal.start)
    found = [await reopen(config, partition, 2) for partition in range(2)]

    assert ["commit: KafkaConnectionError, its outcome is unknown"] * 2 == [str(failure) for failure in failures]
    assert [["turn 1"], ["turn 1", "turn 2"]] == found
    assert [[b"turn 1", b"turn 2"]] * 2 == [await results(config, partition) for partition in range(2)]
    assert took_s < 5


async def test_a_broker_that_hangs_amidst_a_commit_has_done_all_of_it_or_nothing(
    mortal: Node, topic_prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It commits when it resumes, long after we gave up, or never."""
    monkeypatch.setattr("processor.kafka.partition_log.commit_within_s", 1.5)
    config, pid = KafkaConfig(mortal.bootstrap, prefix=topic_prefix), mortal.pid
    assert pid is not None
    await create_topics(config, 1, 1)
    log = KafkaLog(config, 0)
    await log.open()
    await log.commit(*turn(1))
    end = log._producer.commit_transaction

    async def hang() -> None:
        pause_process(pid)
        await end()

    log._producer.commit_transaction = hang
    try:
        with pytest.raises(Broken, match="its outcome is unknown"):
            await log.commit(*turn(2))
        await log.close()
    finally:
        os.kill(pid, signal.SIGCONT)
    found = await reopen(config, 0, 2)

    assert found in (["turn 1"], ["turn 1", "turn 2"])
    assert [b"turn 1", b"turn 2"] == await results(config, 0)


async def test_results_that_kafka_refuses_come_once_it_takes_them(here: Trial) -> None:
    """A batch that fails takes its whole transaction with it. The responses are ingested again, and no call is repeated."""
    leads = made_up(places(1, 2)[0], 20)
    highlevel = here.start_highlevel(leads)
    worker = here.start_worker("only", highlevel)
    await here.wait_until_shared(worker)
    await alter(here.config, "lead.updates", **{"max.message.bytes": "200"})
    await here.publish([lead.change() for lead in leads])
    await wait_until(lambda: len(worker.log_events("broken")) >= 2, 60, lambda: "the worker logged nothing")
    refused = {note["why"] for note in worker.log_events("broken")}
    seen = [record for record in here.outputs if record.topic != "location.status"]
    await alter(here.config, "lead.updates", **{"max.message.bytes": str(message_max_bytes)})
    await here.wait_for_leads(leads)

    assert {"commit: MessageSizeTooLargeError"} == refused
    assert [] == seen
    assert len(leads) == highlevel.call_count()
    assert [] == await here.flaws(leads)


async def test_input_that_was_cut_off_or_made_anew_is_read_from_its_start(here: Trial) -> None:
    """It also raises an alert, as events may be lost."""
    place = places(1, 2)[0]
    leads, request = made_up(place, 40), "request-1"
    before, lost, after = leads[:10], leads[10:15], leads[15:]
    highlevel = here.start_highlevel(leads)
    first = here.start_worker("only", highlevel)
    await here.publish([*(lead.change() for lead in before), before[0].sync("request-0")])
    await here.wait_for_leads(before, ["request-0"])
    await asyncio.to_thread(first.close)
    await here.publish([lead.change() for lead in (*lost, *after)])
    await delete_records(here.config, "lead.changes", home(place, 2), before=15)
    await recreate_topic(here.config, "sync.requests", here.partitions)
    second = here.start_worker("only", highlevel)
    await here.wait_until_shared(second)  # only then: an old position that lies within the new log isn't noticed
    await here.publish([after[0].sync(request)])
    await here.wait_for_leads([*before, *after], ["request-0", request])

    alerts = {(note["topic"], note["partition"]) for note in second.log_events("alert")}
    assert {("lead.changes", home(place, 2)), ("sync.requests", home(place, 2))} == alerts
    assert [] == await here.flaws([*before, *after], ["request-0", request])
    assert {lead.id for lead in lost}.isdisjoint(one["lead_id"] for one in here.results)


async def test_a_changelog_that_would_forget_is_refused_at_the_start(here: Trial) -> None:
    """With `cleanup.policy=delete` it would lose all rows that are a week old."""
    await alter(here.config, "processor.changelog", **{"cleanup.policy": "delete"})
    worker = here.start_worker("only", here.start_highlevel([]))
    code = await worker.wait_for_exit()

    name = prefixed(here.config.prefix, "processor.changelog")
    assert code == 2
    assert f"{name}: cleanup.policy is delete, not compact" in " ".join(worker.everything_written.split())


@pytest.mark.parametrize("ending", [signal.SIGSTOP, signal.SIGKILL])
async def test_a_worker_stops_soon_though_the_broker_hangs_or_is_gone_for_good(
    here: Trial, mortal: Node, ending: signal.Signals
) -> None:
    """Commits have no response. This must be the last test here, as the broker isn't started again."""
    pid = mortal.pid
    assert pid is not None
    worker = await start_busy_worker(here)
    os.kill(pid, ending)
    try:
        took_s, code = await stop(worker)
    finally:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)

    assert took_s < stops_within_s
    assert code in (0, 1)
    assert [] == [mark for mark in marks if mark in worker.everything_written.lower()]


async def start_busy_worker(here: Trial) -> WorkerProcess:
    """Start a worker with a backlog, so that calls are in flight and turns commit."""
    leads = made_up(places(1, 2)[0], 300)
    worker = here.start_worker("only", here.start_highlevel(leads))
    await here.wait_until_shared(worker)
    await here.publish([lead.change() for lead in leads])
    await here.wait_for_results(5)
    return worker


async def stop(worker: WorkerProcess) -> tuple[float, int]:
    """Stop it by SIGTERM. Return how long that took, s, and its exit code."""
    begin = time.monotonic()
    worker.terminate()
    code = await worker.wait_for_exit(60)
    return time.monotonic() - begin, code


def turn(number: int) -> tuple[list[OutRecord], list[tuple[str, bytes | None]]]:
    """Return the result of a turn, and its changelog row."""
    return [OutRecord("lead.updates", b"loc", b"turn %d" % number)], [(f"turn {number}", b"{}")]


async def reopen(config: KafkaConfig, partition: int, number: int) -> list[str]:
    """Open the log and repeat the turn unless the changelog has it, as a runner does. Return the rows' keys."""
    while True:
        log = KafkaLog(config, partition)
        try:
            await log.open()
            rows = [key async for slice_ in log.restore(*await log.changelog()) for key, _ in slice_.rows]
            if f"turn {number}" not in rows:
                await log.commit(*turn(number))
            return [key for key in rows if key != "identity"]
        except Broken:  # the broker isn't ready yet
            await asyncio.sleep(0.5)
        finally:
            await log.close()


async def results(config: KafkaConfig, partition: int) -> list[bytes | None]:
    """Return the values of committed results. A reader sees a commit a little later than its producer."""
    async with asyncio.timeout(20):
        while True:
            async with Tail(config, ["lead.updates"], partition=partition, start="start", follow=False) as tail:
                found = [record.value async for record in tail]
            if len(found) >= 2:
                return found
            await asyncio.sleep(0.1)


async def alter(config: KafkaConfig, topic: str, **configs: str) -> None:
    name = prefixed(config.prefix, topic)
    async with admin_client(config) as admin:
        responses = await admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, name, configs)])
    assert [0] == [one[0] for response in responses for one in response.resources]
