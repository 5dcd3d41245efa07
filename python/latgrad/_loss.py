"""A loss of the user's own: the function as the library calls it."""

import ctypes
from dataclasses import dataclass
from typing import Any, Callable, List, Optional, Tuple

import numpy as np

from ._library import LOSS_FN

LossFunction = Callable[[np.ndarray], Tuple[float, Any]]


@dataclass(frozen=True)
class Recorded:
    """What a loss function is asked about. rows: which row of the data each replicate started from."""

    fit: int
    iteration: int
    steps: np.ndarray
    rows: np.ndarray


def _view(address: int, shape: Tuple[int, ...], kind: Any) -> np.ndarray:
    count = int(np.prod(shape))
    return np.ctypeslib.as_array((kind * count).from_address(address)).reshape(shape)


class OwnLoss:
    """Keeps the callback alive, and what the user's function raised until it is out of C."""

    def __init__(self, loss: LossFunction, steps: Optional[List[int]]) -> None:
        self.loss, self.steps = loss, steps
        self.recorded: Optional[Recorded] = None
        self._raised: Optional[BaseException] = None
        self.function = LOSS_FN(self._call)

    def raise_what_it_raised(self) -> None:
        raised, self._raised = self._raised, None
        if raised is not None:
            raise raised

    def _call(self, pointer: Any, value: Any, adjoint: Any, _user: Any) -> int:
        try:
            r = pointer.contents
            lattice = bool(r.species)
            shape = (r.replicates, r.records) + ((r.species, r.height, r.width) if lattice else (2,))
            states = _view(r.lattice if lattice else r.walk, shape, ctypes.c_uint8 if lattice else ctypes.c_int32)
            states.flags.writeable = False
            self.recorded = Recorded(
                r.fit,
                r.iteration,
                np.ctypeslib.as_array(r.step, (r.records,)).copy(),
                np.ctypeslib.as_array(r.row, (r.replicates,)).copy(),
            )
            loss, derivative = self.loss(states)
            value[0] = float(loss)
            if adjoint:
                _view(ctypes.addressof(adjoint.contents), shape, ctypes.c_float)[...] = derivative
            return 0
        except BaseException as error:  # it cannot pass through C
            self._raised = error
            return 1
