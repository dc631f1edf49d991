"""Which oracles judge which invariant of DESIGN §6, by name; and what the others are for."""

from collections.abc import Mapping
from typing import Final

invariants: Final[Mapping[int, frozenset[str]]] = {  # of DESIGN §6, and who judges them
    1: frozenset({"budget", "permits", "journalled", "patient", "unsettled", "few_at_once", "leaves_the_reserve"}),
    2: frozenset({"nothing_lost", "buried", "sent_home", "no_lead_skipped", "none_missing", "told_to_all"}),
    3: frozenset({"once", "each_once", "ends_once", "calls_told"}),
    4: frozenset({"order", "no_old_answers", "nobody_elses", "counts_grow"}),
    5: frozenset({"no_contact_made"}),
    6: frozenset({"interactive_first", "nobody_starves"}),
    7: frozenset({"isolated"}),
    8: frozenset({"held_in_bounds", "few_at_once"}),
}
liveness: Final = frozenset({"all_done", "ends_soon", "goes_on_by_itself", "left_in_order", "paused_means_it"})
elsewhere: Final = frozenset(  # what DESIGN promises in other places
    {
        *("healthy", "awake_for_a_reason", "no_fence_war", "one_probe_at_a_time", "few_trials", "thrifty", "contract"),
        *("adds_up", "stops_at_once", "one_after_the_other", "told_now_and_then", "spends_what_it_says"),
        "as_many_as_said",
    }
)
