"""How figures are shown, while the demo runs and afterwards."""

from collections.abc import Sequence
from typing import Final

from rich.table import Table

from tests.lab.demo.report import nothing

outcome_order: Final = (nothing, "updated", "unchanged", "created", "not_found", "ambiguous", "failed")
locations_shown: Final = 6


def plain_table() -> Table:
    return Table(box=None, header_style="dim", pad_edge=False, padding=(0, 2))


def latency(latencies_ms: Sequence[float], disturbed_ms: Sequence[float]) -> str:
    told = []
    if latencies_ms:
        told.append(f"p50 {percentile(latencies_ms, 0.5):.0f} ms, p99 {percentile(latencies_ms, 0.99):.0f} ms")
    if disturbed_ms:
        told.append(f"{len(disturbed_ms)} amid the kill: ≤ {disturbed_ms[-1] / 1_000:.1f} s")
    return f" ({'; '.join(told)})" if told else ""


def percentile(ascending: Sequence[float], share: float) -> float:
    """The smallest value that this share of all doesn't exceed."""
    return ascending[max(0, -int(-share * len(ascending) // 1) - 1)]
