"""A reference interpreter: what a block computes, relation by relation, on real arrays.

Nothing is changed in place: a relation that stands for an in-place statement (`write`, `update`, `scatter`) works on a
copy. So the values of a forward block can be handed to its backward block as they were, and a pass that changes the
meaning of a block shows in the numbers. Gates of the table are evaluated through their own spellings.

What the rounds of a loop bind is remembered round by round. A loop of a backward block whose index is that of a forward
loop runs through the same rounds from their end, and reads in each the forward values of that round.
"""

from __future__ import annotations

import builtins
import copy
import itertools
import math
from collections import ChainMap
from collections.abc import Iterable, Mapping, MutableMapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np

from flatgrad.gates.entry import TABLE
from flatgrad.ir.core import Attribute, Block, Branch, Call, Function, Loop, Operand, Relation, Slice, Step, Value
from flatgrad.ir.gate_calls import CannotEvaluate, gate_result
from flatgrad.ir.structural_rules import RULES, Rule

# By value; by the call itself, what the function that was called has bound.
Environment = MutableMapping[Any, Any]


class Watch(Protocol):
    """Is told of every value as it is bound."""

    def observe(self, value: Value, found: Any, /) -> None: ...

    def round(self) -> AbstractContextManager[None]:
        """A round of a loop: what its values are tells nothing of other rounds."""


@dataclass(frozen=True, slots=True)
class Rounds:
    """What a loop bound, in its environment under its index: the values of each round, in the order of the rounds."""

    values: list[dict[Any, Any]] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class ReversePass:
    """A backward block as others call it.

    Attributes:
        block: parameters are upstream gradients, results the gradients of the differentiated parameters.
        calls: for each result of a `call_backward` in it, the forward call that it reverses.
    """

    block: Block
    calls: Mapping[Value, Call] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Program:
    """What a block may refer to.

    Attributes:
        reverse: the backward block of each function, by the function's name.
        constants: the module's constants, by name.
        rules: what gates compute whose spelling does not say it all.
        names: what the names are in the expressions that are kept as they are written.
    """

    functions: Mapping[str, Function] = field(default_factory=dict)
    reverse: Mapping[str, ReversePass] = field(default_factory=dict)
    constants: Mapping[str, Any] = field(default_factory=dict)
    rules: Mapping[str, Rule] = field(default_factory=dict)
    names: Mapping[str, Any] = field(default_factory=dict)


def evaluate(
    what: Function | Block | ReversePass,
    arguments: Sequence[Any],
    environment: Environment | None = None,
    program: Program | None = None,
    watch: Watch | None = None,
) -> tuple[Any, ...]:
    """The results of a block for some arguments, one for each parameter.

    Args:
        environment: values that the block reads freely; every value of the block is added. A backward block needs
            the environment of the forward block that ran before. What a loop bound is there as `Rounds`.
        program: the other functions; needed where there are calls.
        watch: is told of every value as it is bound.
    Raises:
        CannotEvaluate: the block is broken. What NumPy raises is passed on.
    """
    known: Environment = {} if environment is None else environment
    calls: Mapping[Value, Call] = what.calls if isinstance(what, ReversePass) else {}
    block = what if isinstance(what, Block) else what.block
    if len(arguments) != len(block.params):
        raise CannotEvaluate(f"{len(arguments)} arguments for {len(block.params)} parameters")
    run = _Run(known, program or Program(), calls, watch)
    for param, argument in zip(block.params, arguments, strict=True):
        run.bind(param, argument)
    return run.block(block)


