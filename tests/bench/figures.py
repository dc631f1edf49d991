"""Hold what a bench found: its conditions, its figures, each beside its bar, and a table of them."""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Final, Literal

from rich.console import Console
from rich.table import Table
from rich.text import Text

no_bar: Final = "reported"


@dataclass(frozen=True, slots=True)
class Bar:
    side: Literal["≤", "≥"]
    value: float

    def met_by(self, value: float) -> bool:
        return value <= self.value if self.side == "≤" else value >= self.value


@dataclass(frozen=True, slots=True)
class Figure:
    what: str
    value: float
    unit: str = ""
    bar: Bar | None = None

    @property
    def met(self) -> bool | None:
        """None if it has no bar."""
        return self.bar.met_by(self.value) if self.bar else None


@dataclass(frozen=True, slots=True)
class CpuShare:
    """Hold a function's shares of the worker's CPU: its own (with C code that it calls), and with all that it calls."""

    where: str
    own: float
    within: float


@dataclass(slots=True)
class Report:
    bench: str
    conditions: list[str]
    figures: list[Figure] = field(default_factory=list)
    profile: list[CpuShare] = field(default_factory=list)

    @property
    def missed(self) -> bool:
        return any(figure.met is False for figure in self.figures)

    def as_json(self) -> dict[str, Any]:  # a JSON object
        figures = [asdict(figure) | {"met": figure.met} for figure in self.figures]
        return {
            "bench": self.bench,
            "conditions": self.conditions,
            "figures": figures,
            "profile": [asdict(one) for one in self.profile],
        }


def at_most(value: float) -> Bar:
    return Bar("≤", value)


def at_least(value: float) -> Bar:
    return Bar("≥", value)


def percentile(values: Sequence[float], share: float) -> float:
    """Return the smallest value that so large a share of them doesn't exceed."""
    return sorted(values)[max(0, math.ceil(share * len(values)) - 1)]


def show(console: Console, report: Report) -> None:
    table = Table(
        title=report.bench,
        title_style="bold",
        title_justify="left",
        caption="\n".join(report.conditions),
        caption_justify="left",
    )
    for heading in ("figure", "measured", "bar", ""):
        table.add_column(heading, justify="right" if heading in ("measured", "bar") else "left")
    for figure in report.figures:
        bar = f"{figure.bar.side} {number(figure.bar.value)}" if figure.bar else no_bar
        verdict = {None: Text(), True: Text("met", "green"), False: Text("not met", "bold red")}[figure.met]
        table.add_row(figure.what, f"{number(figure.value)} {figure.unit}".strip(), bar, verdict)
    console.print(table)
    if report.profile:
        console.print(profiled(report))
    console.print()


def profiled(report: Report) -> Table:
    table = Table(title=f"{report.bench}: where the worker's CPU goes, a run of its own", title_justify="left")
    for heading in ("function", "own", "with callees"):
        table.add_column(heading, justify="left" if heading == "function" else "right", overflow="fold")
    for one in report.profile:
        table.add_row(one.where, f"{one.own:.1%}", f"{one.within:.1%}")
    return table


def number(value: float) -> str:
    """Format with three significant digits and thousands apart."""
    if value == int(value) or abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.{max(0, 2 - math.floor(math.log10(abs(value))))}f}"
