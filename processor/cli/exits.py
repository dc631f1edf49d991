"""Turn errors into lines on standard error and an exit code, for every command alike."""

import functools
import os
import re
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Final, NoReturn, ParamSpec

import typer

if TYPE_CHECKING:
    from processor.settings import Settings

EXIT_DONE: Final = 0
EXIT_FAILED: Final = 1
EXIT_WRONG: Final = 2

_P = ParamSpec("_P")


def report_errors(command: Callable[_P, None]) -> Callable[_P, None]:
    """Make a command end with a line for each error and an exit code. It never prints a traceback: those show values."""

    @functools.wraps(command)
    def reporting(*args: _P.args, **kwargs: _P.kwargs) -> None:
        try:
            command(*args, **kwargs)
        except (typer.Exit, typer.Abort, typer.TyperException, BrokenPipeError):  # a reader like `head` has enough
            raise
        except Exception as error:
            _exit_for(error)

    return reporting


def _exit_for(error: Exception) -> NoReturn:
    from processor.engine.group import InstanceReplaced
    from processor.engine.health import PortTaken
    from processor.kafka import KafkaRefused, KafkaUnreachable
    from processor.settings import WrongSetting
    from processor.telemetry.logs import whereabouts

    for cause in _single_errors(error):
        match cause:
            case WrongSetting(messages=messages):
                print_errors(*messages)
                raise typer.Exit(EXIT_WRONG)
            case PortTaken() | InstanceReplaced():
                print_errors(str(cause))
                raise typer.Exit(EXIT_WRONG)
            case KafkaUnreachable():
                print_errors(f"Kafka can't be reached: {cause} (KAFKA_BOOTSTRAP_SERVERS, KAFKA_SECURITY_PROTOCOL)")
                raise typer.Exit(EXIT_FAILED)
            case KafkaRefused():
                print_errors(f"Kafka refused: {cause}")
                raise typer.Exit(EXIT_FAILED)
    print_errors(f"internal error: {whereabouts(error)}")
    raise typer.Exit(EXIT_FAILED)


def _single_errors(error: BaseException) -> Iterator[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        for inner in error.exceptions:
            yield from _single_errors(inner)
    else:
        yield error


def print_errors(*lines: str) -> None:
    """Print lines to standard error."""
    for line in lines:
        typer.echo(f"hydrant: {line}", err=True)


def environment_settings() -> "Settings":
    """Return the settings of the process's environment. Raises WrongSetting."""
    from processor.settings import read_settings

    return read_settings(os.environ)


def check_id(value: str | None) -> str | None:
    """Return an id of the command line as it is. Raises BadParameter unless the contract allows it."""
    from processor.events.fields import ID_PATTERN

    if value is not None and not re.fullmatch(ID_PATTERN, value):
        raise typer.BadParameter("an id is 1 to 128 printable ASCII characters without spaces")
    return value
