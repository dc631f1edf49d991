"""The worker's clock when the wall steps."""

from processor.engine.clock import WallClock, unsettled_ms
from processor.telemetry.catalogue import TelemetryEvent, WallClockStepped

second = 1_000_000_000
began = 1_700_000_000


class Walls:
    """A wall clock that can be stepped, and a monotonic one."""

    def __init__(self) -> None:
        self.wall, self.monotonic, self.events = began * second, 77 * second, list[TelemetryEvent]()
        self.clock = WallClock(self.events.append, lambda: self.wall, lambda: self.monotonic)

    def passes(self, seconds: float, step: float = 0) -> None:
        self.monotonic += int(seconds * second)
        self.wall += int((seconds + step) * second)


def test_it_runs_on_by_the_monotonic_clock() -> None:
    walls = Walls()
    walls.passes(3, step=-3_600)

    assert (began + 3) * 1_000 == walls.clock.now()


def test_after_a_step_of_the_wall_clock_the_new_time_is_not_trusted_for_25_seconds() -> None:
    walls = Walls()
    walls.passes(3, step=-3_600)
    trusted_at = walls.clock.settled_at()

    assert (began + 3 - 3_600) * 1_000 == walls.clock.now() == trusted_at - unsettled_ms
    assert [WallClockStepped(-3_600_000)] == walls.events
    walls.passes(25)
    assert trusted_at == walls.clock.settled_at() == walls.clock.now()
    assert len(walls.events) == 1


def test_half_a_second_is_no_step() -> None:
    walls = Walls()
    walls.passes(60, step=0.5)

    assert (0, []) == (walls.clock.settled_at(), walls.events)
