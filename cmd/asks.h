/* Methods and classes as options: what --method, --class, --against and --at ask of a picture.
 *
 *     asks_methods(&a, &o->method, "held", &shared);           // in check: words only
 *     asks_classes(&a, c, &o->class_, &o->against, &e);        // in open: fills call.ask
 *     asks_free(&a);                                           // in close
 *
 * A value of --method is a method with parameters ("rise:n=400,seed=7"), or several joined by commas or spaces. After
 * parameters, a comma ends the method only before the name of another one that is no parameter of it.
 */
#ifndef ASKS_H
#define ASKS_H

#include "cmd/command.h"

enum { ASKS_NAME = 96 };

typedef struct {
    int methods;
    mv_ask method[CALL_ASKS];
    void *memory[CALL_ASKS];
    bool uses_at, uses_rules; /* --at or --rules gave a method its parameter */
    int n;
    char name[CALL_ASKS][ASKS_NAME]; /* of the maps of ask i in raw output: "rise", "cam.class.7", "rise.2" */
} asks;

/* What all methods that take it are given, where their own parameters do not say otherwise. */
typedef struct {
    const char *at;    /* the site; NULL: theirs */
    const char *rules; /* "held"; NULL: theirs */
    int target;        /* what is differentiated: 0 the logit, 1 the probability; -1: not said, the logit */
} asks_shared;

/* Parses methods; `otherwise` where none is given. Ends the program with status 2 for a method or parameter that does
 * not parse, and for what is shared if no method takes it or all have it in their parameters. */
void asks_methods(asks *a, const mv_param_texts *methods, const char *otherwise, const asks_shared *shared);

/* The length of the first method in text, with its parameters; what follows is a separator or the end. */
size_t asks_method_length(const char *text);

/* For an ask that the user did not name. If its method needs a backward pass and the device has none, the ask becomes
 * one for the exact CAM, with a warning. */
void asks_choose_default(mv_ask *ask, const call *c);

/* Warns of classes that no method takes; ends the program with status 2 for a second class that none takes, and for too
 * many classes. */
void asks_check_classes(const asks *a, const mv_param_texts *classes, const mv_param_texts *against);

/* Finds the classes, top if none is given. MV_EINPUT for one that does not exist, with the nearest name, and for one
 * that is given twice. */
mv_status asks_find_classes(const call *c, const mv_param_texts *texts, int found[CALL_ASKS], mv_error *e);

/* Finds the classes, and fills c->ask: for each method its classes. MV_EINPUT for several classes against one of a
 * method that takes one. */
mv_status asks_classes(asks *a, call *c, const mv_param_texts *classes, const mv_param_texts *against, mv_error *e);

/* How many maps all asks make of a picture of the size at hand; -1 on failure. */
int asks_count_maps(const call *c, mv_error *e);

/* The name of map k of ask i: that of the ask if it has one map, else with what tells its maps apart. */
const char *asks_map_name(const asks *a, const mv_maps *maps, int i, int k, char text[ASKS_NAME + MV_MAP_NAME]);

void asks_free(asks *a);

#endif
