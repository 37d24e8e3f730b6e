"""What a homework has to compute, and does not."""

from __future__ import annotations

import ast
from collections.abc import Iterable

import numpy as np

from flatgrad.diff.judging.case import Case
from flatgrad.diff.judging.sites import Role, Site
from flatgrad.diff.judging.truth import Spec


def missing_variables(case: Case, wrt: Iterable[str]) -> dict[str, Spec | None]:
    """The variables whose gradients are required and are never computed, each with its true gradient if that is known.

    Required is what the homework returns and what `wrt` names. Of a dict of parameters of which some get a gradient,
    all that the result depends on need one.
    """
    computed = {group.variable for group in case.groups if group.returned and _has_value(case, group.key)}
    found: dict[str, Spec | None] = {}
    for one in case.homework.returned:
        if one.variable and one.variable not in computed and not any(g.variable == one.variable for g in case.groups):
            found[one.variable] = _whole(case, one.variable)
    assigned = {group.variable for group in case.groups}
    found |= {name: _whole(case, name) for name in wrt if name not in assigned}
    containers = {_container(site) for site in case.program.sites if site.variable in computed} - {""}
    for variable in sorted(_entries(case, containers) - computed - set(found)):
        spec = _whole(case, variable)
        if spec is not None and _matters(case, spec):
            found[variable] = spec
    return found


def _has_value(case: Case, key: tuple[int, tuple[int, ...], str]) -> bool:
    return any(rounds for rounds in case.values(case.frees, key))


def _whole(case: Case, variable: str) -> Spec | None:
    return next(iter(case.sites.wholes(variable, True)), None)


def _container(site: Site) -> str:
    """`params` of `params["W1"]`; empty for what is no entry of a dict."""
    if site.role is not Role.USE and site.role is not Role.PART:
        return ""
    node = ast.parse(site.text, mode="eval").body
    if isinstance(node, ast.Subscript) and isinstance(node.slice, ast.Constant) and isinstance(node.slice.value, str):
        return ast.unparse(node.value)
    return ""


def _entries(case: Case, containers: set[str]) -> set[str]:
    """The entries of these dicts that the forward pass reads."""
    return {site.variable for site in case.program.sites if site.variable and _container(site) in containers}


def _matters(case: Case, spec: Spec) -> bool:
    found = [truth.of(spec) for truth in case.truths]
    return any(values is not None and any(np.any(np.abs(value) > 1e-7) for value in values) for values in found)
