"""Seeded worlds of jobs: Sync Alls and backfills over leads that wait for them, beside others that change; and whatever
else goes wrong meanwhile."""

from collections.abc import Sequence
from dataclasses import replace
from random import Random
from typing import Final

from processor.ratelimit.budget import Rate

from .broker import Faults
from .crowd import crowd, in_jobs
from .demands import Order, idle_cancels
from .leads import kinds
from .play import Run, World, play
from .tale import Tale, added_ms
from .together import play_together
from .trouble import clears_up_ms, fates, faults_end_ms, kill
from .weather import Day, Network, Outage, Weather, day_ms
from .world import Scenario, at_home, partition, partitions

ways: Final = (Network(), Network(out=(5, 2_000), back=(5, 500)))
still: Final = ("waits", "waits_by_phone", "waits_linked", "waits_for_nobody", "waits_in_doubt", "waits_complete")
changing: Final = ("is_edited", "loses_its_contact", "gains_its_contact", "has_its_contact_deleted")
churning: Final = ("loses_its_contact", "gains_its_contact", "gets_its_contact")
prompt: Final = ("lacks_contact", "nobody", "lacks_fields", "complete")
meeting: Final = {**{name: kinds[name] for name in in_jobs}, **crowd}


def told(
    seed: int,
    chosen: Sequence[str],
    orders: Sequence[Order],
    among: Sequence[str],
    bystanders: int,
    owned: tuple[int, ...] = (partition,),
    count: int = partitions,
    lasts: int = 60_000,
    raw: float = 0.6,
) -> Scenario:
    """These kinds of leads, over these locations; and what the jobs may make of them."""
    random = Random(f"{seed} crowd")
    raw_names = frozenset(location for location in among if random.random() < raw)
    tales = []
    for number, kind in enumerate(chosen):
        waits = kind in crowd
        location = random.choice(among)
        tale = Tale(seed, number, location, location in raw_names, random.randint(0, 500 if waits else 10_000), kind)
        tale.lasts = lasts
        meeting[kind](tale)
        if not waits:
            gains = tale.truth.revision is not None and bool(tale.truth.revisions[tale.truth.revision].must)
            tale.truth.job = in_jobs[kind] if gains or kind != "lacks_fields" else frozenset({"unchanged", "updated"})
            if any(order.covers(location) for order in orders):
                tale.truth.last |= tale.truth.job - {"unchanged"}
        tales.append(tale)
    others = (Tale(seed, 80_000 + number, random.choice(among), False, 0) for number in range(bystanders))
    people = tuple(tale.person(added=added_ms + random.randint(0, 40_000)) for tale in others)
    return Scenario(seed, tales, [], raw_names, count, owned, tuple(orders), people)


def orders(random: Random, among: Sequence[str], count: int) -> list[Order]:
    """Sync Alls, backfills, some twice, some only to see; and some are cancelled."""
    return [order(random, number, among) for number in range(count)]


def order(random: Random, number: int, among: Sequence[str]) -> Order:
    at = random.choice([1_000, 1_500, 4_000, 9_000]) + random.randint(0, 900)
    location = None if random.random() < 0.35 else random.choice(among)
    dry = random.random() < 0.15
    again = (at + random.choice([1, 800, 30_000]),) if random.random() < 0.25 else ()
    cancels = (at + random.choice([1, 200, 1_000, 2_000, 5_000, 60_000]),) if random.random() < 0.3 else ()
    return Order(at, f"job-{number}", location, dry, again, cancels, partition)


def jobs(seed: int) -> Run:
    """One worker at a time, which may die, and up to three locations."""
    random = Random(f"{seed} jobs")
    among = at_home(random.choice([1, 2, 3]), partition)
    wanted = orders(random, among, random.choice([1, 2, 2, 3, 4]))
    chosen = random.choices(list(crowd), k=random.choice([15, 40])) + random.choices(list(in_jobs), k=12)
    scenario = told(seed, chosen, wanted, among, random.choice([0, 20, 60]))
    idle = tuple(idle_cancels(random.randint(0, 9_000), among[0], partition))
    kills = [kill(random) for _ in range(random.choice([0, 0, 1, 2]))]
    unknown = 0.0 if any(one.how == "stalls" for one in kills) else random.choice([0.0, 0.03])
    return play(replace(scenario, strays=idle), kills, world(random, among, unknown))


def world(random: Random, among: Sequence[str], unknown: float) -> World:
    outage = Outage(random.randint(1_000, 9_000), random.choice([3_000, 20_000]), random.choice([None, *among]))
    sky = Weather(
        clears_up_ms,
        random.choice([0.0, 0.0, 0.1]),
        random.choice([0.0, 0.0, 0.05]),
        random.choice([0.0, 0.0, 0.03]),
        outages=(outage,) if random.random() < 0.2 else (),
        cursors_refused=frozenset(random.sample(among, random.random() < 0.1)),
    )
    return World(
        Rate(random.choice([22, 90])),
        random.choice([1, 2, 4, 50]),
        random.choice(ways),
        sky,
        Faults(clears_up_ms, unknown, random.choice([0.0, 0.1])),
        skew_ms=random.choice([0, 400]),
        page_limit=random.choice([5, 12, 30]),
    )


