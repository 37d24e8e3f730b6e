"""The text of a backward function: lines with their comments, the cache that they read."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from flatgrad.differentiate.walk import Backward
from flatgrad.emit.callee import Callee
from flatgrad.emit.names import Scope, described
from flatgrad.emit.order import Order, order_of
from flatgrad.emit.ownership import with_ownership
from flatgrad.emit.residuals import FillHoles, Residuals
from flatgrad.emit.rounds import bound_name, layers_run_over, over_layers, reads_index
from flatgrad.emit.schedule import Schedule, schedule
from flatgrad.emit.spell import Names, attribute, index_expression, literal, spell
from flatgrad.frontend.environment import Lowered
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
    Slice,
    Stage,
    Value,
)

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
class Nested:
    """A loop or an `if` around lines; the second part is that of an `else`. `over`: the head of the loop where its
    index is not read."""

    stage: Stage | None
    head: ast.stmt
    parts: tuple[tuple[Item, ...], ...]
    over: ast.For | None = None


# A statement of the backward pass, with the stage that it reverses.
Item = tuple[Stage | None, ast.stmt] | Nested


@dataclass(frozen=True, slots=True)
class NestedText:
    """A head line, without its colon, and what stands below it."""

    stage: Stage | None
    head: str
    groups: tuple[Group, ...]


# Lines without indentation that reverse one stage.
Group = tuple[Stage | None, tuple[str, ...]] | NestedText


@dataclass(frozen=True, slots=True)
class BackwardText:
    """Lines without indentation, grouped by stage; `upstream` and `results` are names."""

    groups: tuple[Group, ...]
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
        callee: Callable[[str], Callee],
        hints: Mapping[Value, str],
    ) -> None:
        self.lowered = lowered
        self.backward = backward
        self.residuals = residuals
        self.names = names
        self.scope = scope
        self.cache_name = cache_name
        self.callee = callee
        self.hints = hints
        self.upstream: list[str] = []
        self.variables: dict[Value, str] = {}
        self.holders: dict[str, Value] = {}
        self.schedule: Schedule
        self.order: Order
        self.apart: frozenset[Relation]
        self.calls: dict[Call, str] = {}
        self.unbroadcasts = False
        self.layers = layers_run_over(lowered.function.block)

    def write(self) -> tuple[list[Item], list[str]]:
        self.schedule, self.apart = with_ownership(schedule(self.backward.block))
        self.order = order_of(self.schedule.block, self.schedule.folded)
        for param in self.schedule.block.params:
            name = self.scope.take(param.name)
            self.upstream.append(name)
            self.variables[param] = name
            self.holders[name] = param
            self.residuals.upstream[name] = param
        items = self._block(self.schedule.block)
        results = [self.variables[value] for value in self.schedule.block.results]
        return items, results

    def _block(self, block: Block) -> list[Item]:
        items: list[Item] = []
        for line in block.body:
            position = self.order.start[line]
            match line:
                case Loop():
                    items.extend(self._loop(line, position))
                case Branch():
                    branch = self._branch(line, position)
                    if branch.parts:
                        items.append(branch)
                case Relation():
                    if line in self.apart and line.gate in ("scatter", "write"):
                        apart, line = line, self._copied_base(line, position, items)
                        items.append((line.stage, self._line(line, position, apart in self.apart)))
                    else:
                        items.append((line.stage, self._line(line, position, line in self.apart)))
        return items

    # Loops and branches

    def _loop(self, loop: Loop, position: int) -> list[Item]:
        items: list[Item] = []
        names: list[str] = []
        for init, param in zip(loop.inits, loop.carried, strict=True):
            held = self.variables.get(init)
            wanted = param.name or self.hints.get(param) or held or "d"
            alone = held is not None and not self.order.read_after(init, position) and held not in names
            if held is not None and alone and held == wanted:
                self.variables[param] = held
                self.holders[held] = param
                names.append(held)
                continue
            value = self._operand(init)
            # What the others begin with is still read here.
            last = len(names) == len(loop.inits) - 1
            name = self._bind(param, wanted, position if last else position - 1, names)
            names.append(name)
            items.append((loop.stage, ast.Assign([ast.Name(name, ast.Store())], value)))
        index = ast.Name(self.residuals.index_name(loop.index), ast.Store())
        bounds = [self._operand(one) for one in loop.bounds]
        if _is(loop.bounds[2], 1):
            bounds.pop()
            if _is(loop.bounds[0], 0):
                bounds.pop(0)
        rounds: ast.expr = ast.Call(ast.Name("range", ast.Load()), bounds, [])
        if loop.backwards:
            rounds = ast.Call(ast.Name("reversed", ast.Load()), [rounds], [])
        body = self._block(loop.body)
        body.extend(self._handed(loop.body.results, names, loop.stage))
        for out, name in zip(loop.outs, names, strict=True):
            self.variables[out] = name
            self.holders[name] = out
        head = ast.For(index, rounds, [], [])
        lines = self.residuals.heads_of(loop.index)
        over: ast.For | None = None
        if loop.index in self.layers and loop.backwards:
            layer, sequence = self.layers[loop.index]
            if any(bound_name(line) == layer for line in lines):
                lines = [line for line in lines if bound_name(line) != layer]
                head, over = over_layers(index, layer, self._operand(sequence))
        heads: list[Item] = [(None, line) for line in lines]
        if heads or body:
            items.append(Nested(loop.stage, head, ((*heads, *_continued(body)),), over))
        return items

    def _branch(self, branch: Branch, position: int) -> Nested:
        test = self._operand(branch.test)
        end = self.order.end[branch]
        targets: list[str] = []
        for out, *ends in zip(branch.outs, branch.then.results, branch.orelse.results, strict=True):
            held = [self.variables[value] for value in ends if value in self.variables]
            wanted = out.name or self.hints.get(out) or (held[0] if held else "d")
            targets.append(self._target(wanted, end, targets))
        parts: list[list[Item]] = []
        for name, out in zip(targets, branch.outs, strict=True):
            # What the arms hand on may be computed under its name at once.
            self.holders.setdefault(name, out)
        for arm in branch.arms:
            holders = dict(self.holders)
            items = self._block(arm)
            items.extend(self._handed(arm.results, targets, branch.stage))
            parts.append(items)
            self.holders = holders
        for out, name in zip(branch.outs, targets, strict=True):
            self.variables[out] = name
            self.holders[name] = out
        if not parts[0]:
            parts = [parts[1], []]
            test = _negated(test)
        return Nested(branch.stage, ast.If(test, [], []), tuple(tuple(part) for part in parts if part))

    def _target(self, wanted: str, position: int, others: list[str]) -> str:
        """A variable that is free behind a branch."""
        name, number = wanted, 2
        while not self._free(name, position) or name in others:
            name = f"{wanted}{number}" if not wanted[-1].isdigit() else f"{wanted}_{number}"
            number += 1
        self.scope.taken.add(name)
        return name

    def _handed(self, results: tuple[Value, ...], names: list[str], stage: Stage | None) -> list[Item]:
        """Assignments of results to the variables that hand them on, where they are not in them already."""
        pairs = [
            (name, self._operand(result))
            for name, result in zip(names, results, strict=True)
            if self.variables.get(result) != name
        ]
        read = {part.id for _, value in pairs for part in ast.walk(value) if isinstance(part, ast.Name)}
        if len(pairs) > 1 and read & {name for name, _ in pairs}:
            targets: list[ast.expr] = [ast.Name(name, ast.Store()) for name, _ in pairs]
            whole = ast.Tuple([value for _, value in pairs], ast.Load())
            return [(stage, ast.Assign([ast.Tuple(targets, ast.Store())], whole))]
        return [(stage, ast.Assign([ast.Name(name, ast.Store())], value)) for name, value in pairs]

    def _copied_base(self, line: Relation, position: int, statements: list[Item]) -> Relation:
        """A write into a copy, where the old value is still read afterwards."""
        base = line.args[0]
        assert isinstance(base, Value)
        copy = Relation((Value(base.name, base.type),), "copy_of", (base,), {}, line.stage)
        self.order.uses[copy.out] = [position]
        statements.append((line.stage, self._assign(copy, self._expression(copy), position - 1)))
        return Relation(line.outs, line.gate, (copy.out, *line.args[1:]), line.attrs, line.stage)

    # Names

    def _bind(self, value: Value, wanted: str, position: int, others: Sequence[str] = ()) -> str:
        """Give a value a variable: the wanted name where no other value that is still read holds it."""
        name = wanted
        number = 2
        while not self._free(name, position) or name in others:
            name = f"{wanted}{number}" if not wanted[-1].isdigit() else f"{wanted}_{number}"
            number += 1
        self.variables[value] = name
        self.holders[name] = value
        self.scope.taken.add(name)
        return name

    def _free(self, name: str, position: int) -> bool:
        holder = self.holders.get(name)
        if holder is not None:
            return self.order.bound.get(holder, 0) > position or not self.order.read_after(holder, position)
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
            case "write" if line.attrs.get("mode") == "diagonal":
                array = ast.Name(self._same_variable(line), ast.Load())
                return ast.Expr(ast.Call(self._numpy("fill_diagonal"), [array, self._operand(line.args[1])], []))
            case "write":
                target = self._element(line)
                self._same_variable(line)
                return ast.Assign([target], self._operand(line.args[1]))
            case "item_add":
                target = ast.Subscript(
                    ast.Name(self._same_variable(line), ast.Load()), self._operand(line.args[2]), ast.Store()
                )
                op, value = _signed(ast.Add(), self._operand(line.args[1]))
                return ast.AugAssign(target, op, value)
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
            case "layer_backward" if not any(self.order.uses.get(out) for out in line.outs):
                return ast.Expr(self._expression(line))
            case "layer_backward" if len(line.outs) > 1:
                targets = self._targets(line, position)
                return ast.Assign([ast.Tuple(targets, ast.Store())], self._expression(line))
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
        if line.attrs["mode"] == "set":
            return ast.Assign([target], value)
        op, value = _signed(_OPERATORS[str(line.attrs["mode"])], value)
        return ast.AugAssign(target, op, value)

    def _call(self, line: Relation, position: int) -> ast.stmt:
        call = next(self.backward.calls[out] for out in line.outs if out in self.backward.calls)
        callee = self.callee(str(line.attrs["function"]))
        arguments = [self._operand(arg) for arg in line.args]
        function = ast.Name(callee.backward, ast.Load())
        if callee.held is not None:
            return self._own_method(line, position, ast.Call(function, arguments, []), callee.held)
        if call not in self.calls:
            self.calls[call] = self.cache_name(call)
        arguments.append(self.residuals.cache_of(call, self.calls[call]))
        targets = self._targets(line, position)
        target = targets[0] if len(targets) == 1 else ast.Tuple(targets, ast.Store())
        return ast.Assign([target], ast.Call(function, arguments, []))

    def _own_method(self, line: Relation, position: int, call: ast.Call, held: tuple[str, ...]) -> ast.stmt:
        """`dx = self.predict_backward(dy)`; what it leaves on the object is read off there."""
        targets = self._targets(line, position)
        returned = [target for target, name in zip(targets, held, strict=True) if not name]
        left = [(target, name) for target, name in zip(targets, held, strict=True) if name]
        left = [(target, name) for target, name in left if not (isinstance(target, ast.Name) and target.id == "_")]
        whole: ast.expr = returned[0] if len(returned) == 1 else ast.Tuple([*returned], ast.Store())
        if not returned or all(isinstance(one, ast.Name) and one.id == "_" for one in returned):
            if not left:
                return ast.Expr(call)
            whole = ast.Name("_", ast.Store())
        if not left:
            return ast.Assign([whole], call)
        values: list[ast.expr] = [call, *(ast.Name(name, ast.Load()) for _, name in left)]
        return ast.Assign(
            [ast.Tuple([whole, *(target for target, _ in left)], ast.Store())], ast.Tuple(values, ast.Load())
        )

    def _targets(self, line: Relation, position: int) -> list[ast.expr]:
        """Variables for the several results of a line; those that nobody reads need no name."""
        targets: list[ast.expr] = []
        for out in line.outs:
            if not self.order.uses.get(out):
                targets.append(ast.Name("_", ast.Store()))
            else:
                wanted = out.name or self._wanted(out, line)
                targets.append(ast.Name(self._bind(out, wanted, position), ast.Store()))
        return targets

    def _zeros(self, line: Relation) -> ast.expr:
        like = line.args[0]
        assert isinstance(like, Value)
        if like.type.kind is Kind.SCALAR:
            return ast.Constant(0.0)
        if like.type.kind is Kind.DICT:
            return self._dict_of_zeros(like)
        shape = self._shape_of(like)
        arguments = [shape]
        if len(line.args) > 1:
            arguments.append(self._dtype(line.args[1]))
        elif self.residuals.is_forward(like):
            arguments.append(self._own_dtype(like))
        return ast.Call(self._numpy("zeros"), arguments, [])

    def _dict_of_zeros(self, like: Value) -> ast.expr:
        """Zeros for every entry, in its own dtype, floating where it holds integers."""
        numpy = self.names.numpy
        entries = self.residuals.like(like) if self.residuals.is_forward(like) else self._operand(like)
        if like.type.shape.is_scalar and like.type.number is None:
            return ast.Call(ast.parse("dict.fromkeys", mode="eval").body, [entries, ast.Constant(0.0)], [])
        if like in self.residuals.lists:
            zeros = f"{numpy}.zeros({numpy}.shape(one), {numpy}.result_type(one, 0.0))"
            made = ast.parse(f"[{zeros} for one in _]", mode="eval").body
            assert isinstance(made, ast.ListComp)
            made.generators[0].iter = entries
            return made
        # What a loop fills may hold numbers of Python.
        own = like in self.residuals.params
        shape = "one.shape" if own else f"{numpy}.shape(one)"
        zeros = f"{numpy}.zeros({shape}, {numpy}.result_type(one, 0.0))"
        node = ast.parse(f"{{key: {zeros} for key, one in _.items()}}", mode="eval").body
        assert isinstance(node, ast.DictComp)
        node.generators[0].iter = ast.Call(ast.Attribute(entries, "items", ast.Load()), [], [])
        return node

    def _own_dtype(self, value: Value) -> ast.expr:
        """The dtype of a gradient of zeros: that of the value, floating where it holds integers."""
        source = self.residuals.like(value)
        if value.type.kind is not Kind.ARRAY or value in self.residuals.unbound:
            source = ast.Call(self._numpy("asarray"), [source], [])
        return ast.Call(self._numpy("result_type"), [source, ast.Constant(0.0)], [])

    def _shape_of(self, value: Value) -> ast.expr:
        if value in self.residuals.unbound:
            return ast.Call(self._numpy("shape"), [self.residuals.like(value)], [])
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

    items: tuple[Item, ...]
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
    callee: Callable[[str], Callee],
    hints: Mapping[Value, str],
) -> Draft:
    """Draft the lines of a backward pass; `residuals` collects what they read of forward."""
    writer = _Writer(lowered, backward, residuals, names, scope, cache_name, callee, hints)
    items, results = writer.write()
    residuals.settle_sizes()
    return Draft(
        tuple(items),
        tuple(results),
        tuple(writer.upstream),
        tuple(writer.calls.items()),
        writer.unbroadcasts,
    )


def backward_text(draft: Draft, residuals: Residuals) -> BackwardText:
    """The lines as text, once every forward value has its name."""
    fill = FillHoles()
    preludes = _preludes({name: fill.visit(one) for name, one in residuals.preludes.items()}, residuals)
    return BackwardText(
        groups=_groups(draft.items, fill),
        preludes=preludes,
        upstream=draft.upstream,
        results=draft.results,
        calls=draft.calls,
        unbroadcasts=draft.unbroadcasts,
    )


def _preludes(found: Mapping[str, ast.expr], residuals: Residuals) -> tuple[str, ...]:
    """The sizes that backward names: several of one array in one line, as in `N, _, H, W = x.shape`."""
    ranks = {value.name: value.type.shape.rank for value in (*residuals.kept, *residuals.upstream.values())}
    axes: dict[str, dict[int, str]] = {}
    for name, one in found.items():
        match one:
            case ast.Subscript(
                value=ast.Attribute(value=ast.Name(id=array), attr="shape"), slice=ast.Constant(value=int(axis))
            ) if ranks.get(array) is not None and 0 <= axis < (ranks[array] or 0):
                axes.setdefault(array, {})[axis] = name
    lines: list[str] = []
    done: set[str] = set()
    for name, one in found.items():
        if name in done:
            continue
        together = next((group for group in axes.values() if name in group.values() and len(group) > 1), None)
        if together is None:
            lines.append(f"{name} = {ast.unparse(one)}")
            continue
        array = next(key for key, group in axes.items() if group is together)
        last = ranks[array] or 0
        lines.append(f"{', '.join(together.get(axis, '_') for axis in range(last))} = {array}.shape")
        done |= set(together.values())
    return tuple(lines)


def _groups(items: Iterable[Item], fill: FillHoles) -> tuple[Group, ...]:
    groups: list[Group] = []
    stage: Stage | None = None
    lines: list[str] = []

    def close() -> None:
        if lines:
            groups.append((stage, tuple(lines)))
            lines.clear()

    for item in items:
        if isinstance(item, Nested):
            close()
            groups.extend(_nested(item, fill))
            continue
        if item[0] is not stage:
            close()
            stage = item[0]
        lines.extend(_unparsed(item[1], fill).split("\n"))
    close()
    return tuple(groups)


def _nested(item: Nested, fill: FillHoles) -> list[Group]:
    head = item.head
    assert isinstance(head, ast.For | ast.If)
    head.body = [ast.Pass()]
    inner = _groups(item.parts[0], fill)
    if item.over is not None and isinstance(head, ast.For) and not reads_index(head, _lines_of(inner)):
        head = item.over
        head.body = [ast.Pass()]
    text = _unparsed(head, fill).rpartition(":\n")[0]
    found: list[Group] = [NestedText(item.stage, text, inner)]
    if len(item.parts) > 1:
        found.append(NestedText(item.stage, "else", _groups(item.parts[1], fill)))
    return found


def _lines_of(groups: tuple[Group, ...]) -> Iterator[str]:
    for group in groups:
        if isinstance(group, NestedText):
            yield group.head
            yield from _lines_of(group.groups)
        else:
            yield from group[1]


def _unparsed(statement: ast.stmt, fill: FillHoles) -> str:
    return ast.unparse(ast.fix_missing_locations(fill.visit(statement)))


def _continued(body: list[Item]) -> list[Item]:
    """A round that ends in `if not ...:` is left early instead, as forward does."""
    last = body[-1] if body else None
    if not isinstance(last, Nested) or not isinstance(last.head, ast.If) or len(last.parts) > 1 or len(body) > 1:
        return body
    test = last.head.test
    if not isinstance(test, ast.UnaryOp) or not isinstance(test.op, ast.Not):
        return body
    leave = ast.If(test.operand, [ast.Continue()], [])
    return [(None, leave), *last.parts[0]]


def _negated(test: ast.expr) -> ast.expr:
    return (
        test.operand if isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not) else ast.UnaryOp(ast.Not(), test)
    )


def _is(operand: Operand, number: int) -> bool:
    return isinstance(operand, Literal) and operand.value == number


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
