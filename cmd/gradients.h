/* Options of commands that write gradients themselves: which number is differentiated (--class, --against, --target),
 * and by which rules (--rules). What explain shares of them is here too: its methods have passes of their own (asks.h).
 *
 *     gradients_given(&o->gradients)                   in check: the first option that was given
 *     gradients_open(&o->gradients, c, &e)             in open: finds the classes, and sets c->back
 */
#ifndef GRADIENTS_H
#define GRADIENTS_H

#include "cmd/command.h"
#include "src/explain/gradient.h"
#include "src/explain/target.h"
#include "src/run/back.h"

typedef struct {
    const char *class_; /* NULL: the answer */
    mv_param_texts against;
    int kind, rules; /* -1: not given */
    /* ---- state */
    mv_target target;
    mv_rules pass_rules;
    mv_back back;
    call *call;
    bool warned;
    char text[1024]; /* "logit of church less golf ball; rules: gradient", for results */
} gradients;

extern const char *const gradients_kinds[];

/* Rows of an option table; at: the offset of the gradients in the command's struct. */
#define OPTIONS_GRADIENT(at)                                                                                           \
    OPTION_CLASS("class", (at) + offsetof(gradients, class_),                                                          \
                 "what is differentiated: the logit of a number, wnid or name, of second, or of top, the default"),    \
        {.name = "against",                                                                                            \
         .kind = MV_PARAM_TEXTS,                                                                                       \
         .offset = (at) + offsetof(gradients, against),                                                                \
         .argument = "CLASS",                                                                                          \
         .completes = MV_COMPLETE_CLASS,                                                                               \
         .help = "a class whose logit is subtracted; several are weighted by their softmax; repeatable"},              \
        {.name = "target",                                                                                             \
         .kind = MV_PARAM_WORD,                                                                                        \
         .offset = (at) + offsetof(gradients, kind),                                                                   \
         .words = gradients_kinds,                                                                                     \
         .argument = "KIND",                                                                                           \
         .help = "the number that is differentiated; logit by default"},                                               \
    {                                                                                                                  \
        .name = "rules", .kind = MV_PARAM_WORD, .offset = (at) + offsetof(gradients, rules), .words = mv_rules_words,  \
        .argument = "RULES",                                                                                           \
        .help = "what counts as a constant: nothing, or every operator at its value; gradient by default"              \
    }

/* The first of these options that was given, "--class"; NULL: none. */
const char *gradients_given(const gradients *g);

/* In check: ends the program with status 2 for options that do not go together. */
void gradients_check(const gradients *g);

/* Says that --target probability and --against do not go together, and ends the program with status 2. */
_Noreturn void gradients_refuse_probability(void);

/* Warns once of a probability that is nearly 1. */
void gradients_warn(bool *warned, double probability);

/* Adds one class of --against, or several that are joined by commas: names may have commas of their own. MV_EINPUT for
 * the class itself, and for one that is given twice. */
mv_status gradients_add_against(mv_target *t, const call *c, const char *text, mv_error *e);

/* Finds the classes, and sets c->back to one pass for each batch; a probability that is nearly 1 is warned of once. A
 * picture whose logits are not finite, or for which the class is one of those against it, fails the batch. */
mv_status gradients_open(gradients *g, call *c, mv_error *e);

#endif
