/* The run of `compare`: reads the pictures, opens both sides, compares their maps or their values, and writes what was
 * asked for. The parts are map_pairs.h, value_pairs.h and another.h; comparison_page.c draws.
 */
#ifndef COMPARISON_H
#define COMPARISON_H

#include "cmd/another.h"
#include "cmd/command.h"
#include "cmd/destination.h"
#include "cmd/inputs.h"
#include "cmd/map_pairs.h"
#include "cmd/value_pairs.h"
#include "src/explain/cka.h"

/* The options of the command, and what its check made of them. */
typedef struct {
    const char *method, *class_, *with_class, *with_model, *with_weights, *with_device, *dump, *raw;
    int with_precision;
    mv_param_texts site;
    double tolerance;
    /* ---- of check */
    mv_ask ask;
    void *memory;       /* of the ask's parameters; the command's to free */
    bool values, other; /* values of sites are compared; the second side is not a second picture */
} comparison_options;

enum { COMPARED_TOP = 5 };

/* One of the two sides. */
typedef struct {
    session *session;
    char *label;      /* what tells it from the other side, safe to print */
    char *who;        /* the same without a class: whose answer it is */
    const char *path; /* of its picture */
    char *name;       /* the same, safe to print */
    mv_image image;   /* of side 1 empty where both see one picture */
    float *planes;    /* (3, h, w) */
    float *logits;
    int class_; /* MV_MAP_NONE: none */
    int top[COMPARED_TOP], top_count;
    double probability[COMPARED_TOP];
} compared;

typedef struct {
    call *c;
    const comparison_options *o;
    operands list;
    inputs *inputs;
    session second;                      /* the second side's, where it has its own */
    bool own_second, two, counts_blocks; /* two pictures; CKA */
    int pictures, h, w;
    compared side[2];
    mv_maps maps[2];
    map_pairs pairs;
    mv_features *cells[2];
    double *grid;
    mv_arrays *dump;
    value_pairs values;
    char *page, *raw; /* paths; NULL: not wanted */
} comparison;

/* Runs the command; returns the exit status, or ends the process by the signal that stopped it. */
int comparison_run(call *c);

/* Opens both sessions, lists the pictures and checks the outputs. Ends the program where something does not fit. */
void comparison_open(comparison *k);

/* Writes the page. */
mv_status comparison_draw(comparison *k, mv_error *e);

/* Prints the results as text or JSON. */
mv_status comparison_print(const comparison *k, mv_error *e);

/* "The maps agree: cosine 0.983": the finding. */
const char *comparison_title(const comparison *k, char text[300]);

/* 2 where each side has an answer of its own: one network answers one picture once, also for two classes. */
int comparison_answers(const comparison *k);

/* What is known of the samples of CKA: "196 cells of one picture; ...". Empty without CKA. */
const char *comparison_samples(const comparison *k, char text[300]);

#endif
