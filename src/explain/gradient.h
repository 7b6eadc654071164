/* What methods with a backward pass share: a site whose values and gradients are read as cells, and the words of their
 * maps. A gradient map states what was differentiated, its sum, and what the sum should be if that is known.
 */
#ifndef MV_EXPLAIN_GRADIENT_H
#define MV_EXPLAIN_GRADIENT_H

#include "src/explain/cells.h"
#include "src/explain/method.h"

/* The parameters of such a method, and the rows of its table; `site` is the default. */
typedef struct {
    const char *site;
    int rules; /* an mv_rules */
} mv_gradient_params;

extern const char *const mv_rules_words[]; /* "gradient", "held": in the order of mv_rules, ended by NULL */

#define MV_SHARED_RULES(at)                                                                                            \
    {                                                                                                                  \
        .name = "rules", .kind = MV_PARAM_WORD, .offset = at, .words = mv_rules_words, .otherwise = "gradient",        \
        .argument = "RULES", .help = "what counts as a constant: nothing, or every operator at its value"              \
    }

#define MV_GRADIENT_SITE(standard)                                                                                     \
    {                                                                                                                  \
        .name = "site", .kind = MV_PARAM_TEXT, .offset = offsetof(mv_gradient_params, site), .otherwise = standard,    \
        .argument = "SITE", .completes = MV_COMPLETE_SITE, .help = "the values and gradients to use"                   \
    }

/* open, probe, close and rules of a method with mv_gradient_params; `own` is an mv_cells. */
mv_status mv_gradient_open(void **own, const void *params, const mv_config *config, int h, int w, mv_error *e);
mv_status mv_gradient_open_input(void **own, const void *params, const mv_config *config, int h, int w,
                                 mv_error *e); /* the site is the picture, whatever params say */
mv_probe *mv_gradient_probe(void *own);
void mv_gradient_close(void *own);
mv_rules mv_gradient_rules(const void *params);

/* Values and gradients of the picture's cells, (cells, channels) each: of the pass of the subject's class. */
typedef struct {
    float *value, *grad;
    size_t cells, channels;
} mv_flow;
mv_status mv_flow_read(mv_flow *out, const mv_subject *s, mv_error *e); /* the caller's to free; empty on failure */
void mv_flow_free(mv_flow *f);
/* The sum over channels of value times gradient in a cell; `positive`: negative gradients count as 0. */
double mv_flow_product(const mv_flow *f, size_t cell, bool positive);

/* The unit of a map whose cells add up to a part of the target: "logit from a 16 px cell", "logit per pixel". Maps of
 * one unit share a scale, and what cells of different sizes add is not comparable. */
void mv_gradient_unit(mv_map *map, const mv_subject *s, int cell);

/* Makes an empty signed map of the site's grid, with the words of its method, class and target. The map is the caller's
 * to mv_map_free. */
mv_status mv_gradient_map(mv_map *out, const mv_subject *s, const char *method, mv_error *e);

/* Adds the figures sum, expected and target to a map. `expected` is what the sum should be; NaN where no equation says.
 * `sum` is NaN where a sum means nothing. What is NaN is left out. */
void mv_gradient_sums(mv_map *map, const mv_subject *s, double sum, double expected);

/* True at sites from which on the logit is an affine function of the value: the last block's output, levels.3, norm.
 * There, cells x (value x gradient) + bias is the exact CAM. */
bool mv_gradient_is_cam(const mv_subject *s);

/* Says in the proof of a map that it is the exact CAM. */
void mv_gradient_say_cam(mv_map *map, const mv_subject *s);

#endif
