"""Traps of reads and writes, of one value as two operands and of products of every rank."""

from __future__ import annotations

import numpy as np
import pytest

from tests.traps import X, Y, never_wrong, right

# --- reads and writes


@pytest.mark.parametrize("parameter", ["x", 'x: "N D"'])
@pytest.mark.parametrize(
    "body",
    [
        "return x[1:] - x[:-1]",
        "return x[1:] * x[:-1] + x[:2]",
        "return x[1:][0] * x[0]",
        "return x[1:][1:][0] ** 2 + x[::2][0]",
        "return x[::-1] * x",
        "return x[::2] * x[-2:]",
        "return x[2:0:-1] * x[:2]",
        "return x[-1] + x[0] * x[-1]",
        "return x[0, 0] * x[0, 1] + x[-1, -1] ** 2",
        "return x[0][1] * x[0][2]",
        "return x[:, 0] * x[:, -1]",
        "return x[:, 1:3] * x[:, :2]",
        "return x[:, None] * x[None]",
        "return x[..., None] * x[..., 0:1, None]",
        "return x[..., 0] * 2",
        "h = x * 2; return h[0] + h[0] * h[1]",
        "h = x[x > 0]; return np.sum(h**2) + np.sum(x)",
        "m = np.abs(x) < 1; return np.sum(x[m] ** 2)",
        "m = x[:, 0] > 0; return np.sum(x[m] ** 2)",
        "i = np.argsort(x[:, 0]); return x[i] * x",
        "i = np.array([0, 2]); return x[i, 1] * x[i, i]",
        "i = np.array([0, 0]); return x[i, i] * 2 + x[i, 0]",
        "i = np.array([0, 2]); return x[i][:, i] + x[i[:, None], i]",
        "return x[[0, 0], 1:] * 2",
        "return x[1:, [0, 0]] + x[:2, [1, 2]]",
        "n = x.shape[0]; return x[n - 1] * x[n // 2]",
        "return x[0:0].sum() + x.sum()",
        "return x[True] * 2",
    ],
)
def test_reads(body: str, parameter: str) -> None:
    allowed = ("right", "refused") if "True" in body else ("right",)
    never_wrong(body, parameter, {"x": X}, allowed=allowed)


@pytest.mark.parametrize(
    "body",
    [
        "a = np.zeros(x.shape); a[0] = x[1]; a[1:] = x[:2] * 2; return a * a",
        "a = np.zeros((3, 4)); a[:, 0] = x[:, 1]; a[0, 0] = 5.0; return a * x",
        "a = np.zeros((3, 4)); a[0] = x[0]; a[0] = y[0]; return a * y",
        "a = np.zeros((3, 4)); a[0] += x[0]; a[0] += y[0] * a[0]; a[0] *= 3.0; return a",
        "a = x * 2; a[1] = 0.0; return a * y",
        "a = x * 2; b = a * y; a[1] = b[0]; return a * b",
        "a = x * 2; a[:, 1:] -= y[:, :-1]; return a * a",
        "a = x * 2; a[a > 0] = 0.0; return a * y",
        "a = x * 2; a[a > 0] *= 3.0; return a * y",
        "a = x * 2; m = y > 0; a[m] = y[m] * 2; return a * a",
        "a = x * 2; m = y > 0; a[m] += y[m]; return a * a",
        "a = x * 2; a[[0, 1]] = y[[1, 1]]; return a * a",
        "a = x * 2; a[[0, 2]] += y[[1, 1]]; return a * a",
        "a = x * 2; a[np.arange(3), [0, 1, 2]] = y[:, 0]; return a * y",
        "a = x * 2; a[np.arange(3), [0, 1, 2]] -= y[:, 0] * a[:, 0]; return a * y",
        "a = x * 2; a[...] = y; return a * y",
        "a = x * 2; a[:] = a * y; return a + a[0]",
        "a = x * 2; a[1] = a[0]; a[0] = a[1] * y[0]; return a",
        "a = x * 2; a[1:] = a[:-1]; return a * y",
        "a = x * 2; a[1:] += a[:-1]; return a * y",
        "a = x * 2; a[::-1] = a; return a * y",
        "a = x * 2; a[0] = y[0, 0]; a[1] = np.sum(y); return a",
        "a = x * 2; a[:, 0] = y[0, :3]; a[-1, -1] = y[0, 0]; return a",
        "a = np.empty_like(x); a[0] = x[0]; a[1] = y[1]; a[2] = x[2] * y[2]; return a",
        "a = np.ones_like(x); a *= x; a[0, 1:3] = y[1, 1:3]; return a * x",
        "a = np.full(x.shape, 2.0); a[1] = x[1]; return np.sum(a**2) + np.sum(y)",
        "a = np.eye(3); a[0] = x[0, :3]; return a @ y",
        "a = x.copy(); a[0] = 0.0; return a * x + y",
        "a = np.array(x); a[0] *= y[0]; return a * x",
        "a = np.zeros(4); a[0] = x[0, 0]; a[1] = y[1, 1]; a[2] = a[0] * a[1]; return a",
        "i = np.argmax(x, axis=1); a = x * y; a[np.arange(3), i] = 0.0; return a",
        "a = np.zeros((2, 3, 4)); a[0] = x; a[1] = y; return a[0] * a[1] + a.sum(axis=0)",
        "a = np.zeros((3, 8)); a[:, :4] = x; a[:, 4:] = y; return a * a[:, :1]",
    ],
)
@pytest.mark.parametrize("accumulate", ["forks", "always"])
def test_writes_into_what_the_function_made(body: str, accumulate: str) -> None:
    parameters, inputs = 'x: "N D", y: "N D"', {"x": X, "y": Y}
    right(body, parameters, inputs, accumulate=accumulate)


