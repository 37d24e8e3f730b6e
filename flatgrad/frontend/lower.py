"""From the syntax tree of one function to its IR.

Statements become stages, expressions become relations in the order in which Python evaluates them. Names are bound to
values by an environment; a name that is bound again gets a new value. Nothing is known of shapes here: every value is
open until `facts.infer` has read the result.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from flatgrad.diagnostics import Diagnostic, Refused
from flatgrad.frontend.buffers import Buffers
from flatgrad.frontend.calls import CallLowering
from flatgrad.frontend.environment import (
    Binding,
    Lowered,
    Poison,
    Result,
    Static,
    Structure,
    live_names,
)
from flatgrad.frontend.source import Module, span_of, statement_text
from flatgrad.ir.core import Attribute, Block, Call, Function, Kind, Literal, Relation, Span, Stage, Step, Type, Value


@dataclass(frozen=True, slots=True)
class Context:
    """What lowering may ask for: the module, the other functions of the file, and what earlier rounds found out.

    `kinds` answers the questions of an earlier round: what is the value that a statement changes in place?
    """

    module: Module
    callee: Callable[[str], Lowered]
    inlined: frozenset[str] = frozenset()
    kinds: Mapping[Span, Type] = field(default_factory=dict)


def lower(node: ast.FunctionDef, context: Context) -> Lowered:
    """Lower one function.

    Raises:
        Refused: with every construct of the function that is not understood.
    """
    return _FunctionLowering(node, context).run()


class _FunctionLowering:
    def __init__(self, node: ast.FunctionDef, context: Context) -> None:
        self.node = node
        self.context = context
        self.module = context.module
        self.body: list[Step] = []
        self.environment: dict[str, Binding] = {}
        self.names: dict[Span, Value] = {}
        self.stages: list[Stage] = []
        self.buffers = Buffers()
        self.rewritten: dict[Stage, Value] = {}
        self.questions: dict[Span, Value] = {}
        # Parts of a display that has a name of its own: naming one of them must not take it from the display.
        self.kept_unnamed: set[Value] = set()
        self.errors: list[Diagnostic] = []
        self.stage: Stage | None = None
        self.expressions = CallLowering(
            context.module, context.callee, context.inlined, self.environment, self.names, self._emit, self.errors
        )

    def run(self) -> Lowered:
        params = self._parameters()
        statements = self.node.body
        live = live_names(statements)
        results: tuple[Result, ...] | None = None
        for index, statement in enumerate(statements):
            if results is not None:
                self._error("FG031", "code after return", statement, "this is never reached", "remove it")
                break
            if index == 0 and _is_docstring(statement):
                continue
            self.stage = Stage(span_of(self.module, statement), statement_text(self.module, statement))
            self.stages.append(self.stage)
            match statement:
                case ast.Return(value=value):
                    results = self._return(statement, value)
                case ast.Assign(targets=targets) if not self._is_one_binding(targets):
                    self._error(
                        "FG033",
                        "several targets, one of them an element or a tuple, are not understood",
                        statement,
                        "what is written first may be seen on the right",
                        "write one assignment a line",
                    )
                    self._poison(statement)
                case ast.If(test=test, body=[ast.Raise()], orelse=[]) | ast.Assert(test=test):
                    # A check of the user's own stays where it is, and changes no value.
                    self._read_names(test)
                case ast.Assign(targets=targets, value=value):
                    bound = self.expressions.lower(value)
                    for target in targets:
                        self._bind(target, bound, value, live.get(index, frozenset()))
                        if isinstance(target, ast.Name):
                            bound = self.environment[target.id]
                case ast.AnnAssign(target=target, value=value) if value is not None:
                    self._bind(target, self.expressions.lower(value), value, live.get(index, frozenset()))
                case ast.AugAssign():
                    self._augment(statement, live.get(index, frozenset()))
                case ast.Pass():
                    pass
                case ast.Expr(value=ast.Constant()):
                    pass
                case ast.Expr(value=ast.Call()):
                    self._error(
                        "FG030",
                        "a call as a statement is not understood",
                        statement,
                        "what it changes is not known to flatgrad",
                        "assign its result to a name, or leave the call out of the function",
                    )
                case _:
                    self._unsupported(statement)
        if results is None and not self.errors:
            self._error(
                "FG061",
                f"{self.node.name} returns nothing",
                self.node,
                "",
                "a function to be differentiated returns its result",
            )
        if self.errors:
            raise Refused(tuple(self.errors))
        assert results is not None
        block = Block(params, tuple(self.body), tuple(result.value for result in results))
        return Lowered(
            function=Function(self.node.name, block),
            node=self.node,
            stages=tuple(self.stages),
            names=self.names,
            results=results,
            roots=self.buffers.roots,
            overwritten=self.buffers.overwritten,
            rewritten=self.rewritten,
            questions=self.questions,
            notes=tuple(self.expressions.notes),
        )

    def _is_one_binding(self, targets: list[ast.expr]) -> bool:
        """Whether what is assigned goes to one place, or to plain names only."""
        if len(targets) > 1:
            return all(isinstance(target, ast.Name) for target in targets)
        parts = targets[0].elts if isinstance(targets[0], ast.Tuple | ast.List) else []
        return not any(isinstance(part, ast.Subscript) for part in parts)

    def _read_names(self, node: ast.expr) -> None:
        for part in ast.walk(node):
            if isinstance(part, ast.Name) and isinstance(bound := self.environment.get(part.id), Value):
                self.names[span_of(self.module, part)] = bound

    def _poison(self, statement: ast.stmt) -> None:
        for part in ast.walk(statement):
            if isinstance(part, ast.Name) and isinstance(part.ctx, ast.Store):
                self.environment[part.id] = Poison.at(part.id)

    def _parameters(self) -> tuple[Value, ...]:
        arguments = self.node.args
        for extra in (arguments.vararg, arguments.kwarg):
            if extra is not None:
                self._error(
                    "FG032",
                    f"*{extra.arg} is not understood",
                    extra,
                    "",
                    "name the parameters one by one",
                )
        params = []
        for argument in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs):
            value = Value(argument.arg, Type.open(argument.arg))
            params.append(value)
            self.environment[argument.arg] = value
            self.buffers.own(value)
        return tuple(params)

    def _emit(self, step: Step, view: bool) -> None:
        """Append a step; `view` says that its results may share memory with its operands: that of a relation with the
        first one, those of a call as its own results do with its parameters."""
        if isinstance(step, Relation):
            step = Relation(step.outs, step.gate, step.args, step.attrs, self.stage, step.span)
        else:
            step = Call(step.outs, step.function, step.args, self.stage, step.span)
        self.body.append(step)
        if isinstance(step, Call):
            self.buffers.call(step, self.context.callee(step.function))
        else:
            self.buffers.relation(step, view)

    # Binding

    def _bind(self, target: ast.expr, bound: Binding, value: ast.expr, live: frozenset[str]) -> None:
        match target:
            case ast.Name(id=name):
                self._bind_name(target, name, bound, value)
            case ast.Tuple(elts=targets) | ast.List(elts=targets):
                items = self.expressions.unpack(
                    bound, len(targets), value, any(isinstance(t, ast.Starred) for t in targets)
                )
                for one, item in zip(targets, items, strict=True):
                    self._bind(one, item, value, live)
            case ast.Subscript(value=ast.Name(id=name) as base, slice=index):
                template = self.expressions.index(index)
                if template is not None:
                    self._write(target, base, name, template, bound, live)
            case _:
                self._error(
                    "FG033",
                    "this target of an assignment is not understood",
                    target,
                    "",
                    "assign to a name, or to a part of an array that has a name: `a[i] = v`",
                )

    def _bind_name(self, target: ast.Name, name: str, bound: Binding, value: ast.expr) -> None:
        if isinstance(bound, Value):
            if (bound.name or bound in self.kept_unnamed) and not isinstance(bound, Poison):
                # `t = x`: one buffer under two names
                alias = Value(name, Type.open(name))
                self._emit(Relation((alias,), "alias", (bound,), {}, None, span_of(self.module, value)), view=True)
                self.buffers.alias(alias, bound)
                bound = alias
            else:
                bound = self._named(bound, name)
            self.names[span_of(self.module, target)] = bound
        elif isinstance(bound, Literal):
            constant = Value(name, Type.open(name))
            self._emit(Relation((constant,), "constant", (bound,), {}, None, span_of(self.module, value)), view=False)
            self.names[span_of(self.module, target)] = constant
            bound = constant
        elif isinstance(bound, Static):
            bound = Static(bound.path, name)
        elif isinstance(bound, Structure):
            self.kept_unnamed |= {item for item in bound.items if isinstance(item, Value) and not item.name}
        self.environment[name] = bound

    def _named(self, value: Value, name: str) -> Value:
        """The value that the last steps computed, under the name that the user gives it."""
        if isinstance(value, Poison):
            return value
        named = Value(name, value.type)
        for position in range(len(self.body) - 1, -1, -1):
            step = self.body[position]
            if value in step.outs:
                outs = tuple(named if out is value else out for out in step.outs)
                if isinstance(step, Relation):
                    self.body[position] = Relation(outs, step.gate, step.args, step.attrs, step.stage, step.span)
                else:
                    self.body[position] = Call(outs, step.function, step.args, step.stage, step.span)
                break
        self.buffers.renamed(value, named)
        return named

    # Statements that change a value in place

    def _augment(self, statement: ast.AugAssign, live: frozenset[str]) -> None:
        right = self.expressions.operand(statement.value)
        gate = type(statement.op).__name__
        span = Span(
            span_of(self.module, statement.target).line,
            span_of(self.module, statement.target).column,
            span_of(self.module, statement.value).end_line,
            span_of(self.module, statement.value).end_column,
        )
        match statement.target:
            case (ast.Name(id=name) | ast.Subscript(value=ast.Name(id=name))) as target if isinstance(
                self.environment.get(name), Structure
            ):
                self._error(
                    "FG034",
                    f"{name} is a list or a tuple, not an array",
                    target,
                    "",
                    "make it an array: `np.array(...)`",
                )
            case ast.Name(id=name) as target:
                old = self.expressions.name_operand(target)
                if isinstance(old, Poison) or isinstance(right, Poison):
                    self.environment[name] = Poison.at(name)
                    return
                new = self.expressions.apply_operator(gate, (old, right), span, into=True)
                if not isinstance(new, Value) or isinstance(new, Poison):
                    self.environment[name] = new
                    return
                named = self._named(new, name)
                if isinstance(old, Value):
                    self._changes(target, name, old, named, live)
                self.names[span_of(self.module, target)] = named
                self.environment[name] = named
            case ast.Subscript(value=ast.Name(id=name) as base, slice=index) as target:
                # Neither the element nor the sum stands in the text as an expression that could be named.
                template = self.expressions.index(index)
                old = self.expressions.name_operand(base)
                if (
                    template is None
                    or not isinstance(old, Value)
                    or isinstance(old, Poison)
                    or isinstance(right, Poison)
                ):
                    return
                read = self.expressions.read(old, template)
                total = self.expressions.apply_operator(gate, (read, right), None, into=False)
                self._write(target, base, name, template, total, live, span)
            case _:
                self._error(
                    "FG033",
                    "this target of an assignment is not understood",
                    statement.target,
                    "",
                    "assign to a name, or to a part of an array that has a name: `a[i] += v`",
                )

    def _write(
        self,
        target: ast.Subscript,
        base: ast.Name,
        name: str,
        template: tuple[Attribute, ...],
        bound: Binding,
        live: frozenset[str],
        span: Span | None = None,
    ) -> None:
        if isinstance(self.environment.get(name), Structure):
            self._error(
                "FG034", f"{name} is a list or a tuple, not an array", base, "", "make it an array: `np.array(...)`"
            )
            return
        old = self.expressions.name_operand(base)
        if isinstance(old, Poison) or isinstance(bound, Poison):
            return
        if not isinstance(old, Value):
            self._error(
                "FG034",
                f"{name} is not an array",
                base,
                "a part of it is written to",
                "make it an array first: `np.array(...)`",
            )
            return
        if isinstance(bound, Structure):
            bound = self.expressions.as_operand(bound, target)
        if not isinstance(bound, Value | Literal):
            self._error("FG034", "this cannot be written into an array", target, "", "")
            return
        new = Value(name, Type.open(name))
        self._emit(
            Relation((new,), "write", (old, bound), {"index": template}, None, span or span_of(self.module, target)),
            view=False,
        )
        self._changes(base, name, old, new, live, always_array=True)
        self.names[span_of(self.module, base)] = old
        self.environment[name] = new

    def _changes(
        self, target: ast.Name, name: str, old: Value, new: Value, live: frozenset[str], always_array: bool = False
    ) -> None:
        """`old`'s buffer now holds `new`: tell every other name that sees the same buffer, or refuse."""
        assert self.stage is not None
        span = span_of(self.module, target)
        known = self.context.kinds.get(span)
        scalar = known is not None and known.kind is Kind.SCALAR
        array = always_array or (known is not None and known.kind is Kind.ARRAY)
        self.questions[span] = old
        if scalar:
            return
        roots = self.buffers.of(old)
        lender = next((self.buffers.lent[root] for root in roots if root in self.buffers.lent), None)
        if lender is not None:
            self._error(
                "FG043",
                f"this changes what {lender} was given and handed back",
                target,
                f"the backward pass of {lender} may need it as it was",
                f"write `{name} = {name}.copy()` before, or compute a new array instead",
            )
        for other in sorted(live - {name}):
            value = self.environment.get(other)
            if isinstance(value, Structure) and self.buffers.held(value, roots):
                self._error(
                    "FG041",
                    f"this changes what {other} holds as well",
                    target,
                    f"{name} is in {other}, which is read afterwards",
                    f"write `{name} = {name}.copy()` before, or compute a new array instead",
                )
            if not isinstance(value, Value) or not roots & self.buffers.of(value):
                continue
            if not self.buffers.same(old, value):
                self._error(
                    "FG041",
                    f"this changes {other} as well",
                    target,
                    f"{name} and {other} may share memory, and {other} is read afterwards",
                    f"write `{name} = {name}.copy()` before, or compute a new array instead",
                )
            elif array:
                self.environment[other] = new
            elif known is not None or self.context.kinds:
                self._error(
                    "FG040",
                    f"whether this changes {other} as well depends on what {name} is",
                    target,
                    f"{name} and {other} are one array, or two numbers",
                    f'say what it is, as in `{name}: float` or `{name}: "N"`, or write `{name} = {name} + ...`',
                )
        self.buffers.written(old, new, self.stage)
        self.rewritten[self.stage] = new

    # Results

    def _return(self, statement: ast.Return, node: ast.expr | None) -> tuple[Result, ...] | None:
        if node is None:
            return None
        elements = node.elts if isinstance(node, ast.Tuple) else [node]
        several = isinstance(node, ast.Tuple)
        results: list[Result] = []
        for position, element in enumerate(elements):
            if several and self._is_own_backward_matter(element):
                self.expressions.note(
                    "FG065",
                    f"{ast.unparse(element)} is not differentiated",
                    element,
                    "taken for the function's own cache or gradients",
                )
                continue
            bound = self.expressions.lower(element)
            if isinstance(bound, Structure) and not bound.is_list:
                self._error(
                    "FG061", "several results under one name", element, "", "name them: `a, b = ...; return a, b`"
                )
                continue
            if isinstance(bound, Structure):
                bound = self.expressions.as_operand(bound, element)
            if isinstance(bound, Literal):
                value = Value("", Type.open("out"))
                self._emit(
                    Relation((value,), "constant", (bound,), {}, None, span_of(self.module, element)), view=False
                )
                bound = value
            if isinstance(bound, Poison):
                continue
            if not isinstance(bound, Value):
                self._error("FG061", "this result is not a number or an array", element, "", "return arrays or numbers")
                continue
            results.append(Result(bound, bound.name, span_of(self.module, element), position))
        if not results and not self.errors:
            self._error(
                "FG061",
                f"{self.node.name} returns nothing to differentiate",
                statement,
                "",
                "return the loss or the output",
            )
        return tuple(results)

    def _is_own_backward_matter(self, element: ast.expr) -> bool:
        if isinstance(element, ast.Tuple | ast.Dict | ast.List):
            return True
        if not isinstance(element, ast.Name):
            return False
        if isinstance(self.environment.get(element.id), Structure):
            return True
        params = {argument.arg for argument in self.node.args.args}
        return element.id in ("cache", "grads") or any(element.id in (f"d{p}", f"d_{p}", f"grad_{p}") for p in params)

    # Errors

    def _unsupported(self, statement: ast.stmt) -> None:
        what = _STATEMENTS.get(type(statement), f"a {type(statement).__name__} statement")
        self._error(
            "FG030",
            f"{what} is not understood yet",
            statement,
            "",
            "write the function without it: staged assignments and one return",
        )
        self._poison(statement)

    def _error(self, code: str, message: str, node: ast.AST, label: str, help: str) -> None:
        span = span_of(self.module, node)
        if span.end_line > span.line:
            first = self.module.lines[span.line - 1]
            span = Span(span.line, span.column, span.line, len(first.rstrip()))
        self.errors.append(Diagnostic(code, message, span, label, help))


_STATEMENTS: dict[type[ast.stmt], str] = {
    ast.For: "a for loop",
    ast.While: "a while loop",
    ast.If: "an if statement",
    ast.With: "a with statement",
    ast.Try: "a try statement",
    ast.Raise: "a raise statement",
    ast.Assert: "an assert statement",
    ast.Delete: "a del statement",
    ast.FunctionDef: "a nested function",
    ast.ClassDef: "a nested class",
    ast.Import: "an import inside a function",
    ast.ImportFrom: "an import inside a function",
    ast.Global: "a global statement",
    ast.Nonlocal: "a nonlocal statement",
}


def _is_docstring(statement: ast.stmt) -> bool:
    return (
        isinstance(statement, ast.Expr)
        and isinstance(statement.value, ast.Constant)
        and isinstance(statement.value.value, str)
    )
