"""simulate, grad and fit over ctypes. Arrays that the library fills are NumPy's own memory; traces are views of the result's."""

import ctypes
import json
import os
from dataclasses import dataclass
from typing import Any, Callable, Dict, Iterator, List, Mapping, Optional, Sequence, Tuple, Union

import numpy as np

from ._library import PROGRESS_FN, ProblemInfo, load
from ._loss import LossFunction, OwnLoss, Recorded

_lib = load()
Config = Union[str, "os.PathLike[str]", Mapping[str, Any]]
Params = Optional[Union[Mapping[str, float], np.ndarray]]


class LatgradError(RuntimeError):
    """What the library says: `code` is the name of the status ("LG_ERR_CONFIG"), the text its sentence."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


def version() -> str:
    """Version of the library in use."""
    return _lib.lg_version().decode()


class _Handle:
    """A handle of the library, the function that frees it, and the handles that have to outlive it."""

    def __init__(self, pointer: ctypes.c_void_p, free: Callable[[ctypes.c_void_p], None], *parents: "_Handle") -> None:
        self.pointer, self._free, self._parents = pointer, free, parents

    def __del__(self) -> None:
        if self.pointer:
            self._free(self.pointer)
            self.pointer = None


def _text(value: Any) -> str:
    """A value as the configuration takes it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (list, tuple, np.ndarray)):
        return "[" + ", ".join(_text(v) for v in value) + "]"
    if isinstance(value, np.generic):
        value = value.item()
    return repr(value) if isinstance(value, float) else os.fspath(value) if isinstance(value, os.PathLike) else str(value)


def _flat(config: Mapping[str, Any], prefix: str = "") -> Iterator[Tuple[str, str]]:
    for key, value in config.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield prefix + key, _text(value)


def _address(array: Optional[np.ndarray]) -> Optional[int]:
    return None if array is None else array.ctypes.data


class _Session:
    """A context of the library, and its calls with their errors as exceptions."""

    def __init__(self) -> None:
        out = ctypes.c_void_p()
        if _lib.lg_context_create(ctypes.byref(out)):
            raise MemoryError("no memory for a latgrad context")
        self._context = _Handle(out, _lib.lg_context_free)

    def _call(self, function: Callable[..., int], *arguments: Any) -> None:
        status = function(self._context.pointer, *arguments)
        if status:
            message = _lib.lg_context_message(self._context.pointer).decode(errors="replace")
            raise LatgradError(_lib.lg_status_name(status).decode(), message)

    def _make(self, create: Callable[..., int], free: Callable[..., None], parents: Tuple[_Handle, ...] = (),
              *arguments: Any) -> _Handle:
        out = ctypes.c_void_p()
        self._call(create, *(parent.pointer for parent in parents), *arguments, ctypes.byref(out))
        return _Handle(out, free, self._context, *parents)

    def _config(self, config: Config, settings: Mapping[str, Any]) -> _Handle:
        """config: a mapping of keys or the path of a YAML file; settings: keys on top of it, with __ for a dot."""
        lines = list(_flat({key.replace("__", "."): value for key, value in settings.items()}))
        handle = self._make(_lib.lg_config_create, _lib.lg_config_free)
        if isinstance(config, Mapping):
            lines = list(_flat(config)) + lines
        else:
            self._call(_lib.lg_config_load, handle.pointer, os.fspath(config).encode())
        for key, value in lines:
            self._call(_lib.lg_config_set, handle.pointer, key.encode(), value.encode())
        return handle


