"""`--stages relations`: every unary and binary relation on a line of its own, under a name of its own.

    loss = -np.sum(np.log(p)) / N          p_log = np.log(p)
                                           p_log_sum = np.sum(p_log)
                                           loss_neg = -p_log_sum
                                           loss = loss_neg / N

A rewrite from source text to source text. A relation is one operator, one call, one read `x[...]` or one `x.T`. Not one
are sizes and what is made of them: `x.shape[0]`, `N // 2`, `(N, -1)`, `axis=0`, the `np.arange(N)` of an index; what a
list or a dict holds: `hs[t - 1]`, `params["W" + str(i)]`, and `hs.append(...)`; and `x, y = z`. What may not be
evaluated stays in one piece: `a if c else b`, `a and b`. So do the heads of loops and branches.

What is taken out of a statement comes before it in the order in which Python evaluates it; of `x[i] += v` it all comes
before x[i] is read, which nobody can tell: where somebody could, the statement stays as it is. So does one that the
compiler does not understand.
"""

from __future__ import annotations

import ast
import builtins
import copy
import re
from collections.abc import Iterable, Sequence

from flatgrad.emit.names import Scope, described
from flatgrad.frontend.containers import VIEWS
from flatgrad.frontend.source import Module, span_of
from flatgrad.frontend.staged_kinds import SIZE_CALLS, SIZES, Known
from flatgrad.frontend.staged_text import StagedText
from flatgrad.gates.entry import BY_PATH
from flatgrad.ir.core import Attribute, Literal, Operand, Relation, Type, Value

# What they give can be gone through once: it has no name.
ITERATORS = frozenset({"zip", "enumerate", "reversed", "map", "range"})
NOT_UNDERSTOOD = (
    ast.Lambda, ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp, ast.NamedExpr, ast.Await, ast.Yield,
    ast.YieldFrom, ast.Set,
)  # fmt: skip


def one_relation_a_line(module: Module) -> str:
    """The text of the module with every function at its top level rewritten; comments stay."""
    lines = StagedText(module)
    for function in module.tree.body:
        if isinstance(function, ast.FunctionDef):
            _rewrite(module, function, lines)
    return lines.text()


def _rewrite(module: Module, function: ast.FunctionDef, lines: StagedText) -> None:
    if _Staging(module, function).is_one_relation(function):
        return
    _rewrite_block(_Staging(module, function), function.body, lines)


def _rewrite_block(staging: _Staging, block: Sequence[ast.stmt], lines: StagedText) -> None:
    """The statements of a block, and of the loops and branches in it, whose heads stay."""
    known = staging.known
    for statement in block:
        match statement:
            case ast.For() | ast.While():
                known.enter(statement)
                after = dict(known.kinds)
                _rewrite_block(staging, statement.body, lines)
                known.kinds = after
                _rewrite_block(staging, statement.orelse, lines)
                continue
            case ast.If():
                before = dict(known.kinds)
                _rewrite_block(staging, statement.body, lines)
                after, known.kinds = known.kinds, before
                _rewrite_block(staging, statement.orelse, lines)
                known.join(statement.body, after, statement.orelse)
                continue
        staged = staging.statement(statement)
        alone = lines.stands_alone(statement)
        if staged is None and alone:
            continue
        texts = [_unparsed(one) for one in staged] if staged is not None else lines.verbatim(statement)
        lines.replace(statement, texts, block)


