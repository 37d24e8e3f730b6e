"""The choice of functions: those that are asked for, those that they call, and what helpers are given."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from flatgrad.analysis import varied
from flatgrad.compilation.parameters import ParameterChoice
from flatgrad.compilation.typed import called_names
from flatgrad.diagnostics import Diagnostic, Refused
from flatgrad.facts.callers import call_assumptions, needs_callers
from flatgrad.facts.infer import Disputed
from flatgrad.frontend.environment import Lowered
from flatgrad.frontend.methods import spoken
from flatgrad.frontend.source import name_span
from flatgrad.ir.core import Call, every_step

# How often helpers are described by their callers: as deep as helpers that call each other go.
_MOST_ROUNDS = 4

# Where shapes are only said, and nothing else hangs on them.
_SAID = ("docstring", "comment")

# What has been found out about the functions of a file, by their names.
_Known = tuple[dict[str, Any], ...]


@dataclass(slots=True)
class FunctionChoice(ParameterChoice):
    """Chooses functions."""

    def _entries(self, names: tuple[str, ...]) -> list[str]:
        errors: list[Diagnostic] = []
        chosen: list[str] = []
        for name in names:
            try:
                lowered = self._read(name)
            except Refused as refused:
                errors.extend(refused.diagnostics)
                continue
            constant = self._constant_result(lowered)
            if constant is None:
                chosen.append(name)
            elif self.options.functions or len(names) == 1:
                errors.append(constant)
            else:
                self.notes.append(replace(constant, severity="note"))
        self._check_wrt(chosen, errors)
        if errors:
            raise Refused(tuple(dict.fromkeys(errors)))
        if not chosen:
            raise Refused(
                (Diagnostic("FG064", "nothing here to differentiate", None, "", "name a function with --function"),)
            )
        return chosen

    def _read(self, name: str) -> Lowered:
        """A function, typed. What the docstring of a helper says of shapes is dropped where a call shows otherwise."""
        while True:
            try:
                return self.function(name)
            except Disputed as refused:
                said = [one for one in self.claims.get(refused.function, ()) if one.origin in _SAID]
                if not said or refused.function == name:
                    raise
                (found,) = refused.diagnostics
                self.notes.append(
                    replace(
                        found,
                        message=f"the shapes that are written at {refused.function} do not hold for this call",
                        label=found.message.removeprefix("the shapes do not fit: "),
                        help="they are not relied on",
                        severity="note",
                    )
                )
                self.disclaimed.add(refused.function)
                self._type_again([])

    def _describe_helpers(self, chosen: list[str]) -> None:
        """Type helpers again that need to know what they are given, until their callers tell nothing new."""
        for _ in range(_MOST_ROUNDS):
            callers = [(self.typed[name], self.assumed[name]) for name in self.typed if name in self.assumed]
            found = dict(self.described)
            for name, typed in self.typed.items():
                if name in chosen or self.raw[name].imported:
                    continue
                if name in self.described or needs_callers(typed):
                    found[name] = call_assumptions(name, typed, callers, self.described.get(name, {}))
            if found == self.described:
                return
            before = self._known()
            self.described = found
            try:
                self._type_again(chosen)
            except Refused:
                # Two calls give it different things.
                self._forget_to(before)
                return

    def _type_again(self, chosen: list[str]) -> None:
        """Read and type every function anew, with what is described and presumed by now."""
        self.typed, self.raw, self.assumed, self.claims, self.inlinable = {}, {}, {}, {}, {}
        for name in chosen:
            self.function(name)

    def _known(self) -> _Known:
        return self.typed, self.raw, self.assumed, self.claims, self.inlinable, self.described

    def _forget_to(self, known: _Known) -> None:
        self.typed, self.raw, self.assumed, self.claims, self.inlinable, self.described = known

    def _check_wrt(self, chosen: list[str], errors: list[Diagnostic]) -> None:
        known = {spoken(value.name) for name in chosen for value in self.typed[name].function.block.params}
        for wrt in self.options.wrt:
            if chosen and wrt not in known and not any(wrt == name.rpartition(".")[2] for name in known):
                node = self.module.functions[chosen[0]]
                errors.append(
                    Diagnostic(
                        "FG063",
                        f"--wrt {wrt}: no such parameter",
                        name_span(self.module, node),
                        "",
                        f"the parameters are {', '.join(sorted(known))}",
                    )
                )

    def _constant_result(self, lowered: Lowered) -> Diagnostic | None:
        params = lowered.function.block.params
        block = lowered.function.block
        floating = frozenset(p for p in params if p.type.dtype.differentiable)
        reached = varied(block, floating)
        if any(result.value in reached for result in lowered.results):
            return None
        name = lowered.function.name
        return Diagnostic(
            "FG062",
            f"the result of {name} does not depend on any parameter by a floating path",
            lowered.results[0].span,
            "its gradient is zero everywhere",
            "differentiate another result, or another function",
        )

    def _call_order(self, chosen: list[str]) -> list[str]:
        """The functions to be written, callers before what they call."""
        order: list[str] = []
        visited: set[str] = set()

        def visit(name: str) -> None:
            if name in visited or name in self.module.borrowed.pairs:
                return
            visited.add(name)
            for step in every_step(self.function(name).function.block):
                if isinstance(step, Call):
                    visit(step.function)
            order.append(name)

        for name in chosen:
            visit(name)
        return order[::-1]

    def _check_names(self, order: list[str]) -> None:
        """What the module defines must not be what the file defines already, and not twice."""
        defined: dict[str, str] = {}
        for name in order:
            base = name.removesuffix("_forward")
            for made in (f"{base}_forward", f"{base}_backward", f"{base}_value_and_grad"):
                owner = defined.get(made) or (made if made in self.module.functions and made != name else None)
                called = owner in defined.values() or any(owner in called_names(self.module, other) for other in order)
                if owner is not None and called and self.differentiated[name]:
                    node = self.module.functions[name]
                    message = f"{name} would be written as {made}, which {owner} is already"
                    raise Refused(
                        (Diagnostic("FG067", message, name_span(self.module, node), "", "rename one of them"),)
                    )
                if self.differentiated[name]:
                    defined[made] = name
