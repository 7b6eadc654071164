/* What the pictures of a folder really show: the class of each, by its folder, a file of labels, or both.
 *
 *     DIR/CLASS/...           the first folder below DIR names the class: a number, a wnid or a name
 *     DIR/1.jpg 2.jpg ...     all pictures in one folder, with --truth FILE: "PICTURE CLASS" a line, or a class a
 *                             line, for the pictures in the order of their names
 *
 * --classes FILE gives other words for classes, "WORD CLASS" a line; the class - leaves out the pictures.
 */
#ifndef TRUTH_H
#define TRUTH_H

#include "cmd/operands.h"
#include "cmd/session.h"

typedef struct {
    int n;                   /* pictures, as files */
    const char *const *path; /* as they are opened, in the order of the whole list; borrowed from the operands */
    int *class_;             /* of each */
    int *by_path;            /* indices, sorted by path */
    const char **memory;     /* that path points into */
} truth;

/* Finds the class of every operand, all of which lie below `dir`; drops those that are left out, then keeps `limit` of
 * them, evenly spread, if it is above 0. classes, labels: files, or NULL. Ends the program for a file that cannot be
 * read, and with status 2 for a word that names no class of the model. */
void truth_of(truth *t, const session *s, operands *o, const char *dir, const char *classes, const char *labels,
              int limit);
void truth_free(truth *t);

/* The number of this path in the list; -1 for none. */
int truth_find(const truth *t, const char *path);

#endif
