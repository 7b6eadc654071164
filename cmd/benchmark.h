/* What `bench` measures: the time of a pass beside its floor, what capturing values adds, and where the time goes.
 */
#ifndef BENCHMARK_H
#define BENCHMARK_H

#include "src/device/profile.h"
#include "src/device/yardstick.h"
#include "src/model/weights.h"

enum { BENCH_CAPTURES = 8 };

typedef struct {
    const char *sites;                        /* the pattern */
    double computed, delivered;               /* seconds of a pass; negative: the memory does not suffice */
    double beside_computed, beside_delivered; /* seconds of an unwatched pass between them */
} bench_capture;

/* One network on one device in one precision, for one batch size. */
typedef struct {
    const char *model, *precision; /* the model's name is the caller's */
    char device[24], about[160];
    int h, w, batch;
    bool fits;                  /* else nothing below was measured */
    int passes;                 /* that were timed */
    double seconds, low, high;  /* of a pass: the median and the quartiles */
    double macs, weights;       /* of a pass; bytes */
    double mac_rate, byte_rate; /* a second, of the yardstick */
    int side;                   /* of its matrices */
    double floor;               /* seconds: the longer of macs / mac_rate and weights / byte_rate */
    size_t scratch;             /* bytes of a run */
    int captures;
    bench_capture capture[BENCH_CAPTURES];
    mv_profile *profile; /* NULL: not wanted */
} bench_row;

typedef struct {
    double seconds; /* for the passes of a row */
    int captures;
    const char *capture[BENCH_CAPTURES];
    bool profile;
} bench_wish;

/* A row that says what would be measured: nothing fits yet. The name is borrowed. */
void bench_row_begin(bench_row *row, const char *model, const mv_config *config, const mv_backend *b, int batch);

/* Measures its batch. `yardstick` is of the model's device. */
mv_status bench_measure(bench_row *row, const mv_model *m, mv_yardstick *yardstick, const bench_wish *wish,
                        mv_error *e);
void bench_row_free(bench_row *row);

/* True if the row, or an operation of its profile, reached more than 100 % of its floor, as it is printed. */
bool bench_is_beyond(const bench_row *row);
bool bench_is_fp8(const bench_row *row);

/* Seconds that an operation takes at least, by the row's rates. */
double bench_floor_of(const bench_row *row, const mv_profile_row *op);

/* The part of the network that a profile's row belongs to, "level 2": its number, from 0 to MV_PARTS - 1. */
int bench_part_of(const mv_profile_row *op);
const char *bench_part_name(int part);

#endif
