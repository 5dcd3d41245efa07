/* Lattice planes as PNG pictures with a palette: one byte a pixel, and exactly the plane's values in the file. */
#include "base/error.h"
#include "base/file.h"
#include "lg_build.h"

#if LG_HAVE_PNG

#include <errno.h>
#include <setjmp.h>
#include <stdlib.h>
#include <string.h>

#include <png.h>

#include "record/colours.h"

enum { LARGEST = 1 << 16 }; /* pixels a side */

typedef struct picture {
    const uint8_t *plane;
    int height, width, scale, colours;
    png_color palette[256];
    uint8_t *row;
    char why[160];
} picture;

/* libpng reports errors through a function that must not return. */
static void png_failed(png_structp png, png_const_charp what)
{
    picture *p = png_get_error_ptr(png);
    snprintf(p->why, sizeof p->why, "%s", what);
    longjmp(png_jmpbuf(png), 1);
}

static void png_warned(png_structp png, png_const_charp what)
{
    (void)png;
    (void)what;
}

/* Colour of value v of 0..maximum, linear between the stops. */
static void fill_palette(picture *p, int maximum)
{
    p->colours = maximum + 1;
    for (int v = 0; v <= maximum; v++) {
        uint8_t rgb[3];
        double place = maximum ? (double)v / maximum * (LG_COLOUR_STOPS - 1) : 0;
        int stop = place >= LG_COLOUR_STOPS - 1 ? LG_COLOUR_STOPS - 2 : (int)place;
        for (int c = 0; c < 3; c++) {
            double low = lg_colour_stop[stop][c], high = lg_colour_stop[stop + 1][c];
            rgb[c] = maximum == 1 ? lg_colour_binary[v][c] : (uint8_t)(low + (high - low) * (place - stop) + 0.5);
        }
        p->palette[v] = (png_color){rgb[0], rgb[1], rgb[2]};
    }
}

/* False with p->why on a failure. Nothing that changes after setjmp is read after the jump. */
static bool encode(FILE *file, picture *p)
{
    png_structp png = png_create_write_struct(PNG_LIBPNG_VER_STRING, p, png_failed, png_warned);
    png_infop info = png ? png_create_info_struct(png) : NULL;
    if (!info) {
        snprintf(p->why, sizeof p->why, "not enough memory");
        png_destroy_write_struct(&png, NULL);
        return false;
    }
    if (setjmp(png_jmpbuf(png))) {
        png_destroy_write_struct(&png, &info);
        return false;
    }
    png_init_io(png, file);
    png_set_IHDR(png, info, (png_uint_32)(p->width * p->scale), (png_uint_32)(p->height * p->scale), 8,
                 PNG_COLOR_TYPE_PALETTE, PNG_INTERLACE_NONE, PNG_COMPRESSION_TYPE_DEFAULT, PNG_FILTER_TYPE_DEFAULT);
    png_set_PLTE(png, info, p->palette, p->colours);
    png_write_info(png, info);
    for (int i = 0; i < p->height; i++) {
        for (int j = 0; j < p->width; j++) {
            memset(p->row + (size_t)j * (size_t)p->scale, p->plane[(size_t)i * (size_t)p->width + (size_t)j],
                   (size_t)p->scale);
        }
        for (int copy = 0; copy < p->scale; copy++) png_write_row(png, p->row);
    }
    png_write_end(png, info);
    png_destroy_write_struct(&png, &info);
    return true;
}

static lg_status check_picture(lg_context *ctx, const char *path, const picture *p, int maximum)
{
    if (p->height < 1 || p->width < 1 || p->scale < 1 || (int64_t)p->height * p->scale > LARGEST ||
        (int64_t)p->width * p->scale > LARGEST) {
        return lg_fail(ctx, LG_ERR_RANGE,
                       "cannot draw '%s': %d x %d sites at %d pixels a site; at least one and at most %d pixels a "
                       "side can be drawn",
                       path, p->height, p->width, p->scale, LARGEST);
    }
    if (maximum < 0 || maximum > 255) {
        return lg_fail(ctx, LG_ERR_RANGE, "cannot draw '%s': the largest value is given as %d; expected 0 to 255", path,
                       maximum);
    }
    for (size_t i = 0; i < (size_t)p->height * (size_t)p->width; i++) {
        if (p->plane[i] <= maximum) continue;
        return lg_fail(ctx, LG_ERR_RANGE, "cannot draw '%s': site (%zu, %zu) holds %d, more than the maximum %d", path,
                       i / (size_t)p->width, i % (size_t)p->width, p->plane[i], maximum);
    }
    return LG_OK;
}

lg_status lg_png_write(lg_context *ctx, const char *path, const uint8_t *plane, int height, int width, int maximum,
                       int scale, bool force)
{
    picture p = {.plane = plane, .height = height, .width = width, .scale = scale};
    lg_status status = check_picture(ctx, path, &p, maximum);
    if (status != LG_OK) return status;
    lg_atomic a;
    status = lg_atomic_open(ctx, path, force, &a);
    if (status != LG_OK) return status;
    fill_palette(&p, maximum);
    p.row = malloc((size_t)width * (size_t)scale);
    if (!p.row) {
        status = lg_fail(ctx, LG_ERR_MEMORY, "cannot draw '%s': not enough memory", path);
    } else if (!encode(a.file, &p)) {
        status = lg_fail(ctx, LG_ERR_FILE, "cannot write '%s': %s", path, p.why);
    }
    free(p.row);
    if (status == LG_OK) return lg_atomic_commit(ctx, &a);
    lg_atomic_abort(&a);
    return status;
}

#else

lg_status lg_png_write(lg_context *ctx, const char *path, const uint8_t *plane, int height, int width, int maximum,
                       int scale, bool force)
{
    (void)plane;
    (void)height;
    (void)width;
    (void)maximum;
    (void)scale;
    (void)force;
    return lg_fail(ctx, LG_ERR_LIBRARY,
                   "cannot draw '%s': this build has no libpng; build with LATGRAD_PNG=ON (Debian: libpng-dev)", path);
}

#endif
