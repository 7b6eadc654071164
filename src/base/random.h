/* Random numbers by counter: a number is a function of the seed, a stream and its place in the stream. So results do
 * not depend on batches, threads or the order of drawing, and any of them can be made again on its own.
 *
 * The function is the finaliser of splitmix64 (Steele, Lea & Flood 2014), applied twice. With mix() as below and
 * g = 0x9e3779b97f4a7c15:
 *
 *     bits(seed, stream, i) = mix(mix(seed + g (stream + 1)) + g (i + 1))      modulo 2^64
 */
#ifndef MV_RANDOM_H
#define MV_RANDOM_H

#include <math.h>
#include <stdint.h>

static inline uint64_t mv_random_mix(uint64_t x)
{
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
    return x ^ (x >> 31);
}

/* splitmix64 itself, for what is drawn in order: the next number of the sequence; *state moves on. */
static inline uint64_t mv_random_next(uint64_t *state)
{
    return mv_random_mix(*state += 0x9e3779b97f4a7c15u);
}

static inline uint64_t mv_random_bits(uint64_t seed, uint64_t stream, uint64_t i)
{
    const uint64_t g = 0x9e3779b97f4a7c15u;
    return mv_random_mix(mv_random_mix(seed + g * (stream + 1)) + g * (i + 1));
}

/* In [0, 1), in steps of 2^-53. */
static inline double mv_random_uniform(uint64_t seed, uint64_t stream, uint64_t i)
{
    return (double)(mv_random_bits(seed, stream, i) >> 11) / 9007199254740992.0;
}

/* A standard normal deviate of two uniform ones, u in (0, 1] (Box & Muller 1958). */
static inline double mv_random_normal(double u, double v)
{
    return sqrt(-2 * log(u)) * cos(6.283185307179586 * v);
}

/* A whole number from 0 to n - 1; n is 1 to 2^31, so that the bias stays below 2^-32. */
static inline uint32_t mv_random_below(uint64_t seed, uint64_t stream, uint64_t i, uint32_t n)
{
    return (uint32_t)(((mv_random_bits(seed, stream, i) >> 32) * n) >> 32);
}

#endif
