"""How a command ends: what goes wrong is told in lines and an exit code, for every command alike."""

import functools
import os
import re
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, NoReturn, ParamSpec

import typer

if TYPE_CHECKING:
    from processor.settings import Settings

P = ParamSpec("P")

done, failed, wrong = 0, 1, 2


def told(command: Callable[P, None]) -> Callable[P, None]:
    """What goes wrong is a line for each reason and an exit code, never a traceback: those show values."""

    @functools.wraps(command)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        try:
            command(*args, **kwargs)
        except (typer.Exit, typer.Abort, typer.TyperException, BrokenPipeError):  # a reader like `head` has enough
            raise
        except Exception as error:
            leave(error)

    return run


def leave(error: Exception) -> NoReturn:
    from processor.engine.health import PortTaken
    from processor.kafka import Refused, Replaced, Unreachable
    from processor.settings import WrongSetting
    from processor.telemetry.logs import whereabouts

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
