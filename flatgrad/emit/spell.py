"""From one relation to the expression that a person would write for it, as a syntax tree.

Operands come as syntax trees already, so that precedence and parentheses are Python's own business (`ast.unparse`).
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache

from flatgrad.emit.libraries import Functions
from flatgrad.gates.entry import TABLE, Gate, Spelling
from flatgrad.ir.core import Attribute, Kind, Literal, Operand, Relation, Slice, Value

# Written as methods of what is proven to be an array: `dz.sum(axis=0)`, `x.reshape(N, -1)`, `h.T`.
METHODS = frozenset(
    {"sum", "mean", "reshape", "transpose", "copy", "astype", "ravel", "swapaxes", "squeeze", "max", "min"}
)

OperandText = Callable[[Operand], ast.expr]


@dataclass(frozen=True, slots=True)
class Names:
    """How the module calls its imports (`numpy`, `math` and `scipy.special` by their local names), its helper, and the
    functions that the user has declared gates for."""

    numpy: str = "np"
    math: str = "math"
    special: str = "special"
    unbroadcast: str = "unbroadcast"
    functions: Functions = field(default_factory=Functions)


def literal(one: Literal) -> ast.expr:
    return name(one.text)


@lru_cache(maxsize=4096)
def name(text: str) -> ast.expr:
    """The syntax tree of a constant or a dotted name: shared, and never changed."""
    return ast.parse(text, mode="eval").body


def spell(relation: Relation, operand: OperandText, names: Names) -> ast.expr:
    """The expression of a relation of the table or of an inner one."""
    match relation.gate:
        case "alias" | "let":
            return operand(relation.args[0])
        case "copy_of":
            return _copy(relation.args[0], operand)
        case "constant":
            source = relation.args[0]
            assert isinstance(source, Literal)
            return literal(source)
        case "read":
            array, index = operand(relation.args[0]), relation.attrs["index"]
            alone = isinstance(index, tuple) and len(index) == 1 and isinstance(index[0], Value)
            match array:
                case ast.Call(func=ast.Attribute(attr="array"), args=[ast.List() as listed], keywords=[]) if (
                    alone and relation.out.type.kind is Kind.SCALAR
                ):
                    array = listed  # a number of NumPy's would turn float32 into float64
            return ast.Subscript(array, _index(index, operand), ast.Load())
        case "entry":
            places = [operand(key) for key in relation.args[1:]] or [_constant(relation.attrs["key"])]
            entry = operand(relation.args[0])
            for place in places:
                entry = ast.Subscript(entry, place, ast.Load())
            return entry
        case "dict_of":
            keys = relation.attrs["keys"]
            assert isinstance(keys, tuple)
            base: list[ast.expr | None] = [None] if relation.attrs.get("base") else []
            return ast.Dict([*base, *(_constant(key) for key in keys)], [operand(arg) for arg in relation.args])
        case "shape" | "ndim" | "size" as attribute:
            source = relation.args[0]
            if _is_array(source):
                return ast.Attribute(operand(source), attribute, ast.Load())
            return ast.Call(_numpy(attribute, names), [operand(source)], [])
        case "dim" if isinstance(relation.args[0], Value) and relation.args[0].type.kind is Kind.OTHER:
            return ast.Call(ast.Name("len", ast.Load()), [operand(relation.args[0])], [])  # of a list of layers
        case "dim" if relation.attrs.get("list"):
            return ast.Call(ast.Name("len", ast.Load()), [operand(relation.args[0])], [])
        case "dim":
            return ast.Subscript(
                spell(Relation((relation.out,), "shape", relation.args), operand, names),
                _constant(relation.attrs["axis"]),
                ast.Load(),
            )
        case "subshape":
            shape = spell(Relation((relation.out,), "shape", relation.args), operand, names)
            return ast.Subscript(shape, _index(relation.attrs["index"], operand), ast.Load())
        case "dtype":
            return ast.Attribute(operand(relation.args[0]), "dtype", ast.Load())
        case "layer_backward":
            layer, *gradients = relation.args
            function = ast.Attribute(operand(layer), "backward", ast.Load())
            return ast.Call(function, [operand(gradient) for gradient in gradients], [])
        case "opaque":
            filled = _Filled(relation.args, operand).visit(ast.parse(str(relation.attrs["text"]), mode="eval").body)
            assert isinstance(filled, ast.expr)
            return filled
        case "negative":
            return _negated(operand(relation.args[0]))
        case "array_of":
            return _call("array", [_display(relation, operand)], relation.attrs, names, operand)
    gate = TABLE[relation.gate]
    spelling = _chosen(gate, relation)
    return _Substitution(gate, spelling, relation, operand, names).expression()


class _Filled(ast.NodeTransformer):
    """The text of an opaque expression with its values in the places of `_0`, `_1`, ..."""

    def __init__(self, args: tuple[Operand, ...], operand: OperandText) -> None:
        self.known = {f"_{position}": operand(arg) for position, arg in enumerate(args)}

    def visit_Name(self, node: ast.Name) -> ast.AST:
        return self.known.get(node.id, node)


def _negated(node: ast.expr) -> ast.expr:
    """The sign goes to the first factor: `-dz * z / y`, not `-(dz * z / y)`."""
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Mult | ast.Div):
        return ast.BinOp(_negated(node.left), node.op, node.right)
    return ast.UnaryOp(ast.USub(), node)


def _display(relation: Relation, operand: OperandText) -> ast.expr:
    return ast.List([operand(arg) for arg in relation.args], ast.Load())


def _call(
    function: str, args: list[ast.expr], attrs: Mapping[str, Attribute], names: Names, operand: OperandText
) -> ast.expr:
    keywords = [ast.keyword(key, attribute(value, operand, names)) for key, value in attrs.items() if value is not None]
    return ast.Call(_numpy(function, names), args, keywords)


def _copy(source: Operand, operand: OperandText) -> ast.expr:
    """A copy that the caller owns: where scalar or array is open, a product with 1.0 is fresh for both."""
    inner = operand(source)
    if _is_array(source):
        return ast.Call(ast.Attribute(inner, "copy", ast.Load()), [], [])
    return ast.BinOp(ast.Constant(1.0), ast.Mult(), inner)


def _is_array(operand: Operand) -> bool:
    return isinstance(operand, Value) and operand.type.kind is Kind.ARRAY


def _numpy(attribute: str, names: Names) -> ast.expr:
    return ast.Attribute(ast.Name(names.numpy, ast.Load()), attribute, ast.Load())


def _constant(value: Attribute) -> ast.expr:
    return ast.parse(repr(value), mode="eval").body


def _index(index: Attribute, operand: OperandText) -> ast.expr:
    assert isinstance(index, tuple)
    items = [_index_item(item, operand) for item in index]
    if len(items) == 1:
        return items[0]
    return ast.Tuple(items, ast.Load())


def index_expression(index: Attribute, operand: OperandText) -> ast.expr:
    return _index(index, operand)


def _index_item(item: Attribute, operand: OperandText) -> ast.expr:
    match item:
        case Value():
            return operand(item)
        case Slice(start, stop, step):
            return ast.Slice(*(None if part is None else _index_item(part, operand) for part in (start, stop, step)))
        case _:
            return ast.Constant(...) if item is Ellipsis else _constant(item)


def attribute(value: Attribute, operand: OperandText, names: Names) -> ast.expr:
    """An attribute as an argument: constants, tuples, values, dotted names such as `numpy.float32`."""
    match value:
        case Value():
            return operand(value)
        case tuple():
            return ast.Tuple([attribute(part, operand, names) for part in value], ast.Load())
        case str() if value.startswith("numpy."):
            return name(names.numpy + value[len("numpy") :])
        case str() if value.startswith("builtins."):
            return name(value[len("builtins.") :])
        case _:
            return _constant(value)


def _chosen(gate: Gate, relation: Relation) -> Spelling:
    methods = [s for s in gate.spellings if s.text.startswith("x.")]
    if gate.name in METHODS and methods and relation.args and _is_array(relation.args[0]):
        if gate.name == "transpose":
            plain = relation.attrs.get("axes") is None
            wanted = [s for s in methods if s.text.endswith(")") is not plain]
            return wanted[0] if wanted else methods[0]
        return methods[0]
    for spelling in gate.spellings:
        given = [
            name
            for name, value in relation.attrs.items()
            if name != "into" and name not in spelling.names and value != gate.attributes.get(name)
        ]
        if not given and len(relation.args) <= sum(n in gate.operands for n in spelling.names) + 99 * bool(
            spelling.starred or "xs" in spelling.names
        ):
            return spelling
    return gate.spellings[0]


def _same(value: Attribute, default: Attribute) -> bool:
    """Whether an argument is what it would be anyway; False is not 0 here."""
    return value is default or (value == default and type(value) is type(default))


class _Substitution(ast.NodeTransformer):
    """A spelling with its names replaced by what they stand for."""

    def __init__(self, gate: Gate, spelling: Spelling, relation: Relation, operand: OperandText, names: Names) -> None:
        self.spelling = spelling
        self.operand = operand
        self.names = names
        fixed = [n for n in gate.operands if n != "xs"]
        self.operands = dict(zip(fixed, relation.args, strict=False))
        self.sequence = list(relation.args[len(fixed) :])
        self.attrs = relation.attrs
        self.defaults = spelling.defaults

    def expression(self) -> ast.expr:
        node = self.visit(ast.parse(self.spelling.text, mode="eval").body)
        assert isinstance(node, ast.expr)
        return node

    def visit_Call(self, node: ast.Call) -> ast.AST:
        args: list[ast.expr] = []
        for arg in node.args:
            if isinstance(arg, ast.Starred) and isinstance(arg.value, ast.Name):
                args.extend(self._starred(arg.value.id))
            elif isinstance(arg, ast.Name):
                replaced = self._argument(arg.id)
                args += [replaced] if replaced is not None else []
            else:
                visited = self.visit(arg)
                assert isinstance(visited, ast.expr)
                args.append(visited)
        keywords = []
        for keyword in node.keywords:
            assert keyword.arg is not None
            value = self.attrs.get(keyword.arg, self.defaults.get(keyword.arg))
            if keyword.arg in self.operands:
                keywords.append(ast.keyword(keyword.arg, self.operand(self.operands[keyword.arg])))
            elif not _same(value, self.defaults.get(keyword.arg)):
                keywords.append(ast.keyword(keyword.arg, attribute(value, self.operand, self.names)))
        declared = self.names.functions.called.get(self.spelling.path)
        return ast.Call(self.visit(node.func) if declared is None else name(declared), args, keywords)

    def _starred(self, text: str) -> list[ast.expr]:
        if text == "xs":
            return [self.operand(one) for one in self.sequence]
        value = self.attrs.get(text)
        if isinstance(value, tuple):
            return [attribute(part, self.operand, self.names) for part in value]
        return [] if value is None else [attribute(value, self.operand, self.names)]

    def _argument(self, text: str) -> ast.expr | None:
        if text == "xs":
            return ast.List([self.operand(one) for one in self.sequence], ast.Load())
        if text in self.operands:
            return self.operand(self.operands[text])
        if text in self.attrs:
            return attribute(self.attrs[text], self.operand, self.names)
        return None

    def visit_BinOp(self, node: ast.BinOp) -> ast.AST:
        """`-scale * x` is -x where the scale is 1."""
        match node:
            case ast.BinOp(left=ast.UnaryOp(op=ast.USub(), operand=ast.Name(id=text)), op=ast.Mult(), right=right) if (
                text in self.attrs and self.attrs[text] == 1
            ):
                visited = self.visit(right)
                assert isinstance(visited, ast.expr)
                return _negated(visited)
        return self.generic_visit(node)

    def visit_Name(self, node: ast.Name) -> ast.AST:
        if node.id in self.operands:
            return self.operand(self.operands[node.id])
        if node.id in self.attrs:
            return attribute(self.attrs[node.id], self.operand, self.names)
        roots = {"np": self.names.numpy, "math": self.names.math, "special": self.names.special}
        return ast.Name(roots.get(node.id, node.id), ast.Load())
