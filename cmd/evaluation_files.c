#include "cmd/evaluation_files.h"

#include <stdlib.h>
#include <string.h>

#include "cmd/claims.h"
#include "cmd/talk.h"

typedef struct {
    const char *option, *path;
} named;

void evaluation_files_check(const call *c, const evaluation_files *f, const operands *l)
{
    const named out[] = {{"--records", f->records}, {"--csv", f->csv}, {"-o", f->page}};
    claims *k = claims_new();
    for (size_t i = 0; i < sizeof out / sizeof *out; i++) {
        const char *path = out[i].path;
        if (path && strcmp(path, "-") == 0)
            die(EXIT_MISUSE, "%s: found '-', expected the name of a file", out[i].option);
        claims_write(k, out[i].option, path);
    }
    claims_read(k, "the file of --classes", f->classes);
    claims_read(k, "the file of --truth", f->truth);
    claims_read(k, "a file of --boxes", f->boxes);
    for (int i = 0; f->merge && i < c->operands; i++)
        claims_read(k, "the input ", c->operand[i]);
    if (l)
        claims_read_operands(k, l);
    claims_read_model(k, c->session.files);
    claims_end(k);
}
