"""The choice of parameters: which of them each function gives a gradient for."""

from __future__ import annotations

from dataclasses import dataclass

from flatgrad.analysis import useful, varied
from flatgrad.compilation.typed import TypedFunctions
from flatgrad.diagnostics import Diagnostic, Refused
from flatgrad.frontend.calls import defaults_of
from flatgrad.frontend.environment import Lowered
from flatgrad.frontend.lists import list_parameters
from flatgrad.frontend.methods import bare, spoken
from flatgrad.frontend.source import name_span
from flatgrad.ir.core import Call, Kind, Relation, Value, every_step


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
        params = [value.name for value in lowered.function.block.params]
        asked = {name for name in params if {spoken(name), bare(name)} & set(self.options.wrt)}
        if asked:
            return asked
        given = set(defaults_of(lowered.node))
        method = self.module.methods.get(lowered.function.name)
        if method is not None:
            given |= {name for name in method.attributes if method.setting(name)}
        reaching = self._reaching(lowered)
        settings = _settings(lowered)
        found = {name for name in params if name in reaching and name not in given and name not in settings}
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


def _settings(lowered: Lowered) -> set[str]:
    """Parameters that are dicts of settings: something else than a value is asked of them or of their entries, or they
    are written to."""
    block = lowered.function.block
    # Lists of arrays are read by their entries too, and hold no settings.
    lists = list_parameters(lowered.node)
    roots = {param: param for param in block.params if param.type.kind is Kind.DICT and param.name not in lists}
    found = {param.name for param in roots if param in lowered.changed_dicts}
    for step in every_step(block):
        if not isinstance(step, Relation):
            continue
        owners = [roots[arg] for arg in step.args if isinstance(arg, Value) and arg in roots]
        if step.gate in ("entry", "alias") and owners:
            roots[step.out] = owners[0]
        elif step.gate == "opaque" and step.attrs.get("holds") not in ("keys", "count"):
            found |= {owner.name for owner in owners}
    return found
