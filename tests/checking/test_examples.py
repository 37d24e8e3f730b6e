"""`check` on the examples: everything passes, and a factor of 1 + 1e-3 in any gradient is found."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import pytest

from flatgrad.checking.check import Outcome, check_drawn
from flatgrad.checking.contract import Pair, pairs
from flatgrad.checking.inputs import Parameter, describe
from flatgrad.checking.loading import beside, run_module
from flatgrad.checking.rows import Settings
from flatgrad.checking.subject import Model, find_model
from flatgrad.options import Options
from tests.example_cases import CASES, FILES
from tests.support import EXAMPLES

FACTOR = 1 + 1e-3


@dataclass(frozen=True, slots=True)
class Subject:
    """One function of one example, with what is needed to check it."""

    pair: Pair
    model: Model
    parameters: tuple[Parameter, ...]


@functools.cache
def subject(stem: str, function: str) -> Subject:
    path = EXAMPLES / f"{stem}.py"
    text = next(example for example in FILES if example.stem == stem).committed()
    with beside(EXAMPLES):
        model = find_model(run_module(path.read_text(), str(path), stem), function)
        names = run_module(text, f"{stem}_grad.py", f"{stem}_grad")
    (pair,) = (pair for pair in pairs(names, text) if pair.name == function)
    assert model is not None
    return Subject(pair, model, describe(path.read_text(), str(path), function, Options()))


def checked(of: Subject, pair: Pair, wrt: tuple[str, ...] = (), directions: int = 0) -> Outcome:
    return check_drawn(pair, of.model, of.parameters, Settings(wrt=wrt, directions=directions))


@functools.cache
def outcome(stem: str, function: str) -> Outcome:
    of = subject(stem, function)
    return checked(of, of.pair)


by_function = pytest.mark.parametrize(
    ("stem", "function"), [(case.stem, case.function) for case in CASES], ids=lambda name: name
)


@by_function
def test_example_passes(stem: str, function: str) -> None:
    found = outcome(stem, function)
    assert found.exit_code == 0, found
    assert {row.verdict for row in found.rows} == {"ok"}
    case = next(case for case in CASES if (case.stem, case.function) == (stem, function))
    assert {row.name.partition("[")[0] for row in found.rows} == set(case.wrt)


@by_function
def test_no_gradient_of_an_example_is_zero_where_it_is_checked(stem: str, function: str) -> None:
    assert [row.name for row in outcome(stem, function).rows if row.weak] == []


@by_function
def test_a_factor_in_any_gradient_is_found(stem: str, function: str) -> None:
    of = subject(stem, function)
    for row in outcome(stem, function).rows:
        name, _, key = row.name.partition("[")
        spoilt = replace(of.pair, backward=_spoilt(of.pair, name, key.strip("]'")), value_and_grad=None)
        # Arrays of hundreds of elements by projections: a factor shows in those as well.
        found = checked(of, spoilt, (key.strip("]'") or name,), 8 if stem in ("conv_naive", "conv_net") else 0)
        assert found.exit_code == 1, row.name
        assert [one.name for one in found.rows if one.verdict == "wrong"] == [row.name]


def _spoilt(pair: Pair, variable: str, key: str) -> Callable[..., Any]:
    """The backward function with one of its gradients, or one entry of it, multiplied."""
    assert pair.backward is not None
    backward = pair.backward

    def spoil(gradient: Any) -> Any:
        if key:
            return {name: one * FACTOR if name == key else one for name, one in gradient.items()}
        return gradient * FACTOR

    def call(*arguments: Any) -> Any:
        returned = backward(*arguments)
        if not isinstance(returned, tuple):
            return spoil(returned)
        place = pair.gradients.index(f"d{variable}")
        return (*returned[:place], spoil(returned[place]), *returned[place + 1 :])

    return call
