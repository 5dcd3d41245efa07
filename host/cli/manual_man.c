/* Manual pages in the man(7) language, one for the tool, one for each command, one for the configuration. */
#include "cli/manual.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* Text as roff: `code` becomes bold, and no character of it is taken for a request or an escape. */
static void put(const char *text)
{
    bool bold = false, line_start = true;
    for (; *text; text++) {
        if (line_start && (*text == '.' || *text == '\'')) fputs("\\&", stdout);
        line_start = *text == '\n';
        switch (*text) {
        case '\\': fputs("\\e", stdout); break;
        case '-': fputs("\\-", stdout); break;
        case '~': fputs("\\(ti", stdout); break;
        case '^': fputs("\\(ha", stdout); break;
        case '`':
            bold = !bold;
            fputs(bold ? "\\fB" : "\\fP", stdout);
            break;
        case '\n': fputs("\n.br\n", stdout); break;
        default: putchar(*text);
        }
    }
}

static void line(const char *text)
{
    put(text);
    putchar('\n');
}

/* The date of the page; SOURCE_DATE_EPOCH makes a build repeatable (reproducible-builds.org). */
static void put_date(void)
{
    time_t now = time(NULL);
    const char *epoch = getenv("SOURCE_DATE_EPOCH");
    if (epoch && *epoch) {
        char *end;
        errno = 0;
        const long long seconds = strtoll(epoch, &end, 10);
        if (!*end && !errno) now = (time_t)seconds;
    }
    struct tm day;
    char text[16] = "1970-01-01";
    if (gmtime_r(&now, &day)) strftime(text, sizeof text, "%Y-%m-%d", &day);
    fputs(text, stdout);
}

void lg_man_begin(const char *name, int section, const char *what)
{
    printf(".TH LATGRAD%s", *name ? "\\-" : "");
    for (const char *c = name; *c; c++) putchar(*c >= 'a' && *c <= 'z' ? *c - 'a' + 'A' : *c);
    printf(" %d \"", section);
    put_date();
    printf("\" \"latgrad %s\" \"latgrad\"\n.SH NAME\nlatgrad%s%s \\- ", lg_version(), *name ? "\\-" : "", name);
    line(what);
}

static void option(const lg_cli_option *o)
{
    fputs(".TP\n", stdout);
    if (o->letter) printf("\\fB\\-%c\\fP, ", o->letter);
    fputs("\\fB", stdout);
    put(o->name);
    fputs("\\fP", stdout);
    if (o->value) {
        fputs(" \\fI", stdout);
        put(o->value);
        fputs("\\fP", stdout);
    }
    putchar('\n');
    line(o->help);
}

static void exit_status(void)
{
    puts(".SH EXIT STATUS");
    for (const lg_exit_row *e = lg_exit_rows; e->meaning; e++) {
        printf(".TP\n%d\n", e->status);
        line(e->meaning);
    }
}

void lg_man_command(const lg_cli_table *table)
{
    const lg_cli_usage *u = table->usage;
    printf(".SH SYNOPSIS\n\\fBlatgrad %s\\fP", u->command);
    if (*u->arguments) {
        fputs(" \\fI", stdout);
        put(u->arguments);
        fputs("\\fP", stdout);
    }
    puts(" [\\fIOPTIONS\\fP]\n.SH DESCRIPTION");
    line(u->text);
    puts(".SH OPTIONS");
    for (int i = 0; i < table->count; i++) option(&table->row[i]);
    exit_status();
    puts(".SH SEE ALSO\n.BR latgrad (1)\\c");
    puts(u->keys ? ",\n.BR latgrad\\-config (5)" : "");
}

static void environment(void)
{
    static const char *const variables[][2] = {
        {"LATGRAD_DATA", "folder of the measured data that `latgrad reproduce` uses"},
        {"LATGRAD_ISA", "base, avx2 or avx512: a narrower instruction set for the CPU than the widest it has"},
        {"OMP_NUM_THREADS", "is not read: `--threads` or the key `threads` sets the number of threads"},
    };
    puts(".SH ENVIRONMENT");
    for (size_t i = 0; i < sizeof variables / sizeof *variables; i++) {
        printf(".TP\n\\fB%s\\fP\n", variables[i][0]);
        line(variables[i][1]);
    }
}

