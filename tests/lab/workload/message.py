"""SMS messages of contacts, made from a seed."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from random import Random
from typing import Final

from .contact import Contact
from .times import added_ms, start_ms

minute_ms: Final = 60_000
message_late_at_most_ms: Final = (
    2 * minute_ms
)  # with the minutes that an export may be interrupted, below the exports' overlap
spellings: Final = ("TYPE_SMS", "SMS", "TYPE_CAMPAIGN_SMS", "TYPE_SOMETHING_NEW")


@dataclass(frozen=True, slots=True)
class Message:
    """A message as HighLevel holds it."""

    id: str
    location: str
    contact: str
    sent: int  # ms since 1970
    appears: int = 0  # exports show it from then on
    kind: str = "TYPE_SMS"
    body: str = ""  # empty: a text that names the message

    @property
    def text(self) -> str:
        return self.body or f"text of {self.id}"

    @property
    def row(self) -> tuple[int, str]:
        """Return its place among all messages. A cursor holds such a place."""
        return self.sent, self.id


def conversation(random: Random, contact: Contact, count: int, lasts: int = 0) -> Iterator[Message]:
    """Make `count` old messages, a minute apart or at the same moment.

    With `lasts`, a few more arrive within that time, some of them late.
    """
    sent = added_ms + random.randint(0, 10_000) * minute_ms
    for number in range(count):
        sent += random.choice([0, 1, minute_ms, minute_ms])
        kind = random.choice(spellings)
        yield Message(f"{contact.id}-m{number:03}", contact.location, contact.id, sent, kind=kind)
    for number in range(random.randint(1, 4) if lasts else 0):
        appears = random.randint(0, lasts)
        late = random.choice([0, 0, 500, 20_000, message_late_at_most_ms])
        sent, kind = start_ms + appears - late, random.choice(spellings)
        yield Message(f"{contact.id}-n{number:03}", contact.location, contact.id, sent, appears, kind)


def conversations(seed: int | str, contacts: Iterable[Contact], most: int, lasts: int = 0) -> tuple[Message, ...]:
    """Make up to `most` old messages for each contact; half of the contacts get new ones, too."""
    random = Random(f"{seed} chatter")
    messages: list[Message] = []
    for contact in contacts:
        messages += conversation(random, contact, random.randint(0, most), lasts if random.random() < 0.5 else 0)
    return tuple(messages)
