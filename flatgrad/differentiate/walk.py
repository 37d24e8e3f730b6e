"""The reverse walk: from a typed forward function to its backward block, relation by relation.

The gradient of a variable is a chain of values that bear one name, `d` and the variable's own: `let` for the first
contribution, `update` for each later one, in the reverse order of the forward statements. A part of a larger
expression has no name, and its gradient none either.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import cast

from flatgrad.analysis import differentiable_operands, useful, varied
from flatgrad.differentiate.builder import Builder
from flatgrad.differentiate.rules import NOWHERE, as_binding, build_rule, refusal
from flatgrad.differentiate.unbroadcast import summed_axes, summed_to
from flatgrad.facts.indexing import Style, index_style
from flatgrad.frontend.environment import Binding, Lowered, Structure
from flatgrad.gates.entry import TABLE, Site
from flatgrad.groups.apply import GROUP_BACKWARD
from flatgrad.ir.core import (
    Attribute,
    Block,
    Call,
    DType,
    Kind,
    Literal,
    Operand,
    Relation,
    Slice,
    Stage,
    Step,
    Type,
    Value,
    values_in,
)

# Augmented writes whose reverse is a write of the same kind, or none.
CHANGES = frozenset({"add", "subtract", "multiply", "divide"})


@dataclass(frozen=True, slots=True)
class Signature:
    """What a caller needs to know of another function's backward pass: the parameters that it gives gradients for."""

    name: str
    differentiated: tuple[int, ...]
    results: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Backward:
    """The backward pass of one function.

    Attributes:
        block: parameters are the upstream gradients, results the gradients; forward values are read freely.
        calls: for each relation `call_backward`, the forward call that it reverses.
        wrt: the differentiated parameters.
        upstream: for each result that is differentiated, its place among the results.
        hints: for a gradient without a name, the forward value that it is the gradient of.
        floating: for a stage that writes into an array of open dtype, that array: integers would cut what is written.
    """

    block: Block
    calls: Mapping[Value, Call]
    wrt: tuple[Value, ...]
    upstream: tuple[int, ...]
    hints: Mapping[Value, Value]
    floating: Mapping[Stage, Value]


def differentiate(
    lowered: Lowered,
    wrt: tuple[Value, ...],
    upstream: tuple[int, ...],
    callee: Callable[[str], Signature],
    always: bool,
) -> Backward:
    """Differentiate the results `upstream` (by position) with respect to the parameters `wrt`.

    `always`: the textbook form in which every gradient starts at zero and every contribution is added.

    Raises:
        Refused: FG025 where a rule does not cover the case.
    """
    return _Walk(lowered, wrt, upstream, callee, always).run()


