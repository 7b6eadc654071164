/* A checkpoint of the small network with weights of a generator, collected from the walk itself, so that it holds what
 * the model asks for; tests rename, drop and damage its tensors. */
#ifndef COLLECTOR_H
#define COLLECTOR_H

#include "src/model/weights.h"
#include "tests/weights.h"

enum { COLLECTOR_ROOM = 512 };

typedef struct {
    mv_source source;
    weights w;
    const char *prefix;
    mv_dtype type;
    int n;
    char *name[COLLECTOR_ROOM];
    mv_tensor t[COLLECTOR_ROOM];
} collector;

/* The config of that network, with classes "a" to "j". */
extern const char collector_config[];

collector collect_of(const char *prefix, mv_dtype type);
void collector_free(collector *c);

/* The tensor whose name holds `leaf`. */
int collector_find(const collector *c, const char *leaf);

/* Writes a .safetensors file, with `config` as its metadata unless NULL. */
void collector_save(const collector *c, const char *path, const char *config);

/* The logits of a checkpoint, or its refusal in *e. */
void logits_of(const char *path, float logits[10], mv_error *e);
void expect_refusal(const char *path, const char *says);

#endif
