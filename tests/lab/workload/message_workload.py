"""Workloads with messages: Syncs and Sync Alls that import several pages of them, some late."""

from dataclasses import replace
from random import Random
from typing import Final

from .contact import Contact
from .found_kinds import without
from .job_workload import small_sync_all, still, with_jobs
from .lead import WorkloadLead
from .message import Message, conversation, conversations, message_late_at_most_ms
from .publication import JobRequest
from .times import start_ms
from .workload import Workload, locations_at_home, partition

an_hour_s: Final = 3_600
changing_meanwhile: Final = (
    "is_another_meanwhile",
    "is_changed_meanwhile",
    "is_synced_meanwhile",
    "is_deleted_meanwhile",
)


def synced_twice(seed: int, count: int = 14, again_ms: int = 6_000) -> Workload:
    """Sync a linked lead and one without contact, both twice; each contact has several pages of messages."""
    (location,) = locations_at_home(1, partition)
    random = Random(f"{seed} synced twice")
    leads: list[WorkloadLead] = []
    messages: list[Message] = []
    for number, kind in enumerate(["is_complete", "is_linked"]):
        lead = WorkloadLead(seed, number, location, True, random.randint(0, 100), kind)
        contact = lead.contact()
        linked = {**contact.fields, "contact_id": contact.id}
        lead.change(1, linked if kind == "is_complete" else without(contact.fields, "city"), contact, loading=True)
        lead.expect("unchanged" if kind == "is_complete" else "updated")
        lead.later(50, 200)
        lead.sync(f"request-{number}", deadline_s=an_hour_s, include_messages=True)
        lead.later(again_ms, again_ms + 500)
        lead.sync(f"request-{number}-again", deadline_s=an_hour_s, include_messages=True)
        messages += conversation(random, contact, count, lasts=again_ms)
        late = start_ms - random.randint(
            1_000, message_late_at_most_ms
        )  # sent before the newest one that the first Sync had
        messages.append(Message(f"{contact.id}-heard", location, contact.id, start_ms - 1))
        messages.append(Message(f"{contact.id}-late", location, contact.id, late, appears=again_ms // 2))
        leads.append(lead)
    return Workload(seed, leads, raw_names=frozenset({location}), messages=tuple(messages))


def read_by_location(seed: int) -> Workload:
    """Make a small Sync All where one export of the whole location is cheaper."""
    workload = small_sync_all(seed)
    return replace(workload, messages=conversations(seed, contacts_of_leads(workload), 3, lasts=4_000))


def read_by_contact(seed: int) -> Workload:
    """Make a small Sync All where others have so many messages that an export per contact is cheaper."""
    workload = small_sync_all(seed)
    messages = conversations(seed, contacts_of_leads(workload), 3, lasts=4_000)
    return replace(workload, messages=(*messages, *conversations(f"{seed} others", workload.bystanders, 40)))


def changing_while_read(seed: int) -> Workload:
    """Change, sync or relink leads while a Sync All exports the location."""
    (location,) = locations_at_home(1, partition)
    random = Random(f"{seed} turning")
    kinds = [*still, *still, *random.choices(changing_meanwhile, k=8), "shares_its_contact", "shares_its_contact"]
    jobs = [JobRequest(600, "job-0", location)]
    workload = with_jobs(seed, kinds, jobs, [location], bystanders=4, lasts=4_000)
    lasts = random.choice([4_000, 20_000])
    return replace(workload, messages=conversations(seed, contacts_of_leads(workload), 3, lasts=lasts))


def contacts_of_leads(workload: Workload) -> list[Contact]:
    """Return the contacts of leads, each once: some leads share theirs."""
    return [contact for contact in workload.contacts.values() if contact not in workload.bystanders]
