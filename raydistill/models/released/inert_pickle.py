"""What a pickle describes, without doing what it says: nothing is imported, looked up or called.

A pickle is a program, and `pickle.load` runs it. A subclass of `pickle.Unpickler` can refuse names, but it still
sets attributes on whatever it was given and hands out memory as it is told. Data need only a few of the pickle's
instructions; here those are carried out one by one, on containers and on records that only keep their state. Any
other instruction or name is refused.
"""

import pickletools
from collections.abc import Callable, Set
from dataclasses import dataclass, field

# As Python 3 writes them for Python 2, which protocol 2 asks for.
_OLD_NAMES = {"__builtin__.long": "builtins.int", "__builtin__.unicode": "builtins.str"}


class Refused(Exception):
    """The pickle asks for what is not given. The message may quote it, but only what can be printed, and not all."""

    def __init__(self, why: str):
        super().__init__("".join(c if c.isprintable() else "?" for c in why[:300]))


@dataclass(frozen=True)
class Name:
    """A function or class that the pickle refers to; it is never looked up."""

    name: str


@dataclass(eq=False)
class Record:
    """An object whose class is not loaded: the class's name, and what the object keeps."""

    kind: str
    state: dict = field(default_factory=dict, repr=False)


def unpickle(
    data: bytes,
    *,
    records: Set[str],
    names: Set[str],
    call: Callable[[str, tuple], object],
    persistent: Callable[[object], object],
):
    """The value of a pickle of protocol 2.

    Args:
        records: classes whose objects become Records.
        names: all else that the pickle may refer to.
        call: the value of a call of one of `names` with these arguments.
        persistent: the value of a persistent id.

    Raises:
        Refused: the pickle asks for anything else. One that is damaged raises ValueError, IndexError or KeyError.
    """
    return _Machine(records, records | names, call, persistent).run(data)


class _Machine:
    def __init__(self, records, known, call, persistent):
        self.records, self.known, self.call, self.persistent = records, known, call, persistent
        self.stack, self.marks, self.memo = [], [], {}

    def run(self, data: bytes):
        for instruction, argument, _ in pickletools.genops(data):
            if instruction.name != "STOP":
                self.step(instruction.name, argument)
        return self.take(1)[0]

    def step(self, instruction: str, argument):
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
                push(self.named(argument))
            case "REDUCE":
                push(self.called(*self.take(2)))
            case "NEWOBJ":
                push(self.made(*self.take(2)))
            case "BUILD":
                self.build(*self.take(1))
            case _:
                raise Refused(f"uses the pickle instruction {instruction}, which data does not need")

    def take(self, count: int) -> list:
        start = len(self.stack) - count
        if start < 0:
            raise ValueError("its pickle takes more than it gave")
        taken = self.stack[start:]
        del self.stack[start:]
        return taken

    def take_since_mark(self) -> list:
        return self.take(len(self.stack) - self.marks.pop())

    def extend(self, items: list):
        if not isinstance(self.stack[-1], list):
            raise Refused("appends to something that is no list")
        self.stack[-1].extend(items)

    def update(self, items: list):
        if not isinstance(self.stack[-1], dict):
            raise Refused("puts a key into something that is no dictionary")
        for key, value in zip(items[::2], items[1::2], strict=True):
            # To hash a tuple of tuples of tuples can take forever.
            if not isinstance(key, str | int | float | None):
                raise Refused(f"has a dictionary with a key of type {type(key).__name__}")
            self.stack[-1][key] = value

    def named(self, argument: str) -> Name:
        name = argument.replace(" ", ".", 1)
        name = _OLD_NAMES.get(name, name.replace("__builtin__.", "builtins.", 1))
        if name not in self.known:
            raise Refused(f"asks for {name}, which a checkpoint of tensors and settings does not need")
        return Name(name)

    def called(self, function, arguments):
        match function, arguments:
            case Name(name), tuple():
                return self.call(name, arguments)
        raise Refused("calls something that is no function")

    def made(self, kind, arguments) -> Record:
        match kind, arguments:
            case Name(name), () if name in self.records:
                return Record(name)
        raise Refused("makes an object of something that is no class of settings")

    def build(self, state):
        match self.stack[-1], state:
            case Record(state=kept), dict():
                kept.update(state)
            case dict(), dict():
                pass  # attributes of an OrderedDict: the versions that torch keeps beside a state_dict
            case _:
                raise Refused("sets the state of something that is no setting")