class _Staging:
    """One function: the names that are taken, and what is known of them."""

    def __init__(self, module: Module, function: ast.FunctionDef) -> None:
        self.module = module
        self.known = Known.of(module, function)
        names = {part.id for part in ast.walk(function) if isinstance(part, ast.Name)}
        self.scope = Scope(names | self.known.local | module.bound | set(dir(builtins)))
        self.lines: list[ast.stmt] = []
        self.target = ""

    def is_one_relation(self, function: ast.FunctionDef) -> bool:
        """`def relu(x): return np.maximum(0, x)` is on a line of its own as it stands."""
        body = function.body[1:] if ast.get_docstring(function) is not None else function.body
        if len(body) != 1 or not isinstance(body[0], ast.Return) or not self._is_understood(body[0]):
            return False
        value = copy.deepcopy(body[0].value)
        if value is None or isinstance(value, ast.Tuple | ast.List):
            return False
        self.single(value)
        return not self.lines

    # Statements

    def statement(self, statement: ast.stmt) -> list[ast.stmt] | None:
        """The statements that take the place of one; None where it stays as it is."""
        before = ast.dump(statement)
        self.lines = []
        last = self._staged(copy.deepcopy(statement)) if self._is_understood(statement) else None
        self.known.learn(statement)
        if last is None:
            return None
        staged = [*self.lines, last]
        if len(staged) == 1 and ast.dump(last) == before:
            return None
        return [self._as_spelt(one) for one in staged]

    def _staged(self, statement: ast.stmt) -> ast.stmt | None:
        match statement:
            case ast.Return(value=ast.expr() as value):
                return self._return(statement, value)
            case ast.AugAssign():
                self.target = _target_name(statement.target)
                self._target_parts(statement.target)
                statement.value = self.atom(statement.value)
                if isinstance(statement.target, ast.Subscript) and self.known.changes(self.lines):
                    return None  # x[i] is read before what changes it
            case ast.Assign(targets=targets):
                self.target = _target_name(targets[0])
                statement.value = self._value(statement.value, targets)
                for target in targets:
                    for part in _parts(target):
                        self._target_parts(part)
            case ast.AnnAssign(value=ast.expr() as value):
                self.target = _target_name(statement.target)
                statement.value = self._value(value, [statement.target])
                self._target_parts(statement.target)
            case ast.Expr(value=ast.Call() as call):
                appended = self.known.appended(statement)
                if appended is None:
                    return None
                self.target = _target_name(call.func)
                call.args = [self.single(appended)]
            case _:
                return None
        return statement

    def _value(self, value: ast.expr, targets: list[ast.expr]) -> ast.expr:
        """What is bound: one relation at most; none where it is written into a part of an array, which is one, or
        taken apart."""
        parts = [part for one in targets for part in _parts(one) if isinstance(part, ast.Subscript)]
        if any(not self.known.is_element(part) for part in parts):
            return self.atom(value)
        if isinstance(targets[0], ast.Tuple | ast.List):
            if isinstance(value, ast.Tuple | ast.List) and len(value.elts) == len(targets[0].elts):
                value.elts = self._atoms(value.elts, [_target_name(part) for part in targets[0].elts])
                return value
            return self.single(value) if isinstance(value, ast.Call) else self.atom(value)
        return self.single(value)

    def _target_parts(self, target: ast.expr) -> None:
        if isinstance(target, ast.Subscript) and not self.known.is_element(target):
            target.value = self.atom(target.value)
            target.slice = self._index(target.slice)

    def _return(self, statement: ast.Return, value: ast.expr) -> ast.stmt:
        if isinstance(value, ast.Tuple):
            # Tuples and lists among the results are the function's own backward matter.
            value.elts = [
                one if isinstance(one, ast.Tuple | ast.List | ast.Dict) else self._result(one) for one in value.elts
            ]
        elif not isinstance(value, ast.List | ast.Dict):
            statement.value = self._result(value)
        return statement

    def _result(self, node: ast.expr) -> ast.expr:
        if isinstance(node, ast.Name) or self.known.is_inline(node):
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
        if self.known.is_inline(node) or isinstance(node, ast.BoolOp):
            return self._cleaned(node)
        single = self.single(node)
        if isinstance(single, ast.Name | ast.Constant | ast.Tuple | ast.List | ast.Dict):
            return single
        name = self.scope.take(self._name(single))
        self.known.parts.add(name)
        return self._bound(name, single)

    def _bound(self, name: str, value: ast.expr) -> ast.Name:
        self.lines.append(ast.Assign([ast.Name(name, ast.Store())], value, lineno=0))
        return ast.Name(name, ast.Load())

    def single(self, node: ast.expr) -> ast.expr:
        """The expression with one relation at most: the one at its root."""
        if self.known.is_inline(node):
            return self._cleaned(node)
        match node:
            case ast.UnaryOp():
                node.operand = self.atom(node.operand)
            case ast.BinOp():
                node.left, node.right = self._atoms([node.left, node.right])
            case ast.Compare():
                node.left, *node.comparators = self._atoms([node.left, *node.comparators])
            case ast.Attribute():
                node.value = self.atom(node.value)
            case ast.Subscript():
                node.value = self.atom(node.value)
                position = len(self.lines)
                node.slice = self._index(node.slice)
                node.value = self._in_order(node.value, position)
            case ast.Call():
                base = (
                    node.func if isinstance(node.func, ast.Attribute) and self.known.path(node.func) is None else None
                )
                given = [*node.args, *(keyword.value for keyword in node.keywords)]
                atoms = self._atoms([*([] if base is None else [base.value]), *given])
                if base is not None:
                    base.value = atoms.pop(0)
                node.args, values = atoms[: len(node.args)], atoms[len(node.args) :]
                for keyword, value in zip(node.keywords, values, strict=True):
                    keyword.value = value
            case ast.Tuple() | ast.List():
                node.elts = self._atoms(node.elts)
            case ast.Dict():
                # What a key is computed from is no gradient's matter.
                node.values = self._atoms(node.values)
        return node

    def _atoms(self, nodes: Sequence[ast.expr], targets: Sequence[str] = ()) -> list[ast.expr]:
        """Expressions that are evaluated one after the other."""
        atoms: list[ast.expr] = []
        positions: list[int] = []
        for number, node in enumerate(nodes):
            self.target = targets[number] if targets else self.target
            atoms.append(self.atom(node))
            positions.append(len(self.lines))
        for number in reversed(range(len(atoms))):
            atoms[number] = self._in_order(atoms[number], positions[number])
        return atoms

    def _in_order(self, atom: ast.expr, position: int) -> ast.expr:
        """What was read before the lines from `position` on were evaluated, under a name where these may change it."""
        if not self.known.may_change(atom) or not self.known.changes(self.lines[position:]):
            return atom
        if isinstance(atom, ast.Name):
            return atom  # whoever changes it, it is the same one
        name = self.scope.take(self._name(atom))
        self.lines.insert(position, ast.Assign([ast.Name(name, ast.Store())], atom, lineno=0))
        return ast.Name(name, ast.Load())

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
                return self.known.path(function) == "numpy.arange" and all(
                    self.known.is_inline(one) for one in arguments
                )
            case ast.Subscript(value=value, slice=index):
                return self._is_counter(value) and self.known.is_inline(index)
        return False

    def _cleaned(self, node: ast.expr) -> ast.expr:
        """An inline expression, without the relations in what its sizes are asked of: `(x @ w).shape[0]`."""
        match node:
            case ast.Attribute(attr=attribute) if attribute in SIZES and self.known.path(node) is None:
                node.value = self.atom(node.value)
            case ast.Call(func=function) if self.known.path(function) in SIZE_CALLS:
                node.args = [self.atom(argument) for argument in node.args]
            case ast.BoolOp():
                # Not every operand is evaluated.
                return node
            case _ if self.known.is_text(node) or self.known.is_element(node):
                return node
            case _:
                for name, value in ast.iter_fields(node):
                    if isinstance(value, ast.expr):
                        setattr(node, name, self._cleaned(value))
                    elif isinstance(value, list):
                        setattr(node, name, [self._cleaned(v) if isinstance(v, ast.expr) else v for v in value])
        return node

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
                path = self.known.path(function)
                if isinstance(function, ast.Attribute) and path is None:
                    return _gate(f".{function.attr}"), [function.value, *given], {}
                name = function.id if isinstance(function, ast.Name) else ast.unparse(function)
                return (_gate(path) if path is not None else name.removesuffix("_forward")), given, {}
        return "part", [], {}

    def _operand(self, node: ast.expr) -> Operand:
        if isinstance(node, ast.Name) and node.id in self.known.parts:
            return Value("", Type.open(""))
        if isinstance(node, ast.Name) and not self.known.is_inline(node):
            return Value(node.id, Type.open(node.id))
        if isinstance(node, ast.Subscript) and self.known.is_element(node):
            name = _element_name(node)
            return Value(name, Type.open(name))
        if isinstance(node, ast.Tuple | ast.List) and not self.known.is_inline(node):
            return Value("", Type.open(""))
        return Literal(None, "")

    def _operand_value(self, node: ast.expr) -> Attribute:
        if isinstance(node, ast.Name) and node.id in self.known.local:
            return Value(node.id, Type.open(node.id))
        operand = self._operand(node)
        return operand if isinstance(operand, Value) else None

    def _is_understood(self, statement: ast.stmt) -> bool:
        for part in ast.walk(statement):
            if isinstance(part, NOT_UNDERSTOOD) or (isinstance(part, ast.Compare) and len(part.ops) > 1):
                return False
            match part:
                case ast.Starred() if not self.known.is_unpacked(part):
                    return False
                case ast.Dict(keys=keys) if None in keys:
                    return False
                case ast.Call(func=ast.Name(id=name)) if name in ITERATORS:
                    return False
                case ast.Call(func=ast.Attribute(attr=name), args=[]) if name in VIEWS:
                    return False
                case ast.Call(func=function) if not isinstance(function, ast.Name | ast.Attribute):
                    return False
        return True

    # Text

    def _as_spelt(self, statement: ast.stmt) -> ast.stmt:
        """The statement with its numbers and strings spelt as the user did: `1e-5`, not `1e-05`."""
        spelled = _Spelt(self.module).visit(statement)
        assert isinstance(spelled, ast.stmt)
        return ast.fix_missing_locations(spelled)


