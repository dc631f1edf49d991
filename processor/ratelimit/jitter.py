"""Randomness without a generator: the same key and attempt give the same delay, in every run."""

from hashlib import blake2b


def jittered(delay_ms: int, key: str, attempt: int) -> int:
    """Return the delay, up to a quarter longer."""
    drawn = int.from_bytes(blake2b(f"{key} {attempt}".encode(), digest_size=4).digest())
    return delay_ms + (delay_ms // 4) * drawn // 2**32
