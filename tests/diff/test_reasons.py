"""Why a line is wrong, which of several lines it is, and that nothing is said that was not confirmed."""

from __future__ import annotations

import textwrap
from dataclasses import dataclass

import pytest

from flatgrad.diff.compare import make_case
from flatgrad.diff.judging.judge import judge
from flatgrad.diff.judging.runner import Runner
from flatgrad.diff.options import CompareOptions
from flatgrad.diff.reading.reading import read_homework
from flatgrad.diff.reasons.repairs import explain_all
from flatgrad.diff.verdicts import Outcome
from flatgrad.diff.vocabulary import REASONS

HEAD = "import numpy as np\n\n\n"


@dataclass(frozen=True, slots=True)
class Said:
    """What is said of a wrong gradient, and the text of the line that is named."""

    reason: str
    detail: str
    hint: str
    repair: str
    line: int
    source: str


def wrong_in(text: str) -> Said:
    """The one gradient that is at fault."""
    whole = HEAD + textwrap.dedent(text).lstrip()
    (homework,) = read_homework(whole, "homework.py", (), {})
    with Runner(20.0) as runner:
        case = make_case(homework, runner, CompareOptions())
        found = judge(case)
        wrong = [one for one in found if one.outcome is Outcome.WRONG]
        explained = explain_all(case, found)
    assert [one.group.key for one in wrong] == list(explained)
    assert len(wrong) == 1, wrong
    (why,) = explained.values()
    line = why.line or max(wrong[0].group.lines)
    return Said(why.reason, why.detail, why.hint, why.repair, line, whole.splitlines()[line - 1].strip())


NET = '''
def net(X, y, W1, b1, W2, b2, reg):
    """X of shape (N, D), y (N, C), W1 (D, H), b1 (H,), W2 (H, C), b2 (C,)"""
    N = X.shape[0]
    z = X @ W1 + b1
    h = np.tanh(z)
    a = np.maximum(0, h)
    scores = a @ W2 + b2
    loss = np.sum((scores - y) ** 2) / N + reg * np.sum(W2 * W2)
    dscores = 2 * (scores - y) / N
    dW2 = a.T @ dscores
    dW2 += 2 * reg * W2
    db2 = np.sum(dscores, axis=0)
    da = dscores @ W2.T
    dh = da * (h > 0)
    dz = dh * (1 - h ** 2)
    dW1 = X.T @ dz
    db1 = np.sum(dz, axis=0)
    return loss, {"W1": dW1, "b1": db1, "W2": dW2, "b2": db2}
'''

LAYER = """
def normalize_forward(x):
    length = np.sqrt(np.sum(x * x, axis=1, keepdims=True))
    out = x / length
    return out, (x, length)

def normalize_backward(dout, cache):
    x, length = cache
    dlength = -np.sum(dout * x, axis=1, keepdims=True) / length ** 2
    dx = dout / length
    dx += dlength * x / length
    return dx
"""

CROP = '''
def crop_forward(x, pad):
    """x of shape (N, D)"""
    wide = np.pad(x, ((0, 0), (pad, pad)))
    out = wide * wide
    return out, (wide, pad)

def crop_backward(dout, cache):
    wide, pad = cache
    dwide = 2 * wide * dout
    dx = dwide[:, pad:dwide.shape[1] - pad]
    return dx
'''

TABLE = '''
def embed_forward(ids, W):
    """ids of shape (N, T), integers below V; W of shape (V, D)"""
    out = W[ids]
    return out, (ids, W)

def embed_backward(dout, cache):
    ids, W = cache
    dW = np.zeros_like(W)
    np.add.at(dW, ids, dout)
    return dW
'''

STACK = '''
def stack_forward(x):
    """x of shape (N, D)"""
    out = np.exp(x).reshape(-1)
    return out, x

def stack_backward(dout, x):
    dx = dout.reshape(x.shape) * np.exp(x)
    return dx
'''


@dataclass(frozen=True, slots=True)
class Case:
    """One change of a right homework, and what has to be said of it."""

    reason: str
    homework: str
    old: str
    new: str
    repair: str = ""
    said: str = ""
    line: str = ""

    def text(self) -> str:
        assert self.homework.count(self.old) == 1
        return self.homework.replace(self.old, self.new)

    def line_of(self, text: str) -> int:
        lines = (HEAD + textwrap.dedent(text).lstrip()).splitlines()
        (found,) = [number for number, line in enumerate(lines, 1) if (self.line or self.new.strip()) in line]
        return found


