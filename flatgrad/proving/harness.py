"""Runs entries of the gate table: spellings by Python's own `eval`, rules on a concrete `Site`.

What an entry's `samples` may hold, all of it optional where the entry is elementwise:

- `shapes`: a list of tuples, one shape per operand; the operand `xs` takes a tuple of shapes: `(((2, 3), (4, 3)),)`.
- `attrs`: a list of attribute dicts. Every shape is tried with every dict; what NumPy itself refuses is skipped, but
  every shape and every dict must be good for something.
- `cases`: a list of (operand shapes, attributes) pairs, instead of or besides those two.
- `operands`: what to make of the numbers drawn, by operand: a spelling, `{"x": "x @ x.T + 3 * np.eye(3)"}` or
  `{"i": "np.array([0, 2, 2])"}`. An operand `i` must be given so; `c` is drawn as booleans.
- `lists`: False where the forward call takes lists and the backward rule does not (it raises TypeError then).
- `float64_beside`: the operands that, as Python floats, make float64 of the other's float32 gradient.
- `step`: the step of the central differences, where the default is too small (float32).
- `scope`: for a gate that a user declares, the live functions and modules that its spellings name.
- `open_shape`: True where the shape rule leaves open what NumPy knows (a result whose shape depends on numbers).
"""

from __future__ import annotations

import ast
import itertools
import math
import re
from collections.abc import Callable, Hashable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import numpy as np

from flatgrad.gates.entry import REQUIRED, Gate, Spelling
from flatgrad.ir.core import Attribute, DType, Kind, Literal, Operand, Type, Value
from flatgrad.ir.dims import SCALAR, Dim, Shape
from flatgrad.ir.solver import Solver, broadcast

Env = dict[str, Any]
DEFAULT_SHAPES: dict[int, list[tuple[Any, ...]]] = {
    0: [()],
    1: [((),), ((3,),), ((2, 3),)],
    2: [((), ()), ((3,), (3,)), ((2, 3), (2, 3))],
    3: [((), (), ()), ((3,), (3,), (3,)), ((2, 3), (2, 3), (2, 3))],
}
BROADCAST_SHAPES: dict[int, list[tuple[Any, ...]]] = {
    2: [((3, 1), (4,)), ((), (2, 3)), ((2, 3), ()), ((1,), (3,)), ((3,), (1, 1)), ((2, 1, 3), (4, 1))],
    3: [((3, 1), (4,), ()), ((), (2, 3), (3,)), ((2, 3), (), (2, 1)), ((2, 1), (3,), (1, 1, 1))],
}


def _scatter_add(shape: tuple[int, ...], index: Any, g: Any) -> Any:
    """The rules' own word for zeros of a shape with g added at an index, where repeated places add up."""
    total = np.zeros(shape, np.asarray(g).dtype)
    np.add.at(total, index, g)
    return total


EVAL_GLOBALS: Env = {
    "np": np,
    "math": math,
    "scatter_add": _scatter_add,
    "unbroadcast": lambda g, x: unbroadcast(g, np.shape(x)),
}


class Disproved(AssertionError):
    """An entry does not keep what it says."""


class RefusedUse(Exception):
    """A rule's own `site.refuse`."""


def check(condition: bool, message: str) -> None:
    """Raises Disproved where the condition does not hold: an `assert` that `python -O` keeps."""
    if not condition:
        raise Disproved(message)


@dataclass(frozen=True, slots=True)
class Case:
    """One use of a gate: the shapes of its operands and the attributes that the call gives."""

    shapes: tuple[Any, ...]
    attrs: Mapping[str, Any]

    def __str__(self) -> str:
        given = ", ".join(f"{name}={value!r}" for name, value in self.attrs.items())
        return f"{self.shapes} {given}"


def cases(entry: Gate, shapes: list[tuple[Any, ...]] | None = None) -> list[Case]:
    """The uses that the entry's samples ask for (or those with these shapes), without those that NumPy refuses."""
    wanted = [] if shapes is not None else [Case(tuple(s), a) for s, a in list_of(entry, "cases")]
    attrs = list_of(entry, "attrs") or [{}]
    if shapes is None and (list_of(entry, "shapes") or not wanted):
        shapes = list_of(entry, "shapes") or DEFAULT_SHAPES[len(entry.operands)]
    product = [Case(tuple(s), a) for s, a in itertools.product(shapes or [], attrs)]
    accepted = [case for case in product if numpy_accepts(entry, case)]
    for shape in shapes or []:
        check(
            any(case.shapes == tuple(shape) for case in accepted), f"{entry.name}: NumPy refuses every use of {shape}"
        )
    for given in attrs if product else []:
        check(any(case.attrs is given for case in accepted), f"{entry.name}: NumPy refuses every use of {given}")
    return wanted + accepted


