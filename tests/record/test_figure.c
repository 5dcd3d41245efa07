/* Figures: what the script says, and what gnuplot makes of it. The tool's drawing code is compiled in here, as the
 * library does not have it. */
#include "record/sample.h"

#include "lg_build.h"

#include "cli/figure.c"
#include "cli/figure_axes.c"
#include "cli/figure_csv.c"
#include "cli/figure_layout.c"
#include "cli/figure_script.c"
#include "cli/plot_array.c"
#include "cli/plot_result.c"

#if LG_HAVE_PNG

#include <png.h>

static lg_context *ctx;
static char folder[64], path[128];

static void setup(void)
{
    if (system("gnuplot --version > /dev/null 2>&1") != 0) cr_skip_test("gnuplot is not here");
    cr_assert_eq(lg_context_create(&ctx), LG_OK);
    sample_folder(folder);
    sample_path(folder, "figure.png", path);
}

static void teardown(void)
{
    sample_remove(folder);
    lg_context_free(ctx);
}

TestSuite(figure, .init = setup, .fini = teardown);

typedef struct pixels {
    int height, width;
    uint8_t *rgb;
} pixels;

static pixels decode(void)
{
    png_image image = {.version = PNG_IMAGE_VERSION};
    cr_assert(png_image_begin_read_from_file(&image, path), "%s", image.message);
    image.format = PNG_FORMAT_RGB;
    pixels p = {(int)image.height, (int)image.width, malloc(PNG_IMAGE_SIZE(image))};
    cr_assert(png_image_finish_read(&image, NULL, p.rgb, 0, NULL), "%s", image.message);
    return p;
}

/* Pixels near a colour in the columns left..right (fractions of the width). */
static int count_colour(const pixels *p, double left, double right, int r, int g, int b)
{
    int count = 0;
    for (int i = 0; i < p->height; i++) {
        for (int j = (int)(left * p->width); j < (int)(right * p->width); j++) {
            const uint8_t *rgb = p->rgb + 3 * (i * p->width + j);
            count += abs(rgb[0] - r) < 25 && abs(rgb[1] - g) < 25 && abs(rgb[2] - b) < 25;
        }
    }
    return count;
}

/* A blue line on the left, a yellow and purple image on the right. */
Test(figure, curves_and_images_are_drawn_where_they_belong)
{
    const double y[3] = {1, 3, 2}, level = 2.5, mark = 1;
    const uint8_t plane[4] = {50, 0, 0, 50};
    figure fig;
    figure_init(&fig, 1, 2);
    figure_text(fig.title, "it's `echo gone` $HOME");
    figure_text(fig.panel[0].x_label, "lag (s)\nsecond line");
    figure_add(&fig, &fig.panel[0], &(figure_series){.style = FIGURE_LINE, .n = 3, .y = y, .title = "p_center"});
    figure_add(&fig, &fig.panel[0], &(figure_series){.style = FIGURE_LEVEL, .colour = FIGURE_ORANGE, .y = &level});
    figure_add(&fig, &fig.panel[0], &(figure_series){.style = FIGURE_MARK, .colour = FIGURE_GREEN, .x = &mark});
    figure_add_image(&fig, &fig.panel[1], plane, 2, 2, 50);
    cr_assert_eq(figure_render(ctx, &fig, path, false), LG_OK, "%s", lg_context_message(ctx));
    figure_free(&fig);
    pixels p = decode();
    const double image = 6.2 - 0.7 - 0.25; /* the height of the panel without the title of the image and its edge */
    cr_expect_eq(p.width, (int)lround((8.5 + 0.25 + image + 1.3) / 2.54 * 220), "edge, image, colour bar");
    cr_expect_eq(p.height, (int)lround((6.2 + 0.8) / 2.54 * 220));
    cr_expect_gt(count_colour(&p, 0, 0.5, 0, 114, 178), 1000, "the line");
    cr_expect_gt(count_colour(&p, 0, 0.5, 213, 94, 0), 300, "the level");
    cr_expect_gt(count_colour(&p, 0, 0.5, 0, 158, 115), 300, "the mark");
    const int yellow = count_colour(&p, 0.5, 1, 253, 231, 37), purple = count_colour(&p, 0.5, 1, 68, 1, 84);
    cr_expect_gt(yellow, 20000);
    cr_expect_gt(purple, 20000);
    cr_expect_lt(abs(yellow - purple), yellow / 5);
    cr_expect_lt(count_colour(&p, 0, 0.5, 253, 231, 37), 10, "no image on the left");
    free(p.rgb);
}

/* The script of a figure of one panel, without running it. */
static char *script_of(figure *fig)
{
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    fflush(fig->panel[0].plot);
    fflush(fig->data);
    put_panel(out, fig, 0);
    fclose(out);
    return text;
}

