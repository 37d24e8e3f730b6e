"""What a person would write for the looping examples, in `handwritten/`: it is right, and what is compiled as short.

Length is the number of assignments of a backward function, the unpacking of its cache not counted.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

import pytest

from tests.example_cases import CASES, FILES, Case
from tests.support import EXAMPLES, Module, assignments, check_run, compiled, load

HANDWRITTEN = Path(__file__).resolve().parent / "handwritten"
STEMS = [path.stem.removesuffix("_grad") for path in sorted(HANDWRITTEN.glob("*_grad.py"))]
OPTIONS = {example.stem: dict(example.options) for example in FILES}
WRITTEN = [case for case in CASES if case.stem in STEMS]

# Where the compiler's backward function is longer, how long it is, and why. It may become shorter; a row goes when the
# function is as short as the handwritten one.
LONGER = {
    # `X.shape[0]` has a name
    ("hinge", "hinge_loss"): 5,
    # a gradient of its own for `scores[y[i]]`, which has a name in forward
    ("svm_naive", "svm_loss_naive"): 11,
    # the loop over the classes is not seen to be the sum of a softmax, whose maximum falls away
    ("softmax_naive", "softmax_loss_naive"): 10,
    # gradients of W and b have lines of their own before they go into dparams
    ("fully_connected", "fully_connected_loss"): 16,
    # a mode that is neither 'train' nor 'test' has zeros for its gradient
    ("dropout", "dropout"): 3,
    # what both modes have in common is not taken out of the branches
    ("normalization", "batchnorm"): 8,
    # dout[:, :, t] has a name
    ("conv1d", "conv1d"): 9,
    # transpose and reshape are reversed one by one
    ("conv_im2col", "conv"): 7,
    # what comes from a pair is added to what is there already in a line of its own
    ("conv_net", "conv_net_loss"): 13,
    # `dx[t]` and `dh` collect their contributions one by one, as everything does that is used several times
    ("gru", "gru"): 40,
    ("kalman", "kalman_log_likelihood"): 41,
    # zeros for what a round has written over, and a name for what stood there
    ("hmm", "hmm_log_likelihood"): 15,
    ("runge_kutta", "simulate"): 11,
}

by_case = pytest.mark.parametrize("case", WRITTEN, ids=lambda case: f"{case.stem}-{case.function}")


def handwritten(case: Case) -> str:
    return (HANDWRITTEN / f"{case.stem}_grad.py").read_text()


@cache
def written(stem: str) -> str:
    path = EXAMPLES / f"{stem}.py"
    return compiled(path.read_text(), str(path), **OPTIONS[stem]).text


@pytest.mark.parametrize(
    ("case", "size"),
    [
        pytest.param(case, size, id=f"{case.stem}-{case.function}-{label}")
        for case in WRITTEN
        for size, label in enumerate(case.sizes)
    ],
)
def test_handwritten_module_is_right(case: Case, size: int) -> None:
    module = Module(handwritten(case), load(handwritten(case)))
    check_run(
        module,
        case.source,
        case.function,
        case.draw(size),
        case.wrt,
        select=case.select,
        differentiable=size not in case.scores_only,
    )


@by_case
def test_compiled_backward_is_as_short(case: Case) -> None:
    backward = f"{case.function}_backward"
    length, by_hand = (assignments(text, backward) for text in (written(case.stem), handwritten(case)))
    row = LONGER.get((case.stem, case.function))
    assert length <= (by_hand if row is None else row)
    assert row is None or length > by_hand, "as short as by hand: take its row out of LONGER"


def test_every_row_is_about_a_function() -> None:
    assert LONGER.keys() <= {(case.stem, case.function) for case in WRITTEN}
    assert len(STEMS) == len({case.stem for case in WRITTEN})
