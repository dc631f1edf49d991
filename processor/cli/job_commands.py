"""Declare the commands of jobs: request a Sync All or a backfill, watch it, cancel it.

A job belongs to the workers. Its request id is all that a watcher needs to come back to it.
"""

import asyncio
import json
import shlex
import signal
import uuid
from collections.abc import Coroutine
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from processor.cli.exits import EXIT_DONE, EXIT_FAILED, check_id, environment_settings, print_errors, report_errors

if TYPE_CHECKING:
    from processor.cli.job_progress import JobProgress
    from processor.cli.operations import JobRequest
    from processor.settings import Settings

cancel_within_s: Final = 10  # a worker stops a job's calls within 2 s

WatchOption = Annotated[bool, typer.Option("--watch", help="Stay, and show the progress until the job has ended.")]
DryRunOption = Annotated[bool, typer.Option("--dry-run", help="Only show the plan and its cost, without doing it.")]
RequestIdOption = Annotated[
    str | None, typer.Option(callback=check_id, help="The same id is the same job: also to resume watching it.")
]


@report_errors
def sync_all_command(
    location: Annotated[str, typer.Argument(callback=check_id, help="The HighLevel location's id.")],
    watch: WatchOption = False,
    dry_run: DryRunOption = False,
    messages: Annotated[bool, typer.Option(help="Ask for the contacts' messages too.")] = True,
    request_id: RequestIdOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print each progress event as a line of JSON.")] = False,
) -> None:
    """Sync every lead of a location, as a job that outlives this command.

    It prints the job's request id and ends. With --watch it stays: Ctrl-C or
    SIGTERM then only stop the watching, the job goes on, and the command exits
    1. A job that has ended shows its summary; to run it anew takes another
    request id.

    \b
    Examples  hydrant sync-all ve9EPM428h8vShlRW1KT --watch
              hydrant sync-all ve9EPM428h8vShlRW1KT --dry-run
              hydrant sync-all ve9EPM428h8vShlRW1KT --watch --request-id ID
    Reads     KAFKA_*, GHL_REQUESTS_PER_10S (to show what one search a lead
              would have cost)
    Exits     0 requested; watched: completed, and no lead failed
              1 failed, cancelled, leads failed, or watching stopped early
              2 an id, an option or a setting is wrong
    """
    settings = environment_settings()
    from processor.events.contract import SyncLocationRequested

    request = SyncLocationRequested(
        request_id=request_id or str(uuid.uuid4()), location_id=location, include_messages=messages, dry_run=dry_run
    )
    _start(settings, request, watch, as_json, resume=request_id is not None)


