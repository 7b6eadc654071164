/* All explanation methods, and the driver that runs the chosen ones.
 *
 *     mv_ask asks[] = {{.method = mv_method_lookup("cam"), .class_ = MV_CLASS_TOP}};
 *     mv_explainer *x = mv_explainer_new(asks, 1, &config, h, w, &e);
 *     mv_run *r = mv_run_new_back(model, h, w, batch, mv_explainer_probe(x), mv_explainer_back(x), &e);
 *     mv_explainer_clear(x);
 *     mv_run_forward(r, planes, pictures, logits, &e);
 *     for (int p = 0; p < pictures; p++)
 *         mv_explainer_explain(x, 0, model, p, NULL, logits + p * classes, name_of, labels, &maps, &e);
 *
 * An explainer holds the values of one batch: explain its pictures before the next one is fed.
 */
#ifndef MV_METHODS_H
#define MV_METHODS_H

#include "src/explain/logits.h"
#include "src/explain/method.h"

const mv_method *mv_method_at(int i);                /* in the order of the list; NULL past the last */
const mv_method *mv_method_lookup(const char *name); /* NULL when there is none */

/* One question: a method with its parameters, for a class. */
typedef struct {
    const mv_method *method;
    const void *params;  /* a struct of method->size bytes, borrowed; NULL: the defaults of its table */
    int class_, against; /* a class number, MV_CLASS_RANK(k), or MV_MAP_NONE */
    bool probability;    /* a backward pass is one of the probability, not of the logit */
    int others, other[MV_TARGET_AGAINST - 1]; /* further classes against it, of a method with a backward pass */
} mv_ask;

/* Parses "rise" or "rise:n=4000,seed=7" into out->method and out->params; the classes become MV_MAP_NONE. *memory holds
 * the parameters and is the caller's to free after their last use. MV_EINPUT, with what there is, for an unknown method
 * or parameter. */
mv_status mv_ask_parse(mv_ask *out, void **memory, const char *text, mv_error *e);

typedef struct mv_explainer mv_explainer;

/* The name of class c, for the words of a map; the string must outlive the call of mv_explainer_explain. */
typedef const char *mv_class_name(void *context, int c, char text[24]);

/* Joins what the n asks need. The array and the parameters must outlive the explainer. The class of an ask may change
 * before a forward, if asks of one class stay of one class: they share a backward pass. NULL on failure: MV_EINPUT for
 * parameters that do not fit the network. */
mv_explainer *mv_explainer_new(const mv_ask *asks, int n, const mv_config *config, int h, int w, mv_error *e);

/* Ends it; NULL is fine. After the run that has its probe, before the device. */
void mv_explainer_free(mv_explainer *x);

mv_probe *mv_explainer_probe(mv_explainer *x); /* the head of its chain; NULL: it needs none. Borrowed */

/* The backward passes that the asks need, for mv_run_new_back and mv_passes_new_back: one for each class, target and
 * rules. NULL: none. Borrowed. */
const mv_back *mv_explainer_back(const mv_explainer *x);

/* What the method's `open` made for ask number `ask`; a method that is meant to be looked into says in its header what
 * it is. Borrowed; NULL: nothing. */
void *mv_explainer_own(const mv_explainer *x, int ask);

/* The number of maps that all asks together make of one picture. */
int mv_explainer_maps(const mv_explainer *x);

/* Forgets the values of the last batch. */
void mv_explainer_clear(mv_explainer *x);

/* Some ask makes further passes: each picture needs its planes, and mv_explainer_use must have been called. */
bool mv_explainer_takes_passes(const mv_explainer *x);

/* Where further passes run: borrowed until it is replaced or the explainer ends. */
void mv_explainer_use(mv_explainer *x, mv_passes *passes);

/* Appends the maps of ask number `ask` for one picture of the last batch to `out`. planes (3, h, w) is what the picture
 * showed the network; NULL is fine if no ask takes passes. */
mv_status mv_explainer_explain(mv_explainer *x, int ask, const mv_model *model, int picture, const float *planes,
                               const float *logits, mv_class_name *name, void *names, mv_maps *out, mv_error *e);

#endif
