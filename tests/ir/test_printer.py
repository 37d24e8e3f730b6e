"""The printed form: what `--emit ir` shows."""

from __future__ import annotations

from tests.support import EXAMPLES, compiled

STAGED = """\
function f(x:(), y:())
  %.0:() = negative y
  %.1:() = math.exp %.0
  %.2:() = add 1, %.1
  sigy:() = divide 1.0, %.2
  num:() = add x, sigy
  %.3:() = negative x
  %.4:() = math.exp %.3
  %.5:() = add 1, %.4
  sigx:() = divide 1.0, %.5
  xpy:() = add x, y
  xpysqr:() = power xpy, 2
  den:() = add sigx, xpysqr
  invden:() = divide 1.0, den
  %.6:() = multiply num, invden
  return %.6
backward f(dout:())
"""


def test_the_staged_example() -> None:
    printed = compiled((EXAMPLES / "staged.py").read_text(), "staged.py", gates="primitive").ir
    assert printed.startswith(STAGED)
    assert printed.endswith("\n")
    last = printed.splitlines()[-1]
    assert last.startswith("  return dx")
    assert ", dy" in last


def test_shapes_attributes_and_names_that_are_bound_again() -> None:
    source = (
        "import numpy as np\n"
        'def f(x: "N D", w: "D H", b: "H"):\n'
        "    N = x.shape[0]\n"
        "    h = np.tanh(x @ w)\n"
        "    h = h + b\n"
        "    h[:, 0] = 0.0\n"
        "    p = h[np.arange(N), 1:]\n"
        "    return np.sum(p, axis=0)\n"
    )
    lines = compiled(source, gates="primitive", functions=("f",)).ir.splitlines()
    forward = lines[: lines.index(next(line for line in lines if line.startswith("backward")))]
    assert forward[0] == "function f(x:(N, D), w:(D, H), b:(H,))"
    assert [line.partition(" = ")[0].strip() for line in forward if "h:" in line or "h." in line.split(":")[0]] == [
        "h:(N, H)",
        "h.1:(N, H)",
        "h.2:(N, H)",
    ]
    assert "  h:(N, H) = tanh %.1" in forward
    assert "  h.1:(N, H) = add h, b" in forward
    assert "  h.2:(N, H) = write h.1, 0.0 index=(:, 0)" in forward
    assert any(line.endswith("index=(%.2, 1:)") and "p:(N, H-1)" in line for line in forward)
    assert any("axis=0" in line and "keepdims=False" in line for line in forward)


def test_printing_is_stable() -> None:
    source = (EXAMPLES / "two_layer_net.py").read_text()
    assert compiled(source).ir == compiled(source).ir


def test_calls() -> None:
    printed = compiled((EXAMPLES / "layers.py").read_text(), "layers.py").ir
    assert "= call affine_forward x, w, b" in printed
    assert "call_backward da function='affine_forward'" in printed
