/* From operands to inputs: files, folders (walked), "-" for standard input, ready .npy and .safetensors inputs; read
 * ahead by threads, as decoding pictures takes longer than what a GPU does with them.
 */
#ifndef INPUTS_H
#define INPUTS_H

#include "cmd/session.h"
#include "src/base/image.h"

typedef struct {
    int n;
    char **path;
} operands;

/* Folders give their pictures and ready inputs, by name, folders within them too. Ends the program where there is
 * nothing. */
operands operands_of(int n, const char *const *words);
void operands_free(operands *o);

/* No more pictures a pass than there are, so that scratch is not made for none. */
int pictures_a_pass(const operands *o, int batch);

/* What an operand holds: a picture, cut and scaled (`shown`; planes NULL), or ready values (planes; shown empty). */
typedef struct {
    float *planes; /* (pictures, 3, h, w) */
    int pictures, h, w;
    mv_image shown;
} input;

void input_free(input *in);

/* Begins to read `o`, by one thread; both must outlive what is returned. Ready inputs and standard input are left for
 * their turn. Ends the program where there is no memory. */
typedef struct inputs inputs;
inputs *inputs_new(const session *s, const operands *o);

const operands *inputs_operands(const inputs *all);

/* The caller will wait for what is read: a thread for each core (or as many as -j said, at most 8) from here on. */
void inputs_hurry(inputs *all);

/* What the next operand holds, in the order of operands, once for each of them. It is the caller's to free. */
mv_status inputs_next(inputs *all, input *in, mv_error *e);

/* Joins the threads; drops what was not asked for. */
void inputs_free(inputs *all);

/* Sizes of the input that an operand makes: the pipeline's, or a ready input's own. Ends the program where it cannot be
 * read. */
void picture_size(const session *s, const char *path, int *pictures, int *h, int *w);

/* "parachute" of "photos/parachute.jpg" */
const char *picture_stem(const char *path, char *text, size_t size);

#endif
