/* The program: finds the command, parses its options and runs it. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cmd/command.h"
#include "cmd/stop.h"
#include "cmd/stream.h"
#include "cmd/talk.h"
#include "src/base/text.h"

/* A command is one file and one name in this list. */
#define COMMANDS(X)                                                                                                    \
    X(classify)                                                                                                        \
    X(attention)                                                                                                       \
    X(explain)                                                                                                         \
    X(mixer)                                                                                                           \
    X(ablate)                                                                                                          \
    X(compare)                                                                                                         \
    X(report)                                                                                                          \
    X(dump) X(eval) X(sites) X(methods) X(info) X(pull) X(devices) X(bench) X(completion)

#define DECLARE(name) extern const command command_##name;
COMMANDS(DECLARE)

#define LIST(name) &command_##name,
const command *const commands[] = {COMMANDS(LIST) NULL};

static const command *lookup(const char *name)
{
    for (int i = 0; commands[i]; i++)
        if (strcmp(commands[i]->name, name) == 0)
            return commands[i];
    return NULL;
}

static int help(void)
{
    printf("usage: mvscope COMMAND [OPTIONS] ...\n\nRuns MambaVision networks and shows what they see.\n\nCommands\n");
    for (int i = 0; commands[i]; i++)
        printf("  %-12s %s\n", commands[i]->name, commands[i]->summary);
    printf("\nExamples\n  mvscope classify photo.jpg\n  mvscope classify --explain -o why.png photo.jpg\n  mvscope "
           "report photo.jpg\n\n'mvscope COMMAND --help' lists the options of a command; see also 'man "
           "mvscope'.\n");
    return finish(EXIT_DONE);
}

/* `mvscope help`, `mvscope help COMMAND` */
static int help_on(int argc, char **argv)
{
    const command *c = argc > 2 ? lookup(argv[2]) : NULL;
    if (argc < 3)
        return help();
    if (!c)
        die(EXIT_MISUSE, "help: found '%s', expected a command (mvscope --help)", argv[2]);
    options_help(c);
    return finish(EXIT_DONE);
}

/* `mvscope -q classify photo.jpg`: options before the command are its own, if each is one word. Puts the command in
 * front of them. */
static void move_command(int argc, char **argv)
{
    int at = 1;
    while (at < argc && *argv[at] == '-')
        at++;
    if (at == 1 || at == argc || !lookup(argv[at]))
        return;
    char *name = argv[at];
    memmove(argv + 2, argv + 1, (size_t)(at - 1) * sizeof *argv);
    argv[1] = name;
}

static int unknown(const char *word) __attribute__((noreturn));

static int unknown(const char *word)
{
    const char *names[64];
    int n = 0;
    for (; commands[n]; n++)
        names[n] = commands[n]->name;
    const char *near = mv_text_nearest(word, n, names);
    if (*word == '-')
        die(EXIT_MISUSE, "%s: found an option where a command was expected: mvscope COMMAND %s ... (mvscope --help)",
            word, word);
    if (access(word, F_OK) == 0)
        die(EXIT_MISUSE, "%s: found a file where a command was expected; did you mean mvscope classify %s?", word,
            word);
    if (near)
        die(EXIT_MISUSE, "%s: no such command; did you mean %s? (mvscope --help)", word, near);
    die(EXIT_MISUSE, "%s: no such command (mvscope --help)", word);
}

static bool closed; /* standard output */

/* The next file that is opened would get the number of a closed descriptor, and standard input or output would go to
 * that file. So the number is given to a descriptor that refuses reads and writes, and a use of it is reported. */
static void fill_descriptors(void)
{
    static const int refusing[] = {O_PATH, O_RDONLY, O_RDONLY};
    closed = fcntl(STDOUT_FILENO, F_GETFD) < 0;
    for (int fd = 0; fd < 3; fd++)
        if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", refusing[fd]) != fd)
            exit(EXIT_FAILED);
}

static int run(const command *c, int argc, const char **argv)
{
    call *one = must(calloc(1, sizeof *one));
    one->command = c;
    one->own = must(calloc(1, c->size ? c->size : 1));
    options_parse(one, argc, argv);
    if (closed && one->o.out && strcmp(one->o.out, "-") == 0) /* its name would lead to what fills its place */
        die(EXIT_FAILED, "-o: standard output is closed, expected a file, pipe, socket or device");
    if (c->check)
        c->check(one);
    int status = c->run ? c->run(one) : stream_run(one);
    options_free(one);
    free(one->own);
    free(one);
    return finish(status);
}

int main(int argc, char **argv)
{
    fill_descriptors();
    stop_guard();
    talk_begin();
    if (argc < 2) {
        fprintf(stderr, "mvscope: found no command, expected one of");
        for (int i = 0; commands[i]; i++)
            fprintf(stderr, " %s", commands[i]->name);
        fprintf(stderr, " (mvscope --help)\n");
        return EXIT_MISUSE;
    }
    if (strcmp(argv[1], "--version") == 0 || strcmp(argv[1], "-V") == 0) {
        printf("mvscope %s\n", MV_VERSION);
        return finish(EXIT_DONE);
    }
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0)
        return help();
    if (strcmp(argv[1], "help") == 0)
        return help_on(argc, argv);
    move_command(argc, argv);
    const command *c = lookup(argv[1]);
    if (!c)
        unknown(argv[1]);
    return run(c, argc - 1, (const char **)argv + 1);
}
