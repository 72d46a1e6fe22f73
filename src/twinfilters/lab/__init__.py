"""The lab: two filters, alive in the page and in a notebook.

==============  ======================================================================================
`settings`      what there is to choose
`digits`        the handwritten digits as the page carries them
`stream`        the random numbers of the page in Python
`reference`     a run of the lab, made by the package
`scripts`       the engine and the view in the page, in JavaScript
`widget`        what Python sees of it and does to it
==============  ======================================================================================
"""

from twinfilters.lab.widget import TwinLab

__all__ = ["TwinLab"]
