"""The token of each location. A tokens file is read again when it changes; a bad one never replaces a good one.

No repr, error or report shows a token. None shows a location either: a user may have swapped the two.
"""

import hashlib
import os
import re
import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final, Self

check_every_s: Final = 1.0  # the file is checked for changes no more often
_file_limit: Final = 16 * 1024 * 1024  # bytes; room for 100,000 locations
_token_form: Final = re.compile(r"[\x21-\x7e]+")

FileVersion = tuple[int, int, int]  # inode, size and mtime


class BadTokens(Exception):
    """The tokens file can't be used. The message says where and why, never a value."""


class Tokens:
    """One token for all locations (`one`), or the tokens of a TOML file of `"location id" = "token"` (`of_file`)."""

    def __init__(
        self,
        everywhere: str | None = None,
        file: Path | None = None,
        now: Callable[[], float] = lambda: 0.0,
        report: Callable[[str], None] = lambda problem: None,
    ) -> None:
        self._everywhere, self._file, self._now, self._report = everywhere, file, now, report
        self._tokens: Mapping[str, str] = {}
        self._version: FileVersion | None = None  # of the file that was read last, good or bad
        self._checked = now()
        self.problem: str | None = None  # why the present file isn't in use

    @classmethod
    def one(cls, token: str) -> Self:
        if not _token_form.fullmatch(token):
            raise BadTokens("not printable ASCII without spaces")
        return cls(everywhere=token)

    @classmethod
    def of_file(
        cls, file: Path, now: Callable[[], float], report: Callable[[str], None] = lambda problem: None
    ) -> Self:
        """Read the file. `now` is in monotonic seconds; `report` receives later problems. Raises BadTokens."""
        tokens = cls(file=file, now=now, report=report)
        tokens._version, tokens._tokens = _file_version(file), _read_tokens(file)
        return tokens

    def get(self, location: str) -> str | None:
        if self._file is not None and self._now() - self._checked >= check_every_s:
            self._checked = self._now()
            if _file_version(self._file) != self._version:
                self.reload()
        return self._everywhere or self._tokens.get(location)

    def reload(self) -> bool:
        """Read the file now, even if it looks unchanged. Return True if any token changed."""
        if self._file is None:
            return False
        before, problem = self._tokens, None
        self._version = _file_version(self._file)  # before reading: a write meanwhile makes another version
        try:
            self._tokens = _read_tokens(self._file)
        except BadTokens as error:
            problem = str(error)
        if problem is not None and problem != self.problem:
            self._report(problem)
        self.problem = problem
        return self._tokens != before

    def __repr__(self) -> str:
        return "Tokens(one for all)" if self._everywhere else f"Tokens({len(self._tokens)} locations)"


def fingerprint(token: str) -> str:
    """Return a short hash of a token: state keeps it to see that the token changed."""
    return hashlib.sha256(token.encode()).hexdigest()[:12]


def _file_version(file: Path) -> FileVersion | None:
    try:
        stat = file.stat()
    except OSError:
        return None
    return stat.st_ino, stat.st_size, stat.st_mtime_ns


def _read_tokens(file: Path) -> Mapping[str, str]:
    """Return location → token. Raises BadTokens."""
    try:
        with file.open("rb") as opened:
            content = opened.read(_file_limit + 1)
    except OSError as error:
        raise BadTokens(f"can't be read: {os.strerror(error.errno or 0)}") from None
    if len(content) > _file_limit:
        raise BadTokens(f"longer than {_file_limit} bytes")
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
        if not isinstance(token, str) or not _token_form.fullmatch(token):
            raise BadTokens(f'entry {number}: not of the form "location id" = "token", printable ASCII without spaces')
    if not tokens:
        raise BadTokens("holds no token")  # a file also looks like this while it is written anew
    return tokens
