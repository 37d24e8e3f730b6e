"""Entries of dicts that the program is given or puts together: what stands under a key, and what is a setting.

An entry under a constant key is one value wherever it is read; it is read at the head of the function, which changes
nothing, as the text stays as it is. What is written to a dict is read back as what it is where that is certain. All
else stays as it is written, and carries no gradient; what would carry one into it is taken down.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Protocol

from flatgrad.diagnostics import Diagnostic
from flatgrad.frontend.buffers import Buffers
from flatgrad.frontend.constants import static_number
from flatgrad.frontend.environment import Binding, Dictionary, Hidden, Poison, Structure, values_of
from flatgrad.frontend.made_dicts import DictUses, Made, MadeDictLowering, Use, keys_read, spelled
from flatgrad.frontend.source import dotted_path, span_of
from flatgrad.frontend.statements import Surroundings
from flatgrad.ir.core import Attribute, Branch, Call, Literal, Loop, Relation, Span, Stage, Step, Type, Value


class Surrounding(Protocol):
    """What the expressions ask of the function around them."""

    context: Surroundings
    node: ast.FunctionDef
    buffers: Buffers
    loops: list[tuple[Mapping[str, Binding], bool, ast.stmt]]
    environment: dict[str, Binding]
    names: dict[Span, Value]
    errors: list[Diagnostic]
    body: list[Step]
    texts: set[Value]
    stage: Stage | None
    changed_dicts: set[Value]
    nested: int
    layers: frozenset[str]
    layer_classes: Mapping[str, frozenset[str]]

    def emit(self, step: Step, view: bool) -> None: ...
    def at_head(self, step: Relation) -> None: ...
    def opaque(self, node: ast.expr) -> Value: ...
    def named(self, value: Value, name: str) -> Value: ...


def entry_name(base: Value, key: str) -> str:
    return f"{base.name}[{key!r}]"


class SettingsLowering(MadeDictLowering):
    """Lowers entries under constant keys."""

    def __init__(self, around: Surrounding) -> None:
        context = around.context
        super().__init__(
            context.module,
            context.callee,
            context.inlined,
            around.environment,
            around.names,
            around.emit,
            around.errors,
        )
        self.statements = around
        # Entries by the dict and the key.
        self.entries: dict[tuple[Value, str], Value] = {}
        # Parameters and their entries: what may be a dict that the caller made.
        self.given: set[Value] = set()
        # Slices of attributes.
        self.parts: set[Value] = set()
        # Parameters that are lists of arrays, with how deep they are.
        self.lists: dict[Value, int] = {}
        # Entries that the function writes.
        self.written: dict[tuple[Value, str], bool] = {}
        self.made: dict[Value, Made] = {}
        self.uses = DictUses()
        # Copies of dicts that are written to afterwards, and dicts that are filled from others.
        self.outdated: set[Value] = set()
        # The first setting that is read under a key.
        self.looked_up: dict[tuple[Value, str], Value] = {}
        # What stands under a key unless something did before.
        self.defaults: dict[tuple[Value, str], Binding] = {}

    def origin(self, value: Value) -> Value:
        return self.statements.buffers.origin(value)

    def function(self) -> ast.FunctionDef:
        return self.statements.node

    def renamed(self, value: Value, named: Value) -> None:
        """A value that is known under another identity from now on."""
        super().renamed(value, named)
        if value in self.given:
            self.given.add(named)
        if value in self.made:
            self.made[named] = self.made[value]
        if value in self.statements.texts:
            self.statements.texts.add(named)
        self.looked_up.update((place, named) for place, one in self.looked_up.items() if one is value)

    def put_together(self, node: ast.expr, text: str, args: list[Value], made: Made) -> Value:
        if self.probing:
            return Poison.at()
        # Which of its arguments are dicts.
        dicts = tuple(place for place, one in enumerate(args) if self.origin(one) in made.bases)
        attrs: dict[str, Attribute] = {"text": text, "holds": "settings", "dicts": dicts}
        out = self._relation("opaque", tuple(args), attrs, self.place(node))
        self.statements.buffers.joined(out, args)
        self.given.add(out)
        self.made[out] = made
        self.statements.changed_dicts.add(out)
        if made.copied is None:
            self.statements.changed_dicts.update(made.bases)
        return out

    def taken(self, step: Step) -> None:
        """Take down the dicts that a step reads as a whole, or hands over."""
        if not self.given or (isinstance(step, Relation) and step.gate in ("alias", "opaque")):
            return
        if isinstance(step, Call):
            callee = self.statements.context.callee
            params = callee(step.function).function.block.params
            for param, arg in zip(params, step.args, strict=True):
                if isinstance(arg, Value) and self.origin(arg) in self.given:
                    keys = keys_read(callee(step.function), param, callee)
                    self._used(self.origin(arg), keys, step.span)
            return
        operands = tuple(step.operands())
        if isinstance(step, Branch):
            operands = tuple(one for arm in step.arms for one in arm.results)  # what is inside has been seen
        elif isinstance(step, Loop):
            operands = step.inits
        for value in operands:
            base = self.origin(value)
            constant = isinstance(step, Relation) and step.gate == "entry" and len(step.args) == 1
            if base in self.given and not constant:
                self._used(base, None, step.span)

    def _used(self, base: Value, keys: frozenset[str] | None, span: Span | None) -> None:
        """A dict is read under these keys, and no gradient comes back; None: under any."""
        loops = tuple(loop for _, _, loop in self.statements.loops)
        self.uses.use(Use(base, keys, loops, span))
        made = self.made.get(base)
        if made is None:
            return
        for key, item in (*made.exact.items(), *made.otherwise.items()):
            if keys is None or key in keys:
                self.uses.hidden += [Hidden(value, span, key) for value in values_of(item)]
        if made.exact.keys() < (keys or {""}):
            for one in made.bases:
                self.uses.hidden.append(Hidden(one, span))
                if one is not base:
                    self._used(one, keys, span)

    def held(self, node: ast.expr, shown: Value, key: str) -> Binding:
        """`d["mode"]`: an entry of a dict that is given, what is surely in one that is made, or else a setting."""
        base = self.origin(shown)
        made = self.made.get(base)
        if (base, key) in self.written:
            now = self.statements.environment.get(entry_name(base, key))
            return now if now is not None else self._setting(node, shown, base, key)
        if made is None:
            return self._setting(node, shown, base, key) if base in self.outdated else self.entry(base, key)
        if key in made.exact:
            return made.exact[key]
        if made.copied is not None and base not in self.outdated:
            return self.held(node, made.copied, key)
        return self._setting(node, shown, base, key)

    def _setting(self, node: ast.expr, shown: Value, base: Value, key: str) -> Binding:
        """An entry that stays as it is written, and carries no gradient."""
        if self.probing:
            return Poison.at()
        made = self.made.get(base)
        default = made.otherwise.get(key) if made is not None else self.defaults.get((base, key))
        attrs: dict[str, Attribute] = {"text": f"_0[{key!r}]", "key": key}
        match default:
            case Literal(value=bool() | str() | None):
                pass
            case Literal(value=int()):
                attrs["holds"] = "integer"
            case Literal(value=float()):
                attrs["holds"] = "number"
            case _:
                attrs["holds"] = "anything"
        self._used(base, frozenset({key}), span_of(self.module, node))
        if made is None:
            self.uses.hidden.append(Hidden(base, span_of(self.module, node), key))
        out = self._relation("opaque", (shown,), attrs, self.place(node))
        self._same_entry(out, base, frozenset({key}))
        return out

    def perhaps_set(self, base: Value, key: str, bound: Binding) -> None:
        """`d.setdefault(key, value)`"""
        made = self.made.get(base)
        now = self.statements.environment.get(entry_name(base, key))
        if now is not None or (made is not None and key in made.exact) or isinstance(bound, Poison):
            return
        self.defaults[base, key] = bound
        self._write_down(base, key, bound, False)

    def merged(self, name: str, old: Dictionary, other: Value, pairs: Mapping[str, Binding], node: ast.expr) -> Value:
        """What a dict that is known element by element is after `d.update(param)`."""
        args: list[Value] = []
        texts = [spelled(one, args) for one in (old, other, Dictionary(tuple(pairs.items()), old.span))]
        if None in texts:
            return self.error("FG030", "what is in this dict is known only when the program runs", node)
        otherwise = {str(key): item for key, item in old.items}
        made = Made((self.origin(other),), exact=pairs, otherwise=otherwise)
        found = self.put_together(node, "{" + ", ".join(f"**{text}" for text in texts) + "}", args, made)
        return self.statements.named(found, name)

    def set_from(self, base: Value, other: Value, node: ast.expr) -> None:
        """`d.update(param)`, of a dict that is given: any entry may be another one from here on."""
        if self.statements.nested and any(one is base for one, _ in self.entries):
            self.error("FG030", "this dict is read and then filled from another one in a loop or a branch", node)
        self.outdated.add(base)
        for one, key in [*self.entries, *self.written]:
            if one is base:
                self._write_down(base, key, None, False)
        self.statements.changed_dicts.update((base, other))
        made = self.made.get(base, Made((base,)))
        self.made[base] = replace(
            made, bases=(*made.bases, other), copied=None, exact={}, otherwise={**made.otherwise, **made.exact}
        )

    def entry(self, base: Value, key: str) -> Value:
        """The entry of a dict under a constant key."""
        if (base, key) not in self.entries:
            name = key if key.isidentifier() else ""
            out = Value(name, Type.open(f"{base.name}[{key}]"))
            self.statements.at_head(Relation((out,), "entry", (base,), {"key": key}))
            self.entries[base, key] = out
            self.given.add(out)
        return self.entries[base, key]

    def entry_changed(self, base: Value, key: str, others: Sequence[Value]) -> None:
        base = self.origin(base)
        if self.statements.nested and (base, key) in self.entries:
            self.errors.append(
                Diagnostic(
                    "FG030",
                    f"{entry_name(base, key)} is read and then written in a loop or a branch",
                    None if self.statements.stage is None else self.statements.stage.span,
                    "",
                    "keep it in a variable, and write it once behind",
                )
            )
        # What is written may be made of anything that the function is given.
        span = self.statements.stage.span if self.statements.stage is not None else self._span(self.function())
        self._write_down(base, key, Structure(tuple(others), False, span), False)

    def write_entry(self, base: Value, key: str, bound: Binding, for_sure: bool) -> bool:
        """`bn_param["running_mean"] = m`; False where a round may have read the entry before."""
        base = self.origin(base)
        if not for_sure and (base, key) in self.entries:
            return False
        self._write_down(base, key, bound, for_sure)
        return True

    def _write_down(self, base: Value, key: str, bound: Binding | None, for_sure: bool) -> None:
        """What stands under a key of a dict from here on, as far as it is known, and of those that it may be."""
        name = entry_name(base, key)
        self.written[base, key] = True
        self.statements.changed_dicts.add(base)
        self.statements.environment.pop(name, None)
        if for_sure and bound is not None:
            self.statements.environment[name] = bound
        loops = tuple(loop for _, _, loop in self.statements.loops)
        made = self.made.get(base)
        others = {one for one, other in self.made.items() if other.same and base in other.bases}
        others |= set(made.bases) if made is not None and made.same else set()
        for one in others:
            self.written[one, key] = True
            self.statements.changed_dicts.add(one)
            self.statements.environment.pop(entry_name(one, key), None)
        for one in (base, *others):
            self.outdated |= {copy for copy, other in self.made.items() if other.copied is one}
            for value in () if bound is None else values_of(bound):
                self.uses.store(one, key, value, loops)

    def _length(self, node: ast.expr) -> Value | None:
        """D of `np.zeros(D)`, where a name stands for it."""
        match node:
            case (
                ast.Call(func=function, args=[ast.Name(id=name)])
                | ast.Call(func=function, args=[ast.Tuple(elts=[ast.Name(id=name)])])
            ):
                path = dotted_path(self.module, function, frozenset(self.environment))
                bound = self.environment.get(name)
                return bound if path in ("numpy.zeros", "numpy.ones") and isinstance(bound, Value) else None
        return None

    def looked_up_setting(self, node: ast.Call, default: list[ast.expr]) -> Binding:
        """`d.get(key, default)`: a setting, through which no gradient goes; one number where its default is one, and as
        long as its default where that is `np.zeros(D)`."""
        assert isinstance(node.func, ast.Attribute)
        shown = self.aside().lower(node.func.value)
        if not isinstance(shown, Value):
            return Poison.at()
        base = self.origin(shown)
        key = self.aside().static(self.aside().lower(node.args[0])) if not self.runs(node.args[0]) else None
        if key is not None and isinstance(key.value, str):
            made = self.made.get(base)
            if (base, key.value) in self.written:
                now = self.statements.environment.get(entry_name(base, key.value))
                if now is not None:
                    self.lower(node.func.value)
                    return now
            elif made is not None and key.value in made.exact:
                self.lower(node.func.value)
                return made.exact[key.value]
        out = self.kept(node)
        if isinstance(out, Poison):
            return out
        keys = frozenset({key.value}) if key is not None and isinstance(key.value, str) else None
        self._used(base, keys, span_of(self.module, node))
        if base not in self.made:
            self.uses.hidden.append(Hidden(base, span_of(self.module, node)))
        number = static_number(default[0], self.module) if default else None
        if default and isinstance(default[0], ast.Constant) and isinstance(default[0].value, str):
            return out
        # Without a number as its default it may be an array as well.
        kind = "anything" if number is None else "integer" if isinstance(number, int) else "number"
        setting = Value("", Type.open("setting"))
        # It may be the default itself, and what was read under the key before.
        shared = [one for one in self.statements.body[-1].operands() if one is not shown]
        step = self.statements.body.pop()
        assert isinstance(step, Relation)
        attrs: dict[str, Attribute] = {**step.attrs, "holds": kind}
        length = self._length(default[0]) if default else None
        if length is not None and length in step.args:
            attrs |= {"holds": "vector", "length": length}
        if isinstance(node.args[0], ast.Constant) and isinstance(node.args[0].value, str):
            attrs["key"] = node.args[0].value
        self.emit(Relation((setting,), "opaque", step.args, attrs, None, span_of(self.module, node)), view=False)
        self._same_entry(setting, base, keys, shared)
        return setting

    def _same_entry(self, value: Value, base: Value, keys: frozenset[str] | None, others: Sequence[Value] = ()) -> None:
        """A setting may share memory with what has been read under the same key before."""
        earlier = [one for (dict_, key), one in self.looked_up.items() if dict_ is base and (not keys or key in keys)]
        self.statements.buffers.joined(value, [value, *earlier, *others])
        for key in keys or ():
            self.looked_up.setdefault((base, key), value)

    def kept(self, node: ast.expr) -> Value:
        """An expression that is kept as it is written."""
        raise NotImplementedError

    def runs(self, index: ast.expr) -> bool:
        """Whether a key is put together when the program runs."""
        raise NotImplementedError
