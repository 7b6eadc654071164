/* Captures the values of chosen sites as fp32 in their public shapes. The batches of a run are stacked along the first
 * dimension: in memory, or passed to a sink batch by batch, so that memory does not grow.
 */
#ifndef MV_TRACE_H
#define MV_TRACE_H

#include "src/run/probe.h"

typedef struct mv_trace mv_trace;

/* Receives the fp32 value of one site for one batch; it is invalid after the call. A failure stops the run. */
typedef mv_status mv_trace_sink(void *context, const char *site, mv_tensor value, mv_error *e);

/* Patterns as in pattern.h, copied. sink NULL: values are kept, for mv_trace_lookup. NULL on failure. */
mv_trace *mv_trace_new(const char *patterns, mv_trace_sink *sink, void *context, mv_error *e);
void mv_trace_free(mv_trace *t); /* accepts NULL; call it after the run that uses the probe is freed */

mv_probe *mv_trace_probe(mv_trace *t); /* borrowed; set its `next` to continue the chain */

void mv_trace_clear(mv_trace *t); /* drops the values and keeps the patterns, for the next forward */

/* Captured values in the order of the run; the tensors are valid until the next clear, forward or free. */
int mv_trace_count(const mv_trace *t);
const char *mv_trace_name_at(const mv_trace *t, int i);
int mv_trace_pass_at(const mv_trace *t, int i); /* the backward pass, for gradients */
mv_tensor mv_trace_at(const mv_trace *t, int i);
bool mv_trace_lookup(const mv_trace *t, const char *site, mv_tensor *out);
bool mv_trace_lookup_pass(const mv_trace *t, const char *site, int pass, mv_tensor *out); /* grad.SITE of a pass */

/* A probe that wants sites and leaves their values on the device: for the time that computing them takes. It lives in
 * the struct, and the patterns are borrowed. */
typedef struct {
    mv_probe probe;
    const char *patterns;
} mv_idle;
mv_probe *mv_idle_probe(mv_idle *idle, const char *patterns);

#endif
