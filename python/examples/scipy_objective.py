"""The loss and its gradient as an objective of SciPy. The noise is held fixed (common random numbers), so that the loss is
one function; it is minimised over the logits, in which PRW gradients are given."""

import sys

import numpy as np

import latgrad

try:
    from scipy.optimize import minimize
except ImportError:
    print("SciPy is not installed; nothing was done")
    sys.exit(0)

problem = latgrad.Problem(
    {
        "model": "prw",
        "data.generate.params": {"p_center": 0.3, "p_resample": 0.6},
        "params": {"p_center": {"start": 0.5}, "p_resample": {"start": 0.5}},
        "replicates": 5000,
    }
)


def objective(logits):
    loss, gradient = problem.grad(1 / (1 + np.exp(-logits)))
    return loss[0], gradient[0]


answer = minimize(objective, np.zeros(2), jac=True, method="L-BFGS-B", options={"maxiter": 30})
print("p_center, p_resample:", (1 / (1 + np.exp(-answer.x))).round(2))
