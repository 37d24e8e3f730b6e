"""A reference interpreter: what a block computes, relation by relation, on real arrays.

Nothing is changed in place: a relation that stands for an in-place statement (`write`, `update`, `scatter`) works on a
copy. So the values of a forward block can be handed to its backward block as they were, and a pass that changes the
meaning of a block shows in the numbers. Gates of the table are evaluated through their own spellings.

What the rounds of a loop bind is remembered round by round. A loop of a backward block whose index is that of a forward
loop runs through the same rounds from their end, and reads in each the forward values of that round.
"""

from __future__ import annotations

import ast
import builtins
import copy
import itertools
import math
from collections import ChainMap
from collections.abc import Callable, Iterable, Mapping, MutableMapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from functools import lru_cache
from types import CodeType
from typing import Any, Protocol

import numpy as np

from flatgrad.gates.entry import TABLE, Gate, Spelling
from flatgrad.ir.core import Attribute, Block, Branch, Call, Function, Loop, Operand, Relation, Slice, Step, Value

# By value; by the call itself, what the function that was called has bound.
Environment = MutableMapping[Any, Any]
# From the operands and the attributes of a relation to its result.
Rule = Callable[[list[Any], Mapping[str, Any]], Any]


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


class CannotEvaluate(Exception):
    """The block is not one that can run: an unbound value, an unknown gate."""


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
        rule = self.program.rules.get(relation.gate) or _STRUCTURAL.get(relation.gate)
        if relation.gate == "imported":
            raise CannotEvaluate("what a function of another file computes is not known")
        if rule is not None:
            return (rule(args, attrs),)
        if relation.gate not in TABLE:
            raise CannotEvaluate(f"the gate {relation.gate} is not known")
        result = _gate_result(TABLE[relation.gate], args, attrs)
        return (result,) if len(relation.outs) == 1 else tuple(result)

    def _evaluated(self, text: str, args: list[Any]) -> Any:
        """An expression as it is written, with `_0`, `_1`, ... for the operands; it changes none of them."""
        operands = {f"_{position}": copy.deepcopy(arg) for position, arg in enumerate(args)}
        return eval(text, {"np": np, "math": math, **self.program.constants, **self.program.names, **operands})


# Gates of the table


def _gate_result(gate: Gate, args: list[Any], attrs: Mapping[str, Any]) -> Any:
    given = {
        name: value
        for name, value in attrs.items()
        if name in gate.attributes and not _is_default(value, gate.attributes[name])
    }
    fixed = [name for name in gate.operands if name != "xs"]
    names: dict[str, Any] = dict(zip(fixed, args, strict=False))
    if "xs" in gate.operands:
        names["xs"] = list(args[len(fixed) :])
    elif len(args) > len(fixed):
        raise CannotEvaluate(f"{gate.name} takes {len(fixed)} operands, not {len(args)}")
    if _is_group(gate):
        # The definition of a group names everything that it is made of.
        spelling = gate.spellings[0]
        given = {name: attrs.get(name, default) for name, default in gate.attributes.items()}
    else:
        spelling = _chosen(gate, set(names) | set(given))
        given = {name: attrs[name] for name in spelling.names if name in attrs}
    values = {f"_{name}": value for name, value in (names | given).items()}
    into = bool(attrs.get("into")) and isinstance(args[0], np.ndarray) and not _is_group(gate)
    if into:
        values["_x"] = args[0].copy()
    if gate.effect and "shape" in spelling.starred:
        shape = given.get("shape")
        values["_shape"] = shape if isinstance(shape, tuple) else () if shape is None else (shape,)
    code = _code(spelling.text, frozenset(names | given), into, not _is_group(gate), gate.effect)
    scope = dict(_libraries("special." in spelling.text or "scipy." in spelling.text), **values)
    if not into:
        return eval(code, scope)
    exec(code, scope)
    return scope["_x"]


def _is_default(value: Any, default: Attribute) -> bool:
    return value is default or (
        type(value) is type(default) and isinstance(value, int | float | str) and value == default
    )