class _Walk:
    def __init__(
        self,
        lowered: Lowered,
        wrt: tuple[Value, ...],
        upstream: tuple[int, ...],
        callee: Callable[[str], Signature],
        always: bool,
    ) -> None:
        self.lowered = lowered
        self.block = lowered.function.block
        self.wrt = wrt
        self.upstream = upstream
        self.callee = callee
        self.always = always
        self.build = Builder()
        self.adjoints: dict[Value, Operand] = {}
        self.calls: dict[Value, Call] = {}
        self.floating: dict[Stage, Value] = {}
        results = frozenset(lowered.results[position].value for position in upstream)
        self.varied = varied(self.block, frozenset(wrt))
        self.active = self.varied & useful(self.block, results)
        self.producers: dict[Value, Step] = {out: step for step in self.block.body for out in step.outs}
        self.pending: dict[Value, int] = {}
        for step in self.block.body:
            if any(out in self.active for out in step.outs):
                for value in set(differentiable_operands(step)) & self.active:
                    self.pending[value] = self.pending.get(value, 0) + 1
        self.done: set[Step] = set()
        for step in self.block.body:
            if isinstance(step, Relation):
                for out in step.outs:
                    self.build.definitions.setdefault(out, step)

    def run(self) -> Backward:
        params = []
        self.build.stage = self.lowered.stages[-1]
        for position in self.upstream:
            result = self.lowered.results[position]
            name = f"d{result.name or 'out'}"
            gradient = Value(name, _gradient_type(result.value.type))
            params.append(gradient)
            if result.value in self.active:
                several = len(self.upstream) > 1
                given = self.build.add("or_zeros", gradient, result.value, name=name) if several else gradient
                self._contribute(result.value, given)
        for step in reversed(self.block.body):
            self._reverse(step)
        self.build.stage = None
        results = tuple(self._gradient(param) for param in self.wrt)
        block = Block(tuple(params), tuple(self.build.body), results)
        hints: dict[Value, Value] = {}
        for value, adjoint in self.adjoints.items():
            if isinstance(adjoint, Value) and not value.name and not adjoint.name:
                # `x @ w + b` and `x @ w` have one gradient: it is called after the whole
                hints.setdefault(adjoint, value)
        return Backward(block, self.calls, self.wrt, self.upstream, hints, self.floating)

    def _gradient(self, param: Value) -> Value:
        gradient = self.adjoints.get(param)
        if isinstance(gradient, Value):
            return gradient
        return self.build.value("zeros_for", param, name=f"d{param.name}")

    # One relation

    def _reverse(self, step: Step) -> None:
        if step in self.done or not any(out in self.adjoints for out in step.outs):
            return
        self.done.add(step)
        self.build.stage = step.stage
        match step:
            case Call():
                self._reverse_call(step)
            case Relation(gate="alias"):
                self._hand_on(step.args[0], self.adjoints[step.out])
            case Relation(gate="read"):
                self._reverse_read(step)
            case Relation(gate="write"):
                self._reverse_write(step)
            case Relation():
                self._reverse_gate(step)

    def _hand_on(self, operand: Operand, gradient: Operand) -> None:
        if isinstance(operand, Value) and operand in self.active:
            self._contribute(operand, gradient)
            self._visited(operand)

    def _visited(self, operand: Value) -> None:
        """A part of an expression is reversed as soon as its last use has been: lines come in reading order."""
        self.pending[operand] = self.pending.get(operand, 1) - 1
        if not operand.name and self.pending[operand] == 0:
            producer = self.producers.get(operand)
            if producer is not None and len(producer.outs) == 1:
                stage = self.build.stage
                self._reverse(producer)
                self.build.stage = stage

    def _reverse_gate(self, step: Relation) -> None:
        gate = TABLE[step.gate]
        for attribute_name, attribute in step.attrs.items():
            if attribute_name == "into" or step.gate.startswith("group."):
                continue  # what a group reads of the forward pass stands in its attributes
            for value in values_in(attribute):
                if value in self.varied and value.type.dtype is not DType.INT and value.type.kind is not Kind.SHAPE:
                    raise refusal(
                        f"{value.name or 'this argument'} carries a gradient that {step.gate} has no rule for",
                        step,
                        "make it a constant, or compute it another way",
                    )
        targets = [
            (name, arg)
            for name, arg in _named_operands(step)
            if isinstance(arg, Value) and arg in self.active and _rule_name(name) in gate.backward
        ]
        if len({arg for _, arg in targets}) < len(targets) and step.gate in ("multiply", "add"):
            # `W * W` and `x + x`: one contribution with a factor 2
            (_, twice), *_ = targets
            gradient = self._adjoint(step.out)
            doubled = self.build.add("multiply", gradient, Literal(2, "2"))
            self._hand_on(twice, self.build.add("multiply", doubled, twice) if step.gate == "multiply" else doubled)
            return
        group = GROUP_BACKWARD.get(step.gate)
        contributions = []
        seen: set[Value] = set()
        for name, arg in targets:
            if group is not None:
                contribution: Operand | None = group(self.build, step, name, self._adjoint(step.out))
            else:
                contribution = self._rule(step, name)
            if contribution is not None:
                contributions.append((arg, contribution, name))
        for arg, contribution, name in contributions:
            core = self._core_rank(step, name)
            if core is None and gate.elementwise and self.build.type(contribution).shape != arg.type.shape:
                core = 0  # the sum that an outer operand left for later
            if core is not None and not (core == 0 and self._sums_later(arg, contribution)):
                contribution = summed_to(self.build, contribution, arg, core)
            self._contribute(arg, contribution)
            if arg not in seen:
                seen.add(arg)
                if sum(other is arg for other, _, _ in contributions) == 1:
                    self._visited(arg)
        for arg in seen:
            if sum(other is arg for other, _, _ in contributions) > 1:
                self._visited(arg)

    def _core_rank(self, step: Relation, name: str) -> int | None:
        """How many core dims an operand has in a gate whose other dims broadcast; None where nothing broadcasts."""
        rule = TABLE[step.gate].shape
        signature = rule if isinstance(rule, str) else rule(self.build.site(step))
        if not isinstance(signature, str):
            return None
        inputs = signature.replace(" ", "").split("->")[0][1:-1].split("),(")
        if len(inputs) < 2:
            return None
        position = [operand for operand, _ in _named_operands(step)].index(name)
        return len(list(filter(None, inputs[position].split(","))))

    def _sums_later(self, arg: Value, contribution: Operand) -> bool:
        """Whether summing down can wait: for a part of an elementwise expression, whose operands are summed down in
        their turn, where the shapes do not give the axes. The factors that come in between do not run along them."""
        producer = self.producers.get(arg)
        if arg.name or arg in self.adjoints or self.pending.get(arg, 0) != 1 or not isinstance(producer, Relation):
            return False
        gate = TABLE.get(producer.gate)
        if gate is None or not gate.elementwise or arg.type.shape.is_scalar or producer.attrs.get("into"):
            return False
        whole = self.build.type(contribution).shape
        return whole != arg.type.shape and summed_axes(whole, arg.type.shape) is None

    def _adjoint(self, out: Value) -> Operand:
        if out in self.adjoints:
            return self.adjoints[out]
        # One of several results that nothing differentiable reads
        return self.build.value("zeros_for", out)

    def _rule(self, step: Relation, name: str) -> Operand | None:
        """The contribution to one operand; None where the rule says that there is none."""
        gate = TABLE[step.gate]
        site = self.build.site(step)
        rule = gate.backward[_rule_name(name)]
        if isinstance(rule, str):
            spelling = rule
        elif _rule_name(name) == "xs":
            spelling = cast(Callable[[Site, int], str], rule)(site, int(name[1:]))
        else:
            spelling = cast(Callable[[Site], str], rule)(site)
        if spelling == "0":
            return None
        environment: dict[str, Binding] = {n: as_binding(a) for n, a in step.attrs.items() if n != "into"}
        sequence: list[Binding] = []
        for operand_name, arg in _named_operands(step):
            environment[operand_name] = arg
            if operand_name[1:].isdigit():
                sequence.append(arg)
        if "xs" in gate.operands:
            environment["xs"] = Structure(tuple(sequence), True, NOWHERE)
        if len(step.outs) == 1:
            environment |= {"z": step.out, "dz": self._adjoint(step.out)}
        else:
            gradients = [self._adjoint(out) for out in step.outs if _needed(step, out, spelling)]
            for position, out in enumerate(step.outs):
                environment[f"z{position}"] = out
                if _needed(step, out, spelling):
                    environment[f"dz{position}"] = self._adjoint(out)
            environment["dzs"] = Structure(tuple(gradients), True, NOWHERE)
        try:
            return build_rule(self.build, spelling, environment)
        except ValueError:
            raise refusal(f"the gradient of {gate.name} is not known for these arguments", step) from None

    def _reverse_read(self, step: Relation) -> None:
        (source,) = step.args
        if not isinstance(source, Value) or source not in self.active:
            return
        index = step.attrs["index"]
        assert isinstance(index, tuple)
        gradient = self._adjoint(step.out)
        style = index_style(index, _type_of, self._counts_up)
        if style is Style.NEW_AXES:
            self._contribute(source, self.build.add("read", gradient, attrs={"index": _without_new_axes(index)}))
        else:
            name = _gradient_name(source)
            base = self.adjoints.get(source)
            if base is None:
                base = self.build.value("zeros_for", source, gradient, name=name)
            gradient = _bare(self.build, gradient)
            mode = "add_at" if style is Style.REPEATING else "add"
            self.adjoints[source] = self.build.value(
                "scatter", base, gradient, attrs={"index": index, "mode": mode}, name=name
            )
        self._visited(source)

    def _reverse_write(self, step: Relation) -> None:
        base, value = step.args
        index = step.attrs["index"]
        assert isinstance(index, tuple)
        gradient = self._adjoint(step.out)
        if not isinstance(gradient, Value):
            raise refusal("a gradient that is a constant is written to", step)
        carries = isinstance(value, Value) and (value in self.active or self._is_change(value))
        if carries and isinstance(base, Value) and base.type.dtype is not DType.FLOAT and step.stage is not None:
            self.floating[step.stage] = base
        if isinstance(value, Value) and isinstance(base, Value) and self._reverse_change(step, base, value, gradient):
            return
        whole = all(item == Slice() or item is Ellipsis for item in index)
        part: Operand | None = None
        if isinstance(value, Value) and value in self.active:
            if index_style(index, _type_of, self._counts_up) is Style.REPEATING:
                raise refusal(
                    "an element may be written to more than once here",
                    step,
                    "the last one wins, and which that is is not known: write slices, or labels beside np.arange(N)",
                )
            part = self.build.add("read", gradient, attrs={"index": index})
            part = self._fitted(part, value)
        if part is not None and isinstance(value, Value):
            self._contribute(value, part)
        if isinstance(base, Value) and base in self.active and not whole:
            if self.build.definitions.get(gradient) is not None and self.build.definitions[gradient].gate == "spread":
                gradient = self.build.value("let", gradient, name=_gradient_name(base))
            name = _gradient_name(base)
            cleared = self.build.value("write", gradient, Literal(0, "0"), attrs={"index": index}, name=name)
            if base in self.adjoints:
                self._contribute(base, cleared)
            else:
                self.adjoints[base] = cleared
        if isinstance(base, Value) and base in self.active:
            self._visited(base)
        if isinstance(value, Value) and value in self.active:
            self._visited(value)

    def _is_change(self, value: Value) -> bool:
        """Whether a value is what `x[i] *= v` makes of an element."""
        change = self.producers.get(value)
        return isinstance(change, Relation) and change.span is None and change.gate in CHANGES

    def _reverse_change(self, step: Relation, base: Value, value: Value, gradient: Value) -> bool:
        """`x[i] += v` and its kind: the gradient of x is changed in the same place, that of v read from it."""
        change = self.producers.get(value)
        if not isinstance(change, Relation) or change.span is not None or change.gate not in CHANGES:
            return False
        read = self.producers.get(change.args[0]) if isinstance(change.args[0], Value) else None
        index = step.attrs["index"]
        if (
            not isinstance(read, Relation)
            or read.gate != "read"
            or read.args[0] is not base
            or read.attrs["index"] != index
        ):
            return False
        assert isinstance(index, tuple)
        if index_style(index, _type_of, self._counts_up) is Style.REPEATING:
            return False
        other = change.args[1]
        if isinstance(other, Value) and other in self.active:
            self.adjoints[value] = self.build.add("read", gradient, attrs={"index": index})
            contribution = self._rule(change, "y")
            if contribution is not None:
                self._contribute(other, summed_to(self.build, contribution, other))
        self.done |= {change, read}
        name = _gradient_name(base)
        changed = gradient
        if base in self.active:
            if change.gate in ("multiply", "divide"):
                attrs: dict[str, Attribute] = {"index": index, "mode": change.gate}
                changed = self.build.value("scatter", gradient, other, attrs=attrs, name=name)
            if base in self.adjoints:
                self._contribute(base, changed)
            else:
                self.adjoints[base] = changed
        if isinstance(other, Value) and other in self.active:
            self._visited(other)
        return True

    def _fitted(self, part: Operand, value: Value) -> Operand:
        """The gradient of what was written, in its own shape: leading dims of size 1 fall away when it is written."""
        rank, own = self.build.type(part).shape.rank, value.type.shape.rank
        if rank is not None and own is not None and own > rank:
            return self.build.add("unbroadcast", part, value)
        return summed_to(self.build, part, value)

    def _reverse_call(self, step: Call) -> None:
        signature = self.callee(step.function)
        # A result that nothing differentiable reads: None means zero.
        nothing = Literal(None, "None")
        upstream = tuple(self.adjoints.get(step.outs[position], nothing) for position in signature.results)
        names = []
        for position in signature.differentiated:
            arg = step.args[position]
            wanted = isinstance(arg, Value) and arg in self.active
            fresh = wanted and isinstance(arg, Value) and arg.name and arg not in self.adjoints
            repeated = sum(other is arg for other in step.args) > 1
            names.append(_gradient_name(arg) if fresh and not repeated and isinstance(arg, Value) else "")
        outs = tuple(
            Value(name, _gradient_type(self.build.type(step.args[position])))
            for position, name in zip(signature.differentiated, names, strict=True)
        )
        relation = Relation(outs, "call_backward", upstream, {"function": step.function}, step.stage)
        self.build.body.append(relation)
        for out in outs:
            self.build.definitions[out] = relation
            self.calls[out] = step
        visited: list[Value] = []
        for position, out in zip(signature.differentiated, outs, strict=True):
            arg = step.args[position]
            if isinstance(arg, Value) and arg in self.active:
                self._contribute(arg, out)
                if arg not in visited:
                    visited.append(arg)
        for arg in visited:
            self._visited(arg)

    # Contributions

    def _contribute(self, value: Value, gradient: Operand) -> None:
        """Add a gradient of the value's own shape to what has come so far."""
        so_far = self.adjoints.get(value)
        name = _gradient_name(value)
        if so_far is None and self.always and value.name and not _bears(gradient, name):
            so_far = self.build.value("zeros_for", value, gradient, name=name)
        if so_far is None:
            if name and not _bears(gradient, name):
                gradient = self.build.add("let", gradient, name=name)
            self.adjoints[value] = gradient
        elif name:
            self.adjoints[value] = self.build.add(
                "update", so_far, _bare(self.build, gradient), attrs={"op": "+"}, name=name
            )
        else:
            self.adjoints[value] = self.build.add("add", so_far, gradient)

    def _counts_up(self, value: Value) -> bool:
        """Whether an index array holds distinct integers in one row: `np.arange(N)`, `[0, 2]`."""
        step = self.producers.get(value)
        while isinstance(step, Relation) and step.gate == "alias" and isinstance(step.args[0], Value):
            step = self.producers.get(step.args[0])
        if not isinstance(step, Relation) or step.out in self.lowered.overwritten:
            return False
        if step.gate == "array_of":
            numbers = [arg.value for arg in step.args if isinstance(arg, Literal)]
            plain = all(isinstance(n, int) and not isinstance(n, bool) and n >= 0 for n in numbers)
            return plain and len(numbers) == len(step.args) == len(set(numbers))
        return step.gate == "arange"


