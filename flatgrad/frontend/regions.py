"""Control flow: from statements to blocks with parameters and results, early exits turned inside out.

A statement that leaves a block early is turned inside out: what follows `if test: continue` becomes the other arm of
the branch, which is then the last step of the block. So every block runs from its head to its end.
"""

from __future__ import annotations

import ast
from collections.abc import Sequence

from flatgrad.frontend.entries import EntryLowering
from flatgrad.frontend.environment import Binding, Poison
from flatgrad.frontend.leaving import always_leaves, ends_unsaid, is_check, leaves_block, raises
from flatgrad.frontend.loops import LoopLowering
from flatgrad.frontend.made_dicts import replaced_when_none
from flatgrad.frontend.region_expressions import RegionExpressions
from flatgrad.frontend.source import dotted_path, span_of, stage_text
from flatgrad.ir.core import Block, Literal, Stage, Value

# What a `with` may say without changing a value.
QUIET = frozenset({"numpy.errstate", "numpy.printoptions", "warnings.catch_warnings"})


class RegionLowering(LoopLowering):
    """Lowers statements with their control flow."""

    def reader(self) -> EntryLowering:
        return RegionExpressions(self)

    def block(self, statements: Sequence[ast.stmt]) -> tuple[Value, ...] | None:
        """Lower statements; the results of the block around them if they leave it, None if they run to their end."""
        statements = [statement for statement in statements if statement not in self.dropped]
        for position, statement in enumerate(statements):
            rest = statements[position + 1 :]
            self.stage = Stage(span_of(self.module, statement), stage_text(self.module, statement))
            self.stages.append(self.stage)
            self.statement_at_hand = statement
            self.live = self.live_after.get(statement, frozenset())
            self.expressions.whole = statement.value if isinstance(statement, ast.Assign | ast.Return) else None
            match statement:
                case ast.If() if self.aside(statement):
                    pass
                case ast.If() if not is_check(statement):
                    left = self._if(statement, rest)
                    if left is not None:
                        return left
                    if leaves_block(statement):
                        return None
                case ast.For() | ast.While():
                    self._loop(statement)
                case ast.With(items=items) if all(self._is_quiet(item) for item in items):
                    left = self.block(statement.body)
                    if left is not None:
                        self._nothing_after(rest)
                        return left
                case ast.Continue():
                    self._nothing_after(rest)
                    return self._end_of_round(last=False)
                case ast.Break():
                    self._nothing_after(rest)
                    return self._end_of_round(last=True)
                case ast.Return():
                    self._nothing_after(rest)
                    return self.returned(statement)
                case _:
                    self.statement(statement)
        return None

    def _is_quiet(self, item: ast.withitem) -> bool:
        """Whether a `with` only says what is warned of or printed how: its statements are what they are without it."""
        call = item.context_expr
        path = dotted_path(self.module, call.func, frozenset(self.environment)) if isinstance(call, ast.Call) else None
        return path in QUIET and item.optional_vars is None

    def _nothing_after(self, rest: Sequence[ast.stmt]) -> None:
        if rest:
            self.error("FG031", "code that is never reached", rest[0], "", "remove it")

    def _if(self, statement: ast.If, rest: Sequence[ast.stmt]) -> tuple[Value, ...] | None:
        stage, live = self.stage, self.live
        replaced = replaced_when_none(statement)
        made = None if replaced is None else self.expressions.made_instead(replaced[1])
        if replaced is not None and made is not None:
            self.kept_as_written(statement.body)
            self.bind(replaced[0], made, replaced[1])
            return None
        test = self.test(statement.test)
        if isinstance(test, Poison):
            self.poison(statement)
            return None
        if isinstance(test, Literal):
            chosen = statement.body if test.value else statement.orelse
            return self.block([*chosen, *rest] if leaves_block(statement) else chosen)
        arms = (statement.body, statement.orelse)
        for arm, other in (arms, arms[::-1]):
            behind = [] if any(leaves_block(one) for one in arm) else rest
            if raises([*arm, *behind]) and (raises(arm) or always_leaves(other)):
                # Whoever comes past it has taken the other way.
                self.kept_as_written([*arm, *behind])
                goes_on = leaves_block(statement) and not (behind and always_leaves(other))
                return self.block([*other, *rest] if goes_on else other)
        if not rest and not self.loops and always_leaves(statement.body) and ends_unsaid(statement):
            # Nothing comes of what is none of these: whoever goes on with the result has taken one of the ways.
            return self.block(statement.body)
        if not leaves_block(statement):
            self._merge(statement, test, arms, stage, live)
            return None
        blocks: list[Block] = []
        ends: list[dict[str, Binding]] = []
        continued = [not always_leaves(arm) for arm in arms]
        errors = len(self.errors)
        if all(continued) and rest:
            self.error(
                "FG030",
                "what follows would be needed twice, once for each way through this if",
                statement,
                "one of its arms may leave the block, and neither always does",
                "let one arm leave always: `if a and b: return ...`",
            )
            return None
        for arm, goes_on in zip(arms, continued, strict=True):
            with self._inside() as body:
                left = self.block([*arm, *rest] if goes_on else list(arm))
                if left is None and self.loops and len(self.errors) == errors:
                    left = self._end_of_round(last=False)
                if left is None:
                    if len(self.errors) == errors:
                        self.error(
                            "FG061",
                            "one way through this if returns nothing",
                            statement,
                            "",
                            "a function to be differentiated returns its result on every way",
                        )
                    return ()
                blocks.append(Block((), tuple(body), left))
                ends.append(dict(self.environment))
        if len(self.errors) > errors:
            return ()
        if not any(block.body for block in blocks) and blocks[0].results == blocks[1].results:
            return blocks[0].results  # `return loss` on both ways
        return self._branched(test, blocks[0], blocks[1], stage, ("",) * len(blocks[0].results))