@report_errors
def backfill_command(
    watch: WatchOption = False,
    dry_run: DryRunOption = False,
    request_id: RequestIdOption = None,
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
    Reads     KAFKA_*, GHL_REQUESTS_PER_10S (to show what one search a lead
              would have cost)
    Exits     0 requested; watched: completed, and no lead failed
              1 failed, cancelled, leads failed, or watching stopped early
              2 an id, an option or a setting is wrong
    """
    settings = environment_settings()
    from processor.events.contract import SyncBackfillRequested

    request = SyncBackfillRequested(request_id=request_id or str(uuid.uuid4()), dry_run=dry_run)
    _start(settings, request, watch, as_json, resume=request_id is not None)


@report_errors
def cancel_command(
    request: Annotated[str, typer.Argument(callback=check_id, help="The job's request id.")],
    location: Annotated[
        str | None, typer.Argument(callback=check_id, help="Its location. None: it is a backfill.")
    ] = None,
    wait: Annotated[bool, typer.Option(help="Wait until the job has ended, or only publish the request.")] = True,
    as_json: Annotated[bool, typer.Option("--json", help="Print how it ended as JSON.")] = False,
) -> None:
    """Cancel a job: its calls stop within 2 s, finished leads stay done.

    \b
    Examples  hydrant cancel 7d9f1c52 ve9EPM428h8vShlRW1KT
              hydrant cancel 0b64e7aa
    Reads     KAFKA_*
    Exits     0 cancelled, or requested with --no-wait
              1 ended already, unknown, or no worker has ended it within 10 s
              2 an id, an option or a setting is wrong
    """
    settings = environment_settings()
    from processor.cli import job_watch, operations
    from processor.cli.job_output import end_json
    from processor.cli.job_text import cancel_lines
    from processor.events.contract import SyncCancelRequested

    cancel = SyncCancelRequested(request_id=request, location_id=location)
    if not wait:
        asyncio.run(operations.publish_request(settings, cancel))
        typer.echo(json.dumps({"request_id": request}) if as_json else f"requested to cancel: {request}")
        return
    progress = asyncio.run(job_watch.cancel_and_wait(settings, cancel, cancel_within_s))
    cancelled = progress.phase == "cancelled"
    if as_json and progress.ended:
        typer.echo(end_json(progress))
    elif cancelled:
        typer.echo("\n".join(cancel_lines(progress)))
    else:
        print_errors(*cancel_lines(progress))
    raise typer.Exit(EXIT_DONE if cancelled else EXIT_FAILED)


def _start(settings: "Settings", request: "JobRequest", watch: bool, as_json: bool, *, resume: bool) -> None:
    from processor.cli import job_watch, operations
    from processor.cli.job_output import JobJson, JobLines
    from processor.cli.job_progress import JobProgress
    from processor.cli.job_text import leads_done

    if not watch and not request.dry_run:
        asyncio.run(operations.publish_request(settings, request))
        if as_json:
            typer.echo(json.dumps({"request_id": request.request_id}))
        else:
            typer.echo("\n".join([f"requested: {request.request_id}", *_next_commands(request)]))
        return
    progress = JobProgress(request.request_id, operations.requested_location(request), live=not resume)
    dry_run, per_10s = request.dry_run, settings.ghl_requests_per_10s
    output = JobJson(progress, dry_run) if as_json else JobLines(progress, dry_run, per_10s)
    watching = job_watch.watch_job(settings, request, progress, output.on_event, resume=resume)
    if asyncio.run(_until_signal(watching)):
        output.finish()
        raise typer.Exit(EXIT_DONE if _succeeded(progress, dry_run) else EXIT_FAILED)
    if dry_run:
        print_errors(f"stopped before the plan was known (request {request.request_id})")
    else:
        done = f" ({leads_done(progress.totals())})" if progress.reported_partitions else ""
        print_errors(f"stopped watching; the job goes on{done}", *_next_commands(request))
    raise typer.Exit(EXIT_FAILED)


async def _until_signal(watching: Coroutine[Any, Any, None]) -> bool:
    """Return True if the watching ended by itself, False if SIGINT or SIGTERM stopped it."""
    task, loop = asyncio.ensure_future(watching), asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, task.cancel)
    await asyncio.wait([task])
    if task.cancelled():
        return False
    task.result()
    return True


def _succeeded(progress: "JobProgress", dry_run: bool) -> bool:
    """Return True if every partition has published its plan, or if the job completed without a failed lead."""
    if dry_run:
        return progress.missing_plan() is None
    return progress.phase == "completed" and not progress.totals()["failed"]


def _next_commands(request: "JobRequest") -> list[str]:
    """Return the commands that watch and cancel the job, each on a line of its own: to be copied."""
    from processor.cli.operations import requested_location

    location = requested_location(request)
    target = [] if location is None else [location]
    job = ["backfill"] if location is None else ["sync-all", location]
    if location is not None and not request.include_messages:
        job.append("--no-messages")
    return [
        f"watch it:  {shlex.join(['hydrant', *job, '--watch', '--request-id', request.request_id])}",
        f"cancel it: {shlex.join(['hydrant', 'cancel', request.request_id, *target])}",
    ]
