"""What the table's own tests leave out of the gates that move, join, split, pad and pick elements."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import flatgrad.gates  # noqa: F401  (fills the table)
from flatgrad.gates.entry import TABLE
from flatgrad.ir.core import Attribute, DType, Kind, Literal, Type, Value
from flatgrad.ir.dims import SCALAR, Dim, Shape
from flatgrad.proving import concrete_site, drawing, rules, running
from flatgrad.proving.checks import check_env, check_numbers
from flatgrad.proving.drawing import Case

MODES = ("known", "ranks", "unknown")


def gradients(name: str, env: dict[str, Any], mode: str = "known") -> list[Any]:
    """Each operand's gradient for an upstream gradient of ones, by the backward rules."""
    entry = TABLE[name]
    env = drawing.with_numbered({**entry.attributes, "given": frozenset(env) - set(entry.operands), **env})
    site = concrete_site.site_for(entry, env, mode)
    rules.apply_shape_rule(entry, site)
    z = running.run_forward(entry, entry.spellings[0], env)
    dzs = [np.ones(np.shape(one)) for one in running.results_of(z)]
    operands = drawing.differentiable_operands(entry, env)
    full = running.with_results(env, z, dzs)
    return [rules.contribution(entry, operand, site, full)[0] for operand in operands]


def refusal(name: str, attrs: dict[str, Attribute]) -> str:
    """What the gate says to a matrix and these attributes."""
    entry = TABLE[name]
    attrs = {**entry.attributes, **attrs}
    site = concrete_site.ConcreteSite(attrs, 0, {"x": Value("x", Type(Kind.ARRAY, DType.FLOAT, Shape.of(2, 3)))})
    try:
        rules.apply_shape_rule(entry, site)
        rules.dtype_claim(entry, site)
        spelling = rules.backward_spelling(entry, "x", None, site)
    except concrete_site.RefusedUse as refused:
        return str(refused)
    raise AssertionError(f"{name} {attrs} is not refused: {spelling}")


# reshape and transpose


@pytest.mark.parametrize("given", [((3, 2),), (3, 2), ((-1, 2),)])
def test_starred_reshape_is_one_call_in_both_spellings(given: Attribute) -> None:
    site = concrete_site.ConcreteSite(
        {"shape": given, "order": "C"}, 0, {"x": Value("x", Type(Kind.OPEN, DType.OPEN, Shape.of(6)))}
    )
    assert rules.apply_shape_rule(TABLE["reshape"], site)[0] == Shape.of(3, 2)


def test_reshape_to_one_number_and_to_a_shape_of_the_run() -> None:
    x = Value("x", Type(Kind.ARRAY, DType.FLOAT, Shape.of("N", "D")))
    whole = concrete_site.ConcreteSite({"shape": -1, "order": "C"}, 0, {"x": x})
    assert str(rules.apply_shape_rule(TABLE["reshape"], whole)[0]) == "(D*N,)"
    like = Value("", Type(Kind.SHAPE, DType.INT, Shape.of("D", "N")))
    for given in (like, (like,)):
        site = concrete_site.ConcreteSite({"shape": given, "order": "C"}, 0, {"x": x})
        assert rules.apply_shape_rule(TABLE["reshape"], site)[0] == Shape.of("D", "N")


def test_reshape_divides_symbols() -> None:
    x = Value("x", Type(Kind.ARRAY, DType.FLOAT, Shape.of("N", "C", "H", "W")))
    n = Value("n", Type(Kind.SCALAR, DType.INT, SCALAR, Shape.of("N").front[0]))
    site = concrete_site.ConcreteSite({"shape": (n, -1), "order": "C"}, 0, {"x": x})
    assert str(rules.apply_shape_rule(TABLE["reshape"], site)[0]) == "(N, C*H*W)"


@pytest.mark.parametrize("name", ["reshape", "ravel", "flatten"])
def test_other_orders_are_refused(name: str) -> None:
    attrs: dict[str, Attribute] = {"order": "F", "shape": (6,)}
    assert "order='C'" in refusal(name, attrs)


