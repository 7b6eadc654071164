/* From operands to inputs: files, folders (walked), "-" for standard input, ready .npy and .safetensors inputs; and
 * passes of several pictures through the network.
 */
#ifndef PICTURES_H
#define PICTURES_H

#include "execute.h"
#include "image.h"
#include "session.h"

typedef struct {
    int n;
    char **path;
} operands;

/* Folders give their pictures and ready inputs, by name, folders within them too. Ends the program where there is
 * nothing. */
operands operands_of(int n, const char *const *words);
void operands_free(operands *o);

/* One picture on its way. */
typedef struct {
    const char *path;
    int index, of;  /* of a ready input's pictures */
    mv_image shown; /* what the network sees, for pages; only if asked for */
} picture;

/* Called after a pass for each of its pictures: its place in the pass, and its logits. */
typedef void picture_done(void *context, const picture *p, int at, const float *logits);

/* Runs all pictures, `batch` a pass, with these probes. `shown`: pictures are kept for pages. `before` (may be NULL) is
 * called before each pass, to clear what probes hold. A picture that fails is complained of and the others go on;
 * returns the exit status. */
int pictures_run(session *s, const operands *o, int batch, mv_probe *probes, bool shown, void (*before)(void *),
                 picture_done *done, void *context);

/* No more pictures a pass than there are, so that scratch is not made for none. */
int pictures_a_pass(const operands *o, int batch);

/* Sizes of the input that an operand makes: the pipeline's, or a ready input's own. Ends the program where it cannot be
 * read. */
void picture_size(const session *s, const char *path, int *pictures, int *h, int *w);

/* "parachute" of "photos/parachute.jpg" */
const char *picture_stem(const char *path, char *text, size_t size);

#endif
