"""What is raised where Kafka doesn't answer, or says no: named by what to do next."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from aiokafka import errors

from processor.engine.ports import Broken
from processor.kafka.config import KafkaConfig

reach_within_s: Final = 10.0


class Unreachable(Exception):
    """Kafka doesn't answer. The message says where it was looked for."""


class Refused(Exception):
    """Kafka answered, and said no. The message says to what, and why."""


class Replaced(Exception):
    """Another worker has joined under our instance id: end, and don't come back. The message says which id."""


@asynccontextmanager
async def reaching(config: KafkaConfig) -> AsyncIterator[None]:
    """Whatever is done inside ends within `reach_within_s`, or raises Unreachable or Refused."""
    try:
        async with asyncio.timeout(reach_within_s):
            yield
    except TimeoutError as error:
        raise Unreachable(f"no answer from {config.bootstrap} within {reach_within_s:.0f} s") from error
    except errors.KafkaError as error:
        if error.retriable or isinstance(error, errors.KafkaTimeoutError):
            raise Unreachable(f"no answer from {config.bootstrap}") from error
        raise Refused(why(error)) from error


def why(error: BaseException) -> str:
    """The kind of an error, never its text: that may hold what it choked on."""
    return str(error) if isinstance(error, Broken | Refused) else type(error).__name__
