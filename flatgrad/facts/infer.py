"""Facts: the kind, dtype and symbolic shape of every value, by unification over the relations.

Claims give the parameters their first shapes; each relation adds what NumPy enforces when its line runs. Sweeps repeat
until nothing new is learnt: what a late line proves of a parameter holds for the early ones too.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from flatgrad.diagnostics import Diagnostic, Refused
from flatgrad.facts.gate_types import arithmetic_number, gate_types
from flatgrad.facts.integers import cut_down, integers_in, parts_of
from flatgrad.facts.joining import entering, joined, leaving, stable
from flatgrad.facts.site import RelationSite, literal_type
from flatgrad.facts.structural import structural_type
from flatgrad.frontend.environment import Lowered, Result
from flatgrad.frontend.layers import lists_of_layers
from flatgrad.gates.entry import TABLE
from flatgrad.ir.core import (
    Attribute,
    Branch,
    Call,
    DType,
    Function,
    Kind,
    Literal,
    Loop,
    Relation,
    Step,
    Type,
    Value,
    every_step,
    is_constant_entry,
)
from flatgrad.ir.dims import SCALAR, Dim, Shape
from flatgrad.ir.rewrite import mapped_block
from flatgrad.ir.solver import Contradiction, Solver, pattern

MOST_SWEEPS = 12
# How often the types of what a loop hands on are widened before they are taken for unknown.
MOST_ROUNDS = 6


@dataclass(frozen=True, slots=True)
class Assumption:
    """What is taken to hold of a parameter on entry; `unless_none`: wherever it is not None."""

    shape: Shape | None = None
    dtype: DType | None = None
    kind: Kind | None = None
    unless_none: bool = False


Callee = Callable[[str], tuple[Lowered, Mapping[str, Assumption]]]


def infer(lowered: Lowered, assumptions: Mapping[str, Assumption], callee: Callee) -> Lowered:
    """The same function with a type for every value.

    Raises:
        Refused: FG050, two facts contradict each other; both places are shown.
    """
    claimed = frozenset(
        name
        for one in assumptions.values()
        if one.shape is not None
        for dim in (*one.shape.front, *one.shape.back)
        for name in dim.symbols()
        if name.isidentifier()
    )
    inference = _Inference(Solver(claimed), callee)
    inference.enter(lowered, assumptions)
    inference.settle(lowered.function.block.body)
    return _rebuilt(lowered, inference.final_types())


def parameter_types(lowered: Lowered) -> dict[str, Type]:
    return {text: value.type for value, text in given_values(lowered).items()}


def given_values(lowered: Lowered) -> dict[Value, str]:
    """What the caller gives, and how the text calls it: the parameters, and entries of those that are dicts."""
    found = {value: value.name for value in lowered.function.block.params}
    for step in lowered.function.block.body:
        if is_constant_entry(step) and step.args[0] in found:
            assert isinstance(step.args[0], Value)
            found[step.out] = f"{found[step.args[0]]}[{step.attrs['key']!r}]"
    return found


def _dicts(lowered: Lowered, callee: Callee) -> set[Value]:
    """The values of which entries are read by name, here or in a function that is called."""
    found: set[Value] = set()
    for step in every_step(lowered.function.block):
        if isinstance(step, Relation) and step.gate == "entry" and isinstance(step.args[0], Value):
            found.add(step.args[0])
        elif isinstance(step, Call) and step.function != lowered.function.name:
            inner, _ = callee(step.function)
            params = inner.function.block.params
            dicts = _dicts(inner, callee)
            found |= {
                arg for param, arg in zip(params, step.args, strict=True) if param in dicts and isinstance(arg, Value)
            }
    return found


class Disputed(Refused):
    """A call gives a function something of another shape than is claimed of its parameter."""

    def __init__(self, function: str, diagnostic: Diagnostic) -> None:
        super().__init__((diagnostic,))
        self.function = function


class _Inference:
    def __init__(self, solver: Solver, callee: Callee) -> None:
        self.solver = solver
        self.callee = callee
        self.types: dict[Value, Type] = {}
        # What `x.shape` is asked of: no list and no Python number has one.
        self.arrays: set[Value] = set()
        # What is known of the values inside loops and branches, by those that bind them.
        self.inner: dict[Value, Type] = {}
        # What is given, entries of dicts among it, and what each holds if it is an integer.
        self.given: dict[Value, Dim] = {}
        # The values that lines have proved to be single integers.
        self.integers: set[Value] = set()
        self.makers: dict[Value, Relation] = {}

    def enter(self, lowered: Lowered, assumptions: Mapping[str, Assumption], label: str = "") -> None:
        for step in every_step(lowered.function.block):
            if isinstance(step, Relation):
                self.makers.update(dict.fromkeys(step.outs, step))
        for value, text in given_values(lowered).items():
            known = assumptions.get(text, Assumption())
            shape = known.shape if known.shape is not None else Shape.unknown(text)
            kind = known.kind or Kind.OPEN
            if shape.is_scalar:
                kind = Kind.SCALAR
            elif shape.least_rank and known.kind is None and known.shape is not None:
                kind = Kind.ARRAY
            self.given[value] = Dim.integer(text, label)
            number = self.given[value] if shape.is_scalar and known.dtype is DType.INT else None
            self.types[value] = Type(kind, known.dtype or DType.OPEN, shape, number)
        for value in _dicts(lowered, self.callee):
            # Read inside a loop, it is a dict outside as well.
            if value in self.types:
                self.types[value] = replace(self.types[value], kind=Kind.DICT)
        for layers in lists_of_layers(lowered.function.block):
            if layers in self.types:
                self.types[layers] = Type(Kind.OTHER, DType.NONE, Shape.unknown("layers"))

    def settle(self, body: tuple[Step, ...], label: str = "", depth: int = 0, most: int = MOST_SWEEPS) -> None:
        for _ in range(most):
            before = self.solver.size, len(self.integers)
            for position, step in enumerate(body):
                self._forward(step, f"{label}{position}", depth)
            for step in reversed(body):
                self._backward(step)
            if (self.solver.size, len(self.integers)) == before:
                break

    def final_types(self) -> dict[Value, Type]:
        own = {value: self.type_of(value) for value in self.types}
        return {value: self._resolved(one) for value, one in self.inner.items()} | own

    def _resolved(self, one: Type) -> Type:
        shape = self.solver.resolve(one.shape)
        number = None if one.number is None else self.solver.resolve_dim(one.number)
        kind = one.kind
        if kind is Kind.OPEN and shape.is_scalar and one.shape.middle is not None:
            kind = Kind.SCALAR
        if kind is one.kind and shape is one.shape and number is one.number:
            return one
        return Type(kind, one.dtype, shape, number)

    def type_of(self, value: Value) -> Type:
        found = self._resolved(self.types[value])
        if value in self.arrays and found.kind is Kind.OPEN and found.shape.least_rank:
            return replace(found, kind=Kind.ARRAY)
        return found

    # Forward: results from operands

    def _forward(self, step: Step, label: str, depth: int) -> None:
        try:
            match step:
                case Call():
                    for out, one in zip(step.outs, self._call_types(step, label, depth), strict=True):
                        self._learn(out, one)
                case Branch():
                    self._branch(step, label, depth)
                case Loop():
                    self._loop(step, label, depth)
                case Relation():
                    if step.attrs.get("of_array") and isinstance(step.args[0], Value):
                        self.arrays.add(step.args[0])
                    self._index_facts(step)
                    for value in integers_in(step, self.makers):
                        self._is_integer(value)
                    if step.gate == "entry" and step.out in self.given:
                        return
                    for out, one in zip(step.outs, self.relation_types(step, label), strict=True):
                        self._learn(out, one)
        except Contradiction as error:
            text = step.stage.text if step.stage is not None else ""
            found = Diagnostic(
                "FG050",
                f"the shapes do not fit: {error}",
                step.span or (step.stage.span if step.stage else None),
                self._described(step),
                f"in `{text}`: correct the shape that is claimed, or the line" if text else "",
            )
            raise Disputed(step.function, found) if isinstance(step, Call) else Refused((found,)) from None

    # Regions: what their lines prove holds inside, as they may not be run at all

    def _inside(self, scope: str) -> _Inference:
        inner = _Inference(self.solver.copy(scope), self.callee)
        inner.types = dict(self.types)
        inner.arrays = set(self.arrays)
        inner.given, inner.integers, inner.makers = self.given, set(self.integers), self.makers
        return inner

    def _keep(self, inner: _Inference) -> None:
        for value, one in inner.final_types().items():
            if value not in self.types:
                self.inner[value] = one

    def _branch(self, step: Branch, label: str, depth: int) -> None:
        found: list[list[Type]] = []
        refused: list[Refused] = []
        for name, arm in zip(("then", "else"), step.arms, strict=True):
            inner = self._inside(f"{label}.{name}")
            try:
                inner.settle(arm.body, f"{label}.{name}.", depth, 3)
            except Refused as error:
                refused.append(error)
                if not depth or len(refused) == 2 or any(one.code != "FG050" for one in error.diagnostics):
                    raise
                # In a function that is called: what it is given here does not come this way.
                continue
            self._keep(inner)
            found.append([inner.type_of(result) for result in arm.results])
        for position, (out, one, other) in enumerate(zip(step.outs, found[0], found[-1], strict=True)):
            self._learn(out, one if refused else joined(one, other, f"{label}.{position}"))

    def _loop(self, step: Loop, label: str, depth: int) -> None:
        for bound in step.bounds:
            # `range(n)` is run on integers only.
            if isinstance(bound, Value):
                self._is_integer(bound)
        types = [replace(self.type_of(init), number=None) for init in step.inits]
        first = [
            self.type_of(one).number if isinstance(one, Value) else literal_type(one).number for one in step.bounds
        ]
        for _ in range(MOST_ROUNDS):
            inner = self._inside(label)
            # Counts up from what is never negative, or down to it.
            up = not step.bounds or step.bounds[2] == Literal(1, "1")
            counts = up and (not first or (first[0] is not None and first[0].never_negative))
            number = Dim.symbol(f"{label}.index") if counts else None
            inner.types[step.index] = Type(Kind.SCALAR, DType.INT, SCALAR, number)
            if number is not None and first and first[1] is not None:
                inner.solver.stops[f"{label}.index"] = first[1]
            inner.types.update(zip(step.carried, types, strict=True))
            if step.condition is not None:
                inner.settle(step.condition.body, f"{label}.test.", depth, 1)
            inner.settle(step.body.body, f"{label}.", depth, 3)
            back = [inner.type_of(result) for result in step.handed]
            settled = all(
                stable(one, other, f"{label}.{k}") for k, (one, other) in enumerate(zip(types, back, strict=True))
            )
            if settled:
                break
            types = [
                entering(one, other, f"{label}.{k}") for k, (one, other) in enumerate(zip(types, back, strict=True))
            ]
        self._keep(inner)
        for position, (out, one) in enumerate(zip(step.outs, types, strict=True)):
            self._learn(out, leaving(one, f"{label}.{position}"))
        if step.count is not None:
            self._learn(step.count, Type(Kind.SCALAR, DType.INT, SCALAR, Dim.symbol(f"{label}.count")))

    def _learn(self, out: Value, one: Type) -> None:
        """What an earlier sweep found of the value holds as well."""
        if out in self.types:
            self.solver.same_shape(self.types[out].shape, one.shape)
        self.types[out] = one

    def _is_integer(self, value: Value) -> None:
        """A line that is run proves that a value is a single integer, and so is what it is made of."""
        known = self.types.get(value)
        if known is None or known.dtype not in (DType.OPEN, DType.INT) or value in self.integers:
            return
        self.integers.add(value)
        number = known.number
        if value in self.given:
            number = self.given[value] if number is None else number
        elif parts := parts_of(value, self.makers):
            for part in parts:
                self._is_integer(part)
            made = self.makers[value]
            number = self.type_of(parts[0]).number if made.gate == "alias" else arithmetic_number(made, self.type_of)
        self.solver.same_shape(known.shape, SCALAR)
        self.types[value] = replace(known, dtype=DType.INT, number=number)

    def _described(self, step: Step) -> str:
        parts = [f"{value.name} {self.type_of(value).shape}" for value in step.operands() if value.name]
        return ", ".join(dict.fromkeys(parts))

    def relation_types(self, step: Relation, label: str) -> list[Type]:
        # What a rule leaves open it names by the label, and how it names it hangs on what it knows of the operands.
        label = self.solver.label(label, pattern([self.type_of(value) for value in step.operands()]))
        if step.gate == "layer" and len(step.outs) > 1:
            return [Type.open(f"{label}.{position}") for position in range(len(step.outs))]
        one = structural_type(step, self.type_of, self.solver, label)
        if one is not None:
            return [one]
        site = RelationSite(step, self.type_of, self.solver, label)
        types = gate_types(site, step, self.type_of, self.solver)
        if step.gate in ("int", "math.floor"):
            return [replace(one, number=cut_down(step, self.makers, self.type_of, self.given)) for one in types]
        return types

    def _index_facts(self, step: Relation) -> None:
        """An index is an integer or a mask, whatever else is known of it; what has entries by name is a dict."""
        if step.gate == "entry" and isinstance(step.args[0], Value) and self.types[step.args[0]].kind is not Kind.DICT:
            self.types[step.args[0]] = replace(self.types[step.args[0]], kind=Kind.DICT)
        if step.gate == "layer" and isinstance(step.args[0], Value):
            self.types[step.args[0]] = Type(Kind.OTHER, DType.NONE, SCALAR)
        if step.gate not in ("read", "write"):
            return
        index = step.attrs["index"]
        assert isinstance(index, tuple)
        for item in index:
            if isinstance(item, Value) and self.types[item].dtype is DType.OPEN:
                # Beside an array of integers a mask would have to fit it: taken for integers, its shape is right.
                beside = any(self._integers(other) for other in index if other is not item)
                known = self.types[item]
                if beside or known.shape.is_scalar:
                    self.types[item] = replace(known, dtype=DType.INT)

    def _integers(self, item: Attribute) -> bool:
        known = self.types[item] if isinstance(item, Value) else None
        return known is not None and known.dtype is DType.INT and known.kind is Kind.ARRAY

    def _call_types(self, step: Call, label: str, depth: int) -> list[Type]:
        lowered, assumptions = self.callee(step.function)
        block = lowered.function.block
        if lowered.recursive:
            if lowered.base is None:
                return [Type.open(f"{label}.{position}") for position in range(len(step.outs))]
            block = lowered.base
        outer = self.types
        # What holds where a function does not call itself need not hold here.
        solver = self.solver.copy(label) if lowered.recursive else self.solver
        inner = _Inference(solver, self.callee)
        fresh = {
            name: replace(one, shape=None if one.shape is None else _suffixed(one.shape, label))
            for name, one in assumptions.items()
        }
        inner.enter(lowered, fresh, label)
        for param, arg in zip(lowered.function.block.params, step.args, strict=True):
            given = literal_type(arg) if isinstance(arg, Literal) else self.type_of(arg)
            claimed = assumptions.get(param.name)
            if claimed is not None and claimed.shape is not None and claimed.unless_none:
                # What is None has no shape that could be learnt from.
                if given.dtype is not DType.NONE:
                    inner.types[param] = replace(inner.types[param], dtype=given.dtype)
                    continue
            elif claimed is not None and claimed.shape is not None:
                # The callee's own guard holds it to its claims.
                solver.same_shape(given.shape, inner.types[param].shape)
            inner.types[param] = given
        if depth > 20:
            raise Refused((Diagnostic("FG036", f"calls of {step.function} are nested too deeply", step.span),))
        try:
            for position, one in enumerate(block.body):
                inner._forward(one, f"{label}:{position}", depth + 1)
        except Refused:
            if not lowered.imported:
                raise
            # It is not compiled, and need not be understood.
            return [Type.open(f"{label}.{position}") for position in range(len(step.outs))]
        self.types = outer
        if not lowered.recursive:
            for param, arg in zip(lowered.function.block.params, step.args, strict=True):
                if param in inner.integers and isinstance(arg, Value):
                    self._is_integer(arg)
        if lowered.imported:
            # What they carry is for the backward function of the user's to say.
            types = [inner.type_of(result.value) for result in lowered.results]
            return [one if one.dtype.differentiable else replace(one, dtype=DType.OPEN, number=None) for one in types]
        if lowered.recursive:
            self.solver.skip(solver)
            types = [inner.type_of(result) for result in block.results]
            return [replace(Type.open(label), kind=one.kind, shape=one.shape) for one in types]
        return [inner.type_of(result.value) for result in lowered.results]

    # Backward: operands from results

    def _backward(self, step: Step) -> None:
        if not isinstance(step, Relation) or step.gate not in TABLE or len(step.outs) != 1:
            return
        shape = self.types[step.out].shape
        if not TABLE[step.gate].elementwise or shape.front or not self.solver.resolve(shape).is_scalar:
            return
        for value in step.operands():
            if self.type_of(value).kind is not Kind.OTHER:
                self.solver.same_shape(self.type_of(value).shape, SCALAR)


def _suffixed(shape: Shape, label: str) -> Shape:
    names = {name for dim in (*shape.front, *shape.back) for name in dim.symbols()}
    known = {name: Dim.symbol(f"{name}@{label}") for name in names}
    middle = None if shape.middle is None else f"{shape.middle}@{label}"
    return Shape(
        tuple(dim.substitute(known) for dim in shape.front), middle, tuple(dim.substitute(known) for dim in shape.back)
    )


def _rebuilt(lowered: Lowered, types: Mapping[Value, Type]) -> Lowered:
    """The same function over values that carry their types."""
    fresh: dict[Value, Value] = {}

    def of(value: Value) -> Value:
        if value not in fresh:
            fresh[value] = Value(value.name, types.get(value, value.type))
        return fresh[value]

    def result(one: Result) -> Result:
        return Result(of(one.value), one.name, one.span, one.position)

    block = lowered.function.block
    return replace(
        lowered,
        function=Function(lowered.function.name, mapped_block(block, of)),
        names={span: of(value) for span, value in lowered.names.items()},
        results=tuple(result(one) for one in lowered.results),
        changed_dicts=frozenset(of(value) for value in lowered.changed_dicts),
        written=frozenset((of(value), key) for value, key in lowered.written),
        places={of(value): text for value, text in lowered.places.items()},
        hidden=tuple(replace(one, value=of(one.value)) for one in lowered.hidden),
        elements={of(value): replace(one, index=of(one.index)) for value, one in lowered.elements.items()},
        returns={stage: tuple(result(one) for one in results) for stage, results in lowered.returns.items()},
        roots={of(value): frozenset(of(r) for r in roots) for value, roots in lowered.roots.items()},
        overwritten={of(value): stage for value, stage in lowered.overwritten.items()},
        rewritten={stage: of(value) for stage, value in lowered.rewritten.items()},
        questions={span: of(value) for span, value in lowered.questions.items()},
    )
