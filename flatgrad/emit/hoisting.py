"""The lines that forward gains for backward: parts of expressions with a name, checks, what rounds of loops keep."""

from __future__ import annotations

import ast
import keyword
import re
from collections.abc import Mapping

from flatgrad.emit.call_edits import CallEditing
from flatgrad.emit.claimed import claim_checks
from flatgrad.emit.forward_plan import copy_text
from flatgrad.emit.spell import literal, spell
from flatgrad.frontend.source import span_of
from flatgrad.ir.core import Branch, Call, Literal, Loop, Operand, Relation, Span, every_step


class Hoisting(CallEditing):
    """Adds lines, and puts names into the places of what they name."""

    def _edit_strings(self) -> None:
        """Names inside f-strings, which Python does not place well: where one changes, the string is rewritten."""
        for part in ast.walk(self.lowered.node):
            if not isinstance(part, ast.JoinedStr):
                continue
            inner = [one for one in ast.walk(part) if isinstance(one, ast.Name)]
            values = {one.id: self.lowered.names.get(span_of(self.module, one)) for one in inner}
            labels = {name: self._label(name, value) for name, value in values.items() if value is not None}
            changed = {name: label for name, label in labels.items() if label is not None}
            if changed:
                text = _Renaming(changed).visit(ast.parse(ast.unparse(part), mode="eval").body)
                self.edits.replace(span_of(self.module, part), ast.unparse(text))

    def _edit_steps(self) -> None:
        """Calls and hoists, in the order of evaluation: the inner ones are edited before the outer are read."""
        hoists = {hoist.value: hoist for hoist in self.residuals.hoists if hoist.value is not None}
        for step in every_step(self.lowered.function.block):
            if step.span is None or step.stage is None or isinstance(step, Loop):
                continue
            if isinstance(step, Call):
                self._edit_call(step)
            for out in step.outs:
                hoist = hoists.get(out)
                if hoist is None:
                    continue
                if isinstance(step, Relation | Branch):
                    text = self._on_one_line(self.edits.inner(step.span))
                    place = hoist.name
                    if isinstance(step, Relation) and step.gate == "array_of" and text[:1] in "[(":
                        text = f"{self.residuals.names.numpy}.array({text})"
                    if isinstance(step, Relation) and step.gate == "stacked" and _is_list(text):
                        text = f"{self.residuals.names.numpy}.array({text})"
                    if len(step.outs) > 1:
                        text, place = f"{text}[{step.outs.index(out)}]", ""
                    if hoist.copied and self.lowered.roots.get(out) == frozenset((out,)):
                        # The name keeps the value, what is written to later is a copy.
                        place = copy_text(hoist.name, out)
                    elif hoist.copied:
                        text, place = copy_text(text, out), ""
                    self.before.setdefault(step.stage, []).append(f"{hoist.name} = {text}")
                    if place:
                        self.edits.replace(self._with_parentheses(step.span), place)

    def _check_claims(self) -> None:
        """What is claimed of entries and settings of dicts is checked where they are read."""
        checks = claim_checks(
            self.lowered,
            self.names,
            lambda span: self._on_one_line(self.edits.rendered(span)),
            self.residuals.names.numpy,
        )
        for found, lines in ((checks.before, self.before), (checks.after, self.after), (checks.heads, self.heads)):
            for stage, texts in found.items():
                lines.setdefault(stage, []).extend(texts)

    def _with_parentheses(self, span: Span) -> Span:
        """The span with the parentheses around it, which a name does not need; those of a call are not around it."""
        while span.line == span.end_line:
            line = self.module.lines[span.line - 1]
            before, after = line[: span.column].rstrip(), line[span.end_column :]
            inner = after.lstrip()
            if not (before.endswith("(") and inner.startswith(")")) or _is_called(before[:-1]):
                break
            span = Span(span.line, len(before) - 1, span.line, span.end_column + len(after) - len(inner) + 1)
        return span

    def _mask_text(self, mask: Relation) -> str:
        def operand(one: Operand) -> ast.expr:
            return literal(one) if isinstance(one, Literal) else ast.Name(self.names.get(one, one.name), ast.Load())

        return ast.unparse(spell(mask, operand, self.residuals.names))

    def _collect(self) -> None:
        """The lines that keep values of the rounds of loops."""
        steps = self.residuals.steps
        for stage, names in self.plan.prepared.items():
            self.before.setdefault(stage, []).extend(f"{name} = None" for name in names)
        for store in steps.stores:
            around = store.loops[0].stage
            assert around is not None
            empty = f"[{store.begins}]" if store.is_list else "{}"
            self.before.setdefault(around, []).append(f"{store.name} = {empty}")
        for loop, name in steps.counters.items():
            assert loop.stage is not None
            self.before.setdefault(loop.stage, []).append(f"{name} = 0")
            where = self.tails if steps.counts_at_end(loop) else self.heads
            where.setdefault(loop.stage, []).append(f"{name} += 1")
        hoisted = {hoist.name: hoist for hoist in self.residuals.hoists if hoist.value is not None}
        for line in steps.lines:
            if line.head_of is not None:
                assert line.head_of.stage is not None
                self.heads.setdefault(line.head_of.stage, []).append(line.text)
                continue
            assert line.stage is not None
            hoist = hoisted.get(line.hoisted)
            where = self.before if hoist is not None else self.after
            where.setdefault(line.stage, []).append(line.text)
        for loop, name in steps.enumerated.items():
            statement = self.statements[loop.span] if loop.span is not None else None
            assert isinstance(statement, ast.For)
            target, over = span_of(self.module, statement.target), span_of(self.module, statement.iter)
            inner = self.edits.rendered(target)
            inner = f"({inner})" if isinstance(statement.target, ast.Tuple) and not inner.startswith("(") else inner
            self.edits.replace(target, f"{name}, {inner}")
            sequence = statement.iter
            while loop.backwards and isinstance(sequence, ast.Call):
                # The rounds are counted as the sequence runs, not as the loop does.
                called, sequence = sequence.func, sequence.args[0]
                if isinstance(called, ast.Name) and called.id == "reversed":
                    break
            if loop.backwards and isinstance(sequence, ast.Subscript):
                sequence = sequence.value  # `weights[::-1]`
            start = loop.bounds[0]
            first = f", {start.text}" if isinstance(start, Literal) and start.value else ""
            numbered = f"enumerate({self.edits.rendered(span_of(self.module, sequence))}{first})"
            self.edits.replace(over, f"reversed(list({numbered}))" if loop.backwards else numbered)


def _is_list(text: str) -> bool:
    """Whether this is a list, and no call that makes an array of one."""
    return not isinstance(ast.parse(text, mode="eval").body, ast.Call) or text.startswith(("list(", "tuple("))


class _Renaming(ast.NodeTransformer):
    def __init__(self, names: Mapping[str, str]) -> None:
        self.names = names

    def visit_Name(self, node: ast.Name) -> ast.AST:
        return ast.Name(self.names.get(node.id, node.id), node.ctx)


def _is_called(before: str) -> bool:
    """Whether a parenthesis behind this text opens the arguments of a call."""
    word = re.search(r"(\w+|[)\]])\s*$", before)
    return word is not None and not keyword.iskeyword(word[1])
