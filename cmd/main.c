#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "cmd/options.h"
#include "cmd/program.h"
#include "src/base/text.h"

static const command *const table[] = {&cmd_classify, &cmd_attention, &cmd_dump,      &cmd_sites,
                                       &cmd_info,     &cmd_devices,   &cmd_completion};
enum { COMMANDS = sizeof table / sizeof *table };

const command *command_at(int i)
{
    return i >= 0 && i < COMMANDS ? table[i] : NULL;
}

static void print_help(void)
{
    printf("usage: mvscope COMMAND [OPTIONS] ...\n\nOpens MambaVision and shows what it sees.\n\nCommands\n");
    for (int i = 0; i < COMMANDS; i++)
        printf("  %-12s %s\n", table[i]->name, table[i]->summary);
    printf("\n'mvscope COMMAND --help' tells a command's options; 'man mvscope' the whole.\n");
}

int main(int argc, char **argv)
{
    signal(SIGPIPE, SIG_IGN); /* a write that fails is told as any other */
    if (argc < 2) {
        fprintf(stderr, "mvscope: found no command, expected one of");
        for (int i = 0; i < COMMANDS; i++)
            fprintf(stderr, " %s", table[i]->name);
        fprintf(stderr, " (mvscope --help)\n");
        return EXIT_MISUSE;
    }
    if (strcmp(argv[1], "--version") == 0 || strcmp(argv[1], "-V") == 0) {
        printf("mvscope %s\n", MV_VERSION);
        return finish(EXIT_DONE);
    }
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0 || strcmp(argv[1], "help") == 0) {
        print_help();
        return finish(EXIT_DONE);
    }
    const char *names[COMMANDS];
    for (int i = 0; i < COMMANDS; i++) {
        names[i] = table[i]->name;
        if (strcmp(argv[1], names[i]))
            continue;
        int n;
        const char **operands = options_parse(table[i], argc - 1, (const char **)argv + 1, &n);
        return finish(table[i]->run(n, operands));
    }
    const char *near = mv_text_nearest(argv[1], COMMANDS, names);
    if (near)
        die(EXIT_MISUSE, "%s: no such command; did you mean %s? (mvscope --help)", argv[1], near);
    die(EXIT_MISUSE, "%s: no such command (mvscope --help)", argv[1]);
}
