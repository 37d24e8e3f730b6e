"""The lines of backward, each group below a comment that shows the statement that it reverses."""

from __future__ import annotations

from collections.abc import Mapping

from flatgrad.emit.backward_text import Group, NestedText
from flatgrad.emit.forward_plan import ForwardText
from flatgrad.emit.plan import FunctionPlan
from flatgrad.ir.core import Stage


def commented(
    groups: tuple[Group, ...],
    one: FunctionPlan,
    forward: ForwardText,
    numbers: Mapping[Stage, int],
    said: Stage | None = None,
) -> list[str]:
    """The lines of backward, each group below the statement that it reverses; `said` stands above already."""
    lines: list[str] = []
    for group in groups:
        stage = group.stage if isinstance(group, NestedText) else group[0]
        if stage is not None and stage in numbers and stage is not said:
            said = stage
            covers = one.lowered.covers.get(stage, ())
            if not any(cover.whole for cover in covers):
                lines.append(f"# ({numbers[stage]}) {_stage_text(stage, forward)}")
            lines += [f"# {_numbers(cover.stages, numbers)} {cover.text}" for cover in covers]
        if isinstance(group, NestedText):
            lines.append(f"{group.head}:")
            lines += [f"    {line}" for line in commented(group.groups, one, forward, numbers, said) or ["pass"]]
        else:
            lines += group[1]
    return lines


def _numbers(stages: tuple[Stage, ...], numbers: Mapping[Stage, int]) -> str:
    """`(4)-(7)`, `(4), (6)`, `(2), (4)-(6)`"""
    runs: list[list[int]] = []
    for number in (numbers[stage] for stage in stages if stage in numbers):
        if runs and runs[-1][-1] == number - 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    return ", ".join(f"({run[0]})" if len(run) == 1 else f"({run[0]})-({run[-1]})" for run in runs)


def _stage_text(stage: Stage, forward: ForwardText) -> str:
    if stage.text.startswith("return "):
        value = stage.text.removeprefix("return ")
        plain = len(forward.results) != 1 or forward.results[0] == value
        return stage.text if plain else f"{forward.results[0]} = {value}"
    return stage.text
