"""The supervisor starts and ends runners as ownership changes."""

import asyncio
from typing import Literal

import pytest

from processor.engine import supervisor
from processor.engine.supervisor import supervise


class Owner:
    """A membership that the test steers."""

    def __init__(self, *owned: int) -> None:
        self.partitions = frozenset(owned)
        self.news: asyncio.Queue[frozenset[int] | Exception] = asyncio.Queue()
        self.confirmations: asyncio.Queue[None] = asyncio.Queue()

    def owned(self) -> frozenset[int]:
        return self.partitions

    async def changed(self) -> frozenset[int]:
        news = await self.news.get()
        if isinstance(news, Exception):
            raise news
        self.partitions = news
        return news

    async def confirmed_after(self, since_ms: int) -> None:
        await self.confirmations.get()


class Runners:
    def __init__(self) -> None:
        self.log: list[tuple[str, int]] = []
        self.fence: dict[int, asyncio.Event] = {}

    async def __call__(self, partition: int, stop: asyncio.Event) -> Literal["stopped", "fenced"]:
        self.log.append(("starts", partition))
        fenced = self.fence[partition] = asyncio.Event()
        ends = [asyncio.ensure_future(one.wait()) for one in (stop, fenced)]
        await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        for one in ends:
            one.cancel()
        self.log.append(("is fenced" if fenced.is_set() else "drains", partition))
        return "fenced" if fenced.is_set() else "stopped"


async def let_tasks_run() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


async def test_a_partition_that_stays_ours_in_a_rebalance_is_not_touched() -> None:
    owner, run, stop = Owner(0, 1), Runners(), asyncio.Event()
    supervising = asyncio.create_task(supervise(owner, run, lambda owned: None, stop))
    await let_tasks_run()
    owner.news.put_nowait(frozenset({1, 2}))
    await let_tasks_run()
    assert [("starts", 0), ("starts", 1), ("starts", 2), ("drains", 0)] == run.log

    stop.set()
    await supervising
    assert {("drains", 1), ("drains", 2)} == {*run.log[4:]}


async def test_a_fenced_partition_starts_again_only_once_its_ownership_is_confirmed() -> None:
    owner, run, stop = Owner(0), Runners(), asyncio.Event()
    supervising = asyncio.create_task(supervise(owner, run, lambda owned: None, stop))
    await let_tasks_run()
    run.fence[0].set()
    await let_tasks_run()
    assert [("starts", 0), ("is fenced", 0)] == run.log

    owner.confirmations.put_nowait(None)
    await let_tasks_run()
    assert ("starts", 0) == run.log[-1]
    stop.set()
    await supervising


async def test_a_fenced_partition_that_is_not_ours_any_more_stays_down() -> None:
    owner, run, stop = Owner(0), Runners(), asyncio.Event()
    supervising = asyncio.create_task(supervise(owner, run, lambda owned: None, stop))
    await let_tasks_run()
    run.fence[0].set()
    owner.news.put_nowait(frozenset())
    owner.confirmations.put_nowait(None)
    await let_tasks_run()

    assert [("starts", 0), ("is fenced", 0)] == run.log
    stop.set()
    await supervising


async def test_when_the_member_ends_for_good_all_are_drained_first() -> None:
    """Another worker has our instance id: runners finish their work first, then the reason is raised."""
    owner, run, stop = Owner(0, 1), Runners(), asyncio.Event()
    supervising = asyncio.create_task(supervise(owner, run, lambda owned: None, stop))
    await let_tasks_run()
    owner.news.put_nowait(ValueError("replaced"))

    with pytest.raises(ValueError, match="replaced"):
        await supervising
    assert {("drains", 0), ("drains", 1)} == {*run.log[2:]}


async def test_a_runner_that_does_not_drain_in_time_is_cancelled(monkeypatch: pytest.MonkeyPatch) -> None:
    """Kafka is gone, so the last commit never ends; stopping does."""
    monkeypatch.setattr(supervisor, "drain_s", 0.01)
    owner, stop, cancelled = Owner(0), asyncio.Event(), list[int]()

    async def run(partition: int, stop: asyncio.Event) -> Literal["stopped", "fenced"]:
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.append(partition)
        return "stopped"

    supervising = asyncio.create_task(supervise(owner, run, lambda owned: None, stop))
    await let_tasks_run()
    stop.set()
    await supervising

    assert [0] == cancelled
