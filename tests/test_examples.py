"""The examples: gradients against two oracles, modules in `generated/` up to date, training that trains."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from collections.abc import Mapping
from functools import cache
from typing import Any

import numpy as np
import pytest

from flatgrad.compiler import Entry
from tests.example_cases import CASES, FILES, Case, Example
from tests.oracles import autograd_gradient, relative_error
from tests.support import (
    EXAMPLES,
    GENERATED,
    ROOT,
    SEED,
    TOLERANCE,
    Module,
    Report,
    check_float32,
    check_run,
    check_text,
    compile_in_fresh_process,
    compiled,
    draw_upstream,
    load,
)

OPTIONS = {example.stem: dict(example.options) for example in FILES}
# Every option by itself, and all at once.
VARIANTS: dict[str, dict[str, str]] = {
    "primitive": {"gates": "primitive"},
    "always": {"accumulate": "always"},
    "relations": {"stages": "relations"},
    "all": {"gates": "primitive", "accumulate": "always", "stages": "relations"},
}
by_case = pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.stem}-{case.function}")
by_size = pytest.mark.parametrize(
    ("case", "size"),
    [
        pytest.param(case, size, id=f"{case.stem}-{case.function}-{label}")
        for case in CASES
        for size, label in enumerate(case.sizes)
    ],
)
by_file = pytest.mark.parametrize("example", FILES, ids=lambda example: example.stem)


@cache
def written(stem: str, *options: tuple[str, Any]) -> tuple[Module, dict[str, Entry]]:
    """The module of an example under some options, compiled once for all its functions and sizes."""
    path = EXAMPLES / f"{stem}.py"
    result = compiled(path.read_text(), str(path), **dict(options))
    check_text(result.text, path.read_text())
    return Module(result.text, load(result.text)), {entry.name: entry for entry in result.entries}


def check(case: Case, size: int, options: Mapping[str, Any]) -> Report:
    """Everything that the contract promises, on the arguments of one size."""
    module, entries = written(case.stem, *options.items())
    wrt = entries[case.function].wrt
    inputs = case.draw(size)
    differentiable = size not in case.scores_only
    report = check_run(
        module,
        case.source,
        case.function,
        inputs,
        wrt,
        select=case.select,
        differentiable=differentiable,
        chosen="wrt" in options,
    )
    if differentiable:
        check_float32(module, case.source, case.function, inputs, wrt, select=case.select, throughout=case.throughout)
    return report


def test_every_example_has_a_case() -> None:
    models = {path.stem for path in EXAMPLES.glob("*.py") if not path.stem.startswith("train_")}
    assert models == {example.stem for example in FILES} == {case.stem for case in CASES}


def test_every_size_has_a_name() -> None:
    for case in CASES:
        with pytest.raises(IndexError):
            case.draw(len(case.sizes))


@by_size
def test_example_agrees_with_both_oracles(case: Case, size: int) -> None:
    report = check(case, size, OPTIONS[case.stem])
    if size in case.scores_only:
        return
    assert tuple(report.gradients) == case.wrt
    if case.plain is None:
        return
    inputs = case.draw(size)
    upstream = draw_upstream(report.results, 0)
    for parameter in case.wrt:
        position = list(inputs).index(parameter)
        np.random.seed(SEED)
        expected: Any = autograd_gradient(
            case.plain or case.source, case.function, list(inputs.values()), position, upstream, case.select
        )
        assert relative_error(report.gradients[parameter], expected) < TOLERANCE, parameter


@by_case
@pytest.mark.parametrize("variant", VARIANTS)
def test_example_under_every_option(case: Case, variant: str) -> None:
    report = check(case, 0, {**OPTIONS[case.stem], **VARIANTS[variant]})
    assert tuple(report.gradients) == case.wrt


@pytest.mark.parametrize("case", [case for case in CASES if "wrt" in OPTIONS[case.stem]], ids=lambda case: case.stem)
def test_example_with_every_parameter(case: Case) -> None:
    """Without `--wrt`: labels left out, everything else without a default value differentiated."""
    options = {key: value for key, value in OPTIONS[case.stem].items() if key != "wrt"}
    assert set(check(case, 0, options).gradients) > set(case.wrt)


@by_file
def test_text_is_the_same_at_the_second_compile(example: Example) -> None:
    assert written(example.stem, *example.options.items())[0].text == example.text()


@by_file
def test_generated_is_up_to_date(example: Example) -> None:
    """`UPDATE_GENERATED=1` writes the modules instead."""
    if os.environ.get("UPDATE_GENERATED"):
        (GENERATED / f"{example.stem}_grad.py").write_text(example.text())
    assert example.committed() == example.text()


@pytest.mark.parametrize("stem", ["staged", "layers", "lstm", "fully_connected", "conv_net"])
def test_another_process_writes_the_same_bytes(stem: str) -> None:
    path = EXAMPLES / f"{stem}.py"
    assert compile_in_fresh_process(path.read_text(), str(path), OPTIONS[stem]) == (
        (GENERATED / f"{stem}_grad.py").read_text()
    )


def test_generated_holds_nothing_else() -> None:
    assert {path.name for path in GENERATED.glob("*.py")} == {f"{example.stem}_grad.py" for example in FILES}


def training(name: str) -> Any:
    spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_logistic_regression_learns() -> None:
    loss, accuracy = training("train_logistic").train(iterations=15)
    assert loss < 0.06
    assert accuracy > 0.94


def test_digits_network_learns() -> None:
    loss, accuracy = training("train_digits").train(iterations=200)
    assert loss < 0.25
    assert accuracy > 0.94


@pytest.mark.parametrize("script", ["train_logistic.py", "train_digits.py"])
def test_training_script_runs_as_a_program(script: str) -> None:
    done = subprocess.run(
        [sys.executable, str(EXAMPLES / script)], cwd=ROOT.parent, capture_output=True, text=True, check=True
    )
    assert "accuracy on held-out data 9" in done.stdout


@pytest.mark.parametrize("script", ["train_logistic.py", "train_digits.py"])
def test_training_script_takes_its_gradients_from_generated_alone(script: str) -> None:
    text = (EXAMPLES / script).read_text()
    assert "_grad import " in text
    assert "flatgrad." not in text
    assert "import flatgrad" not in text
    assert "autograd" not in text
