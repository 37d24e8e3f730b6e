"""Random programs, as source text, with arguments that they run on: the same for a seed everywhere.

A program is grown statement by statement while it runs: every candidate is tried on the values that the names have at
that point and taken only if NumPy accepts it and the numbers stay finite, moderate and away from kinks. So the
programs are all valid; whether the compiler understands one is another question.
"""

from __future__ import annotations

import random
import warnings

from tests.program_growth import Growth, Inputs, Program, Rejected, run_source, run_watched
from tests.program_regions import RegionGrowth

__all__ = ["Inputs", "Program", "generate", "run_source", "run_watched"]

# Of so many programs one is a straight line; the others have loops and branches.
STRAIGHT_EVERY = 3


def generate(seed: int) -> Program:
    """The program of this seed: the same on every machine and in every process."""
    rng = random.Random(seed)
    growth = Growth if seed % STRAIGHT_EVERY == 0 else RegionGrowth
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of candidates that are rejected
        while True:
            try:
                return growth(rng).program()
            except Rejected:
                continue
