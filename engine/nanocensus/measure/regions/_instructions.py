"""What processors can do and numba has no name for: 64 pixels compared into one word, its bits, memory fetched ahead.

Each becomes a few instructions in whichever kernel asks for it (a comparison of 64 bytes is a single one where there
is AVX-512). Like `compiled` they are not seen by numba's cache on disk: after a change here, delete the cached kernels.
"""

from collections.abc import Callable
from typing import Any, cast

import numpy as np
import numpy.typing as npt
from llvmlite import ir  # type: ignore[import-untyped]  # it publishes none
from numba.core import types
from numba.extending import intrinsic

Untyped = Any
"""What numba and llvmlite hand to those who write instructions: they publish no types."""

_WORD, _LANE = ir.IntType(64), ir.IntType(32)
_PIXELS = 64


def _first(context: Untyped, builder: Untyped, kind: Untyped, row: Untyped) -> Untyped:
    """Give the address of an array's first number."""
    return context.make_array(kind)(context, builder, row).data


def _load(builder: Untyped, first: Untyped, at: Untyped, bits: int) -> Untyped:
    """Load 64 numbers that follow each other in memory, wherever they begin."""
    numbers = ir.VectorType(ir.IntType(bits), _PIXELS)
    loaded = builder.load(builder.bitcast(builder.gep(first, [at]), numbers.as_pointer()))
    loaded.align = 1
    return loaded


def _bits_above(_typing: Untyped, row: Untyped, _at: Untyped, _level: Untyped) -> Untyped:
    def build(context: Untyped, builder: Untyped, signature: Untyped, given: Untyped) -> Untyped:
        pixels = _load(builder, _first(context, builder, signature.args[0], given[0]), given[1], 8)
        one = builder.insert_element(ir.Constant(pixels.type, ir.Undefined), given[2], _LANE(0))
        levels = builder.shuffle_vector(one, one, ir.Constant(ir.VectorType(_LANE, _PIXELS), None))
        return builder.bitcast(builder.icmp_unsigned(">", pixels, levels), _WORD)

    return types.uint64(row, types.intp, types.uint8), build


def _bits_of_change(_typing: Untyped, row: Untyped, _at: Untyped) -> Untyped:
    def build(context: Untyped, builder: Untyped, signature: Untyped, given: Untyped) -> Untyped:
        first = _first(context, builder, signature.args[0], given[0])
        before = _load(builder, first, builder.sub(given[1], given[1].type(1)), 32)
        return builder.bitcast(builder.icmp_unsigned("!=", _load(builder, first, given[1], 32), before), _WORD)

    return types.uint64(row, types.intp), build


def _bit_count(_typing: Untyped, _word: Untyped) -> Untyped:
    def build(_context: Untyped, builder: Untyped, _signature: Untyped, given: Untyped) -> Untyped:
        return builder.ctpop(given[0])

    return types.uint64(types.uint64), build


def _fetch(_typing: Untyped, row: Untyped, _at: Untyped) -> Untyped:
    def build(context: Untyped, builder: Untyped, signature: Untyped, given: Untyped) -> Untyped:
        pixel = builder.gep(_first(context, builder, signature.args[0], given[0]), [given[1]])
        address = builder.bitcast(pixel, ir.IntType(8).as_pointer())
        parameters = ir.FunctionType(ir.VoidType(), [address.type, _LANE, _LANE, _LANE])
        prefetch = builder.module.declare_intrinsic("llvm.prefetch", [address.type], parameters)
        builder.call(prefetch, [address, _LANE(0), _LANE(3), _LANE(1)])  # to read, into the nearest cache, data
        return context.get_dummy_value()

    return types.void(row, types.intp), build


bits_above = cast(Callable[[npt.NDArray[np.uint8], int, np.uint8], np.uint64], intrinsic(_bits_above))
"""Tell which of the 64 pixels of a row from one on are above a level: bit i is that of pixel at + i."""

bits_of_change = cast(Callable[[npt.NDArray[np.int32], int], np.uint64], intrinsic(_bits_of_change))
"""Tell which of the 64 pixels of a row from one on, not its first, differ from the pixel before."""

bit_count = cast(Callable[[np.uint64], np.uint64], intrinsic(_bit_count))
"""Count the bits of a word that are set."""

fetch = cast(Callable[[npt.NDArray[np.uint8], int], None], intrinsic(_fetch))
"""Ask for a pixel of a row to be brought near, without waiting for it."""
