"""Who waits how long, and what is held meanwhile: people first, nobody for ever, no location for another, all within bounds.
Judged from what left the workers, when results were committed, and what turns held."""

from collections.abc import Iterator
from typing import Final

from processor.engine.clock import unsettled_ms

from .highlevel import Sent
from .imported import answers
from .loop import start_ms
from .play import Run, recovery_ms
from .spending import busiest, granted, grouped_by_location, window_ms
from .streams import streams
from .tale import Tale

waits_at_most_ms: Final = 400  # DESIGN §6.6: p99 of an interactive call
heard_within_ms: Final = 100  # an event through the log and a turn's commit, where none of them is slow
lower_lane_every: Final = 20  # DESIGN §6.6
disturbed_at_most_ms: Final = 250  # the turns of one partition follow each other
documents_at_most: Final = 2_000  # DESIGN §1: 400 leads touched in a turn, each with its request, location and budget
records_at_most: Final = 2_000
rows_at_most: Final = 2_500
ends_within_ms: Final = 200_000  # second looks, a retry a minute later, a probe a minute later


def interactive_first(run: Run) -> Iterator[str]:
    """While people ask for no more than half of the budget, their calls hardly wait for a slot."""
    if not undisturbed(run):
        return
    asked = {(tale.location, tale.lead): tale for tale in run.scenario.tales if only_asked_about(tale)}
    for location, sent in grouped_by_location(run.server.sent).items():
        calls = [(one, tale) for one in sent for tale in waiting(one, asked)]
        if not calls or busiest([granted(run, one) for one, _ in calls]) * 2 > run.world.rate.per_window:
            continue
        waits: list[int] = []
        since: dict[str, int] = {}
        for one, tale in calls:
            heard = since.get(tale.lead, start_ms + tale.publications[0].at)
            waits.append(granted(run, one) - heard)
            since[tale.lead] = one.until or one.at
        if (wait := sorted(waits)[len(waits) * 99 // 100]) > waits_at_most_ms + heard_within_ms:
            yield f"{location}: of {len(waits)} interactive calls the 99th of 100 waited for {wait} ms"


def nobody_starves(run: Run) -> Iterator[str]:
    """Of any 20 calls that follow each other while other work waits as well, one at least is for that."""
    if not undisturbed(run) or run.world.probe_size > 1 or run.scenario.orders:
        return
    asked = {(tale.location, tale.lead): tale for tale in run.scenario.tales if only_asked_about(tale)}
    for location, sent in grouped_by_location(run.server.sent).items():
        others = [tale for tale in run.scenario.tales if tale.location == location and not only_asked_about(tale)]
        lower = [granted(run, one) for one in sent if not any(waiting(one, asked))]
        if not others or not lower:
            continue
        heard = start_ms + max(tale.publications[-1].at for tale in others) + heard_within_ms
        busy = [at for one in sent if heard <= (at := granted(run, one)) <= lower[-1]]
        served = [number for number, at in enumerate(busy) if at in lower]
        gaps = [after - before for before, after in zip([-1, *served], [*served, len(busy)], strict=False)]
        if busy and max(gaps) > lower_lane_every:
            yield f"{location}: {max(gaps) - 1} calls in a row, and none for those that waited"


def isolated(run: Run) -> Iterator[str]:
    """Who lives beside a sick or huge location is served as without it."""
    if run.control is None:
        return
    alone, beside = (answers(one) for one in (run.control, run))
    for lead, before in alone.items():
        after = beside.get(lead, [])
        if len(after) != len(before):
            yield f"{lead[1]} has {len(after)} results beside a sick location, {len(before)} without"
        for one, other in zip(before, after, strict=False):
            if other.at > one.at + disturbed_at_most_ms:
                yield f"{lead[1]} was answered {other.at - one.at} ms later beside a sick location"


def held_in_bounds(run: Run) -> Iterator[str]:
    """Whatever lies in the log and in state, a turn holds so much at once and writes so much."""
    limits = {"documents": documents_at_most, "records": records_at_most, "rows": rows_at_most}
    for worker in run.workers:
        for what, most in limits.items():
            if worker.peaks[what] > most:
                yield f"{worker.name} held {worker.peaks[what]} {what} in a turn"


def ends_soon(run: Run) -> Iterator[str]:
    """Once faults stop and nobody says anything any more, all that is pending ends: at once, but for the calls that it still
    needs, and for looks that are due later."""
    if run.world.weather.day is not None:
        return  # the next day may be far away
    calm = calm_from(run)
    later = sorted(one.at for one in run.server.sent if one.at > calm)
    ends = [stream.end.at for stream in streams(run).values() if stream.end]
    ends += [one.at for many in answers(run).values() for one in many]
    last = max([*later, *ends], default=0)
    allowed = ends_within_ms + len(later) * window_ms * 12 // (run.world.rate.per_window * 10)
    if run.world.weather.over > 0 or run.scenario.poison:
        allowed += recovery_ms
    if last > calm + allowed:
        yield f"the last work ended {last - calm} ms after all was calm, {allowed} ms are allowed"


def calm_from(run: Run) -> int:
    """Ms since 1970: what goes wrong has gone wrong, what is said is said."""
    world, scenario = run.world, run.scenario
    moments = [world.weather.until, world.weather.over, world.faults.until if world.faults.unknown_outcome else 0]
    moments += [step.at + unsettled_ms for step in world.steps]
    moments += [fate.over for fate in run.fates]
    moments += [one.at for one in scenario.publications]
    moments += [text.appears for text in scenario.texts]
    return max(start_ms + max(moments), *(worker.began for worker in run.workers))


def undisturbed(run: Run) -> bool:
    """Nothing is slow or goes wrong but what the budget makes wait."""
    world, sky = run.world, run.world.weather
    faults = sky.unavailable or sky.lost or sky.throttled or sky.outages or sky.refusals or sky.day
    slow = world.faults.slow or world.faults.unknown_outcome or world.network.out[1] > waits_at_most_ms
    return not (run.kills or run.fates or world.steps or run.scenario.poison or faults or slow)


def only_asked_about(tale: Tale) -> bool:
    """Nothing but a Sync gives it work, one of a lead that comes with it."""
    return tale.kind == "is_asked_about"


def waiting(one: Sent, asked: dict[tuple[str, str], Tale]) -> Iterator[Tale]:
    for ask in one.asks:
        if (tale := asked.get((one.location, ask.split()[0]))) is not None:
            yield tale


promises_of_fairness: Final = (interactive_first, nobody_starves, isolated, held_in_bounds, ends_soon)
