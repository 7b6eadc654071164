/* What the doubles of CUDA's libraries share: double_cuda.cc, double_cublaslt.cc and double_cudnn.cc do on the CPU what
 * cuda/library*.cu ask of a card.
 *
 *   late      a stream does its work when somebody waits for it, not before: values that are read, freed or overwritten
 *             too early are wrong, or found by the address sanitizer
 *   poison    memory is NaN until it is written, and so is a workspace after each use
 *   strict    what a card would answer by a fault ends the program with a sentence: pointers that are no memory of the
 *             card, or less aligned than a kernel was promised
 *   failing   simt_fail_at: the n-th call fails
 */
#pragma once

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <vector>

#include <cuda_runtime.h>

extern "C" {
#include "src/base/tensor.h"
}

namespace simt
{

void enqueue(cudaStream_t, std::function<void()> work);

/* Counts a call of a library that can fail; true if it is to fail. */
bool fails(const char *call);

/* Things that have not been given back: devices, memory, events, recordings, descriptors. */
inline long things;

/* Milliseconds of the card, which has no other clock than the work it does. */
inline double card_time;

/* Ends the program unless p has `bytes` bytes of the card, aligned to `align`. */
void expect_on_card(const char *who, const void *p, size_t bytes, size_t align);

inline float value_of(mv_dtype type, const void *p, size_t i)
{
    float v;
    mv_to_f32(&v, static_cast<const char *>(p) + i * mv_dtype_size(type), type, 1);
    return v;
}

inline void set_value(mv_dtype type, void *p, size_t i, float v)
{
    mv_from_f32(static_cast<char *>(p) + i * mv_dtype_size(type), type, &v, 1);
}

inline std::vector<float> values_of(mv_dtype type, const void *p, size_t n)
{
    std::vector<float> v(n);
    mv_to_f32(v.data(), p, type, n);
    return v;
}

}  // namespace simt
