#include "data/frames.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"

size_t lg_frames_state_bytes(const lg_frames *frames)
{
    return (size_t)frames->species * frames->height * frames->width;
}

const uint8_t *lg_frames_at(const lg_frames *frames, uint32_t run, uint32_t frame)
{
    return frames->data + ((size_t)run * frames->frames + frame) * lg_frames_state_bytes(frames);
}

void lg_frames_clear(lg_frames *frames)
{
    if (!frames) return;
    free(frames->data);
    *frames = (lg_frames){0};
}

/* Sets the five extents from the array's shape. */
static lg_status take_shape(lg_context *ctx, const char *path, int species, const lg_array *array, lg_frames *out)
{
    char text[LG_SHAPE_TEXT];
    lg_shape_text(array->shape, array->ndim, text);
    size_t extent[5] = {1, 1, (size_t)species, 1, 1}; /* runs, frames, species, height, width */
    /* One-species arrays may leave the axis of the species out. */
    bool has_axis = species > 1 || array->ndim == 5;
    int least = has_axis && species > 1 ? 3 : 2, most = 5;
    if (array->ndim < least || array->ndim > most) {
        return lg_fail(ctx, LG_ERR_DATA, "%s has shape %s; expected %s", path, text,
                       species > 1 ? "(2, H, W), (T, 2, H, W) or (runs, T, 2, H, W)"
                                   : "(H, W), (T, H, W) or (runs, T, H, W)");
    }
    int axis = 4;
    for (int d = array->ndim - 1; d >= 0; d--, axis--) {
        if (axis == 2 && !has_axis) axis--;
        extent[axis] = array->shape[d];
    }
    if (extent[2] != (size_t)species) {
        return lg_fail(ctx, LG_ERR_DATA, "%s has shape %s: %zu planes a state where the model has %d species%s", path,
                       text, extent[2], species,
                       species > 1 ? "; expected (2, H, W), (T, 2, H, W) or (runs, T, 2, H, W)" : "");
    }
    if (extent[3] < 3 || extent[4] < 3) {
        return lg_fail(ctx, LG_ERR_DATA, "%s has shape %s: the lattice is %zu x %zu; expected at least 3 x 3", path,
                       text, extent[3], extent[4]);
    }
    for (int d = 0; d < 5; d++) {
        if (extent[d] > 0 && extent[d] <= INT32_MAX) continue;
        return lg_fail(ctx, LG_ERR_DATA, "%s has shape %s: a dimension is %s", path, text,
                       extent[d] ? "too large" : "empty");
    }
    out->runs = (uint32_t)extent[0];
    out->frames = (uint32_t)extent[1];
    out->species = (uint32_t)extent[2];
    out->height = (uint32_t)extent[3];
    out->width = (uint32_t)extent[4];
    return LG_OK;
}

/* Names the element with the flat index i as the user would: "[3, 0, 12, 5]". */
static const char *index_text(const lg_array *array, size_t i, char *text)
{
    size_t index[LG_MAX_DIM], used = 0;
    for (int d = array->ndim - 1; d >= 0; d--) {
        index[d] = i % array->shape[d];
        i /= array->shape[d];
    }
    for (int d = 0; d < array->ndim; d++) {
        used += (size_t)snprintf(text + used, LG_SHAPE_TEXT - used, "%s%zu", d ? ", " : "[", index[d]);
    }
    snprintf(text + used, LG_SHAPE_TEXT - used, "]");
    return text;
}

static lg_status take_values(lg_context *ctx, const char *path, int capacity, const lg_array *array, uint8_t *out)
{
    char text[LG_SHAPE_TEXT];
    size_t count = lg_array_size(array);
    for (size_t i = 0; i < count; i++) {
        double value = lg_array_get(array, i);
        if (value >= 0 && value <= capacity && value == floor(value)) {
            out[i] = (uint8_t)value;
            continue;
        }
        return lg_fail(ctx, LG_ERR_DATA, "%s: element %s is %.10g; expected a whole number from 0 to %d%s", path,
                       index_text(array, i, text), value, capacity,
                       value > capacity && capacity > 1 ? " (lattice.capacity)" : "");
    }
    return LG_OK;
}

lg_status lg_frames_read(lg_context *ctx, const char *path, int species, int capacity, lg_frames *out)
{
    lg_array array;
    *out = (lg_frames){0};
    if (species < 1 || species > 2 || capacity < 1 || capacity > UINT8_MAX) {
        return lg_fail(ctx, LG_ERR_INTERNAL, "%s: frames of %d species up to %d", path, species, capacity);
    }
    lg_status result = lg_array_read(ctx, path, &array);
    if (result != LG_OK) return result;
    result = take_shape(ctx, path, species, &array, out);
    if (result == LG_OK) {
        out->data = malloc(lg_array_size(&array));
        result = out->data ? take_values(ctx, path, capacity, &array, out->data)
                           : lg_fail(ctx, LG_ERR_MEMORY, "%s: not enough memory for the frames", path);
    }
    lg_array_clear(&array);
    if (result != LG_OK) lg_frames_clear(out);
    return result;
}

lg_status lg_frames_pairs(lg_context *ctx, const lg_frames *frames, uint8_t **start, uint8_t **target, uint32_t *pairs)
{
    *start = *target = NULL;
    *pairs = 0;
    if (frames->frames < 2) {
        return lg_fail(ctx, LG_ERR_DATA,
                       "the frames have only one state a run; transitions need at least two, (T, H, W) with T >= 2");
    }
    uint64_t total = (uint64_t)frames->runs * (frames->frames - 1);
    if (total > INT32_MAX) return lg_fail(ctx, LG_ERR_DATA, "%" PRIu64 " transition pairs are too many", total);
    size_t state = lg_frames_state_bytes(frames), run = state * (frames->frames - 1);
    *start = malloc(total * state);
    *target = malloc(total * state);
    if (!*start || !*target) {
        free(*start);
        free(*target);
        *start = *target = NULL;
        return lg_fail(ctx, LG_ERR_MEMORY, "not enough memory for %" PRIu64 " transition pairs", total);
    }
    for (uint32_t r = 0; r < frames->runs; r++) {
        memcpy(*start + r * run, lg_frames_at(frames, r, 0), run);
        memcpy(*target + r * run, lg_frames_at(frames, r, 1), run);
    }
    *pairs = (uint32_t)total;
    return LG_OK;
}
