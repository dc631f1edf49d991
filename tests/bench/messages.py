"""Sync All with messages: its calls, and that each message comes once a lead, also when its worker dies halfway."""

import time
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from typing import Any, Final

from processor.sandbox.stored_message import is_exported
from processor.sandbox.synthetic_contacts import synthetic_contacts
from processor.sandbox.synthetic_messages import synthetic_messages
from tests.bench import said
from tests.bench.crowd import Crowd
from tests.bench.figures import Figure, Report, at_most
from tests.bench.jobs import Course, follow
from tests.bench.leads import Json
from tests.bench.outcome import check_results, check_summary
from tests.bench.stage import Failed, Sandbox, Stage, Worker
from tests.bench.sync_all import latency_ms, linger_s, load, told_of

location: Final = "BenchMessagesLocation"
usual: Final = 10_000  # leads: what the bar speaks of
usual_quick: Final = 2_000
mean: Final = 5.0  # SMS a contact
page: Final = 500  # messages in one answer, at most (contract.md §5.1)


def messages(stage: Stage, quick: bool) -> Report:
    crowd = crowd_of(stage, quick)
    report, expected = begun("messages", stage, crowd)
    with sandbox_of(stage, crowd) as sandbox, stage.worker(sandbox) as worker:
        load(stage, worker, crowd)
        before = worker.cpu_s()
        course = follow(stage.config, location, worker.check, messages=True)
        cpu_s, rss = worker.cpu_s() - before, worker.memory().peak
        time.sleep(linger_s)
        told = sandbox.report()
    judge(stage, crowd, course, told, expected)
    report.figures += figures(crowd, course, told, expected)
    report.figures += [Figure("CPU of the worker during the job", cpu_s, "s"), Figure("RSS at its most", rss, "MiB")]
    return report


def messages_killed(stage: Stage, quick: bool) -> Report:
    """With the same bar: what was in flight may be asked again, nothing else."""
    crowd = crowd_of(stage, quick)
    report, expected = begun("messages_killed", stage, crowd)
    with sandbox_of(stage, crowd) as sandbox, ExitStack() as workers:
        first = workers.enter_context(stage.worker(sandbox))
        load(stage, first, crowd)
        half = -(-of_all(crowd) // page) // 2
        blow = Blow(first, lambda: exports(sandbox.report()) >= half, lambda: stage.worker(sandbox, name="successor"))
        course = follow(stage.config, location, lambda: blow.look(workers), messages=True)
        if not blow.fallen:
            raise Failed("the job was over before its worker could be killed")
        time.sleep(linger_s)
        told = sandbox.report()
    judge(stage, crowd, course, told, expected)
    report.conditions += [
        f"SIGKILL to the worker at export's page {half} or soon after; another is started at once, in the same state folder"
    ]
    report.figures += figures(crowd, course, told, expected)
    report.figures += [Figure("from SIGKILL until the successor is ready", blow.down_s, "s")]
    return report


class Blow:
    """Kills the worker once it is time, and starts another in the same state folder."""

    def __init__(
        self, worker: Worker, due: Callable[[], bool], successor: Callable[[], AbstractContextManager[Worker]]
    ):
        self.fallen, self.down_s = False, 0.0
        self._worker, self._due, self._successor = worker, due, successor

    def look(self, workers: ExitStack) -> None:
        self._worker.check()
        if self.fallen or not self._due():
            return
        self.fallen, at = True, time.monotonic()
        self._worker.kill()
        self._worker = workers.enter_context(self._successor())
        self.down_s = time.monotonic() - at


def begun(bench: str, stage: Stage, crowd: Crowd) -> tuple[Report, list[Json]]:
    expected = said.of_crowd(crowd, mean)
    conditions = [
        *told_of(crowd),
        f"the contacts have {of_all(crowd):,} SMS, spread geometrically, and calls, e-mails and activities beside them",
        "each message is compared, whole, with the sandbox's; once a lead, as a read_committed reader sees it",
    ]
    return Report(bench, stage.conditions() + conditions), expected


def judge(stage: Stage, crowd: Crowd, course: Course, told: Any, expected: list[Json]) -> None:
    """Raises Failed."""
    check_summary(course, crowd, told["totals"]["arrivals"], "scan")
    imported = course.end.data["messages_imported"]
    if imported != len(expected):
        raise Failed(f"the summary: messages_imported {imported} instead of {len(expected)}")
    check_results(stage, crowd, ["scan"])
    said.check_said(stage.read("lead.messages"), expected)


def figures(crowd: Crowd, course: Course, told: Any, expected: list[Json]) -> list[Figure]:
    totals, sms = told["totals"], of_all(crowd)
    return [
        Figure("calls at the sandbox", totals["arrivals"], "", at_most(crowd.leads / 400 + sms / page + 60)),
        Figure("of these exports of messages", exports(told)),
        Figure("messages imported, each once a lead", len(expected)),
        Figure("from the request until it is completed", course.end.after_s, "s"),
        Figure("calls planned at the end", course.end.data["calls_planned"]),
        Figure("one export a contact would take", crowd.leads, "calls"),
        Figure("worst 10 s window", totals["worst_window"], "calls", at_most(100)),
        Figure("429s", totals["refused"], "", at_most(0)),
    ]


def exports(told: Any) -> int:  # the sandbox's report
    return int(told["locations"].get(location, {}).get("calls", {}).get("messages", 0))


def of_all(crowd: Crowd) -> int:
    """SMS of all contacts, also of those whose lead can't be found."""
    return sum(
        is_exported(message.type, "SMS")
        for contact in synthetic_contacts(location, crowd.contacts)
        for message in synthetic_messages(location, contact.id, mean)
    )


def crowd_of(stage: Stage, quick: bool) -> Crowd:
    leads = stage.leads or (usual_quick if quick else usual)
    return Crowd(location, leads, leads)


def sandbox_of(stage: Stage, crowd: Crowd) -> AbstractContextManager[Sandbox]:
    options = ["--auto-contacts", str(crowd.contacts), "--messages", str(mean), "--location", location]
    return stage.sandbox(latency_ms=latency_ms, options=options)
