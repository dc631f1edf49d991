"""A world of leads by seed: what upstream publishes, what HighLevel knows, and what must come of each lead.

The truth follows from the kind chosen for a lead (`kinds`) and from DESIGN, never from code under test. The same
seed, size and moment give the same world.
"""

from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import count
from random import Random
from typing import Final

import orjson

from tests.lab.demo.kinds import kinds
from tests.lab.demo.maker import Maker
from tests.lab.demo.malformed import malformed
from tests.lab.demo.mix import Mix, dealt
from tests.lab.demo.sms import said
from tests.lab.demo.sync_all import SyncAll, first_number, sync_all
from tests.lab.demo.syncs import Known, Syncs, plan
from tests.lab.demo.truth import Case, Malformed, Message, Payload, Sms, Sync

usual_mix: Final[Mix] = {
    "complete": 240,
    "missing_fields": 180,
    "missing_names": 60,
    "nothing_more_known": 30,
    "found_by_email": 200,
    "found_without_names": 50,
    "found_by_phone": 40,
    "no_such_contact": 60,
    "ambiguous": 30,
    "one_has_our_phone": 20,
    "several_agree": 20,
    "dead_with_successor": 12,
    "dead_without_successor": 8,
    "dead_unnoticed": 4,
    "nothing_to_search_by": 20,
    "edited": 6,
    "initial_load": 3,
    "deleted": 2,
    "young_late": 3,
    "young_nobody": 2,
    "malformed": 10,
}
apart: Final = 0.08  # of the script: how much later a lead's next event comes
after_all: Final = 2.0  # past the end of the script
astray_share: Final = 0.01  # of the leads with one event: it arrives on the wrong partition and is sent home
repeated_share: Final = 0.02  # of the leads: upstream sends their first event twice


@dataclass(frozen=True, slots=True)
class Step:
    """Changes to publish, in this order; once they are in the log, the Sync that comes after them."""

    changes: Sequence[Message]
    sync: Message | None
    late: Sequence[tuple[str, Payload]]  # contacts that come into being just before, and their locations


@dataclass(frozen=True, slots=True, repr=False)
class World:
    locations: Mapping[str, bool]  # whether search shows names as entered
    cases: Sequence[Case]
    syncs: Sequence[Sync]
    malformed: Sequence[Malformed]
    script: Sequence[Step]
    sync_all: SyncAll | None = None  # of a location of its own, beside the script

    def contacts(self) -> Iterator[tuple[str, Payload]]:
        """Location and contact, in GET's shape, of all that HighLevel knows from the start."""
        yield from ((case.location, contact) for case in self.cases for contact in case.contacts)
        yield from self.sync_all.contacts() if self.sync_all else ()

    def sms(self) -> Iterator[tuple[str, Sms]]:
        """Location and message, of all that was said before."""
        yield from ((case.location, one) for case in self.cases for one in case.sms)
        yield from self.sync_all.sms() if self.sync_all else ()


def lines(world: World) -> Iterator[bytes]:
    """What `python -m processor.sandbox --world FILE` reads."""
    for location, contact in world.contacts():
        yield orjson.dumps({"location_id": location, "contact": contact}) + b"\n"
    for location, one in world.sms():
        yield orjson.dumps({"location_id": location, "message": one.shown}) + b"\n"


def world(
    now_ms: int,
    locations: int = 20,
    leads: int = 500,
    syncs: int = 40,
    seed: int = 0,
    mix: Mix = usual_mix,
    sync_all: int = 0,
) -> World:
    """`leads` of each location, in these shares over the whole world; each kind wanted occurs while there is room.
    Every second location shows names as entered in search. `sync_all`: leads of one more, which does, too, and is
    synced as a whole."""
    draft = Draft(Random(f"{seed} {locations} {leads} {syncs}"))
    places = {f"location-{number:02d}": number % 2 == 1 for number in range(1, locations + 1)}
    makers = _makers(places, now_ms, seed)
    wanted = dealt(mix, locations * leads)
    draft.draw.shuffle(wanted)
    for number, kind in enumerate(wanted):
        draft.add(kind, next(makers), number / len(wanted))
    at_home = [known for known in draft.told if not known.case.messages[0].astray]  # heard in the order of publishing
    asking = Syncs(at_home, makers)
    asked = [
        draft.ask(*asking.make(number, about), (number + 1) / (syncs + 1)) for number, about in enumerate(plan(syncs))
    ]
    syncs_of = {(sync.location, sync.lead): sync for sync in asked}
    cases = [
        said(case, now_ms, seed, synced=sync is not None, at_least=0 if sync is None or sync.messages else 1)
        for case in (*(known.case for known in draft.told), *asking.cases)
        for sync in (syncs_of.get((case.location, case.lead)),)
    ]
    world = World(places, cases, asked, [*draft.malformed, *asking.malformed], list(draft.script()))
    return _with_sync_all(world, f"location-{locations + 1:02d}", sync_all, now_ms, seed) if sync_all else world


