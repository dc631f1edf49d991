"""The command line, and what an operator does over Kafka.

Read first: this file and `job_commands` declare the commands, `exits` ends them. `operations` publishes requests and
reads answers and statuses; `job_watch` follows a job, `job_progress` computes how it stands. `text`, `job_text` and
`job_output` print. Heavy imports are inside the commands, so that `--help` is instant.
"""

import asyncio
import json
import logging
import uuid
from typing import TYPE_CHECKING, Annotated, Final, Literal, NoReturn

import typer

from processor import __version__
from processor.cli import job_commands
from processor.cli.exits import (
    EXIT_DONE,
    EXIT_FAILED,
    check_id,
    environment_settings,
    print_errors,
    report_errors,
)

if TYPE_CHECKING:
    from processor.events.contract import SyncLeadRequested
    from processor.settings import Settings

answer_grace_s: Final = 5  # a worker answers at the deadline at the latest; then the answer travels

command_line = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,  # they show values
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Exits 0 done · 1 the work failed · 2 the command or a setting is wrong.",
)
topic_commands = typer.Typer(no_args_is_help=True, help="The Kafka topics that Hydrant reads and writes.")
command_line.add_typer(topic_commands, name="topics")


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"hydrant {__version__}")
        raise typer.Exit


@command_line.callback()
def common_options(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """Hydrant keeps sales leads resolved and hydrated from the HighLevel CRM.

    It reads lead changes and sync requests from Kafka, finds each lead's
    HighLevel contact, fills the lead's missing fields from it and publishes the
    result, and never spends more than each location's rate budget.

    Settings are environment variables; each command's help names those it reads.
    """
    logging.getLogger().addHandler(logging.NullHandler())  # libraries print nothing; `run` sets up telemetry


@command_line.command("run")
@report_errors
def run_command() -> None:
    """Run a worker: as many as you like share the partitions. SIGTERM drains it within 10 s.

    \b
    Example  GHL_TOKENS_FILE=tokens.toml hydrant run
    Serves   /healthz, /readyz and /metrics on HYDRANT_HTTP_PORT
    Reads    KAFKA_*, GHL_TOKEN or GHL_TOKENS_FILE, GHL_BASE_URL,
             GHL_REQUESTS_PER_10S, HYDRANT_PROBE_SIZE, HYDRANT_STATE_DIR,
             HYDRANT_FETCH_FIELDS, HYDRANT_HTTP_PORT, HYDRANT_LOG_FORMAT,
             HYDRANT_LOG_LEVEL
    Exits    0 drained, 1 it couldn't go on, 2 a setting or a topic is wrong
    """
    settings = environment_settings()
    settings.require_token()
    from processor.app import run_worker

    raise typer.Exit(run_worker(settings))


@topic_commands.command("create")
@report_errors
def create_topics_command(
    partitions: Annotated[
        int, typer.Option(min=1, max=10_000, help="Of every topic. Final: growing it would split budgets.")
    ] = 12,
    replication_factor: Annotated[
        int | None, typer.Option(min=1, max=100, help="Of every topic; else the broker's default.")
    ] = None,
) -> None:
    """Create the topics; those that exist are left as they are.

    \b
    Example  hydrant topics create --partitions 12 --replication-factor 3
    Reads    KAFKA_*
    Exits    0 all topics exist, 1 Kafka refused, 2 a setting is wrong
    """
    settings = environment_settings()
    from processor.cli import operations

    for topic, result in asyncio.run(operations.make_topics(settings, partitions, replication_factor)).items():
        typer.echo(f"{result:8} {settings.kafka_topic_prefix}{topic}")


@command_line.command("sync")
@report_errors
def sync_command(
    location: Annotated[str, typer.Argument(callback=check_id, help="The HighLevel location's id.")],
    lead: Annotated[str, typer.Argument(callback=check_id, help="The lead's id.")],
    messages: Annotated[bool, typer.Option(help="Ask for the contact's messages too.")] = True,
    deadline: Annotated[int, typer.Option(min=1, max=3600, help="Seconds within which it must be answered.")] = 120,
    lane: Annotated[
        Literal["interactive", "change"], typer.Option(help="interactive: a person waits.")
    ] = "interactive",
    wait: Annotated[bool, typer.Option(help="Wait for the answer, or only publish the request.")] = True,
    as_json: Annotated[bool, typer.Option("--json", help="Print the answer (sync.answered) as JSON.")] = False,
) -> None:
    """Sync one lead now, and show its outcome. A worker must be running.

    \b
    Examples  hydrant sync ve9EPM428h8vShlRW1KT lead-17
              hydrant sync ve9EPM428h8vShlRW1KT lead-17 --json | jq .outcome
    Reads     KAFKA_*
    Exits     0 updated, unchanged or created
              1 not found, ambiguous, failed or not answered
              2 an id, an option or a setting is wrong
    """
    settings = environment_settings()
    from processor.cli import operations
    from processor.events.contract import SyncLeadRequested

    request = SyncLeadRequested(
        request_id=str(uuid.uuid4()),
        location_id=location,
        lead_id=lead,
        include_messages=messages,
        deadline_s=deadline,
        lane=lane,
    )
    if wait:
        _wait_for_answer(settings, request, as_json)
    asyncio.run(operations.publish_request(settings, request))
    typer.echo(json.dumps({"request_id": request.request_id}) if as_json else f"requested: {request.request_id}")


def _wait_for_answer(settings: "Settings", request: "SyncLeadRequested", as_json: bool) -> NoReturn:
    from processor.cli import operations
    from processor.cli.text import answer_lines, good_outcomes

    within_s = request.deadline_s + answer_grace_s
    answer = asyncio.run(operations.sync_lead(settings, request, within_s))
    if answer is None:
        print_errors(f"no answer within {within_s} s: is a worker running? (request {request.request_id})")
        raise typer.Exit(EXIT_FAILED)
    typer.echo(json.dumps(answer.data) if as_json else "\n".join(answer_lines(answer.data, answer.after_ms)))
    raise typer.Exit(EXIT_DONE if answer.data.get("outcome") in good_outcomes else EXIT_FAILED)


command_line.command("sync-all")(job_commands.sync_all_command)
command_line.command("backfill")(job_commands.backfill_command)
command_line.command("cancel")(job_commands.cancel_command)


@command_line.command("status")
@report_errors
def status_command(
    location: Annotated[str | None, typer.Argument(callback=check_id, help="Only this location.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON array of location.status.")] = False,
) -> None:
    """Show how each location stands, as its worker last reported.

    \b
    Examples  hydrant status
              hydrant status --json | jq '.[] | select(.state != "ok")'
    Reads     KAFKA_*, GHL_REQUESTS_PER_10S
    Exits     0 shown, 1 no worker has reported on that location, 2 a setting is wrong
    """
    settings = environment_settings()
    from processor.cli import operations
    from processor.cli.text import status_lines

    statuses = asyncio.run(operations.read_statuses(settings, location))
    if as_json:
        typer.echo(json.dumps(statuses))
    elif statuses:
        typer.echo("\n".join(status_lines(statuses, settings.ghl_requests_per_10s)))
    elif location is None:
        typer.echo("no worker has reported on any location yet")
    if location is not None and not statuses:
        print_errors(f"no worker has reported on location {location}")
        raise typer.Exit(EXIT_FAILED)


@command_line.command(
    "sandbox", add_help_option=False, context_settings={"allow_extra_args": True, "ignore_unknown_options": True}
)
@report_errors
def sandbox_command(context: typer.Context) -> None:
    """Simulate HighLevel on this machine, with its rate limits and faults on demand.

    \b
    Example  hydrant sandbox --port 9000 --location demo --auto-contacts 1000
             GHL_BASE_URL=http://127.0.0.1:9000 GHL_TOKEN=… hydrant run
    Control  by JSON over HTTP while it runs (faults, limits, tokens)
    Reads    nothing
    Exits    0 ended by SIGTERM or SIGINT, 2 an option is wrong
    """
    from processor.sandbox.__main__ import run_sandbox

    if not {"-h", "--help"}.isdisjoint(context.args):
        typer.echo(context.get_help())  # and then the sandbox's own options
    run_sandbox(context.args)