class Problem(_Session):
    """A checked configuration with its data, on a device. Use a problem from one thread at a time."""

    def __init__(self, config: Config, **settings: Any) -> None:
        """config: a mapping of keys or the path of a YAML file; settings: keys on top of it, with __ for a dot
        (optimizer__lr=0.01)."""
        super().__init__()
        self._own: Optional[OwnLoss] = None
        handle = self._config(config, settings)
        self._handle = self._make(_lib.lg_problem_create, _lib.lg_problem_free, (handle,))
        info = ProblemInfo()
        _lib.lg_problem_describe(self._handle.pointer, ctypes.byref(info))
        self.model, self.task, self.loss = info.model.decode(), info.task.decode(), info.loss.decode()
        self.device, self.fits, self.replicates, self.steps = info.device.decode(), info.fits, info.replicates, info.steps
        self.seed: int = info.seed
        self.names: List[str] = [
            _lib.lg_model_param(info.model_index, p).contents.name.decode() for p in range(info.params)
        ]
        #: shape and type of one replicate's state
        self.state_shape: Tuple[int, ...] = (info.species, info.height, info.width) if info.species else (4,)
        self.state_dtype = np.dtype(np.uint8 if info.species else np.int32)
        #: start values of the parameters, [fits, params]
        self.start: np.ndarray = np.empty((self.fits, info.params))
        for f in range(self.fits):
            _lib.lg_problem_start(self._handle.pointer, f, self.start[f].ctypes.data)

    def _call(self, function: Callable[..., int], *arguments: Any) -> None:
        try:
            super()._call(function, *arguments)
        except LatgradError:
            if self._own:
                self._own.raise_what_it_raised()
            raise

    def params(self, given: Params = None) -> np.ndarray:
        """Parameters [fits, params]: the start values with `given` put over them, by name or as an array."""
        values = self.start.copy()
        if isinstance(given, Mapping):
            for name, value in given.items():
                if name not in self.names:
                    raise ValueError(f"{self.model} has no parameter '{name}'; it has {', '.join(self.names)}")
                values[:, self.names.index(name)] = value
        elif given is not None:
            values[:] = given
        return values

    def grad(self, params: Params = None, iteration: int = 0) -> Tuple[np.ndarray, np.ndarray]:
        """Loss [fits] and gradient [fits, params] with the noise of an iteration. PRW: the gradient of the logits."""
        values = self.params(params)
        loss, gradient = np.empty(self.fits), np.empty_like(values)
        self._call(
            _lib.lg_evaluate, self._handle.pointer, iteration, _address(values), _address(loss), _address(gradient)
        )
        return loss, gradient

    def set_loss(self, loss: LossFunction, steps: Optional[Sequence[int]] = None) -> None:
        """Puts a loss of your own in the place of the problem's, for grad, value and fit.

        loss(states) returns the loss of one fit and its derivatives dL/dstates, an array of the shape of the states or one
        that broadcasts to it. States are a read-only view of the library's memory, valid during the call:
        [replicates, recorded, species, height, width] uint8, or of a walk positions [replicates, recorded, 2] int32,
        after the given steps (ascending; None: the last step). `recorded` says which fit is asked about. What the function
        raises is raised by the call that needed the loss."""
        wanted = None if steps is None else [int(step) for step in steps]
        if self._own is not None and self._own.steps == wanted:
            self._own.loss = loss
            return
        own = OwnLoss(loss, wanted)
        array = None if wanted is None else np.array(wanted, np.int64)
        self._call(
            _lib.lg_problem_set_loss, self._handle.pointer, own.function, None, _address(array), len(wanted or ())
        )
        self._own, self.loss = own, "own"

    @property
    def recorded(self) -> Optional[Recorded]:
        """What a loss of your own was last asked about: fit, iteration, steps, rows of the data."""
        return self._own.recorded if self._own else None

    def loss_and_grad(self, params: Params = None, loss: Optional[LossFunction] = None,
                      steps: Optional[Sequence[int]] = None, iteration: int = 0) -> Tuple[np.ndarray, np.ndarray]:
        """Loss [fits] and gradient [fits, params], of a loss of your own where one is given (see set_loss; it stays)."""
        if loss is not None:
            self.set_loss(loss, steps)
        return self.grad(params, iteration)

    def value(self, params: Params = None, iteration: int = 0) -> np.ndarray:
        """Loss [fits] without the gradient."""
        values, loss = self.params(params), np.empty(self.fits)
        self._call(_lib.lg_evaluate, self._handle.pointer, iteration, _address(values), _address(loss), None)
        return loss

    def simulate(self, steps: Optional[int] = None, every: int = 0, params: Params = None, iteration: int = 0) -> np.ndarray:
        """Forward runs. States after `steps` steps, [fits, replicates, ...]; with every > 0 those of steps 0, every,
        2 every, ..., [recorded, fits, replicates, ...]. SI (1, H, W), MK (2, H, W) uint8; PRW int32 x, y, vx, vy."""
        steps = self.steps if steps is None else steps
        if steps < 0 or every < 0:
            raise ValueError(f"steps {steps}, every {every}: expected numbers >= 0")
        batch = self._make(_lib.lg_batch_create, _lib.lg_batch_free, (self._handle,))
        values = self.params(params)
        self._call(_lib.lg_batch_set_params, batch.pointer, _address(values))
        self._call(_lib.lg_batch_reset, batch.pointer, iteration)
        shape = (self.fits, self.replicates, *self.state_shape)
        if not every:
            out = np.empty(shape, self.state_dtype)
            self._call(_lib.lg_batch_run, batch.pointer, steps)
            self._read(batch, out)
            return out
        out = np.empty((steps // every + 1, *shape), self.state_dtype)
        for index in range(len(out)):
            if index:
                self._call(_lib.lg_batch_run, batch.pointer, every)
            self._read(batch, out[index])
        return out

    def _read(self, batch: _Handle, out: np.ndarray) -> None:
        for f in range(self.fits):
            self._call(_lib.lg_batch_states, batch.pointer, f, 0, self.replicates, _address(out[f]))

    def fit(self, callback: Optional[Callable[[int, np.ndarray, np.ndarray], Any]] = None) -> "Result":
        """Runs the fit. callback(iteration, loss [fits], params [fits, params]) is called every few iterations; the fit
        stops where it returns True. What it raises is raised here, after the fit has stopped."""
        raised: List[BaseException] = []

        def progress(pointer: Any, _user: Any) -> int:
            p = pointer.contents
            try:
                loss = np.ctypeslib.as_array(p.loss, (p.fits,)).copy()
                values = np.ctypeslib.as_array(p.values, (p.fits, p.params)).copy()
                return 1 if callback(p.iteration, loss, values) is True else 0
            except BaseException as error:  # it cannot pass through C
                raised.append(error)
                return 1

        function = PROGRESS_FN(progress) if callback else PROGRESS_FN()
        handle = self._make(_lib.lg_fit, _lib.lg_result_free, (self._handle,), function, None)
        if raised:
            raise raised[0]
        return Result(self, handle)


@dataclass
class Trace:
    """The course of one fit; row i holds the parameters before update i with the loss and gradient norm found there."""

    loss: np.ndarray
    params: np.ndarray
    learning_rate: np.ndarray
    gradient_norm: np.ndarray


class Result:
    """What came out of a fit. Arrays over [fits]."""

    def __init__(self, problem: Problem, handle: _Handle) -> None:
        self._problem, self._handle = problem, handle
        r, fits, count = handle.pointer, problem.fits, len(problem.names)
        self.names = problem.names
        self.params: np.ndarray = np.array(
            [np.ctypeslib.as_array(_lib.lg_result_params(r, f), (count,)) for f in range(fits)]
        )
        self.loss: np.ndarray = np.array([_lib.lg_result_loss(r, f) for f in range(fits)])
        self.iterations: np.ndarray = np.array([_lib.lg_result_iterations(r, f) for f in range(fits)])
        self.status: List[str] = [_lib.lg_fit_status_name(_lib.lg_result_status(r, f)).decode() for f in range(fits)]
        self.reason: List[str] = [_lib.lg_result_reason(r, f).decode() for f in range(fits)]
        self.seconds: float = _lib.lg_result_seconds(r)

    def tail(self, count: int, fit: int = 0) -> Dict[str, Tuple[float, float]]:
        """Mean and standard deviation of each parameter over the last `count` iterates."""
        self._check(fit)
        mean, sd = np.empty(len(self.names)), np.empty(len(self.names))
        _lib.lg_result_tail(self._handle.pointer, fit, count, _address(mean), _address(sd))
        return {name: (float(m), float(s)) for name, m, s in zip(self.names, mean, sd)}

    def trace(self, fit: int = 0) -> Trace:
        """The trace of a fit: read-only views of the result's memory, which live as long as they are used."""
        self._check(fit)
        rows, columns = int(self.iterations[fit]), len(self.names) + 3
        pointer = _lib.lg_result_trace(self._handle.pointer, fit)
        buffer = (ctypes.c_double * (rows * columns)).from_address(ctypes.addressof(pointer.contents))
        buffer.owner = self._handle  # keeps the memory for as long as a view of it is there
        table = np.frombuffer(buffer).reshape(rows, columns)
        table.flags.writeable = False
        return Trace(table[:, 0], table[:, 1:-2], table[:, -2], table[:, -1])

    def save(self, path: Union[str, "os.PathLike[str]"], force: bool = False) -> None:
        """Writes the HDF5 result, which `latgrad plot` reads; an existing file is kept unless force."""
        self._problem._call(_lib.lg_result_write, self._handle.pointer, os.fspath(path).encode(), force)

    def _check(self, fit: int) -> None:
        if not 0 <= fit < len(self.loss):
            raise IndexError(f"there is no fit {fit}; the result has {len(self.loss)}")

    def __repr__(self) -> str:
        return f"Result({json.dumps(dict(zip(self.names, self.params[0].tolist())))}, loss={self.loss[0]:g})"


def simulate(config: Config, steps: Optional[int] = None, every: int = 0, params: Params = None, **settings: Any) -> np.ndarray:
    """Forward runs of a configuration (task simulate, unless it says otherwise); see Problem.simulate."""
    if isinstance(config, Mapping) and "task" not in config:
        settings.setdefault("task", "simulate")
    if steps is not None:
        settings.setdefault("steps", max(steps, 1))
    return Problem(config, **settings).simulate(steps, every, params)


def grad(config: Config, params: Params = None, iteration: int = 0, **settings: Any) -> Tuple[np.ndarray, np.ndarray]:
    """Loss and gradient of a configuration at a point; see Problem.grad."""
    return Problem(config, **settings).grad(params, iteration)


def fit(config: Config, callback: Optional[Callable[..., Any]] = None, **settings: Any) -> Result:
    """Fits a configuration; see Problem.fit."""
    return Problem(config, **settings).fit(callback)
