"""The table of seeded worlds. A proof takes them in turn by seed, so their order stays."""

from collections.abc import Callable, Mapping
from typing import Final

from .everything import everything
from .fault_worlds import highlevel_outages, poisoned_leads, stepped_clocks
from .job_worlds import jobs, jobs_in_group, spent_day, stalled_scan
from .load_worlds import failing_neighbour, interactive_beside_backlog, interactive_overload
from .message_worlds import changing_messages, expired_cursors, jobs_with_messages
from .run import Run
from .worker_worlds import one_worker, overloaded, static_members, worker_group

worlds: Final[Mapping[str, Callable[[int], Run]]] = {
    world.__name__: world
    for world in (
        one_worker,
        overloaded,
        worker_group,
        static_members,
        highlevel_outages,
        poisoned_leads,
        stepped_clocks,
        jobs,
        spent_day,
        stalled_scan,
        jobs_in_group,
        jobs_with_messages,
        expired_cursors,
        changing_messages,
        interactive_beside_backlog,
        interactive_overload,
        failing_neighbour,
        everything,
    )
}
