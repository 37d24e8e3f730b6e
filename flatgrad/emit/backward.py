"""The text of a backward function: lines with their comments, the cache that they read."""

from __future__ import annotations

import ast
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from flatgrad.differentiate.walk import Backward
from flatgrad.emit.names import Scope, described
from flatgrad.emit.ownership import with_ownership
from flatgrad.emit.residuals import FillHoles, Residuals
from flatgrad.emit.schedule import Schedule, leaves, schedule
from flatgrad.emit.spell import Names, attribute, index_expression, literal, spell
from flatgrad.frontend.environment import Lowered
from flatgrad.ir.core import Attribute, Call, DType, Kind, Literal, Operand, Relation, Slice, Stage, Value

_OPERATORS: dict[str, ast.operator] = {
    "add": ast.Add(),
    "subtract": ast.Sub(),
    "multiply": ast.Mult(),
    "divide": ast.Div(),
}
GRADIENT_ARITHMETIC = frozenset(
    {"add", "subtract", "multiply", "divide", "negative", "spread", "let", "sum", "unbroadcast"}
)


@dataclass(frozen=True, slots=True)
class BackwardText:
    """Lines without indentation, grouped by stage; `upstream` and `results` are names."""

    groups: tuple[tuple[Stage | None, tuple[str, ...]], ...]
    preludes: tuple[str, ...]
    upstream: tuple[str, ...]
    results: tuple[str, ...]
    calls: tuple[tuple[Call, str], ...]
    unbroadcasts: bool


