"""Takes groups: what several relations compute together becomes one relation with a joint gradient.

The forward text stays the user's own, and so do its values: only the relation that computes a group's result changes.
Activity goes around what is inside, as nothing reads it any more. A group is taken only if no value inside it, its
result apart, is used elsewhere in a way that takes a gradient; else a smaller one is.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from flatgrad.analysis import useful
from flatgrad.frontend.environment import Cover, Lowered
from flatgrad.groups.cross_entropy import cross_entropy_groups, losses
from flatgrad.groups.elementwise import SEEDS, elementwise_groups, forms
from flatgrad.groups.graph import Found, Graph
from flatgrad.groups.kinks import kink_groups
from flatgrad.groups.softmax import softmax_groups
from flatgrad.groups.softplus import softplus_groups
from flatgrad.groups.standardise import standardise_groups
from flatgrad.ir.core import (
    Attribute,
    Block,
    Branch,
    Function,
    Literal,
    Loop,
    Relation,
    Stage,
    Step,
    Value,
    bound_values,
    free_values,
)

# Relations of which a group has at least one; the others look for what starts with one of these.
EXPONENTIALS = frozenset(SEEDS) | {"logaddexp", "logsumexp", "softmax", "log_softmax"}
KINKS = frozenset({"abs", "fabs", "math.fabs", "where", "maximum", "greater", "greater_equal"})
MEANS = frozenset({"mean", "average", "var", "std", "sum"})
# A name for a value, or a value at another place, is no result of a group.
NO_RESULTS = frozenset({"alias", "positive", "read", "write", "constant"})

Recogniser = Callable[[Relation], list[Found]]


def with_groups(lowered: Lowered) -> Lowered:
    """The same function with every group that it holds as one relation, those inside loops and branches as well."""
    covers: dict[Stage, tuple[Cover, ...]] = {}
    whole = lowered.function.block
    needed = useful(whole, frozenset(value for value in whole.results if value.type.dtype.differentiable))
    block = _grouped_block(lowered, whole, covers, needed)
    if block is lowered.function.block:
        return lowered
    return replace(lowered, function=Function(lowered.function.name, block), covers=covers)


def _grouped_block(
    lowered: Lowered, block: Block, covers: dict[Stage, tuple[Cover, ...]], needed: frozenset[Value]
) -> Block:
    """A block by itself: what it reads of its outside are parameters, what it hands out are results; not what no
    gradient comes back through."""
    body = tuple(_grouped_inside(lowered, step, covers, needed) for step in block.body)
    if any(new is not old for new, old in zip(body, block.body, strict=True)):
        block = replace(block, body=body)
    outside = tuple(dict.fromkeys(free_values(block)))
    alone = Block((*block.params, *outside), block.body, tuple(r for r in block.results if r in needed))
    found = grouped(replace(lowered, function=Function(lowered.function.name, alone)))
    if found.function.block is alone:
        return block
    covers |= found.covers
    return replace(block, body=found.function.block.body)


def _grouped_inside(
    lowered: Lowered, step: Step, covers: dict[Stage, tuple[Cover, ...]], needed: frozenset[Value]
) -> Step:
    match step:
        case Loop():
            body = _grouped_block(lowered, step.body, covers, needed)
            return step if body is step.body else replace(step, body=body)
        case Branch() if step.stage is None or step.span == step.stage.span:
            # Not inside a conditional expression, whose parts backward writes out again one by one.
            arms = [_grouped_block(lowered, arm, covers, needed) for arm in step.arms]
            same = arms[0] is step.then and arms[1] is step.orelse
            return step if same else replace(step, then=arms[0], orelse=arms[1])
        case _:
            return step


def grouped(lowered: Lowered) -> Lowered:
    """The same function with every group of its outermost block as one relation."""
    recognisers = _recognisers(lowered)
    if not recognisers:
        return lowered
    graph, find = recognisers
    taken: dict[Relation, Relation] = {}
    inside: set[Step] = set()
    covers: dict[Stage, tuple[Cover, ...]] = {}
    for step in reversed(lowered.function.block.body):
        if not isinstance(step, Relation) or step in inside or not _is_result(graph, step):
            continue
        for found in (one for recogniser in find for one in recogniser(step)):
            region = graph.region(step, found.inputs)
            if region is None or graph.escapes(region, step):
                continue
            taken[step] = Relation(step.outs, found.gate, found.args, _attributes(found, step), step.stage, step.span)
            inside |= region
            _cover(covers, graph, step, region, found.said)
            break
    if not taken:
        return lowered
    body = tuple(taken.get(step, step) if isinstance(step, Relation) else step for step in lowered.function.block.body)
    block = replace(lowered.function.block, body=_without_leftovers(body, inside - set(taken), lowered))
    return replace(lowered, function=Function(lowered.function.name, block), covers=covers)


def _recognisers(lowered: Lowered) -> tuple[Graph, tuple[Recogniser, ...]] | None:
    """What there is to look for, the larger groups first; None where no group can be."""
    gates = {step.gate for step in lowered.function.block.body if isinstance(step, Relation)}
    find: list[Recogniser] = []
    if not gates & (EXPONENTIALS | KINKS | MEANS):
        return None
    graph = Graph(lowered)
    if gates & EXPONENTIALS:
        known_losses, known_forms = losses(graph), forms(graph)
        find.append(lambda relation: cross_entropy_groups(graph, known_losses, relation))
        find.append(lambda relation: softmax_groups(graph, relation))
        find.append(lambda relation: softplus_groups(graph, known_forms, relation))
        find.append(lambda relation: elementwise_groups(graph, known_forms, relation))
    if gates & MEANS:
        find.append(lambda relation: standardise_groups(graph, relation))
    if gates & KINKS:
        find.append(lambda relation: kink_groups(graph, relation))
    return graph, tuple(find)


def _is_result(graph: Graph, step: Relation) -> bool:
    return len(step.outs) == 1 and step.gate not in NO_RESULTS and step.out in graph.varied and step.out in graph.useful


def _attributes(found: Found, step: Relation) -> dict[str, Attribute]:
    """Those of the group, and what an augmented assignment changes: `p /= p.sum()` stays one."""
    # The result itself is no value that it could be computed from: a rule has it anyway.
    attrs = {name: value for name, value in found.attrs.items() if value is not step.out}
    if "into" not in step.attrs:
        return attrs
    sides = (arg.value if isinstance(arg, Literal) else arg for arg in step.args)
    return {**attrs, "into": tuple(side for side in sides if not isinstance(side, complex))}


def _without_leftovers(body: tuple[Step, ...], leftovers: set[Step], lowered: Lowered) -> tuple[Step, ...]:
    """The body without the unnamed relations inside groups that nothing reads any more."""
    read: set[Value] = set(lowered.function.block.results)
    kept: list[Step] = []
    for step in reversed(body):
        if step in leftovers and not any(out in read or out.name for out in bound_values(step)):
            continue
        kept.append(step)
        read.update(step.operands())
    return tuple(kept[::-1])


def _cover(
    covers: dict[Stage, tuple[Cover, ...]], graph: Graph, root: Relation, region: frozenset[Step], said: str
) -> None:
    """A comment of its own for a group that is written over several statements."""
    stages = graph.stages(region)
    if root.stage is None or len(stages) < 2:
        return
    whole = all(step in region for step in graph.of_stage[root.stage] if _is_reversed(graph, step))
    cover = Cover(stages, said, whole)
    covers[root.stage] = (*covers.get(root.stage, ()), cover)


def _is_reversed(graph: Graph, step: Step) -> bool:
    """Whether a step is reversed in the backward pass."""
    return any(out in graph.varied and out in graph.useful for out in bound_values(step))
