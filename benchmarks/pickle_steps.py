"""What a pickle would make, known from its steps before one of them is run."""

from __future__ import annotations

import io
import pickle
import pickletools

#: More steps than any pickle of the data sets here has; each can make an object of a hundred bytes.
MAX_STEPS = 2**21
#: More tuples than they have: an array has five.
MAX_TUPLES = 64

_TUPLES = {"TUPLE", "TUPLE1", "TUPLE2", "TUPLE3"}
_PUTS = {"PUT", "BINPUT", "LONG_BINPUT", "MEMOIZE"}
_SILENT = {*_PUTS, "PROTO", "FRAME"}  # leave the object on top where it is
_GETS = {"GET", "BINGET", "LONG_BINGET"}
_BACKWARDS = {"DUP", "POP", "POP_MARK"}


def check_steps(program: bytes) -> None:
    """Refuse a pickle that makes more than its length explains.

    Objects that may be needed again are numbered in turn, and the reader allocates a table as long
    as the largest number. The hash of a tuple is that of all in it, however deep or often: many
    tuples in tuples would end the interpreter, and few that are used twice would keep it busy for
    ever.

    :raises pickle.UnpicklingError: if it does.
    :raises ValueError: if it is cut short or no pickle.
    """
    numbers: set[int] = set()
    tuples: set[int] = set()
    n_tuples = 0
    tuple_on_top = False
    for step, (opcode, argument, _) in enumerate(pickletools.genops(io.BytesIO(program)), start=1):
        name = opcode.name
        if step > MAX_STEPS:
            raise pickle.UnpicklingError(f"it has more than the {MAX_STEPS:,} steps allowed")
        if name in _PUTS:
            number = len(numbers) if name == "MEMOIZE" else int(argument or 0)
            if not 0 <= number <= step:
                raise pickle.UnpicklingError(f"it calls its {step}th object number {number}")
            numbers.add(number)
            if tuple_on_top:
                tuples.add(number)
        if name in _SILENT:
            continue
        if name in _BACKWARDS or (name in _GETS and argument in tuples):
            raise pickle.UnpicklingError("it uses an object twice where data does not")
        tuple_on_top = name in _TUPLES
        n_tuples += tuple_on_top
        if n_tuples > MAX_TUPLES:
            raise pickle.UnpicklingError(f"it has more than the {MAX_TUPLES} tuples allowed")
