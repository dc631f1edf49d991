"""The table of all kinds of leads. A kind is a function that publishes one lead and sets its ground truth."""

from collections.abc import Callable, Mapping
from typing import Final

from . import changed_kinds, found_kinds, job_kinds, request_kinds
from .lead import WorkloadLead

Kind = Callable[[WorkloadLead], None]

lead_kinds: Final[Mapping[str, Kind]] = {
    kind.__name__: kind
    for kind in (
        found_kinds.complete,
        found_kinds.lacks_fields,
        found_kinds.lacks_time_zone,
        found_kinds.lacks_contact,
        found_kinds.by_phone,
        found_kinds.several_but_one_phone,
        found_kinds.several_of_one_person,
        found_kinds.ambiguous,
        found_kinds.no_contact,
        found_kinds.no_identity,
        found_kinds.young,
        found_kinds.young_without_contact,
        found_kinds.loading,
        changed_kinds.changes_email,
        changed_kinds.changes_email_to_unknown,
        changed_kinds.out_of_order,
        changed_kinds.edited,
        changed_kinds.gets_its_contact_from_upstream,
        changed_kinds.is_deleted,
        changed_kinds.comes_back,
        changed_kinds.dead_link,
        changed_kinds.dead_link_without_contact,
        request_kinds.synced_unknown,
        request_kinds.synced_before_it_came,
        request_kinds.synced_with_snapshot,
        request_kinds.synced_too_late,
        request_kinds.malformed,
        request_kinds.malformed_request,
        request_kinds.tombstone,
        request_kinds.already_forwarded,
    )
}
waiting_kinds: Final[Mapping[str, Kind]] = {  # only a job gives them an outcome
    kind.__name__: kind
    for kind in (
        job_kinds.waits,
        job_kinds.waits_by_phone,
        job_kinds.waits_linked,
        job_kinds.waits_without_contact,
        job_kinds.waits_nameless,
        job_kinds.waits_in_doubt,
        job_kinds.waits_complete,
        job_kinds.shares_its_contact,
        job_kinds.has_an_additional_email,
        job_kinds.is_edited,
        job_kinds.loses_its_contact,
        job_kinds.gains_its_contact,
        job_kinds.gets_its_contact,
        job_kinds.has_its_contact_deleted,
        job_kinds.has_its_contact_merged,
        job_kinds.is_changed_meanwhile,
        job_kinds.is_another_meanwhile,
        job_kinds.is_deleted_meanwhile,
        job_kinds.is_synced_meanwhile,
    )
}
rare_kinds: Final[Mapping[str, Kind]] = {"poisoned": request_kinds.poisoned}  # never drawn by chance

found: Final = frozenset({"updated"})
missing: Final = frozenset({"not_found"})
either: Final = found | missing
nothing_new: Final = frozenset({"unchanged"})

job_outcomes: Final[Mapping[str, frozenset[str]]] = {  # of `lead_kinds`, in a job
    "complete": nothing_new,
    "lacks_fields": found,
    "lacks_time_zone": nothing_new | found,
    "lacks_contact": found,
    "by_phone": found,
    "several_but_one_phone": found,
    "several_of_one_person": found,
    "ambiguous": frozenset({"ambiguous"}),
    "no_contact": missing,
    "no_identity": missing,
    "young": either,
    "young_without_contact": missing,
    "loading": found,
    "changes_email": found,
    "changes_email_to_unknown": either,
    "out_of_order": found,
    "edited": found,
    "gets_its_contact_from_upstream": found,
    "is_deleted": found,
    "comes_back": found,
    "dead_link": found,
    "dead_link_without_contact": missing,
    "synced_before_it_came": found,
    "synced_with_snapshot": found,
    "synced_too_late": found,
    "already_forwarded": found,
}
kinds_beside_jobs: Final = {**{name: lead_kinds[name] for name in job_outcomes}, **waiting_kinds}
