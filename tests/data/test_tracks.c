#include <math.h>

#include "base/scratch.h"
#include "data/tracks.h"

static lg_status read_text(scratch *s, const char *text, lg_tracks **tracks)
{
    return lg_tracks_read(s->ctx, scratch_file(s, "in.csv", text), tracks);
}

static void expect_error(const char *text, const char *message)
{
    scratch s;
    scratch_begin(&s);
    lg_tracks *tracks;
    expect_failure(&s, read_text(&s, text, &tracks), LG_ERR_DATA, message);
    cr_expect_null(tracks);
    scratch_end(&s);
}

Test(tracks, grouped_and_sorted)
{
    scratch s;
    scratch_begin(&s);
    lg_tracks *tracks;
    expect_ok(&s, read_text(&s, "id,t,x,y\nb,2,5,6\na,1,3,4\nb,1,7,8\na,0,1,2\nb,10,9,9\n", &tracks));
    cr_expect_eq(lg_tracks_count(tracks), 2);
    cr_expect_eq(tracks->points, 5);
    static const double t[] = {0, 1, 1, 2, 10}, x[] = {1, 3, 7, 5, 9}, y[] = {2, 4, 8, 6, 9};
    for (size_t i = 0; i < 5; i++) {
        cr_expect(tracks->t[i] == t[i] && tracks->x[i] == x[i] && tracks->y[i] == y[i] && tracks->z[i] == 0);
    }
    cr_expect(tracks->first[0] == 0 && tracks->first[1] == 2 && tracks->first[2] == 5);
    lg_tracks_free(tracks);
    lg_tracks_free(NULL);
    scratch_end(&s);
}

/* One track of two points, however it is written. */
Test(tracks, ways_to_write_a_table)
{
    static const char *const texts[] = {
        "id,t,x,y,z\nA 1,0,1,2,3\nA 1,1,4,5,6\n",
        "\xEF\xBB\xBFid,t,x,y,z\r\nA 1,0,1,2,3\r\nA 1,1,4,5,6\r\n",
        "# made by hand\n\nz,y,x,t,id\n3,2,1,0,A 1\n   \n# more\n6,5,4,1,A 1",
        "\"\",\"id\",\"t\",\"x\",\"y\",\"z\"\n\"1\",\"A 1\",0,1,2,3\n\"2\",\"A 1\",1,4,5,6\n",
        " ID , T , X , Y , Z , note\n A 1 ,\t0 , 1 , 2 , 3 , \"said \"\"no, thanks\"\"\"\n\"A 1\" , 1 ,4,5,6,\n",
        "id,t,x,y,z\nA 1,0.0,1e0,+2,3.\nA 1,1,4,5,6",
    };
    scratch s;
    scratch_begin(&s);
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        lg_tracks *tracks;
        expect_ok(&s, read_text(&s, texts[i], &tracks));
        cr_assert(tracks->count == 1 && tracks->points == 2, "text %zu", i);
        cr_expect(tracks->x[0] == 1 && tracks->y[0] == 2 && tracks->z[0] == 3, "text %zu", i);
        cr_expect(tracks->x[1] == 4 && tracks->y[1] == 5 && tracks->z[1] == 6, "text %zu", i);
        lg_tracks_free(tracks);
    }
    scratch_end(&s);
}

Test(tracks, ids_are_text)
{
    scratch s;
    scratch_begin(&s);
    lg_tracks *tracks;
    expect_ok(&s, read_text(&s, "id,t,x,y\n1,0,0,0\n01,0,0,0\n1.0,0,0,0\n\"a,b\",0,0,0\n\"a\"\"b\",0,0,0\n", &tracks));
    cr_expect_eq(lg_tracks_count(tracks), 5);
    lg_tracks_free(tracks);
    scratch_end(&s);
}

