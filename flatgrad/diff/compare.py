"""`flatgrad diff`, end to end: the text of a homework in, a report for each of its functions out."""

from __future__ import annotations

import ast
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace

import numpy as np

from flatgrad.diagnostics import Refused
from flatgrad.diff.explained import explained_verdicts
from flatgrad.diff.homework import Homework, Style
from flatgrad.diff.judging.alone import Alone, look_alone
from flatgrad.diff.judging.broken import Broken, broken_statements, following
from flatgrad.diff.judging.case import Case, Floats, Judged, groups_of
from flatgrad.diff.judging.closeness import relative_error
from flatgrad.diff.judging.draws import Unjudgeable, crashed, draws_for
from flatgrad.diff.judging.instrument import Program, instrument
from flatgrad.diff.judging.judge import judge
from flatgrad.diff.judging.model import against_model
from flatgrad.diff.judging.required import missing_variables
from flatgrad.diff.judging.runner import Overtime, Runner, Tampered
from flatgrad.diff.judging.runs import Run
from flatgrad.diff.judging.sites import Role
from flatgrad.diff.judging.temporaries import with_temporaries
from flatgrad.diff.judging.truth import Sites, Spec, Truth, union_of
from flatgrad.diff.options import CompareOptions
from flatgrad.diff.reading.models import read_model_forward
from flatgrad.diff.reading.reading import plain_text, read_homework
from flatgrad.diff.reasons.explanation import Explanation
from flatgrad.diff.report.derive import derive
from flatgrad.diff.report.reference import Reference, reference_for
from flatgrad.diff.report.shown import RAISES, place_of
from flatgrad.diff.unread import unread
from flatgrad.diff.verdicts import Outcome, Report, Verdict
from flatgrad.diff.vocabulary import joined
from flatgrad.frontend.source import read_module
from flatgrad.sandbox.process import SandboxFailure

# Above this, a kink of the forward pass lies within reach of the differences: the inputs are drawn again.
MOST_KINK = 1e-6
MOST_ATTEMPTS = 4
NEXT_SEED = 1000
_SHOWN = 6
# Seconds that all runs of one function may take, and at least so many.
MOST_TIMEOUTS = 4
LEAST_TOTAL = 40.0
_CHANGED = (
    "the value that is returned is not the one that was judged: "
    "it is changed after it is first read, or depends on who runs it"
)
_DECEIVED = (
    "its gradients are right by what was measured inside of it, "
    "and are not the derivative of its forward pass when that is only run"
)


def compare(homework: str, name: str, model: tuple[str, str] | None, options: CompareOptions) -> tuple[Report, ...]:
    """Judge every function of a homework.

    Args:
        homework: its text, Python or a notebook's JSON.
        name: its file name, for reports.
        model: text and file name of the forward pass that it is held against; None: its own.
    """
    try:
        return _compared(homework, name, model, options)
    except Refused as refused:
        return (unread(name, refused, homework),)


def _compared(homework: str, name: str, model: tuple[str, str] | None, options: CompareOptions) -> tuple[Report, ...]:
    names = dict(options.names)
    if model is not None:
        _check_model(*model)
    others = () if model is None else read_model_forward(model[0], homework, name, options.functions, names, model[1])
    try:
        read = read_homework(homework, name, options.functions, names)
    except Refused:
        if not others:
            raise
        read = ()
    own = tuple(report_on(one, model, options) for one in read)
    return own + tuple(report_on(one, None, options) for one in others)


def _check_model(text: str, name: str) -> None:
    """Raises Refused, with the model's name, where it is not Python."""
    try:
        read_module(plain_text(text, name)[0], name)
    except Refused as refused:
        raise Refused(refused.diagnostics, text, name) from None


