"""A dict of settings that is put together of another one.

`dict(param, axis=1)`, `param | {...}`, `param or {}`, `.copy()`, `.update(...)` and `.setdefault(...)` work as well.
What stands in the display behind all others is read as what it is; anything else is a setting.
"""

import numpy as np


def f(x: "N D", gamma: "D", param=None):
    if param is None:
        param = {}
    settings = {"eps": 1e-5, **param, "scale": gamma * 2.0}
    centred = x - x.mean(axis=0)
    out = settings["scale"] * centred / np.sqrt(x.var(axis=0) + settings["eps"])
    if settings.get("mode", "train") == "train":
        out = out * 2.0
    return out
