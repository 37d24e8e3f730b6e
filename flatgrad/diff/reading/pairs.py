"""A forward function and its backward function: two functions of a file, or two methods of a class."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from flatgrad.diagnostics import Diagnostic
from flatgrad.diff.homework import Homework, Style
from flatgrad.diff.reading.assigned import Backward, kept_on_object, lines_of, returned
from flatgrad.diff.reading.calling import call_of, most_returned
from flatgrad.diff.reading.names import Variables, words
from flatgrad.diff.reading.scope import (
    Function,
    aliases,
    attributes_read,
    is_static,
    methods_of,
    parameters,
    reached,
    receiver,
    required,
    unpacked,
    variables,
)
from flatgrad.frontend.liveness import own_statements
from flatgrad.frontend.source import Module, name_span

# How the two are told apart; what a name says beside that says nothing.
_BACKWARD = frozenset(
    ("backward", "backwards", "bwd", "back", "backprop", "backpropagate", "backpropagation", "bprop", "vjp")
)
_DERIVATIVE = frozenset(("grad", "gradient", "gradients", "grads", "derivative", "deriv", "prime", "derivatives"))
_FORWARD = frozenset(("forward", "forwards", "fwd", "fprop", "feedforward"))
_VALUE = frozenset(("loss", "cost", "objective", "value", "func", "error"))
_FILLERS = frozenset(
    ("pass", "prop", "propagation", "propagate", "compute", "calc", "calculate", "get", "my", "run", "do")
)
# A function that says one of these does something else with gradients.
_OTHERWISE = frozenset(
    (
        *("numerical", "numeric", "num", "check", "checking", "eval", "test", "approx", "clip", "descent", "update"),
        *("plot", "print", "zero", "sgd", "apply", "optimize", "train", "show", "analytic", "estimate"),
        *("difference", "differences"),
    )
)
_VARIANTS = frozenset(
    (
        *("alt", "alternative", "naive", "fast", "vectorized", "simplified", "short", "im2col", "strided", "loop"),
        *("loops", "slow", "simple", "v1", "v2", "1", "2", "3", "new", "better"),
    )
)
_CALLS = ("forward", "__call__")
_FUNCTIONS = ("fn", "f", "function", "activate", "activation", "evaluate", "compute", "call", "apply")


@dataclass(frozen=True, slots=True)
class Pair:
    """A forward function and its backward function; `forward` is None where it is not to be found.

    Attributes:
        base: what the two are called together.
        owner: the class whose methods they are.
        certain: the name says that it is a backward pass, and not a derivative that something else uses.
        inside: the functions that `forward` consists of, where it is put together of several.
    """

    base: str
    forward: Function | None
    backward: Function
    owner: ast.ClassDef | None = None
    certain: bool = True
    inside: tuple[Function, ...] = ()


def _base(name: str, marks: frozenset[str]) -> str | None:
    """What is left of a name without its marks; None where it has none of them."""
    found = words(name)
    if not marks & set(found):
        return None
    return "".join(one for one in found if one not in marks and one not in _FILLERS)


def function_pairs(functions: Mapping[str, Function]) -> Iterator[Pair]:
    """The pairs among functions, in the order of their backward functions."""
    for name, node in functions.items():
        if _OTHERWISE & set(words(name)):
            continue
        certain = _base(name, _BACKWARD)
        derivative = _base(name, _DERIVATIVE)
        if certain is not None:
            forward = _forward_of(certain, functions, name, False)
            yield Pair(_shown(name, forward), forward, node)
        elif derivative is not None:
            forward = _forward_of(derivative, functions, name, True)
            if forward is not None:
                yield Pair(_shown(name, forward), forward, node, None, False)
        elif name.startswith("d") and name[1:].lstrip("_") in functions:
            forward = functions[name[1:].lstrip("_")]
            yield Pair(forward.name, forward, node, None, False)


def forward_of(backward: str, functions: Mapping[str, Function]) -> Function | None:
    """The forward function for a backward function of that name among functions of another file."""
    base = _base(backward, _BACKWARD)
    return None if base is None else _forward_of(base, functions, backward, False)


def _forward_of(base: str, functions: Mapping[str, Function], backward: str, derivative: bool) -> Function | None:
    plain: list[str] = []
    values: list[str] = []
    for name in functions:
        if name == backward or (_BACKWARD | _DERIVATIVE | _OTHERWISE) & set(words(name)):
            continue
        if _base(name, _FORWARD) == base:
            return functions[name]
        if base and "".join(one for one in words(name) if one not in _FILLERS) == base:
            plain.append(name)
        if _base(name, _VALUE) in (base, _base(base, _VALUE) or base):
            values.append(name)
    chosen = plain or (values if derivative else [])
    return functions[chosen[0]] if chosen else _variant(functions, backward)


def _variant(functions: Mapping[str, Function], backward: str) -> Function | None:
    """`batchnorm_forward` for `batchnorm_backward_alt`."""
    wanted = [one for one in words(backward) if one not in _BACKWARD | _DERIVATIVE | _VARIANTS]
    for name, node in functions.items():
        found = set(words(name))
        if found & _FORWARD and [one for one in words(name) if one not in _FORWARD | _VARIANTS] == wanted:
            return node
    return None


def _shown(backward: str, forward: Function | None) -> str:
    """`affine` of `affine_forward`, `relu` of `relu`, `forward` of `forward`."""
    name = forward.name if forward is not None else backward
    marks = "|".join(sorted((_FORWARD if forward is not None else _BACKWARD), key=len, reverse=True))
    short = re.sub(rf"_(?:{marks})(?=_|$)|^(?:{marks})_", "", name)
    return short or name


def method_pair(owner: ast.ClassDef) -> Pair | None:
    """The forward and the backward method of a class, if it has both."""
    methods = methods_of(owner)
    forward = next((methods[one] for one in _CALLS if one in methods and does_something(methods[one])), None)
    if forward is None:
        forward = next((one for name, one in methods.items() if _base(name, _FORWARD) == ""), None)
    backward = next(
        (one for name, one in methods.items() if _base(name, _BACKWARD) == "" and does_something(one)), None
    )
    if backward is not None and forward is not None:
        return Pair(owner.name, forward, backward, owner)
    value = next((one for name, one in methods.items() if _base(name, _VALUE) == "" or name in _FUNCTIONS), None)
    gradient = next((one for name, one in methods.items() if _base(name, _DERIVATIVE) == ""), None)
    if gradient is None or not does_something(gradient):
        return None
    if value is not None and does_something(value):
        return Pair(owner.name, value, gradient, owner, value.name not in _FUNCTIONS)
    return Pair(owner.name, forward, gradient, owner, False) if forward is not None else None


def does_something(node: Function) -> bool:
    """Whether a method has more to it than `pass`, an error, or a call of itself by another name."""
    rest = [one for one in node.body if not (isinstance(one, ast.Expr) and isinstance(one.value, ast.Constant))]
    match rest:
        case [] | [ast.Pass()] | [ast.Raise()]:
            return False
        case [ast.Return(value=ast.Call(func=ast.Attribute(value=ast.Name(id=root), attr="forward" | "backward")))]:
            return root != receiver(node)
    return True


# The homework of a pair


def read_pair(
    module: Module, pair: Pair, file: str, given: Mapping[str, str], functions: Mapping[str, Function]
) -> Homework | Diagnostic | None:
    """The homework of a pair, or why it cannot be judged; None where it is not meant to be.

    `functions` are those of the file.
    """
    forward, backward, owner = pair.forward, pair.backward, pair.owner
    assert forward is not None
    method = owner is not None
    taken = parameters(forward, method)
    attributes = attributes_read(owner, forward) if owner is not None else ()
    row = most_returned(module, forward)
    if row is None:
        if not pair.certain:
            return None
        return Diagnostic("FG101", f"{forward.name} returns nothing", name_span(module, forward))
    call = call_of(module, forward, backward, row, (taken, attributes), method, pair.certain)
    if isinstance(call, str):
        if not pair.certain:
            return None
        return Diagnostic(
            "FG101",
            call,
            name_span(module, backward),
            help="give it a default value, or the name of a parameter of the forward function",
        )
    me = receiver(forward) if method else ""
    own = [*reached(owner, forward, {}), *pair.inside]
    statements = [one for function in own for one in own_statements(function.body)]
    names = variables(statements, (*taken, *attributes), me)
    results = tuple(one.name for one in row.elements if one.name and one.place in call.loss)
    helpers = [one for one in reached(owner, backward, {}) if one is backward or one not in own]
    body = [statement for one in helpers for statement in one.body]
    known = Variables(
        names,
        results,
        any(call.upstream),
        aliases(forward.body, call.kept, body, call.cache, receiver(backward) if method else ""),
        given,
    )
    upstream = tuple(one for one in call.upstream if one)
    read = Backward(module, tuple(own_statements(body)), upstream, known)
    gradients = read.gradients()
    wanted = required(forward, method)
    inputs = {*taken, *attributes, *_keys(statements, (*taken, *attributes))}
    legal = inputs | unpacked(statements, {*taken, me})
    given_back = returned(read, most_returned(module, backward), backward.body, gradients, wanted, legal)
    if method:
        given_back += kept_on_object(read, receiver(backward), gradients, legal, given_back)
    if not given_back and not gradients:
        return None
    prefix = f"{owner.name}." if owner is not None else ""
    return Homework(
        file=file,
        text=module.text,
        style=Style.CLASS if method and not is_static(backward) else Style.PAIR,
        function=pair.base,
        forward=f"{prefix}{forward.name}",
        backward=f"{prefix}{backward.name}",
        parameters=taken,
        attributes=attributes,
        loss=call.loss,
        script_result="",
        upstream=call.upstream,
        cache=call.cache,
        cache_place=call.cache_place,
        backward_lines=lines_of(body),
        gradients=gradients,
        returned=tuple(given_back),
        options=call.options,
        sources=call.sources,
        constants=call.constants,
        passed=call.passed,
        inside=tuple(f"{prefix if owner and one in owner.body else ''}{one.name}" for one in pair.inside),
    )


def _keys(statements: Sequence[ast.stmt], attributes: Sequence[str]) -> set[str]:
    """The keys that forward statements read of parameters and attributes: `W1` of `self.params["W1"]`."""
    found: set[str] = set()
    for statement in statements:
        for part in ast.walk(statement):
            match part:
                case ast.Subscript(
                    value=ast.Attribute(attr=name) | ast.Name(id=name), slice=ast.Constant(value=str(key))
                ):
                    if name in attributes:
                        found.add(key)
    return found
