/* What eval knows of each picture, in memory and as a file of JSON lines (--records): a line that says what the run is
 * made of, a line for each picture as soon as it is measured, and a last line when the run has ended. A run that was
 * interrupted goes on from its file (--resume), and the files of several parts are joined (--merge); both give what one
 * run gives, because everything else is computed from these lines.
 */
#ifndef RECORDS_H
#define RECORDS_H

#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>

#include "src/base/status.h"

typedef enum {
    FIGURE_DELETION,
    FIGURE_INSERTION,
    FIGURE_ROAD,
    FIGURE_GRID,     /* share of the evidence in the right quarter of four */
    FIGURE_POINTING, /* 1: the maximum is inside the box or mask; 0: outside */
    FIGURE_ENERGY,   /* share of the positive evidence inside */
    FIGURES
} figure;

/* What one map scored. */
typedef struct {
    int row;           /* its name, in records.row */
    double v[FIGURES]; /* NaN: not measured */
    int stages;        /* with --randomise: rank correlations with the map of the original network; 0: not checked */
    double *stage;
} score;

typedef struct {
    int i, index;             /* number in the list, and in a ready input of several pictures */
    char *image;              /* safe to print */
    int class_, answer, rank; /* rank of the true class by its logit, from 0 */
    double p;                 /* of the answer */
    int grain[2];             /* cells, down and across, at which maps were measured; 0: no maps */
    int n;
    score *score;
} record;

typedef struct {
    int n, room;
    record *record;
    int rows;
    char **row;  /* names of maps: "cam", "attention levels.3.blocks.4.mean", "random" */
    int failed;  /* pictures without a record */
    bool unread; /* a part of the folder could not be read, and what it holds is not in the list */
    char *device;
    json_t *settings; /* what runs must share to be joined: model, list of pictures, methods, ... */
    /* ---- the file that is written */
    FILE *out;
    const char *path;
} records;

void records_free(records *r);

/* The row of that name, which is added if it is new; -1 without memory. */
int records_row(records *r, const char *name);

/* Adds a record, and writes its line where there is a file; takes what it owns, also on failure. */
mv_status records_add(records *r, record *one, mv_error *e);
void record_free(record *one);

/* Starts the file `path` for a run of these settings (part 0 of 0: all), or goes on with it (resume): then it reads the
 * pictures that are there and cuts off a line that was not finished. MV_EINPUT for a file that exists without resume,
 * that holds anything else, or that belongs to another run. */
mv_status records_open(records *r, const char *path, int part, int parts, bool resume, mv_error *e);

/* Writes the last line, if the run has ended and was not stopped, and closes the file. */
mv_status records_close(records *r, bool ended, mv_error *e);

/* Joins the files of n runs in any order: the pictures of all, in the order of the list. MV_EINPUT for a file that is
 * none or whose run has not ended, for other settings, and for a picture or part that is there twice or missing. */
mv_status records_merge(records *r, int n, const char *const *paths, mv_error *e);

/* In the order of the list. */
void records_sort(records *r);

#endif
