"""Play a workload with several workers that share its partitions: they come and go, die, freeze and are cut off."""

import asyncio
from collections import Counter
from collections.abc import Sequence
from functools import partial
from random import Random
from typing import Final

from tests.lab.workload.workload import Workload, done_within_ms
from tests.simulation.faults.group_faults import GroupFault
from tests.simulation.world.clock import WallOffset
from tests.simulation.world.group import Group
from tests.simulation.world.log import silent_after_s
from tests.simulation.world.peer import Peer
from tests.simulation.world.state_disk import Disk
from tests.simulation.world.worker import Worker

from .play import drain_ms, finish, prepare, work_takes_ms, worker_setup, world_parts, wrong_end
from .run import Run, World

last_turns_ms: Final = 30_000  # a worker that drains is gone after that


def play_group(workload: Workload, faults: Sequence[GroupFault], world: World | None = None) -> Run:
    """Play it with the workers that `faults` starts. Once all faults are over and all work must be done, they drain."""
    run = prepare(workload, world or World(), faults=faults)
    run.group = Group(run.kafka, workload.owned)
    return finish(run, GroupRun(run, run.group).direct())


class GroupRun:
    """It starts, stops and disturbs the workers of a group by the schedule of faults."""

    def __init__(self, run: Run, group: Group) -> None:
        self.run, self.group = run, group
        self.random = Random(f"{run.workload.seed} together")
        self.peers: dict[int, Peer] = {}  # by number, the latest of each
        self.starts_of: dict[int, int] = {}
        self.instances = {fault.who: fault.instance for fault in run.faults if fault.what == "starts"}
        self.walls: dict[int, WallOffset] = {}  # a worker comes back on the same machine

    async def direct(self) -> None:
        run = self.run
        self.schedule()
        faults_end = max([fault.over for fault in run.faults], default=0)
        await asyncio.sleep((max(run.workload.ends, faults_end + done_within_ms) + work_takes_ms(run)) / 1000)
        run.crashed += self.twins_alive()
        for peer in self.peers.values():
            peer.stop.set()
        left = [peer.task for peer in self.peers.values() if not peer.task.done()]
        if left:
            await asyncio.wait(left, timeout=(drain_ms + last_turns_ms) / 1000)
        for worker in run.workers:
            if not worker.dead:
                run.crashed += wrong_end(worker, {"stopped", "replaced"} if self.has_twin(worker) else {"stopped"})

    def schedule(self) -> None:
        for fault in self.run.faults:
            self.run.loop.after(fault.at, partial(self.inject, fault))

    def inject(self, fault: GroupFault) -> None:
        after, peer = self.run.loop.after, self.peers.get(fault.who)
        if fault.what == "starts":
            self.start(fault.who, {})
        elif fault.what == "the broker goes":
            self.unplug(fault)
        elif (
            peer is None
            or peer.dead
            or peer.task.done()
            or peer.stop.is_set()
            or (peer.frozen and fault.what != "dies")
        ):
            return
        elif fault.what == "dies":
            peer.die_now(fault.lands)
            after(fault.lasts_ms, lambda: self.start(fault.who, self.left(peer, fault)))
        elif fault.what == "leaves":
            peer.stop.set()
            peer.task.add_done_callback(
                lambda _: after(fault.lasts_ms, lambda: self.start(fault.who, self.left(peer, fault)))
            )
        elif fault.what == "freezes":
            peer.freeze()
            after(fault.lasts_ms, lambda: peer.thaw() if peer.frozen else None)
        elif fault.what == "is cut off":
            self.unplug(fault, peer)

    def start(self, number: int, disks: dict[int, Disk]) -> None:
        run = self.run
        self.starts_of[number] = self.starts_of.get(number, -1) + 1
        if number not in self.walls:
            self.walls[number] = WallOffset(self.random.randint(-run.world.skew_ms, run.world.skew_ms))
        name = f"worker-{number}" + f".{self.starts_of[number]}" * (self.starts_of[number] > 0)
        rest = worker_setup(run, name), *world_parts(run), disks, None, self.walls[number]
        peer = Peer(*rest, group=self.group, instance=self.instances[number])
        self.peers[number] = peer
        run.workers.append(peer)
        peer.start()

    def has_twin(self, worker: Worker) -> bool:
        """True if another worker bears the same instance id."""
        instance = getattr(worker, "instance", None)
        return instance is not None and list(self.instances.values()).count(instance) > 1

    def twins_alive(self) -> list[str]:
        """Report each instance id under which more than one worker is left."""
        alive = Counter(one.instance for one in self.peers.values() if not one.task.done())
        return [f"{count} workers live as {instance}" for instance, count in alive.items() if instance and count > 1]

    def left(self, peer: Peer, fault: GroupFault) -> dict[int, Disk]:
        return {partition: disk.left(fault.state) for partition, disk in peer.disks.items()}

    def unplug(self, fault: GroupFault, peer: Peer | None = None) -> None:
        """Cut this worker, or all of them, off the broker for a while."""
        kafka, run = self.run.kafka, self.run
        names = {peer.name} if peer else {worker.name for worker in run.workers}
        run.trace.add(peer.name if peer else "Kafka", fault.what)
        if peer:
            kafka.cut_off.add(peer.name)
        else:
            kafka.gone = True

        def silence() -> None:
            for reader in list(kafka.readers):
                if reader.process.name in names and not kafka.reached_by(reader.process):
                    reader.silent()

        def heal() -> None:
            run.trace.add(peer.name if peer else "Kafka", "is back")
            if peer:
                kafka.cut_off.discard(peer.name)
            else:
                kafka.gone = False
                self.group.restarted()
            kafka.healed()

        if fault.lasts_ms > silent_after_s * 1000:
            run.loop.after(int(silent_after_s * 1000), silence)
        run.loop.after(fault.lasts_ms, heal)
