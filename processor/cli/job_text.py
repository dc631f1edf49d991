"""Describe a job in lines: how it stands, its plan, its summary."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from processor.cli.job_progress import JobProgress, lead_outcomes, read_count, time_ms
from processor.cli.text import duration, fact_lines, local_time, relative_time

pause_reasons: Final[Mapping[str, str]] = {
    "daily_budget": "the day's share of calls is spent",
    "unauthorized": "HighLevel refuses the token",
    "unavailable": "HighLevel doesn't respond as it should",
    "throttled": "HighLevel asks to wait",
}
plan_texts: Final[Mapping[str, str]] = {
    "scan": "scan: page through the location's contacts",
    "probe": "probe: many leads in one search",
}


def title(progress: JobProgress, dry_run: bool = False) -> str:
    """Return the job's name."""
    name = "Backfill of all locations" if progress.location_id is None else f"Sync All of {progress.location_id}"
    return f"Dry run: {name}" if dry_run else name


def leads_done(totals: Mapping[str, Any]) -> str:
    """Return how many leads are done, and of how many as far as that is known."""
    done, total = read_count(totals, "leads_done") or 0, read_count(totals, "leads_total")
    return f"{done:,} of {total:,} leads ({min(100, done * 100 // total)} %)" if total else f"{done:,} leads"


def running_line(progress: JobProgress, now_ms: int) -> str:
    """Return how a running job stands, in one line."""
    totals = progress.totals()
    outcomes = " · ".join(f"{name} {count:,}" for name in lead_outcomes if (count := read_count(totals, name)))
    parts = (
        totals["plan"],
        ", ".join(part for part in (leads_done(totals), _rate(progress.leads_per_second())) if part),
        outcomes,
        f"calls {_calls(totals)}",
        _remaining(totals, now_ms),
        f"partitions {_partitions(progress)}" if progress.location_id is None else "",
    )
    return "; ".join(str(part) for part in parts if part)


def opening_line(progress: JobProgress) -> str:
    """Return what happens before the job's first event."""
    if not progress.live:
        return "reading its past events…"
    return f"opening its leads…, {progress.queued:,} queued" if progress.queued else "opening its leads…"


def pause_line(progress: JobProgress, partition: int, data: Mapping[str, Any], now_ms: int) -> str:
    """Return why a job pauses and until when; of a backfill, also which partition."""
    reason, until = str(data.get("reason") or "no reason given"), time_ms(data.get("paused_until"))
    if until is not None:
        reason += f" until {local_time(until / 1_000)} ({relative_time(data['paused_until'], now_ms / 1_000)})"
    if progress.location_id is None:
        return f"partition {partition}: {reason}"
    return ": ".join(part for part in (reason, pause_reasons.get(str(data.get("reason")))) if part)


def silence_line(silent_ms: int) -> str:
    """Return the warning that no worker has published anything for so long."""
    return f"no event for {duration(silent_ms / 1_000)}: no worker seems to run; still waiting"


def plan_lines(progress: JobProgress, per_10s: int) -> Iterator[str]:
    """Yield the plan of a dry run."""
    plan = progress.plan()
    total, calls, takes_ms, spent = (plan[name] for name in ("leads_total", "calls_planned", "takes_ms", "calls_spent"))
    yield f"{title(progress, dry_run=True)}, nothing done"
    yield from fact_lines(
        {
            "plan": plan_texts.get(plan["plan"], plan["plan"]),
            "leads": "" if total is None else f"{total:,}",
            "calls": "" if calls is None else f"about {calls:,}",
            "time": "" if takes_ms is None else f"about {duration(takes_ms / 1_000)}",
            "one search a lead": _one_search_a_lead(progress, total, per_10s) if total else "",
            "spent on this": "" if spent is None else _number_of_calls(spent),
        }
    )


