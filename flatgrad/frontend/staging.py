"""`--stages relations`: every unary and binary relation on a line of its own, under a name of its own.

    loss = -np.sum(np.log(p)) / N          p_log = np.log(p)
                                           p_log_sum = np.sum(p_log)
                                           loss_neg = -p_log_sum
                                           loss = loss_neg / N

A rewrite from source text to source text. A relation is one operator, one call, one read `x[...]` or one `x.T`. Not one
are sizes and what is made of them: `x.shape[0]`, `N // 2`, `(N, -1)`, `axis=0`, the `np.arange(N)` of an index. What is
taken out of a statement comes before it in the order in which Python evaluates it; of `x[i] += v` it all comes before
x[i] is read, which nobody can tell. A statement that the compiler does not understand stays as it is.
"""

from __future__ import annotations

import ast
import builtins
import copy
import re
from collections.abc import Iterable, Sequence

from flatgrad.emit.names import Scope, described
from flatgrad.frontend.containers import VIEWS
from flatgrad.frontend.source import Module, dotted_path, span_of
from flatgrad.gates.entry import BY_PATH
from flatgrad.ir.core import Attribute, Literal, Operand, Relation, Span, Type, Value

SIZES = frozenset({"shape", "ndim", "size", "dtype"})
SIZE_CALLS = frozenset({"builtins.len", "numpy.shape", "numpy.ndim", "numpy.size"})
INTEGER_CALLS = frozenset({"builtins.len", "builtins.int", "builtins.min", "builtins.max", "numpy.ndim", "numpy.size"})
INTEGER_OPERATORS = (ast.Add, ast.Sub, ast.Mult, ast.FloorDiv, ast.Mod)
# What they give can be gone through once: it has no name.
ITERATORS = frozenset({"zip", "enumerate", "reversed", "map", "range"})
NOT_UNDERSTOOD = (
    ast.IfExp, ast.Lambda, ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp, ast.JoinedStr, ast.NamedExpr,
    ast.Starred, ast.Await, ast.Yield, ast.YieldFrom, ast.Dict, ast.Set,
)  # fmt: skip


def one_relation_a_line(module: Module) -> str:
    """The text of the module with every function at its top level rewritten; comments stay."""
    lines = _Text(module)
    for function in module.tree.body:
        if isinstance(function, ast.FunctionDef):
            _rewrite(module, function, lines)
    return lines.text()


def _rewrite(module: Module, function: ast.FunctionDef, lines: _Text) -> None:
    if _Staging(module, function).is_one_relation(function):
        return
    _rewrite_block(_Staging(module, function), function.body, lines)


def _rewrite_block(staging: _Staging, block: Sequence[ast.stmt], lines: _Text) -> None:
    """The statements of a block, and of the loops and branches in it, whose heads stay."""
    for statement in block:
        if isinstance(statement, ast.For | ast.While | ast.If):
            _rewrite_block(staging, statement.body, lines)
            _rewrite_block(staging, statement.orelse, lines)
            continue
        staged = staging.statement(statement)
        alone = lines.stands_alone(statement)
        if staged is None and alone:
            continue
        texts = [_unparsed(one) for one in staged] if staged is not None else lines.verbatim(statement)
        lines.replace(statement, texts, block)


