"""Calls: of gates, as functions and as methods, and of other functions of the same file."""

from __future__ import annotations

import ast
from collections.abc import Callable, Mapping, Sequence

from flatgrad.analysis import useful
from flatgrad.frontend.closures import Argument, ClosureLowering, altering_decorator
from flatgrad.frontend.closures import defaults_of as defaults_of
from flatgrad.frontend.comprehending import is_scalar
from flatgrad.frontend.constants import CONSTANTS, FOLDED, folded_call
from flatgrad.frontend.environment import Binding, Closure, Dictionary, Lowered, Poison, Static, Structure, values_of
from flatgrad.frontend.helpers import is_unbroadcast
from flatgrad.frontend.source import dotted_path
from flatgrad.frontend.standardised import standardised
from flatgrad.frontend.strings import method_result
from flatgrad.gates.binding import Bound, Unbindable, bind
from flatgrad.gates.entry import BY_PATH, OWN
from flatgrad.ir.core import Attribute, Call, Literal, Operand, Relation, Span, Type, Value, with_values

_ON_ITS_OWN = "draw it in a statement of its own"

# How many results a gate has, None where an attribute decides.
_SEVERAL: dict[str, int | None] = {
    "slogdet": 2,
    "tril_indices": 2,
    "triu_indices": 2,
    "split": None,
    "array_split": None,
    "hsplit": None,
    "vsplit": None,
    "dsplit": None,
}

_SPECIAL_CALLS = {
    "numpy.shape": "shape",
    "numpy.ndim": "ndim",
    "numpy.size": "size",
    "builtins.len": "len",
}


_AS_A_PAIR = (
    "let forward return its results and a cache, and backward take their gradients and the cache, and return\n"
    "gradients named after the parameters: `return dx, dw`"
)


