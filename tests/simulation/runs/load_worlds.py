"""Seeded worlds with more work than may be done at once. Nothing else goes wrong, so that waits can be judged."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from random import Random
from typing import Final

from processor.ratelimit.budget import Rate
from tests.lab.faults import HighLevelFaults, Outage, OutageKind, Refusal, RefusalKind
from tests.lab.workload.lead import WorkloadLead
from tests.lab.workload.publication import JobRequest
from tests.lab.workload.times import never
from tests.lab.workload.workload import Workload, locations_at_home, partition
from tests.simulation.world.broker import Faults
from tests.simulation.world.network import Network

from .play import play
from .run import Run, World

rate: Final = Rate(90)
round_trip_100_ms: Final = Network(connect=(0, 1), out=(45, 55), back=(45, 55))
steady_world: Final = World(rate, 1, round_trip_100_ms, kafka_faults=Faults(slow=0))
calls_per_sync: Final = 2  # a search, and a GET for fields that no search shows
neighbour_faults: Final[tuple[OutageKind | RefusalKind | str, ...]] = (
    *("5xx", "lost", "403", "hang", "reset", "429"),
    *("expired", "revoked", "location"),
    "huge",
)


def in_backlog(lead: WorkloadLead) -> None:
    """It needs one call."""
    contact = lead.contact()
    lead.change(1, {**contact.fields}, contact)
    lead.expect("updated")


def is_asked_about(lead: WorkloadLead) -> None:
    """Only its Sync, which brings its snapshot, gives it work."""
    contact = lead.contact()
    lead.set_truth(1, {"email": contact.fields["email"]}, contact)
    lead.expect("updated")
    lead.sync(f"request-{lead.number}", lead=lead.snapshot(1))


def rests(lead: WorkloadLead) -> None:
    """It waits for a job, and has no contact."""
    lead.change(1, {"email": f"nobody-{lead.number}@example.com"}, None, loading=True)
    lead.truth.job = frozenset({"not_found"})
    lead.expect(None, "not_found")


def leads_at(
    seed: int, kind: Callable[[WorkloadLead], None], location: str, times: Sequence[int], first: int = 0
) -> list[WorkloadLead]:
    leads = [WorkloadLead(seed, number, location, True, at, kind.__name__) for number, at in enumerate(times, first)]
    for lead in leads:
        kind(lead)
    return leads


def interactive_beside_backlog(seed: int, lasts_s: int = 20) -> Run:
    """Play Syncs that need at most half of the budget, beside an endless backlog."""
    random = Random(f"{seed} crowded")
    (location,) = locations_at_home(1, partition)
    share = random.choice([0.15, 0.3, 0.45])
    every = int(10_000 * calls_per_sync / (rate.per_window * share))
    syncs = [at + random.randint(0, every // 3) for at in range(1_000, lasts_s * 1_000, every)]
    backlog = [random.randint(0, 500)] * (rate.per_window * lasts_s // 10)
    return play(syncs_and_backlog(seed, location, syncs, backlog), world=steady_world)


def interactive_overload(seed: int) -> Run:
    """Play Syncs that need more than the whole budget, beside some other work."""
    random = Random(f"{seed} pressed")
    (location,) = locations_at_home(1, partition)
    every = int(10_000 * calls_per_sync / (rate.per_window * random.choice([1.2, 1.5])))
    backlog = [random.randint(0, 500)] * 9
    return play(syncs_and_backlog(seed, location, range(300, 20_000, every), backlog), world=steady_world)


def syncs_and_backlog(seed: int, location: str, syncs: Sequence[int], backlog: Sequence[int]) -> Workload:
    synced = leads_at(seed, is_asked_about, location, syncs)
    others = leads_at(seed, in_backlog, location, backlog, len(synced))
    return Workload(seed, [*synced, *others], raw_names=frozenset({location}))


def failing_neighbour(seed: int) -> Run:
    """Play locations beside one that fails or is huge, and again without it as the control."""
    random = Random(f"{seed} neighbours")
    failing, healthy = locations_at_home(2, partition)
    how, at, lasts = random.choice(neighbour_faults), random.randint(0, 2_000), random.choice([20_000, 60_000])
    many = [random.randint(0, 1_000) for _ in range(400 if how == "huge" else 60)]
    theirs = leads_at(seed, in_backlog, failing, many, 1_000)
    ours = leads_at(seed, in_backlog, healthy, [random.randint(0, 25_000) for _ in range(20)])
    ours += leads_at(seed, is_asked_about, healthy, [random.randint(0, 25_000) for _ in range(20)], len(ours))
    workload = Workload(seed, [*ours, *theirs], raw_names=frozenset({failing, healthy}))
    run = play(workload, world=replace(steady_world, highlevel_faults=faults_of(how, failing, at, lasts)))
    run.control = play(workload.without([lead.number for lead in theirs]), world=steady_world)
    return run


def faults_of(how: str, location: str, at: int, lasts: int) -> HighLevelFaults:
    match how:
        case "5xx" | "lost" | "403" | "hang" | "reset" | "429":
            return HighLevelFaults(outages=(Outage(at, lasts, location, how),))
        case "expired" | "revoked" | "location":
            return HighLevelFaults(refusals=(Refusal(location, at, how, renewed=at + lasts, cured=never),))
    return HighLevelFaults()


def full_log(seed: int, leads: int = 2_400) -> Run:
    """Play a log full of leads, and a job over all of them."""
    (location,) = locations_at_home(1, partition)
    rested = leads_at(seed, rests, location, [0] * leads)
    workload = Workload(seed, rested, jobs=(JobRequest(2_000, "job-0", location),))
    return play(workload, world=replace(steady_world, probe_size=50))
