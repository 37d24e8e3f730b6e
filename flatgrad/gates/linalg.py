"""Linear algebra: inverses, determinants, systems of equations, factors and powers of matrices."""

from __future__ import annotations

from flatgrad.gates.axes import transposed, without_axes
from flatgrad.gates.entry import Site, gate
from flatgrad.gates.parts import integer
from flatgrad.ir.dims import Shape

_LONGEST_SUM = 3

_MATRICES: dict[str, object] = {
    "shapes": [((1, 1),), ((3, 3),), ((2, 3, 3),)],
    "operands": {"x": "x + 3 * np.eye(np.shape(x)[-1])"},
}
_LAPACK = "computed by LAPACK, not by a formula"


# Inverse and determinant


def _inv_backward(site: Site) -> str:
    t = transposed(site, "z")
    return f"-{t} @ dz @ {t}"


def _pinv_backward(site: Site) -> str:
    """Where the rank of x stays as it is; of an x of full rank one of the two last parts is 0."""
    z = transposed(site, "z")
    dz = "dz.T" if site.rank("x") == 2 else "np.swapaxes(dz, -1, -2)"
    return f"{dz} @ z @ {z} - x @ z @ {dz} @ z @ {z} + {z} @ z @ {dz} - {z} @ z @ {dz} @ z @ x - {z} @ dz @ {z}"


def _det_backward(site: Site) -> str:
    if site.rank("x") == 2:
        return "dz * z * np.linalg.inv(x).T"
    return "(dz * z)[..., None, None] * np.swapaxes(np.linalg.inv(x), -1, -2)"


def _slogdet_backward(site: Site) -> str:
    if site.rank("x") == 2:
        return "dz1 * np.linalg.inv(x).T"
    return "np.expand_dims(dz1, (-2, -1)) * np.swapaxes(np.linalg.inv(x), -1, -2)"


def _slogdet_shape(site: Site) -> tuple[Shape, Shape]:
    shape = site.grow_back("x", 2)
    rows, columns = shape.dim(-2), shape.dim(-1)
    if rows is not None and columns is not None:
        site.same_dim(rows, columns)
    stack = without_axes(site, site.shape("x"), (-2, -1))
    return stack, stack


gate(
    "np.linalg.inv(x)",
    backward={"x": _inv_backward},
    shape="(n,n)->(n,n)",
    dtype="float",
    numeric_only=_LAPACK,
    samples=_MATRICES,
)

gate(
    "np.linalg.pinv(x)",
    backward={"x": _pinv_backward},
    shape="(m,n)->(n,m)",
    dtype="float",
    numeric_only=_LAPACK,
    samples={"shapes": [((1, 1),), ((3, 3),), ((2, 3),), ((4, 2),), ((2, 3, 2),)]},
)

gate(
    "np.linalg.det(x)",
    backward={"x": _det_backward},
    shape="(n,n)->()",
    dtype="float",
    convention="of a singular matrix: backward raises np.linalg.LinAlgError",
    numeric_only=_LAPACK,
    samples=_MATRICES,
)

gate(
    "np.linalg.slogdet(x)",
    backward={"x": _slogdet_backward},
    shape=_slogdet_shape,
    dtype="float",
    convention="the sign carries no gradient; of a singular matrix: backward raises np.linalg.LinAlgError",
    numeric_only=_LAPACK,
    samples=_MATRICES,
)


# Systems of equations


def _solve_shape(site: Site) -> Shape | str:
    rank = site.rank("y")
    if rank == 1:
        return "(n,n),(n)->(n)"
    if rank is not None or len(site.shape("y").back) >= 2:
        return "(n,n),(n,m)->(n,m)"
    return site.unknown()


def _solve_backward_y(site: Site) -> str:
    rank = site.rank("y")
    if rank is None and len(site.shape("y").back) < 2:
        raise site.refuse(
            "np.linalg.solve means another thing for one right-hand side than for several",
            'give the shape of the right-hand side, as in `y: "N"`',
        )
    system = transposed(site, "x")
    if rank == 1 and site.rank("x") != 2:
        return f"np.linalg.solve({system}, dz[..., None])[..., 0]"
    return f"np.linalg.solve({system}, dz)"


def _solve_backward_x(site: Site) -> str:
    gradient = _solve_backward_y(site)
    if site.rank("y") != 1:
        return f"-{gradient} @ {transposed(site, 'z')}"
    if site.rank("x") == 2:
        return f"-np.outer({gradient}, z)"
    return f"-({gradient})[..., None] * z[..., None, :]"


