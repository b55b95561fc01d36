"""A reader of the few opcodes that ``torch.save`` writes for tensors in dictionaries; no code of a pickle is run.

Everything a pickle can name is in the table that `load` is given; any other name is refused.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from typing import Any

__all__ = ["Refused", "load"]

Globals = Mapping[str, Callable[..., Any]]


class Refused(ValueError):
    """A pickle that is broken, or that has something else than tensors in dictionaries.

    Attributes
    ----------
    name : str or None
        The global that it asks for.
    """

    name: str | None = None


LONGEST = 1 << 24  # bytes of a pickle: objects take more memory than their opcodes
_MARK = object()
_BROKEN = (LookupError, TypeError, ValueError, AttributeError, OverflowError, StopIteration)


def load(data: bytes, known: Globals, persistent: Callable[[Any], Any]) -> Any:
    """Return the object of a pickle.

    Parameters
    ----------
    data : bytes
    known : mapping of "module name" to function
        What stands for each global that is accepted.
    persistent : function
        Returns what stands for a persistent id.

    Raises
    ------
    Refused
    """
    if len(data) > LONGEST:
        raise Refused(f"a pickle of {len(data)} bytes, more than {LONGEST}")
    machine = _Machine(data, known, persistent)
    try:
        while not machine.done:
            machine.step()
    except Refused:
        raise
    except (
        struct.error,
        IndexError,
        KeyError,
        TypeError,
        ValueError,
        AttributeError,
        OverflowError,
        StopIteration,
    ) as error:
        raise Refused(f"a broken pickle ({type(error).__name__} at byte {machine.at})") from None
    return machine.stack[-1]


class _Machine:
    """The stack and the memo of a pickle."""

    def __init__(self, data: bytes, known: Globals, persistent: Callable[[Any], Any]) -> None:
        self.data, self.known, self.persistent = data, known, persistent
        self.at, self.done = 0, False
        self.stack: list[Any] = []
        self.memo: dict[int, Any] = {}

    def step(self) -> None:
        code = self.take(1)
        act = _OPCODES.get(code)
        if act is None:
            raise Refused(f"the opcode {code!r}, which tensors in dictionaries do not need")
        act(self)

    def take(self, size: int) -> bytes:
        if self.at + size > len(self.data):
            raise Refused("a pickle that ends early")
        self.at += size
        return self.data[self.at - size : self.at]

    def number(self, form: str) -> Any:
        return struct.unpack(form, self.take(struct.calcsize(form)))[0]

    def line(self) -> str:
        end = self.data.index(b"\n", self.at)
        return self.take(end - self.at + 1)[:-1].decode()

    def push(self, value: Any) -> None:
        self.stack.append(value)

    def pop(self) -> Any:
        value = self.stack.pop()
        if value is _MARK:
            raise Refused("a broken pickle")
        return value

    def marked(self) -> list[Any]:
        """Take off the stack what stands above the last mark."""
        at = next(i for i in reversed(range(len(self.stack))) if self.stack[i] is _MARK)
        found = self.stack[at + 1 :]
        del self.stack[at:]
        return found

    def tuple_of(self, size: int) -> None:
        items = [self.pop() for _ in range(size)]
        self.push(tuple(items[::-1]))

    def find_global(self) -> None:
        name = f"{self.line()} {self.line()}"
        if name not in self.known:
            error = Refused(f"the global {name!r}")
            error.name = name
            raise error
        self.push(self.known[name])

    def reduce(self) -> None:
        arguments, function = self.pop(), self.pop()
        if type(arguments) is not tuple or not any(function is known for known in self.known.values()):
            raise Refused("a call of an unknown function")
        self.push(function(*arguments))

    def set_items(self, items: list[Any]) -> None:
        target = self.stack[-1]
        if type(target) is not dict or len(items) % 2 or any(type(key) not in (str, int) for key in items[::2]):
            raise Refused("a dictionary without texts or integers as keys")
        target.update(zip(items[::2], items[1::2], strict=True))

    def append(self, items: list[Any]) -> None:
        if type(self.stack[-1]) is not list:
            raise Refused("a broken pickle")
        self.stack[-1].extend(items)

    def text(self, form: str) -> None:
        self.push(self.take(self.number(form)).decode())

    def long(self) -> None:
        self.push(int.from_bytes(self.take(self.number("<B")), "little", signed=True))

    def stop(self) -> None:
        self.done = True
        if len(self.stack) != 1:
            raise Refused("a broken pickle")

    def build(self) -> None:
        """Attributes of a dictionary, PyTorch's versions of modules: they say nothing about numbers."""
        self.pop()
        if type(self.stack[-1]) is not dict:
            raise Refused("attributes of something else than a dictionary")

    def protocol(self) -> None:
        if self.number("<B") not in (2, 3):
            raise Refused("a pickle of another protocol than 2")

    def put(self, form: str) -> None:
        self.memo[self.number(form)] = self.stack[-1]


def _opcodes() -> dict[bytes, Callable[[_Machine], None]]:
    m = _Machine
    table: dict[bytes, Callable[[_Machine], None]] = {
        b"\x80": m.protocol, b".": m.stop, b"c": m.find_global, b"R": m.reduce, b"b": m.build, b"\x8a": m.long,
        b"Q": lambda s: s.push(s.persistent(s.pop())),
        b"(": lambda s: s.push(_MARK), b"t": lambda s: s.push(tuple(s.marked())),
        b")": lambda s: s.push(()), b"}": lambda s: s.push({}), b"]": lambda s: s.push([]),
        b"\x85": lambda s: s.tuple_of(1), b"\x86": lambda s: s.tuple_of(2), b"\x87": lambda s: s.tuple_of(3),
        b"s": lambda s: s.set_items([s.pop(), s.pop()][::-1]), b"u": lambda s: s.set_items(s.marked()),
        b"a": lambda s: s.append([s.pop()]), b"e": lambda s: s.append(s.marked()),
        b"N": lambda s: s.push(None), b"\x88": lambda s: s.push(True), b"\x89": lambda s: s.push(False),
        b"K": lambda s: s.push(s.number("<B")), b"M": lambda s: s.push(s.number("<H")),
        b"J": lambda s: s.push(s.number("<i")), b"G": lambda s: s.push(s.number(">d")),
        b"X": lambda s: s.text("<I"), b"\x8c": lambda s: s.text("<B"),
        b"q": lambda s: s.put("<B"), b"r": lambda s: s.put("<I"),
        b"h": lambda s: s.push(s.memo[s.number("<B")]), b"j": lambda s: s.push(s.memo[s.number("<I")]),
    }  # fmt: skip
    return table


_OPCODES = _opcodes()
