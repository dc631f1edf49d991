"""The command `hydrant`: what an operator says, turned into one call each, and what comes of it, told.

Heavy imports are inside the commands, so that `--help` is instant. `told` turns what goes wrong into lines and an exit
code, for every command alike.
"""

import asyncio
import functools
import json
import logging
import os
import re
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final, Literal, NoReturn, ParamSpec

import typer

from processor import __version__

if TYPE_CHECKING:
    from processor.settings import Settings

P = ParamSpec("P")

done, failed, wrong = 0, 1, 2
good_outcomes: Final = ("updated", "unchanged", "created")
no_answer_grace_s: Final = 5  # a worker answers at the deadline; the answer travels

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,  # they show values
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Exits 0 done · 1 the work failed · 2 the command or a setting is wrong. Try [bold]hydrant demo[/] first.",
)
topics = typer.Typer(no_args_is_help=True, help="The Kafka topics that Hydrant reads and writes.")
app.add_typer(topics, name="topics")


def told(command: Callable[P, None]) -> Callable[P, None]:
    """What goes wrong is a line for each reason and an exit code, never a traceback: those show values."""

    @functools.wraps(command)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        try:
            command(*args, **kwargs)
        except (typer.Exit, typer.Abort, typer.TyperException):
            raise
        except Exception as error:
            leave(error)

    return run


def leave(error: Exception) -> NoReturn:
    from processor.engine.health import PortTaken
    from processor.engine.log import Refused, Replaced, Unreachable
    from processor.engine.telemetry import whereabouts
    from processor.settings import WrongSetting

    for one in leaves(error):
        match one:
            case WrongSetting(messages=messages):
                say(*messages)
                raise typer.Exit(wrong)
            case PortTaken() | Replaced():
                say(str(one))
                raise typer.Exit(wrong)
            case Unreachable():
                say(f"Kafka can't be reached: {one} (KAFKA_BOOTSTRAP_SERVERS, KAFKA_SECURITY_PROTOCOL)")
                raise typer.Exit(failed)
            case Refused():
                say(f"Kafka refused: {one}")
                raise typer.Exit(failed)
    say(f"a fault of Hydrant's own: {whereabouts(error)}")
    raise typer.Exit(failed)


def leaves(error: BaseException) -> Iterator[BaseException]:
    """The exceptions of a group, or the one."""
    if isinstance(error, BaseExceptionGroup):
        for one in error.exceptions:
            yield from leaves(one)
    else:
        yield error


def say(*lines: str) -> None:
    for line in lines:
        typer.echo(f"hydrant: {line}", err=True)


def settings() -> "Settings":
    from processor.settings import read_settings

    return read_settings(os.environ)


def an_id(value: str | None) -> str | None:
    if value is not None and not re.fullmatch(r"[\x21-\x7e]{1,128}", value):
        raise typer.BadParameter("an id is 1 to 128 printable ASCII characters without spaces")
    return value


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
    location: Annotated[
        list[str] | None, typer.Option(help="Make this location's contacts at start; repeatable.")
    ] = None,
    world: Annotated[Path | None, typer.Option(help="Contacts as JSON lines: location_id and contact.")] = None,
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
    from processor.sandbox.__main__ import main as simulate

    simulate(list(arguments(context.params)))


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


@app.command()
@told
def demo(
    keep: Annotated[bool, typer.Option("--keep", help="Keep everything running afterwards, to look around.")] = False,
) -> None:
    """See it work in a minute: a Kafka, a HighLevel simulator, two workers and 10,000 leads, all on this machine.

    \b
    Example  hydrant demo
    Reads    KAFKA_BOOTSTRAP_SERVERS; unset, it brings a Kafka of its own
    Exits    0 every lead was answered as it should be, 1 something wasn't
    """
    from processor.demo.demo import main as show

    raise typer.Exit(show(keep=keep))


lanes: Final = ("interactive", "change", "job", "backfill")


def show_answer(data: Mapping[str, object], after_ms: int) -> None:
    from rich.console import Console
    from rich.panel import Panel
    from rich.table import Table
    from rich.text import Text

    good = data.get("outcome") in good_outcomes
    rows = Table.grid(padding=(0, 2))
    filled = data.get("filled")
    facts = {
        "outcome": str(data.get("outcome")),
        "reason": data.get("reason"),
        "filled": ", ".join(map(str, filled)) if isinstance(filled, Sequence) and filled else "nothing",
        "messages": data.get("messages_imported") or None,
        "answered": f"after {after_ms / 1000:.2f} s",
        "request": data.get("request_id"),
    }
    for name, value in facts.items():
        if value is not None:
            rows.add_row(Text(name, "dim"), Text(str(value), ("green" if good else "red") if name == "outcome" else ""))
    title = Text(f"{data.get('lead_id')} in {data.get('location_id')}")
    Console().print(Panel(rows, title=title, border_style="green" if good else "red", expand=False))


def show_statuses(found: Sequence[Mapping[str, object]], per_10s: int) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table, now = Table(box=None, header_style="dim", padding=(0, 1, 0, 0)), time.time()
    table.add_column("location", overflow="fold", min_width=10)
    for heading in ("state", "since,\nuntil", "queued"):
        table.add_column(heading, no_wrap=True)
    for heading in ("oldest", "in 10 s", "in 24 h"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("worker", overflow="fold", min_width=8)
    for one in found:
        state, reason, queued, oldest = (one.get(name) for name in ("state", "reason", "queued", "oldest_pending_s"))
        waiting = (
            [f"{lane} {queued[lane]}" for lane in lanes if queued.get(lane)] if isinstance(queued, Mapping) else []
        )
        table.add_row(
            Text(str(one.get("location_id"))),
            Text("\n".join(str(part) for part in (state, reason) if part), "green" if state == "ok" else "yellow"),
            Text("\n".join(distance(one[name], now) for name in ("since", "until") if one.get(name))),
            Text("\n".join(waiting)),
            Text(span(oldest) if isinstance(oldest, int) and oldest else ""),
            Text(f"{one.get('sent_10s')} of {per_10s}"),
            Text(str(one.get("sent_today"))),
            Text(str(one.get("worker") or "")),
        )
    Console().print(table)


def distance(moment: object, now: float) -> str:
    """How far a time of the contract (RFC 3339, UTC) lies from now."""
    try:
        seconds = datetime.fromisoformat(str(moment)).timestamp() - now
    except ValueError:
        return str(moment)
    return f"in {span(seconds)}" if seconds > 0 else f"{span(-seconds)} ago"


def span(seconds: float) -> str:
    for unit, length in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:.0f} {unit}"
    return f"{seconds:.0f} s"


def main() -> None:
    app(prog_name="hydrant")


if __name__ == "__main__":
    main()
