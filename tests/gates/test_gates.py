"""Tests made from the gate table: every entry is proved where that can be done, and checked by numbers always.

`flatgrad.proving.checks` says what an entry is held to.

The names of the tests are `section.gate`: `pytest tests/gates -k elementwise` runs one section.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from flatgrad.gates import SECTIONS
from flatgrad.gates.entry import TABLE, Gate
from flatgrad.proving import checks, concrete_site

SECTION_OF = {name: section for section, names in SECTIONS.items() for name in names}


def gates(condition: Callable[[Gate], bool] = lambda entry: True) -> pytest.MarkDecorator:
    chosen = [entry for entry in TABLE.values() if condition(entry)]
    return pytest.mark.parametrize("entry", chosen, ids=[f"{SECTION_OF.get(e.name, '')}.{e.name}" for e in chosen])


def is_differentiable(entry: Gate) -> bool:
    return bool(entry.backward)


@gates()
def test_entry_is_complete(entry: Gate) -> None:
    checks.complete(entry)


@gates(is_differentiable)
def test_backward_is_proved(entry: Gate) -> None:
    checks.proved(entry)


@gates(is_differentiable)
@pytest.mark.parametrize("mode", concrete_site.MODES)
def test_backward_agrees_with_differences(entry: Gate, mode: str) -> None:
    checks.agrees_with_differences(entry, mode)


@gates(lambda entry: is_differentiable(entry) and checks.takes_broadcasts(entry))
def test_broadcast_operands(entry: Gate) -> None:
    checks.broadcasts(entry)


@gates(lambda entry: is_differentiable(entry) and entry.elementwise and len(entry.operands) == 2)
@pytest.mark.parametrize("literal", ["x", "y"])
def test_literal_operand(entry: Gate, literal: str) -> None:
    checks.literal_operand(entry, literal)


@gates()
@pytest.mark.parametrize("mode", concrete_site.MODES)
def test_shape_rule(entry: Gate, mode: str) -> None:
    checks.shape_rule(entry, mode)


@gates()
def test_dtype_rule(entry: Gate) -> None:
    checks.dtype_rule(entry)


@gates(is_differentiable)
def test_float32_stays(entry: Gate) -> None:
    checks.float32_stays(entry)


@gates(lambda entry: is_differentiable(entry) and entry.elementwise and entry.operands == ("x", "y"))
@pytest.mark.parametrize("scalar", ["x", "y"])
def test_float32_beside_a_python_float(entry: Gate, scalar: str) -> None:
    checks.float32_beside_a_python_float(entry, scalar)


@gates(is_differentiable)
def test_whole_numbers(entry: Gate) -> None:
    checks.whole_numbers(entry)


@gates(lambda entry: is_differentiable(entry) and entry.spellings[0].path.startswith(("numpy.", "scipy.")))
def test_list_operands(entry: Gate) -> None:
    checks.list_operands(entry)


@gates()
def test_spellings_agree(entry: Gate) -> None:
    checks.spellings_agree(entry)


@gates()
def test_views_are_declared(entry: Gate) -> None:
    checks.views_are_declared(entry)


@gates(is_differentiable)
def test_same_bits_twice(entry: Gate) -> None:
    checks.same_bits_twice(entry)
