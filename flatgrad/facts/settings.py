"""Claims about settings: `bn_param.get("eps", 1e-5)` is taken for one number, as its default is one, and
`bn_param.get("running_mean", np.zeros(D))` for D numbers.

An array there would be broadcast, and what depends on it would have another shape. So a setting is held to the claim
where it is read; and where the module comes out the same without the claim, nothing rests on it and there is no check.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

from flatgrad.facts.keyed import read_for_certain, with_attrs
from flatgrad.frontend.environment import Lowered
from flatgrad.ir.core import Attribute, Function, Loop, Relation, Span, Stage, Step, every_step

CLAIMED = ("number", "integer", "vector")


def settings(lowered: Lowered) -> frozenset[Span]:
    """Where the claimed settings of a function stand."""
    return frozenset(step.span for step in _claimed(lowered) if step.span)


def checkable(lowered: Lowered) -> Lowered:
    """The function without the claims that no line of it can check: what a conditional expression reads may not be
    there, and a function of another file is called as it stands."""
    certain = read_for_certain(lowered.function.block)
    kept = {step for step in certain if _within(step.span, step.stage)} if not lowered.imported else set()
    return _changed(lowered, {step: {"holds": "anything"} for step in _claimed(lowered) if step not in kept})


def with_settings(lowered: Lowered, free: frozenset[Span], checked: bool) -> Lowered:
    """The function without the claims about the settings in `free`. `checked`: the others are checked where they are
    read, but for the bounds of a loop, which Python takes from a number only."""
    bounds = {one for step in every_step(lowered.function.block) if isinstance(step, Loop) for one in step.bounds}
    attrs: dict[Step, Mapping[str, Attribute]] = {}
    for step in _claimed(lowered):
        others = [other for other in every_step(lowered.function.block) if step.out in other.operands()]
        if step.span in free:
            attrs[step] = {"holds": "anything"}
        elif checked and not (step.out in bounds and all(isinstance(other, Loop) for other in others)):
            attrs[step] = {"checked": True}
    return _changed(lowered, attrs)


def _claimed(lowered: Lowered) -> Iterator[Relation]:
    for step in every_step(lowered.function.block):
        if isinstance(step, Relation) and step.gate == "opaque" and step.attrs.get("holds") in CLAIMED:
            yield step


def _changed(lowered: Lowered, attrs: Mapping[Step, Mapping[str, Attribute]]) -> Lowered:
    if not attrs:
        return lowered
    return replace(lowered, function=Function(lowered.function.name, with_attrs(lowered.function.block, attrs)))


def _within(span: Span | None, stage: Stage | None) -> bool:
    """Whether an expression stands in its statement: that of a function that is written out stands elsewhere."""
    if span is None or stage is None:
        return False
    outer = stage.span
    starts = (outer.line, outer.column) <= (span.line, span.column)
    return starts and (span.end_line, span.end_column) <= (outer.end_line, outer.end_column)
