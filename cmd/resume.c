#include "cmd/resume.h"

#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cmd/talk.h"
#include "src/base/text.h"

static void add(results *r, const char *name)
{
    if ((r->n & (r->n - 1)) == 0) /* full at every power of two */
        r->hash = must(realloc(r->hash, (r->n ? 2 * (size_t)r->n : 1) * sizeof *r->hash));
    r->hash[r->n++] = mv_text_hash(name);
}

static void read_line(results *r, const char *line, size_t length, int number)
{
    json_t *object = json_loadb(line, length, 0, NULL);
    const char *name = json_string_value(json_object_get(object, "image"));
    if (!name)
        die(EXIT_MISUSE,
            "--resume: line %d of standard output is no result of an earlier run; append to the file that --json "
            "wrote, "
            "or leave --resume out",
            number);
    add(r, name);
    json_decref(object);
}

/* True for the beginning of a result: only such a line, which was not finished, is cut off. */
static bool begins_as_ours(const char *line)
{
    static const char begin[] = "{\"image\":";
    size_t n = strlen(line);
    return strncmp(line, begin, n < sizeof begin - 1 ? n : sizeof begin - 1) == 0;
}

void results_read(results *r)
{
    struct stat st;
    *r = (results){0};
    if (fstat(STDOUT_FILENO, &st) || !S_ISREG(st.st_mode))
        return;
    r->kept = true;
    int fd = open("/proc/self/fd/1", O_RDONLY | O_CLOEXEC);
    FILE *in = fd < 0 ? NULL : fdopen(fd, "r");
    char *line = NULL;
    size_t room = 0;
    ssize_t n;
    off_t whole = 0;
    if (!in)
        die(EXIT_FAILED, "--resume: the file of standard output cannot be read");
    for (int number = 1; (n = getline(&line, &room, in)) > 0 && line[n - 1] == '\n'; number++) {
        read_line(r, line, (size_t)n, number);
        whole += n;
    }
    bool failed = ferror(in) != 0;
    if (failed || (n > 0 && !begins_as_ours(line)))
        die(failed ? EXIT_FAILED : EXIT_MISUSE,
            "--resume: %s; append to the file that --json wrote, or leave --resume out",
            failed ? "the file of standard output cannot be read"
                   : "standard output does not end in a result of an earlier run");
    free(line);
    fclose(in);
    if (whole < st.st_size && (ftruncate(STDOUT_FILENO, whole) || lseek(STDOUT_FILENO, whole, SEEK_SET) < 0))
        die(EXIT_FAILED, "--resume: an unfinished line of standard output cannot be cut off");
    if (r->n)
        qsort(r->hash, (size_t)r->n, sizeof *r->hash, mv_text_by_hash);
}

void results_free(results *r)
{
    free(r->hash);
}

bool results_known(const results *r, const char *name)
{
    uint64_t key = mv_text_hash(name);
    return r->n && bsearch(&key, r->hash, (size_t)r->n, sizeof key, mv_text_by_hash);
}

bool results_are_kept(const results *r)
{
    return r->kept;
}
