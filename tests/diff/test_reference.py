"""The generated lines for a variable: under their headings, with the temporaries that they read."""

from __future__ import annotations

import ast
import inspect
from pathlib import Path

import pytest

from flatgrad.diff.homework import Homework, Style
from flatgrad.diff.report.derive import derive
from flatgrad.diff.report.reference import Reference, reference_for, reference_lines, script_function

ROOT = Path(__file__).resolve().parent.parent.parent
STAGED = (ROOT / "examples" / "staged.py").read_text(encoding="utf-8")


def lines(source: str, function: str = "f", **options: tuple[str, ...]) -> Reference:
    found = reference_lines(inspect.cleandoc(source) + "\n", "hw.py", function, **options)
    assert not found.reason, found.reason
    ast.parse(found.text)
    return found


def test_each_contribution_stands_below_its_statement() -> None:
    found = lines(STAGED)
    assert found.of("x") == inspect.cleandoc(
        """
        # (4) xpy = x + y
        dx = dxpy
        # (3) sigx = 1.0 / (1 + math.exp(-x))
        dx += dsigx * sigx * (1 - sigx)
        # (2) num = x + sigy
        dx += dnum
        """
    )
    assert found.of("den") == "# (7) invden = 1.0 / den\ndden = -dinvden * invden**2"
    assert found.of("nothing") == ""


def test_steps_know_their_line() -> None:
    found = lines(STAGED)
    source = STAGED.splitlines()
    assert [step.number for step in found.steps] == list(range(1, 9))
    for step in found.steps[:-1]:
        assert step.line is not None
        assert ast.unparse(ast.parse(source[step.line - 1].strip())) == step.text
    assert source[(found.steps[-1].line or 0) - 1] == "    return num * invden"
    assert found.numbers == tuple((step.line, step.number) for step in found.steps)


def test_a_statement_that_is_found_nowhere_has_no_line() -> None:
    found = lines(
        """
        import numpy as np

        def f(x):
            y, z = np.tanh(x), x * x
            h = y * z
            return np.sum(h)
        """
    )
    assert [step.line for step in found.steps if step.text.startswith("h =")] == [5]
    assert found.steps[-1].line == 6


SOFTMAX = """
import numpy as np

def f(X, y, W, reg):
    N = X.shape[0]
    scores = X @ W
    shifted = scores - scores.max(axis=1, keepdims=True)
    p = np.exp(shifted) / np.sum(np.exp(shifted), axis=1, keepdims=True)
    loss = -np.sum(np.log(p[np.arange(N), y])) / N + reg * np.sum(W * W)
    dscores = p.copy()
    dscores[np.arange(N), y] -= 1
    dscores /= N
    dW = X.T @ dscores + 2 * reg * W
    return loss, dW
"""


def test_the_homeworks_own_gradients_are_no_part_of_it() -> None:
    found = lines(SOFTMAX)
    assert "X.T @ dscores + 2" not in found.of("W")
    assert "dW += X.T @ dscores" in found.of("W")
    assert "regu" not in found.of("scores")


def test_inside_a_group_the_single_steps_are_shown() -> None:
    found = lines(SOFTMAX)
    assert "softmax cross-entropy" in found.of("scores")
    assert "dscores = p.copy()" in found.of("scores")
    assert "dp" in found.of("p")
    assert "dp" not in found.text
    assert found.of("shifted")


def test_temporaries_come_with_the_lines_that_read_them() -> None:
    found = lines(
        """
        import numpy as np

        def f(X, W, b):
            h = np.maximum(0, X @ W + b)
            return np.sum(h * h)
        """
    )
    for variable in ("X", "W", "b"):
        first, *rest = found.of(variable).splitlines()
        assert first.startswith("# (1) h = ")
        assert any("(h > 0)" in line for line in rest)
        assert rest[-1].startswith(f"d{variable} = ")
        assert sum(line.startswith("d") for line in rest) == 2


def test_entries_of_a_dict() -> None:
    found = lines(
        """
        import numpy as np

        def f(X, params):
            h = np.tanh(X @ params["W1"] + params["b1"])
            return np.sum(h)
        """
    )
    assert "X.T @" in found.of("W1")
    assert ".sum(axis=0)" in found.of("b1")


def test_attributes_of_a_class() -> None:
    source = """
        import numpy as np

        class Linear:
            def __init__(self, n, m):
                self.W = np.random.randn(n, m)
                self.b = np.zeros(m)

            def forward(self, x):
                self.x = x
                z = x @ self.W + self.b
                self.out = np.tanh(z)
                return self.out

            def backward(self, dout):
                return None
        """
    found = lines(source, "Linear.forward")
    assert found.of("W") == "# (2) z = x @ self.W + self.b\nself.dW = self.x.T @ dz"
    assert found.of("z") == "# (3) self.out = np.tanh(z)\ndz = dout * (1 - self.out**2)"
    assert [(step.line, step.number) for step in found.steps] == [(9, 1), (10, 2), (11, 3)]


