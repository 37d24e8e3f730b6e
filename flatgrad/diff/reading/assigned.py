"""Which of the things that a backward pass assigns are gradients, and of what; which of them it returns.

Names say most of it (see `names`). What only looks like a gradient (`dtmp`) is one if it is made of gradients; what is
named like one, is made of none and only ever multiplies one is a local derivative (`dtanh = 1 - h**2`).
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from flatgrad.diff.homework import Returned
from flatgrad.diff.reading.names import Kind, Named, Variables, is_container, read_key, read_name, resembling
from flatgrad.diff.reading.targets import Element, Row, Target, entries, locate, targets
from flatgrad.frontend.liveness import own_statements
from flatgrad.frontend.source import Module

_PRODUCTS = frozenset(("dot", "multiply", "matmul", "outer", "einsum", "inner", "tensordot"))
_SIZES = frozenset(("shape", "size", "ndim", "dtype"))
_BLANK = frozenset(("zeros", "zeros_like", "empty", "empty_like"))


@dataclass(frozen=True, slots=True)
class Backward:
    """Backward statements and what is known of them.

    Attributes:
        module: the file.
        statements: those of the backward pass, each looked at without those inside it.
        upstream: the parameters that are gradients of results.
        variables: what gradients are named after.
    """

    module: Module
    statements: tuple[ast.stmt, ...]
    upstream: tuple[str, ...]
    variables: Variables

    def gradients(self) -> dict[str, str]:
        """For each target that is a gradient its variable; empty where the name does not say."""
        found = [one for statement in self.statements for one in targets_of(self.module, statement)]
        named = {one.text: self.named(one) for one in found}
        certain = {text for text, one in named.items() if one.kind is Kind.GRADIENT}
        possible = certain | {text for text, one in named.items() if one.kind is Kind.POSSIBLE}
        made = self._made(found, possible, certain)
        while more := self._meant(found, possible - made - certain, made | certain):
            certain |= more
            made = self._made(found, possible, certain)
        local = self._local(found, certain, made)
        gradients: dict[str, str] = {}
        for one in found:
            if one.text not in possible - local or _is_setting_only(found, one.text):
                continue
            if one.text in certain or one.text in made:
                variable = named[one.text].variable
                if not variable and one.key and isinstance(one.value, ast.Name):  # `self.grads[0][...] = dW`
                    variable = gradients.get(one.value.id, "")
                gradients.setdefault(one.text, variable)
        return gradients

    def named(self, target: Target) -> Named:
        """What the name of a target says."""
        if not target.holder and target.name in self.upstream:
            return Named(Kind.GRADIENT)  # assigned anew it may be the gradient of something on the way
        if target.key and is_container(target.holder.rpartition(".")[2]):
            return (
                Named(Kind.GRADIENT)
                if target.name.isdigit() or not target.name
                else read_key(target.name, self.variables)
            )
        if not target.key and is_container(target.name) and (target.value is None or _holds(target)):
            return Named(Kind.NONE)  # the dict that holds them
        return read_name(target.name, self.variables)

    def mentions(self, node: ast.AST, texts: set[str]) -> bool:
        """Whether an expression reads one of some targets, its sizes apart."""
        match node:
            case ast.Attribute(attr=name) if name in _SIZES:
                return False
            case ast.Call(func=ast.Name(id="len") | ast.Attribute(attr="zeros_like" | "ones_like" | "empty_like")):
                return False
            case ast.Name(id=name, ctx=ast.Load()):
                return name in texts
            case ast.Attribute() | ast.Subscript():
                located = locate(self.module, node)
                if located is not None and located[0] in texts:
                    return True
        return any(self.mentions(part, texts) for part in ast.iter_child_nodes(node))

    def _made(self, found: Sequence[Target], possible: set[str], certain: set[str]) -> set[str]:
        """The targets that are made of gradients, the upstream one among them."""
        made: set[str] = set(self.upstream)
        while True:
            known = made | certain
            more = {one.text for one in found if one.text in possible - made and self._reads(one, known - {one.text})}
            if not more:
                return made
            made |= more

    def _meant(self, found: Sequence[Target], open_: set[str], known: set[str]) -> set[str]:
        """What is made of no gradient, and all the same is the only one that a gradient is made of.

        There the upstream gradient has been forgotten: `dtmp = 1 - h**2`, `dx = dtmp @ W.T`.
        """
        meant: set[str] = set()
        for one in found:
            if one.text in known and not self._reads(one, known - {one.text}):
                meant |= {text for text in open_ if self._reads(one, {text})}
        return meant

    def _reads(self, target: Target, texts: set[str]) -> bool:
        values = [target.value] if target.value is not None else _values(target.statement)
        return any(self.mentions(value, texts) for value in values)

    def _local(self, found: Sequence[Target], certain: set[str], made: set[str]) -> set[str]:
        """The targets that are made of no gradient and multiply one that is, or that came before."""
        first: dict[str, int] = {}
        for position, one in enumerate(found):
            if one.text in certain:
                first.setdefault(one.text, position)
        local: set[str] = set()
        for text, position in first.items():
            values = [one.value for one in found if one.text == text]
            if text in made or all(value is None or _is_blank(value) for value in values):
                continue
            others = set(self.upstream) | made | {one for one, place in first.items() if place < position}
            if any(self._multiplies(statement, text, others - local - {text}) for statement in self.statements):
                local.add(text)
        return local

    def _multiplies(self, statement: ast.stmt, text: str, others: set[str]) -> bool:
        for part in [inner for value in _values(statement) for inner in ast.walk(value)]:
            match part:
                case ast.BinOp(left=left, op=ast.Mult() | ast.MatMult(), right=right):
                    factors: Sequence[ast.expr] = [left, right]
                case ast.Call(func=ast.Attribute(value=holder, attr=name), args=args) if name in _PRODUCTS:
                    factors = [holder, *args] if len(args) == 1 else args
                case _:
                    continue
            own = [one for one in factors if self.mentions(one, {text})]
            if own and any(self.mentions(one, others) for one in factors if one not in own):
                return True
        if isinstance(statement, ast.AugAssign) and isinstance(statement.op, ast.Mult):
            scaled = any(one.text in others for one in targets_of(self.module, statement))
            return scaled and self.mentions(statement.value, {text})
        return False


def targets_of(module: Module, statement: ast.stmt) -> Iterator[Target]:
    """The targets of a statement itself."""
    return (one for one in targets(module, [statement]) if one.statement is statement)


def _values(statement: ast.stmt) -> list[ast.expr]:
    match statement:
        case ast.Assign(value=value) | ast.AugAssign(value=value) | ast.Expr(value=value):
            return [value]
        case ast.AnnAssign(value=ast.expr() as value) | ast.Return(value=ast.expr() as value):
            return [value]
    return []


def _is_display(node: ast.expr) -> bool:
    match node:
        case ast.Dict() | ast.List() | ast.Tuple() | ast.DictComp() | ast.ListComp():
            return True
        case ast.Call(func=ast.Name(id="dict" | "list" | "OrderedDict" | "defaultdict")):
            return True
        case ast.BinOp(left=left, op=ast.Mult()):
            return _is_display(left)
    return False


def _holds(target: Target) -> bool:
    """Whether what is called `grads` is a dict or a list of gradients, or another name of one."""
    return target.value is not None and (
        _is_display(target.value) or (isinstance(target.value, ast.Name) and target.name.endswith("s"))
    )


def _is_blank(node: ast.expr) -> bool:
    """Zeros to be added to, or nothing."""
    match node:
        case ast.Constant(value=None | 0 | 0.0):
            return True
        case ast.Call(func=ast.Attribute(attr=name)):
            return name in _BLANK
    return False


def _is_setting_only(found: Sequence[Target], text: str) -> bool:
    """Whether a target only ever is a size, a flag or a string."""
    values = [one.value for one in found if one.text == text]
    return all(value is not None and _is_setting(value) for value in values)


def _is_setting(node: ast.expr) -> bool:
    match node:
        case ast.Constant(value=bool() | str() | None):
            return True
        case ast.Attribute(attr=name) | ast.Subscript(value=ast.Attribute(attr=name)):
            return name in _SIZES
        case ast.Call(func=ast.Name(id="len" | "range" | "zip" | "enumerate")):
            return True
    return False


# What is returned


def returned(
    backward: Backward,
    row: Row | None,
    body: Sequence[ast.stmt],
    gradients: dict[str, str],
    inputs: Sequence[str],
    known: Iterable[str],
    skipped: Iterable[Element] = (),
) -> list[Returned]:
    """The gradients that a `return` gives, in order.

    Args:
        backward: the backward statements.
        row: what is returned.
        body: all statements of the function, where dicts are filled.
        gradients: what `backward.gradients()` gives.
        inputs: what the forward pass can be differentiated by, in order, for gradients whose names do not say.
        known: these, and all else that it is given: other parameters, attributes, entries.
        skipped: elements that are something else.
    """
    found: list[Returned] = []
    left_out = list(skipped)
    for element in row.elements if row is not None else ():
        if element in left_out or isinstance(element.node, ast.Constant):
            continue
        inner = entries(backward.module, element, body)
        if inner and element.text not in gradients:
            for one in inner:
                if one not in left_out:
                    deeper = entries(backward.module, one, body) if one.key and not one.text else []
                    found += [_one(backward, part, gradients) for part in (deeper or [one])]
        else:
            found.append(_one(backward, element, gradients))
    return _settled(found, inputs, frozenset(known))


def _settled(found: list[Returned], inputs: Sequence[str], known: frozenset[str]) -> list[Returned]:
    """The same with the inputs that are meant where the names do not say, or name something on the way."""
    taken = {one.variable for one in found}
    open_places = [
        position
        for position, one in enumerate(found)
        if (not one.variable or (one.place == () and one.variable not in known))
        and not (one.target and _holds_gradients(one))
    ]
    chosen: dict[int, str] = {}
    for position in open_places:
        if not found[position].variable and (meant := resembling(found[position].target, sorted(known))) not in taken:
            chosen[position] = meant
    rest = [name for name in inputs if name not in taken | set(chosen.values())]
    left = [position for position in open_places if not chosen.get(position)]
    if len(found) == len(inputs) and len(rest) == len(left):
        chosen |= dict(zip(left, rest, strict=True))
    elif left[:1] == [0] and rest and rest[0] == inputs[0]:
        chosen[0] = rest[0]
    elif len(left) == 1 and len(rest) == 1:
        chosen[left[0]] = rest[0]
    return [replace(one, variable=chosen.get(position) or one.variable) for position, one in enumerate(found)]


def _holds_gradients(one: Returned) -> bool:
    """Whether it is a dict of gradients whose keys are made at run time, not an array that is called `grad`."""
    name = one.target.rpartition(".")[2]
    return is_container(name) and name.endswith("s")


def _one(backward: Backward, element: Element, gradients: dict[str, str]) -> Returned:
    variable = gradients.get(element.text, "") if element.text else ""
    if not variable and element.key:
        variable = read_key(element.key, backward.variables).variable
    if not variable and element.name and element.text not in gradients:
        variable = read_name(element.name, backward.variables).variable
    return Returned(variable, element.text, element.place)


def kept_on_object(
    backward: Backward, receiver: str, gradients: dict[str, str], inputs: Iterable[str], given: Iterable[Returned]
) -> list[Returned]:
    """The gradients that a method leaves on its object, those of variables whose gradients it returns left out."""
    texts = {one.target for one in given}
    wanted = set(inputs) - {one.variable for one in given}
    kept = dict(gradients)
    for statement in backward.statements:
        match statement:
            case ast.Assign(targets=[ast.Tuple(elts=parts)], value=ast.Attribute(value=ast.Name(id=root), attr=name)):
                if root == receiver and is_container(name):  # `dW, db = self.grads`, to be filled
                    for position, part in enumerate(parts):
                        if isinstance(part, ast.Name):
                            kept[f"{root}.{name}[{position}]"] = gradients.get(part.id, "")
    return [
        Returned(variable, text, None)
        for text, variable in kept.items()
        if text.startswith(f"{receiver}.") and variable in wanted and text not in texts
    ]


def lines_of(statements: Iterable[ast.stmt]) -> frozenset[int]:
    """The first lines of statements, nested ones included."""
    return frozenset(one.lineno for one in own_statements(statements))