def list_of(entry: Gate, key: str) -> list[Any]:
    value = entry.samples.get(key, [])
    assert isinstance(value, list), f"{entry.name}: samples[{key!r}] is a list"
    return value


def numpy_accepts(entry: Gate, case: Case) -> bool:
    try:
        run_forward(entry, entry.spellings[0], draw(entry, case))
    except (ValueError, IndexError, np.exceptions.AxisError):
        return False
    return True


# Drawing operands


def draw(entry: Gate, case: Case, seed: int = 0, dtype: type = float, only: str = "") -> Env:
    """The operands (and x0, x1, ... of `xs`) and every attribute, by name; `given` are those that the call names.

    With `dtype=int` the operands (or the `only` one) hold whole numbers of the entry's domain; a KeyError says that it
    has none. A shape of () gives a Python number.
    """
    rng = np.random.default_rng(seed)
    env: Env = {name: value for name, value in entry.attributes.items() if value != REQUIRED}
    env.update(case.attrs)
    env["given"] = tuple(case.attrs)
    missing = set(entry.attributes) - set(env)
    check(not missing, f"{entry.name}: samples give no {sorted(missing)}")
    check(len(case.shapes) == len(entry.operands), f"{entry.name}: {case.shapes} for {entry.operands}")
    for name, shape in zip(entry.operands, case.shapes, strict=True):
        kind = dtype if only in ("", name) else float
        if name == "xs":
            env["xs"] = [_numbers(rng, s, entry.domain, kind) for s in shape]
        elif name == "c":
            env["c"] = rng.random(shape) < 0.5 if shape else bool(rng.random() < 0.5)
        elif name != "i":
            env[name] = _numbers(rng, shape, entry.domain, kind)
    for name, spelling in operand_spellings(entry).items():
        before = env.get(name)
        env[name] = evaluate(entry, spelling, env)
        if dtype is np.float32 and before is not None:
            env[name] = np.asarray(env[name], dtype=np.float32)
    return with_numbered(env)


def with_numbered(env: Env) -> Env:
    """The environment with x0, x1, ... for the operands of `xs`."""
    return {**env, **{f"x{k}": x for k, x in enumerate(env.get("xs", ()))}}


def operand_spellings(entry: Gate) -> Mapping[str, str]:
    value = entry.samples.get("operands", {})
    assert isinstance(value, dict)
    return value


def _numbers(rng: np.random.Generator, shape: Any, domain: tuple[float, float], dtype: type) -> Any:
    low, high = domain
    if dtype is int:
        whole = [n for n in range(math.floor(low), math.ceil(high) + 1) if low < n < high]
        if not whole:
            raise KeyError("no whole number in the domain")
        drawn = rng.choice(np.array(whole), size=shape)
        return int(drawn) if shape == () else drawn
    margin = 0.05 * (high - low)
    drawn = rng.uniform(low + margin, high - margin, size=shape)
    if dtype is np.float32:
        return np.float32(drawn) if shape == () else drawn.astype(np.float32)
    return float(drawn) if shape == () else drawn


def differentiable_operands(entry: Gate, env: Env) -> Iterator[tuple[str, str, int | None]]:
    """(name in the environment, name in the backward table, place in xs) of each operand with a rule."""
    for name in entry.backward:
        if name == "xs":
            for k in range(len(env["xs"])):
                yield f"x{k}", "xs", k
        else:
            yield name, name, None


# Running spellings


def scope_of(entry: Gate) -> Env:
    """What the spellings of an entry may name; SciPy is not needed where it is not installed."""
    live = entry.samples.get("scope", {})
    assert isinstance(live, dict)
    return {**EVAL_GLOBALS, **_special(), **live}


@lru_cache(maxsize=1)
def _special() -> Env:
    try:
        import scipy.spatial.distance
        from scipy import special
    except ImportError:
        return {}
    return {"special": special, "scipy": scipy}


def evaluate(entry: Gate, spelling: str, env: Env) -> Any:
    try:
        with np.errstate(all="ignore"):
            return eval(spelling, scope_of(entry), env)
    except SyntaxError as error:
        raise Disproved(f"not an expression: {spelling}") from error


