/* latgrad plot: a picture of what a file holds: the traces and the fit of a result, or the planes of lattice states. */
#include "cli/cli.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "cli/figure.h"
#include "cli/plot_array.h"
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

typedef struct result_kind {
    const char *name, *help;
    unsigned parts; /* all of them must be there, but for overview */
} result_kind;

static const result_kind result_kinds[] = {
    {"overview", "statistics, loss and parameters", PLOT_FIT | PLOT_LOSS | PLOT_PARAMS},
    {"traces", "parameters over the iterations, with target and interval", PLOT_PARAMS},
    {"loss", "loss over the iterations", PLOT_LOSS},
    {"fit", "statistics of the fit against the data", PLOT_FIT},
    {"ensemble", "start and end of every fit", PLOT_ENSEMBLE},
};
enum { RESULT_KINDS = sizeof result_kinds / sizeof result_kinds[0], MAX_KINDS = 16 };

typedef struct plot {
    lg_cli *cli;
    const char *path, *picture, *kind; /* kind NULL: the first one */
    bool list;
    const char *name[MAX_KINDS], *help[MAX_KINDS]; /* what this file can be drawn as */
    int index[MAX_KINDS], kinds;
} plot;

static void offer(plot *p, const char *name, const char *help, int index)
{
    p->name[p->kinds] = name;
    p->help[p->kinds] = help;
    p->index[p->kinds++] = index;
}

/* The kind's place in the table it was offered from. */
static lg_status choose(plot *p, int *index)
{
    char names[256] = "";
    for (int i = 0; i < p->kinds; i++) {
        if (!p->kind || strcmp(p->kind, p->name[i]) == 0) {
            *index = p->index[i];
            return LG_OK;
        }
        const size_t used = strlen(names);
        snprintf(names + used, sizeof names - used, "%s%s", i ? ", " : "", p->name[i]);
    }
    const char *nearest = lg_cli_nearest(p->kind, p->name, (size_t)p->kinds);
    return lg_cli_fail(p->cli, LG_ERR_USAGE, "--kind: '%s' is not what '%s' can be drawn as; expected %s%s%s%s",
                       p->kind, p->path, names, nearest ? "; did you mean '" : "", nearest ? nearest : "",
                       nearest ? "'?" : "");
}

static void print_kinds(const plot *p)
{
    for (int i = 0; i < p->kinds; i++) printf("%-10s %s\n", p->name[i], p->help[i]);
}

static bool moves(const char *path)
{
    return ends_with(path, ".gif") || ends_with(path, ".mp4");
}

/* An animation is a .gif or .mp4, and nothing else is. */
static lg_status check_extension(const plot *p, bool animation)
{
    if (animation && !moves(p->picture))
        return lg_cli_fail(p->cli, LG_ERR_USAGE,
                           "--out: '%s' cannot hold an animation; expected a name that ends in .gif or .mp4",
                           p->picture);
    if (!animation && moves(p->picture))
        return lg_cli_fail(p->cli, LG_ERR_USAGE,
                           "--out: '%s': a .gif or .mp4 is drawn by --kind animation of lattice states alone",
                           p->picture);
    return LG_OK;
}

static lg_status plot_array(plot *p)
{
    lg_cli *cli = p->cli;
    lg_array array;
    int index = 0;
    lg_status status = lg_array_read(cli->ctx, p->path, &array);
    if (status) return status;
    const bool tracks = plot_array_is_tracks(&array);
    if (!tracks && !plot_array_is_states(&array)) {
        status =
            lg_cli_fail(cli, LG_ERR_DATA,
                        "%s holds no lattice states: expected counts in uint8, [...][height][width], not empty, or "
                        "positions, [recorded][walker][2]",
                        p->path);
    }
    for (int i = 0; i < plot_array_kind_count; i++)
        if (plot_array_kinds[i].tracks == tracks) offer(p, plot_array_kinds[i].name, plot_array_kinds[i].help, i);
    if (!p->kind && !tracks && moves(p->picture)) p->kind = "animation";
    if (!status) status = choose(p, &index);
    const plot_array_kind *kind = &plot_array_kinds[index];
    if (!status && !p->list) {
        const char *slash = strrchr(p->path, '/');
        const char *name = slash && !strstr(p->path, ":/") ? slash + 1 : p->path;
        status = check_extension(p, strcmp(kind->name, "animation") == 0);
        if (!status) status = kind->draw(cli->ctx, &array, name, p->picture, cli->force);
    }
    lg_array_clear(&array);
    return status;
}

