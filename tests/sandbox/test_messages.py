"""Messages come back as they were sent, and anything else is said to be garbled: reading it runs nothing."""

from __future__ import annotations

import json
import math
import random
import struct
from typing import Any

import numpy as np
import pytest

from flatgrad.sandbox.messages import HEADER_SIZE, Garbled, decode, decode_header, encode

TOKEN = bytes(range(16))
PLENTY = 1 << 30


def there_and_back(body: dict[str, Any], arrays: dict[str, np.ndarray]) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    frame = encode(TOKEN, body, arrays, PLENTY)
    token, text, data = decode_header(frame[:HEADER_SIZE], PLENTY)
    assert token == TOKEN
    assert HEADER_SIZE + text + data == len(frame)
    return decode(frame[HEADER_SIZE : HEADER_SIZE + text], memoryview(frame)[HEADER_SIZE + text :])


def test_json_values_come_back() -> None:
    body = {"a": [None, True, 3, -0.5, "ü\n\x00", {"b": []}], "inf": math.inf, "big": 2**100}
    back, _ = there_and_back({**body, "nan": math.nan}, {})
    assert math.isnan(back.pop("nan"))
    assert back == body


def test_numbers_of_numpy_become_numbers() -> None:
    back, _ = there_and_back({"a": np.float64(1.5), "b": np.int64(3), "c": np.bool_(True)}, {})
    assert back == {"a": 1.5, "b": 3, "c": True}
    assert back["c"] is True


@pytest.mark.parametrize("dtype", ["?", "i1", "u2", "i8", "f2", "f4", "f8", "g", "c8", "c16", ">f8", ">i4"])
@pytest.mark.parametrize("shape", [(), (1,), (0,), (3, 0, 2), (2, 3, 4)])
def test_arrays_come_back(dtype: str, shape: tuple[int, ...]) -> None:
    array = np.asarray(np.arange(math.prod(shape)).reshape(shape) % 5, dtype)
    # An odd number of bytes before it: nothing may depend on where the data lie.
    _, back = there_and_back({}, {"odd": np.array([1], np.int8), "x": array})
    assert back["x"].shape == shape
    assert back["x"].dtype == array.dtype.newbyteorder("=")
    assert np.array_equal(back["x"], array)
    assert back["x"].flags.writeable
    assert back["x"].flags.aligned


def test_any_layout_and_subclass_is_its_values() -> None:
    class Liar(np.ndarray):
        shape = (7, 7)  # type: ignore[override]

        def tobytes(self, *arguments: Any) -> bytes:
            return b"lies"

    x = np.arange(24.0).reshape(2, 3, 4)
    arrays = {
        "turned": x.T,
        "steps": x[:, ::-2, 1:],
        "broadcast": np.broadcast_to(x[0, 0], (5, 4)),
        "matrix": x[0].view(np.matrix),
        "masked": np.ma.array([1.0, 2.0], mask=[True, False]),
    }
    _, back = there_and_back({}, {**arrays, "liar": x.view(Liar)})
    assert np.array_equal(back.pop("liar"), x)
    for name, array in back.items():
        assert type(array) is np.ndarray
        assert np.array_equal(array, np.asarray(np.ma.getdata(arrays[name])))


@pytest.mark.parametrize(
    "array",
    [
        np.array([object()]),
        np.array(["text"]),
        np.array([b"bytes"]),
        np.array(["2020-01-01"], "M8[D]"),
        np.zeros(2, [("a", "f8")]),
        [1.0, 2.0],
        None,
    ],
)
def test_what_is_no_array_of_numbers_is_not_sent(array: Any) -> None:
    with pytest.raises(Garbled, match="x"):
        encode(TOKEN, {}, {"x": array}, PLENTY)


@pytest.mark.parametrize("value", [object(), {1, 2}, b"bytes", np.zeros(2), 1j, {(1, 2): 3}, [10**5000]])
def test_what_is_no_json_is_not_sent(value: Any) -> None:
    with pytest.raises(Garbled):
        encode(TOKEN, {"a": value}, {}, PLENTY)


def test_a_list_within_itself_is_not_sent() -> None:
    endless: list[Any] = []
    endless.append(endless)
    with pytest.raises(Garbled):
        encode(TOKEN, {"a": endless}, {}, PLENTY)


