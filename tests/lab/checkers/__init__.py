"""One set of checkers for every stage. Each yields the flaws that it finds in a `History`, in words.

`results` and `records` judge leads and records · `jobs`, `job_leads` and `job_calls` judge jobs · `messages` judges
messages · `calls` judges what left the workers and what arrived · `privacy` judges logs. The code under test is never
asked. Checkers of calls pass where a history has none: only a simulation sees calls as they leave a worker.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Final

from tests.lab.history import History

from .calls import (
    budget,
    few_at_once,
    few_trials,
    goes_on_by_itself,
    journalled,
    one_probe_at_a_time,
    thrifty,
)
from .job_calls import (
    leaves_the_reserve,
    one_after_the_other,
    pauses_are_kept,
    spent_calls_reported,
    stops_at_once,
)
from .job_leads import no_lead_skipped
from .jobs import adds_up, counts_grow, ends_once, progress_interval
from .messages import each_message_once, message_counts, no_foreign_messages, none_missing
from .records import (
    all_done,
    contract,
    copied_to_all,
    dead_lettered,
    forwarded_home,
    no_contact_made,
    no_work_left,
)
from .results import calls_reported, no_stale_responses, nothing_lost, once, order

Checker = Callable[[History], Iterator[str]]

checkers: Final[Sequence[Checker]] = (
    budget,
    few_at_once,
    one_probe_at_a_time,
    few_trials,
    goes_on_by_itself,
    journalled,
    thrifty,
    once,
    order,
    nothing_lost,
    dead_lettered,
    forwarded_home,
    no_contact_made,
    calls_reported,
    no_stale_responses,
    all_done,
    contract,
    ends_once,
    counts_grow,
    adds_up,
    no_lead_skipped,
    stops_at_once,
    one_after_the_other,
    progress_interval,
    pauses_are_kept,
    leaves_the_reserve,
    spent_calls_reported,
    copied_to_all,
    no_work_left,
    each_message_once,
    no_foreign_messages,
    none_missing,
    message_counts,
)


def flaws(history: History) -> list[str]:
    """Return all that is wrong with a history, each flaw with the name of its checker."""
    return [f"{name}: {flaw}" for name, found in flaws_by_checker(history).items() for flaw in found]


def flaws_by_checker(history: History) -> dict[str, list[str]]:
    return {checker.__name__: list(checker(history)) for checker in checkers}
