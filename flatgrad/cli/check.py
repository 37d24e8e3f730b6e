"""`flatgrad check`."""

from __future__ import annotations

from pathlib import Path

import click

from flatgrad.cli.options import name_list, shape_option


@click.command("check")
@click.argument("model", metavar="MODEL", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.argument(
    "generated", required=False, metavar="[MODULE]", type=click.Path(exists=True, dir_okay=False, path_type=Path)
)
@click.option("--function", "functions", multiple=True, metavar="NAME", help="Only this function; may be repeated.")
@click.option("--wrt", multiple=True, callback=name_list, metavar="W1,b1", help="Only these gradients.")
@shape_option
@click.option(
    "--inputs",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    metavar="NPZ",
    help="The arguments, by their names.  [default: example_inputs() of the model, or drawn to fit]",
)
@click.option(
    "--directions",
    type=click.IntRange(min=1),
    metavar="K",
    help="Compare K random projections of every gradient, not every element: for large arrays.",
)
@click.option("--order", type=click.Choice(["1", "2"]), default="1", show_default=True, help="2: second derivatives.")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Of what is drawn.")
@click.option("--format", "style", type=click.Choice(["text", "json"]), default="text", show_default=True)
def check_command(
    model: Path,
    generated: Path | None,
    functions: tuple[str, ...],
    wrt: tuple[str, ...],
    shapes: tuple[tuple[str, str], ...],
    inputs: Path | None,
    directions: int | None,
    order: str,
    seed: int,
    style: str,
) -> int:
    """Compare gradients with central differences of MODEL: those of MODULE, or of what is compiled now.

    MODULE may be written by hand: f_forward and f_backward, f_value_and_grad, or a class with forward and backward.
    Both files are imported and run. Exit code 1: a gradient differs; 2: not to be judged.
    """
    from flatgrad.checking.command import check
    from flatgrad.checking.rows import Settings as Checks
    from flatgrad.config import Settings

    given = Settings(functions=functions or None, wrt=wrt or None, shapes=shapes or None)
    checks = Checks(directions=directions or 0, seed=seed, order=int(order))
    return check(model, generated, given, inputs, checks, style)