void lg_man_overview(const lg_command *commands, int count)
{
    static const char *const examples[] = {
        "latgrad info",
        "latgrad simulate mk --set steps=20000 --picture pattern.png",
        "latgrad fit config.yaml --out result.h5",
        "latgrad plot result.h5 --out fit.png",
        "latgrad reproduce all --quick",
    };
    lg_man_begin("", 1, "simulates stochastic lattice models in batches and fits them to data");
    puts(".SH SYNOPSIS\n\\fBlatgrad\\fP \\fICOMMAND\\fP [\\fIARGUMENTS\\fP] [\\fIOPTIONS\\fP]\n.SH DESCRIPTION");
    line("latgrad runs stochastic lattice models in large batches and fits them to data by gradient descent, although "
         "their "
         "events are discrete: the forward pass draws them, the backward pass replaces the derivative of the jump.");
    puts(".PP");
    line("The output is text for people, and machine-readable with `--json`; it has no colours. Progress goes to the "
         "standard "
         "error, as one line on a terminal and a plain line now and then elsewhere.");
    puts(".SH COMMANDS");
    for (int i = 0; i < count; i++) {
        printf(".TP\n.BR latgrad\\-%s (1)\n", commands[i].name);
        line(commands[i].help);
    }
    puts(".SH MODELS");
    for (int m = 0; m < lg_model_count(); m++) {
        printf(".TP\n\\fB%s\\fP\n", lg_model_name(m));
        put(lg_model_title(m));
        for (int p = 0; p < lg_model_param_count(m); p++) {
            fputs(p ? ", " : "; parameters: ", stdout);
            put(lg_model_param(m, p)->name);
        }
        putchar('\n');
    }
    puts(".SH EXAMPLES\n.nf");
    for (size_t i = 0; i < sizeof examples / sizeof *examples; i++) line(examples[i]);
    puts(".fi");
    exit_status();
    environment();
    puts(".SH SEE ALSO\n.BR latgrad\\-config (5)\n.PP");
    line("Schering, Keemink, Textor. Fitting stochastic lattice models using approximate gradients. Proceedings of the "
         "38th "
         "ECMS International Conference on Modelling and Simulation, 2024.");
}

void lg_man_config(void)
{
    static const char *const example[] = {
        "model: prw",
        "data: {msd: msd_tcells.csv, spacing2: 10}",
        "params:",
        "  p_center: {start: 0.7, transform: logit}",
        "  p_resample: {start: 0.7, transform: logit}",
        "steps: 10",
        "output: {file: tcells.h5}",
    };
    lg_man_begin("config", 5, "keys of a latgrad configuration");
    puts(".SH DESCRIPTION");
    line("A configuration is a YAML file. A key such as `optimizer.lr` stands in it as `lr` below `optimizer`, and on "
         "the "
         "command line as `--set optimizer.lr=0.01`. Every key has a default that fits the model and the task; "
         "`latgrad fit CONFIG.yaml --print-config` prints all of them. NAME is a parameter of the model.");
    puts(".SH KEYS");
    for (int i = 0; i < lg_option_count(); i++) {
        const lg_option *o = lg_option_at(i);
        char facts[256];
        lg_cli_key_facts(o, facts, sizeof facts);
        printf(".TP\n\\fB%s\\fP\n", o->key);
        put(o->help);
        if (*facts) {
            fputs(" [", stdout);
            put(facts);
            putchar(']');
        }
        putchar('\n');
    }
    puts(".SH EXAMPLES\n.nf");
    for (size_t i = 0; i < sizeof example / sizeof *example; i++) line(example[i]);
    puts(".fi\n.SH SEE ALSO\n.BR latgrad (1),\n.BR latgrad\\-fit (1)");
}
