"""What upstream tells while all goes wrong, and so what must come of it: of a seed always the same. Nobody's data. Pure."""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from random import Random
from typing import Any, Final

from processor.shard.state import Out
from tests.bench import leads as made
from tests.integration.canaries import Lead, places
from tests.integration.chaos.schedule import faulty, quiet_s
from tests.integration.jobs import backfill, sync_all
from tests.integration.residents import Contact, Town
from tests.integration.talks import LeadMessage, sms, talk

partitions: Final = 6
where: Final = dict(zip(faulty, places(len(faulty), partitions), strict=True))
busy: Final = ("first", "second", "third")  # locations of single changes, each of which costs a call
at_first, a_second = (
    100,
    6.0,
)  # changes of each of them: with what goes wrong, more than its budget allows, most of the time
towns: Final = {
    "town": Town(where["town"], 500, since=30_000),
    "village": Town(where["village"], 160, strangers=700, since=31_000),
}
"""Locations of a Sync All, with messages; its request id is the location's."""
everywhere: Final = "backfill"  # its request id
sms_each: Final = 3  # of a resident's contact
talkers: Final = 12  # of the first leads of a busy location; they keep their e-mails
sms_of_talkers: Final = (4, 4, 4, 520)  # in turn; an export gives 500 at once
apart: Final = 8_000  # the numbers of leads of two busy locations
others: Final = 60_000  # whose e-mails leads get by an edit, numbered from here
deadline_s: Final = 900  # of a Sync: nobody may be told that it was too late
wrong_since: Final = 90_000  # leads of events that no retry cures
sync_every_s: Final = 1.2
slip_every_s: Final = 4.0


@dataclass(frozen=True, slots=True)
class Version(Lead):
    """A lead as one change tells of it: with the e-mail of `whose` contact."""

    whose: int = 0
    revision: int = 1

    @property
    def gained(self) -> dict[str, str]:
        """The `changes` of a result that saw this version, and no later one."""
        return {"contact_id": made.contact_id(self.whose), "city": self.person["city"]}

    def known(self, revision: int | None = None, **more: object) -> dict[str, object]:
        email = Lead(self.location, self.whose).person["email"]
        told = Lead.known(self, revision or self.revision, **more)
        return {**told, "email": email, "source": f"version {self.revision}"}


@dataclass(frozen=True)
class Load:
    told: Sequence[tuple[float, Out]]  # s after the beginning, in order
    versions: Mapping[str, Sequence[Version]]  # of each lead, in order
    requests: Collection[str]  # Syncs
    talked: Collection[str]  # leads of busy locations that a Sync asks messages for
    malformed: Collection[bytes]
    backfilled: AbstractSet[str]  # leads of busy locations that are told of before the backfill is asked for

    @property
    def contacts(self) -> list[Contact]:
        pairs = {(one.location, one.whose) for versions in self.versions.values() for one in versions}
        return [Contact(*pair) for pair in sorted(pairs)] + [one for town in towns.values() for one in town.contacts]

    @cached_property
    def talks(self) -> list[LeadMessage]:
        """All that HighLevel has."""
        residents = [lead for town in towns.values() for lead in town.leads if lead.outcome in ("updated", "unchanged")]
        pairs: list[tuple[Lead, int]] = [(lead, sms_each) for lead in residents]
        talkative = [first for first, *_ in self.versions.values() if talks(first)]
        pairs += [(lead, sms_of_talkers[lead.number % len(sms_of_talkers)]) for lead in talkative]
        return [one for lead, count in pairs for one in talk(lead, count)]

    @cached_property
    def imported(self) -> list[Mapping[str, Any]]:
        """The data of each message that must be told of; there may be no other."""
        residents = {lead.id for town in towns.values() for lead in town.leads}
        return sms(said for said in self.talks if said[0].id in residents or said[0].id in self.talked)

    @property
    def leads(self) -> int:
        return len(self.versions) + sum(town.size for town in towns.values())


