"""Several workers share the partitions of a scenario: they come and go, die, freeze and are cut off, each as its fates
say."""

import asyncio
from collections import Counter
from collections.abc import Sequence
from functools import partial
from random import Random
from typing import Final

from .fate import Fate
from .group import Group
from .log import silent_after_s
from .play import Run, World, drain_ms, ended, finish, parts, prepare, setup, spending_ms
from .worker import Disk, Peer, Wall, Worker
from .world import Scenario, settle_ms

last_turns_ms: Final = 30_000  # until whoever was told to leave has to be gone


def play_together(scenario: Scenario, fates: Sequence[Fate], world: World | None = None) -> Run:
    """Play it with the workers that its fates name. Once all faults are over, and everything has had its time, they
    drain."""
    run = prepare(scenario, world or World(), fates=fates)
    run.group = Group(run.kafka, scenario.owned)
    return finish(run, Direction(run, run.group).direct())


class Direction:
    def __init__(self, run: Run, group: Group) -> None:
        self.run, self.group = run, group
        self.random = Random(f"{run.scenario.seed} together")
        self.peers: dict[int, Peer] = {}  # by number, the latest of each
        self.born: dict[int, int] = {}
        self.instances = {fate.who: fate.instance for fate in run.fates if fate.what == "starts"}
        self.walls: dict[int, Wall] = {}  # a worker comes back on the same machine

    async def direct(self) -> None:
        run = self.run
        self.begin()
        faults_end = max([fate.over for fate in run.fates], default=0)
        await asyncio.sleep((max(run.scenario.ends, faults_end + settle_ms) + spending_ms(run)) / 1000)
        run.crashed += self.twins_alive()
        for peer in self.peers.values():
            peer.stop.set()
        left = [peer.task for peer in self.peers.values() if not peer.task.done()]
        if left:
            await asyncio.wait(left, timeout=(drain_ms + last_turns_ms) / 1000)
        for worker in run.workers:
            if not worker.dead:
                run.crashed += ended(worker, {"stopped", "replaced"} if self.has_twin(worker) else {"stopped"})

    def begin(self) -> None:
        for fate in self.run.fates:
            self.run.loop.after(fate.at, partial(self.happens, fate))

    def happens(self, fate: Fate) -> None:
        after, who = self.run.loop.after, self.peers.get(fate.who)
        if fate.what == "starts":
            self.starts(fate.who, {})
        elif fate.what == "the broker goes":
            self.unplug(fate)
        elif who is None or who.dead or who.task.done() or who.stop.is_set() or (who.frozen and fate.what != "dies"):
            return
        elif fate.what == "dies":
            who.die_now(fate.lands)
            after(fate.lasts_ms, lambda: self.starts(fate.who, self.left(who, fate)))
        elif fate.what == "leaves":
            who.stop.set()
            who.task.add_done_callback(
                lambda _: after(fate.lasts_ms, lambda: self.starts(fate.who, self.left(who, fate)))
            )
        elif fate.what == "freezes":
            who.freeze()
            after(fate.lasts_ms, lambda: who.thaw() if who.frozen else None)
        elif fate.what == "is cut off":
            self.unplug(fate, who)

    def starts(self, number: int, disks: dict[int, Disk]) -> None:
        run = self.run
        self.born[number] = self.born.get(number, -1) + 1
        if number not in self.walls:
            self.walls[number] = Wall(self.random.randint(-run.world.skew_ms, run.world.skew_ms))
        name = f"worker-{number}" + f".{self.born[number]}" * (self.born[number] > 0)
        rest = setup(run, name), *parts(run), disks, None, self.walls[number]
        peer = Peer(*rest, group=self.group, instance=self.instances[number])
        self.peers[number] = peer
        run.workers.append(peer)
        peer.start()

    def has_twin(self, worker: Worker) -> bool:
        """Some other worker bears the same instance id."""
        instance = getattr(worker, "instance", None)
        return instance is not None and list(self.instances.values()).count(instance) > 1

    def twins_alive(self) -> list[str]:
        """Of those under one instance id all but one have ended by now."""
        alive = Counter(one.instance for one in self.peers.values() if not one.task.done())
        return [f"{count} workers live as {instance}" for instance, count in alive.items() if instance and count > 1]

    def left(self, peer: Peer, fate: Fate) -> dict[int, Disk]:
        return {partition: disk.left(fate.state) for partition, disk in peer.disks.items()}

    def unplug(self, fate: Fate, peer: Peer | None = None) -> None:
        """Nobody reaches the broker, or this one doesn't, for a while."""
        kafka, run = self.run.kafka, self.run
        names = {peer.name} if peer else {worker.name for worker in run.workers}
        run.trace.say(peer.name if peer else "Kafka", fate.what)
        if peer:
            kafka.cut_off.add(peer.name)
        else:
            kafka.gone = True

        def silence() -> None:
            for reader in list(kafka.readers):
                if reader.process.name in names and not kafka.reached_by(reader.process):
                    reader.silent()

        def heal() -> None:
            run.trace.say(peer.name if peer else "Kafka", "is back")
            if peer:
                kafka.cut_off.discard(peer.name)
            else:
                kafka.gone = False
                self.group.restarted()
            kafka.healed()

        if fate.lasts_ms > silent_after_s * 1000:
            run.loop.after(int(silent_after_s * 1000), silence)
        run.loop.after(fate.lasts_ms, heal)
