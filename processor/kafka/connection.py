"""Connect to Kafka: its address and settings, consumers with safe defaults, and clients that really stop."""

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Final

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

request_timeout_ms: Final = 10_000
fetch_bytes: Final = 1024 * 1024  # per fetch and topic: bounded memory; a larger record comes all the same (KIP-74)
stop_within_s: Final = 2.0  # plus a second at most to cancel the rest


@dataclass(frozen=True)
class KafkaConfig:
    bootstrap: str  # host:port, several with commas between
    security: Mapping[str, object] = field(default_factory=dict, repr=False)  # aiokafka's arguments, secrets too
    prefix: str = ""  # of topics and transactional ids
    group_id: str = "hydrant"
    group_instance_id: str | None = None  # set: a static member


def make_consumer(config: KafkaConfig, **more: object) -> Any:
    """Return a consumer that is not started.

    Trap: by default aiokafka reads aborted records, skips new records, commits by itself and resets silently.
    """
    settings: dict[str, object] = {
        "group_id": None,
        "auto_offset_reset": "none",
        "isolation_level": "read_committed",
        "enable_auto_commit": False,
        "fetch_max_bytes": fetch_bytes,
        "max_partition_fetch_bytes": fetch_bytes,
        "request_timeout_ms": request_timeout_ms,
    }
    return AIOKafkaConsumer(bootstrap_servers=config.bootstrap, **config.security, **settings | more)


async def stop_client(client: Any) -> None:
    """Stop a producer or consumer within about 3 s. Trap: its `stop()` can wait forever for a broker that is gone."""
    if isinstance(client, AIOKafkaProducer):  # its failures are reported already
        if (end := client._txn_manager.wait_for_transaction_end()) is not None:
            ignore_failure(end)
        for batches in client._message_accumulator._batches.values():
            for batch in batches:
                ignore_failure(batch._drain_waiter)
    # a task of its own: when aiokafka cancels its own tasks, it lets a CancelledError out that isn't ours
    stopping = ignore_failure(asyncio.create_task(client.stop(), name="stop"))
    await asyncio.wait([stopping], timeout=stop_within_s)
    if not stopping.done() or stopping.cancelled() or stopping.exception():
        stopping.cancel()
        await _cancel_tasks(client)


async def _cancel_tasks(client: Any) -> None:
    """Cancel the tasks of a client that didn't stop, else they go on looking for the broker in the background."""
    names = "client", "_client", "_sender", "_message_accumulator", "_fetcher", "_coordinator"
    parts = [vars(client).get(name) for name in names]
    for _ in range(3):  # a cancelled sender waits for its own tasks
        left = [task for task in asyncio.all_tasks() if any(_owner(task) is part for part in parts if part is not None)]
        for task in left:
            task.cancel()
        if left:
            await asyncio.wait(left, timeout=0.2)
    with suppress(Exception):
        async with asyncio.timeout(0.4):
            await (parts[0] or parts[1]).close()


def _owner(task: asyncio.Task[Any]) -> object:
    """Return the object whose method the task runs."""
    frame = getattr(task.get_coro(), "cr_frame", None)
    return frame.f_locals.get("self") if frame else None


def ignore_failure(future: asyncio.Future[Any]) -> asyncio.Future[Any]:
    """Keep asyncio from reporting this future's failure as never retrieved: it is dealt with elsewhere."""
    future.add_done_callback(lambda done: done.cancelled() or done.exception())
    return future
