"""Planted mistakes: each is a correct homework with one thing changed (or two, in `TWO`), as people get it wrong."""

from __future__ import annotations

from tests.homework.mistakes.layers import LAYERS
from tests.homework.mistakes.losses import LOSSES
from tests.homework.mistakes.networks import NETWORKS
from tests.homework.mistakes.normalization import NORMALIZATION
from tests.homework.mistakes.planted import Mistake, both
from tests.homework.mistakes.recurrent import RECURRENT
from tests.homework.mistakes.scripts import SCRIPTS
from tests.homework.mistakes.windows import WINDOWS

__all__ = ["BY_NAME", "MISTAKES", "SINGLE", "TWO", "Mistake"]

SINGLE = (*LAYERS, *LOSSES, *NETWORKS, *NORMALIZATION, *RECURRENT, *SCRIPTS, *WINDOWS)
BY_NAME = {mistake.name: mistake for mistake in SINGLE}

# Two independent mistakes in one homework: both must be named.
TWO = tuple(
    both(BY_NAME[first], BY_NAME[second])
    for first, second in (
        ("affine-db-axis", "affine-dw-not-transposed"),
        ("affine-db-mean", "affine-dx-not-transposed"),
        ("softmax-no-regulariser", "softmax-stray-division"),
        ("two-layer-db1-axis", "two-layer-reg-factor-W2"),
        ("two-layer-relu-not-masked", "two-layer-reg-missing-W1"),
        ("bn-staged-sq-factor", "bn-staged-dbeta-not-summed"),
        ("bn-paper-dvar-sign", "bn-paper-dgamma-without-xhat"),
        ("lstm-do-tanh-missing", "lstm-da-f-sigmoid"),
        ("rnn-step-db-not-summed", "rnn-step-dWh-from-x"),
        ("conv-stride-forgotten", "conv-db-axes"),
        ("circuit-overwrites-dx", "circuit-dden-sign"),
        ("gru-dx-overwritten", "gru-dz-sign"),
        ("delta1-post-derivative", "delta2-no-activation"),
        ("attention-scale", "attention-dV-transposed"),
    )
)

MISTAKES = (*SINGLE, *TWO)