class _Text:
    """The module's text, with statements replaced by lines."""

    def __init__(self, module: Module) -> None:
        self.module = module
        self.starts = [0]
        for line in module.lines:
            self.starts.append(self.starts[-1] + len(line) + 1)
        self.edits: list[tuple[int, int, str]] = []

    def text(self) -> str:
        parts: list[str] = []
        position = 0
        for start, end, replacement in sorted(self.edits):
            parts += [self.module.text[position:start], replacement]
            position = end
        return "".join([*parts, self.module.text[position:]])

    def stands_alone(self, statement: ast.stmt) -> bool:
        """Whether no other statement, and no `def`, is on the statement's lines."""
        span = span_of(self.module, statement)
        before = self.module.lines[span.line - 1][: span.column]
        after = self.module.lines[span.end_line - 1][span.end_column :].lstrip()
        return not before.strip() and not after.startswith(";")

    def verbatim(self, statement: ast.stmt) -> list[str]:
        start, end = self._bounds(span_of(self.module, statement))
        return [self.module.text[start:end]]

    def replace(self, statement: ast.stmt, texts: Sequence[str], block: Sequence[ast.stmt]) -> None:
        span = span_of(self.module, statement)
        start, end = self._bounds(span)
        text = self.module.text
        inner = [self.module.comments[n].text for n in range(span.line, span.end_line) if n in self.module.comments]
        indent = self._indentation(span.line, block)
        shared = ""
        if self.module.lines[span.line - 1][: span.column].strip():
            # `def f(x): return ...` and `a = 1; b = 2` are taken apart.
            shared = f"\n{indent}"
            start = len(text[:start].rstrip(" \t;"))
        semicolon = re.compile(r"[ \t]*;[ \t]*(?=#|\n|$)").match(text, end)
        tail = ""
        if semicolon is not None:
            end = semicolon.end()
            tail = "  " if text[end : end + 1] == "#" else ""
        self.edits.append((start, end, shared + f"\n{indent}".join([*inner, *texts]) + tail))

    def _indentation(self, line: int, block: Sequence[ast.stmt]) -> str:
        """That of the first statement on the line; of a body on the line of its head, one level more than the head's."""
        first = next(one for one in block if one.lineno == line)
        before = self.module.lines[line - 1][: span_of(self.module, first).column]
        head = before[: len(before) - len(before.lstrip())]
        return head + "    " if before.strip() else before

    def _bounds(self, span: Span) -> tuple[int, int]:
        return self.starts[span.line - 1] + span.column, self.starts[span.end_line - 1] + span.end_column