def report_on(homework: Homework, model: tuple[str, str] | None, options: CompareOptions) -> Report:
    """Judge one function, pair, class or script. Nothing is raised for what the homework does."""
    blank = Report(homework.file, homework.function, (), (), homework.text, places=homework.places)
    with ThreadPoolExecutor(1) as pool:
        deriving = pool.submit(reference_for, homework, derive)
        with Runner(options.timeout, _total(options)) as runner:
            try:
                return _judged_report(blank, homework, model, runner, options, deriving)
            except Unjudgeable as problem:
                return replace(blank, problem=str(problem), problem_line=problem.line)
            except Tampered as tampered:
                return replace(blank, problem=_tampered(tampered))
            except SandboxFailure as failure:
                return replace(blank, problem=_ended(failure, options.timeout))
            except RecursionError:
                return replace(blank, problem="an expression of it is nested too deeply to be judged")


def _total(options: CompareOptions) -> float:
    return max(LEAST_TOTAL, MOST_TIMEOUTS * options.timeout)


def _tampered(tampered: Tampered) -> str:
    shown = list(tampered.names[:_SHOWN])
    more = len(tampered.names) - len(shown)
    words = joined([*shown, f"{more} more"] if more else shown)
    as_before = "it is" if len(tampered.names) == 1 else "they are"
    return f"the homework changes {words}, which the judge needs as {as_before}"


def _ended(failure: SandboxFailure, timeout: float) -> str:
    if isinstance(failure, Overtime):
        return failure.detail
    if failure.kind == "timeout":
        return f"a run of it takes longer than {timeout:g} seconds: an endless loop?"
    return f"running it failed: {failure.detail}"


def _judged_report(
    blank: Report,
    homework: Homework,
    model: tuple[str, str] | None,
    runner: Runner,
    options: CompareOptions,
    deriving: Future[Reference],
) -> Report:
    case, found = _decided(homework, runner, options)
    warnings = _warnings(case)
    if model is not None:
        found, said = against_model(case, found, model, options)
        warnings += said
    broken = broken_statements(case)
    found, explained = explained_verdicts(case, tuple(following(one, broken) for one in found), not (model or broken))
    reference = deriving.result()
    if reference.reason:
        place = f" (line {reference.line})" if reference.line else ""
        warnings.append(
            f"flatgrad does not derive this forward pass{place}: {reference.reason}; it was judged by differences"
        )
    verdicts = [_verdict(case, one, explained.get(one.group.key), reference) for one in _told(case, found)]
    verdicts += [_of_broken(case, one) for one in broken]
    verdicts.sort(key=lambda verdict: verdict.line or 0)
    for variable, spec in missing_variables(case, options.wrt).items():
        verdicts.append(_missing(case, variable, spec, reference, _why_missing(case, blank, variable, broken)))
    if all(one.outcome in (Outcome.MATCH, Outcome.UNKNOWN) for one in verdicts):
        alone = look_alone(case, found, options.timeout, _total(options))
        if alone.deceived:
            return replace(blank, problem=_DECEIVED)
        verdicts = [_looked_at(case, one, alone) for one in verdicts]
    return replace(
        blank,
        verdicts=tuple(verdicts),
        warnings=tuple(dict.fromkeys(warnings)),
        tried=len(case.draws),
        steps=reference.numbers,
    )


def _decided(homework: Homework, runner: Runner, options: CompareOptions) -> tuple[Case, tuple[Judged, ...]]:
    """The verdicts, at inputs that are away from kinks if there are such."""
    for attempt in range(MOST_ATTEMPTS):
        case = make_case(homework, runner, replace(options, seed=options.seed + NEXT_SEED * attempt))
        found = judge(case)
        clean = all(one.outcome in (Outcome.MATCH, Outcome.UNKNOWN) for one in found)
        if clean or options.inputs is not None or max(truth.kink for truth in case.truths) < MOST_KINK:
            break
    return case, found


