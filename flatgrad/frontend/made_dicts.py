"""Dicts of settings that are put together when the program runs: `{"mode": "train", **param}`, `dict(param, axis=1)`,
`param or {}`, and what is done to those that the program is given: `param.setdefault("mode", "train")`.

Such a dict stays as it is written. What it holds for certain is read as what that is: an entry that the display names
behind all others, an entry of the one dict that it is a copy of. Anything else that is read of it is a setting, which
carries no gradient. What would carry one into it is taken down: the compiler refuses it once it knows what does.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from flatgrad.frontend.calls import CallLowering
from flatgrad.frontend.environment import Binding, Dictionary, Hidden, Lowered, Poison, Structure
from flatgrad.ir.core import Call, Literal, Relation, Span, Value, every_step

# What is asked of a dict, and of no array.
_OF_DICTS = frozenset({"get", "items", "keys", "values", "setdefault", "update"})


@dataclass(frozen=True, slots=True)
class Made:
    """A dict that the function puts together.

    Attributes:
        bases: the dicts that it is made of.
        same: those of the bases that it may be itself: `param or {}`.
        copied: the dict that it holds all entries of, but for those in `exact`.
        exact: what stands under a key for certain.
        otherwise: what stands under a key unless one of the bases has it as well.
    """

    bases: tuple[Value, ...]
    same: bool = False
    copied: Value | None = None
    exact: Mapping[str, Binding] = field(default_factory=dict)
    otherwise: Mapping[str, Binding] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Use:
    """Where a dict is read as a whole: `keys` are those that count, None for all; `loops` those around it."""

    base: Value
    keys: frozenset[str] | None
    loops: tuple[ast.stmt, ...]
    span: Span | None


class DictUses:
    """What is stored in dicts, and where these are read in a way through which no gradient comes back."""

    def __init__(self) -> None:
        self.stored: dict[Value, list[tuple[str, Value]]] = {}
        self.uses: list[Use] = []
        self.hidden: list[Hidden] = []

    def store(self, base: Value, key: str, value: Value, loops: tuple[ast.stmt, ...]) -> None:
        self.stored.setdefault(base, []).append((key, value))
        for use in self.uses:
            again = base is use.base and any(loop in use.loops for loop in loops)
            if again and (use.keys is None or key in use.keys):
                self.hidden.append(Hidden(value, use.span, key))

    def known(self) -> dict[Value, list[tuple[str, Value]]]:
        """What has been stored by now."""
        return {base: list(found) for base, found in self.stored.items()}

    def either(self, arms: Iterable[Mapping[Value, list[tuple[str, Value]]]]) -> None:
        """Behind a branch, what any of its arms has stored may be there."""
        self.stored = {}
        for arm in arms:
            for base, found in arm.items():
                self.stored.setdefault(base, []).extend(found)

    def use(self, use: Use) -> None:
        self.uses.append(use)
        for key, value in self.stored.get(use.base, ()):
            if use.keys is None or key in use.keys:
                self.hidden.append(Hidden(value, use.span, key))


def keys_read(lowered: Lowered, param: Value, callee: Callable[[str], Lowered]) -> frozenset[str] | None:
    """The keys under which a function, or one that it calls, reads what a dict holds; None where any may be meant."""
    found: set[str] = set()
    for step in every_step(lowered.function.block):
        if param not in step.operands():
            continue
        match step:
            case Relation(gate="entry", args=(_,)):
                found.add(str(step.attrs["key"]))
            case Relation(gate="opaque") if "key" in step.attrs:
                found.add(str(step.attrs["key"]))
            case Relation(gate="opaque") if "holds" not in step.attrs or step.attrs["holds"] in ("keys", "count"):
                pass
            case Call() if step.function != lowered.function.name:
                inner = callee(step.function)
                for one, arg in zip(inner.function.block.params, step.args, strict=True):
                    keys = keys_read(inner, one, callee) if arg is param else frozenset()
                    if keys is None:
                        return None
                    found |= keys
            case _:
                return None
    return frozenset(found)


def is_dict(node: ast.AST, name: str) -> bool:
    """Whether a function reads something under strings, or asks of it what is asked of dicts."""
    for part in ast.walk(node):
        match part:
            case ast.Subscript(value=ast.Name(id=root), slice=ast.Constant(value=str()) | ast.JoinedStr()):
                pass
            case ast.Call(func=ast.Attribute(value=ast.Name(id=root), attr=method)) if method in _OF_DICTS:
                pass
            case ast.Compare(
                left=ast.Constant(value=str()), ops=[ast.In() | ast.NotIn()], comparators=[ast.Name(id=root)]
            ):
                pass
            case ast.Dict(keys=keys, values=values):
                pairs = zip(keys, values, strict=True)
                starred = [one for key, one in pairs if key is None]
                if any(isinstance(one, ast.Name) and one.id == name for one in starred):
                    return True
                continue
            case _:
                continue
        if root == name:
            return True
    return False


class MadeDictLowering(CallLowering):
    """Lowers dicts that are made of those that the program is given.

    Attributes:
        given: parameters and their entries, and what is made of them: what may be a dict that the caller made.
        made: those that the function puts together.
    """

    given: set[Value]
    made: dict[Value, Made]
    uses: DictUses

    def origin(self, value: Value) -> Value:
        """What a value is another name of."""
        raise NotImplementedError

    def put_together(self, node: ast.expr, text: str, args: list[Value], made: Made) -> Value:
        """The dict that an expression puts together."""
        raise NotImplementedError

    def function(self) -> ast.FunctionDef:
        """The function that is read."""
        raise NotImplementedError

    def given_dict(self, node: ast.expr) -> Value | None:
        """The dict that the program is given, or that is made of such ones, which an expression stands for."""
        if not isinstance(node, ast.Name | ast.Attribute | ast.Subscript):
            return None
        bound = self.aside().lower(node)
        if not isinstance(bound, Value) or isinstance(bound, Poison):
            return None
        base = self.origin(bound)
        if base in self.made:
            return base
        known = isinstance(node, ast.Attribute) or (isinstance(node, ast.Name) and is_dict(self.function(), node.id))
        return base if base in self.given and known else None

    # What is made

    def _dict(self, node: ast.Dict) -> Binding:
        starred = [value for key, value in zip(node.keys, node.values, strict=True) if key is None]
        if not any(self._is_given(one) for one in starred):
            return super()._dict(node)
        return self._display(node, list(zip(node.keys, node.values, strict=True)))

    def _is_given(self, node: ast.expr) -> bool:
        """Whether what stands behind two stars, and so is a dict, is one that the program is given."""
        bound = self.aside().lower(node)
        return isinstance(bound, Value) and not isinstance(bound, Poison) and self.origin(bound) in self.given

    def _display(self, node: ast.expr, pairs: Iterable[tuple[ast.expr | None, ast.expr]]) -> Binding:
        """`{"mode": "train", **param}`, and what comes to the same."""
        bases: list[Value] = []
        exact: dict[str, Binding] = {}
        otherwise: dict[str, Binding] = {}
        args: list[Value] = []
        texts: list[str] = []
        for key, value in pairs:
            bound = self.lower(value)
            if isinstance(bound, Poison):
                return bound
            text = spelled(bound, args)
            if text is None:
                return self.error("FG030", "what is in this dict is known only when the program runs", value)
            if key is None and isinstance(bound, Dictionary):
                exact |= {str(one): item for one, item in bound.items}
            elif key is None:
                assert isinstance(bound, Value)
                bases.append(self.origin(bound))
                otherwise |= exact
                exact = {}
            else:
                literal = self.key(key)
                if literal is None:
                    return Poison.at()
                exact[str(literal.value)] = bound
            texts.append(f"**{text}" if key is None else f"{ast.unparse(key)}: {text}")
        copied = bases[0] if len(bases) == 1 and not otherwise else None
        made = Made(tuple(bases), False, copied, exact, otherwise)
        return self.put_together(node, f"{{{', '.join(texts)}}}", args, made)

    def call(self, node: ast.Call) -> Binding:
        match node:
            case ast.Call(func=ast.Name(id="dict"), args=[base]) if "dict" not in self.environment:
                if self._is_given(base):
                    keywords = [
                        (None if one.arg is None else ast.Constant(one.arg), one.value) for one in node.keywords
                    ]
                    return self._display(node, [(None, base), *keywords])
            case ast.Call(func=ast.Attribute(value=base, attr="copy"), args=[], keywords=[]):
                found = self.given_dict(base) or self._copied(node, base)
                if found is not None:
                    base_now = self.lower(base)
                    assert isinstance(base_now, Value)
                    return self.put_together(node, "dict(_0)", [base_now], Made((found,), copied=found))
        return super().call(node)

    def _copied(self, node: ast.Call, base: ast.expr) -> Value | None:
        """`p = params.copy()`, where p is read as a dict."""
        for part in ast.walk(self.function()):
            match part:
                case ast.Assign(targets=[ast.Name(id=name)], value=value) if value is node:
                    bound = self.aside().lower(base)
                    if isinstance(bound, Value) and self.origin(bound) in self.given and is_dict(self.function(), name):
                        return self.origin(bound)
        return None

    def joined(self, node: ast.BinOp, first: Binding, second: Binding) -> Binding | None:
        """`param | {"mode": "train"}`"""
        if isinstance(node.op, ast.BitOr) and (isinstance(first, Dictionary) or isinstance(second, Dictionary)):
            parts = (node.left, node.right)
            if all(
                isinstance(one, Dictionary) or self._is_given(part)
                for one, part in zip((first, second), parts, strict=True)
            ):
                if not (isinstance(first, Dictionary) and isinstance(second, Dictionary)):
                    return self._display(node, [(None, node.left), (None, node.right)])
        return super().joined(node, first, second)

    def instead(self, node: ast.expr, name: ast.expr, other: ast.expr) -> Binding | None:
        """`param or {}`, `{} if param is None else param`: the dict that is given, or another in the place of none."""
        if not isinstance(name, ast.Name) or not isinstance(self.aside().lower(other), Dictionary):
            return None
        if not self._is_given(name):
            return None
        base, bound = self.lower(name), self.lower(other)
        args: list[Value] = []
        texts = [spelled(one, args) for one in (base, bound)]
        if not isinstance(base, Value) or not isinstance(bound, Dictionary) or None in texts:
            return self.error("FG030", "what is in this dict is known only when the program runs", other)
        first = isinstance(node, ast.BoolOp) or (isinstance(node, ast.IfExp) and not isinstance(node.test, ast.Compare))
        text = f"{texts[0]} or {texts[1]}" if first else f"{texts[1]} if {texts[0]} is None else {texts[0]}"
        otherwise = {str(key): item for key, item in bound.items}
        return self.put_together(node, text, args, Made((self.origin(base),), same=True, otherwise=otherwise))

    def made_instead(self, node: ast.IfExp) -> Binding | None:
        """The dict that a conditional expression gives; None where it gives anything else."""
        arms = _of_none(node)
        return None if arms is None else self.instead(node, *arms)

    def _chosen(self, node: ast.IfExp) -> Binding:
        found = self.made_instead(node)
        return super()._chosen(node) if found is None else found

    def _logical(self, node: ast.BoolOp, lowered: Callable[[ast.expr], Binding]) -> Binding:
        match node:
            case ast.BoolOp(op=ast.Or(), values=[first, other]):
                found = self.instead(node, first, other)
                if found is not None:
                    return found
        return super()._logical(node, lowered)


def _of_none(node: ast.IfExp) -> tuple[ast.expr, ast.expr] | None:
    """The dict that may be given, and what stands in its place, of `{} if param is None else param`."""
    match node.test:
        case ast.Compare(left=ast.Name(id=name), ops=[ast.Is()], comparators=[ast.Constant(value=None)]):
            given, other = node.orelse, node.body
        case ast.Compare(left=ast.Name(id=name), ops=[ast.IsNot()], comparators=[ast.Constant(value=None)]):
            given, other = node.body, node.orelse
        case ast.UnaryOp(op=ast.Not(), operand=ast.Name(id=name)):
            given, other = node.orelse, node.body
        case ast.Name(id=name):
            given, other = node.body, node.orelse
        case _:
            return None
    return (given, other) if isinstance(given, ast.Name) and given.id == name else None


def replaced_when_none(statement: ast.If) -> tuple[ast.Name, ast.IfExp] | None:
    """The name and the expression that `if param is None: param = {}` comes to; None for any other statement."""
    match statement:
        case ast.If(test=test, body=[ast.Assign(targets=[ast.Name(id=name) as target], value=value)], orelse=[]):
            pass
        case _:
            return None
    match test:
        case ast.Compare(left=ast.Name(id=root) as given, ops=[ast.Is()], comparators=[ast.Constant(value=None)]):
            pass
        case ast.UnaryOp(op=ast.Not(), operand=ast.Name(id=root) as given):
            pass
        case _:
            return None
    if root != name:
        return None
    return target, ast.copy_location(ast.IfExp(test, value, given), statement)


def spelled(binding: Binding, args: list[Value]) -> str | None:
    """The text of what is known element by element, its values as `_0`, `_1`, ...; None where it has none."""
    match binding:
        case Poison():
            return None
        case Value():
            if binding not in args:
                args.append(binding)
            return f"_{args.index(binding)}"
        case Literal(text=text):
            return text
        case Structure(items=items, is_list=is_list, once=False):
            parts = [spelled(item, args) for item in items]
            if None in parts:
                return None
            return f"[{', '.join(map(str, parts))}]" if is_list else f"({''.join(f'{part}, ' for part in parts)})"
        case Dictionary(items=items):
            found = [(key, spelled(item, args)) for key, item in items]
            if any(text is None for _, text in found):
                return None
            return f"{{{', '.join(f'{key!r}: {text}' for key, text in found)}}}"
    return None
