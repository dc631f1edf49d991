"""The format in which documents are written."""

from typing import Final

FORMAT: Final = 2
