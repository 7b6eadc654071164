/* The configs beside checkpoints. A value that says nothing (null, NaN, Infinity) is read as no value. */
#ifndef MV_JSON_IMPL_H
#define MV_JSON_IMPL_H

#include <stdbool.h>
#include <stddef.h>

#include "src/base/status.h"
#include "src/base/warnings.h"
#include "src/file/json.h"
#include "src/model/config.h"

/* A JSON object under reading, and where its complaints go. */
typedef struct {
    const json_t *root;
    const char *place; /* begins messages: "config.json: pretrained_cfg" */
    mv_warnings *warnings;
    mv_error *e;
} mv_json;

/* The value under a key; NULL where there is none or it is null. */
const json_t *mv_json_get(const mv_json *r, const char *key);

/* MV_EINPUT, "PLACE: "KEY" is not EXPECTED". */
mv_status mv_json_bad(const mv_json *r, const char *key, const char *expected);

/* True for a whole number, which may be written as 16.0. */
bool mv_json_whole(const json_t *v, json_int_t *out);

/* True for a list of n numbers, or one number for all of them. */
bool mv_json_numbers(const json_t *v, int n, double *out);

/* What one description of the pre-processing says: the MV_HAS_ bits of *has name the members that it sets. */
typedef struct {
    unsigned has;
    mv_preprocess p;
} mv_stated;

/* Reads timm's keys: input_size (or resolution), crop_pct, crop_mode, interpolation, mean and std. A value that is
 * wrong is MV_EINPUT if `strict`, and else a warning. */
mv_status mv_stated_read(mv_stated *out, const mv_json *r, bool strict);

/* Overwrites what is stated, and nothing else. */
void mv_stated_apply(mv_preprocess *p, const mv_stated *stated);

/* Overwrites with what `later` says; where both say something else, a warning names the keys and both places. */
void mv_stated_join(mv_stated *into, const mv_stated *later, const char *place, const char *later_place,
                    mv_warnings *warnings);

/* Brings a mean and deviation of bytes to those of shares of 1, with a warning; MV_EINPUT where they are of neither. */
mv_status mv_stated_scale(mv_stated *s, const mv_json *r);

/* Replaces *out by the labels that a config holds for `classes` classes. They never fail for what a config says. */
mv_status mv_labels_read(mv_labels *out, int classes, const mv_json *r);

#endif
