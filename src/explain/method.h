/* What an explanation method is: a const struct in a file of its own (two that differ in a word share one), listed by
 * one word in methods.c.
 *
 * A method says what it takes and which sites it needs. The driver (methods.h) joins the needs of all methods that were
 * asked for into one forward pass, and calls `explain` once per picture and class. A method's file includes this header
 * and no other method.
 *
 * A method whose result is a formula over kept values names their sites in `keeps` and finds them by mv_subject_value:
 * see cam.c. One that reduces values while they pass (because they are too large to keep) brings a probe of its own
 * through open, probe and close: see attention_method.c. One of a site's values and gradients takes MV_TAKES_GRADIENT
 * and what gradient.h has: see gradcam.c.
 */
#ifndef MV_METHOD_H
#define MV_METHOD_H

#include "src/base/map.h"
#include "src/base/param.h"
#include "src/explain/passes.h"
#include "src/explain/target.h"
#include "src/model/weights.h"
#include "src/run/back.h"
#include "src/run/probe.h"
#include "src/run/trace.h"

/* What a method takes besides the picture. */
enum {
    MV_TAKES_CLASS = 1,     /* a class; its maps differ from class to class */
    MV_TAKES_AGAINST = 2,   /* a second class, whose map is subtracted */
    MV_TAKES_CELL = 4,      /* a query cell, as a parameter */
    MV_TAKES_PASSES = 8,    /* further forward passes of changed pictures */
    MV_MAY_TAKE_CLASS = 16, /* a class if one is asked for; without one, the map is of no class */
    MV_TAKES_GRADIENT = 32, /* a backward pass of the class: gradients of the sites of its probe (cells.h) */
    MV_TAKES_BIASES = 64    /* what biases hold, too: bias.MODULE (back.h), for which `keeps` asks */
};

/* What a method is given: one picture of the last batch, and one class. Everything is borrowed for the call. */
typedef struct {
    const mv_model *model;
    int h, w;            /* pixels of the network's input */
    int picture;         /* the picture's number in the batch */
    const float *planes; /* of the picture, normalised: (3, h, w); with MV_TAKES_PASSES, else maybe NULL */
    mv_passes *passes;   /* for inputs of h x w; with MV_TAKES_PASSES, else maybe NULL */
    const float *logits; /* of the picture: model->config.classes values */
    int class_, against; /* class numbers, or MV_MAP_NONE; with several against it, the first */
    const char *class_name, *against_name; /* never NULL; "" without a class */
    /* With MV_TAKES_GRADIENT: */
    int pass;          /* the backward pass of this class (back.h) */
    mv_target target;  /* what is differentiated */
    const float *seed; /* d(target)/d(logits) of the picture: classes values */
    double value;      /* of the target */
    mv_rules rules;
    const mv_target *targets; /* all for which this method is asked with these parameters: its asks share `own` */
    int n_targets, target_at; /* number of this one among them */
    const mv_trace *kept;     /* the values of the method's sites */
    void *own;                /* what `open` made, or NULL */
} mv_subject;

/* The value of `site` for the whole batch. MV_EMISUSE if the method did not ask for it. */
mv_status mv_subject_value(const mv_subject *s, const char *site, mv_tensor *out, mv_error *e);

/* Gives a map the classes that it answers, and a title: "For church", or "Church over golf ball". */
void mv_subject_title(const mv_subject *s, mv_map *map);

typedef struct {
    const char *name;     /* "cam": the word on the command line */
    const char *title;    /* "Exact class activation map" */
    const char *summary;  /* one line: what the map shows */
    const char *source;   /* "Zhou et al. 2016, arXiv 1512.04150" */
    const char *cost;     /* in words: "one forward pass" */
    const char *measured; /* whether its maps are true, by `mvscope eval --faith`, or why that is not said */
    unsigned takes;       /* MV_TAKES_ bits */
    const char *keeps;    /* patterns of the sites whose values are kept; NULL: none */
    mv_rules (*rules)(const void *params); /* of its backward pass; NULL: MV_RULES_GRADIENT */
    const mv_param *params;                /* its parameters; NULL: none */
    size_t size;                           /* bytes of the struct that params point into */
    /* The method's own state for inputs of h x w pixels, and a probe in it (NULL: none); all three NULL for a method
     * without. MV_EINPUT where the parameters do not fit the network (a level without attention, a cell outside the
     * grid). */
    mv_status (*open)(void **own, const void *params, const mv_config *config, int h, int w, mv_error *e);
    mv_probe *(*probe)(void *own); /* borrowed; the driver sets `next` */
    void (*close)(void *own);
    /* The number of maps that `explain` makes of one picture; NULL: one. */
    int (*count)(const void *own, const void *params);
    /* Appends the maps of one picture and class to `out`. On failure what was appended is the caller's to free. */
    mv_status (*explain)(const mv_subject *s, const void *params, mv_maps *out, mv_error *e);
} mv_method;

#endif
