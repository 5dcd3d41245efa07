/* latgrad plot: a picture of what a file holds: the traces and the fit of a result, or the planes of lattice states. */
#include "cli/cli.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "cli/plot_result.h"

static bool ends_with(const char *text, const char *end)
{
    const size_t length = strlen(text), tail = strlen(end);
    return length >= tail && strcasecmp(text + length - tail, end) == 0;
}

/* An array is a .npy file or FILE.h5:/dataset. */
static bool is_array(const char *path)
{
    return ends_with(path, ".npy") || strstr(path, ".h5:") || strstr(path, ".hdf5:");
}

/* The name of the picture where none is given: the file's, with .png instead of its extension. */
static char *picture_name(const char *path)
{
    char *name = malloc(strlen(path) + 5);
    if (!name) return NULL;
    strcpy(name, path);
    char *colon = strstr(name, ".h5:");
    if (!colon) colon = strstr(name, ".hdf5:");
    if (colon) *strchr(colon, ':') = '\0';
    char *dot = strrchr(name, '.'), *slash = strrchr(name, '/');
    if (dot && dot != name && (!slash || dot > slash + 1)) *dot = '\0';
    return strcat(name, ".png");
}

static lg_status plot_array(lg_cli *cli, const char *path, const char *picture)
{
    lg_array array;
    lg_status status = lg_array_read(cli->ctx, path, &array);
    if (status) return status;
    if (array.dtype != LG_U8 || array.ndim < 2 || lg_array_size(&array) == 0) {
        status =
            lg_cli_fail(cli, LG_ERR_DATA,
                        "%s holds no lattice states: expected counts in uint8, [...][height][width], not empty", path);
    } else {
        const char *slash = strrchr(path, '/');
        status = plot_planes(cli->ctx, &array, slash && !strstr(path, ":/") ? slash + 1 : path, picture, cli->force);
    }
    lg_array_clear(&array);
    return status;
}

static lg_status plot_file(lg_cli *cli, const char *path, const char *picture)
{
    lg_status status = lg_cli_check_free(cli, "--out", picture);
    if (status) return status;
    if (is_array(path)) return plot_array(cli, path, picture);
    lg_result *result = NULL;
    status = lg_result_read(cli->ctx, path, &result);
    if (!status) status = plot_result(cli->ctx, result, picture, cli->force);
    lg_result_free(result);
    return status;
}

int lg_cmd_plot(int argc, char **argv)
{
    lg_cli cli;
    const lg_cli_option options[] = {{"--out", "FILE",
                                      "the picture, .png, .svg or .pdf (default: the name of RESULT with .png)",
                                      LG_ARG_TEXT, &cli.out, 'o'}};
    const lg_cli_usage usage =
        {"plot",
         "RESULT",
         "Draws a result (the .h5 file of latgrad fit): statistics against their target, loss and\n"
         "parameters over the iterations. Lattice states (.npy or FILE.h5:/dataset) become a\n"
         "picture of their planes.",
         LG_USE_OUT,
         options,
         1,
         1,
         1,
         false};
    const int exit_status = lg_cli_begin(&cli, &usage, argc, argv);
    if (exit_status >= 0) return exit_status;
    char *name = cli.out ? NULL : picture_name(cli.argument[0]);
    const char *picture = cli.out ? cli.out : name;
    lg_status status = picture ? plot_file(&cli, cli.argument[0], picture)
                               : lg_cli_fail(&cli, LG_ERR_MEMORY, "no memory for a file name");
    if (!status && !cli.quiet) printf("%s\n", picture);
    free(name);
    return lg_cli_end(&cli, status);
}