gate(
    "np.linalg.solve(x, y)",
    backward={"x": _solve_backward_x, "y": _solve_backward_y},
    shape=_solve_shape,
    dtype="float",
    numeric_only=_LAPACK,
    samples={
        "shapes": [
            ((3, 3), (3,)),
            ((3, 3), (3, 2)),
            ((2, 3, 3), (3,)),
            ((2, 3, 3), (3, 2)),
            ((3, 3), (2, 3, 2)),
            ((2, 1, 3, 3), (2, 3, 1)),
        ],
        "operands": {"x": "x + 3 * np.eye(np.shape(x)[-1])"},
    },
)


# Factors and powers


def _cholesky_backward(site: Site) -> str:
    if site.attrs["upper"] is not False:
        raise site.refuse("np.linalg.cholesky(..., upper=True) is not understood", "transpose the lower factor")
    if site.rank("x") == 2:
        inner = "(np.tril(z.T @ dz) + np.tril(z.T @ dz, -1).T)"
        both = f"np.linalg.inv(z).T @ {inner} @ np.linalg.inv(z)"
    else:
        t = "np.swapaxes(z, -1, -2)"
        inner = f"(np.tril({t} @ dz) + np.swapaxes(np.tril({t} @ dz, -1), -1, -2))"
        both = f"np.swapaxes(np.linalg.inv(z), -1, -2) @ {inner} @ np.linalg.inv(z)"
    # What would go to both triangles of a symmetric matrix goes to the lower one, which alone is read.
    return f"np.tril({both}) / (1 + np.eye(np.shape(x)[-1], dtype=dz.dtype))"


gate(
    "np.linalg.cholesky(x, upper=False)",
    backward={"x": _cholesky_backward},
    shape="(n,n)->(n,n)",
    dtype="float",
    convention="NumPy reads the lower triangle alone, so the upper one gets 0; "
    "(dx + dx.T) / 2 is the gradient among symmetric matrices",
    numeric_only=_LAPACK,
    samples={
        "shapes": [((1, 1),), ((3, 3),), ((2, 3, 3),)],
        "operands": {"x": "x @ np.swapaxes(x, -1, -2) + 3 * np.eye(np.shape(x)[-1])"},
    },
)


def _power(base: str, n: int) -> str:
    return base if n == 1 else f"np.linalg.matrix_power({base}, {n})"


def _matrix_power_backward(site: Site) -> str:
    n = integer(site, "n")
    if n == 0:
        return "0 * dz"
    # x**-n is y**n for the inverse y, and dy becomes -y.T @ dy @ y.T: one more power of y at both ends.
    base, sign = transposed(site, "x"), ""
    if n < 0:
        base, sign = f"np.linalg.inv({base})", "-"
    terms = abs(n)
    if terms > _LONGEST_SUM:
        return _long_matrix_power(base, sign, terms)
    products = []
    for k in range(terms):
        before, after = (k, terms - 1 - k) if n > 0 else (k + 1, terms - k)
        factors = [_power(base, before)] * (before > 0) + ["dz"] + [_power(base, after)] * (after > 0)
        products.append(" @ ".join(factors))
    return sign + f" {sign or '+'} ".join(products)


def _long_matrix_power(base: str, sign: str, terms: int) -> str:
    """The sum of base**k @ dz @ base**(terms - 1 - k) stands in the corner of a power of [[base, dz], [0, base]]."""
    top = f"np.concatenate(({base}, dz), axis=-1)"
    bottom = f"np.concatenate((0 * dz, {base}), axis=-1)"
    power = f"np.linalg.matrix_power(np.concatenate(({top}, {bottom}), axis=-2), {terms})"
    corner = f"{power}[..., : np.shape(x)[-1], np.shape(x)[-1] :]"
    return f"-{base} @ {corner} @ {base}" if sign else corner


gate(
    "np.linalg.matrix_power(x, n)",
    view=True,  # the first power is x itself
    backward={"x": _matrix_power_backward},
    shape="(n,n)->(n,n)",
    convention="the exponent is a constant",
    numeric_only="negative powers are inverses",
    samples={
        "shapes": [((2, 2),), ((2, 2, 2),)],
        "attrs": [{"n": n} for n in (-5, -3, -2, -1, 0, 1, 2, 3, 4, 6)],
        "operands": {"x": "x / 2 + 2 * np.eye(np.shape(x)[-1])"},
    },
)
