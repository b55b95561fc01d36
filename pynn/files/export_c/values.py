"""What layers give, and where it stands in the working memory."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Value", "place"]


@dataclass
class Value:
    """The numbers that a layer gives, from the call that writes them to the last that reads them."""

    size: int
    born: int
    last_use: int
    where: str = ""
    shares: Value | None = None  # the value whose memory it takes over

    def root(self) -> Value:
        """Return the value whose memory this one is in."""
        return self if self.shares is None else self.shares.root()


def place(values: list[Value]) -> int:
    """Give every value but the first its place, and return the size of the working memory.

    The last is the output; the others share the working memory, large ones first.
    """
    for value in values[1:]:
        if value.shares is not None and value.shares.root().last_use > value.born:
            value.shares = None  # a later call reads the old value
        if value.shares is not None:
            root = value.shares.root()
            root.last_use = max(root.last_use, value.last_use)
    values[-1].root().where = "y"
    placed: list[tuple[int, int, Value]] = []
    free = [value for value in values[1:] if value.shares is None and not value.where]
    for value in sorted(free, key=lambda value: -value.size):
        at = 0
        for start, end, other in sorted(placed, key=lambda p: p[0]):
            together = other.born <= value.last_use and value.born <= other.last_use
            if together and at < end and start < at + value.size:
                at = end
        placed.append((at, at + value.size, value))
        value.where = f"(scratch + {at})" if at else "scratch"
    return max((end for _, end, _ in placed), default=0)