def make_case(homework: Homework, runner: Runner, options: CompareOptions) -> Case:
    """Run a homework at several draws, with its forward sites listed.

    Raises:
        Unjudgeable: no arguments are found that its forward pass accepts, or it cannot be run.
        SandboxFailure: it ended its process, or took too long.
    """
    homework, silent = with_temporaries(homework)
    program = instrument(homework)
    number = runner.load(program, homework)
    draws = draws_for(homework, runner, number, options.seed, options.inputs)
    frees = []
    for draw in draws:
        run = runner.run(number, draw, {}, listing=True)
        if run.crash and run.stage == "forward":
            raise crashed(run)
        frees.append(_with_own_upstream(homework, program, run))
    truths = tuple(Truth(runner, number, draw, run) for draw, run in zip(draws, frees, strict=True))
    sites = Sites(program.sites, union_of(run.sites for run in frees))
    groups = groups_of(homework, program, frees, silent)
    return Case(homework, program, runner, number, draws, tuple(frees), truths, sites, groups, silent)


def _with_own_upstream(homework: Homework, program: Program, run: Run) -> Run:
    """A script says itself what comes from above: `dD = np.random.randn(*D.shape)`. Without a word it is 1."""
    if homework.style is not Style.SCRIPT or len(run.results) != 1:
        return run
    for record in run.records:
        own = record.key[0] >= 0 and program.targets[record.key[0]].variable == homework.script_result
        if own and record.value is not None and record.value.shape == run.results[0].shape:
            return replace(run, upstream=(record.value,))
    return run


def _warnings(case: Case) -> list[str]:
    found = []
    for name in dict.fromkeys(name for run in case.frees for name in run.overwritten):
        found.append(f"the backward pass overwrites the upstream gradient {name} that it is given: work on a copy")
    for name in dict.fromkeys(name for run in case.frees for name in run.changed):
        found.append(f"the backward pass changes {name}, which belongs to its caller")
    return found


def _told(case: Case, found: tuple[Judged, ...]) -> list[Judged]:
    """The verdicts without those on temporaries that are not at fault, and on mere copies.

    `grads["W1"] = dW1` says nothing that the line of `dW1` does not.
    """
    told: list[Judged] = []
    for one in found:
        if one.group.target in case.silent and one.outcome is not Outcome.WRONG:
            continue
        same = [
            other
            for other in told
            if one.group.variable
            and other.group.variable == one.group.variable
            and one.copies
            and other.group.target == one.copies
        ]
        if same and one.outcome is not Outcome.WRONG and same[-1].outcome is not Outcome.UNKNOWN:
            told = [
                replace(other, group=replace(other.group, returned=True)) if other is same[-1] else other
                for other in told
            ]
        else:
            told.append(one)
    return told


def _verdict(case: Case, one: Judged, why: Explanation | None, reference: Reference) -> Verdict:
    group = one.group
    variable = group.variable or (one.meant.variable if one.meant is not None else "")
    line = why.line if why is not None and why.line else group.last
    expected, actual = _example(case, one)
    return Verdict(
        f"d{group.variable}" if group.variable else group.target,
        group.variable,
        group.target,
        line or None,
        one.outcome,
        reason=why.reason if why is not None else "",
        detail=why.detail if why is not None else "",
        hint=why.hint if why is not None else "",
        expected_shape=_expected_shape(case, one),
        actual_shape=_actual_shape(one),
        max_relative_error=_worst(case, one),
        source=source_of(case.homework.text, line),
        reference=reference.of(variable),
        uses=_uses(case, variable),
        repair=why.repair if why is not None else "",
        expected=expected,
        actual=actual,
        required=group.returned,
    )


def _looked_at(case: Case, verdict: Verdict, alone: Alone) -> Verdict:
    """The verdict, wrong where the homework returns something else than what was judged."""
    targets = {case.program.targets[key[0]].text if key[0] >= 0 else "" for key in alone.other}
    variables = {one.variable for one in case.groups if one.key in alone.other}
    if not verdict.required or verdict.variable not in variables or verdict.target not in targets:
        return verdict
    changed = replace(verdict, outcome=Outcome.WRONG, reason="unexplained", detail=_CHANGED, hint=_CHANGED)
    return replace(changed, max_relative_error=None)


