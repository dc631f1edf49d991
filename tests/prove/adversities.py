"""Faults at one location, drawn from a seed. Each world has its own kinds; `everything` has them all."""

from dataclasses import dataclass, fields
from random import Random
from typing import Final

worlds: Final = ("calm", "cuts", "network", "crashes", "pauses", "throttled", "lowered", "beside", "everything")
quick: Final = ("calm", "cuts", "beside")  # workers that have little to do
headers: Final = ("sliding log", "fixed window", "first hit", "token bucket", "gcra", "sliding counter")


@dataclass(frozen=True, slots=True)
class Adversities:
    """Times in ms; `every` is a mean, 0 is never. Shares are of 1."""

    world: str
    headers: str  # the server whose count HighLevel's headers show
    interactive: float = 0.5  # share of the budget that people ask for
    backlog: tuple[int, ...] = (1, 2)  # lanes with endless work
    commit: int = 10  # a transaction takes up to so long; no turn, and no call of this one, comes before its end
    late: int = 5  # a wake-up comes so much later
    travel: int = 45  # out, and back, at least
    jitter: int = 10  # on top of that, each way
    tail: int = 1  # the higher, the rarer long delays are
    connect: int = 2  # a call leaves so long after the commit
    requests_lost: float = 0.0
    answers_lost: float = 0.0
    cut_every: int = 0  # nothing passes in either direction; what is held then arrives at once
    cut: int = 0
    held: float = 0.0  # share of the calls made meanwhile that are soon reported as lost, and yet are delivered then
    crash_every: int = 0
    down: int = 0  # until a successor opens
    pause_every: int = 0  # the worker is stopped: it takes no turn, and sends nothing
    pause: int = 0
    throttled: float = 0.0  # share of calls to which HighLevel responds 429
    others: int = 0  # calls in 10 s that other programs spend
    lowered: bool = True  # our rate leaves room for them

    @property
    def rate(self) -> int:
        return 90 - self.others if self.lowered else 90

    @property
    def calm(self) -> bool:
        """True if nothing goes wrong: here use and waits are measured."""
        return self.world == "calm"

    @property
    def bunched(self) -> bool:
        """True if calls granted one by one may arrive together."""
        return self.cut_every > 0 or max(self.jitter, self.connect) > 400 or self.unseen

    @property
    def unseen(self) -> bool:
        """True if reported losses may still arrive: more calls together than may be in flight."""
        return self.requests_lost > 0 or (self.cut_every > 0 and self.held > 0)

    def __str__(self) -> str:
        """Return all that differs from the defaults."""
        values = ((field.name, getattr(self, field.name), field.default) for field in fields(self))
        return ", ".join(f"{name} {value}" for name, value, default in values if value != default)


def draw_network(random: Random) -> dict[str, int]:
    return {
        "jitter": random.choice([10, 100, 400, 2_000, 8_000]),
        "tail": random.choice([1, 1, 3, 8]),
        "connect": random.choice([2, 2, 100, 1_900, 3_000]),
        "cut_every": random.choice([0, 20_000, 120_000]),
        "cut": random.choice([500, 3_000, 9_000, 30_000]),
    }


def draw_crashes(random: Random) -> dict[str, int]:
    return {
        "crash_every": random.choice([700, 4_000, 15_000, 60_000]),
        "down": random.choice([1, 200, 3_000, 12_000]),
        "jitter": random.choice([10, 400]),
        "connect": random.choice([2, 400]),
    }


def adversities(seed: int) -> Adversities:
    random, world = Random(f"adversities {seed}"), worlds[seed % len(worlds)]
    drawn: dict[str, int] = {}
    requests_lost = answers_lost = throttled = held = 0.0
    everything = world == "everything"
    if world in ("network", "lowered") or everything:
        drawn |= draw_network(random)
        held = random.choice([0, 0.5, 1])
        requests_lost, answers_lost = (random.choice([0, 0, 0.02, 0.3]) for _ in range(2))
    if world == "cuts":  # and nothing else: calls that the network held back come on top of a whole budget
        drawn |= {"cut_every": random.choice([8_000, 20_000]), "cut": random.choice([6_000, 12_000, 18_000])}
        held = random.choice([0, 1, 1])
    if world in ("crashes", "lowered") or everything:
        drawn = draw_crashes(random) | drawn
    if world == "pauses" or everything:
        drawn |= {"pause_every": random.choice([3_000, 20_000]), "pause": random.choice([300, 1_900, 6_000, 20_000])}
    if world == "throttled" or everything:
        throttled = random.choice([0.0005, 0.01])
        drawn["crash_every"] = drawn.get("crash_every", random.choice([0, 4_000, 15_000]))
    if world == "lowered" or (everything and random.random() < 0.5):
        drawn["others"] = random.randint(3, 70)
    if world == "beside":
        drawn |= {"others": random.randint(3, 70), "jitter": random.choice([10, 100, 300])}
    return Adversities(
        world,
        random.choice(headers),
        interactive=random.choice([0, 0.25, 0.5]),
        backlog=random.choice([(1,), (2,), (1, 2)]),
        commit=random.choice([2, 10, 20] if world in quick else [2, 10, 150]),
        late=random.choice([0, 5, 20] if world in quick else [0, 30, 400]),
        lowered=world != "beside",
        requests_lost=requests_lost,
        answers_lost=answers_lost,
        throttled=throttled,
        held=held,
        **drawn,
    )
