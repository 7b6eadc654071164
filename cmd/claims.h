/* The files that a call reads and writes, as the kernel knows them: by device and inode, through symbolic and hard
 * links. No output may be an input, and no two outputs one file. All are named before anything runs:
 *
 *     claims *k = claims_new();
 *     claims_read(k, "the picture ", "a.png");
 *     claims_write(k, "-o", "b.png");
 *     claims_end(k);
 */
#ifndef CLAIMS_H
#define CLAIMS_H

#include "cmd/operands.h"

typedef struct claims claims;

claims *claims_new(void);

/* A file, all files in and below a folder, 64 folders deep, or "-": the file that standard input is. What is not there,
 * a pipe and NULL are passed over. `what` says what it is: "the model"; with a blank at its end the path follows. The
 * texts are borrowed until claims_end. */
void claims_read(claims *k, const char *what, const char *path);

void claims_read_operands(claims *k, const operands *o);

/* A file that is replaced or made; NULL is passed over. The path is copied, the option borrowed. */
void claims_write(claims *k, const char *option, const char *path);

/* A store of values; if that is a folder, all files in it. */
void claims_write_store(claims *k, const char *option, const char *path);

/* Frees. Ends the program with status 2 where an output is an input or another output; standard output, where it is a
 * file, is one of both. */
void claims_end(claims *k);

#endif
