"""Loss and gradient as an objective of SciPy, minimised over the logits, in which PRW gradients are given.

Line searches want a loss that is a smooth function and a gradient that belongs to it. The closed form (estimator.method exact)
is such a pair. A simulated loss is not: with the noise held fixed it is a staircase, whose steps the gradient does not see; it is
left to a method that needs values alone."""

import sys

import numpy as np

import latgrad

try:
    from scipy.optimize import minimize
except ImportError:
    print("SciPy is not installed; nothing was done")
    sys.exit(0)

WALK = {
    "model": "prw",
    "device": "cpu",
    "data.generate.params": {"p_center": 0.3, "p_resample": 0.6},
    "data.generate.runs": 20000,
    "params": {"p_center": {"start": 0.5}, "p_resample": {"start": 0.5}},
    "replicates": 5000,
}


def sigmoid(logits):
    return 1 / (1 + np.exp(-logits))


def exact(logits, problem=latgrad.Problem(WALK, estimator__method="exact")):
    loss, gradient = problem.grad(sigmoid(logits))
    return loss[0], gradient[0]


def simulated(logits, problem=latgrad.Problem(WALK)):
    return problem.value(sigmoid(logits))[0]


answer = minimize(exact, np.zeros(2), jac=True, method="L-BFGS-B")
print(f"closed form, L-BFGS-B: p_center, p_resample = {sigmoid(answer.x).round(1)}, {answer.nfev} evaluations")
simplex = np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]])  # wide against the steps of the staircase
answer = minimize(simulated, np.zeros(2), method="Nelder-Mead", options={"initial_simplex": simplex, "maxfev": 100})
print(f"simulated, Nelder-Mead: p_center, p_resample = {sigmoid(answer.x).round(1)}, {answer.nfev} evaluations")
