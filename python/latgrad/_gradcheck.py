"""Bias and variance of the gradient estimators at one point, as `latgrad gradcheck` prints them."""

import ctypes
from dataclasses import asdict, dataclass, fields
from typing import Any, Dict, List, Optional, Sequence

import numpy as np

from ._api import Config, _lib, _Session
from ._library import GradcheckInfo, GradcheckOptions


@dataclass(frozen=True)
class GradcheckRow:
    """One estimator and one fitted parameter; numbers that do not exist are NaN."""

    estimator: str
    param: str
    mean: float  #: over the runs,
    error: float  #: its standard error,
    sd: float  #: and the standard deviation of one gradient
    reference: float  #: derivative of the expected loss by finite differences
    reference_error: float
    bias: float
    bias_error: float
    relative_bias: float  #: bias / reference: below -1 for a wrong sign
    sign: float  #: share of the runs with the sign of the reference
    samples: float  #: gradients whose mean has the stated relative error
    cosine: float  #: of the estimator, between its mean and the reference
    seconds: float  #: of a gradient
    expectation: str  #: what is known of this estimator here
    passed: bool
    note: str  #: why it failed or is zero


@dataclass(frozen=True)
class Gradcheck:
    """The table, and what it is a table of."""

    model: str
    task: str
    loss: str
    device: str
    reference: str
    replicates: int
    runs: int
    seed: int
    failed: int
    point: np.ndarray
    left_out: Dict[str, str]  #: estimators that the problem does not have, with the reason
    rows: List[GradcheckRow]

    def array(self) -> np.ndarray:
        """The rows as a structured array with the fields of GradcheckRow."""
        kinds = {str: "U200", float: "f8", bool: "?"}
        values = [tuple(asdict(row).values()) for row in self.rows]
        return np.array(values, [(field.name, kinds[field.type]) for field in fields(GradcheckRow)])


def _row(row: Any) -> GradcheckRow:
    values = {field.name: getattr(row, field.name) for field in fields(GradcheckRow)}
    return GradcheckRow(**{k: v.decode() if isinstance(v, bytes) else v for k, v in values.items()})


def gradcheck(config: Config, estimators: Optional[Sequence[str]] = None, runs: int = 0, reference_runs: int = 0,
              relative_error: float = 0.0, **settings: Any) -> Gradcheck:
    """Compares estimators with finite differences at the start values of a configuration.

    estimators: of "ste", "gs", "gr", "score", "fd", "exact"; None: those the problem has. runs, reference_runs: independent
    gradients of an estimator and of finite differences (0: 200 and 400). relative_error: of a mean gradient, for `samples`
    (0: 0.1). settings: keys on top of the configuration, with __ for a dot."""
    session = _Session()
    names = ",".join(estimators).encode() if estimators is not None else None
    options = GradcheckOptions(names, runs, reference_runs, relative_error)
    handle = session._make(
        _lib.lg_gradcheck_create, _lib.lg_gradcheck_free, (session._config(config, settings),), ctypes.byref(options)
    )
    info = GradcheckInfo()
    _lib.lg_gradcheck_describe(handle.pointer, ctypes.byref(info))
    left_out = (line.split(": ", 1) for line in info.left_out.decode().splitlines())
    return Gradcheck(
        *(text.decode() for text in (info.model, info.task, info.loss, info.device, info.reference)),
        info.replicates,
        info.runs,
        info.seed,
        info.failed,
        np.ctypeslib.as_array(info.point, (info.params,)).copy(),
        dict(left_out),
        [_row(_lib.lg_gradcheck_at(handle.pointer, i).contents) for i in range(info.rows)],
    )
