"""What a pickle would make, known from its steps before one of them is run."""

from __future__ import annotations

import io
import pickle
import pickletools

#: CIFAR-100's training part has 200,000; each can make an object of a hundred bytes.
MAX_STEPS = 2**19
#: More tuples than they have: an array has five.
MAX_TUPLES = 64
#: More characters than the names have that files may use again.
MAX_NAME = 256

_TUPLES = {"TUPLE", "TUPLE1", "TUPLE2", "TUPLE3"}
_PUTS = {"PUT", "BINPUT", "LONG_BINPUT", "MEMOIZE"}
_KEYED = {"DICT", "SETITEM", "SETITEMS"}
_SILENT = {*_PUTS, "PROTO", "FRAME"}  # leave the object on top where it is
_GETS = {"GET", "BINGET", "LONG_BINGET"}
_BACKWARDS = {"DUP", "POP", "POP_MARK"}
_TEXTS = {
    *("STRING", "BINSTRING", "SHORT_BINSTRING"),
    *("UNICODE", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8"),
}
#: What plain data in dictionaries, lists and arrays has no need of.
_FOREIGN = {
    *("INST", "OBJ", "NEWOBJ", "NEWOBJ_EX", "PERSID", "BINPERSID", "EXT1", "EXT2", "EXT4"),
    *("EMPTY_SET", "ADDITEMS", "FROZENSET", "BYTEARRAY8", "NEXT_BUFFER", "READONLY_BUFFER"),
}


def check_steps(program: bytes) -> None:
    """Refuse a pickle that makes more than its length explains.

    Objects that may be needed again are numbered in turn, and the reader allocates a table as long
    as the largest number. The hash of a tuple is that of all in it, however deep or often: many
    tuples in tuples would end the interpreter, and few that are used twice would keep it busy for
    ever. So would keys that share a hash, which is at random for text only. A long text that is
    used again would be encoded again, each time to as many bytes.

    :raises pickle.UnpicklingError: if it does.
    :raises ValueError: if it is cut short or no pickle.
    """
    stack = _Stack()
    n_tuples = 0
    for step, (opcode, argument, _) in enumerate(pickletools.genops(io.BytesIO(program)), start=1):
        name = opcode.name
        if step > MAX_STEPS:
            raise pickle.UnpicklingError(f"it has more than the {MAX_STEPS:,} steps allowed")
        if name in _PUTS:
            number = stack.n_numbered if name == "MEMOIZE" else int(argument or 0)
            if not 0 <= number <= step:
                raise pickle.UnpicklingError(f"it calls its {step}th object number {number}")
            stack.put(number)
        if name in _SILENT:
            continue
        if name in _BACKWARDS:
            raise pickle.UnpicklingError("it uses an object twice where data does not")
        if name in _FOREIGN:
            raise pickle.UnpicklingError(f"it has the step {name}, which data does not need")
        n_tuples += name in _TUPLES
        if n_tuples > MAX_TUPLES:
            raise pickle.UnpicklingError(f"it has more than the {MAX_TUPLES} tuples allowed")
        if name in _GETS:
            stack.get(int(argument or 0))
        else:
            stack.apply(opcode, argument)


class _Stack:
    """The kinds of the objects that a pickle works on: ``"text"``, ``"once"`` for what must not be
    used again, ``"mark"``, and ``""`` for others."""

    def __init__(self) -> None:
        self._kinds: list[str] = []
        self._numbered: dict[int, str] = {}

    @property
    def n_numbered(self) -> int:
        return len(self._numbered)

    def put(self, number: int) -> None:
        if not self._kinds:
            raise pickle.UnpicklingError("it numbers an object that is not there")
        self._numbered[number] = self._kinds[-1]

    def get(self, number: int) -> None:
        kind = self._numbered.get(number, "")
        if kind == "once":
            raise pickle.UnpicklingError("it uses an object twice where data does not")
        self._kinds.append(kind)

    def apply(self, opcode: pickletools.OpcodeInfo, argument: object) -> None:
        """Take from the stack what ``opcode`` takes, and put on it what that makes."""
        before = [part.name for part in opcode.stack_before]
        taken: list[str] = []
        if "mark" in before:
            taken = self._to_mark()
            before = before[: before.index("mark")]
        elif opcode.name == "SETITEM":
            taken = self._kinds[-2:]
        if opcode.name in _KEYED and any(kind != "text" for kind in taken[::2]):
            raise pickle.UnpicklingError("it has a dictionary with a key that is not short text")
        if len(self._kinds) < len(before):
            raise pickle.UnpicklingError("it takes an object that is not there")
        del self._kinds[len(self._kinds) - len(before) :]
        for made in opcode.stack_after:
            self._kinds.append(_kind(opcode.name, made.name, argument))

    def _to_mark(self) -> list[str]:
        """Take off the last mark and all above it, which is returned."""
        above: list[str] = []
        while self._kinds:
            kind = self._kinds.pop()
            if kind == "mark":
                return above[::-1]
            above.append(kind)
        raise pickle.UnpicklingError("it takes objects back to a mark that is not there")


def _kind(name: str, made: str, argument: object) -> str:
    if name in _TUPLES:
        return "once"
    if name in _TEXTS:
        return "text" if len(str(argument)) <= MAX_NAME else "once"
    return "mark" if made == "mark" else ""