class _Staging:
    """One function: the names that are taken, and which of them hold sizes."""

    def __init__(self, module: Module, function: ast.FunctionDef) -> None:
        self.module = module
        names = {part.id for part in ast.walk(function) if isinstance(part, ast.Name)}
        arguments = [part.arg for part in ast.walk(function) if isinstance(part, ast.arg)]
        stored = {p.id for p in ast.walk(function) if isinstance(p, ast.Name) and not isinstance(p.ctx, ast.Load)}
        self.local = frozenset(stored | set(arguments))
        self.scope = Scope(names | set(arguments) | module.bound | set(dir(builtins)))
        self.integers = {
            part.arg
            for part in ast.walk(function.args)
            if isinstance(part, ast.arg) and isinstance(part.annotation, ast.Name) and part.annotation.id == "int"
        }
        # The names of parts.
        self.parts: set[str] = set()
        self.lines: list[ast.stmt] = []
        self.target = ""

    def is_one_relation(self, function: ast.FunctionDef) -> bool:
        """`def relu(x): return np.maximum(0, x)` is on a line of its own as it stands."""
        body = function.body[1:] if ast.get_docstring(function) is not None else function.body
        if len(body) != 1 or not isinstance(body[0], ast.Return) or not _is_understood(body[0]):
            return False
        value = copy.deepcopy(body[0].value)
        if value is None or isinstance(value, ast.Tuple | ast.List):
            return False
        self.single(value)
        return not self.lines

    # Statements

    def statement(self, statement: ast.stmt) -> list[ast.stmt] | None:
        """The statements that take the place of one; None where it stays as it is."""
        if not isinstance(statement, ast.Assign | ast.AnnAssign | ast.AugAssign | ast.Return):
            return None
        if statement.value is None or not _is_understood(statement):
            self._forget(statement)
            return None
        before = ast.dump(statement)
        self.lines = []
        last = self._staged(copy.deepcopy(statement))
        self._learn(statement)
        staged = [*self.lines, *last]
        if len(staged) == 1 and ast.dump(staged[0]) == before:
            return None
        return [self._with_numbers(one) for one in staged]

    def _staged(self, statement: ast.Assign | ast.AnnAssign | ast.AugAssign | ast.Return) -> list[ast.stmt]:
        assert statement.value is not None
        match statement:
            case ast.Return(value=value):
                return self._return(statement, value)
            case ast.AugAssign():
                self.target = _target_name(statement.target)
                self._target_parts(statement.target)
                statement.value = self.atom(statement.value)
            case ast.Assign(targets=targets):
                self.target = _target_name(targets[0])
                into_part = any(isinstance(part, ast.Subscript) for one in targets for part in _parts(one))
                statement.value = self._value(statement.value, targets, into_part)
                for target in targets:
                    for part in _parts(target):
                        self._target_parts(part)
            case ast.AnnAssign():
                self.target = _target_name(statement.target)
                into_part = isinstance(statement.target, ast.Subscript)
                statement.value = self._value(statement.value, [statement.target], into_part)
                self._target_parts(statement.target)
        return [statement]

    def _value(self, value: ast.expr, targets: list[ast.expr], into_part: bool) -> ast.expr:
        """What is bound: one relation at most; none where it is written into a part of an array, which is one."""
        if into_part:
            return self.atom(value)
        if isinstance(value, ast.Tuple | ast.List) and isinstance(targets[0], ast.Tuple | ast.List):
            names = [_target_name(part) for part in targets[0].elts]
            if len(names) == len(value.elts):
                for position, name in enumerate(names):
                    self.target = name
                    value.elts[position] = self.atom(value.elts[position])
                return value
        return self.single(value)

    def _target_parts(self, target: ast.expr) -> None:
        if isinstance(target, ast.Subscript):
            target.value = self.atom(target.value)
            target.slice = self._index(target.slice)

    def _return(self, statement: ast.Return, value: ast.expr | None) -> list[ast.stmt]:
        assert value is not None
        if isinstance(value, ast.Tuple):
            # Tuples and lists among the results are the function's own backward matter.
            value.elts = [
                one if isinstance(one, ast.Tuple | ast.List | ast.Dict) else self._result(one) for one in value.elts
            ]
        elif not isinstance(value, ast.List):
            statement.value = self._result(value)
        return [statement]

    def _result(self, node: ast.expr) -> ast.expr:
        if isinstance(node, ast.Name) or self._is_inline(node):
            return node
        self.target = "out"
        single = self.single(node)
        if isinstance(single, ast.Name | ast.Constant):
            return single
        return self._bound(self.scope.take("out"), single)

    # Expressions

    def atom(self, node: ast.expr) -> ast.expr:
        """The expression without any relation: those that it has are bound to names before."""
        if isinstance(node, ast.Name | ast.Constant):
            return node
        if self._is_inline(node) or isinstance(node, ast.BoolOp):
            return self._cleaned(node)
        single = self.single(node)
        if isinstance(single, ast.Name | ast.Constant | ast.Tuple | ast.List):
            return single
        name = self.scope.take(self._name(single))
        self.parts.add(name)
        return self._bound(name, single)

    def _bound(self, name: str, value: ast.expr) -> ast.Name:
        self.lines.append(ast.Assign([ast.Name(name, ast.Store())], value, lineno=0))
        return ast.Name(name, ast.Load())

    def single(self, node: ast.expr) -> ast.expr:
        """The expression with one relation at most: the one at its root."""
        if self._is_inline(node):
            return self._cleaned(node)
        match node:
            case ast.UnaryOp():
                node.operand = self.atom(node.operand)
            case ast.BinOp():
                node.left, node.right = self.atom(node.left), self.atom(node.right)
            case ast.Compare():
                node.left = self.atom(node.left)
                node.comparators = [self.atom(one) for one in node.comparators]
            case ast.Attribute():
                node.value = self.atom(node.value)
            case ast.Subscript():
                node.value = self.atom(node.value)
                node.slice = self._index(node.slice)
            case ast.Call():
                if isinstance(node.func, ast.Attribute) and self._path(node.func) is None:
                    node.func.value = self.atom(node.func.value)
                node.args = [self.atom(argument) for argument in node.args]
                for keyword in node.keywords:
                    keyword.value = self.atom(keyword.value)
            case ast.Tuple() | ast.List():
                node.elts = [self.atom(element) for element in node.elts]
        return node

    def _index(self, node: ast.expr) -> ast.expr:
        match node:
            case ast.Tuple():
                node.elts = [self._index(element) for element in node.elts]
                return node
            case ast.Slice():
                node.lower, node.upper, node.step = (
                    None if part is None else self.atom(part) for part in (node.lower, node.upper, node.step)
                )
                return node
            case _:
                return self._counted(node) if self._is_counter(node) else self.atom(node)

    def _counted(self, node: ast.expr) -> ast.expr:
        match node:
            case ast.Call():
                node.args = [self._cleaned(argument) for argument in node.args]
            case ast.Subscript():
                node.value = self._counted(node.value)
        return node

    def _is_counter(self, node: ast.expr) -> bool:
        """`np.arange(N)`, and `np.arange(N)[:, None]`: part of how an index is written."""
        match node:
            case ast.Call(func=function, args=arguments, keywords=[]):
                return self._path(function) == "numpy.arange" and all(self._is_inline(one) for one in arguments)
            case ast.Subscript(value=value, slice=index):
                return self._is_counter(value) and self._is_inline(index)
        return False

    def _cleaned(self, node: ast.expr) -> ast.expr:
        """An inline expression, without the relations in what its sizes are asked of: `(x @ w).shape[0]`."""
        match node:
            case ast.Attribute(attr=attribute) if attribute in SIZES and self._path(node) is None:
                node.value = self.atom(node.value)
            case ast.Call(func=function) if self._path(function) in SIZE_CALLS:
                node.args = [self.atom(argument) for argument in node.args]
            case ast.BoolOp():
                # Not every operand is evaluated.
                return node
            case _:
                for name, value in ast.iter_fields(node):
                    if isinstance(value, ast.expr):
                        setattr(node, name, self._cleaned(value))
                    elif isinstance(value, list):
                        setattr(node, name, [self._cleaned(v) if isinstance(v, ast.expr) else v for v in value])
        return node

    # What is no relation

    def _is_inline(self, node: ast.expr) -> bool:
        """Constants, sizes, and what is made of sizes alone."""
        match node:
            case ast.Constant():
                return True
            case ast.Slice(lower=lower, upper=upper, step=step):
                return all(part is None or self._is_inline(part) for part in (lower, upper, step))
            case ast.Tuple(elts=elements) | ast.List(elts=elements):
                return all(self._is_inline(element) for element in elements)
            case ast.Attribute(attr=attribute):
                return self._path(node) is not None or attribute in SIZES
            case ast.Name(id=name) if name not in self.local and name not in self.parts:
                return True
            case ast.Compare(left=left, comparators=others):
                return all(self._is_integer(one) or _is_text(one) for one in (left, *others))
            case _:
                return self._is_number(node) or self._is_integer(node) or self._is_shape(node)

    def _is_shape(self, node: ast.expr) -> bool:
        match node:
            case ast.Attribute(attr="shape"):
                return self._path(node) is None
            case ast.Call(func=function):
                return self._path(function) == "numpy.shape"
            case ast.Subscript(value=value, slice=ast.Slice() as part):
                return self._is_shape(value) and self._is_inline(part)
            case ast.BinOp(left=left, op=ast.Add(), right=right):
                return all(self._is_shape(one) or self._is_inline(one) for one in (left, right)) and (
                    self._is_shape(left) or self._is_shape(right)
                )
        return False

    def _is_integer(self, node: ast.expr) -> bool:
        match node:
            case ast.Constant(value=value):
                return type(value) is int
            case ast.Name(id=name):
                return name in self.integers or self._is_number(node)
            case ast.Attribute(attr=attribute):
                return attribute in ("ndim", "size") and self._path(node) is None
            case ast.Subscript(value=value, slice=index):
                return self._is_shape(value) and self._is_integer(index)
            case ast.UnaryOp(op=ast.USub(), operand=operand):
                return self._is_integer(operand)
            case ast.BinOp(left=left, op=op, right=right):
                return isinstance(op, INTEGER_OPERATORS) and self._is_integer(left) and self._is_integer(right)
            case ast.Call(func=function, args=arguments, keywords=[]):
                path = self._path(function)
                if path in SIZE_CALLS:
                    return path != "numpy.shape"
                return path in INTEGER_CALLS and all(self._is_integer(argument) for argument in arguments)
        return False

    def _is_number(self, node: ast.expr) -> bool:
        """An expression of literals and of constants of the module: the compiler makes one number of it."""
        match node:
            case ast.Constant(value=value):
                return isinstance(value, int | float)
            case ast.Name(id=name):
                known = name not in self.local and name in self.module.constants
                return known and self._is_number(self.module.constants[name])
            case ast.Attribute():
                return self._path(node) is not None
            case ast.UnaryOp(op=ast.USub(), operand=operand):
                return self._is_number(operand)
            case ast.BinOp(left=left, right=right):
                return self._is_number(left) and self._is_number(right)
        return False

    def _path(self, node: ast.expr) -> str | None:
        return dotted_path(self.module, node, self.local)

    def _learn(self, statement: ast.stmt) -> None:
        """Which names hold sizes after the statement."""
        match statement:
            case ast.Assign(targets=targets, value=value):
                for target in targets:
                    self._bind(target, value)
            case ast.AnnAssign(target=target, value=ast.expr() as value):
                self._bind(target, value)
            case ast.AugAssign(target=ast.Name(id=name), op=op, value=value):
                if not (isinstance(op, INTEGER_OPERATORS) and self._is_integer(value)):
                    self.integers.discard(name)

    def _bind(self, target: ast.expr, value: ast.expr) -> None:
        match target, value:
            case (ast.Name(id=name), _):
                if self._is_integer(value):
                    self.integers.add(name)
                else:
                    self.integers.discard(name)
            case (ast.Tuple(elts=targets), ast.Tuple(elts=values)) if len(targets) == len(values):
                known = [self._is_integer(one) for one in values]
                for one, is_integer in zip(targets, known, strict=True):
                    self._bind(one, ast.Constant(0) if is_integer else ast.Constant(None))
            case (ast.Tuple(elts=targets), _):
                for one in targets:
                    self._bind(one, ast.Constant(0) if self._is_shape(value) else ast.Constant(None))

    def _forget(self, statement: ast.stmt) -> None:
        self.integers -= {p.id for p in ast.walk(statement) if isinstance(p, ast.Name) and isinstance(p.ctx, ast.Store)}

    # Names

    def _name(self, node: ast.expr) -> str:
        """What the value of one relation is called: after the one name of the user's that it is computed from, else
        after what it is computed for."""
        place = _place(node)
        if place:
            return place
        gate, operands, attrs = self._relation(node)
        args = tuple(self._operand(one) for one in operands)
        wanted = described(Relation((Value("", Type.open("")),), gate, args, attrs), self.target)
        return re.sub(r"\W+", "_", wanted).strip("_") or "part"

    def _relation(self, node: ast.expr) -> tuple[str, Iterable[ast.expr], dict[str, Attribute]]:
        match node:
            case ast.UnaryOp(op=op, operand=operand):
                return _gate(type(op).__name__), [operand], {}
            case ast.BinOp(left=left, op=op, right=right):
                return _gate(type(op).__name__), [left, right], {}
            case ast.Compare(left=left, ops=[compare], comparators=[right]):
                return _gate(type(compare).__name__), [left, right], {}
            case ast.Attribute(value=value, attr=attribute):
                return _gate(f".{attribute}"), [value], {}
            case ast.Subscript(value=value, slice=index):
                items = index.elts if isinstance(index, ast.Tuple) else [index]
                return "read", [value], {"index": tuple(self._operand_value(item) for item in items)}
            case ast.Call(func=function, args=arguments, keywords=keywords):
                given = [*arguments, *(keyword.value for keyword in keywords)]
                path = self._path(function)
                if isinstance(function, ast.Attribute) and path is None:
                    return _gate(f".{function.attr}"), [function.value, *given], {}
                name = function.id if isinstance(function, ast.Name) else ast.unparse(function)
                return (_gate(path) if path is not None else name.removesuffix("_forward")), given, {}
        return "part", [], {}

    def _operand(self, node: ast.expr) -> Operand:
        if isinstance(node, ast.Name) and node.id in self.parts:
            return Value("", Type.open(""))
        if isinstance(node, ast.Name) and not self._is_inline(node):
            return Value(node.id, Type.open(node.id))
        if isinstance(node, ast.Tuple | ast.List) and not self._is_inline(node):
            return Value("", Type.open(""))
        return Literal(None, "")

    def _operand_value(self, node: ast.expr) -> Attribute:
        operand = self._operand(node)
        return operand if isinstance(operand, Value) else None

    # Text

    def _with_numbers(self, statement: ast.stmt) -> ast.stmt:
        """The statement with its numbers spelt as the user did: `1e-5`, not `1e-05`."""
        spelled = _Numbers(self.module).visit(statement)
        assert isinstance(spelled, ast.stmt)
        return ast.fix_missing_locations(spelled)


