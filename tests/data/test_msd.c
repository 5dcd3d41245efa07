#include <math.h>

#include "base/scratch.h"
#include "data/csv.h"

static lg_tracks *tracks_from(scratch *s, const char *text)
{
    lg_tracks *tracks;
    expect_ok(s, lg_tracks_read(s->ctx, scratch_file(s, "tracks.csv", text), &tracks));
    return tracks;
}

/* Keeps the log lines, one after another. */
static void keep_log(lg_log_level level, const char *line, void *user)
{
    char *log = user;
    cr_expect_eq(level, LG_LOG_WARNING);
    snprintf(log + strlen(log), 1000 - strlen(log), "%s\n", line);
}

/* Rows of tests/data/tiny_expected.csv that one of our variants gives. */
Test(msd, hand_checked_case)
{
    static const struct {
        const char *name;
        lg_msd_variant variant;
        size_t rows;
    } cases[] = {{"celltrackR_index", LG_MSD_INDEX, 3},
                 {"nonoverlap_index", LG_MSD_NONOVERLAP, 3},
                 {"prefix_index", LG_MSD_START, 3},
                 {"by_timestamp", LG_MSD_TIME, 4}};
    scratch s;
    scratch_begin(&s);
    lg_csv expected;
    lg_tracks *tracks;
    expect_ok(&s, lg_csv_read(s.ctx, LG_TEST_DATA "/tiny_expected.csv", &expected));
    expect_ok(&s, lg_tracks_read(s.ctx, LG_TEST_DATA "/tiny_tracks.csv", &tracks));
    for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
        lg_msd msd;
        size_t checked = 0;
        expect_ok(&s, lg_tracks_msd(s.ctx, tracks, cases[c].variant, 0, 0, &msd));
        for (size_t i = 0; i < expected.rows; i++) {
            int64_t lag, n;
            double value;
            if (strcmp(lg_csv_cell(&expected, i, 0), cases[c].name) != 0) continue;
            expect_ok(&s, lg_csv_int(s.ctx, &expected, i, 1, &lag));
            expect_ok(&s, lg_csv_real(s.ctx, &expected, i, 2, &value));
            expect_ok(&s, lg_csv_int(s.ctx, &expected, i, 3, &n));
            cr_assert_leq(lag, (int64_t)msd.rows);
            cr_expect_eq(msd.row[lag - 1].lag, lag);
            cr_expect_eq(msd.row[lag - 1].time_s, 24. * (double)lag);
            cr_expect_eq(msd.row[lag - 1].n, n, "%s lag %d", cases[c].name, (int)lag);
            cr_expect_float_eq(msd.row[lag - 1].msd, value, 1e-11 * value, "%s lag %d", cases[c].name, (int)lag);
            checked++;
        }
        cr_expect(checked == cases[c].rows && msd.rows == checked, "%s", cases[c].name);
        lg_msd_clear(&msd);
    }
    lg_tracks_free(tracks);
    lg_csv_clear(&expected);
    scratch_end(&s);
}

/* Two tracks, two and one displacements: squares 1, 9 and 4, msd 14/3. Residual sums of the tracks: 10 - 28/3 = 2/3 and
 * 4 - 14/3 = -2/3; sem = sqrt(2/1 * 2 (2/3)^2) / 3 = 4/9. */
Test(msd, standard_error_by_hand)
{
    scratch s;
    scratch_begin(&s);
    lg_msd msd;
    lg_tracks *tracks = tracks_from(&s, "id,t,x,y,z\na,0,0,0,0\na,1,0,0,1\na,2,0,3,1\nb,0,5,5,5\nb,1,7,5,5\n");
    expect_ok(&s, lg_tracks_msd(s.ctx, tracks, LG_MSD_TIME, 0, 0, &msd));
    cr_assert_eq(msd.rows, 2);
    cr_expect_float_eq(msd.row[0].msd, 14. / 3, 1e-14);
    cr_expect_float_eq(msd.row[0].sem, 4. / 9, 1e-14);
    cr_expect(msd.row[1].msd == 10 && msd.row[1].n == 1);
    cr_expect(isnan(msd.row[1].sem), "one track has no standard error");
    lg_msd_clear(&msd);
    lg_msd_clear(&msd);
    lg_msd_clear(NULL);
    lg_tracks_free(tracks);
    scratch_end(&s);
}

/* A value agrees with a printed one if it gives the same text with as many digits. */
static void expect_printed(const lg_csv *table, size_t row, int column, double value)
{
    char text[64];
    snprintf(text, sizeof text, "%.10g", value);
    cr_expect_str_eq(text, lg_csv_cell(table, row, column), "%s:%zu", table->path, table->line[row]);
}

