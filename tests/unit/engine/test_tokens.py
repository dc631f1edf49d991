"""Tokens from a file that changes under us."""

import os
from pathlib import Path

import pytest

from processor.engine.tokens import BadTokens, Tokens, fingerprint

canary = "pit-canary-secret"


class TokensFile:
    """A tokens file, a clock that stands still, and the reported problems."""

    def __init__(self, folder: Path, content: str) -> None:
        self.file, self.time, self.reports = folder / "tokens.toml", 0.0, list[str]()
        self.file.write_text(content)
        self.tokens = Tokens.of_file(self.file, lambda: self.time, self.reports.append)

    def replace(self, content: str) -> None:
        """Replace the file in one step, as a careful program does."""
        beside = self.file.with_suffix(".new")
        beside.write_text(content)
        os.replace(beside, self.file)

    def later(self, location: str) -> str | None:
        self.time += 1.0
        return self.tokens.get(location)


def test_one_token_serves_all_locations() -> None:
    tokens = Tokens.one(canary)

    assert (canary, canary, False) == (tokens.get("a"), tokens.get("b"), tokens.reload())


@pytest.mark.parametrize("token", ["", f"{canary} ", f"{canary}\n", f"{canary}\u20ac"])
def test_a_token_that_no_header_can_carry(token: str) -> None:
    with pytest.raises(BadTokens, match="not printable ASCII without spaces"):
        Tokens.one(token)


def test_a_file_serves_its_locations(tmp_path: Path) -> None:
    """Ids may hold dots, slashes and colons; a byte order mark does no harm."""
    it = TokensFile(tmp_path, '\ufeff"a.b/c:d" = "token-1"\nplain = "token-2"\n')

    assert ("token-1", "token-2", None) == tuple(it.tokens.get(name) for name in ("a.b/c:d", "plain", "a"))


def test_a_changed_file_is_read_again_once_a_second(tmp_path: Path) -> None:
    it = TokensFile(tmp_path, 'a = "old"')
    it.replace('a = "new"')

    it.time = 0.9
    assert "old" == it.tokens.get("a")
    it.time = 1.0
    assert "new" == it.tokens.get("a")


def test_a_file_of_the_same_length_and_time_is_known_by_its_inode(tmp_path: Path) -> None:
    it = TokensFile(tmp_path, 'a = "old"')
    before = it.file.stat()
    it.replace('a = "new"')
    os.utime(it.file, ns=(before.st_atime_ns, before.st_mtime_ns))

    assert "new" == it.later("a")


def test_an_unchanged_file_is_not_read_again(tmp_path: Path) -> None:
    it = TokensFile(tmp_path, 'a = "old"')
    before = it.file.stat()
    with it.file.open("r+") as file:
        file.write('a = "new"')
    os.utime(it.file, ns=(before.st_atime_ns, before.st_mtime_ns))

    assert "old" == it.later("a")
    assert it.tokens.reload()
    assert "new" == it.tokens.get("a")


def test_reload_returns_true_if_a_token_changed(tmp_path: Path) -> None:
    it = TokensFile(tmp_path, 'a = "old"')

    assert not it.tokens.reload()
    it.replace('a = "new"')
    assert it.tokens.reload()


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (f'a = "{canary}"\na = "{canary}"', "not TOML at"),
        (f'a = "{canary}', "not TOML at"),
        (f'a = {{"{canary}" = 1, "{canary}" = 2}}', "not TOML at line 1, column "),
        (f'a = "{canary} "', 'entry 1: not of the form "location id" = "token", printable ASCII without spaces'),
        (
            f'ok = "t"\na.b = "{canary}"',
            'entry 2: not of the form "location id" = "token", printable ASCII without spaces',
        ),
        ('a = ""', 'entry 1: not of the form "location id" = "token", printable ASCII without spaces'),
        ("a = 7", 'entry 1: not of the form "location id" = "token", printable ASCII without spaces'),
        ("a = " + "[" * 5_000, "not TOML: nested too deeply"),
        ("", "holds no token"),
    ],
)
def test_a_bad_file_never_takes_a_good_ones_place(tmp_path: Path, content: str, problem: str) -> None:
    """A bad file is reported once, by place, never by value. A mended one is used."""
    it = TokensFile(tmp_path, 'a = "old"')
    it.replace(content)

    assert ["old", "old"] == [it.later("a"), it.later("a")]
    assert not it.tokens.reload()
    assert [it.tokens.problem] == it.reports
    assert it.reports[0].startswith(problem)
    assert canary not in it.reports[0]
    it.replace('a = "new"')
    assert "new" == it.later("a")
    assert it.tokens.problem is None


def test_a_file_that_is_no_text_is_bad(tmp_path: Path) -> None:
    it = TokensFile(tmp_path, 'a = "old"')
    it.file.write_bytes(b'a = "\xff"')

    assert "old" == it.later("a")
    assert ["not UTF-8"] == it.reports


def test_a_file_that_is_gone_leaves_its_tokens(tmp_path: Path) -> None:
    it = TokensFile(tmp_path, 'a = "old"')
    it.file.unlink()

    assert "old" == it.later("a")
    assert ["can't be read: No such file or directory"] == it.reports
    it.file.write_text('a = "new"')
    assert "new" == it.later("a")


def test_a_missing_file_is_bad_at_the_start(tmp_path: Path) -> None:
    with pytest.raises(BadTokens, match="can't be read: No such file or directory"):
        Tokens.of_file(tmp_path / "none.toml", lambda: 0.0)


def test_a_repr_shows_no_token(tmp_path: Path) -> None:
    file = tmp_path / "tokens.toml"
    file.write_text(f'a = "{canary}"')

    assert "Tokens(one for all)" == repr(Tokens.one(canary))
    assert "Tokens(1 locations)" == repr(Tokens.of_file(file, lambda: 0.0))


def test_a_fingerprint_is_short_and_no_token() -> None:
    assert "2c26b46b68ff" == fingerprint("foo")
