"""The report of a proof, as a page of Markdown. Pure."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from processor.ratelimit.budget import Rate
from tests.integration.chaos.play import ChaosOutcome

from .alone import Alone
from .alone_judges import any_load, bounds, limit
from .rebalances import Row
from .schedules import Outcome

use_at_least: Final = 0.99
use_rebalanced_at_least: Final = 0.98
rebalanced_every_s: Final = 120
wait_at_most_ms: Final = 400
alone_at_least: Final = 20_000  # calls a second of CPU time
workers_at_least: Final = 1_000


@dataclass(slots=True)
class Proof:
    """The outcomes so far; empty for a part that was not run."""

    command: str
    day: str
    took_s: float = 0.0
    interrupted: bool = False
    alone: Alone = field(default_factory=Alone)
    alone_cpu_s: float = 0.0  # of all processes
    schedules: list[Outcome] = field(default_factory=list)
    schedules_speed: float = 0.0  # calls a second of CPU time
    rebalances: list[Row] = field(default_factory=list)
    rebalances_cpu_s: float = 0.0
    chaos: list[ChaosOutcome] = field(default_factory=list)

    def violations(self) -> Iterator[str]:
        """Return the broken promises, each with the command that shows it again."""
        for one in self.alone.violations:
            minutes = one.at // 60_000 + 1
            yield f"python -m tests.prove.alone --first {one.seed} --seeds 1 --minutes {minutes}\n{one}"
        for played in self.schedules:
            if played.failure:
                command = f"python -m tests.simulation --world {played.world} --seed {played.seed}"
                yield f"{command}\n{played.failure}"
        for run in self.chaos:
            if run.flaws:
                yield "\n".join([f"python -m tests.integration.chaos --seed {run.seed}", *run.flaws])

    def missed(self) -> Iterator[str]:
        """Return the bars of use and waits that were not reached."""
        if self.alone.room and (use := self.alone.use) < use_at_least:
            yield f"use {use:.2%}, not {use_at_least:.0%}"
        if (wait := self.alone.wait(0.99)) > wait_at_most_ms:
            yield f"interactive wait p99 {wait} ms, not {wait_at_most_ms}"
        for row in self.rebalances:
            least = use_rebalanced_at_least if row.case.every_s else use_at_least
            if row.case.every_s in (0, rebalanced_every_s) and row.case.how == "leaves" and row.use < least:
                yield f"{row.case}: use {row.use:.2%}, not {least:.0%}"

    @property
    def holds(self) -> bool:
        """True if the proof is complete, without violation and without a missed bar."""
        return not (self.interrupted or any(True for _ in self.violations()) or any(True for _ in self.missed()))


def page(proof: Proof) -> str:
    broken, missed = list(proof.violations()), list(proof.missed())
    lines = [
        "# Proof",
        "",
        f"`{proof.command}`, {proof.day}, {'interrupted after' if proof.interrupted else 'took'} "
        f"{proof.took_s / 60:.0f} min: "
        f"{len(broken)} violations{''.join(f'; {one}' for one in missed)}.",
    ]
    for part in (alone(proof), schedules(proof), rebalances(proof), chaos(proof)):
        if section := list(part):
            lines += ["", *section]
    for one in broken:
        lines += ["", "```", one, "```"]
    return "\n".join([*lines, ""])


def alone(proof: Proof) -> Iterator[str]:
    seen = proof.alone
    if not seen.calls:
        return
    yield "## Budget alone, one saturated location at a time"
    yield from table(
        ("location-hours at saturation", f"{seen.hours:,.1f}", ""),
        ("calls", f"{seen.calls:,}", ""),
        ("violations", f"{len(seen.violations)}", "0"),
        *((f"worst load, {judge}", f"{load}", bar(judge)) for judge, load in sorted(seen.worst.items())),
        ("429s beside programs that our rate doesn't leave room for", f"{seen.refused:,}", ""),
        ("use of 90 per 10 s, nothing going wrong", f"{seen.use:.2%}", f"≥ {use_at_least:.0%}"),
        ("interactive wait, p50", f"{seen.wait(0.5)} ms", ""),
        ("interactive wait, p99", f"{seen.wait(0.99)} ms", f"≤ {wait_at_most_ms} ms"),
        ("calls a CPU second", f"{seen.calls / max(proof.alone_cpu_s, 0.001):,.0f}", f"≥ {alone_at_least:,}"),
    )
    yield f"Faults: {kinds([seen.faults])}."


def bar(judge: str) -> str:
    """Return the bar of a server, as text."""
    most = Rate().per_window if judge == "granted" else bounds.get(judge, limit)
    return "none" if most == any_load else f"≤ {most}"


def schedules(proof: Proof) -> Iterator[str]:
    played = proof.schedules
    if not played:
        return
    yield "## Whole workers, simulated"
    yield from table(
        ("fault schedules", f"{len(played):,}", ""),
        ("of them violated", f"{sum(bool(one.failure) for one in played)}", "0"),
        ("hours of their time", f"{sum(one.virtual_ms for one in played) / 3_600_000:,.0f}", ""),
        ("calls", f"{sum(one.calls for one in played):,}", ""),
        ("calls a CPU second, 16 locations at saturation", f"{proof.schedules_speed:,.0f}", f"≥ {workers_at_least:,}"),
    )
    yield f"Worlds: {kinds([Counter(one.world for one in played)])}."
    yield f"Faults: {kinds(one.faults for one in played)}."


def rebalances(proof: Proof) -> Iterator[str]:
    if not proof.rebalances:
        return
    calls = sum(row.calls for row in proof.rebalances)
    yield "## The cost of rebalances, in simulated workers at saturation"
    yield from (
        "",
        "| | rebalances | moved | use | interactive wait p50 | p99 | worst window |",
        "|---|--:|--:|--:|--:|--:|--:|",
    )
    for row in proof.rebalances:
        cells = row.generations, row.moved, f"{row.use:.2%}", f"{row.p50_ms} ms", f"{row.p99_ms} ms", row.worst
        yield f"| {row.case} | {' | '.join(map(str, cells))} |"
    rate = calls / max(proof.rebalances_cpu_s, 0.001)
    yield from ("", f"{calls:,} calls, {rate:,.0f} a CPU second.")


def chaos(proof: Proof) -> Iterator[str]:
    runs = proof.chaos
    if not runs:
        return
    yield "## Real Kafka: three workers, a broker and a network that fail"
    yield from table(
        ("runs", f"{len(runs)}", ""),
        ("lost", f"{sum(len(one.lost) for one in runs)}", "0"),
        ("repeated", f"{sum(len(one.repeated) for one in runs)}", "0"),
        ("other flaws", f"{sum(len(one.other) for one in runs)}", "0"),
        ("worst window", f"{max(one.worst_window for one in runs)}", f"≤ {limit}"),
        ("429s that no fault injected", f"{sum(one.refused for one in runs)}", "0"),
        ("results", f"{sum(one.results for one in runs):,}", ""),
        ("messages", f"{sum(one.messages for one in runs):,}", ""),
        ("calls", f"{sum(one.calls for one in runs):,}", ""),
        ("all done after the last fault, worst", f"{max(one.took_s for one in runs):.0f} s", ""),
    )
    yield f"Faults: {kinds(one.events for one in runs)}."


def table(*rows: tuple[str, str, str]) -> Iterator[str]:
    """Return a table of names, figures and bars."""
    yield from ("", "| | | bar |", "|---|--:|--:|")
    yield from (f"| {what} | {figure} | {bar} |" for what, figure, bar in rows)
    yield ""


def kinds(counted: Iterable[Mapping[str, int]]) -> str:
    total = sum((Counter(one) for one in counted), Counter[str]())
    return ", ".join(f"{count:,} {kind}" for kind, count in total.most_common()) or "none"
