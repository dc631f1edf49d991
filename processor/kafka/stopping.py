"""How producers and consumers are stopped, also where the broker is gone."""

import asyncio
from contextlib import suppress
from typing import Any, Final

from aiokafka import AIOKafkaProducer

stop_within_s: Final = 2.0  # and a second at most to cut what doesn't stop


async def stop(part: Any) -> None:
    """Stop a producer or consumer, and cut what doesn't. Trap: `stop()` can wait for ever for a broker that is gone."""
    if isinstance(part, AIOKafkaProducer):  # what failed is told already
        if (end := part._txn_manager.wait_for_transaction_end()) is not None:
            hushed(end)
        for batches in part._message_accumulator._batches.values():
            for batch in batches:
                hushed(batch._drain_waiter)
    # a task of its own: cancelling its own tasks, aiokafka lets a CancelledError out that isn't ours
    stopping = hushed(asyncio.create_task(part.stop(), name="stop"))
    await asyncio.wait([stopping], timeout=stop_within_s)
    if not stopping.done() or stopping.cancelled() or stopping.exception():
        stopping.cancel()
        await cut(part)


async def cut(part: Any) -> None:
    """End what a `stop()` that didn't end left behind, else it would go on looking for the broker in the background."""
    inner = [
        vars(part).get(name)
        for name in ("client", "_client", "_sender", "_message_accumulator", "_fetcher", "_coordinator")
    ]
    for _ in range(3):  # a sender that is cancelled waits for its own tasks
        left = [task for task in asyncio.all_tasks() if any(owner(task) is one for one in inner if one is not None)]
        for task in left:
            task.cancel()
        if left:
            await asyncio.wait(left, timeout=0.2)
    with suppress(Exception):
        async with asyncio.timeout(0.4):
            await (inner[0] or inner[1]).close()


def owner(task: asyncio.Task[Any]) -> object:
    """Whose method it runs."""
    frame = getattr(task.get_coro(), "cr_frame", None)
    return frame.f_locals.get("self") if frame else None


def hushed(future: asyncio.Future[Any]) -> asyncio.Future[Any]:
    """Its failure is dealt with elsewhere: asyncio shall not tell of it as of one that nobody heard."""
    future.add_done_callback(lambda done: done.cancelled() or done.exception())
    return future