@dataclass(frozen=True, slots=True)
class Entry:
    place: float  # in the script: from 0, its beginning, to 1
    message: Message
    case: Case | None = None  # that it tells of for the first time

    @property
    def late(self) -> Iterator[tuple[str, Payload]]:
        return ((self.case.location, contact) for contact in self.case.late) if self.case else iter(())


@dataclass(slots=True)
class Draft:
    """The script in the making."""

    draw: Random
    told: list[Known] = field(default_factory=list)
    malformed: list[Malformed] = field(default_factory=list)
    changes: list[Entry] = field(default_factory=list)
    syncs: list[Entry] = field(default_factory=list)

    def add(self, kind: str, maker: Maker, place: float) -> None:
        if kind == "malformed":
            self.malformed.append(malformed(maker, len(self.malformed)))
            self.changes.append(Entry(place, self.malformed[-1].message))
            return
        case = kinds[kind](maker)
        if kind.startswith("young"):
            place /= 10  # they take a minute, so they come early
        if len(case.messages) == 1 and self.draw.random() < astray_share:
            case = replace(case, messages=(replace(case.messages[0], astray=True),))
        self.told.append(Known(place, kind, case))
        first, *further = case.messages
        self.changes.append(Entry(place, first, case))
        self.changes += [Entry(place + later * apart, message) for later, message in enumerate(further, 1)]
        if self.draw.random() < repeated_share:
            self.changes.append(Entry(place + 3 * apart, first))

    def ask(self, sync: Sync, known: Known | Case, place: float) -> Sync:
        """Not before its lead was told of. Of a young lead early: once a worker is killed, its answer may come so late that
        search knows the contact by then."""
        if sync.kind.startswith("young"):
            place /= 10
        if isinstance(known, Known):
            self.syncs.append(Entry(after_all if sync.last else max(place, known.place), sync.message))
        else:
            self.syncs.append(Entry(place, sync.message, known))
        if sync.repeat:
            self.syncs.append(Entry(after_all, sync.repeat))
        return sync

    def script(self) -> Iterator[Step]:
        """A Sync comes once everything up to its place is in the log."""
        self.changes.sort(key=lambda entry: entry.place)
        begun = 0
        for sync in sorted(self.syncs, key=lambda entry: entry.place):
            end = bisect_right(self.changes, sync.place, lo=begun, key=lambda entry: entry.place)
            yield self._step(self.changes[begun:end], sync)
            begun = end
        yield self._step(self.changes[begun:])

    def _step(self, changes: Sequence[Entry], *syncs: Entry) -> Step:
        late = [one for entry in (*changes, *syncs) for one in entry.late]
        return Step([entry.message for entry in changes], syncs[0].message if syncs else None, late)


def _with_sync_all(world: World, location: str, leads: int, now_ms: int, seed: int) -> World:
    makers = _makers({location: True}, now_ms, seed, first_number)
    return replace(
        world,
        locations={**world.locations, location: True},
        sync_all=sync_all(location, makers, leads, now_ms, seed=seed),
    )


def _makers(places: Mapping[str, bool], now_ms: int, seed: int, first: int = 0) -> Iterator[Maker]:
    """One lead of each location after the other, without end; numbered from `first` on."""
    for which in count(1):
        for place, (location, raw_names) in enumerate(places.items()):
            lead = f"lead-{location.removeprefix('location-')}-{which:04d}"
            number = first + (which - 1) * len(places) + place
            yield Maker(location, lead, number, raw_names, now_ms, Random(f"{seed} {lead}"))