class _Writer:
    def __init__(
        self,
        lowered: Lowered,
        backward: Backward,
        residuals: Residuals,
        names: Names,
        scope: Scope,
        cache_name: Callable[[Call], str],
        backward_name: Callable[[str], str],
        hints: Mapping[Value, str],
    ) -> None:
        self.lowered = lowered
        self.backward = backward
        self.residuals = residuals
        self.names = names
        self.scope = scope
        self.cache_name = cache_name
        self.backward_name = backward_name
        self.hints = hints
        self.upstream: list[str] = []
        self.variables: dict[Value, str] = {}
        self.holders: dict[str, Value] = {}
        self.last: dict[Value, int] = {}
        self.schedule: Schedule
        self.calls: dict[Call, str] = {}
        self.unbroadcasts = False

    def write(self) -> tuple[list[tuple[Stage | None, ast.stmt]], list[str]]:
        self.schedule, apart = with_ownership(schedule(self.backward.block))
        for position, line in enumerate(self.schedule.lines):
            for value in leaves(line, self.schedule.folded):
                self.last[value] = position
        for value in self.schedule.results:
            self.last[value] = len(self.schedule.lines)
        for param in self.schedule.params:
            name = self.scope.take(param.name)
            self.upstream.append(name)
            self.variables[param] = name
            self.holders[name] = param
        statements: list[tuple[Stage | None, ast.stmt]] = []
        for position, line in enumerate(self.schedule.lines):
            if line in apart and line.gate in ("scatter", "write"):
                line = self._copied_base(line, position, statements)
            statements.append((line.stage, self._line(line, position, line in apart)))
        results = [self.variables[value] for value in self.schedule.results]
        return statements, results

    def _copied_base(self, line: Relation, position: int, statements: list[tuple[Stage | None, ast.stmt]]) -> Relation:
        """A write into a copy, where the old value is still read afterwards."""
        base = line.args[0]
        assert isinstance(base, Value)
        copy = Relation((Value(base.name, base.type),), "copy_of", (base,), {}, line.stage)
        self.last[copy.out] = position
        statements.append((line.stage, self._assign(copy, self._expression(copy), position - 1)))
        return Relation(line.outs, line.gate, (copy.out, *line.args[1:]), line.attrs, line.stage)

    # Names

    def _bind(self, value: Value, wanted: str, position: int) -> str:
        """Give a value a variable: the wanted name where no other value that is still read holds it."""
        name = wanted
        number = 2
        while not self._free(name, position):
            name = f"{wanted}{number}" if not wanted[-1].isdigit() else f"{wanted}_{number}"
            number += 1
        self.variables[value] = name
        self.holders[name] = value
        self.scope.taken.add(name)
        return name

    def _free(self, name: str, position: int) -> bool:
        holder = self.holders.get(name)
        if holder is not None:
            return self.last.get(holder, -1) <= position
        return name not in self.scope.taken

    def _wanted(self, value: Value, line: Relation) -> str:
        if line.gate == "zeros_for" and isinstance(line.args[0], Value) and self.residuals.is_forward(line.args[0]):
            return value.name or f"d{self.residuals.described(line.args[0])}"
        if line.gate == "copy_of" and isinstance(line.args[0], Value):
            line = self.schedule.folded.get(line.args[0], line)
        if line.gate == "read" and isinstance(line.args[0], Value) and line.args[0].name:
            return value.name or self.hints.get(value) or f"{line.args[0].name}_part"
        return value.name or self.hints.get(value) or described(line, "d")

    # Lines

    def _line(self, line: Relation, position: int, apart: bool) -> ast.stmt:
        match line.gate:
            case "update":
                return self._update(line, position, apart)
            case "scatter":
                return self._scatter(line)
            case "write":
                target = self._element(line)
                self._same_variable(line)
                return ast.Assign([target], self._operand(line.args[1]))
            case "or_zeros":
                return self._or_zeros(line)
            case "zeros_of":
                dtype = self._dtype(line.args[0])
                shape = attribute(line.attrs["shape"], self._operand, self.names)
                zeros = ast.Call(self._numpy("zeros"), [shape, dtype], [])
                return self._assign(line, zeros, position)
            case "zeros_for":
                value = self._zeros(line)
                return self._assign(line, value, position)
            case "call_backward":
                return self._call(line, position)
            case _:
                return self._assign(line, self._expression(line), position)

    def _or_zeros(self, line: Relation) -> ast.stmt:
        """No upstream gradient means zero."""
        upstream, result = line.args
        assert isinstance(upstream, Value)
        assert isinstance(result, Value)
        name = self._same_variable(line)
        zeros: ast.expr
        if result.type.kind is Kind.SCALAR:
            zeros = ast.Constant(0.0)
        elif result.type.dtype is DType.FLOAT and result.type.kind is Kind.ARRAY:
            zeros = ast.Call(self._numpy("zeros_like"), [self.residuals.like(result)], [])
        else:
            ones = ast.Call(self._numpy("ones_like"), [self.residuals.like(result)], [])
            zeros = ast.BinOp(ast.Constant(0.0), ast.Mult(), ones)
        test = ast.Compare(ast.Name(name, ast.Load()), [ast.Is()], [ast.Constant(None)])
        return ast.If(test, [ast.Assign([ast.Name(name, ast.Store())], zeros)], [])

    def _assign(self, line: Relation, value: ast.expr, position: int) -> ast.stmt:
        name = self._bind(line.out, self._wanted(line.out, line), position)
        return ast.Assign([ast.Name(name, ast.Store())], value)

    def _same_variable(self, line: Relation) -> str:
        base = line.args[0]
        assert isinstance(base, Value)
        name = self.variables[base]
        self.variables[line.out] = name
        self.holders[name] = line.out
        return name

    def _update(self, line: Relation, position: int, apart: bool) -> ast.stmt:
        op: ast.operator = {"+": ast.Add(), "-": ast.Sub(), "*": ast.Mult(), "/": ast.Div()}[str(line.attrs["op"])]
        value = self._operand(line.args[1])
        base = line.args[0]
        assert isinstance(base, Value)
        if apart:
            old = self.variables[base]
            name = self._bind(line.out, self._wanted(line.out, line), position)
            return ast.Assign([ast.Name(name, ast.Store())], ast.BinOp(ast.Name(old, ast.Load()), op, value))
        name = self._same_variable(line)
        op, value = _signed(op, value)
        return ast.AugAssign(ast.Name(name, ast.Store()), op, value)

    def _element(self, line: Relation) -> ast.Subscript:
        base = line.args[0]
        assert isinstance(base, Value)
        return ast.Subscript(
            ast.Name(self.variables[base], ast.Load()),
            index_expression(line.attrs["index"], self._operand),
            ast.Store(),
        )

    def _scatter(self, line: Relation) -> ast.stmt:
        value = self._operand(line.args[1])
        if line.attrs["mode"] == "add_at":
            base = line.args[0]
            assert isinstance(base, Value)
            index = line.attrs["index"]
            where = index_expression(index, self._operand)
            if _has_slice(index):
                where = ast.Subscript(
                    ast.Attribute(ast.Name(self.names.numpy, ast.Load()), "s_", ast.Load()), where, ast.Load()
                )
            function = ast.parse(f"{self.names.numpy}.add.at", mode="eval").body
            call = ast.Call(function, [ast.Name(self.variables[base], ast.Load()), where, value], [])
            self._same_variable(line)
            return ast.Expr(call)
        target = self._element(line)
        self._same_variable(line)
        op, value = _signed(_OPERATORS[str(line.attrs["mode"])], value)
        return ast.AugAssign(target, op, value)

    def _call(self, line: Relation, position: int) -> ast.stmt:
        call = next(self.backward.calls[out] for out in line.outs if out in self.backward.calls)
        if call not in self.calls:
            self.calls[call] = self.cache_name(call)
        arguments = [self._operand(arg) for arg in line.args]
        arguments.append(ast.Name(self.calls[call], ast.Load()))
        function = ast.Name(self.backward_name(str(line.attrs["function"])), ast.Load())
        targets: list[ast.expr] = []
        for out in line.outs:
            if self.last.get(out, -1) < position:
                targets.append(ast.Name("_", ast.Store()))
            else:
                wanted = out.name or self._wanted(out, line)
                targets.append(ast.Name(self._bind(out, wanted, position), ast.Store()))
        target = targets[0] if len(targets) == 1 else ast.Tuple(targets, ast.Store())
        return ast.Assign([target], ast.Call(function, arguments, []))

    def _zeros(self, line: Relation) -> ast.expr:
        like = line.args[0]
        assert isinstance(like, Value)
        if like.type.kind is Kind.SCALAR:
            return ast.Constant(0.0)
        shape = self._shape_of(like)
        arguments = [shape]
        if len(line.args) > 1:
            arguments.append(self._dtype(line.args[1]))
        elif self.residuals.is_forward(like):
            arguments.append(self._own_dtype(like))
        return ast.Call(self._numpy("zeros"), arguments, [])

    def _own_dtype(self, value: Value) -> ast.expr:
        """The dtype of a gradient of zeros: that of the value, floating where it holds integers."""
        source = self.residuals.like(value)
        if value.type.kind is not Kind.ARRAY:
            source = ast.Call(self._numpy("asarray"), [source], [])
        return ast.Call(self._numpy("result_type"), [source, ast.Constant(0.0)], [])

    def _shape_of(self, value: Value) -> ast.expr:
        relation = Relation((value,), "shape", (value,))
        if self.residuals.is_forward(value):
            return self.residuals.size(relation)
        return spell(relation, self._operand, self.names)

    def _dtype(self, gradient: Operand) -> ast.expr:
        """The dtype of the gradients that flow into an accumulator."""
        parts = self._dtype_leaves(gradient)
        for part in parts:
            if isinstance(part, Value) and part.type.kind is Kind.ARRAY and not self.residuals.is_forward(part):
                return ast.Attribute(self._operand(part), "dtype", ast.Load())
        return ast.Call(self._numpy("result_type"), [self._dtype_source(part) for part in parts], [])

    def _dtype_source(self, part: Operand) -> ast.expr:
        if isinstance(part, Value) and part.type.kind is Kind.ARRAY and self.residuals.is_forward(part):
            return self.residuals.like(part)
        return self._operand(part)

    def _dtype_leaves(self, operand: Operand) -> list[Operand]:
        inner = self.schedule.folded.get(operand) if isinstance(operand, Value) else None
        if inner is None or inner.gate not in GRADIENT_ARITHMETIC:
            return [operand]
        found: list[Operand] = []
        for arg in inner.args[:1] if inner.gate == "unbroadcast" else inner.args:
            for part in self._dtype_leaves(arg):
                if isinstance(part, Value) and part not in found and part.type.dtype.differentiable:
                    found.append(part)
        return found

    # Expressions

    def _operand(self, operand: Operand) -> ast.expr:
        if isinstance(operand, Literal):
            return literal(operand)
        inner = self.schedule.folded.get(operand)
        if inner is not None:
            return self._expression(inner)
        if operand in self.variables:
            return ast.Name(self.variables[operand], ast.Load())
        return self.residuals.expression(operand)

    def _expression(self, relation: Relation) -> ast.expr:
        match relation.gate:
            case "spread":
                return self._spread(relation)
            case "unbroadcast":
                self.unbroadcasts = True
                gradient, target = relation.args
                assert isinstance(target, Value)
                return ast.Call(
                    ast.Name(self.names.unbroadcast, ast.Load()), [self._operand(gradient), self._shape_of(target)], []
                )
            case "dim" | "shape" | "size" | "ndim" if self._reads_forward(relation):
                return self.residuals.size(relation)
        mask = self.residuals.mask(relation)
        if mask is not None:
            return mask
        return spell(relation, self._operand, self.names)

    def _reads_forward(self, relation: Relation) -> bool:
        source = relation.args[0]
        return isinstance(source, Value) and self.residuals.is_forward(source)

    def _spread(self, relation: Relation) -> ast.expr:
        """A gradient as an array of the shape of a forward value, in its dtype."""
        gradient, like = relation.args
        assert isinstance(gradient, Value)
        assert isinstance(like, Value)
        value = self._operand(gradient)
        floating = like.type.dtype is DType.FLOAT
        if self.residuals.is_forward(like):
            like = self.residuals.simplest_like(like)
            floating = like.type.dtype is DType.FLOAT
        if gradient.type.kind is Kind.ARRAY:
            return ast.Call(self._numpy("broadcast_to"), [value, self._shape_of(like)], [])
        source = self.residuals.like(like) if self.residuals.is_forward(like) else self._operand(like)
        if floating and like.type.kind is Kind.ARRAY and gradient.type.kind is Kind.SCALAR:
            return ast.Call(self._numpy("full_like"), [source, value], [])
        return ast.BinOp(value, ast.Mult(), ast.Call(self._numpy("ones_like"), [source], []))

    def _numpy(self, attribute: str) -> ast.expr:
        return ast.Attribute(ast.Name(self.names.numpy, ast.Load()), attribute, ast.Load())


