"""A whole module: its functions, imports, constants and helpers, laid out by a template and formatted by black."""

from __future__ import annotations

from flatgrad.emit.classes import class_rows, class_texts
from flatgrad.emit.docstrings import notes, table, title
from flatgrad.emit.function import write_function
from flatgrad.emit.helpers import helper_texts
from flatgrad.emit.imports import constant_lines, import_lines, import_names, used_names
from flatgrad.emit.marks import unmarked, with_own_results
from flatgrad.emit.plan import FunctionPlan, FunctionText, ModulePlan


def write_module(plan: ModulePlan) -> str:
    """The text of the module."""
    import black
    import jinja2

    from flatgrad.resources import template

    names = import_names(plan.module, [one.name for one in plan.functions])
    everything = {one.name: write_function(plan, one, names) for one in plan.functions}
    functions = tuple(one for name, one in everything.items() if name not in plan.module.methods)
    classes = class_texts(plan, everything)
    helpers = helper_texts(plan.module, tuple(everything.values()), [one.plain for one in classes])
    environment = jinja2.Environment(
        loader=jinja2.FunctionLoader(template), trim_blocks=True, lstrip_blocks=True, undefined=jinja2.StrictUndefined
    )
    layout = environment.get_template("module.py.jinja")
    context = {
        "title": title(plan),
        "table": [*table(functions), *class_rows(plan, classes)],
        "notes": notes(tuple(everything.values()), plan.module.borrowed.pairs.values()),
        "functions": functions,
        "classes": classes,
        "helpers": helpers,
        "unbroadcasts": any(one.unbroadcasts for one in everything.values()),
        "numpy": names.numpy,
        "unbroadcast": names.unbroadcast,
        "imports": (),
        "constants": (),
    }
    body = with_own_results(plan, unmarked(layout.render(context)))
    used = used_names(body)
    constants = constant_lines(plan.module, used)
    used |= used_names("\n".join(constants))
    text = unmarked(
        layout.render(context | {"imports": import_lines(plan.module, used, names), "constants": constants})
    )
    text = with_own_results(plan, text)
    return black.format_str(text, mode=black.Mode(line_length=100))


def function_text(plan: ModulePlan, one: FunctionPlan) -> FunctionText:
    """The text of one function of a module."""
    return write_function(plan, one, import_names(plan.module, [one.name]))
