/* Completion scripts for bash and zsh. What follows an option is guessed from the name of its value in the table: FILE and
 * the like are paths, a|b|c are words, KEY=VALUE is a key of the configuration with the words its range allows. */
#include "cli/manual.h"

#include <string.h>

static bool has_upper(const char *text, size_t length)
{
    for (size_t i = 0; i < length; i++) {
        if (text[i] >= 'A' && text[i] <= 'Z') return true;
    }
    return false;
}

/* Prints the words of "si|prw|MODEL|CONFIG.yaml", the models for MODEL; true where one of them stands for a path. */
static bool put_words(const char *text)
{
    bool path = false;
    while (*text) {
        const size_t length = strcspn(text, "|");
        if (length == 5 && memcmp(text, "MODEL", 5) == 0) {
            for (int m = 0; m < lg_model_count(); m++) printf(" %s", lg_model_name(m));
        } else if (has_upper(text, length)) {
            path = true;
        } else {
            printf(" %.*s", (int)length, text);
        }
        text += length + (text[length] == '|');
    }
    return path;
}

/* The words a key takes: those of "a|b|c" (without the likes of cuda:N), true and false. */
static bool put_key_words(const lg_option *o)
{
    const char *text = o->type == LG_OPT_BOOL ? "true|false" : o->range;
    if (!strchr(text, '|') || strpbrk(text, " [(,")) return false;
    put_words(text);
    return true;
}

static bool is_path(const lg_cli_option *o)
{
    return strstr(o->value, "FILE") || strstr(o->value, "PATH") || strstr(o->value, "DIR");
}

/* "device" of --device, where that is a key of the configuration with words. */
static const lg_option *key_of(const lg_cli_option *o)
{
    for (int i = 0; o->kind == LG_ARG_KEY && i < lg_option_count(); i++) {
        if (strcmp(lg_option_at(i)->key, o->target) == 0) return lg_option_at(i);
    }
    return NULL;
}

/* ---- bash ------------------------------------------------------------------------------------------------------- */

void lg_bash_begin(void)
{
    puts("# bash completion for latgrad; written by `latgrad help --completion bash`.\n"
         "_latgrad()\n"
         "{\n"
         "    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]} key= words= files= options=\n"
         "    local before=; ((COMP_CWORD > 1)) && before=${COMP_WORDS[COMP_CWORD-2]}\n"
         "    COMPREPLY=()\n"
         "    if [[ $cur == = ]]; then key=$prev; cur=; elif [[ $prev == = ]]; then key=$before; fi\n"
         "    if [[ $key == --* ]]; then prev=$key; key=; fi\n"
         "    case $key in");
    for (int i = 0; i < lg_option_count(); i++) {
        const lg_option *o = lg_option_at(i);
        if (o->type != LG_OPT_BOOL && (!strchr(o->range, '|') || strpbrk(o->range, " [(,"))) continue;
        printf("    ");
        for (const char *k = o->key; *k; k++) { /* NAME stands for any parameter */
            if (strncmp(k, "NAME", 4) == 0) {
                putchar('*');
                k += 3;
            } else {
                putchar(*k);
            }
        }
        printf(") words=\"");
        put_key_words(o);
        puts("\" ;;");
    }
    printf("    esac\n"
           "    if [[ -n $key ]]; then\n"
           "        COMPREPLY=($(compgen -W \"$words\" -- \"$cur\"))\n"
           "        [[ -n $words ]] || COMPREPLY=($(compgen -f -- \"$cur\"))\n"
           "        return\n"
           "    fi\n"
           "    local keys=\"");
    for (int i = 0; i < lg_option_count(); i++) printf("%s%s=", i ? " " : "", lg_option_at(i)->key);
    puts("\"\n    case ${COMP_WORDS[1]} in");
}

static void bash_option(const lg_cli_option *o)
{
    printf("        %s", o->name);
    if (o->letter) printf("|-%c", o->letter);
    if (o->kind == LG_ARG_SET) {
        puts(") words=$keys; compopt -o nospace ;;");
        return;
    }
    if (is_path(o)) {
        puts(") files=1 ;;");
        return;
    }
    printf(") words=\"");
    const lg_option *key = key_of(o);
    if (key) put_key_words(key);
    else if (strchr(o->value, '|')) put_words(o->value);
    puts("\"; [[ $words ]] || return ;;");
}

void lg_bash_command(const lg_cli_table *table)
{
    const lg_cli_usage *u = table->usage;
    printf("    %s)\n        options=\"", u->command);
    for (int i = 0; i < table->count; i++) printf("%s%s", i ? " " : "", table->row[i].name);
    puts("\"\n        case $prev in");
    for (int i = 0; i < table->count; i++) {
        if (table->row[i].value) bash_option(&table->row[i]);
    }
    printf("        *) words=\"$options");
    const bool path = put_words(u->arguments);
    printf("\"; %s ;;\n        esac\n        ;;\n", path ? "[[ $cur == -* ]] || files=1" : ":");
}

