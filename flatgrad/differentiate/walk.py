"""The reverse walk: from a typed forward function to its backward block, relation by relation.

The gradient of a variable is a chain of values that bear one name, `d` and the variable's own: `let` for the first
contribution, `update` for each later one, in the reverse order of the forward statements. A part of a larger
expression has no name, and its gradient none either.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import cast

from flatgrad.analysis import SIZES
from flatgrad.differentiate.contributions import gradient_name, gradient_type
from flatgrad.differentiate.regions import RegionWalk
from flatgrad.differentiate.rules import NOWHERE, as_binding, build_rule, refusal
from flatgrad.differentiate.unbroadcast import summed_axes, summed_to
from flatgrad.frontend.environment import Binding, Lowered, Structure
from flatgrad.frontend.lists import lists_read
from flatgrad.gates.entry import TABLE, Site
from flatgrad.groups.apply import GROUP_BACKWARD
from flatgrad.ir.core import (
    Attribute,
    Block,
    Branch,
    Call,
    DType,
    Kind,
    Literal,
    Loop,
    Operand,
    Relation,
    Stage,
    Step,
    Value,
    every_step,
    is_constant_entry,
    values_in,
)
from flatgrad.simplify.tidy import tidied

# The product of two vectors, which is a number.
_DOT = frozenset({"matmul", "dot", "inner", "vdot"})


@dataclass(frozen=True, slots=True)
class Memory:
    """What a backward function that is not flatgrad's does with memory: whether it may write into the upstream
    gradients, and for each gradient, whether that is in memory of its own."""

    changes: bool
    fresh: tuple[bool, ...]


@dataclass(frozen=True, slots=True)
class Signature:
    """What a caller needs to know of another function's backward pass: the parameters that it gives gradients for, in
    the order in which it returns them. Without `memory` it is one that flatgrad writes. `keys`: for parameters that are
    dicts, by position, the keys that their gradients may have; None where the keys are put together at run time.
    `lists`: the positions of parameters that are lists of arrays; `sizes`: of those that it makes sizes of."""

    name: str
    differentiated: tuple[int, ...]
    results: tuple[int, ...]
    memory: Memory | None = None
    parameters: tuple[str, ...] = ()
    keys: Mapping[int, frozenset[str] | None] = field(default_factory=dict)
    lists: Mapping[int, int] = field(default_factory=dict)
    sizes: frozenset[int] = frozenset()


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


class _Walk(RegionWalk):
    def __init__(
        self,
        lowered: Lowered,
        wrt: tuple[Value, ...],
        upstream: tuple[int, ...],
        callee: Callable[[str], Signature],
        always: bool,
    ) -> None:
        super().__init__(lowered, wrt, upstream, always)
        self.callee = callee
        self._check_sizes()
        self._share_dicts()

    def run(self) -> Backward:
        self.build.stage = self.lowered.stages[-1]
        for position in self.upstream:
            result = self.lowered.results[position]
            name = f"d{result.name or 'out'}"
            gradient = Value(name, gradient_type(result.value.type))
            self.upstream_gradients.append(gradient)
            if result.value in self.active:
                several = len(self.upstream) > 1
                given = self.build.add("or_zeros", gradient, result.value, name=name) if several else gradient
                self.contribute(result.value, given)
                self.arrived.extend(one for one in (given,) if isinstance(one, Value))
        self.run_through(self.function)
        self.build.stage = None
        results = tuple(self._gradient(param) for param in self.wrt)
        block = Block(tuple(self.upstream_gradients), tuple(self.build.body), results)
        if not self.always:
            block = tidied(block)
        self.hint(self.adjoints)
        return Backward(block, self.calls, self.wrt, self.upstream, self.hints, self.floating)

    def _gradient(self, param: Value) -> Value:
        if param.type.kind is Kind.DICT:
            return self.dict_gradient(param)
        gradient = self.adjoints.get(param)
        if isinstance(gradient, Value):
            return gradient
        return self.build.value("zeros_for", param, name=f"d{param.name}")

    # One relation

    def reverse(self, step: Step) -> None:
        if step in self.done or not any(out in self.adjoints for out in step.outs):
            return
        self.done.add(step)
        self.build.stage = step.stage
        match step:
            case Call():
                self._reverse_call(step)
            case Loop():
                self.reverse_loop(step)
            case Branch():
                self.reverse_branch(step)
            case Relation(gate="alias"):
                self._hand_on(step.args[0], self.adjoints[step.out])
            case Relation(gate="read"):
                self.reverse_read(step)
            case Relation(gate="write"):
                self.reverse_write(step)
            case Relation(gate="dict_of" | "container"):
                self.reverse_dict(step)
            case Relation(gate="unbroadcast"):
                self.reverse_summed(step)
            case Relation(gate="put"):
                self.reverse_put(step)
            case Relation(gate="item_add"):
                self.reverse_added(step)
            case Relation(gate="collection"):
                self.reverse_collection(step)
            case Relation(gate="stacked"):
                self.reverse_stacked(step)
            case Relation(gate="entry"):
                self.reverse_item(step)
            case Relation(gate="layer"):
                self.reverse_layer(step)
            case Relation():
                self._reverse_gate(step)

    def _hand_on(self, operand: Operand, gradient: Operand) -> None:
        if isinstance(operand, Value) and operand in self.active:
            self.contribute(operand, gradient)
            self.visited(operand)

    def _reverse_gate(self, step: Relation) -> None:
        gate = TABLE[step.gate]
        for attribute_name, attribute in step.attrs.items():
            if attribute_name == "into" or step.gate.startswith("group."):
                continue  # what a group reads of the forward pass stands in its attributes
            for value in values_in(attribute):
                if gate.effect and attribute_name in SIZES:
                    continue
                if value in self.varied and value.type.dtype is not DType.INT and value.type.kind is not Kind.SHAPE:
                    raise refusal(
                        f"{value.name or 'this argument'} carries a gradient that {step.gate} has no rule for",
                        step,
                        "draw with constants, as in `loc + scale * np.random.standard_normal(size)`, or leave it out "
                        "with --wrt"
                        if gate.effect
                        else "make it a constant, or compute it another way",
                    )
        targets = [
            (name, arg)
            for name, arg in _named_operands(step)
            if isinstance(arg, Value) and arg in self.active and _rule_name(name) in gate.backward
        ]
        squared = step.gate == "multiply" or (step.gate in _DOT and all(arg.type.shape.rank == 1 for _, arg in targets))
        if len({arg for _, arg in targets}) < len(targets) and (squared or step.gate == "add"):
            # `W * W`, `w @ w` and `x + x`: one contribution with a factor 2
            (_, twice), *_ = targets
            gradient = self.adjoint(step.out)
            doubled = self.build.add("multiply", gradient, Literal(2, "2"))
            doubled = self.build.add("multiply", doubled, twice) if squared else doubled
            # The sum that an outer operand left for later
            if self.build.type(doubled).shape != twice.type.shape and not self._sums_later(twice, doubled):
                doubled = summed_to(self.build, doubled, twice)
            self._hand_on(twice, doubled)
            return
        group = GROUP_BACKWARD.get(step.gate)
        contributions = []
        seen: set[Value] = set()
        for name, arg in targets:
            if group is not None:
                contribution: Operand | None = group(self.build, step, name, self.adjoint(step.out))
            else:
                contribution = self.rule(step, name)
            if contribution is not None:
                contributions.append((arg, contribution, name))
        for arg, contribution, name in contributions:
            core = self._core_rank(step, name)
            if core is None and gate.elementwise and self.build.type(contribution).shape != arg.type.shape:
                core = 0  # the sum that an outer operand left for later
            if core is not None and not (core == 0 and self._sums_later(arg, contribution)):
                contribution = summed_to(self.build, contribution, arg, core)
            self.contribute(arg, contribution)
            if arg not in seen:
                seen.add(arg)
                if sum(other is arg for other, _, _ in contributions) == 1:
                    self.visited(arg)
        # Not through `seen`: the order of a set is another each time.
        for arg in dict.fromkeys(arg for arg, _, _ in contributions):
            if sum(other is arg for other, _, _ in contributions) > 1:
                self.visited(arg)

    def _must_float(self, step: Relation) -> None:
        """A cast to the dtype of an array that may hold integers would cut numbers down: forward looks first."""
        named = step.attrs.get("dtype")
        made = self.producers.get(named) if isinstance(named, Value) else None
        if not isinstance(made, Relation) or made.gate != "dtype" or step.stage is None:
            return
        source = made.args[0]
        if isinstance(source, Value) and source.type.dtype is DType.OPEN:
            self.floating[step.stage] = source

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

    def rule(self, step: Relation, name: str) -> Operand | None:
        """The contribution to one operand; None where the rule says that there is none."""
        gate = TABLE[step.gate]
        self._must_float(step)
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
            environment |= {"z": step.out, "dz": self.adjoint(step.out)}
        else:
            gradients = [self.adjoint(out) for out in step.outs if _needed(step, out, spelling)]
            for position, out in enumerate(step.outs):
                environment[f"z{position}"] = out
                if _needed(step, out, spelling):
                    environment[f"dz{position}"] = self.adjoint(out)
            environment["dzs"] = Structure(tuple(gradients), True, NOWHERE)
        try:
            return build_rule(self.build, spelling, environment)
        except ValueError:
            raise refusal(f"the gradient of {gate.name} is not known for these arguments", step) from None

    def _reverse_call(self, step: Call) -> None:
        signature = self.callee(step.function)
        # A result that nothing differentiable reads: None means zero.
        nothing = Literal(None, "None")
        upstream = tuple(self.adjoints.get(step.outs[position], nothing) for position in signature.results)
        attrs: dict[str, Attribute] = {"function": step.function}
        if signature.memory is not None:
            upstream = tuple(
                self._handed_over(step.outs[position], one, signature.memory)
                for position, one in zip(signature.results, upstream, strict=True)
            )
            attrs["fresh"] = signature.memory.fresh
        names = []
        for position in signature.differentiated:
            arg = step.args[position]
            wanted = isinstance(arg, Value) and arg in self.active
            own = not self.scope.counter or arg in self.scope.defined
            fresh = wanted and own and isinstance(arg, Value) and arg.name and arg not in self.adjoints
            repeated = sum(other is arg for other in step.args) > 1
            if isinstance(arg, Value) and arg in self.added_up and not self._has_every_key(signature, position, arg):
                fresh = False
            name = gradient_name(arg) if fresh and not repeated and isinstance(arg, Value) else ""
            if not name and self.scope.counter and signature.parameters:
                # In a loop it is that of one round: `dW_t`.
                name = f"d{signature.parameters[position]}_{self.scope.counter}"
            elif not name and not repeated and signature.parameters and isinstance(arg, Value):
                if arg in self.added_up:
                    name = f"d{signature.parameters[position]}_{step.outs[0].name or step.function}"
                elif (not arg.name or arg in self.adjoints) and step.function != self.lowered.function.name:
                    name = f"d{signature.parameters[position]}"
            names.append(name)
        outs = tuple(
            Value(name, gradient_type(self.build.type(step.args[position])))
            for position, name in zip(signature.differentiated, names, strict=True)
        )
        relation = Relation(outs, "call_backward", upstream, attrs, step.stage)
        self.build.body.append(relation)
        for out in outs:
            self.build.definitions[out] = relation
            self.calls[out] = step
        visited: list[Value] = []
        for position, out in zip(signature.differentiated, outs, strict=True):
            arg = step.args[position]
            if isinstance(arg, Value) and arg in self.active:
                self.contribute(arg, out)
                if arg not in visited:
                    visited.append(arg)
        for arg in visited:
            self.visited(arg)

    def _check_sizes(self) -> None:
        """Refuses a gradient that would go through the sizes that a helper gives.

        Raises:
            Refused: FG025.
        """
        for step in every_step(self.function):
            for position in self.callee(step.function).sizes if isinstance(step, Call) else ():
                arg = step.args[position] if isinstance(step, Call) else None
                if isinstance(step, Call) and isinstance(arg, Value) and arg in self.varied:
                    message = f"{arg.name or 'this argument'} carries a gradient, and {step.function} makes sizes of it"
                    raise refusal(message, step, "let it return numbers, one by one, or leave it out with --wrt")

    def _share_dicts(self) -> None:
        """Finds the dicts that several calls are given, or of which an entry is read both here and in the function:
        their gradients are added up entry by entry.

        Raises:
            Refused: FG025 for a list, and where the backward function is not flatgrad's.
        """
        own: dict[Value, set[str]] = {}
        for step in every_step(self.function):
            if is_constant_entry(step) and isinstance(step.args[0], Value) and step.out in self.active:
                own.setdefault(step.args[0], set()).add(str(step.attrs["key"]))
        given: dict[Value, list[tuple[Call, int]]] = {}
        lists = lists_read(self.function)
        for step in every_step(self.function):
            if isinstance(step, Call):
                for position in self.callee(step.function).differentiated:
                    arg = step.args[position]
                    if isinstance(arg, Value) and arg in self.active and arg.type.kind is Kind.DICT:
                        given.setdefault(arg, []).append((step, position))
        for value, uses in given.items():
            keys = [self.callee(step.function).keys.get(position) for step, position in uses]
            apart = [own.get(value, set()), *keys]
            known = [one for one in apart if one is not None]
            once = len(known) == len(apart) and sum(map(len, known)) == len(set().union(*known))
            first, _ = uses[0]
            memory = self.callee(first.function).memory
            if value not in self.added_up and len(uses) == 1 and (once or not own.get(value)):
                if self.block_of[first] is self.function or (memory is not None and not self._in_loop(first)):
                    continue
            for step, position in uses:
                signature = self.callee(step.function)
                depth = signature.lists.get(position)
                if depth is not None and signature.memory is None and (value in lists or not self._in_loop(step)):
                    self.lists[value] = lists.get(value, depth)
                    continue
                if signature.memory is not None or depth is not None:
                    what = value.name or "this dict"
                    raise refusal(
                        f"the gradients of {what} from {step.function} and elsewhere would have to be added entry by "
                        "entry",
                        step,
                        f"read the entries of {what} once, and hand them on",
                    )
            everything = len(known) == len(apart) and value not in self.added_up
            self.added_up[value] = tuple(sorted(set().union(*known))) if everything else None

    def _has_every_key(self, signature: Signature, position: int, given: Value) -> bool:
        """Whether a function gives a gradient for every entry that the dict is given one for, outside of loops."""
        keys, every = signature.keys.get(position), self.added_up[given]
        return keys is not None and every is not None and keys == set(every) and self.scope.block is self.function

    def _in_loop(self, step: Step) -> bool:
        return any(step in every_step(loop.body) for loop in self.loops)

    def _handed_over(self, out: Value, gradient: Operand, memory: Memory) -> Operand:
        """An upstream gradient as a backward function of the user's takes it: never None, and a copy where it may
        write into it."""
        if not isinstance(gradient, Value):
            return self.build.value("zeros_for", out)
        return self.build.add("copy", gradient) if memory.changes else gradient


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