@pytest.mark.parametrize(
    "body",
    [
        "a = x * 2; a[[0, 0]] = y[[0, 1]]; return a * a",  # the last write wins
        "a = x * 2; a[[0, 0]] += y[[0, 1]]; return a * a",  # added once
        "i = np.array([0, 0, 1]); a = x * 2; a[i] = y; return a * a",
        "i = np.array([0, 0, 1]); a = x * 2; a[i] += y; return a * a",
        "i = np.array([0, 0, 1]); a = x * 2; a[i] *= y; return a * a",
        "a = x * 2; np.add.at(a, [0, 0], y[:2]); return a * a",
        "a = x * 2; u = a[1:]; u += y[1:]; return a * a",
        "a = x * 2; u = a[1:]; a[2] = y[0]; return np.sum(u * u)",
        "a = x * 2; u = a.reshape(-1); u[0] = y[0, 0]; return a * a",
        "a = x * 2; a[0][1] = y[0, 0]; return a * a",
        "a = x * 2; a.T[0] = y[:, 0]; return a * a",
        "a = x * 2; a[0].fill(1.0); return a * y",
        "a = x * 2; a.sort(); return a * y",
        "a = x * 2; np.add(a, y, out=a); return a * x",
        "a = x * 2; a.shape = (4, 3); return a @ y",
        "a = np.zeros(3, dtype=int); a[0] = x[0, 0]; return a * np.sum(x) + np.sum(y)",
        "a = np.zeros_like(x); b = a; a[0] = x[0]; b[1] = y[1]; return a * b",
        "a = np.arange(4); a = a * x; a[0] = y[0]; return a",
        "a = np.broadcast_to(x[0], (3, 4)); b = a * y; b += a; return b",
        "a = b = np.zeros((3, 4)); a[0] = x[0]; b[1] = y[0]; return a * b + a",
        "a = x * 2; a, b = a * y, a; b += 1.0; return a * b",
        "a = x * y; a = a.reshape(-1); a[0] = 1.0; return a * a",
        "x = x * 2; t = x; x = x.T; x += 1.0; return t * y",
        "a = x * 2; del a; return x * y",
    ],
)
def test_writes_that_ask_for_trouble(body: str) -> None:
    never_wrong(body, 'x: "N D", y: "N D"', {"x": X, "y": Y})


@pytest.mark.parametrize(
    "body",
    [
        "return x * x", "return x @ x.T", "return np.dot(x, x.T)", "return np.concatenate([x, x, y])",
        "return np.stack((x, x)) * y",
        "return np.where(x > 0, x, x) * y", "return np.maximum(x, x + y)", "return np.outer(x, x)[:3] * y[0, 0]",
        "return np.tensordot(x, x) * y", "return np.hstack([x, y, x])", "return np.kron(x, x) * y[0, 0]",
        "return np.vdot(x, x) * y", "return np.inner(x, x) @ y", "return (x - y) * (x - y)", "return x / x * y",
        "return np.arctan2(x, x * x + 1) * y", "return np.hypot(x, x) + y",
    ],
)  # fmt: skip
def test_one_value_as_two_operands(body: str) -> None:
    given = {"x": X, "y": Y} if "y" in body else {"x": X}
    right(body, 'x: "N D", y: "N D"' if "y" in body else 'x: "N D"', given)
    # Of a product of open ranks nothing can be known; of the others all.
    allowed = ("right", "refused") if any(p in body for p in (" @ ", "dot", "inner", "tensor", "kron")) else ("right",)
    never_wrong(body, "x, y" if "y" in body else "x", given, allowed=allowed)


@pytest.mark.parametrize(
    ("a", "b"),
    [
        ((3, 4), (4,)), ((4,), (4, 3)), ((4,), (4,)), ((3, 4), (4, 2)), ((2, 3, 4), (4, 2)), ((2, 3, 4), (2, 4, 2)),
        ((1, 3, 4), (2, 4, 2)), ((3, 4), (2, 4, 2)), ((2, 3, 4), (4,)), ((4,), (2, 4, 3)), ((2, 1, 3, 4), (5, 4, 2)),
    ],
)  # fmt: skip
@pytest.mark.parametrize("call", ["a @ b", "np.matmul(a, b)", "np.dot(a, b)", "a.dot(b)"])
@pytest.mark.parametrize("known", [True, False])
def test_products_of_every_rank(call: str, a: tuple[int, ...], b: tuple[int, ...], known: bool) -> None:
    rng = np.random.default_rng(1)
    given = {"a": rng.normal(size=a), "b": rng.normal(size=b)}
    letters = iter("PQRSTUVWXYZ")
    ranks = [" ".join(next(letters) for _ in shape) for shape in (a, b)]
    parameters = f'a: "{ranks[0]}", b: "{ranks[1]}"' if known else "a, b"
    allowed = ("right", "guarded") if known else ("right", "refused", "guarded")
    never_wrong(f"return {call} * 2.0", parameters, given, allowed=allowed)
