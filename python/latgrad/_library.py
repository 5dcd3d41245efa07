"""Finds liblatgrad.so and declares what of include/latgrad.h is used here."""

import ctypes
import ctypes.util
import os
from ctypes import POINTER, c_bool, c_char, c_char_p, c_double, c_float, c_int, c_int64, c_size_t, c_uint32, c_uint64, c_void_p
from pathlib import Path

# The library's binary interface may change with the minor version while the major one is 0.
VERSION = (0, 1)


class ProblemInfo(ctypes.Structure):
    """lg_problem_info"""

    _fields_ = (
        [(name, c_char_p) for name in ("model", "task", "loss", "device")]
        + [(name, c_int) for name in ("model_index", "params", "fits", "species", "height", "width", "capacity")]
        + [(name, c_int64) for name in ("replicates", "steps", "iterations")]
        + [("seed", c_uint64), ("pool", c_int64), ("statistics", c_int)]
        + [(name, c_size_t) for name in ("state_bytes", "tape_bytes", "total_bytes")]
        + [("checkpoint_interval", c_int64), ("kernels", c_char_p)]
    )


class ParamInfo(ctypes.Structure):
    """lg_param_info"""

    _fields_ = [
        ("name", c_char_p),
        ("lower", c_double),
        ("upper", c_double),
        ("start", c_double),
        ("grad_of_logit", c_bool),
        ("unit", c_char_p),
        ("help", c_char_p),
    ]


class Progress(ctypes.Structure):
    """lg_progress"""

    _fields_ = [
        ("iteration", c_int64),
        ("iterations", c_int64),
        ("seconds", c_double),
        ("seconds_left", c_double),
        ("fits", c_int),
        ("params", c_int),
        ("running", c_int),
        ("loss", POINTER(c_double)),
        ("values", POINTER(c_double)),
        ("checkpoint", c_int64),
    ]


class Recorded(ctypes.Structure):
    """lg_recorded"""

    _fields_ = [
        ("fit", c_int),
        ("iteration", c_uint64),
        ("replicates", c_int64),
        ("records", c_int),
        ("step", POINTER(c_int64)),
        ("species", c_int),
        ("height", c_int),
        ("width", c_int),
        ("row", POINTER(c_uint32)),
        ("lattice", c_void_p),
        ("walk", c_void_p),
    ]


class GradcheckOptions(ctypes.Structure):
    """lg_gradcheck_options"""

    _fields_ = [("estimators", c_char_p), ("runs", c_int64), ("reference_runs", c_int64), ("relative_error", c_double)]


_GRADCHECK_REALS = (
    "mean error sd reference reference_error bias bias_error relative_bias sign samples cosine seconds".split()
)


class GradcheckRow(ctypes.Structure):
    """lg_gradcheck_row"""

    _fields_ = (
        [(name, c_char_p) for name in ("estimator", "param")]
        + [(name, c_double) for name in _GRADCHECK_REALS]
        + [("expectation", c_char_p), ("passed", c_bool), ("note", c_char * 200)]
    )


class GradcheckInfo(ctypes.Structure):
    """lg_gradcheck_info"""

    _fields_ = (
        [(name, c_char_p) for name in ("model", "task", "loss", "device", "reference")]
        + [(name, c_int) for name in ("rows", "failed", "params")]
        + [("replicates", c_int64), ("runs", c_int64), ("seed", c_uint64)]
        + [("point", POINTER(c_double)), ("left_out", c_char_p)]
    )


PROGRESS_FN = ctypes.CFUNCTYPE(c_int, POINTER(Progress), c_void_p)
LOSS_FN = ctypes.CFUNCTYPE(c_int, POINTER(Recorded), POINTER(c_double), POINTER(c_float), c_void_p)

