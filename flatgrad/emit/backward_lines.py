"""The single statements of a backward pass: assignments, updates in place, scatters, calls."""

from __future__ import annotations

import ast

from flatgrad.emit.backward_expressions import BackwardExpressions
from flatgrad.emit.spell import attribute, index_expression
from flatgrad.ir.core import Attribute, DType, Kind, Relation, Slice, Value

_OPERATORS: dict[str, ast.operator] = {
    "add": ast.Add(),
    "subtract": ast.Sub(),
    "multiply": ast.Mult(),
    "divide": ast.Div(),
}


class BackwardLines(BackwardExpressions):
    """Writes the statement of each relation."""

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
                entry: ast.expr = ast.Name(self._same_variable(line), ast.Load())
                for key in line.args[2:]:
                    entry = ast.Subscript(entry, self._operand(key), ast.Load())
                assert isinstance(entry, ast.Subscript)
                target = ast.Subscript(entry.value, entry.slice, ast.Store())
                op, value = _signed(ast.Add(), self._operand(line.args[1]))
                return ast.AugAssign(target, op, value)
            case "dict_add":
                return self._dict_added(line)
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

    def _dict_added(self, line: Relation) -> ast.stmt:
        """What another function gives for the entries that it reads is added to what there is of each."""
        whole, change = ast.Name(self._same_variable(line), ast.Load()), self._operand(line.args[1])
        key = self._key()
        depth = line.attrs.get("list")
        if depth is not None:
            text = f"for {key}, one in enumerate(_):\n    _[{key}] += one"
            if depth == 2:
                text = (
                    f"for {key}, part in enumerate(_):\n    for j, one in enumerate(part):\n        _[{key}][j] += one"
                )
            (loop,) = ast.parse(text).body
            assert isinstance(loop, ast.For)
            assert isinstance(loop.iter, ast.Call)
            loop.iter.args[0] = change
            for part in ast.walk(loop):
                if isinstance(part, ast.Subscript) and isinstance(part.value, ast.Name) and part.value.id == "_":
                    part.value = whole
            return loop
        target = ast.Subscript(whole, ast.Name(key, ast.Load()), ast.Store())
        added = ast.AugAssign(target, ast.Add(), ast.Subscript(change, ast.Name(key, ast.Load()), ast.Load()))
        return ast.For(ast.Name(key, ast.Store()), change, [added], [])

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
        elements = {k: self._element(self.placed[out]) for k, out in enumerate(line.outs) if out in self.placed}
        others = Relation(tuple(out for out in line.outs if out not in self.placed), line.gate, line.args, line.attrs)
        named = iter(self._targets(others, position))
        targets = [elements[k] if k in elements else next(named) for k in range(len(line.outs))]
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