class _Numbers(ast.NodeTransformer):
    def __init__(self, module: Module) -> None:
        self.module = module

    def visit_Constant(self, node: ast.Constant) -> ast.AST:
        if not isinstance(node.value, float) or not hasattr(node, "lineno"):
            return node
        span = span_of(self.module, node)
        text = self.module.lines[span.line - 1][span.column : span.end_column]
        return ast.Name(text, ast.Load()) if re.fullmatch(r"[0-9._]*(e[-+]?[0-9_]+)?", text, re.I) else node


def _unparsed(statement: ast.stmt) -> str:
    text = ast.unparse(statement)
    value = getattr(statement, "value", None)
    if isinstance(value, ast.Tuple) and value.elts and not isinstance(statement, ast.AugAssign):
        inner = ast.unparse(value)
        text = text.removesuffix(inner) + inner[1:-1]
    return text


def _gate(path: str) -> str:
    """The name of the gate that a call or an operator is; else the last word of the path."""
    return BY_PATH[path][0][0].name if path in BY_PATH else path.rpartition(".")[2]


def _place(node: ast.expr) -> str:
    """`w_0` for `w[0]`, `h_0_1` for `h[0, 1]`; nothing for any other expression."""
    match node:
        case ast.Subscript(value=ast.Name(id=name), slice=index):
            items = index.elts if isinstance(index, ast.Tuple) else [index]
            numbers = [item.value for item in items if isinstance(item, ast.Constant) and type(item.value) is int]
            return "_".join([name, *map(str, numbers)]) if len(numbers) == len(items) else ""
    return ""


def _is_text(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, str | None)


def _is_understood(statement: ast.stmt) -> bool:
    for part in ast.walk(statement):
        if isinstance(part, NOT_UNDERSTOOD) or (isinstance(part, ast.Compare) and len(part.ops) > 1):
            return False
        match part:
            case ast.Call(func=ast.Name(id=name)) if name in ITERATORS:
                return False
            case ast.Call(func=ast.Attribute(attr=name), args=[]) if name in VIEWS:
                return False
            case ast.Call(func=function) if not isinstance(function, ast.Name | ast.Attribute):
                return False
    return True


def _parts(target: ast.expr) -> list[ast.expr]:
    if isinstance(target, ast.Tuple | ast.List):
        return [part for element in target.elts for part in _parts(element)]
    return [target]


def _target_name(target: ast.expr) -> str:
    """The name that a part of the statement can be called after."""
    match target:
        case ast.Name(id=name):
            return name
        case ast.Subscript(value=value):
            return _target_name(value)
        case ast.Tuple(elts=[first, *_]) | ast.List(elts=[first, *_]):
            return _target_name(first)
        case ast.Attribute(attr=name):
            return name
    return "part"
