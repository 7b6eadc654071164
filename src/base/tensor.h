/* mv_tensor: a dense row-major array, passed by value. It points to data that it does not own. nd 0: absent.
 *
 * mv_view: the same with strides, for values that lie inside another array (q inside qkv, a channels-last image seen
 * channels first). And conversions between float types.
 */
#ifndef MV_TENSOR_H
#define MV_TENSOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { MV_MAX_DIMS = 5 };

typedef enum { MV_F32, MV_F16, MV_BF16, MV_F64, MV_I64, MV_I32, MV_U8, MV_DTYPES } mv_dtype;

typedef struct {
    void *data;
    mv_dtype type;
    int nd;
    int dim[MV_MAX_DIMS];
} mv_tensor;

typedef struct {
    void *data;
    mv_dtype type;
    int nd;
    int dim[MV_MAX_DIMS];
    ptrdiff_t stride[MV_MAX_DIMS]; /* in elements */
} mv_view;

size_t mv_dtype_size(mv_dtype type);      /* bytes of one element */
const char *mv_dtype_name(mv_dtype type); /* "F32", "BF16": safetensors' names */

/* mv_tensor_of(data, MV_F32, 2, rows, columns) */
mv_tensor mv_tensor_of(void *data, mv_dtype type, int nd, ...);
size_t mv_tensor_count(mv_tensor t); /* elements; 1 for nd 0, so check nd first */
size_t mv_tensor_bytes(mv_tensor t);
bool mv_tensor_same_shape(mv_tensor a, mv_tensor b);

mv_view mv_view_of(mv_tensor t); /* the whole tensor, with dense strides */
size_t mv_view_count(mv_view v);

/* Writes "2x3x224x224" to text. Returns text. */
const char *mv_shape_text(char text[64], int nd, const int *dim);

/* Converts n elements of a float type to fp32 and back, rounding to nearest even. NaN stays NaN. */
void mv_to_f32(float *out, const void *in, mv_dtype type, size_t n);
void mv_from_f32(void *out, mv_dtype type, const float *in, size_t n);

/* The index of the first infinity or NaN; n if all n values are finite. */
size_t mv_first_not_finite(const float *x, size_t n);

float mv_f16_to_f32(uint16_t h);
uint16_t mv_f32_to_f16(float f);
float mv_bf16_to_f32(uint16_t h);
uint16_t mv_f32_to_bf16(float f);
/* E4M3 of the Open Compute Project's 8-bit formats: up to 448, no infinities. What is larger becomes 448. */
float mv_e4m3_to_f32(uint8_t b);
uint8_t mv_f32_to_e4m3(float f);

#endif
