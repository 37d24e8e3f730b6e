"""Linear algebra beyond what the table's own tests see."""

from __future__ import annotations

from typing import Any

import autograd
import autograd.numpy as anp
import numpy as np
import pytest

from flatgrad.gates.entry import TABLE
from flatgrad.proving import concrete_site, drawing, rules, running
from flatgrad.proving.drawing import Case


def gradient(name: str, x: Any, dz: Any, attrs: dict[str, Any] | None = None) -> Any:
    entry = TABLE[name]
    env = {**drawing.draw(entry, Case((np.shape(x),), attrs or {})), "x": x}
    site = concrete_site.site_for(entry, env, "known")
    rules.apply_shape_rule(entry, site)
    z = running.run_forward(entry, entry.spellings[0], env)
    return rules.contribution(entry, ("x", "x", None), site, running.with_results(env, z, [dz]))[0]


@pytest.mark.parametrize("shape", [(3, 3), (2, 3, 3)])
def test_cholesky_among_symmetric_matrices(shape: tuple[int, ...]) -> None:
    """Both triangles together get what other tools give to a symmetric matrix."""
    rng = np.random.default_rng(0)
    root, dz = rng.normal(size=(2, *shape))
    x = root @ np.swapaxes(root, -1, -2) + 3 * np.eye(3)
    expected = autograd.grad(lambda x: anp.sum(anp.linalg.cholesky(x) * dz))(x)
    got = gradient("cholesky", x, dz)
    np.testing.assert_allclose((got + np.swapaxes(got, -1, -2)) / 2, expected, rtol=1e-10)
    np.testing.assert_array_equal(got, np.tril(got))


def test_the_other_triangle_does_not_matter_to_cholesky() -> None:
    rng = np.random.default_rng(1)
    dz = rng.normal(size=(3, 3))
    x = np.eye(3) + 0.1
    changed = x + np.triu(rng.normal(size=(3, 3)), 1)
    np.testing.assert_array_equal(gradient("cholesky", x, dz), gradient("cholesky", changed, np.tril(dz)))


def test_singular_matrices_are_an_error() -> None:
    with pytest.raises(np.linalg.LinAlgError):
        gradient("det", np.zeros((2, 2)), 1.0)


def test_a_right_hand_side_of_open_rank_is_refused() -> None:
    entry = TABLE["solve"]
    env = drawing.draw(entry, Case(((2, 2), (2,)), {}))
    site = concrete_site.site_for(entry, env, "unknown")
    rules.apply_shape_rule(entry, site)
    with pytest.raises(concrete_site.RefusedUse, match="right-hand side"):
        rules.backward_spelling(entry, "y", None, site)


def test_a_power_of_the_run_is_refused() -> None:
    entry = TABLE["matrix_power"]
    site = concrete_site.site_for(entry, drawing.draw(entry, Case(((2, 2),), {"n": 2})), "dynamic")
    rules.apply_shape_rule(entry, site)
    with pytest.raises(concrete_site.RefusedUse, match="n must be"):
        rules.backward_spelling(entry, "x", None, site)
