"""Methods of tuples, lists and dicts whose elements are known while a function is read."""

from __future__ import annotations

import ast
from dataclasses import replace

from flatgrad.frontend.builtin_functions import BuiltinLowering
from flatgrad.frontend.changing import change_everywhere, method_change
from flatgrad.frontend.environment import Binding, Dictionary, Poison, Structure
from flatgrad.frontend.expression_base import elements_of
from flatgrad.ir.core import Literal

# Methods of a dict that can be gone through.
VIEWS = frozenset({"keys", "values", "items"})


class ContainerLowering(BuiltinLowering):
    """Lowers expressions with displays, dicts, comprehensions and strings in them."""

    # What the statement at hand assigns or returns.
    whole: ast.expr | None = None

    def container_method(self, node: ast.Call, base: Structure | Dictionary, method: str) -> Binding:
        """A method of a tuple, a list or a dict that changes nothing."""
        span = self._span(node)
        match base, method, node.args:
            case Dictionary(), "get", [key, *default] if len(default) < 2 and not node.keywords:
                literal = self.key(key)
                if literal is None:
                    return Poison.at()
                found = base.get(literal.value)  # type: ignore[arg-type]
                if found is not None:
                    return found
                return self.lower(default[0]) if default else Literal(None, "None")
            case Dictionary(), "items", []:
                pairs = [Structure((Literal(k, repr(k)), v), False, span) for k, v in base.items]
                return Structure(tuple(pairs), False, span, once=True)
            case Dictionary(), "keys", []:
                return Structure(elements_of(base), False, span, once=True)
            case Dictionary(), "values", []:
                return Structure(tuple(value for _, value in base.items), False, span, once=True)
            case Dictionary(), "copy", []:
                return replace(base)
            case Structure(is_list=True), "copy", []:
                return replace(base)
        taken = self._taken(node, base) if method == "pop" else None
        if taken is not None:
            return taken
        kind = "dict" if isinstance(base, Dictionary) else "list" if base.is_list else "tuple"
        return self.error(
            "FG030", f"the method {method} of a {kind} is not understood here", node, "", "build a new one instead"
        )

    def _taken(self, node: ast.Call, base: Structure | Dictionary) -> Binding | None:
        """`last = parts.pop()`, where that is the whole of a statement: nothing else tells when it is done, and how
        often."""
        if node is not self.whole or node.keywords or not isinstance(self.environment, dict):
            return None
        given = [self.lower(argument) for argument in node.args]
        literals = [self.static(one) for one in given]
        found = method_change(base, "pop", given, [None if one is None else one.value for one in literals])
        if found is None or found.result is None:
            return None
        change_everywhere(self.environment, base, found.container)
        return found.result
