"""Calls: of gates, as functions and as methods, and of other functions of the same file."""

from __future__ import annotations

import ast
from collections.abc import Callable, Mapping

from flatgrad.diagnostics import Diagnostic
from flatgrad.frontend.environment import Binding, Emit, Lowered, Poison, Structure
from flatgrad.frontend.expressions import ExpressionLowering
from flatgrad.frontend.source import Module, dotted_path
from flatgrad.gates.binding import Bound, Unbindable, bind
from flatgrad.gates.entry import BY_PATH, TABLE
from flatgrad.ir.core import Attribute, Call, Literal, Operand, Relation, Span, Type, Value, with_values

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


class CallLowering(ExpressionLowering):
    """Lowers expressions with the calls in them. `callee` gives another function of the file, lowered; a function of
    `inlined` is a gate under a name of its own, and its relations stand in the place of the call."""

    def __init__(
        self,
        module: Module,
        callee: Callable[[str], Lowered],
        inlined: frozenset[str],
        environment: Mapping[str, Binding],
        names: dict[Span, Value],
        emit: Emit,
        errors: list[Diagnostic],
    ) -> None:
        super().__init__(module, environment, names, emit, errors)
        self.callee = callee
        self.inlined = inlined

    def call(self, node: ast.Call) -> Binding:
        for argument in node.args:
            if isinstance(argument, ast.Starred):
                return self.error("FG030", "a starred argument is not understood yet", argument)
        if any(keyword.arg is None for keyword in node.keywords):
            return self.error("FG030", "** in a call is not understood yet", node)
        path = dotted_path(self.module, node.func, frozenset(self.environment))
        if (
            isinstance(node.func, ast.Name)
            and node.func.id in self.module.functions
            and node.func.id not in self.environment
        ):
            return self._local_call(node, node.func.id)
        if path is not None:
            return self._gate_call(node, path)
        if isinstance(node.func, ast.Attribute):
            return self._method_call(node, node.func)
        function = self.lower(node.func)
        if isinstance(function, Poison):
            return function
        return self.error("FG022", f"{ast.unparse(node.func)} is not a function that flatgrad can see", node.func)

    def _index_item(self, node: ast.expr) -> Attribute:
        match node:
            case ast.Call(func=function, args=[count], keywords=[]) if self._path(function) == "builtins.range":
                # NumPy reads `x[range(N), y]` as `x[np.arange(N), y]`
                arange = bind("numpy.arange", [self.lower(count)], {}, lambda one: isinstance(one, Structure))
                return self.attribute(self.apply_gate(arange, node, {}, self._span(node)), node)
        return super()._index_item(node)

    def _method_call(self, node: ast.Call, function: ast.Attribute) -> Binding:
        receiver = self.as_operand(self.lower(function.value), function.value)
        if isinstance(receiver, Poison):
            return receiver
        return self._bound_call(node, f".{function.attr}", (receiver,), function)

    def _gate_call(self, node: ast.Call, path: str) -> Binding:
        special = _SPECIAL_CALLS.get(path)
        if special is not None and not node.keywords and len(node.args) == 1:
            return self._shape_call(node, special, node.args[0])
        return self._bound_call(node, path, (), node.func)

    def _bound_call(self, node: ast.Call, path: str, leading: tuple[Operand, ...], place: ast.expr) -> Binding:
        spoken = ast.unparse(place)
        if path not in BY_PATH:
            return self.error(
                "FG021",
                f"no gate for {spoken}",
                place,
                "its gradient is not known to flatgrad",
                "`flatgrad gates` lists what is understood",
            )
        arguments: list[Binding] = [*leading, *(self.lower(argument) for argument in node.args)]
        keywords = {keyword.arg: self.lower(keyword.value) for keyword in node.keywords if keyword.arg}
        everything = [*arguments, *keywords.values()]
        if any(isinstance(argument, Poison) for argument in everything):
            return Poison.at()
        try:
            bound = bind(path, arguments, keywords, lambda one: isinstance(one, Structure))
        except Unbindable as error:
            return self.error(
                "FG023",
                f"this form of {spoken} is not understood",
                node,
                str(error),
                "`flatgrad gates` lists the forms that are",
            )
        nodes = {id(value): argument for value, argument in zip(arguments[len(leading) :], node.args, strict=True)}
        nodes |= {id(keywords[k.arg]): k.value for k in node.keywords if k.arg}
        return self.apply_gate(bound, node, nodes, self._span(node))

    def apply_gate(
        self, bound: Bound[Binding], node: ast.expr, nodes: Mapping[int, ast.expr], span: Span | None
    ) -> Binding:
        """The relation that a bound call stands for; several results come as a Structure."""
        gate = bound.gate
        operands: list[Operand] = []
        attrs: dict[str, Attribute] = {}
        for name in gate.operands:
            if name in bound.spelling.starred:
                operands.extend(self.as_operand(one, nodes.get(id(one), node)) for one in bound.rest)
            elif name == "xs" and name in bound.operands:
                sequence = bound.operands[name]
                if not isinstance(sequence, Structure):
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
        return self._relation(gate.name, tuple(operands), attrs, span, gate.view)

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

    def _local_call(self, node: ast.Call, name: str) -> Binding:
        callee = self.callee(name)
        parameters = [value.name for value in callee.function.block.params]
        arguments: dict[str, Operand] = {}
        if len(node.args) > len(parameters):
            return self.error("FG024", f"{name} takes {len(parameters)} arguments", node)
        for parameter, argument in zip(parameters, node.args, strict=False):
            arguments[parameter] = self.operand(argument)
        for keyword in node.keywords:
            assert keyword.arg is not None
            if keyword.arg not in parameters or keyword.arg in arguments:
                return self.error("FG024", f"{name} has no parameter {keyword.arg} left", node)
            arguments[keyword.arg] = self.operand(keyword.value)
        defaults = defaults_of(callee.node)
        for parameter in parameters:
            if parameter in arguments:
                continue
            if parameter not in defaults:
                return self.error("FG024", f"{name} needs {parameter}", node)
            # A default is evaluated where the function is defined: it sees nothing of the caller.
            there = CallLowering(self.module, self.callee, self.inlined, {}, {}, self.emit, self.errors)
            default = there.operand(defaults[parameter])
            # Nor may the name of a constant stand for something else here.
            arguments[parameter] = (
                Literal(default.value, repr(default.value)) if isinstance(default, Literal) else default
            )
        ordered = tuple(arguments[parameter] for parameter in parameters)
        if any(isinstance(operand, Poison) for operand in ordered):
            return Poison.at()
        outs = tuple(Value("", Type.open(name)) for _ in callee.results)
        if name in self.inlined:
            self._inline(callee, ordered, outs, self._span(node))
        else:
            params = callee.function.block.params
            shares = any(callee.roots[result.value] & set(params) for result in callee.results)
            changed = [p.name for p in params if p in callee.overwritten]
            if changed:
                return self.error(
                    "FG042",
                    f"{name} changes its argument {', '.join(changed)}",
                    node,
                    "a helper that writes into what it is given is not understood yet",
                    "let it write into a copy",
                )
            self.emit(Call(outs, name, ordered, None, self._span(node)), view=shares)
        return outs[0] if len(outs) == 1 else Structure(outs, False, self._span(node))

    def _inline(self, callee: Lowered, operands: tuple[Operand, ...], outs: tuple[Value, ...], span: Span) -> None:
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
            entry = TABLE.get(step.gate)
            self.emit(
                Relation(fresh, step.gate, args, attrs, None, span if final else None),
                view=entry is not None and entry.view,
            )


def defaults_of(node: ast.FunctionDef) -> dict[str, ast.expr]:
    """The default of each parameter that has one."""
    arguments = node.args
    positional = [*arguments.posonlyargs, *arguments.args]
    found = dict(
        zip([a.arg for a in positional[len(positional) - len(arguments.defaults) :]], arguments.defaults, strict=True)
    )
    for argument, default in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True):
        if default is not None:
            found[argument.arg] = default
    return found
