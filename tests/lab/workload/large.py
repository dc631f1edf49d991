"""Make a workload of thousands of leads for a real Kafka: locations with changes and Syncs, and one for a Sync All."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import cycle, islice
from random import Random
from typing import Final

from processor.topics import DEFAULT_PARTITIONS, home

from .contact import Contact
from .ground_truth import Answer, unknown_lead
from .lead import WorkloadLead
from .lead_kinds import lead_kinds, waiting_kinds
from .message import Message, conversation
from .publication import JobRequest
from .times import never
from .workload import Workload

leads_per_s: Final = 800  # so that there is something to watch
publishing_at_least_ms: Final = 3_000
job_at_ms: Final = 1_000
misrouted_every: Final = 100  # leads with one record: one in so many arrives on the wrong partition
bystanders_share: Final = 0.05  # contacts without a lead, of the number of a job's leads
talkative_share: Final = 0.1  # of the contacts that no Sync is about
most_messages: Final = 6  # of a contact

changing: Final[Mapping[str, float]] = {
    "complete": 250,
    "lacks_fields": 180,
    "lacks_time_zone": 20,
    "lacks_contact": 300,
    "by_phone": 40,
    "several_but_one_phone": 20,
    "several_of_one_person": 20,
    "ambiguous": 30,
    "no_contact": 60,
    "no_identity": 20,
    "young": 3,
    "young_without_contact": 2,
    "loading": 3,
    "changes_email": 3,
    "changes_email_to_unknown": 3,
    "out_of_order": 3,
    "edited": 6,
    "gets_its_contact_from_upstream": 3,
    "is_deleted": 2,
    "comes_back": 2,
    "dead_link": 12,
    "dead_link_without_contact": 8,
    "malformed": 10,
    "tombstone": 1,
    "already_forwarded": 1,
}
synced: Final = (
    "lacks_fields",
    "no_contact",
    "malformed_request",
    "dead_link",
    "synced_unknown",
    "ambiguous",
    "synced_with_snapshot",
    "lacks_contact",
    "synced_before_it_came",
    "complete",
    "by_phone",
    "no_identity",
    "lacks_time_zone",
    "several_but_one_phone",
    "young",
    "dead_link_without_contact",
    "loading",
    "several_of_one_person",
)
in_the_job: Final[Mapping[str, float]] = {
    "waits": 560,
    "waits_by_phone": 30,
    "waits_linked": 120,
    "waits_complete": 120,
    "waits_without_contact": 80,
    "waits_in_doubt": 20,
    "waits_nameless": 5,
    "has_an_additional_email": 25,
}
found_without_call: Final = frozenset({"waits_complete", "waits_nameless"})


class LeadOfPerson(WorkloadLead):
    """Ask for messages in each Sync, as people do."""

    def sync(self, request: str, *answers: Answer, late: bool = False, **more: object) -> None:
        super().sync(request, *answers, late=late, **{"include_messages": True, **more})


@dataclass(frozen=True, slots=True)
class Size:
    locations: int = 20
    leads: int = 500  # of each location
    syncs: int = 40
    sync_all: int = 20_000  # leads of a further location; 0: there is no such location
    seed: int = 0


def large(size: Size) -> Workload:
    """Make each kind at least once, if there is room. Every second location shows names as entered in search."""
    random = Random(f"{size.seed} large")
    places = [f"location-{number:02}" for number in range(1, size.locations + 2)]
    *places, job_place = places
    raw_names = frozenset({*places[::2], job_place})
    spread_ms = max(publishing_at_least_ms, size.locations * size.leads * 1_000 // leads_per_s)
    count = size.locations * size.leads
    kinds = ["", *islice(cycle(synced), size.syncs)][1:] + draw_kinds(random, changing, count - size.syncs)
    leads = [
        make_lead(size.seed, number, places[number % len(places)], raw_names, kind, spread_ms, number < size.syncs)
        for number, kind in enumerate(kinds)
    ]
    misroute_some(leads)
    job_kinds = draw_kinds(random, in_the_job, size.sync_all)
    job_leads = [
        make_lead(size.seed, number, job_place, raw_names, kind, 0, None)
        for number, kind in enumerate(job_kinds, count)
    ]
    bystanders = tuple(bystanders_of(job_place, count + size.sync_all, int(size.sync_all * bystanders_share)))
    jobs = (JobRequest(job_at_ms, "sync-all", job_place, messages=True),) if size.sync_all else ()
    return Workload(
        size.seed,
        [*leads, *job_leads],
        raw_names=raw_names,
        partitions=DEFAULT_PARTITIONS,
        owned=tuple(range(DEFAULT_PARTITIONS)),
        jobs=jobs,
        bystanders=bystanders,
        messages=tuple(messages_of(size.seed, [*leads, *job_leads], bystanders)),
    )


def draw_kinds(random: Random, shares: Mapping[str, float], count: int) -> list[str]:
    """Return so many kinds in these shares, shuffled."""
    kinds = list(shares)[:count]
    kinds += random.choices(list(shares), list(shares.values()), k=count - len(kinds))
    random.shuffle(kinds)
    return kinds


def make_lead(
    seed: int, number: int, location: str, raw_names: frozenset[str], kind: str, spread_ms: int, wants_sync: bool | None
) -> WorkloadLead:
    """Make a lead of the kind, again and again until it has a Sync, or none. None: either is right."""
    begins = Random(f"{seed} begin {number}").randint(0, spread_ms)
    if kind.startswith("young"):
        begins //= 10  # it takes a minute
    for attempt in range(1_000):
        lead = LeadOfPerson(f"{seed} {attempt}", number, location, location in raw_names, begins, kind)
        {**lead_kinds, **waiting_kinds}[kind](lead)
        if wants_sync is None or bool(lead.truth.requests) == wants_sync:
            return lead
    raise ValueError(f"{kind}: no such lead {'with' if wants_sync else 'without'} a Sync")


def misroute_some(leads: Iterable[WorkloadLead]) -> None:
    alone = [lead for lead in leads if len(lead.publications) == 1 and lead.truth.revisions]
    for lead in alone[::misrouted_every]:
        (only,) = lead.publications
        elsewhere = (home(lead.location, DEFAULT_PARTITIONS) + 1) % DEFAULT_PARTITIONS
        lead.publications = [replace(only, partition=elsewhere, misrouted=True)]
        lead.truth.known = never  # it comes home at an unknown time
        lead.truth.excused |= {unknown_lead}


def bystanders_of(location: str, first: int, count: int) -> Iterator[Contact]:
    for number in range(first, first + count):
        yield WorkloadLead(0, number, location, True, 0).contact()


def messages_of(seed: int, leads: Iterable[WorkloadLead], bystanders: Iterable[Contact]) -> Iterator[Message]:
    """Make messages of all contacts of synced leads that are there, and of some others."""
    random = Random(f"{seed} messages")
    of_synced = [contact for lead in leads if lead.truth.requests for contact in lead.contacts]
    others = [contact for lead in leads if not lead.truth.requests for contact in lead.contacts]
    talkative = [contact for contact in (*others, *bystanders) if random.random() < talkative_share]
    for contact in (*of_synced, *talkative):
        if not contact.gone:
            for message in conversation(random, contact, random.randint(1, most_messages)):
                yield replace(message, kind=message.kind.replace("_SOMETHING", "_SMS_SOMETHING"))  # else it is no SMS