static void compare_cells(const char *name)
{
    char path[512];
    snprintf(path, sizeof path, LG_SHARED "/data/tracks_%s.csv", name);
    if (access(path, R_OK) != 0) cr_skip_test("no tracks here: %s", path);
    scratch s;
    scratch_begin(&s);
    lg_csv table;
    lg_tracks *tracks;
    lg_msd msd;
    expect_ok(&s, lg_tracks_read(s.ctx, path, &tracks));
    snprintf(path, sizeof path, LG_TEST_DATA "/../../data/msd_%s.csv", name);
    expect_ok(&s, lg_csv_read(s.ctx, path, &table));
    expect_ok(&s, lg_tracks_msd(s.ctx, tracks, LG_MSD_INDEX, 24, 10, &msd));
    cr_assert_eq(table.rows, 10);
    cr_assert_eq(msd.rows, table.rows);
    for (size_t i = 0; i < msd.rows; i++) {
        expect_printed(&table, i, 0, (double)msd.row[i].lag);
        expect_printed(&table, i, 1, msd.row[i].time_s);
        expect_printed(&table, i, 2, msd.row[i].msd);
        expect_printed(&table, i, 3, msd.row[i].sem);
        expect_printed(&table, i, 4, (double)msd.row[i].n);
    }
    lg_msd_clear(&msd);
    lg_csv_clear(&table);
    lg_tracks_free(tracks);
    scratch_end(&s);
}

Test(msd, tcells_to_the_printed_digits)
{
    compare_cells("tcells");
}

Test(msd, bcells_to_the_printed_digits)
{
    compare_cells("bcells");
}

Test(msd, neutrophils_to_the_printed_digits)
{
    compare_cells("neutrophils");
}

/* Rounded time stamps (a third of a second, three digits) keep all pairs, at long lags too. */
Test(msd, rounded_time_stamps)
{
    scratch s;
    scratch_begin(&s);
    enum { POINTS = 200 };
    char text[POINTS * 40] = "id,t,x,y\n", log[1000] = "";
    for (int i = 0; i < POINTS; i++) {
        snprintf(text + strlen(text), sizeof text - strlen(text), "a,%.3f,%d,0\n", i / 3., i);
    }
    lg_tracks *tracks = tracks_from(&s, text);
    lg_msd msd;
    lg_context_set_log(s.ctx, keep_log, log);
    expect_ok(&s, lg_tracks_msd(s.ctx, tracks, LG_MSD_TIME, 0, 100, &msd));
    cr_assert_eq(msd.rows, 100);
    for (int i = 0; i < 100; i++) {
        cr_expect_eq(msd.row[i].n, POINTS - 1 - i, "lag %d has %d pairs", i + 1, (int)msd.row[i].n);
        cr_expect_eq(msd.row[i].msd, (i + 1.) * (i + 1.));
    }
    cr_expect_str_eq(log, "");
    lg_msd_clear(&msd);
    lg_tracks_free(tracks);
    scratch_end(&s);
}

Test(msd, positions_off_the_grid)
{
    scratch s;
    scratch_begin(&s);
    lg_msd msd;
    char log[1000] = "";
    lg_tracks *tracks = tracks_from(&s, "id,t,x,y\na,0,0,0\na,10,1,0\na,14,50,0\na,20,2,0\na,30.05,3,0\n");
    lg_context_set_log(s.ctx, keep_log, log);
    expect_ok(&s, lg_tracks_msd(s.ctx, tracks, LG_MSD_TIME, 10, 3, &msd));
    cr_assert_eq(msd.rows, 3);
    cr_expect(msd.row[0].n == 3 && msd.row[0].msd == 1);
    cr_expect(msd.row[1].n == 2 && msd.row[1].msd == 4);
    cr_expect(msd.row[2].n == 1 && msd.row[2].msd == 9);
    cr_expect_not_null(strstr(log,
                              "tracks.csv: 2 of 4 time steps are not within 1 % of a multiple of the interval, 10"),
                       "%s", log);
    lg_msd_clear(&msd);
    log[0] = '\0';
    expect_ok(&s, lg_tracks_msd(s.ctx, tracks, LG_MSD_TIME, 0, 1, &msd));
    cr_expect_not_null(strstr(log, "the smallest time step, 4, is taken as the interval"), "%s", log);
    lg_msd_clear(&msd);
    lg_tracks_free(tracks);
    scratch_end(&s);
}

Test(msd, arguments)
{
    scratch s;
    scratch_begin(&s);
    lg_msd msd;
    char log[1000] = "";
    lg_tracks *tracks = tracks_from(&s, "id,t,x,y\na,0,0,0\na,10,1,0\na,20,2,0\n");
    expect_failure(&s, lg_tracks_msd(s.ctx, tracks, LG_MSD_TIME, -1, 0, &msd), LG_ERR_RANGE, "interval is -1");
    expect_failure(&s, lg_tracks_msd(s.ctx, tracks, LG_MSD_TIME, NAN, 0, &msd), LG_ERR_RANGE, "interval is nan");
    expect_failure(&s, lg_tracks_msd(s.ctx, tracks, LG_MSD_TIME, 0, -3, &msd), LG_ERR_RANGE, "largest lag is -3");
    expect_failure(&s, lg_tracks_msd(s.ctx, tracks, (lg_msd_variant)9, 0, 0, &msd), LG_ERR_USAGE, "variant 9");
    expect_failure(&s, lg_tracks_msd(s.ctx, tracks, LG_MSD_TIME, 7, 0, &msd), LG_ERR_DATA, "one interval (7) apart");
    cr_expect(msd.rows == 0 && !msd.row);
    lg_context_set_log(s.ctx, keep_log, log);
    expect_ok(&s, lg_tracks_msd(s.ctx, tracks, LG_MSD_START, 0, 5, &msd));
    cr_expect_eq(msd.rows, 2);
    cr_expect_not_null(strstr(log, "no pairs of positions at lag 3; the MSD ends at lag 2"), "%s", log);
    lg_msd_clear(&msd);
    lg_tracks_free(tracks);
    tracks = tracks_from(&s, "id,t,x,y\na,0,0,0\nb,10,1,0\n");
    expect_failure(&s, lg_tracks_msd(s.ctx, tracks, LG_MSD_INDEX, 0, 0, &msd), LG_ERR_DATA, "no track has two");
    lg_tracks_free(tracks);
    scratch_end(&s);
}

