/* The files that a call reads and writes, as the kernel knows them: by device and inode, through symbolic and hard
 * links and bind mounts. No output may be an input, and no two outputs one file, also where the file system ignores
 * upper and lower case (of A to Z); nor may a file have the name of a folder that another output needs. All are named
 * before anything runs:
 *
 *     claims *k = claims_new();
 *     claims_read(k, "the picture ", "a.png");
 *     claims_write(k, "-o", "b.png");
 *     claims_check(k);
 *     claims_free(k);
 *
 * An output whose name is known only when it is written is held against them then, by claims_late.
 */
#ifndef CLAIMS_H
#define CLAIMS_H

#include "cmd/operands.h"

typedef struct claims claims;

claims *claims_new(void);

/* A file, all files in and below a folder, or "-": the file that standard input is. What is not there, a pipe and NULL
 * are passed over. `what` says what it is: "the model"; with a blank at its end the path follows. The texts are
 * borrowed until claims_free. Ends the program with status 1 where a folder cannot be read to its end, or goes more
 * than 64 folders deep. */
void claims_read(claims *k, const char *what, const char *path);

void claims_read_operands(claims *k, const operands *o);

/* The files of a model, ended by NULL (session.files). */
void claims_read_model(claims *k, char *const *files);

/* A file that is replaced or made, and the folders that are made for it; NULL is passed over. The path is copied, the
 * option borrowed. */
void claims_write(claims *k, const char *option, const char *path);

/* The folders alone, for files whose names are not known yet. */
void claims_make_folders(claims *k, const char *option, const char *path);

/* A store of values; if that is a folder, all files in it. Fails as claims_read does. */
void claims_write_store(claims *k, const char *option, const char *path);

/* Ends the program with status 2 where an output is an input or another output; standard output, where it is a file, is
 * an output, too. Nothing is named afterwards. */
void claims_check(claims *k);

/* An output that is written now: MV_EINPUT if it is an input or another output, those of earlier calls included. May be
 * called by several threads after claims_check; never ends the program. */
mv_status claims_late(claims *k, const char *option, const char *path, mv_error *e);

void claims_free(claims *k); /* NULL is fine */

/* claims_check and claims_free. */
void claims_end(claims *k);

#endif