def _chosen(gate: Gate, given: set[str]) -> Spelling:
    """The first spelling that has a place for everything that is given."""
    for spelling in gate.spellings:
        if given <= set(spelling.names):
            return spelling
    raise CannotEvaluate(f"no spelling of {gate.name} takes {', '.join(sorted(given))}")


def _is_group(gate: Gate) -> bool:
    return not gate.spellings[0].path


@lru_cache(maxsize=4096)
def _code(text: str, given: frozenset[str], into: bool, is_call: bool, unpacks: bool = False) -> CodeType:
    """A spelling as code over `_x`, `_y`, ...; where it is one call, what is not given is left to its default."""
    tree = ast.parse(text, mode="eval")
    body = (_Bound(given, unpacks) if is_call else _Renamed(given)).visit(tree.body)
    if not into:
        return compile(ast.fix_missing_locations(ast.Expression(body)), f"<gate {text}>", "eval")
    if not isinstance(body, ast.BinOp) or not isinstance(body.left, ast.Name):
        raise CannotEvaluate(f"{text} cannot be done in place")
    statement = ast.AugAssign(ast.Name(body.left.id, ast.Store()), body.op, body.right)
    return compile(ast.fix_missing_locations(ast.Module([statement], [])), f"<gate {text}>", "exec")


class _Renamed(ast.NodeTransformer):
    """Names of operands and attributes take an underscore, so that none is taken for a library."""

    def __init__(self, given: frozenset[str]) -> None:
        self.given = given

    def visit_Name(self, node: ast.Name) -> ast.AST:
        return ast.Name(f"_{node.id}", ast.Load()) if node.id in self.given else node


class _Bound(_Renamed):
    """The same for one call, whose other arguments fall away."""

    def __init__(self, given: frozenset[str], unpacks: bool) -> None:
        super().__init__(given)
        self.unpacks = unpacks

    def visit_Call(self, node: ast.Call) -> ast.AST:
        args: list[ast.expr] = []
        for arg in node.args:
            inner = arg.value if isinstance(arg, ast.Starred) else arg
            if isinstance(inner, ast.Name) and inner.id in self.given:
                name = ast.Name(f"_{inner.id}", ast.Load())
                args.append(ast.Starred(name, ast.Load()) if self._unpacked(arg, inner.id) else name)
        keywords = [ast.keyword(k.arg, ast.Name(f"_{k.arg}", ast.Load())) for k in node.keywords if k.arg in self.given]
        return ast.Call(self.visit(node.func), args, keywords)

    def _unpacked(self, arg: ast.expr, name: str) -> bool:
        """`*xs` is unpacked; `*shape` is one tuple, or one number, but for draws: `rand(*shape)`."""
        return isinstance(arg, ast.Starred) and (name == "xs" or self.unpacks)


@lru_cache(maxsize=2)
def _libraries(scipys: bool) -> dict[str, Any]:
    found: dict[str, Any] = {"np": np, "math": math}
    if scipys:
        import scipy.spatial.distance
        import scipy.special

        found |= {"special": scipy.special, "scipy": scipy}
    return found


# Structural relations


def _item(args: list[Any], attrs: Mapping[str, Any]) -> Any:
    """`x[index]`, in Python's own way for lists and tuples."""
    (base,), index, length = args, attrs["index"], attrs.get("length")
    if length is not None and len(base) != length:
        raise ValueError(f"{len(base)} values for {length} names")
    found = base[index[0] if len(index) == 1 else index]
    return found.copy() if isinstance(found, np.ndarray) else found


def _written(args: list[Any], attrs: Mapping[str, Any]) -> Any:
    base, value = args
    if attrs.get("collects"):
        return _collected(base, attrs["index"], value)
    new: Any = copy.copy(base) if isinstance(base, list) else np.array(base)
    index = attrs["index"]
    match attrs.get("mode"):
        case None:
            new[index[0] if len(index) == 1 else index] = value
        case "diagonal":
            np.fill_diagonal(new, value)
        case "add":
            np.add.at(new, index, value)
        case "subtract":
            np.subtract.at(new, index, value)
        case mode:
            raise CannotEvaluate(f"write knows no mode {mode}")
    return new


