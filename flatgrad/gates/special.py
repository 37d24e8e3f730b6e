"""`scipy.special`: sigmoids, error functions, gamma functions, and the softmax family; the normal distribution."""

from __future__ import annotations

from flatgrad.gates.axes import expanded, reduced_shape
from flatgrad.gates.entry import Site, gate
from flatgrad.gates.parts import unchanged
from flatgrad.ir.dims import Shape

expit = gate("special.expit(x)", backward={"x": "dz * z * (1 - z)"}, dtype="float", proof="1 / (1 + exp(-x))")

log_expit = gate(
    "special.log_expit(x)",
    backward={"x": "-dz * np.expm1(z)"},
    dtype="float",
    proof="-log(1 + exp(-x))",
)

logit = gate(
    "special.logit(x)",
    backward={"x": "dz / (x * (1 - x))"},
    dtype="float",
    proof="log(x / (1 - x))",
    domain=(0.1, 0.9),
    samples={"lists": False},
)

# Math's constants are Python floats, which leave float32 as it is: np.sqrt(np.pi) would not.

erf = gate(
    "special.erf(x)",
    backward={"x": "dz * (2 / math.sqrt(math.pi)) * np.exp(-np.square(x))"},
    dtype="float",
    proof="erf(x)",
)

erfc = gate(
    "special.erfc(x)",
    backward={"x": "-dz * (2 / math.sqrt(math.pi)) * np.exp(-np.square(x))"},
    dtype="float",
    proof="erfc(x)",
)

ndtr = gate(
    "special.ndtr(x)",
    backward={"x": "dz * np.exp(-np.square(x) / 2) / math.sqrt(2 * math.pi)"},
    dtype="float",
    proof="(1 + erf(x / sqrt(2))) / 2",
)

gamma = gate(
    "special.gamma(x)",
    backward={"x": "dz * z * special.digamma(x)"},
    dtype="float",
    proof="gamma(x)",
    domain=(0.3, 4.0),
)

gammaln = gate(
    "special.gammaln(x)",
    also=("special.loggamma(x)",),
    backward={"x": "dz * special.digamma(x)"},
    dtype="float",
    proof="loggamma(x)",
    domain=(0.3, 4.0),
)

digamma = gate(
    "special.digamma(x)",
    also=("special.psi(x)",),
    # The trigamma function, as Hurwitz zeta: special.polygamma(1, x) would make float64 of float32.
    backward={"x": "dz * special.zeta(2, x)"},
    dtype="float",
    proof="digamma(x)",
    domain=(0.3, 4.0),
)

i0 = gate("special.i0(x)", backward={"x": "dz * special.i1(x)"}, dtype="float", proof="besseli(0, x)")

entr = gate(
    "special.entr(x)",
    backward={"x": "-dz * (np.log(x) + 1)"},
    dtype="float",
    proof="-x * log(x)",
    domain=(0.2, 3.0),
    convention="infinite at 0",
)

xlogy = gate(
    "special.xlogy(x, y)",
    backward={"x": "dz * np.log(y)", "y": "dz * x / np.where(np.equal(x, 0), 1, y)"},
    shape="(),()->()",
    dtype="float",
    proof="x * log(y)",
    domain=(0.3, 3.0),
    convention="of x = 0, the gradient for y is 0, for y = 0 too",
)

xlog1py = gate(
    "special.xlog1py(x, y)",
    backward={"x": "dz * np.log1p(y)", "y": "dz * x / np.where(np.equal(x, 0), 1, np.add(y, 1))"},
    shape="(),()->()",
    dtype="float",
    proof="x * log(1 + y)",
    domain=(-0.7, 3.0),
    convention="of x = 0, the gradient for y is 0, for y = -1 too",
)


# The softmax family

AXES: dict[str, object] = {
    "cases": [
        (((),), {}),
        (((3,),), {}),
        (((2, 3),), {}),
        (((3,),), {"axis": 0}),
        (((2, 3),), {"axis": 0}),
        (((2, 3),), {"axis": 1}),
        (((2, 3, 2),), {"axis": 1}),
        (((2, 3, 2),), {"axis": -1}),
        (((2, 3, 2),), {"axis": -3}),
        (((2, 3, 2),), {"axis": (0, 1)}),
        (((2, 3, 2),), {"axis": (-1, 0)}),
    ]
}


def _logsumexp_shape(site: Site) -> Shape:
    if site.attrs["b"] is not None or site.attrs["return_sign"] is not False:
        raise site.refuse("logsumexp is understood without b and return_sign", "write np.log(np.sum(b * np.exp(x)))")
    return reduced_shape(site)


def _logsumexp(site: Site) -> str:
    return f"{expanded(site, 'dz')} * np.exp(x - {expanded(site, 'z')})"


logsumexp = gate(
    "special.logsumexp(x, axis=None, b=None, keepdims=False, return_sign=False)",
    backward={"x": _logsumexp},
    shape=_logsumexp_shape,
    dtype="float",
    numeric_only="of as many variables as x has elements",
    samples={
        "shapes": [((3,),), ((2, 3),), ((2, 3, 2),)],
        "attrs": [
            {},
            {"keepdims": True},
            *({"axis": axis} for axis in (0, 1, -1, (0, 1), (-1, 0))),
            *({"axis": axis, "keepdims": True} for axis in (0, 1, (0, -1))),
        ],
    },
)

softmax = gate(
    "special.softmax(x, axis=None)",
    backward={"x": "z * (dz - np.sum(dz * z, axis=axis, keepdims=True))"},
    shape=unchanged,
    dtype="float",
    numeric_only="of as many variables as x has elements",
    samples=AXES,
)

log_softmax = gate(
    "special.log_softmax(x, axis=None)",
    backward={"x": "dz - np.exp(z) * np.sum(dz, axis=axis, keepdims=True)"},
    shape=unchanged,
    dtype="float",
    numeric_only="of as many variables as x has elements",
    samples=AXES,
)


# The standard normal distribution: a location and a scale would be operands, and are refused.

_DENSITY = "np.exp(-np.square({at}) / 2) / math.sqrt(2 * math.pi)"

norm_pdf = gate(
    "scipy.stats.norm.pdf(x)",
    backward={"x": "-dz * x * z"},
    dtype="float",
    proof="exp(-x**2 / 2) / sqrt(2 * pi)",
    name="norm_pdf",
)

norm_logpdf = gate(
    "scipy.stats.norm.logpdf(x)",
    backward={"x": "-dz * x"},
    dtype="float",
    proof="-x**2 / 2 - log(2 * pi) / 2",
    name="norm_logpdf",
)

norm_cdf = gate(
    "scipy.stats.norm.cdf(x)",
    backward={"x": f"dz * {_DENSITY.format(at='x')}"},
    dtype="float",
    proof="(1 + erf(x / sqrt(2))) / 2",
    name="norm_cdf",
)

norm_sf = gate(
    "scipy.stats.norm.sf(x)",
    backward={"x": f"-dz * {_DENSITY.format(at='x')}"},
    dtype="float",
    proof="(1 - erf(x / sqrt(2))) / 2",
    name="norm_sf",
)

norm_ppf = gate(
    "scipy.stats.norm.ppf(x)",
    backward={"x": "dz * math.sqrt(2 * math.pi) * np.exp(np.square(z) / 2)"},
    dtype="float",
    numeric_only="SymPy's erfinv is compared by numbers only",
    domain=(0.1, 0.9),
    name="norm_ppf",
)
