"""The templates, wherever they are: inside the package in a wheel, beside it in a checkout or an editable install."""

from __future__ import annotations

from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path


def templates() -> Traversable:
    """The folder of the Jinja templates. Raises FileNotFoundError where an installation has lost it."""
    inside = files("flatgrad") / "templates"
    if inside.is_dir():
        return inside
    beside = Path(__file__).resolve().parent.parent / "templates"
    if beside.is_dir():
        return beside
    raise FileNotFoundError(f"flatgrad's templates are neither in {inside} nor in {beside}: install flatgrad again")


def template(name: str) -> str | None:
    """The text of a template, None if there is none of that name: what `jinja2.FunctionLoader` takes."""
    # Traversable has no check of its own: `../x` would leave the folder.
    if not name or any(part in ("", ".", "..") for part in name.split("/")):
        return None
    place = templates().joinpath(*name.split("/"))
    return place.read_text(encoding="utf-8") if place.is_file() else None
