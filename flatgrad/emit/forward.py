"""The text of a forward function: the user's own statements, numbered, with the lines that backward needs named."""

from __future__ import annotations

import ast

from flatgrad.emit.forward_plan import ForwardPlan, ForwardText, copy_text
from flatgrad.emit.residuals import Residuals
from flatgrad.emit.statements import StatementWriting
from flatgrad.frontend.environment import Lowered
from flatgrad.frontend.methods import MARK
from flatgrad.frontend.source import Module, span_of, text_at
from flatgrad.ir.core import Value, bound_values, every_step


def write_forward(module: Module, lowered: Lowered, residuals: Residuals, plan: ForwardPlan) -> ForwardText:
    """Write the forward function."""
    return _ForwardWriter(module, lowered, residuals, plan).write()


class _ForwardWriter(StatementWriting):
    def write(self) -> ForwardText:
        for span, value in self.lowered.names.items():
            if self._label(text_at(self.module, span), value) is not None:
                self.edits.replace(span, self.names.get(value, value.name))
        self._edit_strings()
        self._edit_steps()
        self._check_claims()
        for hoist in self.residuals.hoists:
            if hoist.mask is not None:
                self.after.setdefault(hoist.stage, []).append(f"{hoist.name} = {self._mask_text(hoist.mask)}")
        heads = []
        producers = {out: step for step in every_step(self.lowered.function.block) for out in bound_values(step)}
        copies = [
            (value, name, self._copied(self.names.get(value, value.name), value))
            for value, name in self.residuals.copies.items()
        ]
        copies += [(value, name, self.names.get(value, value.name)) for value, name in self.plan.aside.items()]
        for value, name, text in copies:
            line = f"{name} = {text}"
            producer = producers.get(value)
            if producer is None or producer.stage is None:
                heads.append(line)
            else:
                self.after.setdefault(producer.stage, []).append(line)
        for stage, value in self.plan.floating.items():
            self.before.setdefault(stage, []).extend(
                _floating_guard(self.names.get(value, value.name) or self.lowered.places[value])
            )
        self._collect()
        lines = [*self.plan.guards, *heads, *self._body()]
        return ForwardText(
            self._signature(),
            ast.get_docstring(self.lowered.node),
            tuple(lines),
            tuple(name for _, name in self.plan.results),
            self.plan.cache,
        )

    def _copied(self, name: str, value: Value) -> str:
        copied = copy_text(name, value)
        return f"None if {name} is None else {copied}" if value in self.residuals.unbound else copied

    def _signature(self) -> str:
        """The parameters without annotations, their defaults as they were written."""
        node = self.lowered.node.args
        positional = [*node.posonlyargs, *node.args]
        defaults: dict[str, ast.expr] = dict(
            zip([a.arg for a in positional[len(positional) - len(node.defaults) :]], node.defaults, strict=True)
        )
        defaults |= {a.arg: d for a, d in zip(node.kwonlyargs, node.kw_defaults, strict=True) if d is not None}

        def text(argument: ast.arg) -> str:
            # That an attribute may be None stands nowhere.
            default = None if MARK in argument.arg else defaults.get(argument.arg)
            return (
                argument.arg
                if default is None
                else f"{argument.arg}={self.edits.rendered(span_of(self.module, default))}"
            )

        parts = [text(a) for a in node.posonlyargs]
        parts += ["/"] if node.posonlyargs else []
        parts += [text(a) for a in node.args]
        if node.vararg is not None:
            parts.append(f"*{node.vararg.arg}")
        elif node.kwonlyargs:
            parts.append("*")
        parts += [text(a) for a in node.kwonlyargs]
        parts += [f"**{node.kwarg.arg}"] if node.kwarg is not None else []
        return ", ".join(parts)


def _floating_guard(name: str) -> tuple[str, str]:
    """An array of integers would cut down what is written into it, without a word."""
    return f'if {name}.dtype.kind != "f":', f'    raise ValueError("{name} must hold floating-point numbers")'
