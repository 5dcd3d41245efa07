#include <math.h>

#include "base/scratch.h"
#include "data/frames.h"

/* Writes an array of this shape with the elements (7 i) mod (most + 1); returns its path. */
static const char *write_counts(scratch *s, int ndim, const size_t *shape, int most)
{
    lg_array array;
    const char *path = scratch_path(s, "frames.npy");
    expect_ok(s, lg_array_alloc(s->ctx, LG_U8, ndim, shape, &array));
    for (size_t i = 0; i < lg_array_size(&array); i++)
        ((uint8_t *)array.data)[i] = (uint8_t)(7 * i % (size_t)(most + 1));
    expect_ok(s, lg_array_write(s->ctx, path, &array, true));
    lg_array_clear(&array);
    return path;
}

static void expect_shape(int ndim, const size_t *shape, int species, uint32_t runs, uint32_t frames)
{
    scratch s;
    scratch_begin(&s);
    lg_frames f;
    const char *path = write_counts(&s, ndim, shape, 50);
    expect_ok(&s, lg_frames_read(s.ctx, path, species, 50, &f));
    cr_expect(f.runs == runs && f.frames == frames && f.species == (uint32_t)species);
    cr_expect(f.height == 3 && f.width == 5);
    size_t state = lg_frames_state_bytes(&f);
    cr_expect_eq(state, (size_t)species * 15);
    for (size_t i = 0; i < runs * frames * state; i++) cr_expect_eq(f.data[i], 7 * i % 51);
    cr_expect_eq(lg_frames_at(&f, runs - 1, frames - 1), f.data + (runs * frames - 1) * state);
    lg_frames_clear(&f);
    lg_frames_clear(&f);
    scratch_end(&s);
}

Test(frames, shapes)
{
    expect_shape(2, (const size_t[]){3, 5}, 1, 1, 1);
    expect_shape(3, (const size_t[]){4, 3, 5}, 1, 1, 4);
    expect_shape(4, (const size_t[]){2, 4, 3, 5}, 1, 2, 4);
    expect_shape(5, (const size_t[]){2, 4, 1, 3, 5}, 1, 2, 4);
    expect_shape(3, (const size_t[]){2, 3, 5}, 2, 1, 1);
    expect_shape(4, (const size_t[]){4, 2, 3, 5}, 2, 1, 4);
    expect_shape(5, (const size_t[]){6, 4, 2, 3, 5}, 2, 6, 4);
}

static void expect_shape_error(int ndim, const size_t *shape, int species, const char *message)
{
    scratch s;
    scratch_begin(&s);
    lg_frames f;
    const char *path = write_counts(&s, ndim, shape, 1);
    expect_failure(&s, lg_frames_read(s.ctx, path, species, 1, &f), LG_ERR_DATA, message);
    cr_expect_null(f.data);
    scratch_end(&s);
}

Test(frames, wrong_shapes)
{
    expect_shape_error(1, (const size_t[]){9}, 1, "has shape (9,); expected (H, W), (T, H, W)");
    expect_shape_error(2, (const size_t[]){9, 9}, 2, "has shape (9, 9); expected (2, H, W)");
    expect_shape_error(6, (const size_t[]){1, 1, 1, 1, 3, 3}, 1, "expected (H, W)");
    expect_shape_error(3, (const size_t[]){4, 5, 5}, 2, "4 planes a state where the model has 2 species");
    expect_shape_error(5, (const size_t[]){1, 1, 2, 3, 3}, 1, "2 planes a state where the model has 1 species");
    expect_shape_error(2, (const size_t[]){2, 9}, 1, "the lattice is 2 x 9; expected at least 3 x 3");
    expect_shape_error(3, (const size_t[]){2, 9, 1}, 2, "the lattice is 9 x 1");
    expect_shape_error(3, (const size_t[]){0, 9, 9}, 1, "a dimension is empty");
}