def _collected(base: list[Any], index: tuple[int], value: Any) -> list[Any]:
    """A list with one element more, which must be the one that comes next."""
    if index != (len(base),):
        raise ValueError(f"an element is put at {index[0]} in a list of {len(base)}")
    return [*base, value]


def _entry(args: list[Any], attrs: Mapping[str, Any]) -> Any:
    """`params["W1"]`, `params["W" + str(i)]`: held to what is claimed of it."""
    found = args[0][args[1] if len(args) > 1 else attrs["key"]]
    rank, weights = attrs.get("rank"), attrs.get("columns")
    shape = None if weights is None else np.shape(weights)[1:]
    if (rank is not None and np.ndim(found) != rank) or (shape is not None and np.shape(found) != shape):
        raise ValueError(f"an entry of shape {np.shape(found)} where {shape or f'{rank} dims'} is claimed")
    return found


def _dict(args: list[Any], attrs: Mapping[str, Any]) -> dict[str, Any]:
    """`{"W1": dW1, ...}`, `{**dparams, "W1": dW1, ...}`"""
    base, entries = (args[0], args[1:]) if attrs.get("base") else ({}, args)
    return {**base, **dict(zip(attrs["keys"], entries, strict=True))}


def _entry_added(args: list[Any], attrs: Mapping[str, Any]) -> Any:
    """`dparams[key] += dW`, of a dict or a list."""
    base, change, key = args
    if isinstance(base, list):
        added = _updated([base[key], change], {"op": "+"})
        place = range(len(base))[key]
        return [added if position == place else one for position, one in enumerate(base)]
    return {**base, key: _updated([base[key], change], {"op": "+"})}


def _scattered(args: list[Any], attrs: Mapping[str, Any]) -> Any:
    base, gradient = args
    new, index = np.array(base), attrs["index"]
    match attrs["mode"]:
        case "add":
            new[index] += gradient
        case "subtract":
            new[index] -= gradient
        case "multiply":
            new[index] *= gradient
        case "set":
            new[index] = gradient
        case "add_at":
            np.add.at(new, index, gradient)
        case mode:
            raise CannotEvaluate(f"scatter knows no mode {mode}")
    return new


_OPERATORS: Mapping[str, Callable[[Any, Any], Any]] = {
    "+": np.add,
    "-": np.subtract,
    "*": np.multiply,
    "/": np.divide,
}


def _updated(args: list[Any], attrs: Mapping[str, Any]) -> Any:
    base, change = args
    if base is None:
        return None  # the gradient of a name that is not bound: nobody reads it
    new = _OPERATORS[attrs["op"]](base, change)
    if np.shape(new) != np.shape(base):
        raise ValueError(f"an update of shape {np.shape(change)} does not fit into {np.shape(base)}")
    return new


def summed_down(gradient: Any, shape: tuple[int, ...]) -> Any:
    """A gradient summed down to a shape that broadcasts to its own."""
    array = np.asarray(gradient)
    array = array.sum(axis=tuple(range(array.ndim - len(shape))))
    axes = tuple(axis for axis, dim in enumerate(shape) if dim == 1 and array.shape[axis] != 1)
    array = array.sum(axis=axes, keepdims=True)
    if array.shape != shape:
        raise ValueError(f"a gradient of shape {np.shape(gradient)} does not fit {shape}")
    return array[()]


def _unbroadcast(args: list[Any], attrs: Mapping[str, Any]) -> Any:
    gradient, target = args
    shape = np.shape(target)
    if np.ndim(gradient) < len(shape):
        # `out[i] = v` takes a v with leading dims of size 1 that the element has not.
        gradient = np.reshape(gradient, (1,) * (len(shape) - np.ndim(gradient)) + np.shape(gradient))
    return summed_down(gradient, shape)


