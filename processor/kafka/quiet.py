"""What aiokafka may write into the log: no keys, no values, and of a broker that is gone not too much."""

import logging
import time

import aiokafka
import aiokafka.admin


class Seldom(logging.Filter):
    """A broker that is gone is told of once in 10 s, not hundreds of times a second."""

    def __init__(self) -> None:
        super().__init__()
        self._told: dict[tuple[str, str], float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        what, now = (record.name, str(record.msg)), time.monotonic()
        told = self._told.get(what)
        if told is not None and now < told + 10:
            return False
        self._told[what] = now
        return True


def hush() -> None:
    """Below WARNING aiokafka writes keys and values into the log (invariant 9)."""
    logging.getLogger(aiokafka.__name__).setLevel(logging.WARNING)
    # a filter works on its own logger only; they are made when their modules are imported, above
    for name in [name for name in logging.root.manager.loggerDict if name.partition(".")[0] == aiokafka.__name__]:
        logging.getLogger(name).addFilter(Seldom())
