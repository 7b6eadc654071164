/* Reads the inputs that operands name: pictures, which are decoded and cut to size, and ready .npy and .safetensors
 * inputs. Threads read ahead, because decoding is slower than a GPU.
 */
#ifndef INPUTS_H
#define INPUTS_H

#include "cmd/operands.h"
#include "cmd/session.h"
#include "src/base/image.h"
#include "src/base/warnings.h"
#include "src/picture/decode.h"

/* What an operand holds: a picture, cut and scaled (`image`; planes NULL), or ready values (planes; image empty). */
typedef struct {
    float *planes; /* (pictures, 3, h, w) */
    int pictures, h, w;
    mv_image image;
    int photo_w, photo_h; /* px of the picture itself, upright; 0: a ready input */
    mv_image photo;       /* the picture itself, where it was kept; else empty */
    mv_warnings warnings; /* of what read it; inputs_next and input_read print them */
} input;

void input_free(input *in);

/* What picture `index` of a ready input shows: the normalisation undone. The image is the caller's to mv_image_free. */
mv_status input_show(const session *s, const input *in, int index, mv_image *out, mv_error *e);

/* Threads that decode at a time, at most. Twice as many pictures, each cut to size, wait to be taken. */
enum { INPUT_READERS = 16 };

/* How pictures are decoded. */
typedef struct {
    mv_picture_options picture; /* its max_memory is that of all threads together, its share theirs */
    int threads;                /* at most INPUT_READERS are used */
    bool keep;                  /* keep the picture itself if it cannot be read again: standard input, a pipe */
} input_options;

/* What one file holds, read at once: a picture or a ready input. The caller frees it. */
mv_status input_read(const session *s, const char *path, input_options how, input *in, mv_error *e);

typedef struct inputs inputs;

/* Starts to read `o` with one thread. Everything is borrowed until inputs_free. Ready inputs and standard input are
 * left for their turn. NULL without memory. */
inputs *inputs_new(const session *s, const operands *o, input_options how, mv_error *e);

/* The caller will wait for what is read: from here on there is a thread for each core, at most INPUT_READERS. */
void inputs_hurry(inputs *all);

/* What the next operand holds, in the order of the operands, once for each of them. The caller frees it. */
mv_status inputs_next(inputs *all, input *in, mv_error *e);

/* Joins the threads and drops what was not asked for; NULL is fine. */
void inputs_free(inputs *all);

/* The number and the size of the inputs of an operand: those of the pipeline, or a ready input's own. */
mv_status input_size(const session *s, const char *path, int *pictures, int *h, int *w, mv_error *e);

#endif
