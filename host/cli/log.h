/* Lines about a run, for people (text) or machines (--log json: one JSON object a line), on the standard error or added to
 * a file (--log-file). */
#ifndef LG_CLI_LOG_H
#define LG_CLI_LOG_H

#include "cli/cli.h"

/* Checks --log and opens --log-file. */
lg_status lg_cli_log_open(lg_cli *cli);
void lg_cli_log_close(lg_cli *cli);
/* A line of the library or the tool. kind: "info", "warning" or "error". */
void lg_cli_log_message(const lg_cli *cli, const char *kind, const char *text);
/* One object: begins {"time": ..., "event": "NAME"; members follow as `, "key": ...` and "}\n" ends it. NULL where lines
 * are not JSON. */
FILE *lg_cli_log_event(const lg_cli *cli, const char *event);
/* What stands in a log file before a plain line: the time, UTC. */
void lg_cli_log_time(FILE *out);

#endif