def test_lines_of_a_loop_stand_in_it() -> None:
    found = lines(
        """
        import numpy as np

        def rnn_forward(x, h0, W, U):
            '''x of shape (T, D), h0 of shape (H,), W of shape (D, H), U of shape (H, H)'''
            h = h0
            out = 0.0
            for t in range(x.shape[0]):
                h = np.tanh(x[t] @ W + h @ U)
                out = out + np.sum(h)
            return out, (x, W)
        """,
        "rnn_forward",
    )
    first, second, *rest = found.of("W").splitlines()
    assert first.startswith("dW = np.zeros(")
    assert second.startswith("for t in reversed(")
    assert rest[0].startswith("    # (")
    assert any(line.startswith("    dW += ") for line in rest)
    assert "cache" not in found.of("W")


def test_scattered_gradients_belong_to_what_they_add_to() -> None:
    found = lines(
        """
        import numpy as np

        def f(x, W):
            '''x (N, T) int, W (V, D)'''
            out = W[x]
            return np.sum(out * out)
        """
    )
    assert "np.add.at(dW, x, dout)" in found.of("W")
    assert "np.zeros" in found.of("W")


def test_other_parameters_can_be_asked_for() -> None:
    source = "import math\n\ndef f(x, a=2.0):\n    return x * a\n"
    assert lines(source).of("a") == ""
    assert "da = " in lines(source, wrt=("x", "a")).of("a")


@pytest.mark.parametrize(
    ("source", "reason", "line"),
    [
        ("import numpy as np\n\ndef f(x):\n    return np.unwrap(x)\n", "np.unwrap", 4),
        ("def f(x:\n", "", 1),
        ("def g(x):\n    return x\n", "f", None),
        ("x = " + "(" * 500 + "1" + ")" * 500 + "\n", "", None),
        (f"def f(x):\n    return {'-' * 5000}x\n", "", None),
    ],
)
def test_what_is_refused_has_a_reason(source: str, reason: str, line: int | None) -> None:
    found = reference_lines(source, "hw.py", "f")
    assert found.reason
    assert reason in found.reason
    assert found.text == ""
    assert not found.lines
    if line is not None:
        assert found.line == line


SCRIPT = """\
import numpy as np

# forward pass
W = np.random.randn(5, 10)
X = np.random.randn(10, 3)
D = W.dot(X)
q = np.tanh(D); s = q * 2
out = np.sum(
    s * s
)
for k in range(2):
    out = out + np.sum(W)
    dnothing = k

dD = np.ones(D.shape)
dW = dD.dot(X.T)
"""


def script(text: str, parameters: tuple[str, ...], backward: frozenset[int], result: str) -> Homework:
    return Homework(
        "hw.py",
        text,
        Style.SCRIPT,
        "lecture-1",
        "",
        "",
        parameters,
        (),
        (),
        result,
        ("",),
        "",
        (),
        backward,
        {"dW": "W"},
        (),
        (),
    )


def test_a_script_becomes_a_function_of_its_leaves() -> None:
    homework = script(SCRIPT, ("W", "X"), frozenset((13, 15, 16)), "out")
    wrapped = script_function(homework)
    assert wrapped.name == "lecture_1"
    namespace: dict[str, object] = {}
    exec(wrapped.text, namespace)
    assert "random" not in wrapped.text
    assert "dnothing" not in wrapped.text
    assert "dD" not in wrapped.text
    found = reference_for(homework)
    assert not found.reason
    assert "D" in found.lines
    assert "W" in found.lines
    numbered = {step.text.split(" = ")[0]: step.line for step in found.steps}
    assert numbered["D"] == 6
    assert numbered["q"] == 7
    assert numbered["s"] == 7


def test_the_line_of_a_script_that_is_refused_is_its_own() -> None:
    text = "import numpy as np\nx = 3.0\n\n\ny = np.unwrap(x)\ndx = 1.0\n"
    found = reference_for(script(text, ("x",), frozenset((6,)), "y"))
    assert "np.unwrap" in found.reason
    assert found.line == 5


def test_a_process_of_its_own_gives_the_same() -> None:
    assert derive(STAGED, "staged.py", "f") == reference_lines(STAGED, "staged.py", "f")
    refused = "import numpy as np\n\ndef f(x):\n    return np.unwrap(x)\n"
    assert derive(refused, "hw.py", "f") == reference_lines(refused, "hw.py", "f")
    homework = script(SCRIPT, ("W", "X"), frozenset((13, 15, 16)), "out")
    assert reference_for(homework, derive) == reference_for(homework)


def test_what_takes_too_long_is_given_up() -> None:
    found = derive(STAGED, "staged.py", "f", timeout=0.01)
    assert found.reason == "it took longer than 0.01 seconds"


def test_nothing_is_imported_from_the_current_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("numpy", "sympy", "json", "ast", "resource", "flatgrad"):
        (tmp_path / f"{name}.py").write_text(f"open('seen', 'w')\nraise SystemExit({name!r})\n")
    monkeypatch.chdir(tmp_path)
    assert derive(STAGED, "staged.py", "f").of("x")
    assert not (tmp_path / "seen").exists()
