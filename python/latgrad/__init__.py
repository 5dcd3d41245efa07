"""latgrad: stochastic lattice models in batches, fitted to data with approximate gradients.

>>> import latgrad
>>> run = latgrad.simulate({"model": "si", "lattice.height": 32, "lattice.width": 32}, steps=20, params={"beta": 0.2})
>>> run.shape
(1, 1, 1, 32, 32)

A configuration is a mapping from keys to values, nested or with dots ("optimizer.lr"), or the path of a YAML file. The
keys are those of `latgrad help config`.
"""

from ._api import LatgradError, Problem, Result, Trace, fit, grad, simulate, version
from ._gradcheck import Gradcheck, GradcheckRow, gradcheck
from ._loss import Recorded

__all__ = [
    "Gradcheck",
    "GradcheckRow",
    "LatgradError",
    "Problem",
    "Recorded",
    "Result",
    "Trace",
    "fit",
    "grad",
    "gradcheck",
    "simulate",
    "version",
]
