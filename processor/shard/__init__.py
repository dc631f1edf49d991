"""All that a partition owns, sans-I/O: `turn.py` reads first, and each of its steps is a file."""