class _Run:
    def __init__(self, known: Environment, program: Program, calls: Mapping[Value, Call], watch: Watch | None) -> None:
        self.known = known
        self.program = program
        self.calls = calls
        self.watch = watch

    def bind(self, value: Value, result: Any) -> None:
        self.known[value] = result
        if self.watch is not None:
            self.watch.observe(value, result)

    def block(self, block: Block) -> tuple[Any, ...]:
        for step in block.body:
            self.step(step)
        return tuple(self.operand(result) for result in block.results)

    def step(self, step: Step) -> None:
        match step:
            case Loop():
                self._bind_all(step.bound, self._loop(step))
            case Branch():
                self._bind_all(step.outs, self.block(step.then if self.operand(step.test) else step.orelse))
            case Call():
                self._bind_all(step.outs, self._called(step))
            case Relation():
                self._bind_all(step.outs, self._results(step))

    def _bind_all(self, values: Sequence[Value], results: Sequence[Any]) -> None:
        if len(results) != len(values):
            raise CannotEvaluate(f"{len(results)} results for {len(values)} values")
        for value, result in zip(values, results, strict=True):
            self.bind(value, result)

    def operand(self, operand: Operand) -> Any:
        if isinstance(operand, Value):
            if operand not in self.known:
                raise CannotEvaluate(f"{operand.name or 'a value'} is read before it is bound")
            found = self.known[operand]
            if isinstance(found, Rounds):
                raise CannotEvaluate(f"{operand.name or 'an index'} is read outside its loop")
            return found
        if operand.value is None and operand.text != "None":
            return self._constant(operand.text)
        return operand.value

    def _constant(self, text: str) -> Any:
        """A module constant that is no number, by its name; fresh, as nobody may change it."""
        if text == "np.newaxis":
            return None
        if text not in self.program.constants:
            raise CannotEvaluate(f"the constant {text} is not known")
        return copy.deepcopy(self.program.constants[text])

    def attribute(self, attribute: Attribute) -> Any:
        match attribute:
            case Value():
                return self.operand(attribute)
            case Slice(start, stop, step):
                return slice(self.attribute(start), self.attribute(stop), self.attribute(step))
            case tuple():
                return tuple(self.attribute(part) for part in attribute)
            case str() if attribute.startswith(("numpy.", "builtins.")):
                root, _, rest = attribute.partition(".")
                return getattr(np if root == "numpy" else builtins, rest)
            case _:
                return attribute

    # Loops

    def _loop(self, loop: Loop) -> list[Any]:
        """What the loop binds for what comes after it."""
        before = self.known.get(loop.index)
        if isinstance(before, Rounds):
            return self._run_back(loop, before)
        handed: Sequence[Any] = [self.operand(init) for init in loop.inits]
        rounds = Rounds()
        for index in self._indices(loop):
            done = self._round(loop, index, handed, {})
            if done is None:
                break
            values, results = done
            rounds.values.append(values)
            handed = results[: len(loop.outs)]
            if loop.breaks and results[-1]:
                break
        self.known[loop.index] = rounds
        return [*handed, len(rounds.values)] if loop.count is not None else [*handed]

    def _run_back(self, loop: Loop, rounds: Rounds) -> list[Any]:
        """The rounds of a forward loop once more, from the last to the first."""
        handed: Sequence[Any] = [self.operand(init) for init in loop.inits]
        ran = [values[loop.index] for values in rounds.values]
        if list(self._indices(loop)) != ran[::-1]:
            raise CannotEvaluate(f"{len(ran)} rounds are not run through from the last to the first")
        for before in rounds.values[::-1]:
            done = self._round(loop, before[loop.index], handed, before)
            assert done is not None
            handed = done[1]
        return [*handed]

    def _indices(self, loop: Loop) -> Iterable[int]:
        if not loop.bounds:
            return itertools.count()
        rounds = range(*(self.operand(bound) for bound in loop.bounds))
        return rounds[::-1] if loop.backwards else rounds

    def _round(
        self, loop: Loop, index: int, handed: Sequence[Any], before: dict[Any, Any]
    ) -> tuple[dict[Any, Any], tuple[Any, ...]] | None:
        """The values and the results of a round over those that were there `before`; None if there is no such round."""
        if len(loop.carried) != len(handed):
            raise CannotEvaluate(f"{len(handed)} values for {len(loop.carried)} that are carried")
        values: dict[Any, Any] = {}
        outer = self.known
        self.known = ChainMap(values, before, outer)
        try:
            with nullcontext() if self.watch is None else self.watch.round():
                if self.watch is not None:
                    for value, found in before.items():
                        if isinstance(value, Value) and not isinstance(found, Rounds):
                            self.watch.observe(value, found)
                self.bind(loop.index, index)
                self._bind_all(loop.carried, handed)
                if loop.condition is not None and not self.block(loop.condition)[0]:
                    return None
                return values, self.block(loop.body)
        finally:
            self.known = outer

    # Calls

    def _called(self, step: Call) -> tuple[Any, ...]:
        if step.function not in self.program.functions:
            raise CannotEvaluate(f"the function {step.function} is not known")
        inner: Environment = {}
        self.known[step] = inner
        function = self.program.functions[step.function]
        return evaluate(function, [self.operand(arg) for arg in step.args], inner, self.program)

    def _called_backward(self, relation: Relation) -> tuple[Any, ...]:
        """The gradients of a forward call's arguments, from what that call has bound: nothing is drawn again."""
        call = next((self.calls[out] for out in relation.outs if out in self.calls), None)
        if call is None or call.function not in self.program.reverse:
            raise CannotEvaluate(f"nothing reverses the call of {relation.attrs.get('function')}")
        if call not in self.known:
            raise CannotEvaluate(f"the call of {call.function} that is reversed has not run")
        upstream = [self.operand(arg) for arg in relation.args]
        return evaluate(self.program.reverse[call.function], upstream, dict(self.known[call]), self.program)

    # Relations

    def _results(self, relation: Relation) -> tuple[Any, ...]:
        if relation.gate == "call_backward":
            return self._called_backward(relation)
        args = [self.operand(arg) for arg in relation.args]
        attrs = {name: self.attribute(value) for name, value in relation.attrs.items()}
        if relation.gate == "opaque":
            return (self._evaluated(str(relation.attrs["text"]), args),)
        rule = self.program.rules.get(relation.gate) or RULES.get(relation.gate)
        if relation.gate == "imported":
            raise CannotEvaluate("what a function of another file computes is not known")
        if rule is not None:
            return (rule(args, attrs),)
        if relation.gate not in TABLE:
            raise CannotEvaluate(f"the gate {relation.gate} is not known")
        result = gate_result(TABLE[relation.gate], args, attrs)
        return (result,) if len(relation.outs) == 1 else tuple(result)

    def _evaluated(self, text: str, args: list[Any]) -> Any:
        """An expression as it is written, with `_0`, `_1`, ... for the operands; it changes none of them."""
        operands = {f"_{position}": copy.deepcopy(arg) for position, arg in enumerate(args)}
        return eval(text, {"np": np, "math": math, **self.program.constants, **self.program.names, **operands})
