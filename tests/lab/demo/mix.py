"""How many leads of each kind: shares become whole numbers."""

from collections.abc import Mapping

Mix = Mapping[str, float]  # kind → its share


def dealt(mix: Mix, count: int) -> list[str]:
    """So many kinds, in their shares: each at least once where there is room, the rest by largest remainder."""
    wanted = {kind: share for kind, share in mix.items() if share > 0}
    if not wanted:
        raise ValueError("mix: nothing is wanted")
    dealt = list(wanted)[:count]
    total, room = sum(wanted.values()), count - len(dealt)
    exact = {kind: max(0.0, share / total * count - 1) for kind, share in wanted.items()}
    scale = room / sum(exact.values()) if any(exact.values()) else 0
    whole = {kind: int(share * scale) for kind, share in exact.items()}
    for kind, times in whole.items():
        dealt += [kind] * times
    by_remainder = sorted(wanted, key=lambda kind: whole[kind] - exact[kind] * scale)
    while len(dealt) < count:
        dealt += by_remainder[: count - len(dealt)]
    return dealt
