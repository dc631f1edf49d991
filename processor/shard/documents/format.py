"""The format of the changelog's documents."""

from typing import Final

FORMAT: Final = 2  # written by this version; 1 is read, too
