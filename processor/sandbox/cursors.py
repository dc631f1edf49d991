"""Make and check export's cursors: positions in an order of messages, valid while a client reads on (contract.md §5.1)."""

import base64
import binascii
from collections.abc import Hashable
from dataclasses import dataclass, field
from typing import Any, Final

import orjson

from processor.sandbox.message_history import MessageKey
from processor.sandbox.problems import Problem

default_cursor_life_s: Final = 120.0
expired_cursor: Final = "Invalid cursor: it is unknown or has expired"  # wording: a guess (contract.md §11.7)


@dataclass(slots=True)
class CursorChain:
    """Tie the cursors of one export to its selection."""

    selection: Hashable
    used: int  # µs since 1970, the last use


@dataclass(slots=True)
class CursorChains:
    """Hold the exports of one location, the longest unused first. No single cursor is stored, so a client can ask for a lost page again."""

    _chains: dict[str, CursorChain] = field(default_factory=dict)
    _made: int = 0

    def begin(self, selection: Hashable, now: int, life_s: float) -> str:
        for name in [*self._chains]:
            if not _expired(self._chains[name], now, life_s):
                break
            del self._chains[name]
        self._made += 1
        name = f"pit-{self._made}"
        self._chains[name] = CursorChain(selection, now)
        return name

    def follow(self, cursor: str, selection: Hashable, now: int, life_s: float) -> tuple[str, MessageKey]:
        """Return the chain, whose life is renewed, and the last message that it showed. Raise Problem if the cursor is invalid."""
        name, key = _decode(cursor)
        chain = self._chains.get(name)
        if chain is None or _expired(chain, now, life_s):
            raise Problem(400, expired_cursor)
        if chain.selection != selection:
            raise Problem(400, "Invalid cursor: it belongs to another query")
        chain.used = now
        self._chains[name] = self._chains.pop(name)
        return name, key


def encode_cursor(chain: str, shown: MessageKey) -> str:
    """Return a cursor in the form of the spec's example: base64 of JSON, to be escaped in a URL."""
    return base64.b64encode(orjson.dumps({"pitId": chain, "lastSort": [shown[0]], "lastId": shown[1]})).decode()


def _expired(chain: CursorChain, now: int, life_s: float) -> bool:
    return now - chain.used > life_s * 1e6


def _decode(cursor: str) -> tuple[str, MessageKey]:
    try:
        read: Any = orjson.loads(base64.b64decode(cursor, validate=True))
        match read:
            case {"pitId": str(chain), "lastSort": [int(time)], "lastId": str(id)}:
                return chain, (time, id)
    except (binascii.Error, ValueError):
        pass
    raise Problem(400, expired_cursor)
