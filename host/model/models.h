/* The models' own functions, called through model.c. */
#ifndef LG_MODEL_MODELS_H
#define LG_MODEL_MODELS_H

#include "model/model.h"

extern const lg_model_desc lg_model_si, lg_model_prw, lg_model_mk;

/* Start states by name; false if the model has none of that name. */
bool lg_si_start_state(const char *name, int height, int width, uint8_t *state);
bool lg_mk_start_state(const char *name, int height, int width, int capacity, uint8_t *state);

void lg_si_statistics(const uint8_t *state, size_t sites, double *out);
void lg_mk_statistics(const uint8_t *state, size_t sites, double *out);

/* Derivatives of the closed-form MSD(1..n) by logit p_center and logit p_resample: slopes [n][2]. */
void lg_prw_msd_slopes(double p_center, double p_resample, int64_t n, double *slopes);

/* False, with a sentence, where a reaction probability can exceed 1. */
bool lg_mk_check_params(const double *p, double gamma, int capacity, char *text, size_t size);

#endif
