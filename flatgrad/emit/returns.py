"""The returns of forward: the results that are kept, and the cache."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from flatgrad.emit.hoisting import Hoisting
from flatgrad.frontend.environment import Result
from flatgrad.frontend.source import span_of
from flatgrad.ir.core import Span, Stage


class ReturnWriting(Hoisting):
    """Writes `return` statements."""

    def _return_lines(self, trailing: str, stage: Stage) -> list[str]:
        lines: list[str] = []
        body = list(self.before.get(stage, []))
        here = {result.position: result for result in self.lowered.returns.get(stage, ())}
        statement = self._statement(stage)
        several = self.lowered.width > 1 and isinstance(statement, ast.Return) and isinstance(statement.value, ast.Call)
        together: dict[Span, None] = {}
        values: dict[str, str] = {}
        for result, name in self.plan.results:
            span = here.get(result.position, result).span
            if several:  # `return affine(x, w)`
                together[span] = None
                continue
            text = self.edits.rendered(span)
            if text != name and self._keeps_other(result, name):
                values[name] = f"({text})"
            elif text != name:
                text = f"({text})" if "\n" in text else text
                lines.extend(f"{name} = {text}{trailing}".split("\n"))
        for span in together:
            lines.extend(self._unpacked(span, trailing))
        lines = [*body, *lines, *self.after.get(stage, [])]
        cached = self.plan.cache
        if len(self.lowered.returns) > 1:
            before = self._stages_before(stage)
            # A parameter is there from the beginning, whatever else its name is bound to further down.
            given = {value.name for value in self.lowered.function.block.params}
            cached = tuple(
                name if name in given or not (at := self.plan.bound_at.get(name)) or at & before else "None"
                for name in cached
            )
        returned = ", ".join([values.get(name, name) for _, name in self.plan.results])
        lines.append(f"return {returned}, {_tuple_text(cached)}{trailing if values else ''}")
        return lines

    def _keeps_other(self, result: Result, name: str) -> bool:
        """Whether the cache has something else under the name of a result, which one of several returns must leave."""
        return len(self.lowered.returns) > 1 and name in self.plan.cache and result.value not in self.residuals.kept

    def _unpacked(self, span: Span, trailing: str) -> list[str]:
        """What a call gives at once, under the names of the results; `_` for one that falls away."""
        named = {result.position: name for result, name in self.plan.results}
        text = self.edits.rendered(span)
        if text == f"({', '.join(named.get(position, 'None') for position in range(self.lowered.width))})":
            return []
        targets = [named.get(position, "_") for position in range(self.lowered.width)]
        return f"{', '.join(targets)} = {text}{trailing}".split("\n")

    def _stages_before(self, stage: Stage) -> set[Stage]:
        """The stages that lie on the way to a return."""
        found: set[Stage] = set()

        def search(statements: list[ast.stmt]) -> bool:
            seen: list[Stage] = []
            for statement in statements:
                own = self.stages.get(span_of(self.module, statement))
                if own is not None:
                    seen.append(own)
                if own is stage:
                    found.update(seen)
                    return True
                arms = (
                    [statement.body, statement.orelse]
                    if isinstance(statement, ast.If)
                    else [statement.body]
                    if isinstance(statement, ast.With)
                    else []
                )
                if any(search(arm) for arm in arms):
                    found.update(seen)
                    return True
                seen += [
                    inner
                    for part in _running_on(statement)
                    if (inner := self.stages.get(span_of(self.module, part))) is not None
                ]
            return False

        search(self.lowered.node.body)
        return found


def _running_on(statement: ast.stmt) -> Iterator[ast.stmt]:
    """A statement and those inside it, without the arms of branches that leave the function."""
    yield statement
    for field in ("body", "orelse"):
        inner: list[ast.stmt] = getattr(statement, field, [])
        if inner and not isinstance(inner[-1], ast.Return | ast.Raise):
            for one in inner:
                yield from _running_on(one)


def _tuple_text(names: tuple[str, ...]) -> str:
    if len(names) == 1:
        return names[0]
    return "(" + ", ".join(names) + ")"
