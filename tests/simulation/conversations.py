"""What was said by SMS: `Text` is a message as HighLevel holds it, `Conversations` its export with cursors that expire;
and who said how much, told by seed."""

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from random import Random
from typing import Final

from .loop import start_ms
from .tale import Person, added_ms, iso

cursor_lives_ms: Final = 120_000  # since its last use
minute: Final = 60_000
late_at_most_ms: Final = 2 * minute  # with the minutes that an export may stand still, less than what exports overlap
spellings: Final = ("TYPE_SMS", "SMS", "TYPE_CAMPAIGN_SMS", "TYPE_SOMETHING_NEW")
Row = tuple[int, str]  # where a message stands among all: a cursor says so
Said = tuple[int, Mapping[str, object]]  # status, body


@dataclass(frozen=True, slots=True)
class Text:
    id: str
    location: str
    contact: str
    sent: int  # ms since 1970
    appears: int = 0  # ms after the world's start: exports show it from then on
    kind: str = "TYPE_SMS"

    @property
    def row(self) -> Row:
        return self.sent, self.id


@dataclass(slots=True)
class Reading:
    """An export that goes on, by its cursor."""

    contact: str | None
    since: int
    after: Row
    used: int  # ms since 1970


@dataclass
class Conversations:
    texts: Iterable[Text] = ()
    _rows: dict[str, list[Text]] = field(default_factory=dict)  # by location
    _cursors: dict[str, Reading] = field(default_factory=dict)
    expired: int = 0  # times that a cursor was refused

    def __post_init__(self) -> None:
        for text in sorted(self.texts, key=lambda text: text.row):
            self._rows.setdefault(text.location, []).append(text)

    def export(self, location: str, query: Mapping[str, str], now: int) -> Said:
        """One page. `now` in ms since 1970."""
        allowed = {"locationId", "channel", "limit", "sortBy", "sortOrder", "contactId", "startDate", "cursor"}
        limit = query.get("limit", "")
        told = (query.get("locationId"), query.get("channel"), query.get("sortBy"), query.get("sortOrder"))
        if query.keys() - allowed or told != (location, "SMS", "createdAt", "asc"):
            return 422, {"statusCode": 422, "message": ["unreadable"]}
        if not limit.isdecimal() or not 0 < int(limit) <= 500:  # small worlds have smaller pages than HighLevel
            return 422, {"statusCode": 422, "message": ["limit"]}
        contact, since, after = query.get("contactId"), ms_of(query.get("startDate")), (-1, "")
        if (cursor := query.get("cursor")) is not None:
            reading = self._cursors.get(cursor)
            if reading is None or reading.contact != contact or now - reading.used > cursor_lives_ms:
                self.expired += 1
                return 400, {"statusCode": 400, "message": "Cursor is invalid or expired", "traceId": "trace-4"}
            reading.used, since, after = now, reading.since, reading.after
        here = [
            one
            for one in self._rows.get(location, ())
            if contact in (None, one.contact) and one.sent >= since and start_ms + one.appears <= now
        ]
        first = bisect_right(here, after, key=lambda one: one.row)
        page, following = here[first : first + int(limit)], None
        if first + len(page) < len(here):
            following = f"cursor-{len(self._cursors)}"
            self._cursors[following] = Reading(contact, since, page[-1].row, now)
        shown = [payload(one) for one in page]
        return 200, {"messages": shown, "nextCursor": following, "total": len(here), "traceId": "trace-5"}


def ms_of(text: str | None) -> int:
    return round(datetime.fromisoformat(text).timestamp() * 1000) if text else 0


def payload(text: Text) -> dict[str, object]:
    """A message as an export shows it."""
    own = {"id": text.id, "contactId": text.contact, "locationId": text.location, "messageType": text.kind}
    more = {"conversationId": f"conversation of {text.contact}", "direction": "inbound", "status": "delivered"}
    return {**own, **more, "dateAdded": iso(text.sent), "body": f"text of {text.id}"}


# who said how much


def talk(random: Random, person: Person, count: int, lasts: int = 0) -> Iterator[Text]:
    """So many messages of long ago, a minute apart or at the very same moment; and, in a world that lasts so long, others
    that arrive while it does, some of them late."""
    sent = added_ms + random.randint(0, 10_000) * minute
    for number in range(count):
        sent += random.choice([0, 1, minute, minute])
        yield Text(f"{person.id}-m{number:03}", person.location, person.id, sent, kind=random.choice(spellings))
    for number in range(random.randint(1, 4) if lasts else 0):
        appears = random.randint(0, lasts)
        late = random.choice([0, 0, 500, 20_000, late_at_most_ms])
        moment = start_ms + appears - late
        yield Text(f"{person.id}-n{number:03}", person.location, person.id, moment, appears, random.choice(spellings))


def chatter(seed: int | str, people: Iterable[Person], most: int, lasts: int = 0) -> tuple[Text, ...]:
    """Of each of these contacts some, few of them none."""
    random = Random(f"{seed} chatter")
    told: list[Text] = []
    for person in people:
        told += talk(random, person, random.randint(0, most), lasts if random.random() < 0.5 else 0)
    return tuple(told)
