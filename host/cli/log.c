#include "cli/log.h"

#include <errno.h>
#include <string.h>
#include <time.h>

void lg_cli_log_time(FILE *out)
{
    const time_t t = time(NULL);
    struct tm utc;
    char text[32];
    gmtime_r(&t, &utc);
    strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &utc);
    fputs(text, out);
}

/* Added to, never replaced: a fit that goes on writes behind what it wrote before. */
lg_status lg_cli_log_open(lg_cli *cli)
{
    const char *format = cli->log_format ? cli->log_format : "text";
    cli->log_json = strcmp(format, "json") == 0;
    if (!cli->log_json && strcmp(format, "text") != 0) {
        cli->log_file = NULL;
        return lg_cli_fail(cli, LG_ERR_USAGE, "--log: expected text or json, got '%s'", format);
    }
    if (!cli->log_file) return LG_OK;
    cli->log = fopen(cli->log_file, "ae");
    if (!cli->log)
        return lg_cli_fail(cli, LG_ERR_FILE, "cannot write the log '%s': %s", cli->log_file, strerror(errno));
    return LG_OK;
}

void lg_cli_log_close(lg_cli *cli)
{
    if (cli->log && fclose(cli->log) != 0)
        fprintf(stderr, "latgrad: warning: the log '%s' is not complete: %s\n", cli->log_file, strerror(errno));
    cli->log = NULL;
}

FILE *lg_cli_log_event(const lg_cli *cli, const char *event)
{
    if (!cli->log_json || (!cli->log && cli->quiet)) return NULL;
    FILE *out = cli->log ? cli->log : stderr;
    fputs("{\"time\": \"", out);
    lg_cli_log_time(out);
    fprintf(out, "\", \"event\": \"%s\"", event);
    return out;
}

/* Warnings and errors always, the rest unless --quiet; on the standard error plain where it is not the JSON log. */
void lg_cli_log_message(const lg_cli *cli, const char *kind, const char *text)
{
    const bool info = strcmp(kind, "info") == 0, warning = strcmp(kind, "warning") == 0;
    FILE *out = lg_cli_log_event(cli, kind);
    if (out) {
        fputs(", \"message\": ", out);
        lg_cli_json_text(out, text);
        fputs("}\n", out);
    } else if (cli->log) {
        out = cli->log;
        lg_cli_log_time(out);
        fprintf(out, " %s: %s\n", kind, text);
    }
    if (out) fflush(out);
    if (out == stderr || (info && (cli->quiet || cli->json))) return;
    fprintf(stderr, "latgrad: %s%s\n", warning ? "warning: " : "", text);
}
