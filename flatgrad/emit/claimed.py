"""The lines of forward that hold entries and settings of dicts to what is claimed of them, where they are read."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from flatgrad.frontend.environment import Lowered
from flatgrad.ir.core import Block, Loop, Relation, Span, Stage, Value, every_step
from flatgrad.ir.lists import joined_axis


@dataclass(slots=True)
class Checks:
    """Lines by the statement before or behind which they stand, or by the loop at the head of whose rounds: there and
    behind a statement what is checked has a name."""

    before: dict[Stage, list[str]] = field(default_factory=dict)
    after: dict[Stage, list[str]] = field(default_factory=dict)
    heads: dict[Stage, list[str]] = field(default_factory=dict)


@dataclass(slots=True)
class _Claimed:
    """What one statement reads: the tests that fail where a claim does, and what is said then."""

    tests: list[str] = field(default_factory=list)
    said: list[str] = field(default_factory=list)


def claim_checks(lowered: Lowered, names: Mapping[Value, str], rendered: Callable[[Span], str], numpy: str) -> Checks:
    """The checks of a function. `rendered`: the text of an expression as forward has it, on one line."""
    claimed: dict[tuple[Stage, bool], _Claimed] = {}
    loops = {step.stage for step in every_step(lowered.function.block) if isinstance(step, Loop) and step.bounds}
    texts: dict[Value, str] = {}
    block = lowered.function.block
    for step in every_step(lowered.function.block):
        if not isinstance(step, Relation):
            continue
        if step.gate == "stacked" and step.attrs.get("form") and not _alike(step, block):
            assert step.stage is not None
            assert step.span is not None
            whole = ast.parse(rendered(step.span), mode="eval").body
            assert isinstance(whole, ast.Call)
            text = ast.unparse(whole.args[0])
            found = claimed.setdefault((step.stage, False), _Claimed())
            found.tests.append(f"any({numpy}.shape(one) != {numpy}.shape({text}[0]) for one in {text})")
            found.said.append(f"the elements of {text} must have one shape")
            continue
        entry = step.gate == "entry" and step.attrs.keys() & {"rank", "columns"}
        if not entry and not (step.gate == "opaque" and step.attrs.get("checked")):
            continue
        assert step.stage is not None
        text = names.get(step.out, step.out.name)
        if not text:
            assert step.span is not None
            text = rendered(step.span)
        texts[step.out] = text
        found = claimed.setdefault((step.stage, bool(step.out.name)), _Claimed())
        weights = step.attrs.get("columns")
        length = step.attrs.get("length")
        if isinstance(length, Value):
            size = names.get(length, length.name)
            found.tests.append(f"{numpy}.shape({text}) != ({size},)")
            found.said.append(f"{step.attrs.get('key', text)} must have shape ({size},)")
        elif not entry:
            found.tests.append(f"{numpy}.ndim({text}) != 0")
            found.said.append(f"{step.attrs.get('key', text)} must be a number")
        elif isinstance(weights, Value):
            columns = f"{texts[weights]}.shape[1:]" if weights.name else f"{numpy}.shape({texts[weights]})[1:]"
            found.tests.append(f"{numpy}.shape({text}) != {columns}")
            found.said.append(f"{_entry(step, text)} must have a number for each of its columns")
        else:
            found.tests.append(f"{numpy}.ndim({text}) != {step.attrs['rank']}")
            found.said.append(f"{_entry(step, text)} must be a {'matrix' if step.attrs['rank'] == 2 else 'vector'}")
    checks = Checks()
    for (stage, named), found in claimed.items():
        where = checks.heads if stage in loops else checks.after if named else checks.before
        tests, said = (" or ".join(dict.fromkeys(found.tests)), ", and ".join(dict.fromkeys(found.said)))
        where.setdefault(stage, []).extend((f"if {tests}:", f"    raise ValueError({said!r})"))
    return checks


def _alike(step: Relation, block: Block) -> bool:
    """Whether all elements of a list that are joined are proved to be of one length along the axis: it is made of what
    the parameters are."""
    source = step.args[0]
    assert isinstance(source, Value)
    shape = source.type.shape
    way = joined_axis(step, shape.rank)
    if way is None:
        return False
    axis, is_new = way
    given = {name for param in block.params for dim in param.shape.front for name in dim.symbols()}
    return is_new or set(shape.front[axis + 1].symbols()) <= given


def _entry(step: Relation, text: str) -> str:
    """How a message calls an entry: `W in params` for `params["W" + str(i)]`, `weights[i]` for an element of a list."""
    given = step.args[0]
    if step.attrs.get("list"):
        called = given.name if isinstance(given, Value) else ""
        return text if text.startswith(called) else f"{text} in {called}"
    match = re.match(r"""([^\[]+)\[f?["']([A-Za-z_]+)""", text)
    return f"{match[2]} in {match[1]}" if match is not None else text
