"""How a command leaves: its exit codes, and what is said of a defect of flatgrad itself."""

from __future__ import annotations

import os
import traceback

import click

TRACEBACK_VARIABLE = "FLATGRAD_TRACEBACK"
CLEAN, FINDINGS, FAILED = 0, 1, 2


def internal_error(error: BaseException, where: str = "") -> None:
    if os.environ.get(TRACEBACK_VARIABLE):
        traceback.print_exception(error)
    kind = type(error).__name__
    click.echo(f"flatgrad: internal error{where}: {kind}: {error}", err=True)
    click.echo("This is a defect of flatgrad; please report it, with the source that shows it.", err=True)
    if not os.environ.get(TRACEBACK_VARIABLE):
        click.echo(f"{TRACEBACK_VARIABLE}=1 in the environment shows the traceback.", err=True)