def _bare(build: Builder, gradient: Operand) -> Operand:
    """What is added need not be spread first: `dx += dmu / N`."""
    if isinstance(gradient, Value) and not gradient.name:
        definition = build.definitions.get(gradient)
        if definition is not None and definition.gate == "spread":
            return definition.args[0]
    return gradient


def _bears(gradient: Operand, name: str) -> bool:
    return isinstance(gradient, Value) and gradient.name == name


def _gradient_name(value: Value) -> str:
    return f"d{value.name}" if value.name else ""


def _gradient_type(one: Type) -> Type:
    return Type(one.kind, DType.FLOAT, one.shape)


def _named_operands(step: Relation) -> list[tuple[str, Operand]]:
    names = TABLE[step.gate].operands
    if names and names[-1] == "xs":
        fixed = names[:-1]
        pairs = list(zip(fixed, step.args, strict=False))
        return pairs + [(f"x{k}", arg) for k, arg in enumerate(step.args[len(fixed) :])]
    return list(zip(names, step.args, strict=False))


def _rule_name(name: str) -> str:
    return "xs" if name[1:].isdigit() else name


def _needed(step: Relation, out: Value, spelling: str) -> bool:
    position = step.outs.index(out)
    return "dzs" in spelling or f"dz{position}" in spelling


def _without_new_axes(index: tuple[Attribute, ...]) -> tuple[Attribute, ...]:
    """The index that takes new axes away again: `x[:, None]` is undone by `dz[:, 0]`."""
    items: list[Attribute] = [0 if item is None else item for item in index]
    while items and items[-1] == Slice():
        items.pop()
    return tuple(items)


def _type_of(value: Value) -> Type:
    return value.type
