"""Products in every combination of ranks that NumPy allows, against differences and against HIPS autograd."""

from __future__ import annotations

import itertools
from typing import Any

import autograd
import autograd.numpy as anp
import numpy as np
import pytest

from flatgrad.gates.entry import TABLE
from flatgrad.ir.dims import Shape
from flatgrad.proving import concrete_site, drawing, rules, running
from flatgrad.proving.checks import check_env
from flatgrad.proving.drawing import Case

RANKS = range(5)


def shapes_for(name: str, a: int, b: int, rng: np.random.Generator) -> tuple[tuple[int, ...], tuple[int, ...]] | None:
    """Shapes of these ranks that the product takes, of dims 1, 2 and 3, or None where it takes none."""
    x = [int(n) for n in rng.integers(1, 4, size=a)]
    y = [int(n) for n in rng.integers(1, 4, size=b)]
    if name == "matmul" and (a == 0 or b == 0):
        return None
    if name in ("dot", "matmul") and a and b:
        y[-2 if b > 1 else -1] = x[-1]
    if name == "inner" and a and b:
        y[-1] = x[-1]
    if name == "matmul":
        for place in range(3, min(a, b) + 1):
            if x[-place] != y[-place] and 1 not in (x[-place], y[-place]):
                y[-place] = x[-place]
    if name == "kron" and a + b > 6:
        return None
    return tuple(x), tuple(y)


CASES = [
    (name, a, b) for name in ("dot", "matmul", "inner", "outer", "kron") for a, b in itertools.product(RANKS, RANKS)
]


@pytest.mark.parametrize(("name", "a", "b"), CASES)
def test_every_pair_of_ranks(name: str, a: int, b: int) -> None:
    entry = TABLE[name]
    rng = np.random.default_rng([a, b])
    for seed in range(3):
        shapes = shapes_for(name, a, b, rng)
        if shapes is None:
            return
        env = drawing.draw(entry, Case(shapes, {}), seed)
        for mode in concrete_site.MODES:
            # With ranks known nothing is refused; without, what is accepted is right.
            assert check_env(entry, env, mode) or mode == "unknown"
        # autograd is wrong for np.outer of what is not a vector and for np.kron of unequal ranks.
        if name in ("dot", "matmul", "inner") or (name == "outer" and a == b == 1) or (name == "kron" and a == b > 0):
            assert_as_autograd(name, env)


def assert_as_autograd(name: str, env: dict[str, Any]) -> None:
    entry = TABLE[name]
    site = concrete_site.site_for(entry, env, "known")
    rules.apply_shape_rule(entry, site)
    z = running.run_forward(entry, entry.spellings[0], env)
    dzs = running.upstream(z)
    full = running.with_results(env, z, dzs)

    def loss(x: Any, y: Any) -> Any:
        return anp.sum(getattr(anp, name)(x, y) * dzs[0])

    for place, operand in enumerate("xy"):
        value, spelling = rules.contribution(entry, (operand, operand, None), site, full)
        expected = autograd.grad(loss, place)(env["x"], env["y"])
        got = running.unbroadcast(value, np.shape(env[operand]))
        np.testing.assert_allclose(got, expected, rtol=1e-10, err_msg=spelling)


def test_tensordot_over_any_axes() -> None:
    entry = TABLE["tensordot"]
    rng = np.random.default_rng(4)
    for seed in range(60):
        a, b = (int(n) for n in rng.integers(1, 5, size=2))
        pairs = int(rng.integers(0, min(a, b) + 1))
        x_axes = rng.permutation(a)[:pairs].tolist()
        y_axes = rng.permutation(b)[:pairs].tolist()
        x = rng.integers(1, 4, size=a)
        y = rng.integers(1, 4, size=b)
        y[y_axes] = x[x_axes]
        signed = tuple(axis - a * int(rng.integers(0, 2)) for axis in x_axes)
        env = drawing.draw(entry, Case((tuple(x.tolist()), tuple(y.tolist())), {"axes": (signed, tuple(y_axes))}), seed)
        for mode in ("known", "ranks"):
            assert check_env(entry, env, mode)
        assert not check_env(entry, env, "unknown")


def spellings(name: str, x: tuple[int, ...], y: tuple[int, ...], mode: str = "known") -> tuple[str, str]:
    entry = TABLE[name]
    site = concrete_site.site_for(entry, drawing.draw(entry, Case((x, y), {})), mode)
    rules.apply_shape_rule(entry, site)
    return rules.backward_spelling(entry, "x", None, site), rules.backward_spelling(entry, "y", None, site)


@pytest.mark.parametrize("name", ["dot", "matmul"])
def test_spellings_are_what_one_would_write(name: str) -> None:
    assert spellings(name, (3,), (3,)) == ("dz * y", "dz * x")
    assert spellings(name, (2, 3), (3,)) == ("np.outer(dz, y)", "x.T @ dz")
    assert spellings(name, (3,), (3, 2)) == ("dz @ y.T", "np.outer(x, dz)")
    assert spellings(name, (2, 3), (3, 4)) == ("dz @ y.T", "x.T @ dz")


def test_a_known_matrix_on_the_right_is_enough() -> None:
    """`h @ W` with nothing known of h: one spelling for a vector, a matrix and a stack."""
    entry = TABLE["matmul"]
    seen = set()
    for x in ((3,), (2, 3), (2, 2, 3)):
        env = drawing.draw(entry, Case((x, (3, 2)), {}))
        site = concrete_site.site_for(entry, env, "unknown")
        known = concrete_site.site_for(entry, env, "known")
        site.operands["y"] = known.operands["y"]
        claim, signature = rules.apply_shape_rule(entry, site)
        assert signature is None
        assert isinstance(claim, Shape)
        site.solver.same_shape(site.shape("x"), known.shape("x"))
        z = env["x"] @ env["y"]
        assert site.solver.resolve(claim) == Shape.of(*z.shape)
        full = running.with_results(env, z, running.upstream(z))
        open_site = concrete_site.site_for(entry, env, "unknown")
        open_site.operands["y"] = known.operands["y"]
        rules.apply_shape_rule(entry, open_site)
        for name in "xy":
            value, spelling = rules.contribution(entry, (name, name, None), open_site, full)
            seen.add(spelling)
            expected = rules.numeric_gradient(entry, env, name, [full["dz"]])
            np.testing.assert_allclose(value, expected, rtol=1e-6)
    assert len(seen) == 2


@pytest.mark.parametrize("name", ["dot", "matmul", "inner", "tensordot", "kron", "cross"])
def test_unknown_ranks_are_refused(name: str) -> None:
    with pytest.raises(concrete_site.RefusedUse):
        spellings(name, (3, 3), (3, 3), "unknown")


def test_cross_of_two_elements_is_refused() -> None:
    with pytest.raises(concrete_site.RefusedUse, match="3 elements"):
        spellings("cross", (2,), (3,))
