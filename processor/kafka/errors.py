"""Failures of Kafka: exceptions named by what to do next, and few log lines, without keys or values."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

import aiokafka
import aiokafka.admin
from aiokafka import errors

from processor.engine.ports import Broken
from processor.kafka.connection import KafkaConfig

reach_within_s: Final = 10.0
log_again_after_s: Final = 10.0


class KafkaUnreachable(Exception):
    """Kafka doesn't respond. The message says which address was tried."""


class KafkaRefused(Exception):
    """Kafka responded with a refusal. The message names the refused thing, and why."""


@asynccontextmanager
async def reach_kafka(config: KafkaConfig) -> AsyncIterator[None]:
    """Bound the body by `reach_within_s`. Raises KafkaUnreachable or KafkaRefused."""
    try:
        async with asyncio.timeout(reach_within_s):
            yield
    except TimeoutError as error:
        raise KafkaUnreachable(f"no answer from {config.bootstrap} within {reach_within_s:.0f} s") from error
    except errors.KafkaError as error:
        if error.retriable or isinstance(error, errors.KafkaTimeoutError):
            raise KafkaUnreachable(f"no answer from {config.bootstrap}") from error
        raise KafkaRefused(error_kind(error)) from error


def error_kind(error: BaseException) -> str:
    """Return the kind of an error, never its text: that may hold the value that caused it."""
    return str(error) if isinstance(error, Broken | KafkaRefused) else type(error).__name__


class _OncePerInterval(logging.Filter):
    """Lets a message pass once in 10 s: a broker that is gone would fill the log hundreds of times a second."""

    def __init__(self) -> None:
        super().__init__()
        self._logged: dict[tuple[str, str], float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        message, now = (record.name, str(record.msg)), time.monotonic()
        logged = self._logged.get(message)
        if logged is not None and now < logged + log_again_after_s:
            return False
        self._logged[message] = now
        return True


def silence_aiokafka() -> None:
    """Let aiokafka log from WARNING on, and each message once per interval. Below, it logs keys and values."""
    logging.getLogger(aiokafka.__name__).setLevel(logging.WARNING)
    # a filter works on its own logger only; importing aiokafka above has made them all
    for name in [name for name in logging.root.manager.loggerDict if name.partition(".")[0] == aiokafka.__name__]:
        logging.getLogger(name).addFilter(_OncePerInterval())
