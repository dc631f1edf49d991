"""The commands of jobs: ask for a Sync All or a backfill, watch it, cancel it. `cli` registers them.

Who watches may leave: a job belongs to the workers, and its request id is all it takes to come back to it.
"""

import asyncio
import json
import shlex
import signal
import uuid
from collections.abc import Coroutine
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from processor.cli.exits import an_id, done, failed, say, settings, told

if TYPE_CHECKING:
    from processor.commands.jobs import Job
    from processor.commands.progress import Progress
    from processor.settings import Settings

cancelled_within_s: Final = 10  # a worker stops a job's calls within 2 s

Watch = Annotated[bool, typer.Option("--watch", help="Stay, and show how it goes until it is over.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Only say what it would do and cost, without doing it.")]
RequestId = Annotated[
    str | None, typer.Option(callback=an_id, help="The same id is the same job: also to watch it again.")
]


@told
def sync_all(
    location: Annotated[str, typer.Argument(callback=an_id, help="The HighLevel location's id.")],
    watch: Watch = False,
    dry_run: DryRun = False,
    messages: Annotated[bool, typer.Option(help="Ask for the contacts' messages too.")] = True,
    request_id: RequestId = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print each progress event as a line of JSON.")] = False,
) -> None:
    """Sync every lead of a location, as a job that outlives this command.

    It prints the job's request id and is done. With --watch it stays: Ctrl-C
    or SIGTERM then leave the job running, and the command exits 1. A job that
    is over shows its summary; to run it again takes another request id.

    \b
    Examples  hydrant sync-all ve9EPM428h8vShlRW1KT --watch
              hydrant sync-all ve9EPM428h8vShlRW1KT --dry-run
              hydrant sync-all ve9EPM428h8vShlRW1KT --watch --request-id ID
    Reads     KAFKA_*, GHL_REQUESTS_PER_10S (to tell what one search a lead
              would have cost)
    Exits     0 asked; watched: completed, and no lead failed
              1 failed, cancelled, leads failed, or left before it was over
              2 an id, an option or a setting is wrong
    """
    from processor.commands.jobs import Job

    job = Job(request_id or str(uuid.uuid4()), location, messages, dry_run)
    start(settings(), job, watch, as_json, again=request_id is not None)


@told
def backfill(
    watch: Watch = False,
    dry_run: DryRun = False,
    request_id: RequestId = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print each partition's progress events as lines of JSON, and their sum.")
    ] = False,
) -> None:
    """Sync every lead of every location, behind all other work.

    It searches and links only: no contact is created or written to. It is done
    when every partition is. Otherwise as sync-all.

    \b
    Examples  hydrant backfill --watch
              hydrant backfill --dry-run --json
    Reads     KAFKA_*, GHL_REQUESTS_PER_10S (to tell what one search a lead
              would have cost)
    Exits     0 asked; watched: completed, and no lead failed
              1 failed, cancelled, leads failed, or left before it was over
              2 an id, an option or a setting is wrong
    """
    from processor.commands.jobs import Job

    job = Job(request_id or str(uuid.uuid4()), None, False, dry_run)
    start(settings(), job, watch, as_json, again=request_id is not None)


@told
def cancel(
    request: Annotated[str, typer.Argument(callback=an_id, help="The job's request id.")],
    location: Annotated[
        str | None, typer.Argument(callback=an_id, help="Its location. None: it is a backfill.")
    ] = None,
    wait: Annotated[bool, typer.Option(help="Wait until it is over, or only ask.")] = True,
    as_json: Annotated[bool, typer.Option("--json", help="Print how it ended as JSON.")] = False,
) -> None:
    """Cancel a job: its calls stop within 2 s, what it has done stays done.

    \b
    Examples  hydrant cancel 7d9f1c52 ve9EPM428h8vShlRW1KT
              hydrant cancel 0b64e7aa
    Reads     KAFKA_*
    Exits     0 cancelled, or asked with --no-wait
              1 over already, unknown, or no worker answered within 10 s
              2 an id, an option or a setting is wrong
    """
    given = settings()
    from processor.cli.shown_jobs import cancelled
    from processor.cli.watching import end
    from processor.commands import jobs

    if not wait:
        asyncio.run(jobs.ask_to_cancel(given, request, location))
        typer.echo(json.dumps({"request_id": request}) if as_json else f"asked to cancel: {request}")
        return
    progress = asyncio.run(jobs.cancel(given, request, location, cancelled_within_s))
    if as_json and progress.over:
        typer.echo(end(progress))
    elif progress.phase == "cancelled":
        typer.echo(cancelled(progress))
    else:
        say(*cancelled(progress).splitlines())
    raise typer.Exit(done if progress.phase == "cancelled" else failed)


def start(given: "Settings", job: "Job", watch: bool, as_json: bool, *, again: bool) -> None:
    from processor.cli.shown_jobs import how_far
    from processor.cli.watching import view
    from processor.commands import jobs
    from processor.commands.progress import Progress

    if not watch and not job.dry_run:
        asyncio.run(jobs.ask(given, job))
        if as_json:
            typer.echo(json.dumps({"request_id": job.request_id}))
        else:
            typer.echo("\n".join([f"requested: {job.request_id}", *ways_back(job)]))
        return
    progress = Progress(job.request_id, job.location_id, live=not again)
    with view(job, progress, as_json, given.ghl_requests_per_10s) as shown:
        stayed = asyncio.run(until_left(jobs.watch(given, job, progress, shown.see, again=again)))
    if stayed:
        shown.summary()
        raise typer.Exit(done if succeeded(job, progress) else failed)
    if job.dry_run:
        say(f"left before the plan was known (request {job.request_id})")
    else:
        far = f" ({how_far(progress.stand())})" if progress.heard else ""
        say(f"left; the job goes on{far}", *ways_back(job))
    raise typer.Exit(failed)


async def until_left(watching: Coroutine[Any, Any, None]) -> bool:
    """Whether it came to its end: SIGINT and SIGTERM leave it."""
    task, loop = asyncio.ensure_future(watching), asyncio.get_running_loop()
    for one in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(one, task.cancel)
    await asyncio.wait([task])
    if task.cancelled():
        return False
    task.result()
    return True


def succeeded(job: "Job", progress: "Progress") -> bool:
    """A dry run succeeds when every partition has told its plan."""
    if job.dry_run:
        return progress.refusal() is None
    return progress.phase == "completed" and not progress.stand()["failed"]


def ways_back(job: "Job") -> list[str]:
    """The commands that watch and cancel it, on lines of their own: to be copied."""
    if job.location_id is None:
        again, where = ["backfill"], []
    else:
        where = [job.location_id]
        again = ["sync-all", *where, *([] if job.include_messages else ["--no-messages"])]
    return [
        f"watch it:  {shlex.join(['hydrant', *again, '--watch', '--request-id', job.request_id])}",
        f"cancel it: {shlex.join(['hydrant', 'cancel', job.request_id, *where])}",
    ]
