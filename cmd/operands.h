/* The pictures that a command line names: files, folders (walked), "-" for standard input.
 */
#ifndef OPERANDS_H
#define OPERANDS_H

#include "src/base/param.h"

/* Paths in the order they are answered. The texts lie in blocks, so that 50,000 of them take a few megabytes. */
typedef struct operands {
    int n, room;
    const char **path;
    unsigned short *below; /* where the part below the operand begins: "cat/1.jpg" of "photos/cat/1.jpg" */
    int *pictures;         /* how many each holds; NULL: one each */
    struct text_block *block;
} operands;

/* Ends the program, with a hint, where a word of the command line is a picture "-dash.jpg", which reads as options. */
void operands_refuse_dashes(int argc, const char *const *argv);

/* Folders give the pictures and ready inputs in them and below (cmd/walk.h). Returns false after a complaint about what
 * could not be read; the rest is listed all the same. Ends the program where a folder holds nothing. */
bool operands_of(operands *o, int n, const char *const *words);

/* Appends a path, whose part from `below` on names its results. */
void operands_add(operands *o, const char *path, size_t below);

void operands_free(operands *o);

/* Keeps part i of n equal, consecutive parts, so that the results of all parts in order are those of one run. */
void operands_shard(operands *o, mv_param_part part);

/* Drops those for which `drop` is true, and their entries in `with`; returns how many. */
int operands_drop(operands *o, bool *with, bool (*drop)(void *context, const operands *o, int i), void *context);

/* How many pictures the i-th path holds: one, or those of a ready input. */
int operand_pictures(const operands *o, int i);

/* True for .npy and .safetensors: values that are ready for the network. */
bool operand_is_ready(const char *path);

/* The i-th path below its operand, without its ending: "cat/1"; "stdin" for standard input. */
const char *operand_stem(const operands *o, int i, char *text, size_t size);

#endif