static lg_status plot_results(plot *p)
{
    lg_result *result = NULL;
    int index = 0;
    lg_status status = lg_result_read(p->cli->ctx, p->path, &result);
    if (status) return status;
    const unsigned parts = plot_result_parts(result);
    for (int i = 0; i < RESULT_KINDS; i++)
        if (parts & result_kinds[i].parts) offer(p, result_kinds[i].name, result_kinds[i].help, i);
    status = choose(p, &index);
    if (!status && !p->list) status = check_extension(p, false);
    if (!status && !p->list)
        status = plot_result(p->cli->ctx, result, result_kinds[index].parts, p->picture, p->cli->force);
    lg_result_free(result);
    return status;
}

/* Where gnuplot is missing the user learns where the data are. */
static lg_status explain(plot *p, lg_status status)
{
    if (status != LG_ERR_LIBRARY || *p->cli->message) return status;
    char *table = figure_table_name(p->picture);
    if (table && access(table, R_OK) == 0) {
        lg_cli_fail(p->cli, status, "%s; the data of the picture are in '%s'", lg_context_message(p->cli->ctx), table);
    }
    free(table);
    return status;
}

static lg_status plot_file(plot *p)
{
    lg_status status = p->list ? LG_OK : lg_cli_check_free(p->cli, "--out", p->picture);
    if (!status) status = is_array(p->path) ? plot_array(p) : plot_results(p);
    return explain(p, status);
}

int lg_cmd_plot(int argc, char **argv)
{
    lg_cli cli;
    plot p = {.cli = &cli};
    const lg_cli_option options[] =
        {{"--out", "FILE",
          "the picture, .png, .svg or .pdf, .gif or .mp4 for an animation (default: the name of RESULT "
          "with .png)",
          LG_ARG_TEXT, &cli.out, 'o'},
         {"--kind", "KIND", "what to draw (default: the first one of --list)", LG_ARG_TEXT, &p.kind, 'k'},
         {"--list", NULL, "print the kinds of pictures of this file", LG_ARG_FLAG, &p.list, 0}};
    const lg_cli_usage usage =
        {"plot",
         "RESULT",
         "Draws a result (the .h5 file of latgrad fit) or states (.npy or FILE.h5:/dataset, as\n"
         "latgrad simulate --out writes them). --list tells what a file can be drawn as: traces,\n"
         "loss, fit, ensemble; montage, lattice, structure, animation; tracks.",
         LG_USE_OUT,
         options,
         3,
         1,
         1,
         false};
    const int exit_status = lg_cli_begin(&cli, &usage, argc, argv);
    if (exit_status >= 0) return exit_status;
    char *name = cli.out ? NULL : picture_name(cli.argument[0]);
    if (name && p.kind && strcmp(p.kind, "animation") == 0) strcpy(strrchr(name, '.'), ".gif");
    p.path = cli.argument[0];
    p.picture = cli.out ? cli.out : name;
    const lg_status status = p.picture ? plot_file(&p) : lg_cli_fail(&cli, LG_ERR_MEMORY, "no memory for a file name");
    if (!status && p.list) print_kinds(&p);
    else if (!status && !cli.quiet) printf("%s\n", p.picture);
    free(name);
    return lg_cli_end(&cli, status);
}
