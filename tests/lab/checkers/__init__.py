"""One set of checkers for every stage. Each yields the flaws that it finds in a `History`, in words.

`results` and `records` judge leads and records · `jobs`, `job_leads` and `job_calls` judge jobs · `messages` judges
messages · `calls` judges what left the workers and what arrived · `privacy` judges logs. The code under test is never
asked. Checkers of calls pass where a history has none: only a simulation sees calls as they leave a worker.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Final

from tests.lab.history import History

from . import calls, job_calls, job_leads, jobs, messages, records, results

Checker = Callable[[History], Iterator[str]]

checkers: Final[Sequence[Checker]] = (
    *(calls.budget, calls.few_at_once, calls.one_probe_at_a_time, calls.few_trials, calls.goes_on_by_itself),
    *(calls.journalled, calls.thrifty),
    *(results.once, results.order, results.nothing_lost, results.no_stale_responses, results.calls_reported),
    *(records.dead_lettered, records.forwarded_home, records.copied_to_all, records.no_contact_made),
    *(records.contract, records.all_done, records.no_work_left),
    *(jobs.ends_once, jobs.counts_grow, jobs.adds_up, jobs.progress_interval, job_leads.no_lead_skipped),
    *(job_calls.stops_at_once, job_calls.one_after_the_other, job_calls.pauses_are_kept),
    *(job_calls.leaves_the_reserve, job_calls.spent_calls_reported),
    *(messages.each_message_once, messages.no_foreign_messages, messages.none_missing, messages.message_counts),
)


def flaws(history: History) -> list[str]:
    """Return all that is wrong with a history, each flaw with the name of its checker."""
    return [f"{name}: {flaw}" for name, found in flaws_by_checker(history).items() for flaw in found]


def flaws_by_checker(history: History) -> dict[str, list[str]]:
    return {checker.__name__: list(checker(history)) for checker in checkers}
