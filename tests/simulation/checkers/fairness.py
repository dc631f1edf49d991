"""Check waits: interactive calls first, no lane starves, no location delays another, and all work ends soon."""

from collections.abc import Iterator, Mapping
from typing import Final

from processor.engine.clock import unsettled_ms
from tests.lab.checkers.calls import budget_window_ms, busiest
from tests.lab.checkers.job_history import job_histories
from tests.lab.history import LeadKey, SentCall
from tests.lab.workload.lead import WorkloadLead
from tests.lab.workload.times import start_ms
from tests.simulation.runs.play import recovery_ms
from tests.simulation.runs.run import Run

waits_at_most_ms: Final = 400  # DESIGN §6.6: p99 of an interactive call
ingested_within_ms: Final = 100  # an event through the log and a turn's commit, where none of them is slow
lower_lane_every: Final = 20  # DESIGN §6.6
delayed_at_most_ms: Final = 250  # the turns of one partition follow each other
ends_within_ms: Final = 200_000  # second looks, a retry a minute later, a probe a minute later


def interactive_first(run: Run) -> Iterator[str]:
    """While Syncs need at most half of the budget, their calls hardly wait for a slot."""
    if not undisturbed(run):
        return
    synced = {key: lead for key, lead in run.workload.lead_by_id.items() if only_synced(lead)}
    for location, sent in run.history.calls_by_location.items():
        calls = [(call, lead) for call in sent for lead in leads_of(call, synced)]
        if not calls or busiest([call.granted for call, _ in calls]) * 2 > run.world.rate.per_window:
            continue
        waits: list[int] = []
        since: dict[str, int] = {}
        for call, lead in calls:
            waits.append(call.granted - since.get(lead.id, start_ms + lead.publications[0].at))
            since[lead.id] = call.until or call.at
        if (wait := sorted(waits)[len(waits) * 99 // 100]) > waits_at_most_ms + ingested_within_ms:
            yield f"{location}: of {len(waits)} interactive calls the 99th of 100 waited for {wait} ms"


def no_lane_starves(run: Run) -> Iterator[str]:
    """At least one of any 20 calls in a row is of a lower lane, while lower lanes wait."""
    if not undisturbed(run) or run.world.probe_size > 1 or run.workload.jobs:
        return
    synced = {key: lead for key, lead in run.workload.lead_by_id.items() if only_synced(lead)}
    for location, sent in run.history.calls_by_location.items():
        others = [lead for lead in run.workload.leads if lead.location == location and not only_synced(lead)]
        lower = [call.granted for call in sent if not any(leads_of(call, synced))]
        if not others or not lower:
            continue
        ingested = start_ms + max(lead.publications[-1].at for lead in others) + ingested_within_ms
        busy = [call.granted for call in sent if ingested <= call.granted <= lower[-1]]
        served = [number for number, at in enumerate(busy) if at in lower]
        gaps = [after - before for before, after in zip([-1, *served], [*served, len(busy)], strict=False)]
        if busy and max(gaps) > lower_lane_every:
            yield f"{location}: {max(gaps) - 1} calls in a row, and none of the lower lanes"


def isolated(run: Run) -> Iterator[str]:
    """Leads beside a failing or huge location have the same results at the same time as without it."""
    if run.control is None:
        return
    alone, beside = run.control.history.results_by_lead, run.history.results_by_lead
    for lead, before in alone.items():
        after = beside.get(lead, [])
        if len(after) != len(before):
            yield f"{lead[1]} has {len(after)} results beside a failing location, {len(before)} without"
        for one, other in zip(before, after, strict=False):
            if other.committed_ms > one.committed_ms + delayed_at_most_ms:
                late = other.committed_ms - one.committed_ms
                yield f"{lead[1]} had its result {late} ms later beside a failing location"


def ends_soon(run: Run) -> Iterator[str]:
    """Once faults and publications stop, all work ends, apart from the calls that it still needs and from later looks."""
    if run.world.highlevel_faults.day is not None:
        return  # the next day may be far away
    quiet = quiet_from(run)
    later = sorted(call.at for call in run.history.calls if call.at > quiet)
    ends = [job.end.committed_ms for job in job_histories(run.history) if job.end]
    ends += [result.committed_ms for result in run.history.results]
    last = max([*later, *ends], default=0)
    allowed = ends_within_ms + len(later) * budget_window_ms * 12 // (run.world.rate.per_window * 10)
    if run.world.highlevel_faults.over > 0 or run.workload.poison:
        allowed += recovery_ms
    if last > quiet + allowed:
        yield f"the last work ended {last - quiet} ms after all was quiet, {allowed} ms are allowed"


def quiet_from(run: Run) -> int:
    """Return the ms since 1970 from which on no fault happens and upstream publishes nothing."""
    world, workload = run.world, run.workload
    highlevel, kafka = world.highlevel_faults, world.kafka_faults
    moments = [highlevel.until, highlevel.over, kafka.until if kafka.unknown_outcome else 0]
    moments += [step.at + unsettled_ms for step in world.steps]
    moments += [fault.over for fault in run.faults]
    moments += [one.at for one in workload.publications]
    moments += [message.appears for message in workload.messages]
    return max(start_ms + max(moments), *(worker.began for worker in run.workers))


def undisturbed(run: Run) -> bool:
    """True if only the budget makes calls wait: no fault happens, and nothing is slow."""
    world, highlevel = run.world, run.world.highlevel_faults
    shares = highlevel.unavailable or highlevel.lost or highlevel.throttled
    faults = shares or highlevel.outages or highlevel.refusals or highlevel.day
    slow = world.kafka_faults.slow or world.kafka_faults.unknown_outcome or world.network.out[1] > waits_at_most_ms
    return not (run.kills or run.faults or world.steps or run.workload.poison or faults or slow)


def only_synced(lead: WorkloadLead) -> bool:
    """True if only a Sync, which brings the lead's snapshot, gives it work."""
    return lead.kind == "is_asked_about"


def leads_of(call: SentCall, leads: Mapping[LeadKey, WorkloadLead]) -> Iterator[WorkloadLead]:
    for ask in call.asks:
        if (lead := leads.get((call.location, ask.split()[0]))) is not None:
            yield lead
