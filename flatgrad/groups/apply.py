"""Backward rules of grouped gates that take more than one expression."""

from __future__ import annotations

from collections.abc import Callable

from flatgrad.ir.core import Operand, Relation

GROUP_BACKWARD: dict[str, Callable[[object, Relation, str, Operand], Operand]] = {}
