"""The sets themselves, by central differences: what is in `correct/` is right, a planted mistake changes a gradient."""

from __future__ import annotations

import pytest

from tests.homework.mistakes import MISTAKES, SINGLE, Mistake
from tests.homework.runs import CORRECT, RUNS, SEEDS, Run, errors, original
from tests.homework.variants import VARIANTS

BY_FUNCTION = {(run.file, run.function): run for run in RUNS}


@pytest.mark.parametrize("run", RUNS, ids=lambda run: f"{run.file}:{run.function}")
def test_correct_homework_is_right(run: Run) -> None:
    for seed in SEEDS:
        assert errors(run, original(run.file), seed) == {}


def test_every_correct_file_is_run() -> None:
    assert {run.file for run in RUNS} == {path.name for path in CORRECT.iterdir() if path.is_file()}


@pytest.mark.parametrize("variant", VARIANTS, ids=lambda variant: variant.name)
def test_harmless_change_is_right(variant: Mistake) -> None:
    run = BY_FUNCTION[variant.homework, variant.function]
    for seed in SEEDS:
        assert errors(run, variant.text(), seed) == {}


@pytest.mark.parametrize("mistake", MISTAKES, ids=lambda mistake: mistake.name)
def test_mistake_changes_a_gradient(mistake: Mistake) -> None:
    run = BY_FUNCTION[mistake.homework, mistake.function]
    assert any(errors(run, mistake.text(), seed) for seed in SEEDS)
    for fault in mistake.faults:
        assert fault.reasons
        assert mistake.homework.endswith(".ipynb") or mistake.lines(fault)


def test_mistakes_are_enough() -> None:
    names = [mistake.name for mistake in MISTAKES]
    assert len(set(names)) == len(names)
    assert len(SINGLE) >= 120
    assert len({mistake.homework for mistake in SINGLE}) >= 12
    words = {fault.reasons[0] for mistake in SINGLE for fault in mistake.faults}
    assert words >= {
        "missing-path",
        "overwritten",
        "sign",
        "factor",
        "transposed",
        "wrong-axis",
        "not-summed",
        "mean-for-sum",
        "upstream",
        "wrong-point",
        "wrong-gradient",
        "missing-term",
        "scatter",
        "mask",
        "geometry",
        "shape",
        "unexplained",
    }
