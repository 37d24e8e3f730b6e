"""What an entry of the table is held to. A check raises Disproved, another AssertionError or a Contradiction."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np

from flatgrad.gates.entry import Gate
from flatgrad.ir.core import DType
from flatgrad.ir.dims import Dim, Shape
from flatgrad.proving import concrete_site, drawing, rules, running, symbols
from flatgrad.proving.drawing import Case
from flatgrad.proving.running import Env, check


def takes_broadcasts(entry: Gate) -> bool:
    return entry.elementwise and len(entry.operands) in drawing.BROADCAST_SHAPES


def complete(entry: Gate) -> None:
    if entry.backward:
        proved, excused = entry.proof is not None, entry.numeric_only != ""
        check(proved != excused, "a backward rule has a proof or a reason for having none")
    else:
        check(entry.proof is None, "nothing to prove without a backward rule")
        check(entry.numeric_only == "", "nothing to prove without a backward rule")
    check(entry.shape != "()->()" or len(entry.operands) == 1, "the default signature is for one operand")
    for spelling in entry.spellings:
        check(set(entry.operands) <= set(spelling.names), f"{spelling.text} leaves out an operand")


def proved(entry: Gate) -> None:
    if entry.proof is None:
        check(entry.numeric_only != "", "neither a proof nor a reason for having none")
    elif entry.proof == "numpy":
        for case in drawing.cases(entry):
            symbols.prove_on_symbols(entry, case)
    else:
        symbols.prove_expression(entry)


def agrees_with_differences(entry: Gate, mode: str) -> None:
    # More than one draw for single numbers, so that of two operands each is the larger one once.
    checked = [
        check_numbers(entry, case, mode, seed)
        for case in drawing.cases(entry)
        for seed in ((0,) if any(case.shapes) else (0, 1, 2))
    ]
    check(any(checked) or mode != "known", f"{entry.name}: nothing could be checked")


def broadcasts(entry: Gate) -> None:
    for case in drawing.cases(entry, drawing.BROADCAST_SHAPES[len(entry.operands)]):
        check(check_numbers(entry, case, "known"), f"{entry.name}: refused with everything known")
        check_numbers(entry, case, "unknown")


def literal_operand(entry: Gate, literal: str) -> None:
    """A rule may look at a constant: `x ** 2`, `np.maximum(0, x)`."""
    shapes = ((), (2, 3)) if literal == "x" else ((2, 3), ())
    for dtype in (float, int):
        for case in drawing.cases(entry, [shapes]):
            env = drawing.draw(entry, case)
            try:
                env[literal] = drawing.draw(entry, case, dtype=dtype, only=literal)[literal]
            except KeyError:
                continue
            check_env(entry, env, "known", frozenset({literal}))


def check_numbers(entry: Gate, case: Case, mode: str, seed: int = 0) -> bool:
    return check_env(entry, drawing.draw(entry, case, seed), mode)


def check_env(entry: Gate, env: Env, mode: str, literals: frozenset[str] = frozenset()) -> bool:
    """Backward against central differences for every operand. False where the rule refuses for want of facts.

    The shape of the contribution, the untouched operands and the untouched upstream gradient are checked too.
    """
    site = concrete_site.site_for(entry, env, mode, literals)
    try:
        _, signature = rules.apply_shape_rule(entry, site)
    except concrete_site.RefusedUse:
        check(mode != "known", "refused with everything known")
        return False
    z = running.run_forward(entry, entry.spellings[0], env)
    dzs = running.upstream(z)
    full = running.with_results(env, z, dzs)
    before = copy.deepcopy(full)
    for operand in drawing.differentiable_operands(entry, env):
        name = operand[0]
        if name in literals:
            continue
        try:
            value, spelling = rules.contribution(entry, operand, site, full)
        except concrete_site.RefusedUse:
            check(mode != "known", "refused with everything known")
            return False
        where = f"{entry.name}, backward of {name}: {spelling} ({mode})"
        demanded = rules.loop_and_core(signature, entry, site, env, name)
        if demanded is not None:
            check(np.shape(value) == demanded, f"{where} has shape {np.shape(value)}, not {demanded}")
        got = running.unbroadcast(value, np.shape(env[name]))
        expected = rules.numeric_gradient(entry, env, name, dzs)
        np.testing.assert_allclose(got, expected, rtol=1e-6, atol=1e-7, err_msg=where)
        check_same(full, before, where)
    return True


def check_same(env: Env, before: Env, where: str) -> None:
    for name, value in before.items():
        np.testing.assert_equal(env[name], value, err_msg=f"{where} changes {name}")


def shape_rule(entry: Gate, mode: str) -> None:
    wanted = drawing.cases(entry)
    if takes_broadcasts(entry):
        wanted += drawing.cases(entry, drawing.BROADCAST_SHAPES[len(entry.operands)])
    for case in wanted:
        env = drawing.draw(entry, case)
        site = concrete_site.site_for(entry, env, mode)
        try:
            claim, _ = rules.apply_shape_rule(entry, site)
        except concrete_site.RefusedUse:
            check(mode != "known", f"refused with everything known: {case}")
            continue
        z = running.run_forward(entry, entry.spellings[0], env)
        claims = [claim] if isinstance(claim, Shape) else list(claim)
        actual = [z] if isinstance(claim, Shape) else list(running.results_of(z))
        check(len(claims) == len(actual), f"{case}: {len(claims)} shapes for {len(actual)} results")
        for one, value in zip(claims, actual, strict=True):
            if mode == "known" and not entry.samples.get("open_shape"):
                check(site.solver.resolve(one) == Shape.of(*np.shape(value)), f"{case}: {one} for {np.shape(value)}")
        # What the rule proved and claimed must hold of the real shapes: a Contradiction says that it does not.
        for name in site.operands:
            site.solver.same_shape(site.shape(name), Shape.of(*np.shape(env[name])))
        for name, value in env.items():
            if isinstance(value, int) and not isinstance(value, bool) and mode == "dynamic":
                site.solver.same_dim(Dim.symbol(name), Dim.of(value))
        for one, value in zip(claims, actual, strict=True):
            site.solver.same_shape(one, Shape.of(*np.shape(value)))


def dtype_rule(entry: Gate) -> None:
    for case in drawing.cases(entry):
        for dtype in (float, int):
            try:
                env = drawing.draw(entry, case, dtype=dtype)
                z = running.run_forward(entry, entry.spellings[0], env)
            except (KeyError, ValueError, ZeroDivisionError, TypeError, np.linalg.LinAlgError):
                check(dtype is int, f"{entry.name}: cannot be run on {case}")
                continue
            site = concrete_site.site_for(entry, env, "known")
            rules.apply_shape_rule(entry, site)
            rules.check_dtype(rules.dtype_claim(entry, site), z, f"{case}, {dtype.__name__} operands")
    if entry.backward:
        case = drawing.cases(entry)[0]
        site = concrete_site.site_for(entry, drawing.draw(entry, case), "known")
        rules.apply_shape_rule(entry, site)
        check(rules.dtype_claim(entry, site) in (DType.FLOAT, DType.OPEN), "a gradient of what is not floating")


def float32_stays(entry: Gate) -> None:
    for case in drawing.cases(entry):
        env = drawing.draw(entry, case, dtype=np.float32)
        z = running.run_forward(entry, entry.spellings[0], env)
        if any(
            np.asarray(one).dtype != np.float32 for one in running.results_of(z) if np.asarray(one).dtype.kind == "f"
        ):
            continue
        upstreams = [running.upstream(z, dtype=np.float32)]
        # A mask (np.bool_), np.where and np.broadcast_to alone make float64 of a Python float.
        if entry.elementwise and entry.proof not in (None, "numpy") and np.shape(z) == ():
            upstreams.append(running.upstream(z))
        for mode in ("known", "unknown"):
            site = concrete_site.site_for(entry, env, mode)
            for dzs in upstreams:
                full = running.with_results(env, z, dzs)
                for operand, value, spelling in contributions(entry, site, env, full):
                    # A Python float takes the dtype of what it meets: its arithmetic is float32 too.
                    python_float = type(value) is float and type(dzs[0]) is float
                    where = f"{entry.name} {case}, backward of {operand}: {spelling}"
                    check(
                        python_float or np.asarray(value).dtype == np.float32, f"{where} is {np.asarray(value).dtype}"
                    )


def float32_beside_a_python_float(entry: Gate, scalar: str) -> None:
    """A Python number leaves float32 as it is, forward and backward."""
    case = Case(((), (2, 3)) if scalar == "x" else ((2, 3), ()), (drawing.list_of(entry, "attrs") or [{}])[0])
    env = drawing.draw(entry, case, dtype=np.float32)
    env[scalar] = float(env[scalar])
    z = running.run_forward(entry, entry.spellings[0], env)
    if z.dtype != np.float32 or scalar in entry.samples.get("float64_beside", ()):  # type: ignore[operator]
        return
    site = concrete_site.site_for(entry, env, "known")
    full = running.with_results(env, z, running.upstream(z, dtype=np.float32))
    for operand, value, spelling in contributions(entry, site, env, full):
        check(operand == scalar or value.dtype == np.float32, f"{entry.name}, {operand}: {spelling} is {value.dtype}")


def contributions(entry: Gate, site: concrete_site.ConcreteSite, env: Env, full: Env) -> list[tuple[str, Any, str]]:
    """(operand, value of its backward spelling, spelling); nothing where the rules refuse."""
    try:
        rules.apply_shape_rule(entry, site)
        return [
            (operand[0], *rules.contribution(entry, operand, site, full))
            for operand in drawing.differentiable_operands(entry, env)
        ]
    except concrete_site.RefusedUse:
        return []


def whole_numbers(entry: Gate) -> None:
    """Integer operands, one at a time and all at once, get the gradient that the same floats get."""
    for case in drawing.cases(entry):
        for only in ("", *(n for n in entry.operands if n not in ("c", "i"))):
            try:
                env = drawing.draw(entry, case, dtype=int, only=only)
            except KeyError:
                continue
            floats = {name: as_floats(value) if name in drawn(entry, env) else value for name, value in env.items()}
            try:
                z = running.run_forward(entry, entry.spellings[0], env)
            except (ValueError, TypeError, np.linalg.LinAlgError):
                continue
            z_float = running.run_forward(entry, entry.spellings[0], floats)
            if not all(
                np.allclose(a, b) for a, b in zip(running.results_of(z), running.results_of(z_float), strict=True)
            ):
                continue
            compare(entry, f"{case}, whole numbers in {only or 'all'}", (env, z), (floats, z_float))


def drawn(entry: Gate, env: Env) -> set[str]:
    """The names that hold numbers drawn for the operands: what a draw is made by is a generator, and holds none."""
    if entry.effect:
        return set()
    return {n for n in entry.operands if n not in ("c", "i")} | {f"x{k}" for k in range(len(env.get("xs", ())))}


def as_floats(value: Any) -> Any:
    if isinstance(value, list):
        return [as_floats(part) for part in value]
    return float(value) if np.ndim(value) == 0 else np.asarray(value, dtype=float)


def as_lists(value: Any) -> Any:
    if isinstance(value, list):
        return [as_lists(part) for part in value]
    return value.tolist() if isinstance(value, np.ndarray) else value


def compare(entry: Gate, where: str, one: tuple[Env, Any], two: tuple[Env, Any]) -> None:
    """Two spellings of the same operands, with their results, get the same floating contributions."""
    values = []
    for env, z in (one, two):
        # An integer that carries a gradient is one that stands for a number.
        mode = "unknown" if one[0].get("_lists") else "known"
        site = concrete_site.site_for(entry, env, mode, whole=DType.OPEN)
        full = running.with_results(env, z, running.upstream(two[1]))
        values.append(contributions(entry, site, env, full))
    if not values[0]:
        return  # refused, for want of facts
    check(len(values[0]) == len(values[1]), f"{entry.name}: one is refused, the other is not")
    for (operand, first, spelling), (_, second, _) in zip(*values, strict=True):
        what = f"{entry.name} {where}, backward of {operand}: {spelling}"
        check(np.asarray(first).dtype.kind == "f", f"{what} is {np.asarray(first).dtype}")
        np.testing.assert_allclose(first, second, rtol=1e-12, err_msg=what)


def list_operands(entry: Gate) -> None:
    """Lists that the call takes get the gradient that the same arrays get; a rule that cannot raises TypeError."""
    for case in drawing.cases(entry):
        env = drawing.draw(entry, case)
        lists = {name: as_lists(value) if name in drawn(entry, env) else value for name, value in env.items()}
        try:
            z = running.run_forward(entry, entry.spellings[0], lists)
        except (TypeError, AttributeError):
            continue
        z_array = running.run_forward(entry, entry.spellings[0], env)
        try:
            compare(entry, f"{case}, lists", ({**lists, "_lists": True}, z), (env, z_array))
        except TypeError:
            if entry.samples.get("lists") is not False:
                raise


def spellings_agree(entry: Gate) -> None:
    """Every spelling of the call gives what the first gives."""
    for case in drawing.cases(entry):
        env = drawing.draw(entry, case)
        z = running.run_forward(entry, entry.spellings[0], env)
        for spelling in entry.spellings[1:]:
            if not set(case.attrs) <= set(spelling.names):
                continue
            other = running.run_forward(entry, spelling, env)
            # No two draws are alike: of them the shapes must agree.
            if entry.effect or entry.samples.get("uninitialised"):
                check(np.shape(other) == np.shape(z), f"{spelling.text} {case}: another shape")
                continue
            for one, two in zip(running.results_of(z), running.results_of(other), strict=True):
                np.testing.assert_allclose(two, one, rtol=1e-14, err_msg=f"{spelling.text} {case}")


def views_are_declared(entry: Gate) -> None:
    """A result that shares memory with an operand says so."""
    for case in drawing.cases(entry):
        for dtype in (float, int):
            try:
                env = drawing.draw(entry, case, dtype=dtype)
            except KeyError:
                continue
            env = {n: np.asarray(v) if n in drawn(entry, env) and n != "xs" else v for n, v in env.items()}
            for spelling in entry.spellings:
                try:
                    z = running.run_forward(entry, spelling, env)
                except (ValueError, TypeError, ZeroDivisionError, np.linalg.LinAlgError):
                    continue
                for name in drawn(entry, env) & set(env):
                    for x in env["xs"] if name == "xs" else [env[name]]:
                        shares = any(
                            isinstance(r, np.ndarray) and np.shares_memory(r, x) for r in running.results_of(z)
                        )
                        check(entry.view or not shares, f"{spelling.text} shares memory with {name}")


def same_bits_twice(entry: Gate) -> None:
    """Evaluated twice, a rule gives the same bits, from an upstream gradient of the caller's that may be 0-d."""
    for case in drawing.cases(entry):
        env = drawing.draw(entry, case)
        z = running.run_forward(entry, entry.spellings[0], env)
        scalars = running.upstream(z)
        zero_d = [np.asarray(dz) for dz in scalars]
        values = []
        for dzs in (scalars, zero_d, zero_d):
            site = concrete_site.site_for(entry, env, "known")
            values.append(contributions(entry, site, env, running.with_results(env, z, dzs)))
        for (operand, first, _), (_, second, _), (_, third, _) in zip(*values, strict=True):
            np.testing.assert_array_equal(second, third, err_msg=f"{entry.name} {case} {operand}")
            np.testing.assert_allclose(first, second, rtol=1e-14, err_msg=f"{entry.name} {case} {operand}")