Test(tracks, header_errors)
{
    expect_error("", "in.csv is empty");
    expect_error("\n\n# only comments\n", "in.csv is empty");
    expect_error("id,t,x,y\n", "in.csv has a header and no rows");
    expect_error("id,t,xx,y\n1,0,0,0\n", "in.csv:1: no column 'x' in the header 'id,t,xx,y'; is it 'xx'?");
    expect_error("# c\n\ntrack,t,x,y\n1,0,0,0\n", "in.csv:3: no column 'id' in the header 'track,t,x,y'");
    expect_error("idd,t,x,y\n1,0,0,0\n", "is it 'idd'?");
    expect_error("id,t,x\n1,0,0\n", "no column 'y'");
    expect_error("1,0,0.5,0.5\n1,1,0.5,0.5\n", "in.csv:1:");
    expect_error("id,t,x,y,X\n1,0,0,0,0\n", "in.csv:1: two columns are called 'X'");
    expect_error("id;t;x;y\n1;0;0;0\n", "semicolons and no commas");
    expect_error("id\tt\tx\ty\n1\t0\t0\t0\n", "tabs and no commas");
    expect_error("\"id,t,x,y\n1,0,0,0\n", "in.csv:1: a quote is opened and not closed");
}

Test(tracks, row_errors)
{
    expect_error("id,t,x,y\n1,0,0,0\n1,1,0\n", "in.csv:3: 3 fields where the header has 4");
    expect_error("id,t,x,y\n1,0,0,0,\n", "in.csv:2: 5 fields where the header has 4");
    expect_error("id,t,x,y\n1\n", "in.csv:2: 1 field where the header has 4");
    expect_error("id,t,x,y\n\n#c\n1,0,abc,0\n", "in.csv:4: column x: 'abc' is not a number");
    expect_error("id,t,x,y\n1,0,1.5m,0\n", "'1.5m' is not a number");
    expect_error("id,t,x,y\n1,0,0,NA\n", "column y: 'NA' is not a number");
    expect_error("id,t,x,y\n1,0,0,NaN\n", "in.csv:2: column y: 'NaN' is not finite");
    expect_error("id,t,x,y\n1,inf,0,0\n", "column t: 'inf' is not finite");
    expect_error("id,t,x,y\n1,1e999,0,0\n", "'1e999' is not a number");
    expect_error("id,t,x,y\n1,0,,0\n", "in.csv:2: column x: '' is empty");
    expect_error("id,t,x,y,z\n1,0,0,0,nan\n", "column z");
    expect_error("id,t,x,y\n,0,0,0\n", "in.csv:2: the id is empty");
    expect_error("id,t,x,y\n\"1\"2,0,0,0\n", "in.csv:2: text follows a closing quote");
    expect_error("id,t,x,y\n1,0,0,0\n2,0,0,0\n1,5,0,0\n1,0.0,9,9\n",
                 "in.csv:5: track '1' has a position at t = 0 already, on line 2");
}

Test(tracks, not_a_text_file)
{
    scratch s;
    scratch_begin(&s);
    lg_tracks *tracks;
    const char *path = scratch_bytes(&s, "in.csv", "i\0d\0,\0", 6);
    expect_failure(&s, lg_tracks_read(s.ctx, path, &tracks), LG_ERR_DATA, "zero bytes");
    expect_failure(&s, lg_tracks_read(s.ctx, scratch_path(&s, "none.csv"), &tracks), LG_ERR_FILE, "none.csv");
    scratch_end(&s);
}

/* Every beginning of a table is either a table or an error, and never more than the whole. */
Test(tracks, every_truncation_is_handled)
{
    static const char text[] = "\xEF\xBB\xBFid,t,x,y\r\n\"a\"\"1\",0,1.5,2\r\n# c\r\n \"b\" ,1,2,-3e1\r\n";
    scratch s;
    scratch_begin(&s);
    for (size_t size = 0; size < sizeof text; size++) {
        lg_tracks *tracks;
        lg_status status = lg_tracks_read(s.ctx, scratch_bytes(&s, "cut.csv", text, size), &tracks);
        cr_expect(status == LG_OK || (status == LG_ERR_DATA && !tracks));
        if (status == LG_OK) cr_expect_leq(lg_tracks_count(tracks), 2);
        lg_tracks_free(tracks);
    }
    scratch_end(&s);
}
