r"""Identical units: making them, measuring how far apart they are, counting and merging them.

===========  =======================================================================
`pairs`      two units of a network: tie them, set a gap, measure it
`partition`  which units are identical: classes, effective width, colour refinement
`merging`    the narrower network that computes the same, and the way back
===========  =======================================================================
"""

from twinfilters.twins.merging import Merged, merge, quotient, unmerge
from twinfilters.twins.pairs import PARTS, difference, gap, make_twins, replace_unit, tie, unit_vector
from twinfilters.twins.partition import Classes, effective_width, equitable_partition, unit_classes

__all__ = [
    "PARTS",
    "Classes",
    "Merged",
    "difference",
    "effective_width",
    "equitable_partition",
    "gap",
    "make_twins",
    "merge",
    "quotient",
    "replace_unit",
    "tie",
    "unit_classes",
    "unit_vector",
    "unmerge",
]