def test_transpose_of_axes_known_to_the_run_alone_is_refused() -> None:
    axis = Value("k", Type(Kind.SCALAR, DType.INT, SCALAR))
    assert "permutation" in refusal("transpose", {"axes": (axis, 0)})
    assert "permutation" in refusal("transpose", {"axes": (0, 0)})


def test_transpose_of_an_unknown_rank_turns_the_known_ends_round() -> None:
    shape = Shape(Shape.of("N").front, "u", Shape.of("A", "B").front)
    site = concrete_site.ConcreteSite({"axes": None}, 0, {"x": Value("x", Type(Kind.OPEN, DType.FLOAT, shape))})
    z, _ = rules.apply_shape_rule(TABLE["transpose"], site)
    assert isinstance(z, Shape)
    assert (z.front, z.back) == (Shape.of("B", "A").front, Shape.of("N").front)
    assert z.middle not in (None, "u")


# Several operands


RANKS: dict[str, list[Any]] = {
    "hstack": [(((2, 3, 1), (2, 1, 1), (2, 2, 1)),), (((), (1,), (3,), ()),)],
    "vstack": [(((), (1,), (2, 1), ()),), (((3,), (3, 3), (3,), (1, 3)),)],
    "dstack": [(((1,), (), (1, 1), (1, 1, 2)),), (((2, 1, 3, 2), (2, 1, 1, 2)),)],
    "column_stack": [(((), (1, 2), (1,)),), (((3, 2), (3,), (3, 1), (3,)),)],
}


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("name", RANKS)
def test_stacking_of_mixed_ranks(name: str, mode: str) -> None:
    for shapes in RANKS[name]:
        assert check_numbers(TABLE[name], Case(shapes, {}), mode)