class CallLowering(ClosureLowering):
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

    def _with_arguments(
        self, node: ast.Call, applied: Callable[[list[Argument], dict[str, Argument]], Binding]
    ) -> Binding:
        """The result for the arguments of a call, those with stars taken apart."""
        given: list[Argument] = []
        named: dict[str, Argument] = {}
        for argument in node.args:
            if not isinstance(argument, ast.Starred):
                given.append((self.lower(argument), argument))
                continue
            whole = self._starred_shape(node, argument.value)
            if whole is not None:
                given.append((whole, argument.value))
                continue
            items = self.iterated(argument.value)
            if items is None:
                return Poison.at()
            given.extend((item, argument.value) for item in items)
        for keyword in node.keywords:
            bound = self.lower(keyword.value)
            if keyword.arg is not None:
                named[keyword.arg] = (bound, keyword.value)
            elif isinstance(bound, Dictionary):
                named |= {str(key): (value, keyword.value) for key, value in bound.items}
            elif not isinstance(bound, Poison):
                return self.error("FG030", "what is in this dict is known only when the program runs", keyword.value)
        everything = [bound for bound, _ in (*given, *named.values())]
        if any(isinstance(bound, Poison) for bound in everything):
            return Poison.at()
        return applied(given, named)

    def _starred_shape(self, node: ast.Call, argument: ast.expr) -> Binding | None:
        """What a draw is given as `*x.shape`, and as nothing else: the shape as a whole."""
        if len(node.args) > 1 or not isinstance(node.func, ast.Attribute | ast.Name):
            return None
        path = self._path(node.func) or (f".{node.func.attr}" if isinstance(node.func, ast.Attribute) else "")
        if not any(gate.effect and "shape" in spelling.starred for gate, spelling in BY_PATH.get(path, [])):
            return None
        probe = self.aside()
        if not probe.is_shape(probe.lower(argument)):
            return None
        return self.lower(argument)

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

    def _index_item(self, node: ast.expr) -> Attribute:
        match node:
            case ast.Call(func=function, args=[inner], keywords=[]) if self._path(
                function
            ) == "builtins.list" and isinstance(self.lower(inner), Value):
                # NumPy reads `x[rows, list(y)]` as `x[rows, y]`
                return super()._index_item(inner)
            case ast.Call(func=function, args=[count], keywords=[]) if self._path(function) == "builtins.range":
                # NumPy reads `x[range(N), y]` as `x[np.arange(N), y]`
                arange = bind("numpy.arange", [self.lower(count)], {}, is_sequence)
                return self.attribute(self.apply_gate(arange, node, {}, self.place(node)), node)
        return super()._index_item(node)

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

    def _gate_call(self, node: ast.Call, path: str) -> Binding:
        special = _SPECIAL_CALLS.get(path)
        if special is not None and not node.keywords and len(node.args) == 1:
            return self._shape_call(node, special, node.args[0])
        if path == "numpy.size" and not node.keywords and len(node.args) == 2:
            return self._size_along(node, node.args[0], node.args[1])
        if path == "numpy.result_type" and not node.keywords:
            return self._with_arguments(node, lambda given, named: self._result_type(node, given))
        through = self.through("builtins.sum" if self._adds_numbers(path, node) else path, node)
        if through is not None:
            return through
        standard = standardised(path, node, self.module.imports)
        if standard is not None:
            closure = Closure(standard, {}, self.frames)
            return self._with_arguments(node, lambda given, named: self.written_out(closure, given, named, node))
        known = path in BY_PATH or path in FOLDED or path == "builtins.str"
        found = self._with_arguments(
            node, lambda given, named: self._bound_call(node, path, (), node.func, given, named)
        )  # fmt: skip
        place = self._span(node.func)
        if isinstance(found, Poison) and not known and not any(error.span == place for error in self.errors):
            # Not looked at, as an argument is refused already: it would be refused next.
            return self._no_gate(node.func)
        return found

    def _adds_numbers(self, path: str, node: ast.Call) -> bool:
        """`np.sum([np.sum(W * W) for W in weights])` is `sum` of them."""
        match node:
            case ast.Call(args=[ast.ListComp(elt=element)], keywords=[]) if path == "numpy.sum":
                return is_scalar(self.module, element)
        return False

    def _size_along(self, node: ast.Call, array: ast.expr, along: ast.expr) -> Binding:
        """`np.size(x, 0)`"""
        operand, axis = self.operand(array), self.static(self.lower(along))
        if isinstance(operand, Poison):
            return operand
        if axis is None or not isinstance(axis.value, int) or not isinstance(operand, Value):
            return self.error("FG023", "this form of np.size is not understood", node, "", "write `x.shape[axis]`")
        return self._relation("dim", (operand,), {"axis": axis.value, "rank": None}, self.place(node))

    def _result_type(self, node: ast.Call, given: Sequence[Argument]) -> Binding:
        """`np.result_type(x, 0.0)`: a dtype, which only settles that of another array."""
        operands = [self.as_operand(bound, argument) for bound, argument in given]
        if any(isinstance(operand, Poison) for operand in operands):
            return Poison.at()
        values = [operand for operand in operands if isinstance(operand, Value)]
        literals = [operand for operand in operands if isinstance(operand, Literal)]
        texts = [f"_{values.index(one)}" if isinstance(one, Value) else one.text for one in operands]
        attrs: dict[str, Attribute] = {"text": f"{ast.unparse(node.func)}({', '.join(texts)})", "holds": "dtype"}
        if any(isinstance(one.value, float) for one in literals):
            attrs["floating"] = True
        return self._relation("opaque", tuple(values), attrs, self.place(node))

    def _no_gate(self, place: ast.expr) -> Poison:
        spoken = ast.unparse(place)
        return self.error(
            "FG021",
            f"no gate for {spoken}",
            place,
            "its gradient is not known to flatgrad",
            "`flatgrad gates` lists what is understood; a gate of your own is declared as in docs/your-own-gates.md",
        )

    def _bound_call(
        self,
        node: ast.Call,
        path: str,
        leading: tuple[Operand, ...],
        place: ast.expr,
        given: Sequence[Argument] | None = None,
        named: Mapping[str, Argument] | None = None,
    ) -> Binding:
        """The relation of a gate; the arguments are those of the call where none are given."""
        if given is None or named is None:
            return self._with_arguments(node, lambda g, n: self._bound_call(node, path, leading, place, g, n))
        spoken = ast.unparse(place)
        literals = [literal for bound, _ in given if (literal := self.static(bound)) is not None]
        if path in FOLDED and len(literals) == len(given) and not named and not leading:
            result = folded_call(path, [literal.value for literal in literals], ast.unparse(node))
            if result is not None:
                return result
        if path == "builtins.str":
            return self.dynamic_string(node)
        if path not in BY_PATH:
            return self._no_gate(place)
        arguments: list[Binding] = [*leading, *(bound for bound, _ in given)]
        try:
            bound = bind(path, arguments, {name: one for name, (one, _) in named.items()}, is_sequence)
        except Unbindable as error:
            return self.error(
                "FG023",
                f"this form of {spoken} is not understood",
                node,
                str(error),
                "`flatgrad gates` lists the forms that are",
            )
        nodes = {id(value): argument for value, argument in (*given, *named.values())}
        return self.apply_gate(bound, node, nodes, self.place(node))

    def apply_gate(
        self, bound: Bound[Binding], node: ast.expr, nodes: Mapping[int, ast.expr], span: Span | None
    ) -> Binding:
        """The relation that a bound call stands for; several results come as a Structure."""
        gate = bound.gate
        if gate.effect and span is None:
            return self.error("FG039", "what is drawn here cannot be named", node, "", _ON_ITS_OWN)
        operands: list[Operand] = []
        attrs: dict[str, Attribute] = {}
        for name in gate.operands:
            if name in bound.spelling.starred:
                operands.extend(self.as_operand(one, nodes.get(id(one), node)) for one in bound.rest)
            elif name == "xs" and name in bound.operands:
                sequence = bound.operands[name]
                if not isinstance(sequence, Structure) or sequence.once:
                    return self.error(
                        "FG023",
                        f"{gate.name} is understood on a list or tuple display only",
                        nodes.get(id(sequence), node),
                        "",
                        "write the elements out: `[a, b]`",
                    )
                operands.extend(self._sequence(sequence, node))
            elif name in bound.operands:
                value = bound.operands[name]
                operands.append(self.as_operand(value, nodes.get(id(value), node)))
        if any(isinstance(operand, Poison) for operand in operands):
            return Poison.at()
        for name in gate.attributes:
            if name in bound.spelling.starred:
                parts = tuple(self.attribute(one, nodes.get(id(one), node)) for one in bound.rest)
                # `x.reshape(2, 3)` and `x.reshape((2, 3))` are one
                attrs[name] = parts[0] if len(parts) == 1 else parts
            elif name in bound.attributes:
                value = bound.attributes[name]
                attrs[name] = self.attribute(value, nodes.get(id(value), node))
            else:
                attrs[name] = bound.spelling.defaults.get(name, gate.attributes[name])
        if gate.name in _SEVERAL:
            return self._several(gate.name, tuple(operands), attrs, node, span, gate.view)
        # `x.astype(dtype, copy=False)` may be x itself.
        shares = gate.view or (gate.name == "astype" and attrs.get("copy") is False)
        return self._relation(gate.name, tuple(operands), attrs, span, shares)

    def _several(
        self,
        gate: str,
        operands: tuple[Operand, ...],
        attrs: Mapping[str, Attribute],
        node: ast.expr,
        span: Span | None,
        view: bool,
    ) -> Binding:
        count = _SEVERAL[gate]
        sections = attrs.get("sections")
        if count is None and isinstance(sections, int):
            count = sections
        elif count is None and isinstance(sections, tuple):
            count = len(sections) + 1
        if count is None:
            return self.error("FG023", f"{gate} is understood with a constant number of parts only", node)
        outs = tuple(Value("", Type.open(gate)) for _ in range(count))
        self.emit(Relation(outs, gate, operands, attrs, None, span), view=view)
        return Structure(outs, gate.endswith("split"), self._span(node))

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
        if any(not self._is_plain(bound) for bound in arguments) or (written and name not in self.inlined):
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
        if self._left_functions(name, given, named):
            return self.written_out(self.module_function(name), given, named, node)
        callee = self.callee(name)
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
            changed = [p.name for p in params if p in callee.overwritten]
            for param, operand in zip(params, ordered, strict=True):
                for dict_, key in callee.written:
                    if dict_ is param and isinstance(operand, Value):
                        self.entry_changed(operand, key)
            if changed:
                return self.error(
                    "FG042",
                    f"{name} changes its argument {', '.join(changed)}",
                    node,
                    "a helper that writes into what it is given is not understood yet",
                    "let it write into a copy",
                )
            reaching = useful(callee.function.block, frozenset(result.value for result in callee.results))
            passing = frozenset(position for position, param in enumerate(params) if param in reaching)
            if name in borrowed.pairs:
                # What its backward function says counts: it may let a gradient through that forward does not.
                given_back = {one.parameter for one in borrowed.pairs[name].gradients}
                passing |= {position for position, param in enumerate(params) if param.name in given_back}
            self.emit(Call(outs, name, ordered, None, place, callee.effects, passing), view=shares)
        if callee.width == 1:
            return outs[0]
        # What is left out of the results is the callee's own backward matter: a thing that can only be handed on.
        items: list[Binding] = [Static(f"{OWN}.cache of {name}")] * callee.width
        for result, out in zip(callee.results, outs, strict=True):
            items[result.position] = out
        return Structure(tuple(items), False, self._span(node))

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

    def entry_changed(self, base: Value, key: str) -> None:
        """What a call that is about to be made writes into a dict that it is given."""

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


def is_sequence(bound: Binding) -> bool:
    """Whether NumPy reads something as a sequence of operands."""
    return isinstance(bound, Structure) and not bound.once
