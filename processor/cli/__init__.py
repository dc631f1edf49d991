"""The command `hydrant`: what an operator says, turned into one call each, and what comes of it, told.

Heavy imports are inside the commands, so that `--help` is instant. The commands of jobs are in `jobs`, how all of
them end is in `exits`.
"""

import asyncio
import json
import logging
import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Final, Literal

import typer

from processor import __version__
from processor.cli import jobs
from processor.cli.exits import an_id, done, failed, say, settings, told

no_answer_grace_s: Final = 5  # a worker answers at the deadline; the answer travels

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,  # they show values
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Exits 0 done · 1 the work failed · 2 the command or a setting is wrong.",
)
topics = typer.Typer(no_args_is_help=True, help="The Kafka topics that Hydrant reads and writes.")
app.add_typer(topics, name="topics")


def show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"hydrant {__version__}")
        raise typer.Exit


@app.callback()
def hydrant(
    version: Annotated[
        bool, typer.Option("--version", callback=show_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """Hydrant keeps sales leads resolved and hydrated from the HighLevel CRM.

    It reads lead changes and sync requests from Kafka, finds each lead's
    HighLevel contact, fills the lead's missing fields from it and publishes the
    result, and never spends more than each location's rate budget.

    Settings are environment variables; each command's help names those it reads.
    """
    logging.getLogger().addHandler(logging.NullHandler())  # libraries don't talk past us: `run` lets telemetry listen


@app.command()
@told
def run() -> None:
    """Run a worker: as many as you like share the partitions. SIGTERM drains it within 10 s.

    \b
    Example  GHL_TOKENS_FILE=tokens.toml hydrant run
    Answers  /healthz, /readyz and /metrics on HYDRANT_HTTP_PORT
    Reads    KAFKA_*, GHL_TOKEN or GHL_TOKENS_FILE, GHL_BASE_URL,
             GHL_REQUESTS_PER_10S, HYDRANT_PROBE_SIZE, HYDRANT_STATE_DIR,
             HYDRANT_FETCH_FIELDS, HYDRANT_HTTP_PORT, HYDRANT_LOG_FORMAT,
             HYDRANT_LOG_LEVEL
    Exits    0 drained, 1 it couldn't go on, 2 a setting or a topic is wrong
    """
    given = settings()
    given.require_token()
    from processor.app import run_worker

    raise typer.Exit(run_worker(given))


@topics.command("create")
@told
def create(
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
    Exits    0 all are there, 1 Kafka refused, 2 a setting is wrong
    """
    given = settings()
    from processor import commands

    for topic, outcome in asyncio.run(commands.make_topics(given, partitions, replication_factor)).items():
        typer.echo(f"{outcome:8} {given.kafka_topic_prefix}{topic}")


@app.command()
@told
def sync(
    location: Annotated[str, typer.Argument(callback=an_id, help="The HighLevel location's id.")],
    lead: Annotated[str, typer.Argument(callback=an_id, help="The lead's id.")],
    messages: Annotated[bool, typer.Option(help="Ask for the contact's messages too.")] = True,
    deadline: Annotated[int, typer.Option(min=1, max=3600, help="Seconds within which it must be answered.")] = 120,
    lane: Annotated[
        Literal["interactive", "change"], typer.Option(help="interactive: a person waits.")
    ] = "interactive",
    wait: Annotated[bool, typer.Option(help="Wait for the answer, or only publish the request.")] = True,
    as_json: Annotated[bool, typer.Option("--json", help="Print the answer (sync.answered) as JSON.")] = False,
) -> None:
    """Sync one lead now, and show what came of it. A worker must be running.

    \b
    Examples  hydrant sync ve9EPM428h8vShlRW1KT lead-17
              hydrant sync ve9EPM428h8vShlRW1KT lead-17 --json | jq .outcome
    Reads     KAFKA_*
    Exits     0 updated, unchanged or created
              1 not found, ambiguous, failed or not answered
              2 an id, an option or a setting is wrong
    """
    given = settings()
    from processor import commands
    from processor.cli.shown import good_outcomes, show_answer

    request = commands.SyncRequest(str(uuid.uuid4()), location, lead, messages, deadline, lane)
    if not wait:
        asyncio.run(commands.publish_sync(given, request))
        typer.echo(json.dumps({"request_id": request.request_id}) if as_json else f"requested: {request.request_id}")
        return
    answer = asyncio.run(commands.sync(given, request, deadline + no_answer_grace_s))
    if answer is None:
        say(f"no answer within {deadline + no_answer_grace_s} s: is a worker running? (request {request.request_id})")
        raise typer.Exit(failed)
    if as_json:
        typer.echo(json.dumps(answer.data))
    else:
        show_answer(answer.data, answer.after_ms)
    raise typer.Exit(done if answer.data.get("outcome") in good_outcomes else failed)


app.command("sync-all")(jobs.sync_all)
app.command("backfill")(jobs.backfill)
app.command("cancel")(jobs.cancel)


@app.command()
@told
def status(
    location: Annotated[str | None, typer.Argument(callback=an_id, help="Only this location.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON array of location.status.")] = False,
) -> None:
    """Show how each location stands, as last reported by its worker.

    \b
    Examples  hydrant status
              hydrant status --json | jq '.[] | select(.state != "ok")'
    Reads     KAFKA_*, GHL_REQUESTS_PER_10S
    Exits     0 shown, 1 nothing is known of that location, 2 a setting is wrong
    """
    given = settings()
    from processor import commands
    from processor.cli.shown import show_statuses

    found = asyncio.run(commands.status(given, location))
    if as_json:
        typer.echo(json.dumps(found))
    elif found:
        show_statuses(found, given.ghl_requests_per_10s)
    if location is not None and not found:
        say(f"nothing is known of location {location}: no worker has reported on it")
        raise typer.Exit(failed)
    if not found and not as_json:
        typer.echo("no location was reported on yet")


@app.command()
@told
def sandbox(
    context: typer.Context,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65_535, help="0: a free one, told on standard output.")] = 0,
    seed: Annotated[int, typer.Option(help="The same seed makes the same contacts.")] = 0,
    auto_contacts: Annotated[
        int, typer.Option(min=0, help="Synthetic contacts of each location, made when named.")
    ] = 0,
    mix: Annotated[
        list[str] | None,
        typer.Option(help="SHARE=0.1 of the synthetic contacts, as its own help names them; repeatable."),
    ] = None,
    messages: Annotated[float, typer.Option(min=0, help="SMS, on average, of each contact there at start.")] = 0.0,
    location: Annotated[
        list[str] | None, typer.Option(help="Make this location's contacts at start; repeatable.")
    ] = None,
    world: Annotated[Path | None, typer.Option(help="JSON lines: location_id, and contact or message.")] = None,
    token: Annotated[list[str] | None, typer.Option(help="TOKEN for all, or LOCATION=TOKEN; repeatable.")] = None,
    latency_ms: Annotated[float, typer.Option(min=0, help="Of every answer.")] = 0.0,
    jitter_ms: Annotated[float, typer.Option(min=0, help="At most so much more.")] = 0.0,
    limit: Annotated[int, typer.Option(min=1, help="Calls of a location in any 10 s.")] = 100,
    daily: Annotated[int, typer.Option(min=1, help="Calls of a location in a day.")] = 200_000,
    retry_after: Annotated[
        Literal["seconds", "date", "none"], typer.Option(help="Form of that header on a 429.")
    ] = "seconds",
    index_lag_s: Annotated[
        float, typer.Option(min=0, help="A new contact is found by search only so much later.")
    ] = 0.0,
    raw_names: Annotated[bool, typer.Option(help="Search shows names as entered, too.")] = True,
) -> None:
    """Simulate HighLevel on this machine, with its rate limits and faults on demand.

    \b
    Example  hydrant sandbox --port 9000 --location demo --auto-contacts 1000
             GHL_BASE_URL=http://127.0.0.1:9000 GHL_TOKEN=… hydrant run
    Steered  by JSON over HTTP while it runs (faults, limits, tokens): `python -m processor.sandbox --help` says how
    Reads    nothing
    Exits    0 ended by SIGTERM or SIGINT, 2 an option is wrong
    """
    from processor.sandbox.__main__ import run_sandbox

    run_sandbox(list(arguments(context.params)))


def arguments(given: Mapping[str, object]) -> Iterator[str]:
    """Options as the sandbox's own command line takes them: they have the same names."""
    for name, value in given.items():
        option = name.replace("_", "-")
        if isinstance(value, bool):
            yield f"--{option}" if value else f"--no-{option}"
        elif isinstance(value, list | tuple):
            yield from (f"--{option}={one}" for one in value)
        elif value is not None:
            yield f"--{option}={value}"


def main() -> None:
    app(prog_name="hydrant")
