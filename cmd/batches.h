/* From inputs to answers: gathers pictures into batches, runs the network, explains what was asked, and hands each
 * picture to the writers. For stream.c alone.
 */
#ifndef BATCHES_H
#define BATCHES_H

#include "cmd/command.h"
#include "cmd/destination.h"
#include "cmd/inputs.h"
#include "cmd/writers.h"

typedef struct batches batches;

/* For batches of `size` pictures, when the model is loaded. Everything is borrowed until batches_end. Ends the program
 * without memory: call it before any output is open. */
batches *batches_new(call *c, const operands *o, const destinations *to, int size);

/* Adds picture `index` of an input and takes its image. Runs the batch when it is full. Reports and counts a picture
 * that fails. Returns true while a batch is running on a GPU: the next pictures are waited for. */
bool batches_add(batches *b, int operand, input *in, int index, bool quiet);

/* Reports an operand that could not be read, in picture order, and counts it. */
void batches_fail(batches *b, const mv_error *e);

/* Runs what is left (unless `drop`), waits for the batch that runs and for the writers, and frees. Returns how many
 * pictures failed. */
int batches_end(batches *b, bool drop);

/* The name of a picture in results, safe to print. The caller's to free; NULL without memory. */
char *picture_name(const operands *o, int i, int index, int of);

#endif
