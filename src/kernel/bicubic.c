/* The inner loop of resampling: a weighted sum of lines of bytes, in fixed point. Integers, so every table gives the
 * same bytes. */
#include "src/kernel/kernel_impl.h"

#if defined(__AVX2__)
#include <immintrin.h>
#endif

enum { HALF = 1 << (MV_BICUBIC_FRACTION - 1) };

#if defined(__AVX2__)
/* The sums are held in registers; gcc 12 finds neither that nor the widening of bytes by itself. */
void KERNEL(bicubic)(uint8_t *out, int32_t *sums, size_t n, const uint8_t *lines, size_t stride, const int32_t *weight,
                     int taps, bool first, bool last)
{
    const __m256i half = _mm256_set1_epi32(HALF), in_order = _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7);
    for (size_t l = 0; l < n; l += MV_BICUBIC_LANES) {
        __m256i *sum = (__m256i *)(void *)(sums + l);
        __m256i a = first ? half : _mm256_loadu_si256(sum), b = first ? half : _mm256_loadu_si256(sum + 1);
        __m256i c = first ? half : _mm256_loadu_si256(sum + 2), d = first ? half : _mm256_loadu_si256(sum + 3);
        const uint8_t *p = lines + l;
        for (int t = 0; t < taps; t++, p += stride) {
            __m256i w = _mm256_set1_epi32(weight[t]);
            const __m128i *q = (const __m128i *)(const void *)p;
            __m256i pa = _mm256_cvtepu8_epi32(_mm_loadl_epi64(q)), pc = _mm256_cvtepu8_epi32(_mm_loadl_epi64(q + 1));
            __m256i pb = _mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i *)(const void *)(p + 8)));
            __m256i pd = _mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i *)(const void *)(p + 24)));
            a = _mm256_add_epi32(a, _mm256_mullo_epi32(w, pa));
            b = _mm256_add_epi32(b, _mm256_mullo_epi32(w, pb));
            c = _mm256_add_epi32(c, _mm256_mullo_epi32(w, pc));
            d = _mm256_add_epi32(d, _mm256_mullo_epi32(w, pd));
        }
        if (last) { /* the packs saturate, which is the clip */
            a = _mm256_packs_epi32(_mm256_srai_epi32(a, MV_BICUBIC_FRACTION),
                                   _mm256_srai_epi32(b, MV_BICUBIC_FRACTION));
            c = _mm256_packs_epi32(_mm256_srai_epi32(c, MV_BICUBIC_FRACTION),
                                   _mm256_srai_epi32(d, MV_BICUBIC_FRACTION));
            a = _mm256_permutevar8x32_epi32(_mm256_packus_epi16(a, c), in_order);
            _mm256_storeu_si256((__m256i *)(void *)(out + l), a);
        } else {
            _mm256_storeu_si256(sum, a);
            _mm256_storeu_si256(sum + 1, b);
            _mm256_storeu_si256(sum + 2, c);
            _mm256_storeu_si256(sum + 3, d);
        }
    }
}
#else
void KERNEL(bicubic)(uint8_t *out, int32_t *sums, size_t n, const uint8_t *lines, size_t stride, const int32_t *weight,
                     int taps, bool first, bool last)
{
    if (first)
        for (size_t l = 0; l < n; l++)
            sums[l] = HALF;
    for (int t = 0; t < taps; t++, lines += stride)
        for (size_t l = 0; l < n; l += MV_BICUBIC_LANES) /* a count known beforehand: every compiler vectorises it */
            for (size_t i = l; i < l + MV_BICUBIC_LANES; i++)
                sums[i] += weight[t] * lines[i];
    if (last)
        for (size_t l = 0; l < n; l++) {
            int32_t x = sums[l] >> MV_BICUBIC_FRACTION;
            out[l] = (uint8_t)(x < 0 ? 0 : x > 255 ? 255 : x);
        }
}
#endif
