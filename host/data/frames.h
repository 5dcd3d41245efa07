/* Sequences of lattice states from files, checked site by site. */
#ifndef LG_DATA_FRAMES_H
#define LG_DATA_FRAMES_H

#include "base/error.h"

/* data is uint8 [runs][frames][species][height][width]. */
typedef struct lg_frames {
    uint32_t runs, frames, species, height, width;
    uint8_t *data;
} lg_frames;

/* Reads an array (see lg_array_read) of one of the shapes
 *     species 1:  [H][W], [T][H][W], [runs][T][H][W], [runs][T][1][H][W]
 *     species 2:  [2][H][W], [T][2][H][W], [runs][T][2][H][W]
 * and checks that H, W >= 3 and that every value is a whole number from 0 to capacity. */
lg_status lg_frames_read(lg_context *ctx, const char *path, int species, int capacity, lg_frames *out);
void lg_frames_clear(lg_frames *frames);

/* State of one run at one frame, [species][height][width], and its number of bytes. */
const uint8_t *lg_frames_at(const lg_frames *frames, uint32_t run, uint32_t frame);
size_t lg_frames_state_bytes(const lg_frames *frames);

/* All consecutive pairs (t, t + 1) of every run: *pairs states in *start and in *target, in that order; the caller
 * releases both with free(). */
lg_status lg_frames_pairs(lg_context *ctx, const lg_frames *frames, uint8_t **start, uint8_t **target, uint32_t *pairs);

#endif
