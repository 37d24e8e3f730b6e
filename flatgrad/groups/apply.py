"""Backward rules of grouped gates that take more than one expression, and of those that read forward values.

Each is a function of a builder, the relation of the group, the operand's name and the upstream gradient. What backward
reads of the forward pass stands in the attributes of the relation.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from flatgrad.differentiate.builder import Builder
from flatgrad.differentiate.rules import build_rule
from flatgrad.frontend.environment import Binding
from flatgrad.groups.reduced import broadcasts_back
from flatgrad.ir.core import Attribute, Literal, Operand, Relation, Value

Rule = Callable[[Builder, Relation, str, Operand], Operand]


def _label_cross_entropy(build: Builder, relation: Relation, name: str, dz: Operand) -> Operand:
    """The probabilities less 1 at the labels, times the gradient of the loss of each row."""
    x = relation.args[0]
    assert isinstance(x, Value)
    # What goes into a softmax is called its logits, where it has no name of its own.
    variable = f"d{x.name or 'logits'}"
    gradient = _of_rows(build, relation, dz)
    chain = _probabilities(build, relation, variable)
    index = {"index": relation.attrs["index"], "mode": "subtract"}
    chain = build.value("scatter", chain, Literal(1, "1"), attrs=index, name=variable)
    if isinstance(gradient, Literal) and gradient.value == 1:
        return chain
    return build.value("update", chain, gradient, attrs={"op": "*"}, name=variable)


def _cross_entropy(build: Builder, relation: Relation, name: str, dz: Operand) -> Operand:
    """As rows of Y need not sum to one: (p * their sums - Y) times the gradient of the loss of each row."""
    x, weights = relation.args
    gradient = _of_rows(build, relation, dz)
    names: dict[str, Binding] = {"Y": weights, "g": gradient, "axis": _literal(relation.attrs["axis"])}
    if name == "y":
        (logp,) = (value for key, value in relation.attrs.items() if key == "logp")
        assert isinstance(logp, Value)
        return build_rule(build, "-g * logp", names | {"logp": logp})
    names["p"] = _probabilities(build, relation, None)
    assert isinstance(x, Value)
    if x.type.shape.rank == 1:
        return build_rule(build, "(p * np.sum(Y) - Y) * g", names)
    return build_rule(build, "(p * np.sum(Y, axis=axis, keepdims=True) - Y) * g", names)


def _of_rows(build: Builder, relation: Relation, dz: Operand) -> Operand:
    """The gradient of the negative log-likelihood of each row, against which the scores broadcast."""
    x, axis, scale = relation.args[0], relation.attrs["axis"], relation.attrs["scale"]
    assert isinstance(x, Value)
    assert isinstance(axis, int)
    assert isinstance(scale, tuple)
    for step in reversed(scale):
        assert isinstance(step, tuple)
        gate, factor = step
        if gate == "mean":
            assert isinstance(factor, tuple)
            dz = _averaged(build, factor, dz)
        else:
            dz = build.add(str(gate), dz, factor if isinstance(factor, Value) else _literal(factor))
    if relation.attrs["rows"]:
        dz = _with_classes(build, dz, axis)
    return dz if relation.attrs["negative"] else build.add("negative", dz)


def _averaged(build: Builder, factor: tuple[Attribute, ...], dz: Operand) -> Operand:
    """A gradient divided by how many numbers a mean was taken of."""
    source, *axes = factor
    assert isinstance(source, Value)
    if len(axes) > 1:
        return build.add("divide", dz, build.add("size", source))
    for axis in axes:
        dz = build.add("divide", dz, build.add("dim", source, attrs={"axis": axis, "rank": None}))
    return dz


def _probabilities(build: Builder, relation: Relation, variable: str | None) -> Value:
    """The softmax, in a buffer of its own under the name `variable`, or as part of an expression."""
    attrs = relation.attrs
    name = variable or ""
    match attrs:
        case {"p": Value() as p}:
            return p if variable is None else build.value("copy_of", p, name=name)
        case {"e": Value() as e, "s": Value() as s, "axis_of_s": axis}:
            whole = s if axis is None else _with_classes(build, s, _from_the_front(axis, e))
            return build.value("divide", e, whole, name=name)
        case {"logp": Value() as logp}:
            return build.value("exp", logp, name=name)
        case {"scores": Value() as scores, "total": Value() as total, "axis": int() as axis}:
            return build.value("exp", build.add("subtract", scores, _with_classes(build, total, axis)), name=name)
    if relation.gate == "group.log_softmax":
        return build.value("exp", relation.out, name=name)
    raise ValueError(f"{relation.gate} does not say where its probabilities are")


def _from_the_front(axis: Attribute, whole: Value) -> int:
    rank = whole.type.shape.rank
    assert isinstance(axis, int)
    return axis % rank if rank else axis


def _with_classes(build: Builder, rows: Operand, axis: int) -> Operand:
    """One number for each row, with a dim of size 1 where the classes are: `dz[:, None]`."""
    if axis == 0:
        return rows
    if axis < 0:
        return build_rule(build, f"np.expand_dims(rows, {axis})", {"rows": rows})
    spelled = ", ".join([*[":"] * axis, "None"])
    return build_rule(build, f"rows[{spelled}]", {"rows": rows})


def _log_softmax(build: Builder, relation: Relation, name: str, dz: Operand) -> Operand:
    axis = relation.attrs["axis"]
    own = Relation(relation.outs, relation.gate, relation.args, {"logp": relation.out, **relation.attrs})
    names: dict[str, Binding] = {"dz": dz, "p": _probabilities(build, own, None)}
    along = "" if axis is None else f", axis={axis!r}, keepdims=True"
    return build_rule(build, f"dz - p * np.sum(dz{along})", names)


def _logsumexp(build: Builder, relation: Relation, name: str, dz: Operand) -> Operand:
    """As the rule of the table, but for exponentials that may overflow: they are divided by their sum."""
    x, axis = relation.args[0], relation.attrs["axis"]
    assert isinstance(x, Value)
    match relation.attrs:
        case {"e": Value() as e, "s": Value() as s}:
            names: dict[str, Binding] = {"e": e, "dz": build.add("divide", dz, s)}
            spelled = "{} * e"
        case _:
            names = {"x": x, "z": relation.out, "dz": dz}
            spelled = "{} * np.exp(x - {})"
    put_back = "{}"
    if not relation.attrs["keepdims"] and not broadcasts_back(axis, x.type.shape.rank):  # type: ignore[arg-type]
        put_back = f"np.expand_dims({{}}, {axis!r})"
        if isinstance(axis, int) and x.type.shape.rank:
            put_back = "{}[" + ", ".join([*[":"] * _from_the_front(axis, x), "None"]) + "]"
    return build_rule(build, spelled.format(put_back.format("dz"), put_back.format("z")), names)


def _literal(number: Attribute) -> Literal:
    assert isinstance(number, int | float)
    return Literal(number, repr(number))


def _standardise(build: Builder, relation: Relation, name: str, dz: Operand) -> Operand:
    """The gradient less its mean and less its part along z, over the deviation."""
    axis, std = relation.attrs["axis"], relation.attrs["std"]
    assert isinstance(std, Value)
    names: Mapping[str, Binding] = {"dz": dz, "z": relation.out, "std": std}
    scaled = "* std" if relation.attrs["inverse"] else "/ std"
    if name == "y":
        # z falls with the variance that eps is added to: dz * z / (2 * std**2)
        return build_rule(build, f"-0.5 * np.sum(dz * z {scaled} {scaled})", names)
    x = relation.args[0]
    assert isinstance(x, Value)
    along = "" if axis is None else f", axis={axis!r}"
    if not broadcasts_back(axis, x.type.shape.rank):  # type: ignore[arg-type]
        along += ", keepdims=True"
    rule = f"(dz - np.mean(dz{along}) - z * np.mean(dz * z{along})) {scaled}"
    return build_rule(build, rule, names)


GROUP_BACKWARD: dict[str, Rule] = {
    "group.label_cross_entropy": _label_cross_entropy,
    "group.cross_entropy": _cross_entropy,
    "group.log_softmax": _log_softmax,
    "group.logsumexp": _logsumexp,
    "group.standardise": _standardise,
}
