r"""The symmetric plateau: statistical mechanics of online learning in a soft committee machine.

A student with filters $w_1,\dots,w_K$ learns from a teacher with filters $b_1,\dots,b_M$, one example a step. The
inputs $\xi\in\mathbb R^N$ are normal with unit variance, the fields are $x_i=w_i\cdot\xi/\sqrt N$ and
$y_n=b_n\cdot\xi/\sqrt N$, the activation is $g(x)=\mathrm{erf}(x/\sqrt2)$, and the residual is

$$\delta=\sum_n t_n\,g(y_n)+\zeta-\sum_j s_j\,g(x_j)$$

with readouts $s,t$ that are not trained (1 by default) and output noise $\zeta$ of variance $\sigma^2$. A step is
$w_i\to w_i+\frac{\eta}{\sqrt N}\,\delta\,s_i\,g'(x_i)\,\xi$. For large $N$ the state of the student is its overlaps
$Q=ww^\top/N$, $R=wb^\top/N$ with the teacher's $T=bb^\top/N$ given, and they follow (Saad and Solla 1995; chapter 10)

$$\dot R_{in}=\eta\,s_i\,\mathbb E[g'(x_i)\,y_n\,\delta],\qquad
\dot Q_{ik}=\eta\,\mathbb E\big[\delta\,(s_i\,g'(x_i)\,x_k+s_k\,g'(x_k)\,x_i)\big]
+\eta^2 s_is_k\,\mathbb E[g'(x_i)\,g'(x_k)\,\delta^2]$$

where time is steps divided by $N$ and $\varepsilon_g=\frac12\mathbb E[\delta^2]$ without the noise.

=============  ========================================================================
`integrals`    the Gaussian integrals behind these averages
`state`        the overlaps: checked, measured, turned into weights
`flow`         the error, the flow, its solution
`simulation`   online learning at finite N, to compare
`escape`       where the plateau lies, how fast and when it is left
=============  ========================================================================

Dimension letters of this package: ``K`` unit (filter) of the student, ``M`` unit of the teacher, ``X`` field (first
the K of the student, then the M of the teacher), ``N`` entry of an input, ``S`` recorded moment, ``E`` run.
"""

from twinfilters.plateau.escape import (
    Plateau,
    escape_rate,
    escape_time,
    escape_trajectory,
    measured_escape_time,
    plateau_at,
    symmetric_plateau,
)
from twinfilters.plateau.flow import Trajectory, generalization_error, order_parameter_flow, trajectory
from twinfilters.plateau.integrals import integral_i2, integral_i3, integral_i4, integral_j2
from twinfilters.plateau.simulation import simulate_online
from twinfilters.plateau.state import asymmetry, weights_with_overlaps

__all__ = [
    "Plateau",
    "Trajectory",
    "asymmetry",
    "escape_rate",
    "escape_time",
    "escape_trajectory",
    "generalization_error",
    "integral_i2",
    "integral_i3",
    "integral_i4",
    "integral_j2",
    "measured_escape_time",
    "order_parameter_flow",
    "plateau_at",
    "simulate_online",
    "symmetric_plateau",
    "trajectory",
    "weights_with_overlaps",
]
