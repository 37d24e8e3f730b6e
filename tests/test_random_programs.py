"""A few hundred random programs; the long run is `python -m tests.random_programs`."""

from __future__ import annotations

import time

import pytest

from tests import random_programs
from tests.program_generator import Program, generate
from tests.random_programs import describe, examine, summary, too_empty
from tests.support import compiled

COUNT = 400
SECONDS = 100.0
AT_LEAST = 150


def test_random_programs() -> None:
    started = time.monotonic()
    findings = []
    for seed in range(COUNT):
        findings.append(examine(seed))
        if time.monotonic() - started > SECONDS and len(findings) >= AT_LEAST:
            break
    print(summary(findings))
    wrong = [finding for finding in findings if finding.outcome.verdict == "wrong"]
    assert not wrong, "\n\n".join([summary(findings), *map(describe, wrong[:3])])
    assert not too_empty(findings), summary(findings)


def test_the_generator_is_deterministic_and_varied() -> None:
    programs = [generate(seed) for seed in range(200)]
    assert [p.source() for p in programs] == [generate(seed).source() for seed in range(200)]
    assert len({p.source() for p in programs}) == 200
    lines = [line for p in programs for line in p.body]
    assert len(lines) > 300
    for construct in (
        " += ",
        " = np.zeros",
        "[[0, 0]]",
        ".T",
        ".reshape(",
        "axis=",
        " @ ",
        "np.where(",
        "] = ",
        "> 0.1",
        "for ",
        "while ",
        "if ",
        "else:",
        "continue",
        "break",
        "enumerate(",
        "zip(",
        "reversed(",
        "[t]",
    ):
        assert any(construct in line for line in lines), construct
    claims = {parameter.claim for p in programs for parameter in p.parameters}
    assert claims == {"annotation", "docstring", "none", "int", "count", "flag", "mode"}


@pytest.mark.parametrize(
    ("good", "bad", "kind"),
    [
        ("dx = ", "dx = 1.001 * ", "gradient is wrong"),
        ("return dx", "dh *= 2\n    return dx", "backward touches"),
        ("return dx", "return dh", "shares memory"),
    ],
)
def test_a_wrong_module_is_found_and_shrunk(monkeypatch: pytest.MonkeyPatch, good: str, bad: str, kind: str) -> None:
    """The compiler's text is spoiled on the way: what the run reports is this defect, in the smallest program."""

    def spoiled(source: str, **options: str):  # type: ignore[no-untyped-def]
        result = compiled(source, **options)
        text = result.text.replace(good, bad, 1)
        return type(result)(text, result.ir, result.notes, result.entries)

    monkeypatch.setattr(random_programs, "compiled", spoiled)
    program = simple_program()
    outcome = random_programs.check(program)
    assert outcome.verdict == "wrong"
    assert kind in outcome.message
    smaller = random_programs.shrink(program, outcome.detail)
    assert len(smaller.body) < len(program.body)


def simple_program() -> Program:
    """`h = 2 * x` with three lines that change nothing."""
    program = next(p for p in map(generate, range(1000)) if p.parameters[0].name == "x" and p.parameters[0].dims)
    parameter = program.parameters[0]
    inputs = tuple({"x": given["x"]} for given in program.inputs[:1])
    body = ("t = np.sin(x)", "h = x * 2.0", "u = t + 1.0", "v = u * t")
    return Program((parameter,), body, "h", inputs, {})
