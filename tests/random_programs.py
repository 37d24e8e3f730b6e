"""Random programs against the compiler: no wrong gradient, no changed argument, no crash.

    python -m tests.random_programs --count 20000 --seed 0 --jobs 2

Prints how many were right, refused, guarded or too near a kink to tell, and every counterexample, shrunk. Exits with
1 if there is one, or if so many are refused that the run shows nothing.
"""

from __future__ import annotations

import argparse
import multiprocessing
import signal
import sys
import traceback
import warnings
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from flatgrad.diagnostics import Refused
from tests.program_generator import Inputs, Program, generate, run_source, run_watched
from tests.support import (
    Guarded,
    Inconclusive,
    Module,
    Wrong,
    arrays_in,
    check_float32,
    check_run,
    check_text,
    compiled,
    load,
    narrowed,
)

MOST_REFUSED = 0.35
MOST_GUARDED = 0.10
MOST_INCONCLUSIVE = 0.05
# black is what takes the time: the text is looked at once in so many programs.
TEXT_EVERY = 10
# For one program, and for one step of its shrinking.
SECONDS = 40


@dataclass(frozen=True, slots=True)
class Outcome:
    """`right`, `refused`, `guarded`, `inconclusive` or `wrong`; `detail` is the kind of defect, `message` all of it."""

    verdict: str
    detail: str = ""
    message: str = ""


def check(program: Program, thorough: bool = False) -> Outcome:
    """Compile the program, run it on all its arguments, then again under the options of its variant.

    Guarded and inconclusive are for the first arguments only: others may well be refused or sit at a kink.
    """
    source = program.source()
    plain = _check_options(program, source, {}, program.inputs, thorough)
    if plain.verdict in ("refused", "wrong"):
        return plain
    varied = _check_options(program, source, dict(program.variant), program.inputs[:1], False)
    if varied.verdict == "refused" and "conditional expression" in varied.message:
        # A helper that is one gate is several relations to other options: a call, which has no place in there.
        return varied
    if varied.verdict == "refused":
        return Outcome("wrong", "refused under other options only", f"{program.variant}: {varied.message}")
    if varied.verdict == "wrong":
        return replace(varied, message=f"under {dict(program.variant)}: {varied.message}")
    return plain


def _check_options(
    program: Program, source: str, options: dict[str, str], inputs: Sequence[Inputs], thorough: bool
) -> Outcome:
    try:
        result = compiled(source, **options)
    except Refused as refusal:
        codes = sorted({d.code for d in refusal.diagnostics})
        return Outcome("refused", " ".join(codes), "; ".join(d.message for d in refusal.diagnostics))
    except Exception as error:
        return Outcome(
            "wrong", f"compiler raises {type(error).__name__}", "".join(traceback.format_exception(error)[-6:])
        )
    outcome = Outcome("right")
    try:
        if thorough:
            check_text(result.text, source)
            if compiled(source, **options).text != result.text:
                raise Wrong("text differs at the second compile")
        (wrt,) = (entry.wrt for entry in result.entries if entry.name == "f")
        try:
            module = Module(result.text, load(result.text))
        except SyntaxError as error:
            raise Wrong("text is not Python", str(error)) from error
        for k, given in enumerate(inputs):
            try:
                check_run(module, source, "f", given, wrt, chosen=False)
            except (Guarded, Inconclusive) as unsure:
                if k == 0:
                    outcome = Outcome(type(unsure).__name__.lower(), "", str(unsure))
        if outcome.verdict == "right" and _runs_narrow(program):
            check_float32(module, source, "f", inputs[0], wrt, throughout=_is_float32_throughout(program))
    except Wrong as wrong:
        return Outcome("wrong", wrong.kind, str(wrong))
    except UnboundLocalError as error:
        # Of the program itself, at a point beside the one that is differentiated at.
        return Outcome("inconclusive", "", str(error))
    except Exception as error:
        return Outcome("wrong", f"check raises {type(error).__name__}", "".join(traceback.format_exception(error)[-6:]))
    return outcome


def _narrow(program: Program) -> Inputs:
    return {k: narrowed(v) for k, v in program.inputs[0].items()}


