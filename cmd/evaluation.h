/* The results of eval, computed from the records of its pictures: accuracy, confusion, calibration and, where maps were
 * measured, their figures with intervals; as text, JSON and CSV.
 */
#ifndef EVALUATION_H
#define EVALUATION_H

#include "cmd/records.h"
#include "src/explain/trust.h"

typedef struct {
    int pictures;                /* of this class */
    int top1, top5;              /* of them right */
    int answered;                /* pictures of any class that got this answer */
    int confused, confused_with; /* the wrong answer that they got most, and how often; -1: none */
} class_result;

typedef struct {
    int true_, answer, n; /* off the diagonal */
} confusion;

typedef struct {
    const char *name;
    bool random; /* a baseline */
    mv_estimate figure[FIGURES];
    mv_estimate gain[2]; /* by pictures: how much smaller its deletion, and larger its insertion, is than that of
                            random cells */
    int stages;          /* with --randomise */
    double *stage;       /* mean rank correlation of each stage */
} map_result;

typedef struct {
    const records *of;
    int classes;
    const char **class_name, **wnid; /* wnid: NULL where unknown */
    char **brief;                    /* the first of several names of a class, for tables and pages */
    mv_estimate top1, top5;
    mv_calibration calibration;
    class_result *class_;
    int confusions;
    confusion *confusion; /* most frequent first */
    int maps;
    map_result *map;
    int grain[2]; /* cells, down and across, at which maps were measured; 0: not those of all pictures */
} evaluation;

/* The names of baselines among the rows of records. */
#define EVAL_RANDOM_CELLS "random cells"
#define EVAL_CENTRE       "centre"

/* The records must be sorted; borrowed. */
mv_status evaluation_of(evaluation *v, const records *r, mv_error *e);
void evaluation_free(evaluation *v);

/* A figure of one picture's map; NaN where it was not measured. */
double evaluation_value(const record *one, int row, figure f);

mv_status evaluation_print(const evaluation *v, FILE *out, mv_error *e);
mv_status evaluation_json(const evaluation *v, FILE *out, mv_error *e);

/* A line for each picture, written whole or not at all. */
mv_status evaluation_csv(const evaluation *v, const char *path, mv_error *e);

#endif