@pytest.mark.parametrize("name", [*RANKS, "concatenate"])
def test_stacking_where_one_rank_alone_is_known(name: str) -> None:
    entry = TABLE[name]
    env = drawing.draw(entry, Case((((2, 3), (2, 3), (2, 3)),), {}))
    for known in range(3):
        site = concrete_site.site_for(entry, env, "unknown")
        site.operands[f"x{known}"] = Value("", Type(Kind.ARRAY, DType.FLOAT, Shape.of("N", "D")))
        rules.apply_shape_rule(entry, site)
        z = running.run_forward(entry, entry.spellings[0], env)
        dzs = [np.arange(float(np.size(z))).reshape(z.shape)]
        for operand in drawing.differentiable_operands(entry, env):
            got, _ = rules.contribution(entry, operand, site, running.with_results(env, z, dzs))
            expected = rules.numeric_gradient(entry, env, operand[0], dzs)
            np.testing.assert_allclose(got, expected, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("name", ["stack", "array_of"])
def test_stack_proves_one_shape_for_all(name: str) -> None:
    entry = TABLE[name]
    operands: dict[str, Any] = {
        "x0": Value("", Type(Kind.OPEN, DType.OPEN, Shape.unknown("a"))),
        "x1": Value("", Type(Kind.OPEN, DType.OPEN, Shape.of("N", 3))),
        "x2": Value("", Type(Kind.OPEN, DType.OPEN, Shape.of("M", "K"))),
    }
    site = concrete_site.ConcreteSite(dict(entry.attributes), 3, operands)
    rules.apply_shape_rule(entry, site)
    assert site.shape("x0") == site.shape("x1") == site.shape("x2")
    assert site.solver.resolve(site.result or SCALAR) == Shape((Shape.of(3).front[0], *site.shape("x1").front))


def test_constants_among_the_operands() -> None:
    entry = TABLE["stack"]
    env = drawing.draw(entry, Case((((), (), ()),), {}))
    site = concrete_site.site_for(entry, env, "unknown")
    site.operands["x1"] = Literal(1.0, "1.0")
    claim, _ = rules.apply_shape_rule(entry, site)
    assert site.solver.resolve(claim if isinstance(claim, Shape) else SCALAR) == Shape.of(3)


# Several results


def test_pieces_of_a_multiple_are_known() -> None:
    h_dim = Dim.symbol("H")
    h = Value("H", Type(Kind.SCALAR, DType.INT, SCALAR, h_dim))
    two = Value("", Type(Kind.SCALAR, DType.INT, SCALAR, h_dim * 2))
    x = Value("x", Type(Kind.ARRAY, DType.FLOAT, Shape((*Shape.of("N").front, h_dim * 4))))
    for sections, expected in (((h, two), "(N, H) (N, H) (N, 2*H)"), (4, "(N, H) (N, H) (N, H) (N, H)")):
        site = concrete_site.ConcreteSite({"sections": sections, "axis": 1}, 0, {"x": x})
        shapes, _ = rules.apply_shape_rule(TABLE["split"], site)
        assert " ".join(map(str, shapes)) == expected  # type: ignore[arg-type]


@pytest.mark.parametrize("sections", [(2, 1), (1, 3)])
def test_pieces_that_may_be_cut_short_are_not_known(sections: tuple[int, ...]) -> None:
    x = Value("x", Type(Kind.ARRAY, DType.FLOAT, Shape.of("N")))
    site = concrete_site.ConcreteSite({"sections": sections, "axis": 0}, 0, {"x": x})
    shapes, _ = rules.apply_shape_rule(TABLE["split"], site)
    known = {str(shape) for shape in shapes} & {"(1,)", "(2,)", "(N,)"}  # type: ignore[union-attr]
    assert not known, "x of one element gives a first piece of one element and then nothing"


def test_pieces_of_an_unknown_number_are_refused() -> None:
    many = Value("k", Type(Kind.SCALAR, DType.INT, SCALAR, Shape.of("k").front[0]))
    assert "how many pieces" in refusal("split", {"sections": many})


# pad


@pytest.mark.parametrize("mode", ["constant", "edge", "reflect", "symmetric", "wrap"])
@pytest.mark.parametrize("facts", [*MODES, "dynamic"])
def test_pad_of_every_mode_and_width(mode: str, facts: str) -> None:
    rng = np.random.default_rng(3)
    for _ in range(12):
        shape = tuple(int(n) for n in rng.integers(1, 4, size=rng.integers(1, 4)))
        widths: list[Any] = [int(rng.integers(0, 4)), tuple(int(n) for n in rng.integers(0, 4, size=2))]
        widths.append(tuple(tuple(int(n) for n in rng.integers(0, 7, size=2)) for _ in shape))
        for width in widths:
            check_numbers(TABLE["pad"], Case((shape,), {"pad_width": width, "mode": mode}), facts)


def test_pad_refusals() -> None:
    value = Value("v", Type(Kind.SCALAR, DType.FLOAT, SCALAR))
    assert "modes" in refusal("pad", {"pad_width": 1, "mode": "linear_ramp"})
    assert "constant_values" in refusal("pad", {"pad_width": 1, "constant_values": value})
    assert "constant_values" in refusal("pad", {"pad_width": 1, "constant_values": ((0, value),)})


# Pieces of nothing


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(
    ("name", "env"),
    [
        ("diff", {"x": np.zeros(0)}),
        ("diff", {"x": np.zeros((2, 0))}),
        ("diff", {"x": np.zeros((0, 2)), "axis": 0}),
        ("diff", {"x": np.zeros(1)}),
        ("pad", {"x": np.zeros((0, 2)), "pad_width": 1}),
        ("tile", {"x": np.zeros((0, 2)), "reps": (2, 3)}),
        ("repeat", {"x": np.zeros((2, 0)), "repeats": 2, "axis": 0}),
        ("diag", {"x": np.zeros((0, 3))}),
        ("diag", {"x": np.zeros((2, 2)), "k": 4}),
        ("take", {"x": np.zeros((0, 2)), "i": np.zeros(0, dtype=int), "axis": 0}),
        ("reshape", {"x": np.zeros((0, 2)), "shape": (2, 0)}),
        ("concatenate", {"xs": [np.zeros((0, 2)), np.zeros((3, 2))]}),
    ],
)
def test_empty_operands(name: str, env: dict[str, Any], mode: str) -> None:
    for gradient, x in zip(gradients(name, env, mode), env.get("xs", [env.get("x")]), strict=True):
        assert np.shape(gradient) == np.shape(x)


# take and take_along_axis


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("index", [2, [0, 2, 2], (1, 1), [[0, 1], [-1, 2]], np.array([2, 0, 2, 2])])
@pytest.mark.parametrize("axis", [None, 0, 1, -1])
def test_take_of_every_index(index: Any, axis: int | None, mode: str) -> None:
    x = np.arange(12.0).reshape(3, 4)
    dx = gradients("take", {"x": x, "i": index, "axis": axis}, mode)[0]
    counts = np.zeros(x.shape)
    for place in np.take(np.arange(12).reshape(3, 4), index, axis=axis).ravel():
        counts.flat[place] += 1
    np.testing.assert_array_equal(dx, counts)


def test_take_leaves_the_rank_open_at_the_axes_that_a_number_has() -> None:
    """np.take(5.0, [0, 0], axis=0) is understood by NumPy."""
    entry = TABLE["take"]
    for axis, least in ((0, 0), (-1, 0), (1, 2), (-2, 2)):
        x = Value("x", Type(Kind.OPEN, DType.OPEN, Shape.unknown("x")))
        i = Value("i", Type(Kind.ARRAY, DType.INT, Shape.of(2)))
        site = concrete_site.ConcreteSite({"axis": axis}, 0, {"x": x, "i": i})
        rules.apply_shape_rule(entry, site)
        assert site.shape("x").least_rank == least


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(("i_shape", "axis"), [((1, 4), 0), ((3, 1), 1), ((3, 2), -1), ((1, 2), 1), ((1, 1), -2)])
def test_take_along_axis_broadcasts(i_shape: tuple[int, ...], axis: int, mode: str) -> None:
    entry = TABLE["take_along_axis"]
    i = np.random.default_rng(0).integers(-3, 3, size=i_shape)
    env = {"x": np.arange(12.0).reshape(3, 4), "i": i, "axis": axis, "given": frozenset({"axis"})}
    assert check_env(entry, env, mode)


# Order


def test_equal_elements_keep_their_order() -> None:
    x = np.array([2.0, 1.0, 2.0, 1.0])
    for mode in MODES:
        entry = TABLE["sort"]
        env: dict[str, Any] = {**entry.attributes, "x": x, "given": frozenset()}
        site = concrete_site.site_for(entry, env, mode)
        rules.apply_shape_rule(entry, site)
        dzs = [np.array([10.0, 20.0, 30.0, 40.0])]
        full = running.with_results(env, np.sort(x), dzs)
        dx, _ = rules.contribution(entry, ("x", "x", None), site, full)
        np.testing.assert_array_equal(dx, [30.0, 10.0, 40.0, 20.0])


def test_the_first_of_equal_elements_is_the_unique_one() -> None:
    dx = gradients("unique", {"x": np.array([[2.0, 1.0], [2.0, 1.0]])})[0]
    np.testing.assert_array_equal(dx, [[1.0, 1.0], [0.0, 0.0]])


# Casts


@pytest.mark.parametrize("name", ["astype", "array", "asarray"])
def test_casts(name: str) -> None:
    entry = TABLE[name]
    x = Value("x", Type(Kind.ARRAY, DType.FLOAT, Shape.of(3)))
    expected = {
        "float32": DType.FLOAT,
        "np.float64": DType.FLOAT,
        "numpy.double": DType.FLOAT,
        "<f4": DType.FLOAT,
        "float": DType.FLOAT,
        "int": DType.INT,
        "np.uint8": DType.INT,
        "bool": DType.BOOL,
        "np.bool_": DType.BOOL,
        "complex": DType.OPEN,
        "object": DType.OPEN,
    }
    for dtype, claim in expected.items():
        site = concrete_site.ConcreteSite({**entry.attributes, "dtype": dtype}, 0, {"x": x})
        rules.apply_shape_rule(entry, site)
        assert rules.dtype_claim(entry, site) is claim, dtype


@pytest.mark.parametrize("dtype", ["complex", Value("d", Type(Kind.OTHER, DType.NONE, SCALAR))])
def test_a_cast_that_may_cut_numbers_down_is_refused(dtype: Attribute) -> None:
    for name in ("astype", "array", "asarray"):
        assert "floating" in refusal(name, {"dtype": dtype})


def test_array_without_a_copy_is_refused() -> None:
    assert "copy=True" in refusal("array", {"copy": False})