def _runs_narrow(program: Program) -> bool:
    try:
        run_source(program.source(), _narrow(program))
    except Exception:
        return False
    return True


def _is_float32_throughout(program: Program) -> bool:
    """On float32 arguments no value of the program is ever float64.

    Names can be looked at; a nameless float64 would show in its result, unless it is written into a float32 array.
    """
    if any("= " in line.replace(" = ", " ", 1) or "] =" in line or line.endswith(":") for line in program.body):
        return False
    names = run_source(program.source("locals()"), _narrow(program))
    values = [np.asarray(v) for v in names.values() if not isinstance(v, float) or isinstance(v, np.floating)]
    return all(a.dtype != np.float64 for a in (*values, *arrays_in(list(names.values()))))


# --- shrinking


def shrink(program: Program, detail: str) -> Program:
    """A smaller program that fails in the same way: fewer lines, arguments and claims, a simpler result."""
    smaller = True
    while smaller:
        smaller = False
        for candidate in _simpler(program):
            if _still_valid(candidate) and check(candidate).detail == detail:
                program, smaller = candidate, True
                break
    return program


def _simpler(program: Program) -> Iterator[Program]:
    body = program.body
    for start, end in _blocks(body):
        yield replace(program, body=body[:start] + body[end:])
        inner = tuple(line[4:] for line in body[start + 1 : end])
        yield replace(program, body=body[:start] + inner + body[end:])
    for width in (4, 2, 1):
        for start in range(0, len(body) - width + 1):
            yield replace(program, body=body[:start] + body[start + width :])
    for k in range(len(program.inputs) if len(program.inputs) > 1 else 0):
        yield replace(program, inputs=program.inputs[:k] + program.inputs[k + 1 :])
    for k, parameter in enumerate(program.parameters):
        fewer = tuple({n: v for n, v in given.items() if n != parameter.name} for given in program.inputs)
        yield replace(program, parameters=program.parameters[:k] + program.parameters[k + 1 :], inputs=fewer)
        if parameter.claim == "docstring":
            changed = (*program.parameters[:k], replace(parameter, claim="annotation"), *program.parameters[k + 1 :])
            yield replace(program, parameters=changed)
    for key, default in (("gates", "grouped"), ("accumulate", "forks"), ("stages", "source")):
        if program.variant.get(key, default) != default:
            yield replace(program, variant={k: v for k, v in program.variant.items() if k != key})
    if ", " in program.result:
        for part in _parts(program.result):
            yield replace(program, result=part)
    names = sorted(
        {line.split()[0] for line in body if line.split()[0].isidentifier()} - {"for", "while", "if", "return"}
    )
    for name in names:
        if len(name) < len(program.result) and name != "cache":
            yield replace(program, result=name)
    for k, line in enumerate(body):
        for target, sign, value in [line.partition(" = ")]:
            if sign and target.strip().isidentifier():
                for shorter in (*names, *(p.name for p in program.parameters)):
                    if len(shorter) < len(value) and shorter != target.strip():
                        yield replace(program, body=(*body[:k], f"{target} = {shorter}", *body[k + 1 :]))


def _blocks(body: Sequence[str]) -> list[tuple[int, int]]:
    """The first line and the end of each block, the larger ones first."""
    found = []
    for start, line in enumerate(body):
        if line.endswith(":"):
            depth = len(line) - len(line.lstrip())
            end = start + 1
            while end < len(body) and len(body[end]) - len(body[end].lstrip()) > depth:
                end += 1
            found.append((start, end))
    return sorted(found, key=lambda block: block[0] - block[1])


def _parts(result: str) -> list[str]:
    """The results, split at the comma outside all brackets."""
    depth = 0
    for position, letter in enumerate(result):
        depth += (letter in "([") - (letter in ")]")
        if depth == 0 and letter == ",":
            return [result[:position], result[position + 2 :]]
    return [result]


def _still_valid(program: Program) -> bool:
    try:
        for given in program.inputs:
            value = run_watched(program.source(), given)
            parts = value if isinstance(value, tuple) else (value,)
            if not all(np.asarray(p).dtype.kind == "f" and np.all(np.isfinite(p)) for p in parts):
                return False
    except Exception:
        return False
    return bool(program.inputs and program.parameters)


# --- the long run


