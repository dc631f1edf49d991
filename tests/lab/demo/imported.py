"""Judges the messages: each of a synced lead's contact once, whole, and nobody else's; and what results say of them.

Pure: what must come and what came in, faults out.
"""

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final, Literal, NamedTuple

from tests.lab.demo.seen import Imported, Result
from tests.lab.demo.truth import Case, Payload, Should, Sync

Fault = Literal["lost", "repeated", "wrong"]


@dataclass(slots=True)
class Messages:
    """How many of them, each counted for its lead."""

    due: int = 0
    imported: int = 0  # of those due, at least once
    lost: int = 0
    repeated: int = 0

    def add(self, due: Mapping[str, Payload], came: Collection[Imported]) -> None:
        counts = Counter(one.id for one in came)
        here = sum(1 for id in due if counts[id])
        self.due += len(due)
        self.imported += here
        self.lost += len(due) - here
        self.repeated += sum(times > 1 for times in counts.values())


class Says(NamedTuple):
    """What a result tells of messages."""

    messages: str
    imported: int


not_asked: Final = Says("not_asked", 0)


def says(due: Collection[str]) -> Says:
    """A result that was asked for them and knows the contact."""
    return Says("imported" if due else "none", len(due))


def told_by(case: Case, sync: Sync, should: Should, had: bool = False) -> Says:
    """By the result that answers a Sync, or comes after its answer. It comes to messages only where there is a contact, and
    to none where the lead `had` them before."""
    if not sync.messages or should.contact_id is None:
        return not_asked
    return says(() if had else case.due_of(should.contact_id))


def untold(tells: Says, result: Result) -> Iterator[str]:
    """What a result should say of messages, which one call brings: no conversation of the demo fills a page."""
    pairs = {
        "messages": (result.messages, tells.messages),
        "messages_imported": (result.messages_imported, tells.imported),
        "calls: messages": (result.message_calls, int(tells != not_asked)),
    }
    for name, (is_, right) in pairs.items():
        if is_ != right:
            yield f"{name}: is {is_}, should be {right}"


def wanted(case: Case, asked: Sequence[Sync]) -> Mapping[str, Payload]:
    """Message id → data that tells of it: of the contact that a Sync links, or what is found after it does."""
    contacts = {should.contact_id for sync in asked if sync.messages for should in (sync.should, case.again) if should}
    return {id: data for contact in contacts - {None} for id, data in case.due_of(contact).items()}


def judge_imported(due: Mapping[str, Payload], came: Sequence[Imported]) -> Iterator[tuple[Fault, str]]:
    """The messages of one lead, in the order of the topic. `due`: message id → data that tells of it."""
    counts = Counter(one.id for one in came)
    for id in due:
        if not counts[id]:
            yield "lost", f"message {id}: not imported"
    for id, times in counts.items():
        if times > 1:
            yield "repeated", f"message {id}: imported {times} times"
    for one in came:
        if one.id not in due:
            yield "wrong", f"message {one.id}: imported, though the lead should not have it"
        else:
            yield from (("wrong", f"message {one.id}: {what}") for what in unlike(due[one.id], one.data))
    for before, after in pairwise(came):
        if sent_at(after) < sent_at(before):
            yield "wrong", f"message {after.id}: comes after a later one"


def unlike(right: Payload, is_: Payload) -> Iterator[str]:
    """Names of the fields that are missing, too many or have another value; `message` is looked into."""
    for name in sorted(right.keys() | is_.keys()):
        theirs, ours = is_.get(name, ...), right.get(name, ...)
        if isinstance(theirs, Mapping) and isinstance(ours, Mapping):
            yield from unlike(ours, theirs)
        elif theirs is ...:
            yield f"{name} is missing"
        elif ours is ...:
            yield f"{name} is too many"
        elif theirs != ours or type(theirs) is not type(ours):
            yield f"{name} has another value"


def sent_at(one: Imported) -> str:
    message: Any = one.data.get("message") or {}  # JSON
    return str(message.get("sent_at"))  # all are written alike, in UTC