void lg_bash_end(const lg_command *commands, int count)
{
    printf("    *)\n        words=\"help --help --version");
    for (int i = 0; i < count; i++) printf(" %s", commands[i].name);
    puts("\"\n        [[ ${COMP_WORDS[1]} != help || $COMP_CWORD -lt 2 ]] || words+=\" config\"\n"
         "        ;;\n"
         "    esac\n"
         "    [[ -z $words ]] || COMPREPLY=($(compgen -W \"$words\" -- \"$cur\"))\n"
         "    if [[ -n $files ]]; then\n"
         "        compopt -o filenames\n"
         "        mapfile -t -O ${#COMPREPLY[@]} COMPREPLY < <(compgen -f -- \"$cur\")\n"
         "    fi\n"
         "}\n"
         "complete -F _latgrad latgrad");
}

/* ---- zsh -------------------------------------------------------------------------------------------------------- */

/* Text inside '...[text]' of _arguments and _describe. */
static void zsh_text(const char *text)
{
    for (; *text; text++) {
        if (*text == '\'') fputs("'\\''", stdout);
        else if (strchr("[]:\\", *text)) printf("\\%c", *text);
        else putchar(*text);
    }
}

void lg_zsh_begin(const lg_command *commands, int count)
{
    puts("#compdef latgrad\n"
         "# zsh completion for latgrad; written by `latgrad help --completion zsh`.\n"
         "_latgrad_key()\n"
         "{\n"
         "    local -a keys values\n"
         "    if compset -P 1 '*='; then\n"
         "        case ${IPREFIX%=} in");
    for (int i = 0; i < lg_option_count(); i++) {
        const lg_option *o = lg_option_at(i);
        if (o->type != LG_OPT_BOOL && (!strchr(o->range, '|') || strpbrk(o->range, " [(,"))) continue;
        if (strstr(o->key, "NAME")) continue;
        printf("        *%s) values=(", o->key);
        put_key_words(o);
        puts(") ;;");
    }
    puts("        esac\n"
         "        if (( $#values )); then compadd -a values; else _files; fi\n"
         "        return\n"
         "    fi\n"
         "    keys=(");
    for (int i = 0; i < lg_option_count(); i++) {
        printf("        '%s:", lg_option_at(i)->key);
        zsh_text(lg_option_at(i)->help);
        puts("'");
    }
    puts("    )\n"
         "    _describe key keys -S =\n"
         "}\n"
         "_latgrad()\n"
         "{\n"
         "    local -a commands\n"
         "    commands=(");
    for (int i = 0; i < count; i++) {
        printf("        '%s:", commands[i].name);
        zsh_text(commands[i].help);
        puts("'");
    }
    puts("        'help:help about a command, or the configuration keys'\n"
         "    )\n"
         "    if (( CURRENT == 2 )); then _describe command commands; return; fi\n"
         "    local command=$words[2]\n"
         "    shift words; (( CURRENT-- ))\n"
         "    case $command in\n"
         "    help) _describe command commands ;;");
}

static void zsh_value(const lg_cli_option *o)
{
    printf(":%s:", o->value);
    const lg_option *key = key_of(o);
    if (o->kind == LG_ARG_SET) {
        fputs("_latgrad_key", stdout);
    } else if (is_path(o)) {
        fputs("_files", stdout);
    } else if (key || strchr(o->value, '|')) {
        putchar('(');
        if (key) put_key_words(key);
        else put_words(o->value);
        putchar(')');
    } else {
        putchar(' ');
    }
}

void lg_zsh_command(const lg_cli_table *table)
{
    const lg_cli_usage *u = table->usage;
    printf("    %s)\n        _arguments \\\n", u->command);
    for (int i = 0; i < table->count; i++) {
        const lg_cli_option *o = &table->row[i];
        for (int form = 0; form < (o->letter ? 2 : 1); form++) {
            printf("            '%s", o->kind == LG_ARG_SET ? "*" : "");
            if (form) printf("-%c[", o->letter);
            else printf("%s%s[", o->name, o->value ? "=" : "");
            zsh_text(o->help);
            putchar(']');
            if (o->value) zsh_value(o);
            puts("' \\");
        }
    }
    const char *arguments = u->arguments;
    if (!*arguments) {
        puts("            ;;");
        return;
    }
    printf("            '*:%s:{", arguments);
    fputs("local -a w; w=(", stdout);
    const bool path = put_words(arguments);
    printf("); compadd -a w; %s}'\n        ;;\n", path ? "_files" : "");
}

void lg_zsh_end(void)
{
    puts("    esac\n}\n_latgrad \"$@\"");
}
