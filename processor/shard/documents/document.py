"""The base of all documents, and their registry: declaring a kind of document is one class.

A key is the document's kind and ids, joined by a space, which no id contains. Documents are JSON objects. `v` names
their format; keys that this version doesn't know are kept and written back, so that neighbouring versions can take
over from each other.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, Final, Protocol, Self, TypeVar

import orjson

from processor.shard.documents.format import FORMAT
from processor.shard.indexes import Projection, nothing
from processor.shard.setup import Setup

Fields = dict[str, Any]  # JSON is untyped
_D = TypeVar("_D", bound="Document")


class Tracker(Protocol):
    """The part of the unit of work that documents need."""

    now: int
    setup: Setup

    def document(self, kind: type[_D], ids: Sequence[str]) -> _D: ...
    def find(self, kind: type[_D], ids: Sequence[str]) -> _D | None: ...
    def open_requests(self, location: str, lead: str, limit: int) -> list[str]: ...


class Document:
    """A kind of document. A subclass names its `kind` and is registered by that."""

    __slots__ = ()
    kind: ClassVar[str]
    indexed: ClassVar[bool] = True  # False: it has no rows in the narrow tables

    def __init_subclass__(cls) -> None:
        if "kind" in cls.__dict__:
            kinds[cls.kind] = cls

    @property
    def key(self) -> str:
        raise NotImplementedError

    def encode(self) -> bytes | None:
        """Return the bytes that are stored; None: the document is to be deleted."""
        raise NotImplementedError

    @classmethod
    def decode(cls, ids: Sequence[str], stored: bytes | None) -> Self:
        """Return the document that was stored; of None a new one."""
        raise NotImplementedError

    @classmethod
    def read(cls, turn: Tracker, ids: Sequence[str], stored: bytes | None) -> Self:
        """Return the stored document for use in this turn."""
        return cls.decode(ids, stored)

    def projection(self) -> Projection:
        """Return its rows in the narrow tables."""
        return nothing

    @classmethod
    def of(cls, turn: Tracker, *ids: str) -> Self:
        """Return the document in this turn; a new one if none is stored."""
        return turn.document(cls, ids)

    @classmethod
    def find(cls, turn: Tracker, *ids: str) -> Self | None:
        """Return the document in this turn, if there is one."""
        return turn.find(cls, ids)


kinds: Final[dict[str, type[Document]]] = {}


def key_of(kind: type[Document], ids: Sequence[str]) -> str:
    return f"{kind.kind} {' '.join(ids)}"


def project(key: str, stored: bytes) -> Projection:
    """Return the projection of a restored document; none for a kind that this version doesn't know."""
    name, *ids = key.split(" ")
    kind = kinds.get(name)
    return kind.decode(ids, stored).projection() if kind and kind.indexed else nothing


def read_fields(stored: bytes, upgrade: Callable[[Fields], Fields]) -> Fields:
    """Return a document's fields by their names of today. `upgrade` translates those of format 1."""
    fields: Fields = orjson.loads(stored)
    return fields if fields.pop("v", None) else upgrade(fields)


def split_unknown(fields: Fields, known: Mapping[str, object]) -> Fields | None:
    """Take the keys that this version doesn't know out of `fields`, and return them; None where there are none."""
    return {name: fields.pop(name) for name in [*fields] if name not in known} or None


def write_fields(fields: Fields, unknown: Fields | None) -> bytes:
    """Return a document's bytes; it names its format, and keeps what it doesn't know."""
    fields["v"] = FORMAT
    return orjson.dumps({**unknown, **fields} if unknown else fields)
