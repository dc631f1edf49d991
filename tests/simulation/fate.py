"""What befalls the workers of a group, and the broker between them."""

from dataclasses import dataclass
from typing import Literal

from .worker import Found

What = Literal["starts", "dies", "leaves", "freezes", "is cut off", "the broker goes"]


@dataclass(frozen=True, slots=True)
class Fate:
    """One thing that happens to one worker, or to the broker (whoever `who` is)."""

    at: int  # ms after the world's start
    what: What
    who: int = 0
    lasts_ms: int = 0  # then it is there again
    lands: bool = True  # it dies: the end of a transaction that is on its way gets there
    state: Found = "kept"  # the state files that it finds when it comes back
    instance: str | None = None  # it starts as a static member, and comes back as the same one

    @property
    def over(self) -> int:
        return self.at + self.lasts_ms
