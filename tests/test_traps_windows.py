"""Windows that slide over an array: where every one of them is whole, backward knows their shape; where one may be cut
off at the end, it must not. Each is checked with numbers, at strides, widths and sizes that are in its way.
"""

from __future__ import annotations

import itertools

import pytest

from tests.support import Module, check_module, check_run, compiled, load, original
from tests.traps import Inputs, drawn

HEAD = "import numpy as np\n\n\n"


def convolution(
    count: str, start: str = "i * stride", stop: str = "a + K", over: str = "range(T)", product: str = ""
) -> str:
    """A convolution in one dimension; what lies outside of x is 0."""
    return f"""{HEAD}def f(x: "L", w: "K", stride, pad):
    L, K = x.shape[0], w.shape[0]
    T = {count}
    x_pad = np.pad(x, ((pad, pad),))
    out = np.zeros((L + 2 * pad + 3,))
    for i in {over}:
        a = {start}
        window = x_pad[a : {stop}]
        out[i] = {product or "np.sum(window * w)"}
    return out
"""


def all_right(source: str, widths: tuple[int, ...] = (1, 2, 3)) -> int:
    """How many sizes the model takes; the gradients are right for each."""
    text = compiled(source).text
    module = Module(text, load(text))
    count = 0
    for length, width, stride, pad in itertools.product((1, 2, 5), widths, (1, 2, 3), (0, 1)):
        inputs: Inputs = {"x": drawn(length, 1), "w": drawn(width, 2), "stride": stride, "pad": pad}
        try:
            original(source, "f")(**inputs)
        except (ValueError, IndexError):
            continue
        check_run(module, source, "f", inputs, ("x", "w"))
        count += 1
    return count


WHOLE = {
    "one more": "1 + (L + 2 * pad - K) // stride",
    "one more behind": "(L - K + 2 * pad) // stride + 1",
    "of a float": "int(1 + (L + 2 * pad - K) / stride)",
    "floor": "int(np.floor((L + 2 * pad - K) / stride)) + 1",
}


@pytest.mark.parametrize("count", WHOLE.values(), ids=WHOLE)
def test_windows_that_are_whole_have_their_shape(count: str) -> None:
    source = convolution(count)
    assert "unbroadcast" not in compiled(source).text
    assert all_right(source, (1, 3)) > 8


CUT_OFF = {
    # `int` rounds -1 / 2 up to 0: a window larger than the array is there once, cut off.
    "int of a negative quotient": ("int((L + 2 * pad - K) / stride) + 1",),
    "rounded up": ("-(-(L + 2 * pad) // stride)",),
    "rounded up by ceil": ("int(np.ceil((L + 2 * pad) / stride))",),
    "another width": ("1 + (L + 2 * pad - 1) // stride",),
    "one round too many": ("2 + (L + 2 * pad - K) // stride",),
    "another stride": ("1 + (L + 2 * pad - K) // stride", "i * 2"),
    "shifted by one": ("1 + (L + 2 * pad - K) // stride", "i * stride + 1"),
    "shifted to the front": ("1 + (L + 2 * pad - K) // stride", "i * stride - 1"),
    "one longer": ("1 + (L + 2 * pad - K) // stride", "i * stride", "a + K + 1"),
    "another range": ("1 + (L + 2 * pad - K) // stride", "i * stride", "a + K", "range(L)"),
    "a later range": ("1 + (L + 2 * pad - K) // stride", "i * stride", "a + K", "range(1, T + 1)"),
    "without what is put around": ("1 + (L + 4 * pad - K) // stride",),
    "from the end": ("1 + (L + 2 * pad - K) // stride", "-i * stride", "K - i * stride"),
}


@pytest.mark.parametrize("parts", CUT_OFF.values(), ids=CUT_OFF)
def test_windows_that_may_be_cut_off_do_not(parts: tuple[str, ...]) -> None:
    # Of a window with one element each product with w is as long as w.
    source = convolution(*parts)
    assert "unbroadcast" in compiled(source).text
    assert all_right(source) > 8


@pytest.mark.parametrize("parts", CUT_OFF.values(), ids=CUT_OFF)
def test_the_size_of_a_window_is_what_is_in_it(parts: tuple[str, ...]) -> None:
    start, stop, over = (*parts[1:], *("i * stride", "a + K", "range(T)")[len(parts) - 1 :])
    source = convolution(parts[0], start, stop, over, "np.sum(window) / (window.size + 1) * np.sum(w)")
    assert all_right(source, (1, 3)) > 8


def test_a_window_larger_than_the_array_is_no_window() -> None:
    source = convolution(WHOLE["one more"])
    inputs = {"x": drawn(2, 1), "w": drawn(5, 2), "stride": 1, "pad": 0}
    check_module(source, inputs, differentiated=("x", "w"))


