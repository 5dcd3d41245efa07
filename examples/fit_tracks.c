/* Fits the persistent random walk to tracks: reads them, prints their mean square displacement, fits, and saves the result.
 *
 *     cc fit_tracks.c $(pkg-config --static --cflags --libs latgrad) -o fit_tracks
 *     ./fit_tracks tracks.csv tracks.h5 */
#include <latgrad.h>

#include <stdio.h>

static lg_status print_msd(lg_context *ctx, const char *path)
{
    lg_tracks *tracks = NULL;
    lg_msd msd = {0};
    lg_status status = lg_tracks_read(ctx, path, &tracks);
    if (!status) status = lg_tracks_msd(ctx, tracks, LG_MSD_TIME, 0, 5, &msd);
    if (!status) printf("%zu tracks\n", lg_tracks_count(tracks));
    for (size_t i = 0; !status && i < msd.rows; i++)
        printf("lag %lld: msd %.3f from %lld pairs\n", (long long)msd.row[i].lag, msd.row[i].msd,
               (long long)msd.row[i].n);
    lg_msd_clear(&msd);
    lg_tracks_free(tracks);
    return status;
}

int main(int argc, char **argv)
{
    if (argc != 3) {
        fprintf(stderr, "usage: fit_tracks TRACKS.csv RESULT.h5\n");
        return 2;
    }
    const char *const settings[][2] = {
        {"model", "prw"},
        {"data.tracks", argv[1]},
        {"steps", "5"},
        {"params.p_center.start", "0.5"},
        {"params.p_resample.start", "0.5"},
        {"optimizer.name", "adam"},
        {"optimizer.lr", "0.05"},
        {"iterations", "400"},
        {"replicates", "1000"},
    };
    lg_context *ctx = NULL;
    lg_config *config = NULL;
    lg_problem *problem = NULL;
    lg_result *result = NULL;
    lg_status status = lg_context_create(&ctx);
    if (!status) status = print_msd(ctx, argv[1]);
    if (!status) status = lg_config_create(ctx, &config);
    for (size_t i = 0; !status && i < sizeof settings / sizeof *settings; i++)
        status = lg_config_set(ctx, config, settings[i][0], settings[i][1]);
    if (!status) status = lg_problem_create(ctx, config, &problem);
    if (!status) status = lg_fit(ctx, problem, NULL, NULL, &result);
    if (!status) {
        double mean[2], sd[2];
        lg_result_tail(result, 0, 200, mean, sd);
        printf("p_center %.2f, p_resample %.2f\n", mean[0], mean[1]);
        status = lg_result_write(ctx, result, argv[2], false);
    }
    if (status) fprintf(stderr, "fit_tracks: %s\n", ctx ? lg_context_message(ctx) : lg_status_text(status));
    lg_result_free(result);
    lg_problem_free(problem);
    lg_config_free(config);
    lg_context_free(ctx);
    return lg_status_exit(status);
}