@contextmanager
def _at_most(seconds: int) -> Iterator[None]:
    """Raises TimeoutError: a wrong module may not come to its end."""

    def expired(*_: object) -> None:
        raise TimeoutError(f"more than {seconds} s")

    before = signal.signal(signal.SIGALRM, expired)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


@dataclass(frozen=True, slots=True)
class Finding:
    seed: int
    outcome: Outcome


def examine(seed: int) -> Finding:
    """The verdict on the program of this seed."""
    with warnings.catch_warnings(), _at_most(SECONDS):
        warnings.simplefilter("ignore")
        with np.errstate(all="ignore"):
            try:
                outcome = check(generate(seed), thorough=seed % TEXT_EVERY == 0)
            except Exception as error:
                outcome = Outcome("wrong", f"harness raises {type(error).__name__}", traceback.format_exc())
    return Finding(seed, outcome)


def describe(finding: Finding) -> str:
    """A counterexample, shrunk, with all that is needed to see it fail."""
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        program = shrink(generate(finding.seed), finding.outcome.detail)
        outcome = check(program)
    lines = [f"seed {finding.seed}: {finding.outcome.detail}", "", program.source(), ""]
    for given in program.inputs:
        lines.append("  " + ", ".join(f"{k}: {_short(v)}" for k, v in given.items()))
    return "\n".join([*lines, f"  variant {dict(program.variant)}", "", outcome.message or finding.outcome.message])


def _short(value: Any) -> str:
    if isinstance(value, np.ndarray):
        return f"{value.dtype}{value.shape}"
    return f"{type(value).__name__} {value}"


def summary(findings: Sequence[Finding]) -> str:
    verdicts = Counter(f.outcome.verdict for f in findings)
    counted = ", ".join(f"{verdicts[v]} {v}" for v in ("right", "refused", "guarded", "inconclusive", "wrong"))
    codes = Counter(f.outcome.detail for f in findings if f.outcome.verdict == "refused")
    kinds = Counter(f.outcome.detail for f in findings if f.outcome.verdict == "wrong")
    lines = [f"{len(findings)} programs: {counted}"]
    lines += [f"  refused {code}: {count}" for code, count in codes.most_common()]
    lines += [f"  wrong {kind}: {count}" for kind, count in kinds.most_common()]
    return "\n".join(lines)


def too_empty(findings: Sequence[Finding]) -> list[str]:
    """The verdicts that are so frequent that the run would show nothing."""
    verdicts = Counter(f.outcome.verdict for f in findings)
    limits = {"refused": MOST_REFUSED, "guarded": MOST_GUARDED, "inconclusive": MOST_INCONCLUSIVE}
    return [
        f"{verdicts[v]} of {len(findings)} are {v}" for v, most in limits.items() if verdicts[v] > most * len(findings)
    ]


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.random_programs", description=__doc__.partition("\n")[0])
    parser.add_argument("--count", type=int, default=20000)
    parser.add_argument("--seed", type=int, default=0, help="of the first program; the others follow")
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--shown", type=int, default=2, help="counterexamples to shrink and show of each kind")
    parser.add_argument("--refusals", action="store_true", help="show what was refused, too")
    options = parser.parse_args(arguments)

    seeds = range(options.seed, options.seed + options.count)
    findings = []
    shown: Counter[str] = Counter()
    with multiprocessing.get_context("spawn").Pool(options.jobs) as pool:
        for finding in pool.imap_unordered(examine, seeds, chunksize=20):
            findings.append(finding)
            if finding.outcome.verdict == "wrong":
                shown[finding.outcome.detail] += 1
                if shown[finding.outcome.detail] <= options.shown:
                    print(describe(finding), "\n" + "-" * 100, flush=True)
            if options.refusals and finding.outcome.verdict in ("refused", "guarded"):
                print(f"seed {finding.seed}: {finding.outcome}", flush=True)
            if len(findings) % 1000 == 0:
                print(summary(findings), file=sys.stderr, flush=True)
    print(summary(findings))
    for line in too_empty(findings):
        print(f"too many: {line}")
    return 1 if too_empty(findings) or any(f.outcome.verdict == "wrong" for f in findings) else 0


if __name__ == "__main__":
    sys.exit(main())
