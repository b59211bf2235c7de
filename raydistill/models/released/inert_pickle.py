"""The data that a pickle describes, read without running it: nothing is imported, looked up or called.

A pickle is a program, and `pickle.load` runs it. A subclass of `pickle.Unpickler` can refuse names, but it still
sets attributes on any object and allocates as much memory as the pickle demands. Data need only a few of the pickle's
instructions. Here those are carried out one by one, on containers and on records that only store their state. Any
other instruction or name is refused.
"""

import pickletools
from collections.abc import Callable, Set
from dataclasses import dataclass, field
from typing import Any

DTYPE = "numpy.dtype"
"""The kind of the Record that stands for the type of a number of NumPy. Its state is a tuple."""
# Names that Python 3 writes for Python 2, because protocol 2 requires it.
_OLD_NAMES = {"__builtin__.long": "builtins.int", "__builtin__.unicode": "builtins.str"}


class Refused(Exception):
    """The pickle asks for something that is refused.

    The message can quote the pickle, but only printable characters and at most 300 of them.
    """

    def __init__(self, why: str):
        super().__init__("".join(c if c.isprintable() else "?" for c in why[:300]))


@dataclass(frozen=True)
class Name:
    """A function or class that the pickle refers to; it is never looked up."""

    name: str


@dataclass(eq=False)
class Record:
    """An object whose class is not loaded: the name of the class and the state of the object."""

    kind: str
    state: dict[Any, Any] = field(default_factory=dict, repr=False)


def unpickle(
    data: bytes,
    *,
    records: Set[str],
    names: Set[str],
    call: Callable[[str, tuple[Any, ...]], object],
    persistent: Callable[[Any], object],
) -> Any:
    """The value of a pickle of protocol 2.

    Args:
        records: names of the classes whose objects become Records.
        names: all other names that the pickle may contain.
        call: returns the value of a call of one of `names` with these arguments.
        persistent: returns the value of a persistent id.

    Raises:
        Refused: the pickle asks for anything else.
        ValueError, IndexError, KeyError: the pickle is damaged.
    """
    return _Machine(records, records | names, call, persistent).run(data)


class _Machine:
    """The stack machine of a pickle, with its stack, marks and memo."""

    def __init__(
        self,
        records: Set[str],
        names: Set[str],
        call: Callable[[str, tuple[Any, ...]], object],
        persistent: Callable[[Any], object],
    ):
        self.records, self.names, self.call, self.persistent = records, names, call, persistent
        self.stack: list[Any] = []
        self.marks: list[int] = []
        self.memo: dict[int, Any] = {}

    def run(self, data: bytes) -> Any:
        for instruction, argument, _ in pickletools.genops(data):
            if instruction.name != "STOP":
                self.step(instruction.name, argument)
        return self.take(1)[0]

    def step(self, instruction: str, argument: Any) -> None:
        push = self.stack.append
        match instruction:
            case "PROTO":
                pass
            case "MARK":
                self.marks.append(len(self.stack))
            case "NONE" | "NEWTRUE" | "NEWFALSE":
                push({"NONE": None, "NEWTRUE": True, "NEWFALSE": False}[instruction])
            case "BININT" | "BININT1" | "BININT2" | "LONG1" | "BINFLOAT" | "BINUNICODE":
                push(argument)
            case "EMPTY_DICT" | "EMPTY_LIST":
                push({} if instruction == "EMPTY_DICT" else [])
            case "EMPTY_TUPLE" | "TUPLE1" | "TUPLE2" | "TUPLE3":
                push(tuple(self.take(["EMPTY_TUPLE", "TUPLE1", "TUPLE2", "TUPLE3"].index(instruction))))
            case "TUPLE":
                push(tuple(self.take_since_mark()))
            case "APPEND" | "APPENDS":
                self.extend(self.take(1) if instruction == "APPEND" else self.take_since_mark())
            case "SETITEM" | "SETITEMS":
                self.update(self.take(2) if instruction == "SETITEM" else self.take_since_mark())
            case "BINPUT" | "LONG_BINPUT":
                self.memo[argument] = self.stack[-1]
            case "BINGET" | "LONG_BINGET":
                push(self.memo[argument])
            case "BINPERSID":
                push(self.persistent(*self.take(1)))
            case "GLOBAL":
                push(self.name(argument))
            case "REDUCE":
                push(self.reduce(*self.take(2)))
            case "NEWOBJ":
                push(self.new_object(*self.take(2)))
            case "BUILD":
                self.build(*self.take(1))
            case _:
                raise Refused(f"uses the pickle instruction {instruction}, which data do not need")

    def take(self, count: int) -> list[Any]:
        """Pop the last `count` values from the stack."""
        start = len(self.stack) - count
        if start < 0:
            raise ValueError("its pickle takes more values than it has put")
        taken = self.stack[start:]
        del self.stack[start:]
        return taken

    def take_since_mark(self) -> list[Any]:
        return self.take(len(self.stack) - self.marks.pop())

    def extend(self, items: list[Any]) -> None:
        if not isinstance(self.stack[-1], list):
            raise Refused("appends to something that is not a list")
        self.stack[-1].extend(items)

    def update(self, items: list[Any]) -> None:
        if not isinstance(self.stack[-1], dict):
            raise Refused("sets a key of something that is not a dictionary")
        for key, value in zip(items[::2], items[1::2], strict=True):
            # Hashing deeply nested tuples can take arbitrarily long.
            if not isinstance(key, str | int | float | None):
                raise Refused(f"has a dictionary with a key of type {type(key).__name__}")
            self.stack[-1][key] = value

    def name(self, argument: str) -> Name:
        name = argument.replace(" ", ".", 1)
        name = _OLD_NAMES.get(name, name.replace("__builtin__.", "builtins.", 1))
        if name not in self.names:
            raise Refused(f"asks for {name}, which a checkpoint of tensors and settings does not need")
        return Name(name)

    def reduce(self, function: Any, arguments: Any) -> object:
        match function, arguments:
            case Name(name), tuple():
                return self.call(name, arguments)
        raise Refused("calls something that is not a function")

    def new_object(self, kind: Any, arguments: Any) -> Record:
        match kind, arguments:
            case Name(name), () if name in self.records:
                return Record(name)
        raise Refused("creates an object of something that is not a class of settings")

    def build(self, state: Any) -> None:
        match self.stack[-1], state:
            case Record(state=attributes), dict():
                attributes.update(state)
            case Record(kind="numpy.dtype", state=attributes), tuple():
                attributes["state"] = state
            case dict(), dict():
                pass  # attributes of an OrderedDict: the versions that torch stores with a state_dict
            case _:
                raise Refused("sets the state of something that is not a setting")
