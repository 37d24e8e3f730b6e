"""The expressions of a backward pass: gradients, zeros, shapes and dtypes."""

from __future__ import annotations

import ast

from flatgrad.emit.backward_names import BackwardNames
from flatgrad.emit.spell import literal, spell
from flatgrad.ir.core import Attribute, DType, Kind, Literal, Operand, Relation, Value

GRADIENT_ARITHMETIC = frozenset(
    {"add", "subtract", "multiply", "divide", "negative", "spread", "let", "sum", "unbroadcast"}
)


class BackwardExpressions(BackwardNames):
    """Spells expressions."""

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

    def _zeros(self, line: Relation) -> ast.expr:
        like = line.args[0]
        assert isinstance(like, Value)
        if like.type.kind is Kind.SCALAR:
            return ast.Constant(0.0)
        if like.type.kind is Kind.DICT:
            return self._dict_of_zeros(like, line.attrs.get("keys"))
        shape = self._shape_of(like)
        arguments = [shape]
        if len(line.args) > 1:
            arguments.append(self._dtype(line.args[1]))
        elif self.residuals.is_forward(like):
            arguments.append(self._own_dtype(like))
        return ast.Call(self._numpy("zeros"), arguments, [])

    def _dict_of_zeros(self, like: Value, keys: Attribute = None) -> ast.expr:
        """Zeros for every entry, or for those of some keys, in its own dtype, floating where it holds integers."""
        numpy = self.names.numpy
        entries = self.residuals.like(like) if self.residuals.is_forward(like) else self._operand(like)
        if isinstance(keys, tuple):
            key = self._key()
            entry = ast.Subscript(entries, ast.Name(key, ast.Load()), ast.Load())
            shape, dtype = ast.Call(self._numpy("shape"), [entry], []), [entry, ast.Constant(0.0)]
            filled = ast.Call(self._numpy("zeros"), [shape, ast.Call(self._numpy("result_type"), dtype, [])], [])
            over = ast.Tuple([ast.Constant(one) for one in keys if isinstance(one, str)], ast.Load())
            generator = ast.comprehension(ast.Name(key, ast.Store()), over, [], 0)
            return ast.DictComp(ast.Name(key, ast.Load()), filled, [generator])
        if like.type.shape.is_scalar and like.type.number is None:
            return ast.Call(ast.parse("dict.fromkeys", mode="eval").body, [entries, ast.Constant(0.0)], [])
        if like in self.residuals.lists:
            one = f"{numpy}.zeros({numpy}.shape(one), {numpy}.result_type(one, 0.0))"
            flat = self.residuals.lists[like] == 1
            text = f"[{one} for one in _]" if flat else f"[[{one} for one in part] for part in _]"
            made = ast.parse(text, mode="eval").body
            assert isinstance(made, ast.ListComp)
            made.generators[0].iter = entries
            return made
        # It may hold numbers of Python.
        zeros = f"{numpy}.zeros({numpy}.shape(one), {numpy}.result_type(one, 0.0))"
        node = ast.parse(f"{{key: {zeros} for key, one in _.items()}}", mode="eval").body
        assert isinstance(node, ast.DictComp)
        node.generators[0].iter = ast.Call(ast.Attribute(entries, "items", ast.Load()), [], [])
        return node

    def _own_dtype(self, value: Value) -> ast.expr:
        """The dtype of a gradient of zeros: that of the value, floating where it holds integers. What may stand for
        nothing has none: then that of the upstream gradient."""
        source = self.residuals.like(value)
        if value in self.residuals.unbound and self.residuals.upstream:
            return ast.Call(self._numpy("result_type"), [ast.Name(next(iter(self.residuals.upstream)), ast.Load())], [])
        if value.type.kind is not Kind.ARRAY or value in self.residuals.unbound:
            source = ast.Call(self._numpy("asarray"), [source], [])
        return ast.Call(self._numpy("result_type"), [source, ast.Constant(0.0)], [])

    def _shape_of(self, value: Value) -> ast.expr:
        filled = self.residuals.filled_by(value)
        if filled is not None:
            # Without any round the list may have no element.
            shape = ast.Call(self._numpy("shape"), [filled], [])
            return ast.Subscript(shape, ast.Slice(ast.Constant(1), None, None), ast.Load())
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

    def _numpy(self, attribute: str) -> ast.expr:
        return ast.Attribute(ast.Name(self.names.numpy, ast.Load()), attribute, ast.Load())