def run_forward(entry: Gate, spelling: Spelling, env: Env, scope: Env | None = None) -> Any:
    """The result of the call with the attributes given; methods get an array."""
    node = ast.parse(spelling.text, mode="eval")
    if isinstance(node.body, ast.Call):
        keywords = []
        for keyword in node.body.keywords:
            assert keyword.arg is not None
            if keyword.arg in env["given"]:
                keywords.append(ast.keyword(keyword.arg, ast.Name(keyword.arg, ast.Load())))
        node.body.keywords = keywords
    if spelling.path.startswith(".") and not entry.effect:
        env = {**env, "x": np.asarray(env["x"])}
    for name in spelling.starred - {"xs"}:
        # `x.transpose(*axes)` spells axes=None as nothing at all, x.reshape(*shape) an integer as itself.
        given = () if env[name] is None else env[name]
        env = {**env, name: given if isinstance(given, tuple) else (given,)}
    code = compile(ast.fix_missing_locations(node), spelling.text, "eval")
    with np.errstate(all="ignore"):
        return eval(code, dict(scope or scope_of(entry)), env)


def results_of(z: Any) -> tuple[Any, ...]:
    return tuple(z) if isinstance(z, tuple | list) else (z,)


def with_results(env: Env, z: Any, dzs: list[Any]) -> Env:
    """The environment of a backward spelling."""
    full = {**env, "z": z, "dz": dzs[0], "dzs": dzs}
    for k, (one, dz) in enumerate(zip(results_of(z), dzs, strict=True)):
        full[f"z{k}"], full[f"dz{k}"] = one, dz
    return full


def upstream(z: Any, seed: int = 1, dtype: type = float) -> list[Any]:
    """A random gradient for each result; zeros for results that are not floating. Scalars are Python floats."""
    rng = np.random.default_rng(seed)
    dzs = []
    for one in results_of(z):
        shape = np.shape(one)
        dz = rng.uniform(0.5, 1.5, size=shape) * rng.choice([-1.0, 1.0], size=shape)
        if np.asarray(one).dtype.kind not in "fO":
            dz = dz * 0.0
        if dtype is np.float32:
            dzs.append(np.float32(dz) if shape == () else dz.astype(np.float32))
        else:
            dzs.append(float(dz) if shape == () else dz)
    return dzs


# The Site

MODES = ("known", "ranks", "unknown", "dynamic")


@dataclass(slots=True)
class ConcreteSite:
    """A `Site` over given operand types. `fresh` names are made by the solver."""

    attrs: Mapping[str, Attribute]
    count: int
    operands: dict[str, Operand]
    solver: Solver = field(default_factory=Solver)
    result: Shape | None = None
    result_types: tuple[DType, ...] = ()

    def operand(self, name: str) -> Operand:
        return self.operands[name]

    def type(self, name: str) -> Type:
        if name.startswith("z"):
            assert self.result is not None, "the result has no type in a shape rule"
            return Type(_kind(self.shape("z")), DType.FLOAT, self.shape("z"))
        operand = self.operands[name]
        if isinstance(operand, Literal):
            return Type(Kind.SCALAR, DType.of(operand.value), SCALAR)
        return Type(operand.type.kind, operand.type.dtype, self.shape(name), operand.type.number)

    def shape(self, name: str) -> Shape:
        if name == "z":
            assert self.result is not None, "the result has no shape in a shape rule"
            return self.solver.resolve(self.result)
        operand = self.operands[name]
        return SCALAR if isinstance(operand, Literal) else self.solver.resolve(operand.shape)

    def rank(self, name: str) -> int | None:
        return self.shape(name).rank

    def constant(self, name: str) -> Any:
        operand = self.operands[name]
        return operand.value if isinstance(operand, Literal) else None

    def same_dim(self, first: Dim, second: Dim) -> None:
        self.solver.same_dim(first, second)

    def exact_rank(self, name: str, rank: int) -> Shape:
        return self.solver.fix_rank(self.shape(name), rank)

    def grow_front(self, name: str, count: int) -> Shape:
        return self.solver.grow_front(self.shape(name), count)

    def grow_back(self, name: str, count: int) -> Shape:
        return self.solver.grow_back(self.shape(name), count)

    def broadcast(self, *shapes: Shape) -> Shape:
        total = SCALAR
        for shape in shapes:
            total = broadcast(total, shape, self.solver, self.solver.fresh("b"))
        return total

    def unknown(self) -> Shape:
        return Shape.unknown(self.solver.fresh("u"))

    def dim_given_by(self, value: Value, reason: Hashable) -> Dim:
        return self.fresh_dim()

    def fresh_dim(self) -> Dim:
        return Dim.symbol(self.solver.fresh("d"))

    def number(self, attribute: Attribute) -> Dim | None:
        match attribute:
            case bool():
                return None
            case int():
                return Dim.of(attribute)
            case Value():
                return attribute.type.number
        return None

    def attribute_type(self, value: Value) -> Type:
        return value.type

    def refuse(self, message: str, help: str = "") -> Exception:
        return RefusedUse(f"{message} {help}".strip())