class _Spelt(ast.NodeTransformer):
    def __init__(self, module: Module) -> None:
        self.module = module

    def visit_Constant(self, node: ast.Constant) -> ast.AST:
        if not isinstance(node.value, float | str):
            return node
        text = self._text(node)
        if isinstance(node.value, float) and not re.fullmatch(r"[0-9._]*(e[-+]?[0-9_]+)?", text, re.I):
            return node
        return ast.Name(text, ast.Load()) if text else node

    def visit_JoinedStr(self, node: ast.JoinedStr) -> ast.AST:
        text = self._text(node)
        return ast.Name(text, ast.Load()) if text else node

    def _text(self, node: ast.expr) -> str:
        """The text of a constant that stands on one line, else ''."""
        if not hasattr(node, "lineno") or node.lineno != node.end_lineno:
            return ""
        span = span_of(self.module, node)
        return self.module.lines[span.line - 1][span.column : span.end_column]


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


def _element_name(node: ast.expr) -> str:
    """What a value that is computed from an element of a list or a dict is called after."""
    match node:
        case ast.Subscript(slice=ast.Constant(value=str() as key)) if key.isidentifier():
            return key
        case ast.Subscript(value=value):
            return _element_name(value)
        case ast.Name(id=name):
            return name
    return ""


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
        case ast.Attribute(value=ast.Name(id=name), attr="append"):
            return name
        case ast.Attribute(attr=name):
            return name
    return "part"
