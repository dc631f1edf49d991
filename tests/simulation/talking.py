"""Worlds in which people talk: Syncs and Sync Alls that bring messages, pages of them, some late; workers that die, and
HighLevel that is away for longer than a cursor lives."""

from dataclasses import replace
from random import Random
from typing import Final

from processor.ratelimit.budget import Rate

from .conversations import Text, chatter, late_at_most_ms, minute, talk
from .crowd import crowd, in_jobs
from .demands import Order
from .leads import lacking
from .loop import start_ms
from .play import Run, World, play
from .tale import Person, Tale
from .toil import orders, still, sync_all, told, world
from .trouble import kill
from .weather import Outage, Weather
from .world import Scenario, at_home, partition

restless: Final = ("is_another_meanwhile", "is_changed_meanwhile", "is_synced_meanwhile", "is_deleted_meanwhile")
paged: Final = World(Rate(90), 1, page_limit=6)
an_hour_s: Final = 3_600


def synced_twice(seed: int, count: int = 14, again_ms: int = 6_000) -> Scenario:
    """A lead that is linked, and one that isn't yet, both asked about twice; of each contact several pages."""
    (location,) = at_home(1, partition)
    random = Random(f"{seed} synced twice")
    tales: list[Tale] = []
    texts: list[Text] = []
    for number, kind in enumerate(["is_complete", "is_linked"]):
        tale = Tale(seed, number, location, True, random.randint(0, 100), kind)
        person = tale.person()
        linked = {**person.fields, "contact_id": person.id}
        given = linked if kind == "is_complete" else lacking(person.fields, "city")
        tale.change(1, given, person, loading=True)
        tale.truth.last = frozenset({"unchanged" if kind == "is_complete" else "updated"})
        tale.later(50, 200)
        tale.sync(f"request-{number}", deadline_s=an_hour_s, include_messages=True)
        tale.later(again_ms, again_ms + 500)
        tale.sync(f"request-{number}-again", deadline_s=an_hour_s, include_messages=True)
        texts += talk(random, person, count, lasts=again_ms)
        late = start_ms - random.randint(1_000, late_at_most_ms)  # sent before what the first Sync has heard
        texts.append(Text(f"{person.id}-heard", location, person.id, start_ms - 1))
        texts.append(Text(f"{person.id}-late", location, person.id, late, appears=again_ms // 2))
        tales.append(tale)
    return Scenario(seed, tales, raw_names=frozenset({location}), texts=tuple(texts))


def talkative(seed: int) -> Scenario:
    """A small Sync All: the whole location's messages are the cheaper export."""
    told = sync_all(seed)
    texts = chatter(seed, leads_own(told), 3, lasts=4_000)
    return replace(told, texts=texts)


def turning(seed: int) -> Scenario:
    """Leads change, are asked about or get another contact while a Sync All's export of the location goes on."""
    (location,) = at_home(1, partition)
    random = Random(f"{seed} turning")
    chosen = [*still, *still, *random.choices(restless, k=8), "shares_its_contact", "shares_its_contact"]
    scenario = told(seed, chosen, [Order(600, "job-0", location)], [location], bystanders=4, lasts=4_000)
    return replace(scenario, texts=chatter(seed, leads_own(scenario), 3, lasts=random.choice([4_000, 20_000])))


def talkative_elsewhere(seed: int) -> Scenario:
    """A small Sync All where others talk so much that each contact is asked about alone."""
    told = sync_all(seed)
    texts = chatter(seed, leads_own(told), 3, lasts=4_000)
    return replace(told, texts=(*texts, *chatter(f"{seed} others", told.bystanders, 40)))


def leads_own(scenario: Scenario) -> list[Person]:
    """Contacts of leads, each once: some leads share theirs."""
    return [person for person in scenario.people.values() if person not in scenario.bystanders]


def interrupted(seed: int) -> Run:
    """HighLevel is away for longer than a cursor lives, while pages follow each other."""
    random = Random(f"{seed} interrupted")
    (location,) = at_home(1, partition)
    scenario = synced_twice(seed, 30, 400_000) if seed % 2 else random.choice([talkative, turning])(seed)
    here = World(Rate(random.choice([22, 90])), random.choice([1, 4]), page_limit=6)
    calm = play(scenario, world=here)
    pages = [one.until - start_ms for one in calm.server.sent if one.kind == "messages" and one.until]
    begins = random.choice(pages[:4]) + random.choice([0, 1, 20])  # just when a page has come
    away = Outage(begins, random.choice([125_000, 3 * minute, 6 * minute]), location, random.choice(["5xx", "lost"]))
    kills = [kill(random) for _ in range(random.choice([0, 0, 1]))]
    return play(scenario, kills, replace(here, weather=Weather(outages=(away,))))


def turned(seed: int) -> Run:
    return play(turning(seed), world=paged)


def chatting(seed: int) -> Run:
    """Syncs and jobs over leads of any kind, whose contacts talk meanwhile; and whatever else goes wrong."""
    random = Random(f"{seed} chatting")
    among = at_home(random.choice([1, 2]), partition)
    wanted = orders(random, among, random.choice([0, 1, 2, 3]))
    chosen = random.choices(list(crowd), k=15) + random.choices(list(in_jobs), k=15) + random.choices(still, k=6)
    scenario = told(seed, chosen, wanted, among, random.choice([0, 20]), lasts=20_000)
    texts = chatter(seed, scenario.people.values(), random.choice([3, 12]), random.choice([8_000, 40_000]))
    kills = [kill(random) for _ in range(random.choice([0, 0, 1, 2]))]
    unknown = 0.0 if any(one.how == "stalls" for one in kills) else random.choice([0.0, 0.03])
    return play(replace(scenario, texts=texts), kills, world(random, among, unknown))
