#include "cmd/evaluation_files.h"

#include <stdlib.h>
#include <string.h>

#include "cmd/talk.h"
#include "cmd/target.h"
#include "src/file/output.h"

typedef struct {
    const char *option, *path;
} named;

static void check_output(const call *c, const evaluation_files *f, named out)
{
    const named in[] = {
        {"--classes", f->classes}, {"--truth", f->truth}, {"--boxes", f->boxes}, {"--model", c->o.model}};
    for (size_t i = 0; i < sizeof in / sizeof *in; i++)
        if (in[i].path && mv_output_is_same(in[i].path, out.path))
            die(EXIT_MISUSE, "%s: %s is the file of %s, which it would replace", out.option, out.path, in[i].option);
    for (int i = 0; f->merge && i < c->operands; i++)
        if (mv_output_is_same(c->operand[i], out.path))
            die(EXIT_MISUSE, "%s: %s is the input %s, which it would replace", out.option, out.path, c->operand[i]);
}

void evaluation_files_check(const call *c, const evaluation_files *f)
{
    const named out[] = {{"--records", f->records}, {"--csv", f->csv}, {"-o", f->page}};
    enum { OUTPUTS = sizeof out / sizeof *out };
    for (int i = 0; i < OUTPUTS; i++) {
        if (!out[i].path)
            continue;
        if (!*out[i].path || strcmp(out[i].path, "-") == 0)
            die(EXIT_MISUSE, "%s: found '%s', expected the name of a file", out[i].option, out[i].path);
        check_output(c, f, out[i]);
        for (int k = 0; k < i; k++)
            if (out[k].path && target_is_one_file(out[k].path, out[i].path))
                die(EXIT_MISUSE, "%s: found '%s', which %s names too, expected a file of its own", out[i].option,
                    out[i].path, out[k].option);
    }
}

void evaluation_files_check_model(const session *s, const char *option, const char *path)
{
    for (char **file = s->files; path && file && *file; file++)
        if (mv_output_is_same(*file, path))
            die(EXIT_MISUSE, "%s: %s is the model, which it would replace", option, path);
}

void evaluation_files_check_pictures(const operands *l, const char *option, const char *path)
{
    mv_error e = {0};
    if (!path)
        return;
    for (int i = 0; i < l->n; i++)
        if (mv_output_is_same(l->path[i], path))
            die(EXIT_MISUSE, "%s: %s is the picture %s, which it would replace", option, path, l->path[i]);
    if (mv_output_check(path, &e))
        die_of(&e, false);
}