CASES = (
    Case(
        "sign",
        NET,
        "dscores = 2 * (scores - y) / N",
        "dscores = 2 * (y - scores) / N",
        "dscores = 2 * (scores - y) / N",
    ),
    Case("factor", NET, "dscores = 2 * (scores - y) / N", "dscores = (scores - y) / N", said="2"),
    Case("factor", NET, "dscores = 2 * (scores - y) / N", "dscores = 2 * (scores - y)", said="N"),
    Case("factor", NET, "dW2 += 2 * reg * W2", "dW2 += reg * W2", said="2"),
    Case("overwritten", NET, "dW2 += 2 * reg * W2", "dW2 = 2 * reg * W2", "dW2 += 2 * reg * W2"),
    Case("missing-term", NET, "    dW2 += 2 * reg * W2\n", "", said="2 * reg * W2", line="dW2 = a.T"),
    Case("transposed", NET, "dW1 = X.T @ dz", "dW1 = dz.T @ X"),
    Case("transposed", NET, "da = dscores @ W2.T", "da = dscores @ W2", "da = dscores @ W2.T"),
    Case("wrong-axis", NET, "db1 = np.sum(dz, axis=0)", "db1 = np.sum(dz, axis=1)", "db1 = np.sum(dz, axis=0)"),
    Case("not-summed", NET, "db1 = np.sum(dz, axis=0)", "db1 = dz", "db1 = np.sum(dz, axis=0)"),
    Case("mean-for-sum", NET, "db1 = np.sum(dz, axis=0)", "db1 = np.mean(dz, axis=0)", "db1 = np.sum(dz, axis=0)"),
    Case("upstream", NET, "dz = dh * (1 - h ** 2)", "dz = 1 - h ** 2", said="dh"),
    Case("wrong-point", NET, "(1 - h ** 2)", "(1 - z ** 2)", "dz = dh * (1 - h ** 2)", line="dz = "),
    Case("wrong-gradient", NET, "dW1 = X.T @ dz", "dW1 = X.T @ dh", "dW1 = X.T @ dz"),
    Case("mask", NET, "dh = da * (h > 0)", "dh = da", "dh = da * (h > 0)", line="dh = da"),
    Case("missing-path", LAYER, "    dx += dlength * x / length\n", "", said="path", line="dx = dout"),
    Case("overwritten", LAYER, "dx += dlength * x / length", "dx = dlength * x / length"),
    Case("sign", LAYER, "dlength = -np.sum", "dlength = np.sum", line="dlength ="),
    Case("geometry", CROP, "pad:dwide.shape[1] - pad", "pad:-pad", said="pad", line="dx ="),
    Case("scatter", TABLE, "np.add.at(dW, ids, dout)", "dW[ids] += dout", "np.add.at(dW, ids, dout)"),
    Case("shape", STACK, "dx = dout.reshape(x.shape) * np.exp(x)", "dx = dout * np.exp(x).reshape(-1)"),
)


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.reason}: {case.new.strip() or case.old.strip()}")
def test_a_reason_its_line_and_the_repair_are_found(case: Case) -> None:
    text = case.text()
    said = wrong_in(text)
    assert (said.reason, said.line) == (case.reason, case.line_of(text)), said
    assert case.said in said.detail
    assert not case.repair or said.repair == case.repair


def test_every_word_of_the_vocabulary_is_tried() -> None:
    assert {case.reason for case in CASES} | {"unexplained"} == set(REASONS)


def test_the_hint_does_not_give_the_answer() -> None:
    said = wrong_in(NET.replace("dscores = 2 * (scores - y) / N", "dscores = (scores - y) / N"))
    assert said.hint == REASONS["factor"]
    assert "2" not in said.hint


def test_what_nothing_explains_is_said_to_be_wrong_and_no_more() -> None:
    said = wrong_in(NET.replace("dz = dh * (1 - h ** 2)", "dz = np.sin(dh) * np.cos(3 * h) + 0.1 * z"))
    assert (said.reason, said.repair) == ("unexplained", "")


def test_a_statement_that_raises_is_said_to_raise() -> None:
    said = wrong_in(NET.replace("dW1 = X.T @ dz", "dW1 = X.T @ dz @ y @ y @ y.T"))
    assert said.reason == "shape"
    assert "raises" in said.detail


def test_a_repair_that_holds_for_some_inputs_only_is_not_reported() -> None:
    # A division by N is right where N is 4, and N is not always 4.
    said = wrong_in(NET.replace("db1 = np.sum(dz, axis=0)", "db1 = np.sum(dz, axis=0) * (4 if N == 4 else 4.5)"))
    assert "* N" not in said.repair
    assert "/ N" not in said.repair


def test_one_statement_that_computes_no_gradient_is_named_for_all_that_it_spoils() -> None:
    text = NET.replace("dh = da * (h > 0)", "on = h < 0\n    dh = da * on")
    said = wrong_in(text)
    assert said.reason == "mask"
    assert said.repair in ("on = h > 0", "on = h >= 0", "dh = da * (h > 0)")


def test_a_weight_that_is_updated_too_early_is_named() -> None:
    text = NET.replace("    da = dscores @ W2.T\n", "    W2 = W2 - 0.1 * dW2\n    da = dscores @ W2.T\n")
    said = wrong_in(text)
    assert said.reason == "wrong-point"
    assert said.source == "W2 = W2 - 0.1 * dW2"


def test_a_path_that_counts_as_constant_is_named() -> None:
    said = wrong_in("""
    def softmax_forward(z):
        \"\"\"z of shape (N, C)\"\"\"
        e = np.exp(z)
        total = np.sum(e, axis=1, keepdims=True)
        p = e / total
        return p, p

    def softmax_backward(dout, p):
        dz = dout * p
        return dz
    """)
    assert said.reason == "missing-path"
    assert "`total`" in said.detail
    assert said.hint == REASONS["missing-path"]
