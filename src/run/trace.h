/* Captures the values of chosen sites as fp32 in their public shapes, stacked along the first dimension over the
 * passes of a run: in memory, or handed on piece by piece to keep memory bounded.
 */
#ifndef MV_TRACE_H
#define MV_TRACE_H

#include "src/run/probe.h"

typedef struct mv_trace mv_trace;

/* Receives one pass's value of one site, fp32; it is gone after the call. A failure stops the run. */
typedef mv_status mv_trace_sink(void *context, const char *site, mv_tensor value, mv_error *e);

/* Patterns as in pattern.h, copied. sink NULL: values are kept, for mv_trace_lookup. NULL on failure. */
mv_trace *mv_trace_new(const char *patterns, mv_trace_sink *sink, void *context, mv_error *e);
void mv_trace_free(mv_trace *t); /* fine on NULL; not before the run that has its probe */

mv_probe *mv_trace_probe(mv_trace *t); /* borrowed; its `next` is the caller's to set */

void mv_trace_clear(mv_trace *t); /* forgets the values, keeps the patterns: for the next forward */

/* Kept values in the order of the run; the tensors live until the next clear, forward or free. */
int mv_trace_count(const mv_trace *t);
const char *mv_trace_name_at(const mv_trace *t, int i);
mv_tensor mv_trace_at(const mv_trace *t, int i);
bool mv_trace_lookup(const mv_trace *t, const char *site, mv_tensor *out);

#endif
