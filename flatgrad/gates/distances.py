"""Distances between the rows of two matrices."""

from __future__ import annotations

from flatgrad.gates.entry import Site, gate
from flatgrad.ir.core import DType
from flatgrad.ir.dims import Shape

# For each metric what a pair of rows has to do with the gradient: each difference x[i] - y[j] is weighted by it.
_WEIGHTS = {"euclidean": "dz / (z + (z == 0))", "sqeuclidean": "2 * dz"}


def _pairs(site: Site) -> Shape:
    if site.attrs["metric"] not in (*_WEIGHTS, "cityblock"):
        raise site.refuse("cdist is understood with the metrics euclidean, sqeuclidean and cityblock")
    x, y = site.exact_rank("x", 2), site.exact_rank("y", 2)
    site.same_dim(x.front[1], y.front[1])
    return Shape((x.front[0], y.front[0]))


def _from_rows(site: Site) -> str:
    metric = site.attrs["metric"]
    if metric == "cityblock":
        return "np.sum(dz[:, :, None] * np.sign(x[:, None] - y), axis=1)"
    weights = _WEIGHTS[str(metric)]
    return f"np.sum({weights}, axis=1)[:, None] * x - ({weights}) @ y"


def _from_columns(site: Site) -> str:
    metric = site.attrs["metric"]
    if metric == "cityblock":
        return "-np.sum(dz[:, :, None] * np.sign(x[:, None] - y), axis=0)"
    weights = _WEIGHTS[str(metric)]
    return f"np.sum({weights}, axis=0)[:, None] * y - ({weights}).T @ x"


cdist = gate(
    "scipy.spatial.distance.cdist(x, y, metric='euclidean')",
    backward={"x": _from_rows, "y": _from_columns},
    shape=_pairs,
    dtype=DType.FLOAT,
    numeric_only="SciPy takes no symbols",
    convention="of two equal rows, the euclidean distance has gradient 0",
    samples={
        "shapes": [((3, 2), (4, 2)), ((1, 3), (2, 3))],
        "attrs": [{}, {"metric": "sqeuclidean"}, {"metric": "cityblock"}],
        "lists": False,
    },
)