Test(msd, tables_are_read)
{
    scratch s;
    scratch_begin(&s);
    lg_msd msd;
    expect_ok(&s, lg_msd_read(s.ctx, LG_TEST_DATA "/../../data/msd_tcells.csv", &msd));
    cr_assert_eq(msd.rows, 10);
    cr_expect(msd.row[9].lag == 10 && msd.row[9].time_s == 240 && msd.row[9].n == 2184);
    cr_expect(msd.row[9].msd == 296.453154 && msd.row[9].sem == 30.86757976);
    lg_msd_clear(&msd);
    expect_ok(&s, lg_msd_read(s.ctx, scratch_file(&s, "m.csv", "note,MSD,msd_raw,lag\nx,1.5,7,1\ny,3,8,2.0\n"), &msd));
    cr_assert_eq(msd.rows, 2);
    cr_expect(msd.row[1].msd == 3 && msd.row[1].lag == 2 && msd.row[1].n == 0);
    cr_expect(isnan(msd.row[1].sem) && isnan(msd.row[1].time_s));
    lg_msd_clear(&msd);
    expect_ok(&s, lg_msd_read(s.ctx, scratch_file(&s, "m.csv", "time_s,msd,sem,n\n24,1,,5\n48.1,2,NA,4\n"), &msd));
    cr_assert_eq(msd.rows, 2);
    cr_expect(msd.row[1].lag == 2 && msd.row[1].time_s == 48.1 && isnan(msd.row[1].sem) && msd.row[1].n == 4);
    lg_msd_clear(&msd);
    scratch_end(&s);
}

Test(msd, table_errors)
{
    static const struct {
        const char *text, *message;
    } cases[] = {
        {"", "m.csv is empty"},
        {"lag,msd\n", "no rows"},
        {"lag,mds\n1,1\n", "m.csv:1: no column 'msd' in the header 'lag,mds'; is it 'mds'?"},
        {"lga,msd\n1,1\n", "a column lag, or time_s, is needed: "},
        {"lga,msd\n1,1\n", "is it 'lga'?"},
        {"lag,msd_um2,msd_se\n1,1,1\n", "m.csv:1: several columns start with 'msd'"},
        {"lag,msd\n0,0\n1,1\n", "m.csv:2: lag 0 where 1 was expected"},
        {"lag,msd\n1,1\n3,1\n", "m.csv:3: lag 3 where 2 was expected"},
        {"lag,msd\n24,1\n48,1\n", "m.csv:2: lag 24 where 1 was expected"},
        {"lag,msd\n1.5,1\n", "m.csv:2: column lag: '1.5' is not a whole number"},
        {"lag,msd\n1,-1\n", "m.csv:2: the msd is negative"},
        {"lag,msd\n1,nan\n", "m.csv:2: column msd: 'nan' is not finite"},
        {"lag,msd\n1,\n", "column msd: '' is empty"},
        {"lag,msd,sem\n1,1,-2\n", "m.csv:2: the sem is negative"},
        {"lag,msd,sem\n1,1,x\n", "column sem: 'x' is not a number"},
        {"lag,msd,n\n1,1,-2\n", "m.csv:2: n is negative"},
        {"lag,msd,n\n1,1,two\n", "column n: 'two' is not a whole number"},
        {"time,msd\n24,1\n50,1\n", "m.csv:3: time 50;"},
        {"time,msd\n0,1\n24,1\n", "m.csv:2: time 0;"},
        {"lag,msd\n1,1\n2\n", "m.csv:3: 1 field where the header has 2"},
    };
    scratch s;
    scratch_begin(&s);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        lg_msd msd;
        const char *path = scratch_file(&s, "m.csv", cases[i].text);
        expect_failure(&s, lg_msd_read(s.ctx, path, &msd), LG_ERR_DATA, cases[i].message);
        cr_expect(msd.rows == 0 && !msd.row);
    }
    lg_msd msd;
    expect_failure(&s, lg_msd_read(s.ctx, scratch_path(&s, "none.csv"), &msd), LG_ERR_FILE, "none.csv");
    scratch_end(&s);
}
