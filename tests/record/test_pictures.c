/* Lattice planes as PNG, and pictures by gnuplot. */
#include "record/sample.h"

#include "lg_build.h"

#if LG_HAVE_PNG

#include <png.h>

static lg_context *ctx;
static char folder[64], path[128];

static void setup(void)
{
    cr_assert_eq(lg_context_create(&ctx), LG_OK);
    sample_folder(folder);
    sample_path(folder, "picture.png", path);
}

static void teardown(void)
{
    sample_remove(folder);
    lg_context_free(ctx);
}

TestSuite(pictures, .init = setup, .fini = teardown);

/* Pixels as RGB, to be freed. */
static uint8_t *decode(int *height, int *width)
{
    png_image image = {.version = PNG_IMAGE_VERSION};
    cr_assert(png_image_begin_read_from_file(&image, path), "%s", image.message);
    image.format = PNG_FORMAT_RGB;
    uint8_t *pixels = malloc(PNG_IMAGE_SIZE(image));
    cr_assert(png_image_finish_read(&image, NULL, pixels, 0, NULL), "%s", image.message);
    *height = (int)image.height;
    *width = (int)image.width;
    return pixels;
}

Test(pictures, a_binary_plane)
{
    const uint8_t plane[2 * 3] = {0, 1, 0, 1, 1, 0};
    cr_assert_eq(lg_png_write(ctx, path, plane, 2, 3, 1, 4, false), LG_OK, "%s", lg_context_message(ctx));
    cr_expect_eq(sample_count_files(folder), 1);
    int height, width;
    uint8_t *pixels = decode(&height, &width);
    cr_assert_eq(height, 8);
    cr_assert_eq(width, 12);
    for (int i = 0; i < height; i++) {
        for (int j = 0; j < width; j++) {
            const uint8_t *rgb = pixels + 3 * (i * width + j);
            bool dark = rgb[0] + rgb[1] + rgb[2]<300, pale = rgb[0] + rgb[1] + rgb[2]> 600;
            cr_expect(plane[i / 4 * 3 + j / 4] ? dark : pale, "pixel (%d, %d)", i, j);
        }
    }
    free(pixels);
}

/* Luminance as the eye weighs it; the scale must rise everywhere, or two counts could look the same in grey. */
static double luminance(const uint8_t *rgb)
{
    return 0.2126 * pow(rgb[0] / 255.0, 2.2) + 0.7152 * pow(rgb[1] / 255.0, 2.2) + 0.0722 * pow(rgb[2] / 255.0, 2.2);
}

Test(pictures, a_plane_of_counts)
{
    uint8_t plane[256];
    for (int v = 0; v < 256; v++) plane[v] = (uint8_t)v;
    cr_assert_eq(lg_png_write(ctx, path, plane, 16, 16, 255, 1, false), LG_OK, "%s", lg_context_message(ctx));
    int height, width;
    uint8_t *pixels = decode(&height, &width);
    cr_assert_eq(height * width, 256);
    const uint8_t first[] = {68, 1, 84}, last[] = {253, 231, 37};
    cr_expect_arr_eq(pixels, first, 3);
    cr_expect_arr_eq(pixels + 3 * 255, last, 3);
    for (int v = 8; v < 256; v++) {
        cr_expect_gt(luminance(pixels + 3 * v), luminance(pixels + 3 * (v - 8)), "colours %d and %d", v - 8, v);
    }
    free(pixels);
}

Test(pictures, wrong_planes_are_refused)
{
    const uint8_t plane[4] = {0, 1, 7, 1};
    cr_expect_eq(lg_png_write(ctx, path, plane, 2, 2, 6, 1, false), LG_ERR_RANGE);
    cr_expect_not_null(strstr(lg_context_message(ctx), "site (1, 0) holds 7"), "%s", lg_context_message(ctx));
    cr_expect_eq(lg_png_write(ctx, path, plane, 2, 2, 256, 1, false), LG_ERR_RANGE);
    cr_expect_eq(lg_png_write(ctx, path, plane, 2, 2, 7, 0, false), LG_ERR_RANGE);
    cr_expect_eq(lg_png_write(ctx, path, plane, 2, 2, 7, 40000, false), LG_ERR_RANGE);
    cr_expect_eq(sample_count_files(folder), 0);
    cr_expect_eq(lg_png_write(ctx, path, plane, 2, 2, 7, 1, false), LG_OK);
    cr_expect_eq(lg_png_write(ctx, path, plane, 2, 2, 7, 1, false), LG_ERR_EXISTS);
    cr_expect_eq(lg_png_write(ctx, path, plane, 2, 2, 7, 1, true), LG_OK);
}

