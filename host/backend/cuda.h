/* The cuda backend's side of the registry; defined in kernels/device.cu. */
#ifndef LG_BACKEND_CUDA_H
#define LG_BACKEND_CUDA_H

#include "backend/backend.h"

#ifdef __cplusplus
extern "C" {
#endif

extern const lg_backend lg_backend_cuda;

/* Number of GPUs the driver shows; 0 where there is no driver or no GPU. */
int lg_cuda_device_count(void);
/* Fills name, detail, memory, and whether the device is usable; with no GPU at all (index 0) the reason and the remedy. */
void lg_cuda_device_describe(int index, lg_device_info *info);

#ifdef __cplusplus
}
#endif
#endif