def test_too_much_is_neither_sent_nor_read() -> None:
    with pytest.raises(Garbled, match="1000 bytes"):
        encode(TOKEN, {}, {"x": np.zeros(1000)}, 1000)
    with pytest.raises(Garbled, match="1000 bytes"):
        encode(TOKEN, {"a": "x" * 2000}, {}, 1000)
    with pytest.raises(Garbled, match="1000 bytes"):  # 8 TB, if it were written out
        encode(TOKEN, {}, {"x": np.broadcast_to(np.float64(1), (10**6, 10**6))}, 1000)
    header = encode(TOKEN, {"a": "x" * 2000}, {}, PLENTY)[:HEADER_SIZE]
    with pytest.raises(Garbled, match="1000 bytes"):
        decode_header(header, 1000)


def text(body: Any, arrays: Any) -> bytes:
    return json.dumps({"body": body, "arrays": arrays}).encode()


@pytest.mark.parametrize(
    ("message", "data"),
    [
        (b"", b""),
        (b"\xff\xfe", b""),
        (b"[]", b""),
        (b"{}", b""),
        (b'{"body": {}}', b""),
        (b"[" * 100_000, b""),
        (text([], []), b""),
        (text({}, None), b""),
        (text({}, [["x", "<f8", [2]]]), b"\0" * 15),
        (text({}, [["x", "<f8", [2]]]), b"\0" * 17),
        (text({}, [["x", "|O", [1]]]), b"\0" * 8),
        (text({}, [["x", "<U1", [1]]]), b"\0" * 4),
        (text({}, [["x", ["<f8"], [1]]]), b"\0" * 8),
        (text({}, [["x", "<f8", [-1]]]), b"\0" * 8),
        (text({}, [["x", "<f8", [-1, -1]]]), b"\0" * 8),
        (text({}, [["x", "<f8", [1.0]]]), b"\0" * 8),
        (text({}, [["x", "<f8", [True]]]), b"\0" * 8),
        (text({}, [["x", "<f8", 1]]), b"\0" * 8),
        (text({}, [["x", "<f8", [0, 2**62, 2**62]]]), b""),
        (text({}, [["x", "<f8", [2**70]]]), b""),
        (text({}, [["x", "<f8", [1] * 65]]), b"\0" * 8),
        (text({}, [["x", "<f8", [1]], ["x", "<f8", [1]]]), b"\0" * 16),
        (text({}, [[1, "<f8", [1]]]), b"\0" * 8),
        (text({}, [["x", "<f8"]]), b""),
        (b'{"body": {"a": ' + b"1" * 5000 + b'}, "arrays": []}', b""),
    ],
)
def test_what_is_no_message_is_garbled(message: bytes, data: bytes) -> None:
    with pytest.raises(Garbled):
        decode(message, data)


def test_other_bytes_are_no_header() -> None:
    with pytest.raises(Garbled):
        decode_header(b"loss: 0.5, and so on".ljust(HEADER_SIZE), PLENTY)


def test_changed_bytes_are_garbled_or_harmless() -> None:
    """Whatever becomes of the bytes, there is no other error, and no array that is not whole."""
    frame = encode(TOKEN, {"a": [1, 2.5, "x"]}, {"x": np.arange(3.0), "b": np.array([True, False])}, PLENTY)
    draw = random.Random(0)
    garbled = 0
    for _ in range(3000):
        changed = bytearray(frame)
        for _ in range(draw.randint(1, 3)):
            changed[draw.randrange(len(changed))] = draw.randrange(256)
        try:
            _, size, _ = decode_header(bytes(changed[:HEADER_SIZE]), PLENTY)
            _, arrays = decode(bytes(changed[HEADER_SIZE : HEADER_SIZE + size]), changed[HEADER_SIZE + size :])
        except Garbled:
            garbled += 1
        else:
            assert all(array.dtype.kind in "biufc" for array in arrays.values())
    assert garbled > 1000


def test_a_boolean_is_true_or_false() -> None:
    _, back = decode(text({}, [["x", "|b1", [3]]]), b"\x00\x01\x7f")
    assert back["x"].tobytes() == b"\x00\x01\x01"


def test_half_a_surrogate_pair_can_be_printed() -> None:
    back, _ = decode(b'{"body": {"a": "x\\ud800y", "\\uDC00": ["\\ud83d\\ude00"]}, "arrays": []}', b"")
    json.dumps(back, ensure_ascii=False).encode("utf-8")
    assert back["a"].startswith("x")
    assert back["a"].endswith("y")
    assert ["\U0001f600"] in back.values()


def test_the_header_is_what_the_page_says() -> None:
    frame = encode(TOKEN, {}, {"x": np.zeros(2)}, PLENTY)
    mark, token, size, data = struct.unpack("=4s16sQQ", frame[:HEADER_SIZE])
    assert (mark, token, data) == (b"fgm1", TOKEN, 16)
    assert json.loads(frame[HEADER_SIZE : HEADER_SIZE + size])["arrays"] == [["x", np.dtype(float).str, [2]]]
