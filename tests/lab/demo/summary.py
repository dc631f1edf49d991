"""Make the tables that sum up a run of the demo."""

from collections import Counter
from collections.abc import Sequence
from typing import Final

from rich.table import Table

from tests.lab.demo.progress import Progress
from tests.lab.demo.verdict import Verdict, no_result
from tests.lab.harness.calls import CallSummary, planned, server_limit
from tests.lab.workload.large import found_without_call
from tests.lab.workload.workload import Workload

call_each_ms: Final = 10_000 / planned  # of a client that asks for one lead after the other
outcome_order: Final = (no_result, "updated", "unchanged", "created", "not_found", "ambiguous", "failed")
locations_shown: Final = 6


def kinds(workload: Workload, verdict: Verdict, in_job: bool) -> Table:
    """Count the leads of each kind, and those with a flaw."""
    places = {job.location for job in workload.jobs}
    leads = [lead for lead in workload.leads if (lead.location in places) == in_job]
    all_of, faulty = Counter(lead.kind for lead in leads), verdict.faulty
    wrong = Counter(lead.kind for lead in leads if lead.id in faulty)
    table = plain_table("kind", "leads", "right", "wrong")
    for kind, count in all_of.most_common():
        cells = (f"{number:,}" for number in (count, count - wrong[kind], wrong[kind]))
        table.add_row(kind.replace("_", " "), *cells, style="red" if wrong[kind] else "")
    return table


def outcomes(verdict: Verdict) -> Table:
    place = next((job.location for job in verdict.history.workload.jobs), None)
    counts = verdict.outcomes(place, others=True)
    table = plain_table("outcome", "leads")
    for outcome in outcome_order:
        if counts[outcome]:
            table.add_row(outcome, f"{counts[outcome]:,}")
    return table


def figures(progress: Progress, verdict: Verdict) -> Table:
    calls, leads = verdict.calls, len([lead for lead in progress.workload.leads if not lead.truth.job])
    total, letters = calls.calls.total(), len(list(verdict.history.of_topic("dead.letters")))
    took_s = (progress.replaced_at or 0) - (progress.killed_at or 0)
    return grid(
        {
            "lost": f"{verdict.count('lost')}",
            "repeated": f"{verdict.count('repeated')}",
            "wrong": f"{verdict.count('wrong')}",
            "messages": f"{len(verdict.history.events('lead.messages')):,} imported",
            "dead letters": f"{letters} of {progress.dead_letters_due} malformed records",
            "Syncs answered": f"{len(progress.answered_at)} of {progress.syncs_due}{latency(progress)}",
            "killed": f"{progress.killed}, kill -9; {took_s:.1f} s later a new one had its partitions"
            if progress.replaced_at
            else progress.killed or "none",
            "worst in 10 s": f"{calls.worst_window} calls of at most {server_limit} ({calls.worst_location})",
            "429s": f"{calls.refused + verdict.job_calls.refused}",
            "calls": f"{total:,} ({by_kind(calls)}), {total / max(1, leads):.3f} a lead",
        }
    )


def job_outcomes(progress: Progress, verdict: Verdict) -> Table:
    """Compare the last results with the job's own counts."""
    counts = verdict.outcomes(progress.workload.jobs[0].location, others=False)
    counts["unchanged"] += counts.pop(no_result, 0)
    table = plain_table("outcome", "leads", "sync.completed")
    for outcome in outcome_order[1:]:
        reported = progress.job.get(outcome) or 0
        if counts[outcome] or reported:
            style = "" if counts[outcome] == reported else "red"
            table.add_row(outcome, f"{counts[outcome]:,}", f"{reported:,}", style=style)
    return table


def job_figures(progress: Progress, verdict: Verdict) -> Table:
    job, calls = progress.job, verdict.job_calls
    return grid(
        {
            "plan": f"{job.get('plan')}, {job.get('calls_planned')} calls",
            "calls made": f"{calls.calls.total():,} ({by_kind(calls)})",
            "calls reported": f"{job.get('calls_spent')} spent, {job.get('calls_saved') or 0:,} saved",
            "fields filled": f"{sum((job.get('filled') or {}).values()):,}",
            "messages reported": f"{job.get('messages_imported') or 0:,} imported",
            "worst in 10 s": f"{calls.worst_window} calls of at most {server_limit}",
        }
    )


def call_price(progress: Progress, verdict: Verdict) -> str:
    """Compare what the Sync All cost with one search for each lead that needs one."""
    leads = [lead for lead in progress.workload.leads if lead.truth.job]
    searches = sum(lead.kind not in found_without_call for lead in leads)
    took = "which didn't end" if progress.job_s is None else f"{progress.job_s:.1f} s"
    took += ", though a worker was killed" if progress.job_disturbed else ""
    return (
        f"{len(leads):,} leads: {verdict.job_calls.calls.total():,} calls, {took};\n"
        f"one search for each that needs one would have been {searches:,} calls and "
        f"{searches * call_each_ms / 60_000:.0f} min."
    )


def pace(calls: CallSummary) -> Table:
    table = plain_table("location", "calls", "for", "in 10 s", "use")
    for busy in calls.busiest[:locations_shown]:
        table.add_row(
            busy.location, f"{busy.calls}", f"{busy.seconds:.1f} s", f"{busy.per_window:.1f}", f"{busy.use:.1%}"
        )
    return table


def latency(progress: Progress) -> str:
    """Return how long Syncs took; those that met a dead worker are counted apart."""
    usual, disturbed = progress.latencies_ms(disturbed=False), progress.latencies_ms(disturbed=True)
    parts = []
    if usual:
        parts.append(f"p50 {percentile(usual, 0.5):.0f} ms, p99 {percentile(usual, 0.99):.0f} ms")
    if disturbed:
        parts.append(f"{len(disturbed)} amid the kill: ≤ {disturbed[-1] / 1_000:.1f} s")
    return f" ({'; '.join(parts)})" if parts else ""


def percentile(ascending: Sequence[float], share: float) -> float:
    """Return the smallest value that this share of all doesn't exceed."""
    return ascending[max(0, -int(-share * len(ascending) // 1) - 1)]


def by_kind(calls: CallSummary) -> str:
    return ", ".join(f"{kind} {count:,}" for kind, count in calls.calls.most_common())


def plain_table(first: str, *numbers: str) -> Table:
    table = Table(box=None, header_style="dim", pad_edge=False, padding=(0, 2))
    table.add_column(first)
    for name in numbers:
        table.add_column(name, justify="right")
    return table


def grid(rows: dict[str, str]) -> Table:
    table = Table.grid(padding=(0, 2))
    table.add_column(style="dim")
    for name, value in rows.items():
        table.add_row(name, value)
    return table