def _of_broken(case: Case, one: Broken) -> Verdict:
    function = case.homework.backward or case.homework.function
    return Verdict(
        function,
        "",
        "",
        one.line or None,
        Outcome.WRONG,
        reason="shape",
        detail=f"the statement raises {one.text}{', and nothing after it is run' if one.ends else ''}",
        hint=RAISES,
        source=source_of(case.homework.text, one.line),
    )


def _why_missing(case: Case, blank: Report, variable: str, broken: Sequence[Broken]) -> str:
    """Why a gradient that is returned has no value; empty if it is just not there."""
    ending = next((one for one in broken if one.ends), None)
    if ending is not None:
        return f": {place_of(blank, ending.line)} raises {ending.text}"
    for index, one in enumerate(case.homework.returned):
        kinds = {run.absent[index] for run in case.frees if index in run.absent}
        if one.variable == variable and len(kinds) == 1 and (kind := kinds.pop()).isidentifier():
            return f": what is returned for it is {kind}"
    return ""


def _missing(case: Case, variable: str, spec: Spec | None, reference: Reference, why: str = "") -> Verdict:
    shape = case.truths[0].shape(spec) if spec is not None else None
    return Verdict(
        f"d{variable}",
        variable,
        "",
        None,
        Outcome.MISSING,
        detail=f"the gradient of {variable} is never computed{why}",
        hint=f"the gradient of {variable} is never computed",
        expected_shape=shape,
        reference=reference.of(variable),
        uses=_uses(case, variable),
        required=True,
    )


def source_of(text: str, line: int) -> str:
    """The whole statement that begins at a line, as written."""
    lines = text.splitlines()
    if not 1 <= line <= len(lines):
        return ""
    ends = [
        node.end_lineno
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.stmt) and node.lineno == line and node.end_lineno and not hasattr(node, "body")
    ]
    return "\n".join(lines[line - 1 : max(ends, default=line)]).strip()


def _uses(case: Case, variable: str) -> tuple[int, ...]:
    uses = {site.line for site in case.program.sites if site.variable == variable and site.role is Role.USE}
    return tuple(sorted(uses)) if variable else ()


def _expected_shape(case: Case, one: Judged) -> tuple[int, ...] | None:
    return case.truths[0].shape(one.truth) if one.truth is not None else None


def _actual_shape(one: Judged) -> tuple[int, ...] | None:
    draws = [one.free[draw] for draw in one.wrong_at] or one.free
    values = [value for rounds in draws for value in rounds]
    return values[0].shape if values and values[0] is not None else None


def _worst(case: Case, one: Judged) -> float | None:
    """The largest relative error of what the homework computes."""
    if one.truth is None:
        return None
    errors = []
    for draw, rounds in enumerate(one.free):
        along = case.truths[draw].error(one.truth) if one.outcome is Outcome.MATCH else None
        if along is not None:
            errors.append(along)
        elif (truth := case.expected(one.truth, draw, len(rounds))) is not None:
            errors += [relative_error(a, b) for a, b in zip(rounds, truth, strict=True) if a is not None]
    return max(errors, default=None)


def _example(case: Case, one: Judged) -> tuple[str, str]:
    """Some of the right values and of the homework's, for a wrong one."""
    if one.outcome is not Outcome.WRONG or one.truth is None:
        return "", ""
    for draw in one.wrong_at:
        rounds = one.forced[draw]
        truth = case.expected(one.truth, draw, len(rounds))
        if truth is not None and rounds and rounds[0] is not None:
            return _text(truth[0]), _text(rounds[0])
    return "", ""


def _text(value: Floats) -> str:
    return np.array2string(value.ravel()[:_SHOWN], precision=4, suppress_small=True, separator=", ")
