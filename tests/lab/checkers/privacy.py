"""Check that personal data of the workload is in payloads only."""

from collections.abc import Iterator, Mapping

from tests.lab.history import History


def no_leak(history: History, logs: Mapping[str, str], marks: tuple[str, ...]) -> Iterator[str]:
    """No key, header or log holds one of `marks`, which all personal data of the workload contains.

    `logs` are the texts that workers logged, by worker.
    """
    for records in history.records.values():
        for record in records:
            outside = repr((record.key, record.headers)).lower()
            yield from (f"{record.topic} {record.offset}: {mark} in a header" for mark in marks if mark in outside)
    for name, text in logs.items():
        yield from (f"{name} logged {mark}" for mark in marks if mark in text.lower())
