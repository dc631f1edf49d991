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

is_updated: Final = frozenset({"updated"})
is_not_found: Final = frozenset({"not_found"})
either: Final = is_updated | is_not_found
is_unchanged: Final = frozenset({"unchanged"})

job_outcomes: Final[Mapping[str, frozenset[str]]] = {  # of `lead_kinds`, in a job
    "complete": is_unchanged,
    "lacks_fields": is_updated,
    "lacks_time_zone": is_unchanged | is_updated,
    "lacks_contact": is_updated,
    "by_phone": is_updated,
    "several_but_one_phone": is_updated,
    "several_of_one_person": is_updated,
    "ambiguous": frozenset({"ambiguous"}),
    "no_contact": is_not_found,
    "no_identity": is_not_found,
    "young": either,
    "young_without_contact": is_not_found,
    "loading": is_updated,
    "changes_email": is_updated,
    "changes_email_to_unknown": either,
    "out_of_order": is_updated,
    "edited": is_updated,
    "gets_its_contact_from_upstream": is_updated,
    "is_deleted": is_updated,
    "comes_back": is_updated,
    "dead_link": is_updated,
    "dead_link_without_contact": is_not_found,
    "synced_before_it_came": is_updated,
    "synced_with_snapshot": is_updated,
    "synced_too_late": is_updated,
    "already_forwarded": is_updated,
}
kinds_beside_jobs: Final = {**{name: lead_kinds[name] for name in job_outcomes}, **waiting_kinds}
