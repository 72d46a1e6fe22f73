"""The lab: two filters, alive in the page and in a notebook.

==============  ======================================================================================
`settings`      what there is to choose
`digits`        the handwritten digits as the page carries them
`stream`        the random numbers of the page in Python
`reference`     a run of the lab, made by the package
`scripts`       the engine and the view, in JavaScript, as the page and the notebook get them
`widget`        what Python sees of it and does to it
`markup`        what stands in the page until a script runs, and what the scripts take over
`poster`        a picture of a run, for paper and for pages without scripts
`sphinx`        the lab in a built page
==============  ======================================================================================
"""

from twinfilters.lab.widget import TwinLab

__all__ = ["TwinLab"]