/* One bad value, at [1, 2, 0] of (2, 3, 4). */
static void expect_value_error(lg_dtype dtype, double bad, int capacity, const char *message)
{
    scratch s;
    scratch_begin(&s);
    lg_array array;
    lg_frames f;
    expect_ok(&s, lg_array_alloc(s.ctx, dtype, 3, (const size_t[]){2, 3, 4}, &array));
    if (dtype == LG_U8) ((uint8_t *)array.data)[20] = (uint8_t)bad;
    if (dtype == LG_I32) ((int32_t *)array.data)[20] = (int32_t)bad;
    if (dtype == LG_F64) ((double *)array.data)[20] = bad;
    const char *path = scratch_path(&s, "frames.npy");
    expect_ok(&s, lg_array_write(s.ctx, path, &array, false));
    expect_failure(&s, lg_frames_read(s.ctx, path, 1, capacity, &f), LG_ERR_DATA, message);
    cr_expect_null(f.data);
    lg_array_clear(&array);
    scratch_end(&s);
}

Test(frames, values_out_of_range)
{
    expect_value_error(LG_U8, 2, 1, "frames.npy: element [1, 2, 0] is 2; expected a whole number from 0 to 1");
    expect_value_error(LG_U8, 51, 50, "is 51; expected a whole number from 0 to 50 (lattice.capacity)");
    expect_value_error(LG_I32, -1, 50, "[1, 2, 0] is -1");
    expect_value_error(LG_I32, 256, 255, "is 256");
    expect_value_error(LG_F64, 0.5, 1, "is 0.5; expected a whole number");
    expect_value_error(LG_F64, NAN, 1, "nan");
    expect_value_error(LG_F64, INFINITY, 1, "is inf");
    expect_value_error(LG_F64, -1e-9, 1, "is -1e-09");
}

Test(frames, whole_numbers_of_any_type)
{
    scratch s;
    scratch_begin(&s);
    lg_array array;
    lg_frames f;
    expect_ok(&s, lg_array_alloc(s.ctx, LG_F64, 2, (const size_t[]){3, 3}, &array));
    for (int i = 0; i < 9; i++) ((double *)array.data)[i] = 31. * i;
    const char *path = scratch_path(&s, "frames.npy");
    expect_ok(&s, lg_array_write(s.ctx, path, &array, false));
    expect_ok(&s, lg_frames_read(s.ctx, path, 1, 255, &f));
    for (int i = 0; i < 9; i++) cr_expect_eq(f.data[i], 31 * i);
    lg_frames_clear(&f);
    lg_array_clear(&array);
    expect_failure(&s, lg_frames_read(s.ctx, scratch_path(&s, "none.npy"), 1, 1, &f), LG_ERR_FILE, "none.npy");
    expect_failure(&s, lg_frames_read(s.ctx, path, 1, 256, &f), LG_ERR_INTERNAL, "256");
    scratch_end(&s);
}

Test(frames, pairs_stay_within_a_run)
{
    scratch s;
    scratch_begin(&s);
    lg_frames f;
    uint8_t *start, *target;
    uint32_t pairs;
    enum { RUNS = 3, FRAMES = 4, STATE = 2 * 9 };
    const char *path = write_counts(&s, 5, (const size_t[]){RUNS, FRAMES, 2, 3, 3}, 250);
    expect_ok(&s, lg_frames_read(s.ctx, path, 2, 250, &f));
    expect_ok(&s, lg_frames_pairs(s.ctx, &f, &start, &target, &pairs));
    cr_assert_eq(pairs, RUNS * (FRAMES - 1));
    for (uint32_t p = 0; p < pairs; p++) {
        uint32_t run = p / (FRAMES - 1), frame = p % (FRAMES - 1);
        cr_expect_eq(memcmp(start + p * STATE, lg_frames_at(&f, run, frame), STATE), 0, "pair %u", p);
        cr_expect_eq(memcmp(target + p * STATE, lg_frames_at(&f, run, frame + 1), STATE), 0, "pair %u", p);
    }
    free(start);
    free(target);
    lg_frames_clear(&f);
    expect_ok(&s, lg_frames_read(s.ctx, write_counts(&s, 3, (const size_t[]){2, 3, 3}, 1), 2, 1, &f));
    expect_failure(&s, lg_frames_pairs(s.ctx, &f, &start, &target, &pairs), LG_ERR_DATA, "only one state a run");
    cr_expect(pairs == 0 && !start && !target);
    lg_frames_clear(&f);
    scratch_end(&s);
}
