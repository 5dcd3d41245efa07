/* The C headers of the library, for the CUDA sources: standard headers first, so that extern "C" below does not reach
 * into them. */
#ifndef LG_KERNELS_HOST_CUH
#define LG_KERNELS_HOST_CUH

#include <math.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "rules/philox.h" /* may include headers of C++ */

extern "C" {
#include "backend/backend.h"
#include "backend/cuda.h"
#include "backend/own.h"
#include "model/spectrum.h"
#include "rules/mk.h"
#include "rules/permute.h"
#include "rules/prw.h"
#include "rules/si.h"
}

#endif