static void expect_axis(const double *y, size_t n, bool logarithmic, const char *line)
{
    figure fig;
    figure_init(&fig, 1, 1);
    fig.panel[0].log_y = logarithmic;
    figure_add(&fig, &fig.panel[0], &(figure_series){.style = FIGURE_LINE, .n = n, .y = y});
    char *script = script_of(&fig);
    cr_expect_not_null(strstr(script, line), "no '%s' in\n%s", line, script);
    free(script);
    figure_free(&fig);
}

Test(figure, ranges_end_at_whole_tics)
{
    expect_axis((double[]){0.13, 0.57, 0.98}, 3, false, "set ytics nomirror scale 0.5 0.2\nset yrange [0:1]");
    expect_axis((double[]){-3, 1234}, 2, false, "scale 0.5 200\nset yrange [-200:1400]");
    expect_axis((double[]){5, 5}, 2, false, "scale 0.5 1\nset yrange [2:8]");
    expect_axis((double[]){0, 0}, 2, false, "set yrange [-0.6:0.6]");
    expect_axis((double[]){NAN, INFINITY}, 2, false, "set yrange [-0.6:0.6]");
    expect_axis((double[]){12, -1, 0, 1200}, 4, true, "'20' 20, '50' 50, '100' 100");
    expect_axis((double[]){12, -1, 0, 1200}, 4, true, "set yrange [10:1440]");
    expect_axis((double[]){1e-9, 1e6}, 2, true, "set yrange [8.333333333e-10:1200000]");
}

static void expect_x_tics(double last, const char *line)
{
    figure fig;
    figure_init(&fig, 1, 1);
    figure_add(&fig, &fig.panel[0],
               &(figure_series){.style = FIGURE_LINE, .n = 2, .x = (double[]){0, last}, .y = (double[]){0, 1}});
    char *script = script_of(&fig);
    cr_expect_not_null(strstr(script, line), "no '%s' in\n%s", line, script);
    free(script);
    figure_free(&fig);
}

Test(figure, long_labels_have_fewer_tics)
{
    expect_x_tics(6, "set xtics nomirror scale 0.5 1\n");
    expect_x_tics(6000, "set xtics nomirror scale 0.5 2000\nset xrange [0:6000]");
    expect_x_tics(120000, "set xtics nomirror scale 0.5 50000\nset xrange [0:150000]");
}

Test(figure, the_legend_goes_where_no_curve_is)
{
    const double up[5] = {0, 1, 2, 3, 4}, down[5] = {4, 3, 2, 1, 0}, full[5] = {4, 0, 4, 0, 4};
    const double *const curves[] = {up, down, full};
    const char *const places[] = {"top left", "top right", "top right"}, *const ranges[] = {"[0:4]", "[0:4]", "[0:4."};
    for (int i = 0; i < 3; i++) {
        figure fig;
        figure_init(&fig, 1, 1);
        figure_add(&fig, &fig.panel[0],
                   &(figure_series){.style = FIGURE_LINE, .n = 5, .y = curves[i], .title = "data"});
        char *script = script_of(&fig), key[64], range[64];
        snprintf(key, sizeof key, "set key %s ", places[i]);
        snprintf(range, sizeof range, "set yrange %s", ranges[i]);
        cr_expect_not_null(strstr(script, key), "%s", script);
        cr_expect_not_null(strstr(script, range), "%s", script);
        free(script);
        figure_free(&fig);
    }
}

/* Between one and two points of each stretch are kept, the highest and the lowest among them. */
Test(figure, long_curves_are_thinned)
{
    enum { N = 100000 };
    double *y = calloc(N, sizeof *y);
    for (int i = 0; i < N; i++) y[i] = i % 7 == 3 ? NAN : sin(i * 0.37);
    y[54321] = 9.25;
    y[54388] = -8.125;
    figure fig;
    figure_init(&fig, 1, 1);
    figure_add(&fig, &fig.panel[0], &(figure_series){.style = FIGURE_FAINT, .n = N, .y = y});
    fflush(fig.data);
    int lines = 0;
    for (const char *c = fig.blocks; *c; c++) lines += *c == '\n';
    cr_expect_gt(lines, 1000);
    cr_expect_lt(lines, 2100);
    cr_expect_not_null(strstr(fig.blocks, "54321 9.25\n"));
    cr_expect_not_null(strstr(fig.blocks, "54388 -8.125\n"));
    figure_free(&fig);
    free(y);
}

/* A bar that reaches zero is cut at the point on a logarithmic axis. */
Test(figure, error_bars)
{
    const double y[3] = {2, 3, 4}, err[3] = {1, NAN, 5};
    figure fig;
    figure_init(&fig, 1, 1);
    fig.panel[0].log_y = true;
    figure_add(&fig, &fig.panel[0], &(figure_series){.style = FIGURE_POINTS, .n = 3, .y = y, .err = err});
    fflush(fig.data);
    cr_expect_str_eq(fig.blocks, "$d1 << END\n 0 2 1 3\n 1 3 3 3\n 2 4 4 9\nEND\n");
    figure_free(&fig);
}