def _zeros(like: Any, *gradient: Any) -> Any:
    """Zeros of a shape, in the dtype of the gradient that is to be added or, without one, of what they are like."""
    if like is None:
        return None  # of a name that is not bound
    if isinstance(like, Mapping):
        return {key: _zeros(one) for key, one in like.items()}
    if isinstance(like, list) and any(isinstance(one, np.ndarray) for one in like):
        return [_zeros(one) for one in like]
    return np.zeros(np.shape(like), np.result_type(gradient[0] if gradient else np.asarray(like), 0.0))[()]


def _size_of(args: list[Any], attrs: Mapping[str, Any]) -> Any:
    shape, rank = (len(args[0]),) if isinstance(args[0], Mapping) else np.shape(args[0]), attrs.get("rank")
    if rank is not None and len(shape) != rank:
        raise ValueError(f"{len(shape)} dims for {rank} names")
    return shape[attrs["axis"]]


_STRUCTURAL: Mapping[str, Rule] = {
    "alias": lambda args, attrs: args[0],
    "let": lambda args, attrs: args[0],
    "copy_of": lambda args, attrs: copy.copy(args[0]),
    "constant": lambda args, attrs: args[0],
    "shape": lambda args, attrs: np.shape(args[0]),
    "ndim": lambda args, attrs: np.ndim(args[0]),
    "size": lambda args, attrs: np.size(args[0]),
    "dtype": lambda args, attrs: np.asarray(args[0]).dtype,
    "dim": _size_of,
    "subshape": lambda args, attrs: np.shape(args[0])[attrs["index"][0]],
    "read": _item,
    "write": _written,
    "collection": lambda args, attrs: args,
    "stacked": lambda args, attrs: np.stack(args[0], attrs["axis"]) if args[0] else np.array(args[0]),
    "entry": _entry,
    "item_add": _entry_added,
    "dict_of": _dict,
    # An object of the user's own, which keeps what its backward pass reads.
    "layer": lambda args, attrs: args[0].forward(*args[1:]) if hasattr(args[0], "forward") else args[0](*args[1:]),
    "layer_backward": lambda args, attrs: args[0].backward(*args[1:]),
    "update": _updated,
    "scatter": _scattered,
    "unbroadcast": _unbroadcast,
    "spread": lambda args, attrs: np.broadcast_to(args[0], np.shape(args[1]))[()],
    "zeros_for": lambda args, attrs: _zeros(*args),
    "zeros_of": lambda args, attrs: np.zeros(attrs["shape"], np.asarray(args[0]).dtype),
    "enforced": lambda args, attrs: None,
    "container": lambda args, attrs: dict(zip(attrs["keys"], args, strict=True)),
    "put": lambda args, attrs: {**args[0], args[2]: args[1]},
    "or_zeros": lambda args, attrs: _zeros(args[1]) if args[0] is None else args[0],
}

# The relations that are no gates of the table, with the number of their operands.
STRUCTURAL: Mapping[str, tuple[int, int]] = {
    "alias": (1, 1),
    "let": (1, 1),
    "copy_of": (1, 1),
    "constant": (1, 1),
    "shape": (1, 1),
    "ndim": (1, 1),
    "size": (1, 1),
    "dtype": (1, 1),
    "dim": (1, 1),
    "subshape": (1, 1),
    "read": (1, 1),
    "write": (2, 2),
    "collection": (0, 1000),
    "stacked": (1, 1),
    "entry": (1, 2),
    "item_add": (3, 3),
    "dict_of": (0, 1000),
    "layer": (1, 1000),
    "layer_backward": (1, 1000),
    "imported": (0, 1000),
    "update": (2, 2),
    "scatter": (2, 2),
    "unbroadcast": (2, 2),
    "spread": (2, 2),
    "zeros_for": (1, 2),
    "zeros_of": (1, 1),
    "enforced": (1, 2),
    "container": (0, 1000),
    "put": (3, 3),
    "or_zeros": (2, 2),
    "opaque": (0, 1000),
}