@dataclass(frozen=True, slots=True)
class Draft:
    """Statements whose names of forward values are not settled yet."""

    statements: tuple[tuple[Stage | None, ast.stmt], ...]
    results: tuple[str, ...]
    upstream: tuple[str, ...]
    calls: tuple[tuple[Call, str], ...]
    unbroadcasts: bool


def draft_backward(
    lowered: Lowered,
    backward: Backward,
    residuals: Residuals,
    names: Names,
    scope: Scope,
    cache_name: Callable[[Call], str],
    backward_name: Callable[[str], str],
    hints: Mapping[Value, str],
) -> Draft:
    """Draft the lines of a backward pass; `residuals` collects what they read of forward."""
    writer = _Writer(lowered, backward, residuals, names, scope, cache_name, backward_name, hints)
    statements, results = writer.write()
    residuals.settle_sizes()
    return Draft(
        tuple(statements),
        tuple(results),
        tuple(writer.upstream),
        tuple(writer.calls.items()),
        writer.unbroadcasts,
    )


def backward_text(draft: Draft, residuals: Residuals) -> BackwardText:
    """The lines as text, once every forward value has its name."""
    fill = FillHoles()
    groups: list[tuple[Stage | None, list[str]]] = []
    for stage, statement in draft.statements:
        if not groups or groups[-1][0] is not stage:
            groups.append((stage, []))
        groups[-1][1].extend(ast.unparse(ast.fix_missing_locations(fill.visit(statement))).split("\n"))
    preludes = tuple(
        f"{name} = {ast.unparse(fill.visit(expression))}" for name, expression in residuals.preludes.items()
    )
    return BackwardText(
        groups=tuple((stage, tuple(lines)) for stage, lines in groups),
        preludes=preludes,
        upstream=draft.upstream,
        results=draft.results,
        calls=draft.calls,
        unbroadcasts=draft.unbroadcasts,
    )


def _signed(op: ast.operator, value: ast.expr) -> tuple[ast.operator, ast.expr]:
    """`dx += -a * b` is written `dx -= a * b`."""
    if not isinstance(op, ast.Add):
        return op, value
    factor, around = value, []
    while isinstance(factor, ast.BinOp) and isinstance(factor.op, ast.Mult | ast.Div):
        around.append(factor)
        factor = factor.left
    if not isinstance(factor, ast.UnaryOp) or not isinstance(factor.op, ast.USub):
        return op, value
    positive: ast.expr = factor.operand
    for product in reversed(around):
        positive = ast.BinOp(positive, product.op, product.right)
    return ast.Sub(), positive


def _has_slice(index: Attribute) -> bool:
    return isinstance(index, tuple) and any(
        isinstance(item, Slice) or item is Ellipsis or item is None for item in index
    )