_doubles, _out = POINTER(c_double), POINTER(c_void_p)
# name: (result, arguments); c_int as a result is an lg_status where the first argument is a context
_FUNCTIONS = {
    "lg_version": (c_char_p, []),
    "lg_status_name": (c_char_p, [c_int]),
    "lg_context_create": (c_int, [_out]),
    "lg_context_free": (None, [c_void_p]),
    "lg_context_message": (c_char_p, [c_void_p]),
    "lg_free": (None, [c_void_p]),
    "lg_model_param": (POINTER(ParamInfo), [c_int, c_int]),
    "lg_config_create": (c_int, [c_void_p, _out]),
    "lg_config_free": (None, [c_void_p]),
    "lg_config_load": (c_int, [c_void_p, c_void_p, c_char_p]),
    "lg_config_set": (c_int, [c_void_p, c_void_p, c_char_p, c_char_p]),
    "lg_config_print": (c_int, [c_void_p, c_void_p, POINTER(c_void_p)]),
    "lg_problem_create": (c_int, [c_void_p, c_void_p, _out]),
    "lg_problem_free": (None, [c_void_p]),
    "lg_problem_describe": (None, [c_void_p, POINTER(ProblemInfo)]),
    "lg_problem_start": (None, [c_void_p, c_int, c_void_p]),
    "lg_problem_set_loss": (c_int, [c_void_p, c_void_p, LOSS_FN, c_void_p, c_void_p, c_int]),
    "lg_evaluate": (c_int, [c_void_p, c_void_p, c_uint64, c_void_p, c_void_p, c_void_p]),
    "lg_batch_create": (c_int, [c_void_p, c_void_p, _out]),
    "lg_batch_free": (None, [c_void_p]),
    "lg_batch_set_params": (c_int, [c_void_p, c_void_p, c_void_p]),
    "lg_batch_reset": (c_int, [c_void_p, c_void_p, c_uint64]),
    "lg_batch_run": (c_int, [c_void_p, c_void_p, c_int64]),
    "lg_batch_states": (c_int, [c_void_p, c_void_p, c_int, c_int64, c_int64, c_void_p]),
    "lg_fit": (c_int, [c_void_p, c_void_p, PROGRESS_FN, c_void_p, _out]),
    "lg_result_free": (None, [c_void_p]),
    "lg_result_status": (c_int, [c_void_p, c_int]),
    "lg_fit_status_name": (c_char_p, [c_int]),
    "lg_result_reason": (c_char_p, [c_void_p, c_int]),
    "lg_result_iterations": (c_int64, [c_void_p, c_int]),
    "lg_result_seconds": (c_double, [c_void_p]),
    "lg_result_params": (_doubles, [c_void_p, c_int]),
    "lg_result_loss": (c_double, [c_void_p, c_int]),
    "lg_result_tail": (None, [c_void_p, c_int, c_int64, c_void_p, c_void_p]),
    "lg_result_trace": (_doubles, [c_void_p, c_int]),
    "lg_result_write": (c_int, [c_void_p, c_void_p, c_char_p, c_bool]),
    "lg_gradcheck_create": (c_int, [c_void_p, c_void_p, POINTER(GradcheckOptions), _out]),
    "lg_gradcheck_free": (None, [c_void_p]),
    "lg_gradcheck_describe": (None, [c_void_p, POINTER(GradcheckInfo)]),
    "lg_gradcheck_at": (POINTER(GradcheckRow), [c_void_p, c_int]),
}


def load() -> ctypes.CDLL:
    """LATGRAD_LIBRARY, the copy inside this package, or the system's."""
    own = sorted(Path(__file__).parent.glob("liblatgrad.so*"))
    name = os.environ.get("LATGRAD_LIBRARY") or (str(own[0]) if own else ctypes.util.find_library("latgrad"))
    try:
        library = ctypes.CDLL(name or "liblatgrad.so.0.1")
    except OSError as error:
        raise ImportError(
            f"liblatgrad was not found ({error}); install latgrad, or set LATGRAD_LIBRARY to the path of liblatgrad.so"
        ) from None
    for function, (result, arguments) in _FUNCTIONS.items():
        getattr(library, function).restype = result
        getattr(library, function).argtypes = arguments
    found = library.lg_version().decode()
    if tuple(int(part) for part in found.split(".")[:2]) != VERSION:
        raise ImportError(f"{name} is latgrad {found}; this package needs version {VERSION[0]}.{VERSION[1]}")
    return library
