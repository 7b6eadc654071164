/* The names of a network's classes. Those of a checkpoint are escaped when they are read (mv_text_escape), so that they
 * are safe to print, to draw and to store. */
#ifndef MV_LABELS_H
#define MV_LABELS_H

#include <stdbool.h>
#include <stddef.h>

#include "src/base/status.h"

typedef struct {
    int n;       /* 0: no names are known */
    char **name; /* "church" */
    char **wnid; /* WordNet's "n03028079"; NULL entries where unknown */
} mv_labels;

/* n entries, all NULL, to be filled by strdup; the caller's to mv_labels_free. False without memory. */
bool mv_labels_new(mv_labels *out, int n);

/* The names of n classes cut before the first comma ("tench" of "tench, Tinca tinca"), for tables and pages; a name
 * stays whole where that would be empty or the same for two classes. NULL where name[i] is. The array is the caller's
 * to mv_labels_short_free; NULL without memory. */
char **mv_labels_short(const char *const *name, int n);
void mv_labels_short_free(char **names, int n); /* NULL is fine */

/* True if `word` is one of the names of a class, "Tinca tinca" of "tench, Tinca tinca", in either case. */
bool mv_labels_names(const char *names, const char *word);

/* True if the classes of both are in the same order: nearly all names of `known` are among those of `labels`, between
 * commas and in either case. */
bool mv_labels_agree(const mv_labels *labels, const mv_labels *known);

/* Reads lines of "WNID<TAB>NAME<LF>", class 0 first. The labels are the caller's to mv_labels_free, and empty on
 * failure. */
mv_status mv_labels_parse(mv_labels *out, const char *text, size_t size, const char *place, mv_error *e);

void mv_labels_free(mv_labels *labels); /* the labels are empty afterwards */

#endif
