"""`flatgrad diff` end to end: a text in, a report for each function out; what cannot be judged, with its line."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from flatgrad.diff.compare import compare
from flatgrad.diff.options import CompareOptions
from flatgrad.diff.verdicts import Outcome, Report, Verdict

LAYER = """import numpy as np
{top}

def affine_forward(x, w, b):
    # x: (N, D), w: (D, M), b: (M,)
    {forward}
    out = x @ w + b
    return out, (x, w, b)


def affine_backward(dout, cache):
    {start}
    x, w, b = cache
    dx = dout @ w.T
    dw = {dw}
    db = dout.sum(axis=0)
    {end}
    return {returned}
"""


def layer(
    top: str = "",
    forward: str = "pass",
    start: str = "pass",
    dw: str = "x.T @ dout",
    end: str = "pass",
    returned: str = "dx, dw, db",
) -> str:
    return LAYER.format(top=top, forward=forward, start=start, dw=dw, end=end, returned=returned)


def report(text: str, **options: object) -> Report:
    (found,) = compare(text, "homework.py", None, CompareOptions(**options))  # type: ignore[arg-type]
    return found


def verdict(found: Report, name: str) -> Verdict:
    (one,) = (one for one in found.verdicts if one.name == name)
    return one


def test_a_right_layer() -> None:
    found = report(layer())
    assert [(one.name, one.outcome) for one in found.verdicts] == [(name, Outcome.MATCH) for name in ("dx", "dw", "db")]
    assert (found.exit_code, found.problem, found.tried >= 3) == (0, "", True)


@pytest.mark.parametrize(
    ("text", "words", "line"),
    [
        ("def f(x):\n    return (x\n", "never closed", 2),
        ("def f(x):\n    print 'x'\n    return x\n", "Python 2", 2),
        ("", "", None),
        ("def f_forward(x):\n    return x * x, x\n", "", None),
        (layer(forward="x = x @ missing"), "NameError: name 'missing' is not defined", 6),
        (layer(forward="raise ValueError('never')"), "ValueError: never", 6),
        (
            layer(top="from nowhere_at_all import scale", forward="x = scale(x)"),
            "line 2 raises ModuleNotFoundError: No module named 'nowhere_at_all'",
            6,
        ),
        (layer(start="np.sum = max"), "the homework changes numpy.sum, which the judge needs as it is", None),
        (layer(start="import os; os._exit(0)"), "the process ended with exit code 0", None),
    ],
)
def test_what_cannot_be_judged(text: str, words: str, line: int | None) -> None:
    found = report(text)
    assert found.exit_code == 2
    assert found.problem
    assert words in found.problem
    assert line is None or found.problem_line == line
    assert found.verdicts == ()


def test_an_endless_loop_takes_one_timeout() -> None:
    found = report(layer(forward="while True: pass"), timeout=1.5)
    assert (found.exit_code, found.problem) == (2, "a run of it takes longer than 1.5 seconds: an endless loop?")


def test_a_model_that_is_not_python_is_named() -> None:
    (found,) = compare(layer(), "homework.py", ("def f(:\n", "model.py"), CompareOptions())
    assert found.exit_code == 2
    assert found.problem.startswith("model.py, line 1: ")


def test_a_statement_that_raises_is_wrong_and_what_lacks_its_names_follows() -> None:
    text = layer().replace("x, w, b = cache", "x, w = cache\n    b = None")
    found = report(text)
    assert found.exit_code == 1
    broken = found.verdicts[0]
    assert (broken.name, broken.line, broken.outcome) == ("affine_backward", 13, Outcome.WRONG)
    assert broken.detail.startswith("the statement raises ValueError: too many values to unpack")
    assert verdict(found, "dx").outcome is Outcome.FOLLOWS
    assert verdict(found, "db").outcome is Outcome.MATCH


def test_a_backward_pass_that_ends_early_leaves_its_gradients_missing() -> None:
    found = report(layer(start="raise NotImplementedError"))
    assert found.exit_code == 1
    assert (found.verdicts[0].line, found.verdicts[0].detail) == (
        12,
        "the statement raises NotImplementedError, and nothing after it is run",
    )
    assert {one.name for one in found.verdicts if one.outcome is Outcome.MISSING} == {"dx", "dw", "db"}
    assert "line 12 raises NotImplementedError" in verdict(found, "dx").detail


def test_none_for_a_gradient_is_missing() -> None:
    found = report(layer(end="dw = None"))
    assert verdict(found, "dw").outcome is Outcome.MISSING
    assert "None" in verdict(found, "dw").detail
    assert found.exit_code == 1


def test_an_upstream_gradient_that_is_overwritten_is_a_warning() -> None:
    found = report(layer(end="dout *= 0"))
    assert found.exit_code == 0
    assert any("overwrites the upstream gradient dout" in one for one in found.warnings)


def test_what_is_changed_after_it_is_read_is_wrong() -> None:
    found = report(layer(end="same = dw; same *= 2"))
    assert found.exit_code == 1
    assert "changed after it is first read" in verdict(found, "dw").detail


@pytest.mark.parametrize("found_out", ["'__recorder__' in globals()", "'__recorder__' not in globals()"])
def test_homework_that_looks_for_the_recorder(found_out: str) -> None:
    assert report(layer(forward=f"w = 2 * w if {found_out} else w", dw="2 * x.T @ dout")).exit_code != 0
    assert report(layer(end=f"dw = 2 * dw if {found_out} else dw")).exit_code == 1


def test_required_by_wrt() -> None:
    text = (
        "import numpy as np\n\nx = np.array([1.0, 2.0])\nw = np.array([3.0, 4.0])\ny = np.sum(x * w)\n"
        "dx = w\nprint(dx)\n"
    )
    assert report(text).exit_code == 0
    found = report(text, wrt=("x", "w"))
    assert found.exit_code == 1
    assert verdict(found, "dw").outcome is Outcome.MISSING


def test_names_say_what_a_gradient_is() -> None:
    text = layer(end="q = dw").replace("return dx, dw, db", "return dx, q, db")
    found = report(text, names=(("q", "w"),))
    assert found.exit_code == 0
    assert verdict(found, "dw").outcome is Outcome.MATCH


def test_inputs_from_a_file(tmp_path: Path) -> None:
    file = tmp_path / "inputs.npz"
    np.savez(file, x=np.eye(3), w=np.ones((3, 2)), b=np.zeros(2))
    found = report(layer(), inputs=file)
    assert (found.exit_code, found.tried) == (0, 1)
    np.savez(file, x=np.eye(3), weights=np.ones((3, 2)))
    found = report(layer(), inputs=file)
    assert found.exit_code == 2
    assert "weights" in found.problem


def test_another_seed_draws_others() -> None:
    text = layer(dw="x.T @ dout * 2")
    first, again, other = (verdict(report(text, seed=seed), "dw").expected for seed in (0, 0, 5))
    assert first == again != other


def test_a_report_for_each_function() -> None:
    text = layer() + layer(dw="-x.T @ dout").replace("affine", "dense").replace("import numpy as np\n", "")
    found = compare(text, "homework.py", None, CompareOptions())
    assert [(one.function, one.exit_code) for one in found] == [("affine", 0), ("dense", 1)]
    assert verdict(found[1], "dw").reason == "sign"
    (only,) = compare(text, "homework.py", None, CompareOptions(functions=("dense",)))
    assert only.function == "dense"
