/* The exact evidence (cam.h) for many classes of one picture at once, in 8 bits a value: for pages where a reader
 * switches from class to class.
 *
 * All logits share an offset, so a map is given less the mean of all classes:
 *
 *     E_c(p) = CAM_c(p) - mean_k CAM_k(p)        mean_p E_c(p) = logit_c - mean_k logit_k
 *
 * and the evidence for class a over class b is E_a - E_b.
 */
#ifndef MV_EXPLAIN_EVIDENCE_H
#define MV_EXPLAIN_EVIDENCE_H

#include "src/base/coded.h"
#include "src/model/weights.h"
#include "src/run/probe.h"

typedef struct {
    int h, w;          /* cells of the last level */
    int n, *class_;    /* the classes, by falling logit */
    int8_t *code;      /* (n, h, w), see mv_coded_signed */
    float *most;       /* n */
    double mean_logit; /* of all classes */
} mv_evidence;

void mv_evidence_free(mv_evidence *v); /* an empty one is fine */

typedef struct mv_evidence_keep mv_evidence_keep;

/* Keeps the final norm of the pictures of a forward. The model is borrowed. NULL without memory. */
mv_evidence_keep *mv_evidence_keep_new(const mv_model *model, mv_error *e);
void mv_evidence_keep_free(mv_evidence_keep *k);       /* accepts NULL; after the run that uses the probe is freed */
mv_probe *mv_evidence_keep_probe(mv_evidence_keep *k); /* borrowed; set its `next` to continue the chain */

/* The maps of a picture of the last forward, for as many classes as `budget` bytes hold, at least two where there are
 * two. `logits`: of the picture. *out is the caller's to mv_evidence_free. MV_EMISUSE if the picture was not seen. */
mv_status mv_evidence_of(mv_evidence *out, const mv_evidence_keep *k, int picture, const float *logits, size_t budget,
                         mv_error *e);

#endif
