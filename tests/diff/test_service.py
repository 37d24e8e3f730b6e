"""One run of a homework in its process: what comes back of gradients of every kind, of crashes, of what it changed."""

from __future__ import annotations

import numpy as np
import pytest

from flatgrad.diff.judging.instrument import instrument
from flatgrad.diff.judging.runner import Overtime, Runner, Tampered
from flatgrad.diff.judging.runs import Draw, Record, Run
from flatgrad.diff.reading.reading import read_homework
from flatgrad.sandbox.process import SandboxFailure

TEXT = """import numpy as np
{top}

def scaled_forward(x, w):
    {forward}
    out = x * w
    return out, (x, w)


def scaled_backward(dout, cache):
    x, w = cache
    dx = {dx}
    dw = dout * x
    {end}
    return dx, dw
"""
DRAW = Draw({"x": np.array([1.0, 2.0]), "w": np.array([3.0, 5.0])}, 0, 0)


def ran(
    top: str = "",
    forward: str = "pass",
    dx: str = "dout * w",
    end: str = "pass",
    total: float = 60.0,
    draw: Draw = DRAW,
) -> Run:
    (homework,) = read_homework(TEXT.format(top=top, forward=forward, dx=dx, end=end), "homework.py")
    with Runner(10.0, total) as runner:
        return runner.run(runner.load(instrument(homework), homework), draw, {})


def made_in(run: Run, line: int) -> Record:
    """The gradient that a line makes."""
    (record,) = (one for one in run.records if one.key[1] == (line,))
    return record


def test_results_and_gradients_come_back() -> None:
    run = ran()
    assert (run.crash, run.crashes, dict(run.absent)) == ("", (), {})
    assert run.results[0].tolist() == [3.0, 10.0]
    assert len(run.records) == 2
    for line, factor in ((12, [3.0, 5.0]), (13, [1.0, 2.0])):
        value = made_in(run, line).value
        assert value is not None
        assert value.tolist() == (run.upstream[0] * factor).tolist()


@pytest.mark.parametrize(
    ("dx", "kept", "failed"),
    [
        ("(dout * w).tolist()", True, ""),
        ("(dout * w).astype(object)", True, ""),
        ("dout * np.nan", True, ""),
        ("dout * w * (1 + 0j)", False, "no numbers: complex128"),
        ("[[1.0], 2.0]", False, "no numbers: list"),
        ("np.full(2, np.datetime64('2020-01-01'))", False, "no numbers: datetime64[D]"),
        ("np.zeros(2, dtype=[('a', float)])", False, "no numbers: [('a', '<f8')]"),
        ("np.broadcast_to(0.0, (10**6, 10**6))", False, "no numbers: float64"),
        ("np.sum", False, "no numbers: _ArrayFunctionDispatcher"),
        ("Odd()", False, "no numbers: Odd"),
        ("dout @ nothing", False, "NameError: name 'nothing' is not defined"),
    ],
)
def test_gradients_of_every_kind(dx: str, kept: bool, failed: str) -> None:
    top = "class Odd:\n    def __array__(self, *args, **kwargs):\n        raise SystemExit"
    first = made_in(ran(top=top, dx=dx), 14)
    assert ((first.value is not None), first.failed) == (kept, failed)


@pytest.mark.parametrize(("dx", "kind"), [("None", "None"), ("'dout'", "str"), ("True", "bool")])
def test_what_is_no_gradient_is_absent(dx: str, kind: str) -> None:
    run = ran(dx=dx)
    assert dict(run.absent) == {0: kind}
    assert len(run.records) == 1


def test_a_list_that_holds_itself_has_no_value() -> None:
    run = ran(top="def tied():\n    own = []\n    own.append(own)\n    return own", dx="tied()")
    record = made_in(run, 15)
    assert record.value is None
    assert record.failed == "no numbers: list"


@pytest.mark.parametrize(
    ("forward", "crash"),
    [
        ("raise SystemExit('bye')", "SystemExit: bye"),
        ("raise KeyboardInterrupt", "KeyboardInterrupt"),
        ("raise Silent()", "Silent"),
        ("x = x @ missing", "NameError: name 'missing' is not defined"),
    ],
)
def test_a_crash_of_the_forward_pass_has_its_line(forward: str, crash: str) -> None:
    run = ran(top="class Silent(Exception):\n    def __str__(self):\n        raise self", forward=forward)
    assert (run.crash, run.stage, run.line) == (crash, "forward", 7)


def test_a_crash_of_the_backward_pass() -> None:
    run = ran(end="raise SystemExit(3)")
    assert (run.crash, run.stage, run.line) == ("SystemExit: 3", "backward", 14)
    assert sorted(run.absent) == [0, 1]
    run = ran(end="x, w, b = cache")
    assert run.crash == ""
    assert [(one.line, one.targets) for one in run.crashes] == [(14, ())]
    assert run.crashes[0].text.startswith("ValueError: not enough values")


def test_what_the_top_of_a_file_fails_to_do_is_said_where_it_is_missed() -> None:
    run = ran(top="from no_such_module import scale", forward="x = scale(x)")
    assert run.crash == "NameError: name 'scale' is not defined"
    assert run.failed == ((2, "ModuleNotFoundError: No module named 'no_such_module'"),)


@pytest.mark.parametrize(
    ("where", "names"),
    [
        ({"top": "np.sum = max"}, ("numpy.sum",)),
        ({"end": "np.exp = np.log = None"}, ("numpy.exp", "numpy.log")),
        ({"top": "import builtins\nbuiltins.len = lambda value: 0"}, ("builtins.len",)),
    ],
)
def test_what_homework_changes_is_named(where: dict[str, str], names: tuple[str, ...]) -> None:
    with pytest.raises(Tampered) as caught:
        ran(**where)  # type: ignore[arg-type]
    assert caught.value.names == names


@pytest.mark.parametrize("top", ["np.float_ = float", "np.seterr(all='raise')", "np.random.seed(3)", "len = max"])
def test_what_homework_may_do(top: str) -> None:
    assert len(ran(top=top).records) == 2


def test_a_function_that_is_put_back_in_time_has_not_fooled_the_recorder() -> None:
    text = TEXT.format(top="", forward="pass", dx="dout * w * 2", end="y = dx + 0\n    np.array = array")
    text = text.replace("    dx =", "    array = np.array\n    np.array = lambda *args, **kwargs: 0.0\n    dx =")
    (homework,) = read_homework(text, "homework.py")
    with Runner(10.0) as runner:
        run = runner.run(runner.load(instrument(homework), homework), DRAW, {})
    value = made_in(run, 14).value
    assert value is not None
    assert value.tolist() == (run.upstream[0] * [6.0, 10.0]).tolist()


def test_all_runs_together_are_limited() -> None:
    with pytest.raises(Overtime, match="2 seconds altogether"):
        ran(forward="while True: pass", total=2.0)


def test_a_process_that_ended_is_replaced() -> None:
    text = TEXT.format(top="import os", forward="os._exit(0) if x[0] > 5 else None", dx="dout * w", end="pass")
    (homework,) = read_homework(text, "homework.py")
    with Runner(10.0) as runner:
        number = runner.load(instrument(homework), homework)
        with pytest.raises(SandboxFailure) as caught:
            runner.run(number, Draw({"x": np.array([9.0]), "w": np.array([1.0])}, 0, 0), {})
        assert caught.value.kind == "exited"
        assert runner.run(number, DRAW, {}).results[0].tolist() == [3.0, 10.0]