Test(figure, every_style_draws)
{
    const double y[4] = {1, 4, 2, NAN}, err[4] = {0.5, NAN, 0.5, 1};
    for (int style = FIGURE_LINE; style <= FIGURE_MARK; style++) {
        figure fig;
        figure_init(&fig, 2, 1);
        fig.panel[0].x_range[0] = -1;
        fig.panel[0].x_range[1] = NAN;
        figure_add(&fig, &fig.panel[0],
                   &(figure_series){.style = (figure_style)style, .n = 4, .x = y, .y = y, .err = err, .title = "t"});
        cr_expect_eq(figure_render(ctx, &fig, path, true), LG_OK, "%d: %s", style, lg_context_message(ctx));
        figure_free(&fig);
    }
}

Test(figure, a_result)
{
    lg_result *result = sample_result(SAMPLE_FITS);
    free(result->config_yaml);
    result->config_yaml = strdup("this is: [no configuration");
    cr_assert_eq(plot_result(ctx, result, PLOT_FIT | PLOT_LOSS | PLOT_PARAMS, path, false), LG_OK, "%s",
                 lg_context_message(ctx));
    cr_expect_eq(plot_result(ctx, result, PLOT_FIT | PLOT_LOSS | PLOT_PARAMS, path, false), LG_ERR_EXISTS);
    lg_result_free(result);
    pixels p = decode();
    cr_expect_eq(p.width, (int)lround(3 * 8.5 / 2.54 * 220), "statistics, loss and one fitted parameter");
    cr_expect_gt(count_colour(&p, 0, 0.34, 0, 0, 0), 500);
    cr_expect_gt(count_colour(&p, 0, 0.34, 160, 203, 226), 100, "pale blue lines of several fits");
    free(p.rgb);
}

Test(figure, planes)
{
    lg_array array;
    const size_t shape[4] = {5, 3, 4, 6};
    cr_assert_eq(lg_array_alloc(ctx, LG_U8, 4, shape, &array), LG_OK);
    for (size_t i = 0; i < lg_array_size(&array); i++) ((uint8_t *)array.data)[i] = (uint8_t)(i % 2);
    cr_assert_eq(plot_planes(ctx, &array, "states.npy", path, false), LG_OK, "%s", lg_context_message(ctx));
    pixels p = decode();
    cr_expect_eq(p.width, (int)lround(4 * 6 / 2.54 * 220), "12 of 15 planes in 4 columns");
    const double cell = (6 - 2 * 0.25) * 4 / 6 + 0.7 + 0.25; /* as wide as the panel allows, title, edge */
    cr_expect_eq(p.height, (int)lround((3 * cell + 0.8) / 2.54 * 220));
    cr_expect_gt(count_colour(&p, 0, 1, 0, 90, 160), p.width * p.height / 4, "little room is left between the planes");
    free(p.rgb);
    char text[FIGURE_TEXT];
    index_text(&array, 14, text);
    cr_expect_str_eq(text, "[4, 2]");
    lg_array_clear(&array);
}

/* The command itself, on a result and on states. */
Test(figure, latgrad_plot)
{
    if (!LG_HAVE_HDF5) cr_skip_test("this build has no HDF5");
    if (access(LG_TOOL, X_OK) != 0) cr_skip_test("the tool is not built");
    char command[800], file[128];
    lg_result *result = sample_result(1);
    cr_assert_eq(lg_result_write(ctx, result, sample_path(folder, "figure.h5", file), false), LG_OK);
    lg_result_free(result);
    snprintf(command, sizeof command, "'%s' plot '%s' --quiet", LG_TOOL, file);
    cr_expect_eq(system(command), 0);
    free(decode().rgb);
    snprintf(command, sizeof command, "'%s' plot '%s' --quiet 2>/dev/null", LG_TOOL, file);
    cr_expect_eq(system(command), 2 << 8, "the picture exists already");
    snprintf(command, sizeof command, "'%s' plot '%s' --quiet --out '%s/none.gif' 2>/dev/null", LG_TOOL, file, folder);
    cr_expect_eq(system(command), 2 << 8);
    lg_array array;
    cr_assert_eq(lg_array_alloc(ctx, LG_U8, 2, (size_t[]){4, 4}, &array), LG_OK);
    memset(array.data, 3, 16);
    cr_assert_eq(lg_array_write(ctx, sample_path(folder, "states.npy", file), &array, false), LG_OK);
    lg_array_clear(&array);
    snprintf(command, sizeof command, "'%s' plot '%s' --quiet --out '%s' --force", LG_TOOL, file, path);
    cr_expect_eq(system(command), 0);
    pixels p = decode();
    cr_expect_gt(count_colour(&p, 0, 1, 253, 231, 37), 1000);
    free(p.rgb);
}

#endif