def test_a_window_that_is_written_to() -> None:
    source = f"""{HEAD}def f(x: "T", w: "K", stride):
    T, K = x.shape[0], w.shape[0]
    out = np.zeros(((T - 1) * stride + K,))
    for t in range(T):
        out[t * stride : t * stride + K] += x[t] * w
    z = np.zeros((T + K - 1,))
    for t in range(T):
        z[t : t + K] = z[t : t + K] * x[t] + w
    return np.sum(out**2) + np.sum(z**2)
"""
    for length, width, stride in itertools.product((1, 2, 4), (1, 3), (1, 2, 4)):
        check_module(source, {"x": drawn(length, 3), "w": drawn(width, 4), "stride": stride})


def test_rounds_read_off_the_result() -> None:
    source = f"""{HEAD}def f(x: "N C L", w: "F C K"):
    K = w.shape[2]
    out = np.zeros((x.shape[0], w.shape[0], x.shape[2] - K + 1))
    for t in range(out.shape[2]):
        out[:, :, t] = np.sum(x[:, None, :, t : t + K] * w, axis=(2, 3))
    return out
"""
    assert "unbroadcast" not in compiled(source).text
    for length, width in ((3, 1), (3, 2), (3, 3), (1, 1)):
        check_module(source, {"x": drawn((2, 3, length), 1), "w": drawn((4, 3, width), 2)})


@pytest.mark.parametrize("stride", [1, 2, 3])
def test_steps_that_are_named(stride: int) -> None:
    source = f"""{HEAD}def pad_both(x, pad):
    return np.pad(x, ((0, 0), (pad, pad)))


def f(x: "N L", w: "K", hparameters):
    pad, stride, K = hparameters["pad"], hparameters["stride"], w.shape[0]
    T = (x.shape[1] - K + 2 * pad) // stride + 1
    out = np.zeros((x.shape[0], T))
    x_pad = pad_both(x, pad)
    for n in range(x.shape[0]):
        row = x_pad[n]
        for t in range(T):
            start = t * stride
            end = start + K
            out[n, t] = np.sum(row[start:end] * w)
    return out
"""
    assert "unbroadcast" not in compiled(source, functions=("f",)).text
    for pad, width in itertools.product((0, 2), (1, 3)):
        inputs = {"x": drawn((2, 5), 1), "w": drawn(width, 2), "hparameters": {"pad": pad, "stride": stride}}
        check_module(source, inputs, function="f", functions=("f",))


def test_a_size_of_minus_one_is_no_size() -> None:
    """Of `n` nothing is known but that it is an integer: in a shape -1 stands for what is left."""
    source = f"""{HEAD}def f(x: "N M", y: "N M", n):
    total = 0.0
    for k in range(n + 3):
        total = total + k
    return np.sum(x.reshape(n, 2) * y.reshape(-1, 2)) * total
"""
    for n in (-1, 3):
        check_module(source, {"x": drawn((2, 3), 1), "y": drawn((2, 3), 2), "n": n})


def test_two_calls_with_two_strides() -> None:
    source = f"""{HEAD}def slide(x, w, param):
    stride, K = param["stride"], w.shape[0]
    T = (x.shape[0] - K) // stride + 1
    out = np.zeros(T)
    for t in range(T):
        out[t] = np.sum(x[t * stride : t * stride + K] * w)
    return out


def f(x: "L", w: "K", v: "J", first, second):
    return slide(slide(x, w, first), v, second)
"""
    inputs = {"x": drawn(12, 1), "w": drawn(3, 2), "v": drawn(2, 3), "first": {"stride": 2}, "second": {"stride": 3}}
    check_module(source, inputs, function="f", functions=("f",))


def test_an_integer_that_is_also_a_number() -> None:
    source = f"""{HEAD}def f(x: "L", n):
    out = np.zeros((n, 2))
    for i in range(n):
        out[i] = np.sum(x[i : i + 2]) / n
    return out * n
"""
    for n in (1, 3, 5):
        check_module(source, {"x": drawn(4, 1), "n": n}, differentiated=("x",))


def test_a_counter_is_what_it_is_in_its_own_round() -> None:
    source = f"""{HEAD}def f(x: "L", w: "K"):
    K = w.shape[0]
    total = 0.0
    last = x.shape[0]
    for i in range(x.shape[0] - K + 1):
        total = total + np.sum(x[last : last + K]) * np.sum(w * x[i : i + K])
        last = i
    return total + np.sum(x[last : last + K])
"""
    for length in (3, 5):
        check_module(source, {"x": drawn(length, 1), "w": drawn(3, 2)})


def test_a_loop_after_the_size_has_changed() -> None:
    source = f"""{HEAD}def f(x: "L", w: "K"):
    K = w.shape[0]
    T = x.shape[0] - K + 1
    total = 0.0
    for _ in range(2):
        x = x[: len(x) // 2 + 1]
        for i in range(T):
            total = total + np.sum(x[i : i + K]) / (x[i : i + K].size + 1) * np.sum(w)
    return total
"""
    check_module(source, {"x": drawn(6, 1), "w": drawn(2, 2)})
