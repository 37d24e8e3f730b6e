"""Lambdas, nested functions and helpers that are given containers or functions: written out where they are called.

Their relations stand in the place of the call. The text of the function is gone through at every call, so that no part
of it can be given a name there: the last relation alone stands for the call, and backward computes the others again.
"""

from __future__ import annotations

import ast
import copy
from collections import ChainMap
from collections.abc import Callable, Mapping, Sequence
from typing import Self

from flatgrad.diagnostics import Diagnostic
from flatgrad.frontend.containers import ContainerLowering
from flatgrad.frontend.environment import Binding, Closure, Dictionary, Emit, Lowered, Poison, Structure
from flatgrad.frontend.source import Module
from flatgrad.ir.core import Attribute, Literal, Operand, Span, Value

MOST_CALLS = 20
MOST_RELATIONS = 300

Argument = tuple[Binding, ast.expr]


class ClosureLowering(ContainerLowering):
    """Lowers functions whose text stands elsewhere than where they are called.

    Attributes:
        frames: the names of the functions and comprehensions around the expression, the innermost first.
        below: what the frames cover: the names of the function that is compiled, or none.
        inside: the expression stands in such a text.
        tail: the expression in it that the whole call stands for, `tail_place` being the place of the call.
    """

    def __init__(
        self,
        module: Module,
        callee: Callable[[str], Lowered],
        inlined: frozenset[str],
        environment: Mapping[str, Binding],
        names: dict[Span, Value],
        emit: Emit,
        errors: list[Diagnostic],
    ) -> None:
        super().__init__(module, environment, names, emit, errors)
        self.callee = callee
        self.inlined = inlined
        self.frames: tuple[dict[str, Binding], ...] = ()
        self.below: Mapping[str, Binding] | None = None
        self.users: Mapping[str, Binding] | None = None
        self.inside = False
        self.top = False
        self.tail: ast.expr | None = None
        self.tail_place: Span | None = None
        self.depth = 0
        # The call in the user's own text that is being written out.
        self.outermost: ast.AST | None = None
        # Which value a name inside such a text denotes, and in which call.
        self._reads: dict[Span, tuple[ast.AST | None, Value]] = {}
        self._sizes: dict[Value, int] = {}

    # Where an expression stands

    def place(self, node: ast.expr) -> Span | None:
        if not self.inside:
            return super().place(node)
        return self.tail_place if node is self.tail else None

    def in_place_of(self, whole: ast.expr, part: ast.expr) -> Self:
        if not self.inside or whole is not self.tail:
            return self
        there = copy.copy(self)
        there.tail = part
        return there

    def within(self, frame: dict[str, Binding]) -> Self:
        below = self.environment if self.below is None else self.below
        return self._framed((frame, *self.frames), below)

    def at_top(self) -> Self:
        there = self._framed((), {})
        there.top = True
        return there

    def _framed(self, frames: tuple[dict[str, Binding], ...], below: Mapping[str, Binding]) -> Self:
        there = copy.copy(self)
        there.users = self._users()
        there.frames, there.below = frames, below
        there.environment = ChainMap(*frames, dict(below))
        there.inside, there.tail, there.tail_place = True, None, None
        return there

    def _users(self) -> Mapping[str, Binding]:
        """The names of the function that is compiled."""
        return self.environment if self.users is None else self.users

    def name_of_its_own(self, node: ast.expr) -> Poison | None:
        """Refuses what is kept as it is written where a name in it is another thing to the function that is compiled:
        the parameter of a function that is written out, the variable of a comprehension."""
        users = self._users()
        for part in ast.walk(node):
            if isinstance(part, ast.Name) and self.environment.get(part.id) is not users.get(part.id):
                return self.error(
                    "FG039",
                    f"what hangs on {part.id} here cannot be written out",
                    node,
                    f"{part.id} is known only inside this function or comprehension",
                    "make it a function at the top level of the file, or a loop",
                )
        return None

    def read_name(self, node: ast.Name, bound: Value) -> None:
        if not self.inside:
            super().read_name(node, bound)
            return
        if any(node.id in frame for frame in self.frames):
            return
        span = self._span(node)
        call, earlier = self._reads.get(span, (self.outermost, bound))
        if earlier is not bound and call is not self.outermost:
            self.error(
                "FG039",
                f"{node.id} is something else in each call of what reads it here",
                node,
                "bound again, or changed, between two calls",
                f"pass {node.id} as an argument",
            )
        if earlier is not bound or span not in self._reads:
            # A loop is read again and again: the first call stays the one that others are compared with.
            self._reads[span] = (self.outermost, bound)
        super().read_name(node, bound)

    def constant_text(self, name: str, value: object) -> str:
        if not self.top or name not in _names_of_functions(self.module):
            return name
        if value is None:
            self.errors.append(
                Diagnostic(
                    "FG039",
                    f"{name} is a constant of the module and a variable of one of its functions",
                    None,
                    help="rename the variable",
                )
            )
        return repr(value)

    def _relation(
        self,
        gate: str,
        operands: tuple[Operand, ...],
        attrs: Mapping[str, Attribute],
        span: Span | None,
        view: bool | None = None,
    ) -> Value:
        out = super()._relation(gate, operands, attrs, span, view)
        if self.inside and span is None and not isinstance(out, Poison):
            size = 1 + sum(self._sizes.get(operand, 0) for operand in operands if isinstance(operand, Value))
            self._sizes[out] = size
            if size > MOST_RELATIONS and self.outermost is not None:
                return self.error(
                    "FG039", "this call is too long to be written out", self.outermost, "", _AT_TOP
                )  # fmt: skip
        return out

    # Functions as values

    def closure(self, node: ast.Lambda) -> Binding:
        return Closure(node, self._defaults(node), self.frames)

    def define(self, node: ast.FunctionDef) -> Binding:
        """A nested function, as what its name stands for."""
        if node.decorator_list:
            return self.error(
                "FG039", "a decorated function inside a function is not understood", node.decorator_list[0], "", _AT_TOP
            )
        return Closure(node, self._defaults(node), self.frames)

    def module_function(self, name: str) -> Closure:
        node = self.module.functions[name]
        return Closure(node, self.at_top()._defaults(node), at_top=True)

    def _defaults(self, node: ast.Lambda | ast.FunctionDef) -> dict[str, Binding]:
        return {name: self.lower(default) for name, default in defaults_of(node).items()}

    # Calls

    def written_out(
        self, function: Closure, positional: Sequence[Argument], keywords: Mapping[str, Argument], node: ast.Call
    ) -> Binding:
        """The relations of a function in the place of the call."""
        if self.depth >= MOST_CALLS:
            return self.error(
                "FG037", f"{function.name} calls itself", node, "recursion is not understood yet", "write it as a loop"
            )
        frame = self._bound_arguments(function, positional, keywords, node)
        if frame is None:
            return Poison.at()
        there = self._framed((frame, *function.frames), {} if function.at_top else self._users())
        there.top = function.at_top
        there.depth = self.depth + 1
        there.tail_place = self.place(node)
        there.outermost = self.outermost or node
        if isinstance(function.node, ast.Lambda):
            there.tail = function.node.body
            return there.lower(function.node.body)
        return there._run(function.node, frame)

    def _bound_arguments(
        self, function: Closure, positional: Sequence[Argument], keywords: Mapping[str, Argument], node: ast.Call
    ) -> dict[str, Binding] | None:
        arguments = function.node.args
        names = [argument.arg for argument in (*arguments.posonlyargs, *arguments.args)]
        named = {a.arg for a in (*arguments.args, *arguments.kwonlyargs)}
        frame: dict[str, Binding] = {name: bound for name, (bound, _) in zip(names, positional, strict=False)}
        rest = tuple(bound for bound, _ in positional[len(names) :])
        if arguments.vararg is not None:
            frame[arguments.vararg.arg] = Structure(rest, False, self._span(node))
        elif rest:
            self.error("FG024", f"{function.name} takes {len(names)} arguments", node)
            return None
        more: dict[str, Binding] = {}
        for name, (bound, _) in keywords.items():
            if name in frame or (name not in named and arguments.kwarg is None):
                self.error("FG024", f"{function.name} has no parameter {name} left", node)
                return None
            (frame if name in named else more)[name] = bound
        if arguments.kwarg is not None:
            frame[arguments.kwarg.arg] = Dictionary(tuple(more.items()), self._span(node))
        for name in (*names, *(argument.arg for argument in arguments.kwonlyargs)):
            if name in frame:
                continue
            if name not in function.defaults:
                self.error("FG024", f"{function.name} needs {name}", node)
                return None
            frame[name] = function.defaults[name]
        return None if any(isinstance(bound, Poison) for bound in frame.values()) else frame

    def _run(self, function: ast.FunctionDef, frame: dict[str, Binding]) -> Binding:
        stored = {
            part.id
            for statement in function.body
            for part in _own_parts(statement)
            if isinstance(part, ast.Name) and isinstance(part.ctx, ast.Store)
        }
        result = self._block(function.body, frame, stored)
        return Literal(None, "None") if result is None else result

    def _block(self, body: Sequence[ast.stmt], frame: dict[str, Binding], stored: set[str]) -> Binding | None:
        """What a block returns; None where it runs to its end."""
        for statement in body:
            if not isinstance(statement, ast.If | ast.For | ast.While | ast.With | ast.Try):
                early = [
                    part
                    for part in _own_parts(statement)
                    if isinstance(part, ast.Name)
                    and isinstance(part.ctx, ast.Load)
                    and part.id in stored - frame.keys()
                ]
                if early:
                    return self.error("FG020", f"{early[0].id} is read before it is bound", early[0])
            match statement:
                case ast.Return(value=None):
                    return Literal(None, "None")
                case ast.Return(value=ast.expr() as value):
                    there = copy.copy(self)
                    there.tail = value
                    return there.lower(value)
                case ast.Assign(targets=targets, value=value):
                    bound = self.lower(value)
                    if not all(self._assigned(frame, target, bound, value) for target in targets):
                        return Poison.at()
                case ast.AnnAssign(target=target, value=ast.expr() as value):
                    if not self._assigned(frame, target, self.lower(value), value):
                        return Poison.at()
                case ast.FunctionDef(name=name):
                    frame[name] = self.define(statement)
                case ast.If(body=[ast.Raise()], orelse=[]) | ast.Assert() | ast.Pass() | ast.Expr(value=ast.Constant()):
                    pass  # a check of the user's own, which forward makes
                case ast.AugAssign(target=ast.Name(id=name), op=op, value=value) if name in frame:
                    changed = self._added(frame, name, op, value)
                    if changed is None:
                        return self._not_straight(statement, "a change in place")
                    frame[name] = changed
                case ast.For(target=target, iter=over, body=body, orelse=[]) if (
                    items := self._rounds_of(over, body)
                ) is not None:
                    for item in items:
                        if not self._assigned(frame, target, item, over):
                            return Poison.at()
                        result = self._block(body, frame, stored)
                        if result is not None:
                            return result
                case ast.If(test=test, body=then, orelse=orelse):
                    decided = self.decided(test)
                    if decided is None:
                        return self._not_straight(test, "a test that is known only when the program runs")
                    result = self._block(then if decided else orelse, frame, stored)
                    if result is not None:
                        return result
                case _:
                    what = _STATEMENTS.get(type(statement), f"a {type(statement).__name__} statement")
                    return self._not_straight(statement, what)
        return None

    def _rounds_of(self, over: ast.expr, body: Sequence[ast.stmt]) -> Sequence[Binding] | None:
        """What a loop runs over, where that is known now and every round runs to its end."""
        if any(isinstance(part, ast.Break | ast.Continue) for one in body for part in ast.walk(one)):
            return None
        if self.aside().iterated(over) is None:
            return None
        items = self.iterated(over)
        return items if items is not None and len(items) <= MOST_CALLS else None

    def _added(self, frame: Mapping[str, Binding], name: str, op: ast.operator, value: ast.expr) -> Binding | None:
        """`s += x` as `s = s + x`, where s is a number or an array that nobody else sees."""
        old = frame[name]
        frames = [one for one in self.frames if one is not frame]
        others = [bound for other, bound in frame.items() if other != name]
        others += [bound for one in frames for bound in one.values()]
        if not isinstance(old, Value | Literal) or (isinstance(old, Value) and not self.is_alone(old, others)):
            return None
        right = self.operand(value)
        return right if isinstance(right, Poison) else self.apply_operator(type(op).__name__, (old, right), None)

    def is_alone(self, value: Value, others: Sequence[Binding]) -> bool:
        """Whether a value is in a buffer of its own, and none of the others in it."""
        return False

    def _assigned(self, frame: dict[str, Binding], target: ast.expr, bound: Binding, value: ast.expr) -> bool:
        if any(isinstance(part, ast.Subscript | ast.Attribute) for part in ast.walk(target)):
            self._not_straight(target, "a change in place")
            return False
        return self.assign(frame, target, bound, value)

    def _not_straight(self, node: ast.AST, what: str) -> Poison:
        return self.error(
            "FG039", "this function cannot be written out where it is called", node, what, _AT_TOP
        )  # fmt: skip


