r"""Nearly identical filters: whether they part, merge or stay, and how fast (chapters 7, 8 and 11).

============  ==========================================================================
`hessian`     the transverse Hessian $T$, its growth rate, the fastest direction
`transverse`  a merged run and the gaps that open along it, for any rule
`prediction`  the gap predicted from the merged run, and the amplification budget
`kicks`       what ReLU does instead
`lyapunov`    exponents of the gap under noise, with their standard errors
`collapse`    the smallest model of noise that merges
============  ==========================================================================
"""

from twinfilters.stability.collapse import collapse_exponent, simulate_collapse
from twinfilters.stability.hessian import (
    fastest_direction,
    growth_bound,
    growth_rate,
    transverse_blocks,
    transverse_hessian,
)
from twinfilters.stability.kicks import Kicks, relu_kicks
from twinfilters.stability.lyapunov import LyapunovExponents, gaussian_lyapunov_exponent, lyapunov_exponent
from twinfilters.stability.prediction import Amplification, GapPrediction, amplification_budget, predict_gap
from twinfilters.stability.transverse import TransverseRun

__all__ = [
    "Amplification",
    "GapPrediction",
    "Kicks",
    "LyapunovExponents",
    "TransverseRun",
    "amplification_budget",
    "collapse_exponent",
    "fastest_direction",
    "gaussian_lyapunov_exponent",
    "growth_bound",
    "growth_rate",
    "lyapunov_exponent",
    "predict_gap",
    "relu_kicks",
    "simulate_collapse",
    "transverse_blocks",
    "transverse_hessian",
]
