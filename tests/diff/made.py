"""Reports made by hand, for the tests of what is printed of them."""

from __future__ import annotations

from dataclasses import replace

from flatgrad.diff.verdicts import Outcome, Report, Verdict

TEXT = """\
import numpy as np


def net(X, y, W1, W2, reg):
    N = X.shape[0]
    h = np.maximum(0, X @ W1)
    scores = h @ W2
    loss = np.sum((scores - y) ** 2) / N + reg * np.sum(W2 * W2)
    dscores = 2 * (scores - y) / N
    dW2 = h.T @ dscores
    dh = dscores @ W2.T
    dh[h < 0] = 0
    dW1 = X.T @ dh
    return loss, (dW1, dW2)
"""

REFERENCE = """\
# (4) loss = np.sum((scores - y) ** 2) / N + reg * np.sum(W2 * W2)
dW2 = reg * 2 * W2
# (2) scores = h @ W2
dW2 += h.T @ dscores"""

MATCH = Verdict("dscores", "scores", "dscores", 9, Outcome.MATCH, source="dscores = 2 * (scores - y) / N")
WRONG = Verdict(
    "dW2",
    "W2",
    "dW2",
    10,
    Outcome.WRONG,
    "missing-term",
    "the gradient of the regulariser in line 8 is not added",
    "a term of the loss reads W2 too",
    (5, 3),
    (5, 3),
    0.25,
    "dW2 = h.T @ dscores",
    REFERENCE,
    (7, 8),
    "dW2 = h.T @ dscores + 2 * reg * W2",
    required=True,
)
FAULTY = Verdict(
    "dh",
    "h",
    "dh",
    12,
    Outcome.WRONG,
    "unexplained",
    "",
    "",
    (4, 5),
    (5, 4),
    None,
    "dh[h < 0] = 0",
    "# (2) scores = h @ W2\ndh = dscores @ W2.T",
    (7,),
    expected="[[0.125 0.25]]",
    actual="[[0.5 0.75]]",
)
FOLLOWS = Verdict("dW1", "W1", "dW1", 13, Outcome.FOLLOWS, source="dW1 = X.T @ dh", required=True)
MISSING = Verdict("dX", "X", "dX", None, Outcome.MISSING, required=True, uses=(6,))
UNKNOWN = Verdict("dtmp", "", "dtmp", 11, Outcome.UNKNOWN, source="dtmp = dscores")

CLEAN = Report("clean.py", "net", (MATCH, replace(WRONG, outcome=Outcome.MATCH, reason="", detail="")), (), TEXT)
FAILED = Report(
    "hw.py",
    "net",
    (MATCH, WRONG, FAULTY, FOLLOWS, MISSING, UNKNOWN),
    ("dout is overwritten in line 12",),
    TEXT,
    tried=6,
    steps=((6, 1), (7, 2), (8, 4)),
)
PROBLEM = Report("bad.py", "net", (), (), "x = 1\ny = x.foo\n", "the forward pass raises AttributeError", 2)
