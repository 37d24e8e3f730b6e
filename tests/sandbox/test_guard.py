"""What homework rebinds is named and put back; what it may well do is no change."""

from __future__ import annotations

import builtins
import math
import random
import sys
from collections.abc import Iterator

import numpy as np
import numpy.random
import pytest

from flatgrad.sandbox import guard
from flatgrad.sandbox.process import Sandbox
from tests.sandbox.support import SERVICE


@pytest.fixture
def before() -> Iterator[guard.Snapshot]:
    taken = guard.snapshot()
    yield taken
    guard.patched(taken)


def test_nothing_changed(before: guard.Snapshot) -> None:
    assert guard.patched(before) == []


def test_names_are_put_back(before: guard.Snapshot, monkeypatch: pytest.MonkeyPatch) -> None:
    total, pi, length, norm, exp, draw = np.sum, np.pi, len, np.linalg.norm, math.exp, random.random
    np.sum = np.random.seed = None  # type: ignore[assignment]
    setattr(np, "pi", 3)  # noqa: B010
    del np.linalg.norm
    math.exp = random.random = abs  # type: ignore[assignment]
    builtins.len = lambda x: 3
    assert guard.patched(before) == [
        "builtins.len",
        "math.exp",
        "numpy.linalg.norm",
        "numpy.pi",
        "numpy.random.seed",
        "numpy.sum",
        "random.random",
    ]
    assert (np.sum, np.pi, len, np.linalg.norm) == (total, pi, length, norm)
    assert (math.exp, random.random) == (exp, draw)
    assert callable(np.random.seed)
    assert guard.patched(before) == []


def test_what_claims_to_be_equal_is_another(before: guard.Snapshot) -> None:
    class Equal:
        def __eq__(self, other: object) -> bool:
            return True

        __hash__ = None  # type: ignore[assignment]

    np.dot = Equal()  # type: ignore[assignment]
    assert guard.patched(before) == ["numpy.dot"]


def test_modules_are_put_back(before: guard.Snapshot) -> None:
    numpy, linalg = sys.modules["numpy"], sys.modules["numpy.linalg"]
    sys.modules["numpy"] = math
    del sys.modules["numpy.linalg"]
    assert guard.patched(before) == ['sys.modules["numpy"]', 'sys.modules["numpy.linalg"]']
    assert sys.modules["numpy"] is numpy
    assert sys.modules["numpy.linalg"] is linalg


def test_a_module_that_becomes_something_else_is_put_back(before: guard.Snapshot) -> None:
    class Evil(type(math)):  # type: ignore[misc]
        @property
        def sum(self) -> int:
            return 3

    np.__class__ = Evil
    assert guard.patched(before) == ["numpy.__class__"]
    assert type(np) is type(math)


def test_methods_of_numpys_classes_are_put_back(before: guard.Snapshot) -> None:
    call = np.vectorize.__call__
    np.vectorize.__call__ = abs  # type: ignore[method-assign, assignment]
    assert guard.patched(before) == ["numpy.vectorize.__call__"]
    assert np.vectorize.__call__ is call


def test_settings_are_put_back_without_a_word(before: guard.Snapshot) -> None:
    import signal

    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(limit + 17)
    signal.setitimer(signal.ITIMER_REAL, 100.0)
    assert guard.patched(before) == []
    assert sys.getrecursionlimit() == limit
    assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)


HARMLESS = """
import warnings, random, math, copy, functools, collections, itertools, json, re, time, typing, dataclasses, threading
import logging, contextlib, io, sys, decimal, unittest.mock
import numpy as np
import numpy.ma, numpy.testing, numpy.polynomial
np.float = float
np.int = int
np.random.seed(3)
np.random.set_state(np.random.get_state())
random.seed(3)
np.set_printoptions(precision=3, suppress=True)
np.seterr(all="ignore")
warnings.filterwarnings("ignore")
with warnings.catch_warnings():
    warnings.simplefilter("error")
with contextlib.redirect_stdout(io.StringIO()):
    print(np.eye(3), np.float32(1), np.ma.ones(3))
with unittest.mock.patch("numpy.sum"):
    pass
logging.basicConfig()
decimal.getcontext().prec = 50
sys.path.insert(0, ".")
sys.stdout = io.StringIO()
sys.setrecursionlimit(5000)
@dataclasses.dataclass
class A:
    x: typing.Any = 3
class Sub(np.ndarray):
    pass
rng = np.random.default_rng(0)
rng.normal(size=3); np.random.randn(3); np.random.RandomState(3).randn(2)
np.linalg.svd(np.eye(3)); np.fft.fft(np.ones(3)); np.einsum("ij,jk->ik", np.eye(2), np.eye(2), optimize=True)
np.vectorize(lambda x: x)(np.ones(2)); np.poly1d([1, 2])(3); np.testing.assert_allclose(1, 1)
np.add.at(np.zeros(3), [0, 0], 1); np.array2string(np.ones(2)); np.errstate(all="raise").__enter__()
import scipy.special, scipy.optimize, scipy.signal
scipy.optimize.minimize(lambda x: (x**2).sum(), np.ones(2))
"""


def test_what_homework_may_well_do_is_no_change() -> None:
    with Sandbox(SERVICE) as box:
        reply, _ = box.call({"code": HARMLESS}, {}, timeout=60.0)
    assert reply == {"error": "", "patched": [], "value": None}
