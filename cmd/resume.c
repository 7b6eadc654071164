#include "cmd/resume.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cmd/talk.h"

static const char resumed[] = "--resume: the file of standard output";

/* Ends the run for a reason that errno gives. */
static void die_of_file(const char *file, const char *what)
{
    mv_error e = {0};
    mv_fail_errno(&e, file, what);
    die_of(&e, false);
}

bool results_are_kept(void)
{
    struct stat st;
    if (fstat(STDOUT_FILENO, &st))
        die_of_file("standard output", "cannot be examined"); /* also without --resume */
    return S_ISREG(st.st_mode);
}

static void read_line(results *r, const char *line, size_t length, int number, const char *key, const char *model)
{
    mv_error e = {0};
    errno = 0;
    json_t *object = json_loadb(line, length, 0, NULL);
    if (!object && errno == ENOMEM)
        die_of_file(resumed, "cannot be read");
    const char *name = json_string_value(json_object_get(object, "image")),
               *by = json_string_value(json_object_get(object, "model"));
    if (!name || !by || !json_object_get(object, key))
        die(EXIT_MISUSE,
            "--resume: line %d of standard output is no result of this command; append to the file that --json wrote, "
            "or "
            "leave --resume out",
            number);
    if (strcmp(by, model))
        die(EXIT_MISUSE, "--resume: line %d of standard output was written by the model %s, expected %s", number, by,
            model);
    if (mv_name_set_add(&r->names, name, &e))
        die_of(&e, false);
    json_decref(object);
}

/* True for the beginning of a result: only such a line, which was not finished, is cut off. */
static bool begins_as_ours(const char *line)
{
    static const char begin[] = "{\"image\":";
    size_t n = strlen(line), most = sizeof begin - 1;
    return strncmp(line, begin, n < most ? n : most) == 0;
}

void results_read(results *r, const char *key, const char *model)
{
    *r = (results){.kept = results_are_kept()};
    if (!r->kept)
        return;
    int fd = open("/proc/self/fd/1", O_RDONLY | O_CLOEXEC);
    FILE *in = fd < 0 ? NULL : fdopen(fd, "r");
    char *line = NULL;
    size_t room = 0;
    ssize_t n;
    off_t whole = 0;
    if (!in)
        die_of_file(resumed, "cannot be read");
    for (int number = 1; (n = getline(&line, &room, in)) > 0 && line[n - 1] == '\n'; number++) {
        read_line(r, line, (size_t)n, number, key, model);
        whole += n;
    }
    if (ferror(in) || (n < 0 && !feof(in))) /* without memory for a line there is no mark of an error */
        die_of_file(resumed, "cannot be read");
    if (n > 0 && !begins_as_ours(line))
        die(EXIT_MISUSE,
            "--resume: standard output does not end in a result of an earlier run; append to the file that "
            "--json wrote, or leave --resume out");
    bool torn = n > 0;
    free(line);
    fclose(in);
    if ((torn && TEMP_FAILURE_RETRY(ftruncate(STDOUT_FILENO, whole))) || lseek(STDOUT_FILENO, whole, SEEK_SET) < 0)
        die_of_file(resumed, "cannot be continued where its last result ends");
}

void results_free(results *r)
{
    mv_name_set_free(&r->names);
}

bool results_take(results *r, const char *name)
{
    return mv_name_set_take(&r->names, name);
}
