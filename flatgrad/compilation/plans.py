"""The plan of each function: its backward pass, its guards, and how others call it."""

from __future__ import annotations

from dataclasses import dataclass

from flatgrad.compilation.presumed import PresumedRanks
from flatgrad.diagnostics import Diagnostic, Refused
from flatgrad.differentiate.walk import Backward, Memory, Signature, differentiate
from flatgrad.emit.callee import Callee
from flatgrad.emit.imports import import_names
from flatgrad.emit.module import function_text
from flatgrad.emit.plan import FunctionPlan, FunctionText, ModulePlan
from flatgrad.facts.guards import guard_lines
from flatgrad.facts.layers import layer_guards
from flatgrad.facts.sizes import settling
from flatgrad.frontend.environment import Lowered
from flatgrad.frontend.lists import lists_read
from flatgrad.frontend.methods import MARK, bare
from flatgrad.ir.core import Call, Kind, Relation, Value, every_step


@dataclass(slots=True)
class Planning(PresumedRanks):
    """Differentiates functions."""

    def _plan(self, name: str) -> FunctionPlan:
        lowered = self.typed[name]
        params = lowered.function.block.params
        wrt = tuple(p for p in params if p.name in self.differentiated[name])
        upstream = self._upstream(lowered)
        backward = self._differentiated(lowered, wrt, upstream)
        guards: tuple[str, ...] = ()
        assumptions = self.assumed[name]
        numbers = frozenset(
            root.name
            for value in lowered.questions.values()
            if value.type.kind is Kind.SCALAR
            for root in lowered.roots[value]
            if root in params and root.type.kind is Kind.SCALAR
        )
        if numbers or any(one.shape is not None for one in assumptions.values()):
            guards = guard_lines(self.raw[name], assumptions, self._called, self._numpy(), numbers)
        method = self.module.methods.get(name)
        if method is not None:
            called = [self.typed[one] for one in self._methods_under(name)]
            guards += layer_guards(lowered, method.distinct, called)
        return FunctionPlan(
            name=name,
            lowered=lowered,
            backward=backward,
            guards=guards,
            claims=self.claims[name],
            returned=upstream if self.options.output and name in self.chosen else tuple(range(len(lowered.results))),
        )

    def _text(self, name: str) -> FunctionText:
        called = {one: self._called_as(one) for one in self.typed}
        plan = self._plan(name)
        return function_text(ModulePlan(self.module, (plan,), "", called), plan)

    def _methods_under(self, name: str) -> list[str]:
        """The methods that a method calls, itself or through others."""
        found = [name]
        for one in found:
            steps = every_step(self.typed[one].function.block)
            called = [step.function for step in steps if isinstance(step, Call)]
            found += [other for other in called if other in self.module.methods and other not in found]
        return found[1:]

    def _called_as(self, name: str) -> Callee:
        lowered = self.typed[name]
        params = lowered.function.block.params
        changes = frozenset(k for k, param in enumerate(params) if param in lowered.overwritten)
        pair = self.module.borrowed.pairs.get(name)
        if pair is not None:
            results = tuple(range(pair.results))
            return Callee(pair.forward, pair.backward, pair.forward, results, pair.results + 1, changes=changes)
        positions, width = tuple(result.position for result in lowered.results), lowered.width
        method = self.module.methods.get(name)
        if method is not None and method.receiver:
            wanted = [param.name for param in lowered.function.block.params if param.name in self.differentiated[name]]
            left = MARK if method.is_forward else " "
            held = tuple(f"{method.receiver}{MARK}d{bare(one)}" if left in one else "" for one in wanted)
            forward, backward = (f"{method.receiver}{MARK}{one}" for one in (method.name, method.backward_name))
            return Callee(forward, backward, forward, positions, width, held, changes)
        base = name.removesuffix("_forward")
        plain = name
        if self.differentiated[name] and name.endswith("_forward") and positions != tuple(range(width - 1)):
            # The function of that name hands out a cache that the user's own did not.
            whole = positions == tuple(range(width))
            plain = "" if not whole else f"{name}[0]" if width == 1 else f"{name}[:-1]"
        return Callee(f"{base}_forward", f"{base}_backward", plain, positions, width, changes=changes)

    def _numpy(self) -> str:
        return import_names(self.module, [name for name, wanted in self.differentiated.items() if wanted]).numpy

    def _differentiated(self, lowered: Lowered, wrt: tuple[Value, ...], upstream: tuple[int, ...]) -> Backward:
        return differentiate(lowered, wrt, upstream, self._signature, self.options.accumulate == "always")

    def _upstream(self, lowered: Lowered) -> tuple[int, ...]:
        """The results that are differentiated, by position: `--output` chooses among those of an entry."""
        if self.options.output and lowered.function.name in self.chosen:
            found = tuple(k for k, r in enumerate(lowered.results) if r.name == self.options.output)
            if not found:
                names = ", ".join(r.name or "out" for r in lowered.results)
                raise Refused(
                    (
                        Diagnostic(
                            "FG066",
                            f"--output {self.options.output}: no such result",
                            lowered.results[0].span,
                            "",
                            f"the results are {names}",
                        ),
                    )
                )
            return found
        return tuple(k for k, r in enumerate(lowered.results) if r.value.type.dtype.differentiable)

    def _signature(self, name: str) -> Signature:
        lowered = self.typed[name]
        pair = self.module.borrowed.pairs.get(name)
        if pair is not None:
            params = [param.name for param in lowered.function.block.params]
            places = tuple(params.index(one.parameter) for one in pair.gradients)
            own = Memory(pair.changes, tuple(one.fresh for one in pair.gradients))
            return Signature(name, places, tuple(range(pair.results)), own, tuple(params))
        wanted = self.differentiated.get(name, set())
        positions = tuple(k for k, p in enumerate(lowered.function.block.params) if p.name in wanted)
        parameters = tuple(param.name for param in lowered.function.block.params)
        keys = {k: self._keys(name, k) for k, p in enumerate(lowered.function.block.params) if p.type.kind is Kind.DICT}
        lists = lists_read(lowered.function.block)
        sequences = {k: lists[one] for k, one in enumerate(lowered.function.block.params) if one in lists}
        upstream, sizes = self._upstream(lowered), settling(lowered)
        return Signature(name, positions, upstream, None, parameters, keys, sequences, sizes)

    def _keys(self, name: str, position: int) -> frozenset[str] | None:
        """The keys under which a function, or one that it calls, reads a dict; None where they are not constants."""
        block = self.typed[name].function.block
        param = block.params[position]
        found: frozenset[str] = frozenset()
        for step in every_step(block):
            match step:
                case Relation(gate="opaque", attrs={"holds": "keys"}) if param in step.operands():
                    return None
                case Relation(gate="entry", args=(base,)) if base is param:
                    found |= {str(step.attrs["key"])}
                case Call() if param in step.args and step.function not in self.module.borrowed.pairs:
                    inner = self._keys(step.function, step.args.index(param))
                    if inner is None:
                        return None
                    found |= inner
                case _ if param in step.operands() and not (isinstance(step, Relation) and step.gate == "opaque"):
                    return None
        return found
