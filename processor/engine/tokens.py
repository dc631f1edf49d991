"""Which token speaks for which location. A tokens file is read when it changes; a bad one never replaces a good one.

No token is shown in a repr, an error or a report, and no location either: whoever swaps the two would publish a token.
"""

import hashlib
import os
import re
import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final, Self

look_every_s: Final = 1.0  # the file's age is looked at no more often
file_limit: Final = 16 * 1024 * 1024  # bytes; room for 100,000 locations
token_form: Final = re.compile(r"[\x21-\x7e]+")

Version = tuple[int, int, int]  # of a file: its inode, size and mtime


class BadTokens(Exception):
    """The tokens file can't be used; the message says where and what, never a value."""


class Tokens:
    """One token for all locations (`one`), or those of a TOML file of `"location id" = "token"` (`of_file`)."""

    def __init__(
        self,
        everywhere: str | None = None,
        file: Path | None = None,
        now: Callable[[], float] = lambda: 0.0,
        report: Callable[[str], None] = lambda problem: None,
    ) -> None:
        self._everywhere, self._file, self._now, self._report = everywhere, file, now, report
        self._tokens: Mapping[str, str] = {}
        self._version: Version | None = None  # of the file that was read last, good or bad
        self._looked = now()
        self.problem: str | None = None  # why the file as it now is isn't in use

    @classmethod
    def one(cls, token: str) -> Self:
        if not token_form.fullmatch(token):
            raise BadTokens("not printable ASCII without spaces")
        return cls(everywhere=token)

    @classmethod
    def of_file(
        cls, file: Path, now: Callable[[], float], report: Callable[[str], None] = lambda problem: None
    ) -> Self:
        """`now` in seconds, monotonic. `report` hears of new problems. Raises BadTokens if it begins with one."""
        tokens = cls(file=file, now=now, report=report)
        tokens._version, tokens._tokens = version(file), read(file)
        return tokens

    def get(self, location: str) -> str | None:
        if self._file is not None and self._now() - self._looked >= look_every_s:
            self._looked = self._now()
            if version(self._file) != self._version:
                self.reload()
        return self._everywhere or self._tokens.get(location)

    def reload(self) -> bool:
        """Read the file now, whatever it looks like; whether any token changed."""
        if self._file is None:
            return False
        before, problem = self._tokens, None
        self._version = version(self._file)  # before reading: what is written meanwhile is another version
        try:
            self._tokens = read(self._file)
        except BadTokens as error:
            problem = str(error)
        if problem is not None and problem != self.problem:
            self._report(problem)
        self.problem = problem
        return self._tokens != before

    def __repr__(self) -> str:
        return "Tokens(one for all)" if self._everywhere else f"Tokens({len(self._tokens)} locations)"


def fingerprint(token: str) -> str:
    """What state may hold of a token, to see that it changed."""
    return hashlib.sha256(token.encode()).hexdigest()[:12]


def version(file: Path) -> Version | None:
    try:
        stat = file.stat()
    except OSError:
        return None
    return stat.st_ino, stat.st_size, stat.st_mtime_ns


def read(file: Path) -> Mapping[str, str]:
    """Raises BadTokens."""
    try:
        with file.open("rb") as opened:
            content = opened.read(file_limit + 1)
    except OSError as error:
        raise BadTokens(f"can't be read: {os.strerror(error.errno or 0)}") from None
    if len(content) > file_limit:
        raise BadTokens(f"longer than {file_limit} bytes")
    try:
        tokens = tomllib.loads(content.decode("utf-8-sig"))
    except UnicodeDecodeError:
        raise BadTokens("not UTF-8") from None
    except tomllib.TOMLDecodeError as error:
        place = re.search(r"at line \d+, column \d+", str(error))  # the rest of the text may hold values
        raise BadTokens(f"not TOML {place[0] if place else 'at its end'}") from None
    except RecursionError:
        raise BadTokens("not TOML: nested too deeply") from None
    for number, token in enumerate(tokens.values(), 1):
        if not isinstance(token, str) or not token_form.fullmatch(token):
            raise BadTokens(f'entry {number}: not of the form "location id" = "token", printable ASCII without spaces')
    if not tokens:
        raise BadTokens("holds no token")  # also how a file looks while it is written anew
    return tokens
