/* The only files that use oneDNN, versions 2 and 3: convolutions of channels-last pictures. A product is a 1x1
 * convolution, which is faster on AVX2 than oneDNN's own products (95-100 instead of 67-97 GFLOP/s a core), and equally
 * fast from 49 rows to 784.
 */
#ifndef MV_CPU_DNNL_H
#define MV_CPU_DNNL_H

#include <stdbool.h>

#include "src/base/backend.h"
#include "src/base/status.h"

typedef struct mv_dnnl mv_dnnl;
typedef struct mv_dnnl_weights mv_dnnl_weights;

/* A convolution of `pictures` of h x w with `in` channels, padded by `top` to `right` with zeros. */
typedef struct {
    int pictures, h, w, in, out, kernel, stride;
    int top, bottom, left, right;
    mv_act act; /* applied to conv + bias */
    bool onto;  /* the result is added to `to` */
    mv_dtype from_type, to_type;
} mv_dnnl_shape;

/* For `workers` threads that call at the same time. half: weights are stored as bf16 and products read bf16. NULL on
 * failure. */
mv_dnnl *mv_dnnl_new(int workers, bool half, mv_error *e);
void mv_dnnl_free(mv_dnnl *d); /* accepts NULL; free the weights first */

/* "oneDNN 2.6.3" */
const char *mv_dnnl_version(char text[48]);

/* w (out, in, kernel, kernel) and bias (out, or NULL) in fp32, copied to a layout of oneDNN's choice. `typical`: a
 * shape that they will be used with. NULL on failure. */
mv_dnnl_weights *mv_dnnl_weights_new(mv_dnnl *d, const mv_dnnl_shape *typical, const float *w, const float *bias,
                                     mv_error *e);
void mv_dnnl_weights_free(mv_dnnl_weights *w); /* accepts NULL */

/* The weights of the transpose without a bias, made by the first call and freed with w: NULL on failure.
 *
 * kernel 1              y (O) -> y W (C)
 * kernel 3, stride 1    a convolution of O channels to C, padded by 1: w'[c,o,u,v] = w[o,c,2-u,2-v]
 * kernel 3, stride 2    a product (O) -> (3 3 C): what cell i j adds to the cells 2i + u - 1, 2j + v - 1 */
mv_dnnl_weights *mv_dnnl_weights_back(mv_dnnl *d, mv_dnnl_weights *w, mv_error *e);

/* to = [to +] act(conv(from) + bias), on the calling thread. If a shape is fast only with another layout of the
 * weights, the weights are copied to it once. */
mv_status mv_dnnl_conv(mv_dnnl *d, int worker, const mv_dnnl_shape *shape, mv_dnnl_weights *w, const void *from,
                       void *to, mv_error *e);

/* out = GELU of x in its tanh form, of MV_DNNL_CHUNK values. out may be x. */
enum { MV_DNNL_CHUNK = 8192 };
mv_status mv_dnnl_gelu_tanh(mv_dnnl *d, int worker, const float *x, float *out, mv_error *e);

#endif
