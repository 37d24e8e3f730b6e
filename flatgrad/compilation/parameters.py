"""The choice of parameters: which of them each function gives a gradient for."""

from __future__ import annotations

import ast
from dataclasses import dataclass

from flatgrad.analysis import useful, varied
from flatgrad.compilation.typed import TypedFunctions
from flatgrad.diagnostics import Diagnostic, Refused
from flatgrad.frontend.calls import defaults_of
from flatgrad.frontend.environment import Hidden, Lowered
from flatgrad.frontend.lists import lists_read
from flatgrad.frontend.methods import MARK, bare, spoken
from flatgrad.frontend.source import name_span, span_of
from flatgrad.ir.core import Block, Call, Kind, Operand, Relation, Value, every_step


@dataclass(slots=True)
class ParameterChoice(TypedFunctions):
    """Chooses parameters."""

    def _choose_parameters(self, name: str, is_entry: bool) -> None:
        lowered = self.typed[name]
        wanted = self.differentiated.setdefault(name, set())
        if is_entry:
            wanted |= self._default_parameters(lowered)
        block = lowered.function.block
        before = len(wanted)
        active = varied(block, frozenset(p for p in block.params if p.name in wanted))
        if lowered.hidden:
            asked = wanted | (self._candidates(lowered) if is_entry and not self._asked(lowered) else set())
            carrying = varied(block, frozenset(p for p in block.params if p.name in asked))
            for one in lowered.hidden:
                if one.value in carrying:
                    raise Refused((_hidden(one),))
        for step in every_step(block):
            if isinstance(step, Call) and any(out in active for out in step.outs):
                callee = self.typed[step.function]
                reaching = self._reaching(callee)
                for param, arg in zip(callee.function.block.params, step.args, strict=True):
                    if isinstance(arg, Value) and arg in active and param.name in reaching:
                        self._check_gradient(step, param)
                        self.differentiated.setdefault(step.function, set()).add(param.name)
        if lowered.recursive and len(wanted) > before:
            self._choose_parameters(name, False)

    def _check_gradient(self, step: Call, param: Value) -> None:
        """A backward function of the user's must return what is asked of it."""
        pair = self.module.borrowed.pairs.get(step.function)
        if pair is not None and param.name not in [one.parameter for one in pair.gradients]:
            message = f"{pair.backward} returns no gradient of {param.name}"
            help = "let it return one, zeros for what the results do not depend on"
            raise Refused((Diagnostic("FG027", message, step.span, "which carries a gradient here", help),))

    def _default_parameters(self, lowered: Lowered) -> set[str]:
        asked = self._asked(lowered)
        if asked:
            return asked
        reaching = self._reaching(lowered)
        found = {name for name in self._candidates(lowered) if name in reaching}
        for name in sorted(
            (self._settings(lowered) & reaching) - {one for one in defaults_of(lowered.node) if MARK not in one}
        ):
            self._note_settings(lowered, name)
        if not found:
            raise Refused(
                (
                    Diagnostic(
                        "FG062",
                        f"{lowered.function.name}: only parameters with a default value reach the result",
                        name_span(self.module, lowered.node),
                        "",
                        "choose one with --wrt",
                    ),
                )
            )
        return found

    def _note_settings(self, lowered: Lowered, name: str) -> None:
        node = lowered.node
        arguments = [one for one in ast.walk(node.args) if isinstance(one, ast.arg) and one.arg == name]
        note = Diagnostic(
            "FG065",
            f"{name} is not differentiated",
            span_of(self.module, arguments[0]) if arguments else name_span(self.module, node),
            "taken for a dict of settings, as it is written to, or more is asked of it than what its entries are",
            f"for its gradient, choose it: `--wrt {name}`",
            severity="note",
        )
        if note not in self.notes:
            self.notes.append(note)

    def _asked(self, lowered: Lowered) -> set[str]:
        """The parameters that are chosen by name."""
        params = [value.name for value in lowered.function.block.params]
        return {name for name in params if {spoken(name), bare(name)} & set(self.options.wrt)}

    def _candidates(self, lowered: Lowered) -> set[str]:
        """The parameters that are differentiated wherever the result depends on them."""
        given = {name for name in defaults_of(lowered.node) if MARK not in name}
        method = self.module.methods.get(lowered.function.name)
        if method is not None:
            given |= {name for name in method.attributes if method.setting(name)}
        left = given | self._settings(lowered)
        return {
            param.name
            for param in lowered.function.block.params
            if param.name not in left and param.type.dtype.differentiable and param.type.kind is not Kind.OTHER
        }

    def _settings(self, lowered: Lowered) -> set[str]:
        """Parameters that are dicts of settings: something else than a value is asked of them or of their entries, they
        are written to, or a function that they are handed to takes them for settings."""
        block = lowered.function.block
        # Lists of arrays are read by their entries too, and hold no settings.
        lists = lists_read(block)
        roots: dict[Value, set[Value]] = {}
        for param in block.params:
            if (param.type.kind is Kind.DICT or _is_looked_up(block, param)) and param not in lists:
                roots[param] = {param}
        found = {param.name for param in roots if param in lowered.changed_dicts}
        for step in every_step(block):
            owners = [roots[arg] for arg in step.operands() if arg in roots]
            if isinstance(step, Call) and owners and step.function != lowered.function.name:
                callee = self.typed[step.function]
                inner = self._settings(callee)
                for param, arg in zip(callee.function.block.params, step.args, strict=True):
                    if isinstance(arg, Value) and param.name in inner:
                        found |= {owner.name for owner in roots.get(arg, ())}
            if not isinstance(step, Relation):
                continue
            holds = step.attrs.get("holds")
            if owners and holds == "settings":
                roots[step.out] = set().union(*(roots.get(one, set()) for one in _dicts(step)))  # type: ignore[arg-type]
            elif owners and step.gate in ("entry", "alias"):
                roots[step.out] = set().union(*owners)
            elif step.gate == "opaque" and holds not in ("keys", "count"):
                found |= {owner.name for owner in set().union(*owners)}
        return found

    def _reaching(self, lowered: Lowered) -> set[str]:
        block = lowered.function.block
        reached = useful(block, frozenset(result.value for result in lowered.results))
        # Of a pair, what its backward function says counts: it may let a gradient through that forward does not.
        pair = self.module.borrowed.pairs.get(lowered.function.name)
        given = {one.parameter for one in pair.gradients} if pair is not None else set()
        return given | {
            p.name
            for p in block.params
            if p in reached and p.type.dtype.differentiable and p.type.kind is not Kind.OTHER
        }


def _hidden(one: Hidden) -> Diagnostic:
    what = f"what stands under {one.key!r}" if one.key else "what this dict holds"
    return Diagnostic(
        "FG030",
        f"{what} carries a gradient, and is read here as a setting",
        one.span,
        "no gradient comes back through a dict that is put together, written to or looked up in with a default",
        "keep it in a variable, and read or hand over that",
    )


def _dicts(step: Relation) -> tuple[Operand, ...]:
    """The dicts among what an opaque expression reads."""
    places = step.attrs.get("dicts", (0,) if "key" in step.attrs else ())
    assert isinstance(places, tuple)
    return tuple(step.args[place] for place in places if isinstance(place, int))


def _is_looked_up(block: Block, param: Value) -> bool:
    """Whether something is a dict as it is looked up in, or as another dict is made of it."""
    names = {param}
    for step in every_step(block):
        if not isinstance(step, Relation) or not names.intersection(step.args):
            continue
        if step.gate == "alias":
            names.add(step.out)
        elif step.gate == "opaque" and any(one in names for one in _dicts(step)):
            return True
    return False
