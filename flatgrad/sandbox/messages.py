"""What goes between judge and worker: JSON and the raw bytes of arrays, framed. No pickle: reading it runs nothing.

A frame is a mark, the token of the request, the length of the JSON text and the length of the data, then the text and
the data. The text is `{"body": …, "arrays": [[name, dtype, shape], …]}`; the data are the arrays in that order, in C
order. Both ends are on one machine, so that the byte order is its own.
"""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Mapping
from typing import Any

import numpy as np

TOKEN_SIZE = 16
_HEADER = struct.Struct("=4s16sQQ")
HEADER_SIZE = _HEADER.size
_MARK = b"fgm1"
_DTYPES = {np.dtype(code).str: np.dtype(code) for code in "?bhilqBHILQefdgFDG"}
_DIMENSIONS = 32  # the most that every version of NumPy takes


class Garbled(ValueError):
    """Bytes that are no message, or a value that no message can hold. The text says which."""


def encode(token: bytes, body: Mapping[str, Any], arrays: Mapping[str, np.ndarray], limit: int) -> bytes:
    """A frame of at most `limit` bytes. Raises Garbled for values that are not JSON, other arrays, or too much."""
    listed, parts, size = [], [], 0
    for name, given in arrays.items():
        if not isinstance(given, (np.ndarray, np.generic)):
            raise Garbled(f"{name!r} is not an array, but {type(given).__name__}")
        # A subclass may say anything of itself: only the buffer counts. (ascontiguousarray would make (1,) of ().)
        array = np.ndarray.view(given, np.ndarray) if isinstance(given, np.ndarray) else np.array(given)
        dtype = array.dtype.newbyteorder("=")
        if dtype.str not in _DTYPES:
            raise Garbled(f"the array {name!r} is of dtype {array.dtype}")
        if array.ndim > _DIMENSIONS:
            raise Garbled(f"the array {name!r} has {array.ndim} dimensions")
        size += array.nbytes
        if size > limit:  # before a broadcast array, which takes no memory, is written out
            raise Garbled(f"the arrays have more than {limit} bytes")
        listed.append([name, dtype.str, list(array.shape)])
        parts.append(array.astype(dtype, copy=False).tobytes("C"))
    try:
        text = json.dumps({"body": body, "arrays": listed}, default=_number, separators=(",", ":")).encode("ascii")
    except (TypeError, ValueError, RecursionError) as error:
        raise Garbled(f"it can't be written as JSON: {error}") from None
    if HEADER_SIZE + len(text) + size > limit:
        raise Garbled(f"the message has more than {limit} bytes")
    return b"".join([_HEADER.pack(_MARK, token, len(text), size), text, *parts])


def _number(value: object) -> object:
    if isinstance(value, np.generic) and value.dtype.kind in "biuf":
        return value.item()
    raise TypeError(f"a {type(value).__name__} is neither number, text, list nor dict")


def decode_header(header: bytes, limit: int) -> tuple[bytes, int, int]:
    """The token, the length of the text and that of the data. Raises Garbled, also if the frame is over `limit`."""
    mark, token, text, data = _HEADER.unpack(header)
    if mark != _MARK:
        raise Garbled("what came back is no message")
    if HEADER_SIZE + text + data > limit:
        raise Garbled(f"the message has more than {limit} bytes")
    return token, text, data


def decode(text: bytes, data: bytes | bytearray | memoryview) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """The body and the arrays, each the caller's own and writable. Raises Garbled for anything but a whole message."""
    try:
        whole = json.loads(text.decode("utf-8"))
        body, listed = whole["body"], whole["arrays"]
        if not isinstance(body, dict):
            raise Garbled("the message's body is no dict")
        arrays, start = {}, 0
        for name, code, shape in listed:
            if type(name) is not str or name in arrays:
                raise Garbled("an array's name is none, or comes twice")
            dtype = _DTYPES[code]
            if len(shape) > _DIMENSIONS or any(type(size) is not int or size < 0 for size in shape):
                raise Garbled(f"the array {name!r} has the shape {str(shape)[:100]}")
            count = math.prod(shape)
            end = start + count * dtype.itemsize
            if end > len(data):
                raise Garbled(f"the array {name!r} is cut off")
            arrays[name] = _array(bytes(data[start:end]), dtype, tuple(shape))
            start = end
        if start != len(data):
            raise Garbled("there are bytes left that no array has")
        # JSON can spell half a surrogate pair, which no file or terminal takes.
        return (_printable(body) if b"\\ud" in text.lower() else body), arrays
    except Garbled:
        raise
    except (ValueError, TypeError, KeyError, OverflowError, MemoryError, RecursionError) as error:
        raise Garbled(f"what came back is no message: {type(error).__name__}") from None


def _array(data: bytes, dtype: np.dtype, shape: tuple[int, ...]) -> np.ndarray:
    if not data:
        return np.empty(shape, dtype)
    array = np.frombuffer(data, np.uint8 if dtype.kind == "b" else dtype)
    # A byte of a boolean that is neither 0 nor 1 would be true and equal to neither.
    return (array != 0 if dtype.kind == "b" else array.copy()).reshape(shape)


def _printable(value: Any) -> Any:
    if isinstance(value, str):
        return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if isinstance(value, list):
        return [_printable(item) for item in value]
    if isinstance(value, dict):
        return {_printable(key): _printable(item) for key, item in value.items()}
    return value
