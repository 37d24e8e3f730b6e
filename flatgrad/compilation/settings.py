"""Claims of settings: forward holds `d.get('eps', 1e-5)` to being one number only where the text needs that."""

from __future__ import annotations

from dataclasses import dataclass, replace

from flatgrad.compilation.plans import Planning
from flatgrad.diagnostics import Refused
from flatgrad.facts.settings import settings, with_settings
from flatgrad.ir.core import Call, Span, every_step


@dataclass(slots=True)
class SettingChecks(Planning):
    """Drops claims that make no difference."""

    def _free_settings(self) -> None:
        """Functions that are written as they stand hold nothing to a claim."""
        for name in list(self.typed):
            claimed = settings(self.raw[name])
            if claimed and not self.differentiated.get(name):
                self._retype(name, with_settings(self.raw[name], claimed, False))
                for caller in self._callers(name):
                    self._retype(caller, self.raw[caller])

    def _check_settings(self, name: str) -> None:
        """Of what `d.get("eps", 1e-5)` gives it is claimed that it is one number. Forward holds it to that where the
        text of the function, or of one that calls it, would be another without the claim."""
        claimed = sorted(settings(self.raw[name]), key=lambda span: (span.line, span.column))
        if not claimed:
            return
        above = [name, *self._callers(name)]
        texts = [self._text(one) for one in above]
        free: frozenset[Span] = frozenset()
        for span in claimed:
            other = replace(self, typed=dict(self.typed), raw=dict(self.raw))
            try:
                other._retype(name, with_settings(self.raw[name], free | {span}, False))
                for caller in above[1:]:
                    other._retype(caller, self.raw[caller])
                free |= {span} if [other._text(one) for one in above] == texts else frozenset()
            except Refused:
                continue  # without the claim it is not understood
        self._retype(name, with_settings(self.raw[name], free, True))

    def _callers(self, name: str) -> list[str]:
        """The functions that call another, themselves or through others, and are written."""
        found = [name]
        for reached in found:
            for caller, typed in self.typed.items():
                calls = (step for step in every_step(typed.function.block) if isinstance(step, Call))
                if caller not in found and any(step.function == reached for step in calls):
                    found.append(caller)
        return [caller for caller in found[1:] if self.differentiated.get(caller)]
