"""Export's cursors: a position in one order of messages, that lives while its chain of pages is used (contract.md §5.1)."""

import base64
import binascii
from collections.abc import Hashable
from dataclasses import dataclass, field
from typing import Any, Final

import orjson

from processor.sandbox.history import Key
from processor.sandbox.problems import Problem

usual_life_s: Final = 120.0
gone: Final = "Invalid cursor: it is unknown or has expired"  # HighLevel's words aren't known (contract.md §11.7)


@dataclass(slots=True)
class Chain:
    """The pages of one export, whose cursors serve for the same question only."""

    of: Hashable
    used: int  # µs since 1970, when last


@dataclass(slots=True)
class Chains:
    """Of one location; those longest unused come first. Nobody's cursors are kept, so a page that got lost can be asked again."""

    _chains: dict[str, Chain] = field(default_factory=dict)
    _made: int = 0

    def begin(self, of: Hashable, now: int, life_s: float) -> str:
        for name in [*self._chains]:
            if not _over(self._chains[name], now, life_s):
                break
            del self._chains[name]
        self._made += 1
        name = f"pit-{self._made}"
        self._chains[name] = Chain(of, now)
        return name

    def follow(self, cursor: str, of: Hashable, now: int, life_s: float) -> tuple[str, Key]:
        """The chain, which lives on, and the last message that it showed. Problem: there is no such cursor any more."""
        name, key = _read(cursor)
        chain = self._chains.get(name)
        if chain is None or _over(chain, now, life_s):
            raise Problem(400, gone)
        if chain.of != of:
            raise Problem(400, "Invalid cursor: it belongs to another query")
        chain.used = now
        self._chains[name] = self._chains.pop(name)
        return name, key


def cursor(chain: str, shown: Key) -> str:
    """In the form of the spec's example: base64 of JSON, to be escaped in a URL."""
    return base64.b64encode(orjson.dumps({"pitId": chain, "lastSort": [shown[0]], "lastId": shown[1]})).decode()


def _over(chain: Chain, now: int, life_s: float) -> bool:
    return now - chain.used > life_s * 1e6


def _read(given: str) -> tuple[str, Key]:
    try:
        read: Any = orjson.loads(base64.b64decode(given, validate=True))
        match read:
            case {"pitId": str(chain), "lastSort": [int(time)], "lastId": str(id)}:
                return chain, (time, id)
    except (binascii.Error, ValueError):
        pass
    raise Problem(400, gone)
