"""Measure a Sync All with messages: its calls, and that each message comes once a lead, though its worker dies halfway."""

import time
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from typing import Any, Final

from processor.sandbox.stored_message import is_exported
from processor.sandbox.synthetic_contacts import synthetic_contacts
from processor.sandbox.synthetic_messages import synthetic_messages
from tests.bench import message_checks
from tests.bench.figures import Figure, Report, at_most
from tests.bench.job_checks import check_results, check_summary
from tests.bench.jobs import JobHistory, follow
from tests.bench.leads import Json
from tests.bench.population import Population
from tests.bench.sync_all import describe, latency_ms, linger_s, load
from tests.bench.testbed import BenchFailed, Testbed
from tests.lab.harness.sandbox import SandboxProcess
from tests.lab.harness.worker import WorkerProcess

location: Final = "BenchMessagesLocation"
usual: Final = 10_000  # leads: what the bar speaks of
usual_quick: Final = 2_000
mean: Final = 5.0  # SMS a contact
page: Final = 500  # messages in one answer, at most (contract.md §5.1)


def messages(testbed: Testbed, quick: bool) -> Report:
    population = population_of(testbed, quick)
    report, expected = begin("messages", testbed, population)
    with sandbox_of(testbed, population) as sandbox, testbed.worker(sandbox) as worker:
        load(testbed, worker, population)
        before = worker.cpu_s()
        job = follow(testbed.config, location, worker.check, messages=True)
        cpu_s, rss = worker.cpu_s() - before, worker.memory().peak
        time.sleep(linger_s)
        sandbox_report = sandbox.report()
    check_all(testbed, population, job, sandbox_report, expected)
    report.figures += figures(population, job, sandbox_report, expected)
    report.figures += [Figure("CPU of the worker during the job", cpu_s, "s"), Figure("RSS at its most", rss, "MiB")]
    return report


def messages_killed(testbed: Testbed, quick: bool) -> Report:
    """Measure the same with the same bar. Only a call in flight may be made again."""
    population = population_of(testbed, quick)
    report, expected = begin("messages_killed", testbed, population)
    with sandbox_of(testbed, population) as sandbox, ExitStack() as workers:
        first = workers.enter_context(testbed.worker(sandbox))
        load(testbed, first, population)
        half = -(-sms_count(population) // page) // 2
        kill = Kill(first, lambda: exports(sandbox.report()) >= half, lambda: testbed.worker(sandbox))
        job = follow(testbed.config, location, lambda: kill.look(workers), messages=True)
        if not kill.done:
            raise BenchFailed("the job was over before its worker could be killed")
        time.sleep(linger_s)
        sandbox_report = sandbox.report()
    check_all(testbed, population, job, sandbox_report, expected)
    report.conditions += [
        f"SIGKILL to the worker at export's page {half} or soon after; another is started at once, in the same state folder"
    ]
    report.figures += figures(population, job, sandbox_report, expected)
    report.figures += [Figure("from SIGKILL until the successor is ready", kill.down_s, "s")]
    return report


class Kill:
    """Kill the worker once it is due, and start another in the same state folder."""

    def __init__(
        self,
        worker: WorkerProcess,
        due: Callable[[], bool],
        successor: Callable[[], AbstractContextManager[WorkerProcess]],
    ):
        self.done, self.down_s = False, 0.0
        self._worker, self._due, self._successor = worker, due, successor

    def look(self, workers: ExitStack) -> None:
        self._worker.check()
        if self.done or not self._due():
            return
        self.done, at = True, time.monotonic()
        self._worker.kill()
        self._worker = workers.enter_context(self._successor())
        self.down_s = time.monotonic() - at


def begin(bench: str, testbed: Testbed, population: Population) -> tuple[Report, list[Json]]:
    expected = message_checks.messages_of(population, mean)
    conditions = [
        *describe(population),
        f"the contacts have {sms_count(population):,} SMS, spread geometrically, and calls, e-mails and activities beside them",
        "each message is compared, whole, with the sandbox's; once a lead, as a read_committed reader sees it",
    ]
    return Report(bench, testbed.conditions() + conditions), expected


def check_all(
    testbed: Testbed, population: Population, job: JobHistory, sandbox_report: Any, expected: list[Json]
) -> None:
    """Raise BenchFailed if a count, result or message is wrong."""
    check_summary(job, population, sandbox_report["totals"]["arrivals"], "scan")
    imported = job.end.data["messages_imported"]
    if imported != len(expected):
        raise BenchFailed(f"the summary: messages_imported {imported} instead of {len(expected)}")
    check_results(testbed, population, ["scan"])
    message_checks.check_messages(testbed.records("lead.messages"), expected)


def figures(population: Population, job: JobHistory, sandbox_report: Any, expected: list[Json]) -> list[Figure]:
    totals, sms = sandbox_report["totals"], sms_count(population)
    return [
        Figure("calls at the sandbox", totals["arrivals"], "", at_most(population.leads / 400 + sms / page + 60)),
        Figure("of these exports of messages", exports(sandbox_report)),
        Figure("messages imported, each once a lead", len(expected)),
        Figure("from the request until it is completed", job.end.after_s, "s"),
        Figure("calls planned at the end", job.end.data["calls_planned"]),
        Figure("one export a contact would take", population.leads, "calls"),
        Figure("worst 10 s window", totals["worst_window"], "calls", at_most(100)),
        Figure("429s", totals["refused"], "", at_most(0)),
    ]


def exports(sandbox_report: Any) -> int:  # the sandbox's report
    return int(sandbox_report["locations"].get(location, {}).get("calls", {}).get("messages", 0))


def sms_count(population: Population) -> int:
    """Return the SMS of all contacts, also of those whose lead can't be found."""
    return sum(
        is_exported(message.type, "SMS")
        for contact in synthetic_contacts(location, population.contacts)
        for message in synthetic_messages(location, contact.id, mean)
    )


def population_of(testbed: Testbed, quick: bool) -> Population:
    leads = testbed.leads or (usual_quick if quick else usual)
    return Population(location, leads, leads)


def sandbox_of(testbed: Testbed, population: Population) -> AbstractContextManager[SandboxProcess]:
    options = ["--auto-contacts", str(population.contacts), "--messages", str(mean), "--location", location]
    return testbed.sandbox(latency_ms=latency_ms, options=options)
