"""Judge a run of the demo: the lab's checkers compare all topics and arrivals with the workload's ground truth."""

import re
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from processor.topics import TOPICS
from tests.lab.checkers import flaws_by_checker
from tests.lab.checkers.invariants import invariants
from tests.lab.demo.progress import Progress
from tests.lab.harness.calls import CallSummary, budget_flaws, summarize_calls
from tests.lab.harness.deployment import Deployment
from tests.lab.harness.rows import history_of
from tests.lab.history import History

Fault = Literal["lost", "repeated", "wrong"]
no_result: Final = "nothing"  # the outcome of a lead without a result
lost, repeated = invariants[2], invariants[3]  # checkers that find such flaws
lead_named: Final = re.compile(r"\blead-\d+\b")


@dataclass(frozen=True, slots=True)
class Flaw:
    fault: Fault
    text: str

    @property
    def lead(self) -> str | None:
        found = lead_named.search(self.text)
        return found[0] if found else None


@dataclass(frozen=True, slots=True)
class Verdict:
    flaws: Sequence[Flaw]
    troubles: Sequence[str]  # all other faults of the demo's outcome
    history: History
    calls: CallSummary  # of all locations but that of the Sync All
    job_calls: CallSummary
    seconds: float

    @property
    def passed(self) -> bool:
        return not self.flaws and not self.troubles

    @property
    def faulty(self) -> set[str]:
        """Return the ids of all leads with a flaw."""
        return {flaw.lead for flaw in self.flaws if flaw.lead}

    def count(self, fault: Fault) -> int:
        return sum(flaw.fault == fault for flaw in self.flaws)

    def outcomes(self, location: str | None, others: bool) -> Counter[str]:
        """Count leads by the outcome of their last result, of a location or of all others."""
        last = {key: results[-1].data["outcome"] for key, results in self.history.results_by_lead.items()}
        leads = [key for key in self.history.workload.lead_by_id if (key[0] != location) == others]
        return Counter(last.get(key, no_result) for key in leads)


async def judge(deployment: Deployment, progress: Progress, began_ms: int, complete: bool) -> Verdict:
    """Read all topics and check them. `complete`: all that must come came in time."""
    seconds = time.monotonic() - progress.since
    troubles = [] if complete else ["The time was over before all had come."]
    if progress.replaced_at is None:
        troubles.append("No worker was killed, or no other one has taken its place.")
    ended = [child for child in (*deployment.workers, *deployment.sandboxes) if child.exit_code is not None]
    unmeant = [child for child in ended if (child.name, child.exit_code) != (progress.killed, -9)]
    troubles += [f"{child.name} ended before the demo did." for child in unmeant]
    (sandbox,) = deployment.sandboxes
    arrivals = sandbox.arrivals_by_location()
    records = await deployment.read(*TOPICS)
    history = history_of(
        progress.workload,
        records,
        arrivals,
        began_ms,
        prefix=deployment.prefix,
        kills=True,
        rebalances=True,
        owner_gaps=True,
    )
    job_places = {job.location for job in progress.workload.jobs}
    calls = summarize_calls({place: calls for place, calls in arrivals.items() if place and place not in job_places})
    job_calls = summarize_calls({place: calls for place, calls in arrivals.items() if place in job_places})
    troubles += [*budget_flaws(calls, len(arrivals.get("", ()))), *budget_flaws(job_calls, 0)]
    return Verdict(list(flaws_of(history)), troubles, history, calls, job_calls, seconds)


def flaws_of(history: History) -> Iterator[Flaw]:
    for checker, flaws in flaws_by_checker(history).items():
        fault: Fault = "lost" if checker in lost else "repeated" if checker in repeated else "wrong"
        yield from (Flaw(fault, f"{checker}: {text}") for text in flaws)