def summary_lines(progress: JobProgress, per_10s: int) -> Iterator[str]:
    """Yield how a job ended. Each lead has one outcome, so the outcomes add up."""
    totals, took_ms = progress.totals(), progress.duration_ms()
    done, saved = totals["leads_done"] or 0, totals["calls_saved"]
    after = "" if took_ms is None else f" after {duration(took_ms / 1_000)}"
    rate = f": {_rate(done * 1_000 / took_ms)}" if took_ms and done else ""
    yield f"{title(progress)} {progress.phase}{after}{rate}"
    yield from _outcome_lines(totals)
    searches = (totals["calls_spent"] or 0) + (saved or 0)
    filled = sorted((totals["filled"] or {}).items(), key=lambda field: -field[1])
    yield from fact_lines(
        {
            "why": totals["reason"],
            "filled": " · ".join(f"{name} {count:,}" for name, count in filled if count) or "nothing",
            "messages": f"{totals['messages_imported']:,}" if totals["messages_imported"] else "",
            "calls": _calls(totals),
            "one search a lead": ""
            if saved is None
            else f"would have been {_one_search_a_lead(progress, searches, per_10s)}",
            "partitions": _partitions(progress) if progress.location_id is None else "",
            "request": progress.request_id,
        }
    )


def cancel_lines(progress: JobProgress) -> Iterator[str]:
    """Yield the result of a cancel."""
    done = leads_done(progress.totals())
    if progress.phase == "cancelled":
        yield f"cancelled: {done} done"
    elif progress.ended:
        yield f"ended already: {progress.phase}, {done} done"
    elif progress.reported_partitions:
        partitions = f"; partitions: {_partitions(progress)}" if progress.location_id is None else ""
        yield f"requested, but it hasn't ended yet: does its worker run? The next worker will cancel it{partitions}"
    else:
        yield "no event of this job: it is unknown, or ended long ago"
        if progress.location_id is None:
            yield "it was taken for a backfill: a Sync All is cancelled by request and LOCATION"


def _outcome_lines(totals: Mapping[str, Any]) -> Iterator[str]:
    counts = {outcome: totals[outcome] or 0 for outcome in lead_outcomes}
    done, total = totals["leads_done"] or 0, totals["leads_total"]
    if other := done - sum(counts.values()):  # an outcome of a newer version
        counts["other"] = other
    if left := (done if total is None else total) - done:
        counts["not done"] = left
    counts["leads"] = sum(counts.values())
    width = max(len(f"{count:,}") for count in counts.values())
    return (f"  {name:9}  {count:>{width},}" for name, count in counts.items())


def _calls(totals: Mapping[str, Any]) -> str:
    spent, planned, saved = (totals[f"calls_{name}"] for name in ("spent", "planned", "saved"))
    text = f"{spent or 0:,} spent" + ("" if planned is None else f" of about {planned:,} planned")
    return text if saved is None else f"{text}, {saved:,} saved"


def _rate(per_second: float | None) -> str:
    if per_second is None:
        return ""
    return f"{per_second:,.0f} leads/s" if per_second >= 10 or per_second == 0 else f"{per_second:.1f} leads/s"


def _remaining(totals: Mapping[str, Any], now_ms: int) -> str:
    eta = time_ms(totals["eta"])
    return "" if eta is None or eta < now_ms else f"done {relative_time(totals['eta'], now_ms / 1_000)}"


def _partitions(progress: JobProgress) -> str:
    silent = progress.partitions - progress.reported_partitions
    return f"{progress.ended_partitions} of {progress.partitions} done" + (f", {silent} not reported" if silent else "")


def _one_search_a_lead(progress: JobProgress, searches: int, per_10s: int) -> str:
    """Return what one search a lead costs. Locations have budgets of their own, so a backfill's time is unknown."""
    if progress.location_id is None:
        return _number_of_calls(searches)
    return f"{_number_of_calls(searches)}: {duration(searches * 10 / per_10s)} at {per_10s} in 10 s"


def _number_of_calls(number: int) -> str:
    return f"{number:,} call{'' if number == 1 else 's'}"
