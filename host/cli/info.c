/* latgrad info: what this build is and what it can use. */
#include "cli/cli.h"

#include <string.h>

static void print_models(void)
{
    printf("\nModels\n");
    for (int m = 0; m < lg_model_count(); m++) {
        printf("  %-5s %s\n", lg_model_name(m), lg_model_title(m));
        for (int p = 0; p < lg_model_param_count(m); p++) {
            const lg_param_info *i = lg_model_param(m, p);
            printf("          %-11s [%g, %g], start %g%s%s: %s\n", i->name, i->lower, i->upper, i->start,
                   *i->unit ? ", " : "", i->unit, i->help);
        }
    }
}

static lg_status print_text(lg_cli *cli)
{
    printf("latgrad %s\nbuild   %s\n\nDevices\n", lg_version(), lg_build_info());
    for (int d = 0; d < lg_device_count(cli->ctx); d++) {
        lg_device_info info;
        const lg_status status = lg_device_describe(cli->ctx, d, &info);
        if (status) return status;
        char memory[32];
        lg_cli_format_bytes(memory, sizeof memory, (double)info.memory_bytes);
        if (info.usable) printf("  %-7s %s, %s\n", info.name, info.detail, memory);
        else printf("  %-7s not usable: %s\n", info.name, info.problem);
    }
    print_models();
    return LG_OK;
}

static lg_status json_devices(lg_cli *cli)
{
    for (int d = 0; d < lg_device_count(cli->ctx); d++) {
        lg_device_info info;
        const lg_status status = lg_device_describe(cli->ctx, d, &info);
        if (status) return status;
        printf("%s{\"name\": ", d ? ", " : "");
        lg_cli_json_text(stdout, info.name);
        printf(", \"detail\": ");
        lg_cli_json_text(stdout, info.detail);
        printf(", \"memory_bytes\": %llu, \"usable\": %s, \"problem\": ", (unsigned long long)info.memory_bytes,
               info.usable ? "true" : "false");
        lg_cli_json_text(stdout, info.usable ? "" : info.problem);
        printf("}");
    }
    return LG_OK;
}

static void json_model(int m)
{
    printf("%s{\"name\": \"%s\", \"title\": ", m ? ", " : "", lg_model_name(m));
    lg_cli_json_text(stdout, lg_model_title(m));
    printf(", \"params\": [");
    for (int p = 0; p < lg_model_param_count(m); p++) {
        const lg_param_info *i = lg_model_param(m, p);
        printf("%s{\"name\": \"%s\", \"lower\": %.17g, \"upper\": %.17g, \"start\": %.17g}", p ? ", " : "", i->name,
               i->lower, i->upper, i->start);
    }
    printf("]}");
}

static lg_status print_json(lg_cli *cli)
{
    printf("{\"version\": \"%s\", \"build\": ", lg_version());
    lg_cli_json_text(stdout, lg_build_info());
    printf(", \"devices\": [");
    const lg_status status = json_devices(cli);
    printf("], \"models\": [");
    for (int m = 0; m < lg_model_count(); m++) json_model(m);
    puts("]}");
    return status;
}

int lg_cmd_info(int argc, char **argv)
{
    lg_cli cli;
    const lg_cli_usage usage = {"info", "",   "Version, build, devices, memory and models.", LG_USE_JSON, NULL, 0, 0,
                                0,      false};
    const int exit_status = lg_cli_begin(&cli, &usage, argc, argv);
    if (exit_status >= 0) return exit_status;
    return lg_cli_end(&cli, cli.json ? print_json(&cli) : print_text(&cli));
}
