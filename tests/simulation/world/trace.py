"""The trace of a run: what happened in a world, in order. It becomes text only where a failure is reported."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import orjson

from processor.shard.state import Out
from tests.lab.workload.times import start_ms


class Now(Protocol):
    @property
    def ms(self) -> int: ...


@dataclass(slots=True)
class Trace:
    loop: Now
    entries: list[tuple[int, str, str, Mapping[str, object]]] = field(default_factory=list)

    def add(self, who: str, what: str, **about: object) -> None:
        self.entries.append((self.loop.ms, who, what, about))

    def text(self) -> str:
        return "\n".join(
            f"{at - start_ms:>8} ms  {who:<10} {' '.join([what, *details(about)])}"
            for at, who, what, about in self.entries
        )


def details(about: Mapping[str, object]) -> Iterable[str]:
    for name, value in about.items():
        if name == "records" and isinstance(value, Sequence):
            yield from (f"\n{'':24}→ {record(out)}" for out in value)
        elif name == "rows" and isinstance(value, Sequence):
            yield f"\n{'':24}rows: {', '.join(key for key, _ in value)}" if value else ""
        else:
            yield f"{name}={value}"


def record(out: Out) -> str:
    """Return a published event in one line, without its envelope."""
    try:
        event = orjson.loads(out.value or b"null")
        data = event["data"]
    except (ValueError, TypeError, KeyError):
        return f"{out.topic}: {len(out.value or b'')} bytes"
    shown = {name: data[name] for name in shown_fields if data.get(name) not in (None, {}, [])}
    return f"{out.topic}: {event['type']} {event.get('subject')} " + " ".join(
        f"{name}={value}" for name, value in shown.items()
    )


shown_fields = ("revision", "sequence", "outcome", "reason", "changes", "replaces", "causes", "state", "queued")