def _kind(shape: Shape) -> Kind:
    return Kind.OPEN if shape.rank is None else Kind.ARRAY if shape.rank else Kind.SCALAR


def dtype_of(value: Any) -> DType:
    kind = np.asarray(value).dtype.kind
    return {"f": DType.FLOAT, "i": DType.INT, "u": DType.INT, "b": DType.BOOL}.get(kind, DType.NONE)


def site_for(
    entry: Gate, env: Env, mode: str, literals: frozenset[str] = frozenset(), whole: DType = DType.INT
) -> ConcreteSite:
    """A site for the operands in `env`.

    Modes: `known` (every dim), `ranks` (ranks known, dims are symbols), `unknown` (nothing), `dynamic` (shapes known,
    integers in attributes are values of the run). `whole` is what integer operands are declared to be.
    """
    xs = env.get("xs", ())
    names = [n for n in entry.operands if n != "xs"] + [f"x{k}" for k in range(len(xs))]
    operands: dict[str, Operand] = {}
    for name in names:
        value = env[name]
        if name in literals:
            operands[name] = Literal(value, repr(value))
            continue
        shape = np.shape(value) if not isinstance(value, slice | tuple) else ()
        known = Shape.of(*shape)
        if mode == "ranks":
            known = Shape.of(*(f"{name}.{axis}" for axis in range(len(shape))))
        elif mode == "unknown":
            known = Shape.unknown(f"{name}*")
        operands[name] = Value(
            name, Type(_kind(known), whole if dtype_of(value) is DType.INT else dtype_of(value), known)
        )
    attrs = {name: env[name] for name in entry.attributes}
    if mode == "dynamic":
        attrs = {name: _dynamic(name, value) for name, value in attrs.items()}
    return ConcreteSite(attrs, len(xs), operands)


def _dynamic(name: str, value: Any) -> Any:
    match value:
        case bool():
            return value
        case int():
            return Value(name, Type(Kind.SCALAR, DType.INT, SCALAR, Dim.symbol(name)))
        case tuple():
            return tuple(_dynamic(f"{name}[{k}]", part) for k, part in enumerate(value))
    return value


# The shape and dtype rules


def apply_shape_rule(entry: Gate, site: ConcreteSite) -> tuple[Shape | tuple[Shape, ...], str | None]:
    """The shape of the result, and the gufunc signature where the rule is one or gives one."""
    rule = entry.shape if isinstance(entry.shape, str) else entry.shape(site)
    if not isinstance(rule, str):
        site.result = rule if isinstance(rule, Shape) else rule[0]
        return rule, None
    site.result = gufunc_shape(rule, entry, site)
    return site.result, rule


def parse_signature(signature: str) -> tuple[list[list[str]], list[list[str]]]:
    """The core dims of each operand and of each result."""
    sides = signature.replace(" ", "").split("->")
    check(len(sides) == 2, f"not a gufunc signature: {signature}")
    operands, results = ([_labels(part) for part in re.findall(r"\(([^()]*)\)", side)] for side in sides)
    return operands, results


def _labels(part: str) -> list[str]:
    return [label for label in part.split(",") if label]


def gufunc_shape(signature: str, entry: Gate, site: ConcreteSite) -> Shape:
    operand_dims, result_dims = parse_signature(signature)
    bound: dict[str, Dim] = {}
    loops = []
    names = list(site.operands)
    check(len(operand_dims) == len(names), f"{entry.name}: {signature} for {names}")
    for name, core in zip(names, operand_dims, strict=True):
        shape = site.grow_back(name, len(core)) if core else site.shape(name)
        dims = shape.front if shape.middle is None else shape.back
        split = len(dims) - len(core)
        for label, dim in zip(core, dims[split:], strict=True):
            site.same_dim(bound.setdefault(label, dim), dim)
        rest = dims[:split]
        loops.append(Shape(rest) if shape.middle is None else Shape(shape.front, shape.middle, rest))
    loop = site.broadcast(*loops)
    inner = tuple(bound[label] for label in result_dims[0])
    return Shape(loop.front + inner) if loop.middle is None else Shape(loop.front, loop.middle, loop.back + inner)