@dataclass(slots=True)
class Upstream:
    """A load in the making, moment by moment."""

    dice: Random
    told: list[tuple[float, Out]] = field(default_factory=list)
    versions: dict[str, list[Version]] = field(default_factory=dict)
    known: dict[str, float] = field(default_factory=dict)  # since when
    requests: list[str] = field(default_factory=list)
    talked: set[str] = field(default_factory=set)
    malformed: list[bytes] = field(default_factory=list)

    def come(self, at_s: float, location: str, number: int) -> None:
        self.tell(at_s, Version(location, number, number))

    def change(self, at_s: float, location: str, number: int) -> None:
        """A new lead, or an edit of one that is there: by itself, or into somebody else's e-mail."""
        there = [last for *_, last in self.versions.values() if last.location == location]
        if self.dice.random() < 0.7:
            self.come(at_s, location, number)
            return
        last = self.dice.choice(there)
        moves = self.dice.random() < 0.3 and not talks(last)
        edited = replace(last, revision=last.revision + 1, whose=others + number if moves else last.whose)
        self.tell(at_s, edited)

    def tell(self, at_s: float, version: Version) -> None:
        self.versions.setdefault(version.id, []).append(version)
        self.known.setdefault(version.id, at_s)
        self.told.append((at_s, version.change(version.revision)))

    def sync(self, at_s: float) -> None:
        """Of a lead as it is known, or with a new version of it; one in two for its messages, too."""
        request = f"request-{len(self.requests)}"
        self.requests.append(request)
        wants, renews = self.dice.random() < 0.5, self.dice.random() < 0.3
        last = self.dice.choice([last for *_, last in self.versions.values() if talks(last) or not wants])
        more: dict[str, object] = {"include_messages": wants, "deadline_s": deadline_s}
        if wants:
            self.talked.add(last.id)
        if renews:
            last = replace(last, revision=last.revision + 1)
            self.versions[last.id].append(last)
            more["lead"] = last.known()
        self.told.append((at_s, last.sync(request, **more)))

    def slip(self, at_s: float) -> None:
        """An event that no retry cures."""
        number = len(self.malformed)
        lead = Lead(where["second"], wrong_since + number)
        whole = lead.change().value or b""
        value = (whole[: len(whole) // 2], whole.replace(b'"revision":1', b'"revision":"one"'))[number % 2]
        self.malformed.append(value)
        self.told.append((at_s, Out("lead.changes", lead.location.encode(), value)))


def talks(lead: Lead) -> bool:
    return lead.number % apart < talkers


def load(seed: int, lasts_s: float) -> Load:
    """All is told before the faults end."""
    dice = Random(f"{seed} load")
    upstream = Upstream(dice)
    ends_s = lasts_s - quiet_s - 2
    moments: list[tuple[float, Callable[[float], None]]] = []
    for place, name in enumerate(busy):
        for each in range(at_first + round(a_second * ends_s)):
            tells = upstream.come if each < at_first else upstream.change
            at_s = max(0.0, (each - at_first) / a_second)
            moments.append((at_s, partial(tells, location=where[name], number=apart * place + each)))
    moments += [(at_s, upstream.sync) for at_s in now_and_then(dice, sync_every_s, ends_s)]
    moments += [(at_s, upstream.slip) for at_s in now_and_then(dice, slip_every_s, ends_s)]
    for at_s, happens in sorted(moments, key=at):
        happens(at_s)
    asked = [(dice.uniform(3, ends_s - 5), sync_all(where[name], name, messages=True)) for name in towns]
    backfilled_s = dice.uniform(5, ends_s - 5)
    known = [(0.0, lead.change(loading=True)) for town in towns.values() for lead in town.leads]
    return Load(
        sorted([*known, *upstream.told, *asked, (backfilled_s, backfill(everywhere))], key=at),
        upstream.versions,
        upstream.requests,
        upstream.talked,
        upstream.malformed,
        {name for name, first_s in upstream.known.items() if first_s <= backfilled_s},
    )


def at(one: tuple[float, object]) -> float:
    return one[0]


def now_and_then(dice: Random, every_s: float, ends_s: float) -> Iterator[float]:
    at_s = 1.0
    while (at_s := at_s + dice.uniform(0.5, 1.5) * every_s) < ends_s:
        yield at_s
