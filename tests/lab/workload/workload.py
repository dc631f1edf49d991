"""A workload: which leads, contacts, messages and jobs there are, when upstream publishes what, and the ground truth."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from random import Random
from typing import Final

from processor.topics import home

from .contact import Contact
from .ground_truth import unknown_lead
from .lead import WorkloadLead
from .lead_kinds import lead_kinds, rare_kinds
from .message import Message
from .publication import JobRequest, Publication
from .times import never

partitions: Final = 4
partition: Final = 2  # the one that a worker owns where there is only one worker at a time
done_within_ms: Final = (
    110_000  # after the last event: a second look after 60 s, retries, a throttled location, a restart
)

small: Final = (  # one of each kind that matters when a worker dies
    "complete",
    "lacks_fields",
    "lacks_contact",
    "no_contact",
    "ambiguous",
    "young",
    "changes_email",
    "out_of_order",
    "is_deleted",
    "dead_link",
    "synced_unknown",
    "synced_with_snapshot",
    "malformed",
    "malformed_request",
)


@dataclass(frozen=True)
class Workload:
    seed: int
    leads: Sequence[WorkloadLead]
    misrouted: Sequence[Publication] = field(default_factory=list)  # and other records that belong to no lead
    raw_names: frozenset[str] = frozenset()  # locations whose searches show names as entered
    partitions: int = partitions
    owned: tuple[int, ...] = (partition,)  # by the workers
    jobs: tuple[JobRequest, ...] = ()
    bystanders: tuple[Contact, ...] = ()  # contacts of no lead
    messages: tuple[Message, ...] = ()

    @cached_property
    def publications(self) -> list[Publication]:
        """Return all publications in the order in which upstream makes them."""
        of_leads = [one for lead in self.leads for one in lead.publications]
        of_jobs = [one for job in self.jobs for one in job.publications]
        return sorted([*of_leads, *of_jobs, *self.misrouted], key=lambda one: one.at)

    @cached_property
    def contacts(self) -> dict[str, Contact]:
        """Return all contacts by id."""
        contacts = [*self.bystanders, *(contact for lead in self.leads for contact in lead.contacts)]
        return {contact.id: contact for contact in contacts}

    @cached_property
    def lead_by_id(self) -> dict[tuple[str, str], WorkloadLead]:
        """Return the leads by location and id."""
        return {(lead.location, lead.id): lead for lead in self.leads}

    @cached_property
    def messages_by_contact(self) -> dict[tuple[str, str], list[Message]]:
        """Return the messages by location and contact."""
        found: dict[tuple[str, str], list[Message]] = {}
        for message in self.messages:
            found.setdefault((message.location, message.contact), []).append(message)
        return found

    @property
    def poison(self) -> frozenset[str]:
        """Return the e-mails that make a search fail."""
        return frozenset(value for lead in self.leads for value in lead.poison)

    @property
    def ends(self) -> int:
        """Return the time at which everything must be done, if no worker dies."""
        return max((one.at for one in self.publications), default=0) + done_within_ms

    def without(self, numbers: Collection[int]) -> "Workload":
        """Return the same workload without these leads."""
        return replace(self, leads=[one for one in self.leads if one.number not in numbers])

    def partition_of(self, one: Publication) -> int:
        """Return the partition that upstream publishes to."""
        return home(one.key, self.partitions) if one.partition is None else one.partition


def of_kinds(
    seed: int, kinds: Sequence[str] = small, locations: int = 2, spread_ms: int = 4_000, misrouted: int = 1
) -> Workload:
    """Make one lead of each of `kinds`, spread over locations and time."""
    random = Random(f"{seed} scenario")
    ours = locations_at_home(locations, partition)
    raw_names = frozenset(location for location in ours if random.random() < 0.5)
    leads = []
    for number, kind in enumerate(kinds):
        location = random.choice(ours)
        lead = WorkloadLead(seed, number, location, location in raw_names, random.randint(0, spread_ms), kind)
        {**lead_kinds, **rare_kinds}[kind](lead)
        leads.append(lead)
    return Workload(seed, leads, [misroute(random, number, spread_ms) for number in range(misrouted)], raw_names)


def mixed(seed: int, leads: int = 60, locations: int = 4, spread_ms: int = 8_000) -> Workload:
    """Make leads of random kinds."""
    random = Random(f"{seed} kinds")
    return of_kinds(seed, random.choices(list(lead_kinds), k=leads), locations, spread_ms, misrouted=3)


def flood(seed: int, leads: int, locations: int = 1) -> Workload:
    """Make leads that cost a call each, and publish all of them at once."""
    return of_kinds(seed, ["lacks_contact"] * leads, locations, spread_ms=500, misrouted=0)


def in_all_partitions(seed: int, leads: int, count: int, each: int = 2, spread_ms: int = 40_000) -> Workload:
    """Make leads of random kinds over the locations of all `count` partitions; some are misrouted first."""
    random = Random(f"{seed} shared")
    ours = [location for where in range(count) for location in locations_at_home(each, where, count)]
    raw_names = frozenset(location for location in ours if random.random() < 0.5)
    made = []
    for number, kind in enumerate(random.choices(list(lead_kinds), k=leads)):
        location = random.choice(ours)
        lead = WorkloadLead(seed, number, location, location in raw_names, random.randint(0, spread_ms), kind)
        lead_kinds[kind](lead)
        if kind == "no_contact" and random.random() < 0.5:
            elsewhere = (home(location, count) + 1) % count
            lead.publications[0] = replace(lead.publications[0], partition=elsewhere, misrouted=True)
            lead.truth.known = never  # it comes home at an unknown time
            lead.truth.excused |= {unknown_lead}  # the worker that forwards it home may be away
        made.append(lead)
    return Workload(seed, made, raw_names=raw_names, partitions=count, owned=tuple(range(count)))


def locations_at_home(count: int, where: int, among: int = partitions) -> list[str]:
    """Return ids of locations whose home is this partition."""
    ids = (f"location-{number}" for number in range(100_000))
    return [next(one for one in ids if home(one, among) == where) for _ in range(count)]


def misroute(random: Random, number: int, spread_ms: int) -> Publication:
    """Publish a lead of another partition's location to our partition."""
    (elsewhere,) = locations_at_home(1, (partition + 1) % partitions)
    seed, at = f"stray {random.random()}", random.randint(0, spread_ms)
    lead = WorkloadLead(seed, 90_000 + number, elsewhere, False, at)
    lead.change(1, {"email": f"stray-{number}@example.com"}, None)
    (one,) = lead.publications
    return replace(one, misrouted=True, partition=partition)