def spent(seed: int) -> Run:
    """A day has fewer calls than the jobs need, and some of them are for others; then comes another day."""
    random = Random(f"{seed} spent")
    among = at_home(random.choice([1, 2]), partition)
    wanted = [replace(one, cancels=()) for one in orders(random, among, random.choice([1, 2]))]
    chosen = random.choices([*still, *changing], k=40) + random.choices(prompt, k=8)
    scenario = told(seed, chosen, wanted, among, random.choice([0, 60]), raw=0.0)  # names cost a GET each
    calls = random.choice([40, 60])
    day = Day(calls, random.choice([30_000, 60_000, 600_000]), told=random.random() < 0.8)
    rate = Rate(90, calls, random.choice([0.2, 0.4]))
    return play(
        scenario,
        [replace(kill(random), how="dies") for _ in range(random.choice([0, 0, 1]))],
        World(rate, random.choice([1, 4]), weather=Weather(day=day), page_limit=12, rest_ms=4 * day_ms),
    )


def stalled(seed: int) -> Run:
    """HighLevel is away for minutes in the midst of a scan; meanwhile contacts change, and someone presses Sync All."""
    random = Random(f"{seed} stalled")
    (location,) = at_home(1, partition)
    lasts = random.choice([60_000, 200_000, 400_000])
    wanted = [order(random, 0, [location]), *orders(random, [location], random.choice([0, 1, 2]))]
    wanted[1:] = [later(one, random.randint(3_000, lasts)) for one in wanted[1:]]
    chosen = random.choices(list(crowd), k=25) + random.choices(changing, k=10)
    scenario = told(seed, chosen, wanted, [location], 25, lasts=lasts)
    away = Outage(wanted[0].at + random.randint(300, 1_500), lasts, location, random.choice(["5xx", "lost", "403"]))
    return play(scenario, [], World(Rate(22), random.choice([1, 2]), weather=Weather(outages=(away,)), page_limit=5))


def later(one: Order, ms: int) -> Order:
    again, cancels = (tuple(at + ms for at in times) for times in (one.again, one.cancels))
    return replace(one, request=f"{one.request}-later", at=one.at + ms, again=again, cancels=cancels)


def shared_jobs(seed: int) -> Run:
    """Backfills and Sync Alls over the locations of several partitions, whose workers come and go."""
    random = Random(f"{seed} shared jobs")
    count, workers = random.choice([2, 3]), random.choice([1, 2, 3])
    among = [location for where in range(count) for location in at_home(random.choice([1, 2]), where, count)]
    wanted = [Order(random.randint(1_000, 20_000), "backfill"), *orders(random, among, random.choice([1, 2, 3]))]
    if random.random() < 0.3:
        wanted[0] = replace(wanted[0], cancels=(wanted[0].at + random.randint(1, 9_000),))
    wanted = [one if one.location else replace(one, partition=random.randrange(count)) for one in wanted]
    chosen = random.choices(list(crowd), k=40) + random.choices(list(in_jobs), k=15)
    scenario = told(seed, chosen, wanted, among, 30, tuple(range(count)), count)
    sky = Weather(faults_end_ms, random.choice([0.0, 0.05]), random.choice([0.0, 0.03]), random.choice([0.0, 0.02]))
    told_late = Faults(faults_end_ms, random.choice([0.0, 0.02]), random.choice([0.0, 0.1]))
    here = World(
        Rate(random.choice([22, 90])),
        random.choice([1, 2, 50]),
        random.choice(ways),
        sky,
        told_late,
        skew_ms=random.choice([0, 500]),
        page_limit=random.choice([5, 12]),
    )
    return play_together(scenario, fates(random, workers), here)


few: Final = World(Rate(90), 1, page_limit=6)  # pages, and leads in a turn


def sync_all(seed: int) -> Scenario:
    """A small job alone with its leads: a scan is the cheaper plan."""
    (location,) = at_home(1, partition)
    chosen = [*still, *Random(f"{seed} sync all").choices(still, k=6)]
    return told(seed, chosen, [Order(600, "job-0", location)], [location], bystanders=8)


def overtaken(seed: int) -> Scenario:
    """A backfill of two locations; in one of them a Sync All goes before it, and is cancelled."""
    here, there = at_home(2, partition)
    chosen = [*still, "loses_its_contact", "gains_its_contact", "is_synced_meanwhile", "lacks_contact"]
    chosen += Random(f"{seed} overtaken").choices(still, k=8)
    wanted = [Order(600, "backfill", partition=partition), Order(900, "job-0", here, cancels=(1_500,))]
    return told(seed, chosen, wanted, [here, there], bystanders=8, lasts=4_000)


slow: Final = World(Rate(22), 1, page_limit=5)  # a scan takes seconds


def churned(seed: int) -> Scenario:
    """Contacts change while they are scanned."""
    (location,) = at_home(1, partition)
    chosen = [*still, *Random(f"{seed} churned").choices(churning, k=24)]
    return told(seed, chosen, [Order(1_500, "job-0", location)], [location], bystanders=20, lasts=8_000)