def dtype_claim(entry: Gate, site: ConcreteSite) -> DType:
    types = [site.type(name).dtype for name in site.operands]
    match entry.dtype:
        case DType():
            return entry.dtype
        case "promote":
            order = (DType.FLOAT, DType.OPEN, DType.INT, DType.BOOL)
            return next((t for t in order if t in types), DType.NONE)
        case "float":
            return DType.FLOAT
        case "same":
            return types[0]
    assert callable(entry.dtype), f"{entry.name}: dtype rule {entry.dtype}"
    return entry.dtype(site)


def check_dtype(claim: DType, z: Any, what: str) -> None:
    found = np.asarray(results_of(z)[0]).dtype
    allowed = {DType.FLOAT: "f", DType.INT: "iu", DType.BOOL: "b", DType.OPEN: "fiub", DType.NONE: "fiubOU"}[claim]
    check(found.kind in allowed, f"{what}: the dtype rule says {claim.value}, the result is {found}")


# Backward rules


def backward_spelling(entry: Gate, name: str, k: int | None, site: ConcreteSite) -> str:
    rule: Any = entry.backward[name]
    if isinstance(rule, str):
        return rule
    call: Callable[..., str] = rule
    return call(site) if k is None else call(site, k)


def contribution(entry: Gate, operand: tuple[str, str, int | None], site: ConcreteSite, env: Env) -> tuple[Any, str]:
    """The value of the backward spelling for an operand, not yet summed down, and the spelling."""
    _, name, k = operand
    spelling = backward_spelling(entry, name, k, site)
    if spelling == "0":
        # No gradient flows here: zeros of the right shape and dtype.
        return env["dz"] * 0, spelling
    try:
        return evaluate(entry, spelling, env), spelling
    except Exception as error:
        error.add_note(f"gate {entry.name}, backward of {operand[0]}: {spelling}")
        raise


def loop_and_core(
    signature: str | None, entry: Gate, site: ConcreteSite, env: Env, name: str
) -> tuple[int, ...] | None:
    """The shape of a contribution before it is summed down: loop dims broadcast, core dims the operand's."""
    if signature is None:
        return None
    operand_dims, _ = parse_signature(signature)
    loops = []
    core: tuple[int, ...] = ()
    for other, labels in zip(site.operands, operand_dims, strict=True):
        shape = np.shape(env[other])
        split = len(shape) - len(labels)
        loops.append(shape[:split])
        if other == name:
            core = shape[split:]
    return np.broadcast_shapes(*loops) + core


def unbroadcast(gradient: Any, shape: tuple[int, ...]) -> Any:
    """Sums over the dims along which an operand of this shape was broadcast."""
    g = np.asarray(gradient)
    check(g.ndim >= len(shape), f"a contribution of shape {g.shape} for an operand of shape {shape}")
    g = np.asarray(g.sum(axis=tuple(range(g.ndim - len(shape)))))
    axes = tuple(a for a, n in enumerate(shape) if n == 1 and g.shape[a] != 1)
    g = np.asarray(g.sum(axis=axes, keepdims=True)) if axes else g
    check(np.shape(g) == shape, f"a contribution of shape {np.shape(gradient)} for an operand of shape {shape}")
    return g


# Numeric derivatives


def numeric_gradient(entry: Gate, env: Env, name: str, dzs: list[Any]) -> Any:
    """Differences of sum(dz * z) with respect to one operand."""

    def total(operand: Any) -> float:
        return weighted_sum(run_forward(entry, entry.spellings[0], replaced(env, name, operand)), dzs)

    return central_differences(total, env[name], step_of(entry))


def step_of(entry: Gate) -> float:
    return float(str(entry.samples.get("step", 1e-4)))


def central_differences(value: Callable[[Any], float], at: Any, step: float) -> Any:
    """Five-point central differences of a function of one array or number."""
    base = np.array(at, dtype=float)
    gradient = np.zeros(base.shape)
    weights = ((-2, 1 / 12), (-1, -8 / 12), (1, 8 / 12), (2, -1 / 12))
    for index in np.ndindex(base.shape):
        for offset, weight in weights:
            moved = base.copy()
            moved[index] += offset * step
            gradient[index] += weight * value(float(moved) if base.ndim == 0 else moved) / step
    return gradient


def replaced(env: Env, name: str, value: Any) -> Env:
    env = {**env, name: value}
    if name[0] == "x" and name[1:].isdigit():
        xs = list(env["xs"])
        xs[int(name[1:])] = value
        env["xs"] = xs
    return env


def weighted_sum(z: Any, dzs: list[Any]) -> float:
    return float(sum(np.sum(np.asarray(one) * dz) for one, dz in zip(results_of(z), dzs, strict=True) if np.any(dz)))