_AT_TOP = "make it a function at the top level of the file that takes numbers and arrays"

_STATEMENTS: dict[type[ast.stmt], str] = {
    ast.AugAssign: "a change in place",
    ast.For: "a loop",
    ast.While: "a loop",
    ast.With: "a with statement",
    ast.Try: "a try statement",
    ast.Raise: "an error",
    ast.Delete: "a del statement",
    ast.Global: "a global name",
    ast.Nonlocal: "a name of the function around it that is bound again",
    ast.Expr: "a call as a statement",
}


# Decorators that leave what a function computes as it is, by the last part of their names.
_HARMLESS = frozenset(
    {"staticmethod", "classmethod", "abstractmethod", "override", "final", "no_type_check"}
    | {"jit", "njit", "cache", "lru_cache", "grad", "value_and_grad", "jaxtyped", "typechecked", "beartype", "profile"}
)


def altering_decorator(node: ast.FunctionDef) -> ast.expr | None:
    """A decorator that may make something else of a function."""
    for decorator in node.decorator_list:
        named = decorator.func if isinstance(decorator, ast.Call) else decorator
        if ast.unparse(named).rpartition(".")[2] not in _HARMLESS:
            return decorator
    return None


def defaults_of(node: ast.FunctionDef | ast.Lambda) -> dict[str, ast.expr]:
    """The default of each parameter that has one."""
    arguments = node.args
    positional = [*arguments.posonlyargs, *arguments.args]
    found = dict(
        zip([a.arg for a in positional[len(positional) - len(arguments.defaults) :]], arguments.defaults, strict=True)
    )
    for argument, default in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True):
        if default is not None:
            found[argument.arg] = default
    return found


def _own_parts(statement: ast.AST) -> list[ast.AST]:
    """The parts of a statement, without those of functions and comprehensions inside it."""
    own = (ast.Lambda, ast.FunctionDef, ast.ListComp, ast.GeneratorExp, ast.DictComp, ast.SetComp)
    if isinstance(statement, own):
        return []
    return [statement, *(part for child in ast.iter_child_nodes(statement) for part in _own_parts(child))]


def _names_of_functions(module: Module) -> frozenset[str]:
    """The names that the functions of a module bind."""
    parts = [part for function in module.functions.values() for part in ast.walk(function)]
    stored = {part.id for part in parts if isinstance(part, ast.Name) and isinstance(part.ctx, ast.Store)}
    return frozenset(stored | {part.arg for part in parts if isinstance(part, ast.arg)})
