"""The checkers of each invariant of DESIGN §6, by name, and the purpose of the others; those of the simulation included."""

from collections.abc import Mapping
from typing import Final

invariants: Final[Mapping[int, frozenset[str]]] = {  # of DESIGN §6
    1: frozenset({"budget", "permits", "journalled", "patient", "unsettled", "few_at_once", "leaves_the_reserve"}),
    2: frozenset(
        {"nothing_lost", "dead_lettered", "forwarded_home", "no_lead_skipped", "none_missing", "copied_to_all"}
    ),
    3: frozenset({"once", "each_message_once", "ends_once", "calls_reported"}),
    4: frozenset({"order", "no_stale_responses", "no_foreign_messages", "counts_grow"}),
    5: frozenset({"no_contact_made"}),
    6: frozenset({"interactive_first", "no_lane_starves"}),
    7: frozenset({"isolated"}),
    8: frozenset({"held_in_bounds", "few_at_once"}),
}
liveness: Final = frozenset({"all_done", "ends_soon", "goes_on_by_itself", "no_work_left", "pauses_are_kept"})
other_promises: Final = frozenset(  # of other sections of DESIGN
    {
        *("healthy", "awake_for_a_reason", "no_fence_war", "one_probe_at_a_time", "few_trials", "thrifty", "contract"),
        *("adds_up", "stops_at_once", "one_after_the_other", "progress_interval", "spent_calls_reported"),
        "message_counts",
    }
)
