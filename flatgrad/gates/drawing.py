"""Random draws: constants of the forward pass, drawn once and kept for the backward pass.

A gate here has an effect: it changes the state of a generator. Its relation is never computed again, never taken for
another one like it and never moved past another effect. `size`, and `shape` in `rand(*shape)`, are shapes; a gradient
that would flow into any other argument is refused: what is drawn does hang on it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from flatgrad.gates.entry import Site, gate
from flatgrad.gates.parts import described, unpacked
from flatgrad.ir.core import Attribute, DType, Kind, Value, values_in
from flatgrad.ir.dims import SCALAR, Dim, Shape

CONSTANT = "drawn once, in the forward pass, and a constant there"
# How tests make the generator whose methods are called.
_GENERATORS = {"rng": "np.random.default_rng(5)", "state": "np.random.RandomState(5)"}


def _of_size(site: Site, attribute: Attribute) -> Shape:
    shape = described(site, attribute)
    if isinstance(shape, Shape):
        return shape
    return Shape(tuple(site.fresh_dim() if dim is None else dim for dim in shape))


def _starred(site: Site) -> Shape:
    """`rand()`, `rand(3, 4)`, `rand(*x.shape)`."""
    shape = unpacked(site, site.attrs["shape"])
    return SCALAR if shape is None or shape == () else _of_size(site, shape)


def _sized(*parameters: str) -> Callable[[Site], Shape]:
    """The shape that `size` says; without one, that of the parameters of the distribution, broadcast."""

    def rule(site: Site) -> Shape:
        if site.attrs["size"] is not None:
            return _of_size(site, site.attrs["size"])
        given = [site.attrs[name] for name in parameters]
        values = [value for one in given for value in values_in(one)]
        if any(isinstance(one, tuple) for one in given):
            return site.unknown()
        return site.broadcast(*(site.attribute_type(value).shape for value in values))

    return rule


_TWO_SIZES: list[dict[str, object]] = [{"size": 3}, {"size": (2, 3)}, {"size": ()}]


def _drawn(
    method: str,
    call: str,
    parameters: Mapping[str, object],
    *,
    homes: tuple[str, ...] = ("random", "rng"),
    dtype: DType | Callable[[Site], DType] = DType.FLOAT,
    shape: Callable[[Site], Shape] | None = None,
    samples: list[dict[str, object]] | None = None,
    also: tuple[str, ...] = (),
) -> None:
    """One distribution: as a function of np.random (`random`), as a method of what np.random.default_rng gives (`rng`)
    and of what np.random.RandomState gives (`state`). `parameters` are good ones, for the tests."""
    cases = samples or [{**parameters, **size} for size in ({}, *_TWO_SIZES)]
    for home in homes:
        owner = "np.random" if home == "random" else "x"
        shown: dict[str, object] = {"attrs": cases}
        if home != "random":
            shown |= {"shapes": [((),)], "operands": {"x": _GENERATORS[home]}}
        gate(
            f"{owner}.{method}({call})",
            name=f"{home}.{method}",
            also=tuple(f"{owner}.{one}({call})" for one in also) if home != "rng" else (),
            shape=shape or _sized(*parameters),
            dtype=dtype,
            convention=CONSTANT,
            effect=True,
            samples=shown,
        )


_STARRED: list[dict[str, object]] = [{"shape": (3,)}, {"shape": (2, 3)}, {"shape": ()}]
for _name in ("rand", "randn"):
    _drawn(_name, "*shape", {}, homes=("random", "state"), shape=_starred, samples=_STARRED)

_drawn("random", "size=None", {}, homes=("random",), also=("random_sample", "ranf", "sample"))
_drawn("random_sample", "size=None", {}, homes=("state",))
_FLOAT32: dict[str, object] = {"size": 3, "dtype": "float32"}
for _name in ("random", "standard_normal", "standard_exponential"):
    _drawn(_name, "size=None, dtype=None", {}, homes=("rng",), samples=[{}, *_TWO_SIZES, _FLOAT32])
for _name in ("standard_normal", "standard_exponential"):
    _drawn(_name, "size=None", {}, homes=("random",))
_drawn("uniform", "low=0.0, high=1.0, size=None", {"low": -1.0, "high": 2.0})
for _name in ("normal", "laplace", "logistic", "gumbel"):
    _drawn(_name, "loc=0.0, scale=1.0, size=None", {"loc": 1.0, "scale": 0.5})
_drawn("lognormal", "mean=0.0, sigma=1.0, size=None", {"mean": 1.0, "sigma": 0.5})
_drawn("exponential", "scale=1.0, size=None", {"scale": 0.5})
_drawn("beta", "a, b, size=None", {"a": 1.5, "b": 0.5})


# Whole numbers

_drawn("binomial", "n, p, size=None", {"n": 3, "p": 0.5}, dtype=DType.INT)
_drawn("poisson", "lam=1.0, size=None", {"lam": 2.0}, dtype=DType.INT)
_drawn("randint", "low, high=None, size=None", {"low": 2, "high": 5}, homes=("random", "state"), dtype=DType.INT)
_drawn(
    "integers",
    "low, high=None, size=None, endpoint=False",
    {"low": 2, "high": 5},
    homes=("rng",),
    dtype=DType.INT,
    shape=_sized("low", "high"),
)


# Out of what is given


def _dtype_of(name: str) -> Callable[[Site], DType]:
    """That of an attribute: an integer stands for the numbers below it."""

    def rule(site: Site) -> DType:
        parts = site.attrs[name] if isinstance(site.attrs[name], tuple) else (site.attrs[name],)
        assert isinstance(parts, tuple)
        found = {_one_dtype(site, part) for part in parts}
        return found.pop() if len(found) == 1 else DType.OPEN

    return rule


def _one_dtype(site: Site, part: Attribute) -> DType:
    if isinstance(part, Value):
        return site.attribute_type(part).dtype
    known = DType.of(part)
    return DType.OPEN if known is DType.NONE else known


def _permuted(site: Site) -> Shape:
    given = site.attrs["n"]
    match given:
        case tuple():
            plain = all(isinstance(part, int | float) for part in given)
            return Shape((Dim.of(len(given)),)) if plain else site.unknown()
        case Value():
            known = site.attribute_type(given)
            if known.kind is Kind.ARRAY:
                return known.shape
            if known.kind is not Kind.SCALAR:
                return site.unknown()
    number = site.number(given)
    return Shape((site.fresh_dim() if number is None else number,))


_drawn(
    "permutation",
    "n",
    {},
    dtype=_dtype_of("n"),
    shape=_permuted,
    samples=[{"n": 4}, {"n": (1, 5, 2)}, {"n": (0.5, 2.0)}],
)


def _chosen(rows: bool) -> Callable[[Site], Shape]:
    """The shape that `size` says; a generator may also choose among rows."""

    def rule(site: Site) -> Shape:
        source = site.attrs["a"]
        known = site.attribute_type(source) if isinstance(source, Value) else None
        single = known is not None and (known.shape.is_scalar or known.shape.rank == 1)
        plain = isinstance(source, tuple) and all(isinstance(part, int | float | str) for part in source)
        if rows and not isinstance(source, int) and not single and not plain:
            return site.unknown()
        return SCALAR if site.attrs["size"] is None else _of_size(site, site.attrs["size"])

    return rule


_CHOICES: list[dict[str, object]] = [
    {"a": 4},
    {"a": (0.5, 1.5), "size": 3},
    {"a": (1, 5, 2), "size": (2, 2), "p": (0.2, 0.3, 0.5)},
    {"a": 6, "size": 3, "replace": False},
]
for _home in ("random", "rng"):
    _drawn(
        "choice",
        "a, size=None, replace=True, p=None",
        {},
        homes=(_home,),
        dtype=_dtype_of("a"),
        shape=_chosen(_home == "rng"),
        samples=_CHOICES,
    )


# Generators: no numbers, and no two the same

for _name in ("default_rng", "RandomState"):
    gate(
        f"np.random.{_name}(seed=None)",
        name=f"random.{_name}",
        shape=lambda site: SCALAR,
        dtype=DType.NONE,
        convention="a generator, whose draws are constants",
        effect=True,
        samples={"attrs": [{}, {"seed": 3}]},
    )
