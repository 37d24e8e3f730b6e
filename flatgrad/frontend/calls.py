"""Calls: of gates, as methods and under other names, and of other functions of the same file."""

from __future__ import annotations

import ast
from collections.abc import Mapping, Sequence

from flatgrad.analysis import useful
from flatgrad.diagnostics import Refused
from flatgrad.frontend.closures import Argument, altering_decorator
from flatgrad.frontend.closures import defaults_of as defaults_of
from flatgrad.frontend.constants import CONSTANTS
from flatgrad.frontend.environment import Binding, Closure, Dictionary, Lowered, Poison, Static, Structure, values_of
from flatgrad.frontend.gate_calls import GateCallLowering
from flatgrad.frontend.helpers import is_unbroadcast
from flatgrad.frontend.source import dotted_path
from flatgrad.frontend.strings import method_result
from flatgrad.gates.entry import BY_PATH, OWN
from flatgrad.ir.core import Call, Literal, Operand, Relation, Span, Type, Value, with_values

_AS_A_PAIR = (
    "let forward return its results and a cache, and backward take their gradients and the cache, and return\n"
    "gradients named after the parameters: `return dx, dw`"
)


class CallLowering(GateCallLowering):
    """Lowers expressions with the calls in them. `callee` gives another function of the file, lowered; a function of
    `inlined` is a gate under a name of its own, and its relations stand in the place of the call."""

    def call(self, node: ast.Call) -> Binding:
        path = dotted_path(self.module, node.func, frozenset(self.environment))
        match node.func:
            case ast.Name(id=name) if name in self.module.functions and name not in self.environment:
                path = f"{OWN}.{name}"
                summed = self._summed_down(node, name)
                if summed is not None:
                    return summed
                if path not in BY_PATH:
                    return self._with_arguments(
                        node, lambda given, named: self._local_call(node, name, given, named)
                    )  # fmt: skip
        if path is not None and path not in BY_PATH:
            nowhere = self.leads_nowhere(path.replace(".__init__", ""), node.func)
            if nowhere is not None:
                return nowhere
            called = self.module.borrowed.called.get(path)
            if called is not None:
                return self._with_arguments(node, lambda given, named: self._local_call(node, called, given, named))
        if path is not None:
            return self._gate_call(node, path)
        if isinstance(node.func, ast.Attribute):
            return self._method_call(node, node.func)
        function = self.lower(node.func)
        if isinstance(function, Poison):
            return function
        return self._with_arguments(node, lambda given, named: self.applied(function, given, named, node))

    def _summed_down(self, node: ast.Call, name: str) -> Binding | None:
        """`unbroadcast(dy, x.shape)` of a module that the compiler wrote; None for any other call."""
        if len(node.args) != 2 or node.keywords or not is_unbroadcast(self.module.functions[name]):
            return None
        gradient, shape = self.operand(node.args[0]), self.lower(node.args[1])
        like = self._shapes.get(shape) if isinstance(shape, Value) else None
        if isinstance(gradient, Poison) or isinstance(shape, Poison):
            return Poison.at()
        if like is None or not isinstance(gradient, Value):
            return None
        return self._relation("unbroadcast", (gradient, like), {}, self.place(node))

    def applied(
        self,
        function: Binding,
        positional: Sequence[Argument],
        keywords: Mapping[str, Argument],
        node: ast.Call,
    ) -> Binding:
        match function:
            case Poison():
                return function
            case Closure():
                return self.written_out(function, positional, keywords, node)
            case Static(path=path) if path in self.module.methods:
                return self._own_method(node, path, positional, keywords)
            case Static(path=path) if path in self.module.functions:
                return self._local_call(node, path, positional, keywords)
            case Static(path=path) if path not in CONSTANTS:
                return self._bound_call(node, path, (), node.func, positional, keywords)
        return self.error("FG022", f"{ast.unparse(node.func)} is not a function that flatgrad can see", node.func)

    def _method_call(self, node: ast.Call, function: ast.Attribute) -> Binding:
        base = self.lower(function.value)
        literal = self.static(base)
        if isinstance(base, Structure | Dictionary):
            return self.container_method(node, base, function.attr)
        if literal is not None and isinstance(literal.value, str):
            text = literal.value
            return self._with_arguments(node, lambda given, named: self._text_method(node, text, given, named))
        receiver = self.as_operand(base, function.value)
        if isinstance(receiver, Poison):
            return receiver
        return self._with_arguments(
            node, lambda given, named: self._bound_call(node, f".{function.attr}", (receiver,), function, given, named)
        )

    def _text_method(
        self, node: ast.Call, text: str, given: Sequence[Argument], named: Mapping[str, Argument]
    ) -> Binding:
        assert isinstance(node.func, ast.Attribute)
        literals = [self.static(bound) for bound, _ in (*given, *named.values())]
        if None in literals:
            return self.dynamic_string(node)
        values = [literal.value for literal in literals if literal is not None]
        keywords: dict[str, object] = dict(zip(named, values[len(given) :], strict=True))
        result = method_result(text, node.func.attr, values[: len(given)], keywords)
        if result is None:
            return self.error("FG021", f"the method {node.func.attr} of a string is not understood", node.func)
        return Literal(result, repr(result))

    def applied_to(
        self, node: ast.Call, path: str, first: Value, given: Sequence[Argument], named: Mapping[str, Argument]
    ) -> Binding:
        """The call of a gate with this as its first argument."""
        return self._bound_call(node, path, (first,), node.func, given, named)

    def _local_call(
        self, node: ast.Call, name: str, given: Sequence[Argument], named: Mapping[str, Argument]
    ) -> Binding:
        """A call of a function of the same file: a step of its own, which has a backward pass of its own.

        Given containers or functions, or where the call has no place of its own in the text, its relations stand in
        the place of the call.
        """
        place = self.place(node)
        borrowed = self.module.borrowed
        if name in borrowed.unmatched:
            reason = borrowed.unmatched[name]
            if name.endswith("_forward"):
                return self.error(
                    "FG027", f"the backward function of {name} cannot be called", node, reason, _AS_A_PAIR
                )
            self.note("FG027", f"the backward function of {name} is not called, it is derived here", node, reason)
        if name in borrowed.pairs:
            given, named = self._as_given(given), dict(zip(named, self._as_given(list(named.values())), strict=True))
        if name.endswith("_forward"):
            given = [(self._as_dict(bound, argument), argument) for bound, argument in given]
            named = {key: (self._as_dict(bound, argument), argument) for key, (bound, argument) in named.items()}
        arguments = [bound for bound, _ in (*given, *named.values())]
        written = place is None or self.inside or "(" in ast.unparse(node.func)
        handed = any(not self._is_plain(bound) for bound in arguments)
        if handed or (written and name not in self.inlined):
            sizes = self._sizes_given(node, name, given, named)
            if sizes is not None:
                return sizes
        if handed or (written and name not in self.inlined):
            if name.endswith("_forward") or name in borrowed.pairs:
                return self.error(
                    "FG039",
                    f"{name} cannot be called here",
                    node,
                    "it becomes a pair that hands out its cache",
                    "call it in a statement of its own, with numbers and arrays",
                )
            if altering_decorator(self.module.functions[name]) is not None:
                return self.error("FG030", f"what the decorator makes of {name} is not known", node, "", "take it away")
            return self.written_out(self.module_function(name), given, named, node)
        starred = self.module.functions[name].args
        if self._left_functions(name, given, named) or starred.vararg or starred.kwarg:
            return self.written_out(self.module_function(name), given, named, node)
        callee = self.callee(name)
        if len(callee.widths) > 1:
            few, *_, many = sorted(callee.widths)
            message = f"{name} returns {few} things on one way, and {many} on another"
            return self.error(
                "FG061", message, node, "", "let it return as many on every way, or call another function"
            )
        parameters = [value.name for value in callee.function.block.params]
        operands: dict[str, Operand] = {}
        if len(given) > len(parameters):
            return self.error("FG024", f"{name} takes {len(parameters)} arguments", node)
        for parameter, (bound, argument) in zip(parameters, given, strict=False):
            operands[parameter] = self.as_operand(bound, argument)
        for parameter, (bound, argument) in named.items():
            if parameter not in parameters or parameter in operands:
                return self.error("FG024", f"{name} has no parameter {parameter} left", node)
            operands[parameter] = self.as_operand(bound, argument)
        defaults = defaults_of(callee.node)
        for parameter in parameters:
            if parameter in operands:
                continue
            if parameter not in defaults:
                return self.error("FG024", f"{name} needs {parameter}", node)
            # A default is evaluated where the function is defined: it sees nothing of the caller.
            default = self.at_top().operand(defaults[parameter])
            # Nor may the name of a constant stand for something else here.
            operands[parameter] = (
                Literal(default.value, repr(default.value)) if isinstance(default, Literal) else default
            )
        ordered = tuple(operands[parameter] for parameter in parameters)
        if any(isinstance(operand, Poison) for operand in ordered):
            return Poison.at()
        outs = tuple(Value("", Type.open(name)) for _ in callee.results)
        if name in self.inlined:
            self._inline(callee, ordered, outs, place)
        else:
            params = callee.function.block.params
            shares = any(callee.roots[result.value] & set(params) for result in callee.results)
            changed = [
                param.name
                for param, operand in zip(params, ordered, strict=True)
                if param in callee.overwritten and isinstance(operand, Value) and not self.may_change(operand)
            ]
            if changed:
                return self.error(
                    "FG042",
                    f"{name} changes its argument {', '.join(changed)}",
                    node,
                    "what it is given is read afterwards, or is seen under another name",
                    f"hand it a copy, as in `{name}(x.copy())`, or let it write into one",
                )
            reaching = useful(callee.function.block, frozenset(result.value for result in callee.results))
            passing = frozenset(position for position, param in enumerate(params) if param in reaching)
            if name in borrowed.pairs:
                # What its backward function says counts: it may let a gradient through that forward does not.
                given_back = {one.parameter for one in borrowed.pairs[name].gradients}
                passing |= {position for position, param in enumerate(params) if param.name in given_back}
            self.emit(Call(outs, name, ordered, None, place, callee.effects, passing), view=shares)
            for param, operand in zip(params, ordered, strict=True):
                for dict_, key in callee.written:
                    if dict_ is param and isinstance(operand, Value):
                        others = [one for one in ordered if isinstance(one, Value) and one is not operand]
                        self.entry_changed(operand, key, others)
        if callee.width == 1:
            return outs[0]
        # What is left out of the results is the callee's own backward matter: a thing that can only be handed on.
        items: list[Binding] = [Static(f"{OWN}.cache of {name}")] * callee.width
        for result, out in zip(callee.results, outs, strict=True):
            items[result.position] = out
        return Structure(tuple(items), False, self._span(node))

    def _sizes_given(
        self, node: ast.Call, name: str, given: Sequence[Argument], named: Mapping[str, Argument]
    ) -> Binding | None:
        """What a helper with ways to choose from gives, where that is nothing but integers: the call stays a call."""
        if not any(isinstance(part, ast.If | ast.For | ast.While) for part in ast.walk(self.module.functions[name])):
            return None
        try:
            callee = self.callee(name)
        except Refused:
            return None
        params = [param.name for param in callee.function.block.params]
        changed = callee.changed_dicts or any(param in callee.overwritten for param in callee.function.block.params)
        if not callee.sizes or callee.effects or changed or set(named) - set(params) or len(given) > len(params):
            return None
        operands: list[Value] = []
        texts: list[str] = []
        for keyword, (bound, _) in (*(("", one) for one in given), *named.items()):
            text = _handed(bound, operands)
            if text is None:
                return None
            texts.append(f"{keyword}={text}" if keyword else text)
        call = f"{name}({', '.join(texts)})"
        items: list[Binding] = []
        for position, holds in enumerate(callee.sizes):
            text = call if callee.width == 1 else f"{call}[{position}]"
            out = self._relation("opaque", tuple(operands), {"text": text, "holds": holds}, None)
            if holds == "shape":
                self.shapes.add(out)
            items.append(out)
        return items[0] if callee.width == 1 else Structure(tuple(items), False, self._span(node))

    def _left_functions(self, name: str, given: Sequence[Argument], named: Mapping[str, Argument]) -> bool:
        """Whether a parameter that a call leaves out has a function as its default: `activation=np.tanh`."""
        node = self.module.functions[name]
        if not node.args.defaults and not any(node.args.kw_defaults):
            return False
        places = [one.arg for one in (*node.args.posonlyargs, *node.args.args)]
        left = [one for one in defaults_of(node) if one not in named and one not in places[: len(given)]]
        bound = [self.at_top().aside().lower(defaults_of(node)[one]) for one in left]
        return any(isinstance(one, Closure) or (isinstance(one, Static) and not self._is_plain(one)) for one in bound)

    def _own_method(
        self, node: ast.Call, path: str, positional: Sequence[Argument], keywords: Mapping[str, Argument]
    ) -> Binding:
        """A call of another method of the object, which reads the attributes as they are now."""
        attributes = {name: self.environment.get(name) for name in self.module.methods[path].attributes}
        missing = [name for name, bound in attributes.items() if bound is None]
        if missing:
            return self.error("FG020", f"{missing[0]} is read before it is bound", node)
        given = {name: (bound, node.func) for name, bound in attributes.items() if bound is not None}
        return self._local_call(node, path, positional, {**keywords, **given})

    def _as_given(self, arguments: Sequence[Argument]) -> list[Argument]:
        """Arguments of a function that is not looked into: what holds no value of the program is a setting."""
        settings = (Dictionary, Structure, Closure, Static)
        return [
            (Literal(None, "None"), node)
            if isinstance(bound, settings) and not any(values_of(bound))
            else (bound, node)
            for bound, node in arguments
        ]

    def _as_dict(self, bound: Binding, node: ast.expr) -> Binding:
        """A dict that is known element by element, as one value that a function can be given."""
        if not isinstance(bound, Dictionary) or not bound.items:
            return bound
        if not all(isinstance(key, str) and isinstance(item, Value | Literal) for key, item in bound.items):
            return bound
        items = tuple(item for _, item in bound.items if isinstance(item, Value | Literal))
        keys = tuple(str(key) for key, _ in bound.items)
        return self._relation("dict_of", items, {"keys": keys}, None)

    def _is_plain(self, bound: Binding) -> bool:
        """Whether an argument is a number, an array, or a display of constants, which is read as an array."""
        match bound:
            case Value() | Literal():
                return True
            case Structure(items=items, once=False):
                return all(isinstance(item, Literal | Structure) and self._is_plain(item) for item in items)
            case Static(path=path):
                return path in CONSTANTS
        return False

    def may_change(self, value: Value) -> bool:
        """Whether the function that is about to be called may write into a value: nobody reads it afterwards."""
        return False

    def entry_changed(self, base: Value, key: str, others: Sequence[Value]) -> None:
        """What a call that is about to be made writes into a dict that it is given; `others`: what else it is given."""

    def _inline(
        self, callee: Lowered, operands: tuple[Operand, ...], outs: tuple[Value, ...], span: Span | None
    ) -> None:
        """The callee's relations in place of the call: they have no text of their own but the last."""
        known: dict[Value, Operand] = dict(zip(callee.function.block.params, operands, strict=True))
        (result,) = callee.results

        def current(value: Value) -> Operand:
            return known.get(value, value)

        for step in callee.function.block.body:
            assert isinstance(step, Relation)
            final = result.value in step.outs
            fresh = outs if final else tuple(Value("", one.type) for one in step.outs)
            known.update(zip(step.outs, fresh, strict=True))
            args = tuple(known[arg] if isinstance(arg, Value) else arg for arg in step.args)
            attrs = {name: with_values(attribute, current) for name, attribute in step.attrs.items()}
            view = any(callee.roots[out] != frozenset((out,)) for out in step.outs)
            self.emit(Relation(fresh, step.gate, args, attrs, None, span if final else None), view)


def _handed(bound: Binding, operands: list[Value]) -> str | None:
    """What a function is given, with `_0`, `_1`, ... for values, which are added to the operands."""
    match bound:
        case Value():
            if bound not in operands:
                operands.append(bound)
            return f"_{operands.index(bound)}"
        case Literal(value=value):
            return repr(value)
        case Structure(items=items, is_list=is_list, once=False):
            texts = [_handed(item, operands) for item in items]
            inner = [text for text in texts if text is not None]
            if len(inner) < len(texts):
                return None
            return f"[{', '.join(inner)}]" if is_list else f"({', '.join(inner)}{',' * (len(inner) == 1)})"
    return None