static void need_gnuplot(void)
{
    if (system("gnuplot --version > /dev/null 2>&1") != 0) cr_skip_test("gnuplot is not here");
}

Test(pictures, gnuplot_draws)
{
    need_gnuplot();
    sample_path(folder, "it's.png", path);
    const char *script = "set terminal pngcairo size 320,240\nset output output\n$d << END\n1 1\n2 4\nEND\n"
                         "plot $d with lines lw 3 lc rgb '#FF0000' notitle\n";
    cr_assert_eq(lg_gnuplot(ctx, script, path, false), LG_OK, "%s", lg_context_message(ctx));
    cr_expect_eq(sample_count_files(folder), 1);
    int height, width, red = 0;
    uint8_t *pixels = decode(&height, &width);
    cr_expect_eq(height, 240);
    cr_expect_eq(width, 320);
    for (int i = 0; i < height * width; i++)
        red += pixels[3 * i] > 200 && pixels[3 * i + 1] < 60 && pixels[3 * i + 2] < 60;
    cr_expect_gt(red, 200);
    free(pixels);
    cr_expect_eq(lg_gnuplot(ctx, script, path, false), LG_ERR_EXISTS);
    cr_expect_eq(lg_gnuplot(ctx, script, path, true), LG_OK);
}

Test(pictures, gnuplot_draws_every_kind_of_file)
{
    need_gnuplot();
    const char *const names[] = {"a.png", "a.svg", "a.pdf"}, *const starts[] = {"\x89PNG", "<?xml", "%PDF"};
    for (int i = 0; i < 3; i++) {
        sample_path(folder, names[i], path);
        cr_assert_eq(lg_gnuplot(ctx, "set output output\nplot x\n", path, false), LG_OK, "%s", lg_context_message(ctx));
        char head[8] = "";
        FILE *file = fopen(path, "rb");
        cr_assert_not_null(file);
        cr_expect_eq(fread(head, 1, strlen(starts[i]), file), strlen(starts[i]));
        cr_expect_str_eq(head, starts[i]);
        fclose(file);
    }
}

Test(pictures, errors_of_a_script_reach_the_message)
{
    need_gnuplot();
    cr_expect_eq(lg_gnuplot(ctx, "set output output\nplot no_such_function(x)\n", path, false), LG_ERR_LIBRARY);
    cr_expect_not_null(strstr(lg_context_message(ctx), "no_such_function"), "%s", lg_context_message(ctx));
    cr_expect_eq(lg_gnuplot(ctx, "x = 1\n", path, false), LG_ERR_USAGE);
    cr_expect_not_null(strstr(lg_context_message(ctx), "set output output"), "%s", lg_context_message(ctx));
    cr_expect_eq(sample_count_files(folder), 0);
}

Test(pictures, unknown_kinds_of_file_are_refused)
{
    sample_path(folder, "a.bmp", path);
    cr_expect_eq(lg_gnuplot(ctx, "plot x\n", path, false), LG_ERR_USAGE);
    cr_expect_not_null(strstr(lg_context_message(ctx), ".svg"));
}

Test(pictures, a_missing_gnuplot_is_named_with_the_remedy)
{
    setenv("PATH", folder, 1);
    cr_expect_eq(lg_gnuplot(ctx, "set output output\nplot x\n", path, false), LG_ERR_LIBRARY);
    cr_expect_not_null(strstr(lg_context_message(ctx), "gnuplot is not installed"), "%s", lg_context_message(ctx));
    cr_expect_not_null(strstr(lg_context_message(ctx), "apt-get install gnuplot-nox"));
    cr_expect_eq(sample_count_files(folder), 0);
}

#else

Test(pictures, without_libpng_the_remedy_is_named)
{
    lg_context *ctx;
    const uint8_t plane[1] = {0};
    cr_assert_eq(lg_context_create(&ctx), LG_OK);
    cr_expect_eq(lg_png_write(ctx, "never.png", plane, 1, 1, 1, 1, false), LG_ERR_LIBRARY);
    cr_expect_not_null(strstr(lg_context_message(ctx), "LATGRAD_PNG"));
    lg_context_free(ctx);
}

#endif
