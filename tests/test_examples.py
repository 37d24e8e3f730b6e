"""The examples: gradients against two oracles, modules in `generated/` up to date, training that trains."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from typing import Any

import numpy as np
import pytest

from tests.example_cases import CASES, FILES, Case, Example
from tests.oracles import autograd_gradient, relative_error
from tests.support import (
    EXAMPLES,
    GENERATED,
    ROOT,
    TOLERANCE,
    Module,
    check_float32,
    check_module,
    check_run,
    check_text,
    compile_in_fresh_process,
    draw_upstream,
    load,
)

OPTIONS = {example.stem: dict(example.options) for example in FILES}
by_case = pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.stem}-{case.function}")
by_size = pytest.mark.parametrize("size", [0, 1, 2])
by_file = pytest.mark.parametrize("example", FILES, ids=lambda example: example.stem)


def rng(size: int) -> np.random.Generator:
    return np.random.default_rng(100 + size)


def test_every_example_has_a_case() -> None:
    models = {path.stem for path in EXAMPLES.glob("*.py") if not path.stem.startswith("train_")}
    assert models == {example.stem for example in FILES} == {case.stem for case in CASES}


@by_case
@by_size
def test_compiled_example_agrees_with_differences(case: Case, size: int) -> None:
    inputs = case.inputs(rng(size), size)
    options = OPTIONS[case.stem]
    check_module(
        case.source, inputs, function=case.function, differentiated=case.wrt, filename=f"{case.stem}.py", **options
    )


@by_case
@pytest.mark.parametrize("gates", ["grouped", "primitive"])
@pytest.mark.parametrize("accumulate", ["forks", "always"])
@pytest.mark.parametrize("stages", ["source", "relations"])
def test_example_under_every_option(case: Case, gates: str, accumulate: str, stages: str) -> None:
    inputs = case.inputs(rng(0), 0)
    options = {**OPTIONS[case.stem], "gates": gates, "accumulate": accumulate, "stages": stages}
    check_module(case.source, inputs, function=case.function, differentiated=case.wrt, **options)


@by_case
def test_example_with_every_parameter(case: Case) -> None:
    """Without `--wrt`: labels left out, everything else without a default value differentiated."""
    inputs = case.inputs(rng(0), 0)
    report = check_module(case.source, inputs, function=case.function)
    if case.stem not in ("svm", "two_layer_net", "logistic_regression"):
        assert tuple(report.gradients) == case.wrt
    assert set(case.wrt) <= set(report.gradients)


@by_case
@by_size
def test_committed_module_agrees_with_both_oracles(case: Case, size: int) -> None:
    text = (GENERATED / f"{case.stem}_grad.py").read_text()
    check_text(text, case.source)
    inputs = case.inputs(rng(size), size)
    module = Module(text, load(text))
    report = check_run(module, case.source, case.function, inputs, case.wrt)
    check_float32(module, case.source, case.function, inputs, case.wrt)

    upstream = draw_upstream(report.results, 0)
    for parameter in case.wrt:
        position = list(inputs).index(parameter)
        expected: Any = autograd_gradient(
            case.plain or case.source,
            case.function if case.stem != "layers" else f"{case.function}_forward",
            list(inputs.values()),
            position,
            upstream,
        )
        assert relative_error(report.gradients[parameter], expected) < TOLERANCE, parameter


@by_file
def test_generated_is_up_to_date(example: Example) -> None:
    """`UPDATE_GENERATED=1` writes the modules instead."""
    if os.environ.get("UPDATE_GENERATED"):
        (GENERATED / f"{example.stem}_grad.py").write_text(example.text())
    assert example.committed() == example.text()


@pytest.mark.parametrize("stem", ["staged", "layers"])
def test_another_process_writes_the_same_bytes(stem: str) -> None:
    source = (EXAMPLES / f"{stem}.py").read_text()
    assert compile_in_fresh_process(source, f"{stem}.py", OPTIONS[stem]) == (
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
