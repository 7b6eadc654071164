/* Part of simt.h: what a warp does as one (the tensor cores' product, and its loads from shared memory), copies that
 * arrive later, and instructions of special functions.
 */
#pragma once

namespace simt
{

/* While it lives, what is read and written is the emulation's own. */
struct aside {
    aside()
    {
        counting(false);
    }
    ~aside()
    {
        counting(true);
    }
};

/* Calls f when the words that each lane of the warp gives are in its slot. */
template <class F> void together(const void *words, size_t bytes, F f)
{
    unsigned me = now;
    if (me / 32 * 32 + 32 > count) {
        fprintf(stderr, "simt: a product, or a load of its matrices, by less than a warp\n");
        abort();
    }
    memcpy(threads[me].slot, words, bytes);
    pause(AT_WARP);
    {
        aside a;
        f(me / 32 * 32, me % 32 / 4, me % 4);
    }
    pause(AT_WARP);
}

/* mma.m16n8kK, K = 16 or 8, from the values of all lanes */
template <class T, unsigned K>
void product(float (&c)[4], const unsigned (&a)[K / 4], const unsigned (&b)[K / 8], float (*value)(T))
{
    met(PRODUCT);
    unsigned words[K / 4 + K / 8];
    memcpy(words, a, sizeof a);
    memcpy(words + K / 4, b, sizeof b);
    together(words, sizeof words, [&](unsigned warp, unsigned g, unsigned t) {
        auto element = [&](unsigned lane, unsigned word, unsigned half) {
            uint16_t bits = static_cast<uint16_t>(threads[warp + lane].slot[word] >> 16 * half);
            T x;
            memcpy(&x, &bits, sizeof x);
            return value(x);
        };
        for (unsigned i = 0; i < 4; i++) {
            unsigned row = g + 8 * (i / 2), column = 2 * t + i % 2;
            float sum = 0;
            for (unsigned k = 0; k < K; k++) {
                unsigned lane = k % 8 / 2;
                sum += element(row % 8 * 4 + lane, row / 8 + 2 * (k / 8), k % 2) *
                       element(column * 4 + lane, K / 4 + k / 8, k % 2);
            }
            c[i] += sum;
        }
    });
}

/* ldmatrix.x4: lane i gives the address of row i % 8 of matrix i / 8. */
template <bool TURNED> __forceinline__ void matrices(unsigned (&r)[4], const void *row)
{
    touched(row, 16, false);
    together(&row, sizeof row, [&](unsigned warp, unsigned g, unsigned t) {
        auto element = [&](unsigned matrix, unsigned y, unsigned x) {
            const uint16_t *p;
            memcpy(&p, threads[warp + 8 * matrix + y].slot, sizeof p);
            return static_cast<unsigned>(p[x]);
        };
        for (unsigned m = 0; m < 4; m++)
            r[m] = TURNED ? element(m, 2 * t, g) | element(m, 2 * t + 1, g) << 16
                          : element(m, g, 2 * t) | element(m, g, 2 * t + 1) << 16;
    });
}

/* Delivered by the wait for it, the latest that a GPU could; the destination is poisoned until then. */
inline void begin_copy(void *to, const void *from, size_t bytes)
{
    unsigned char *p = static_cast<unsigned char *>(to);
    if (p < shared.data() || p + 16 > shared.data() + shared.size() || bytes > 16 ||
        reinterpret_cast<uintptr_t>(to) % 16 || (bytes && reinterpret_cast<uintptr_t>(from) % 16)) {
        fprintf(stderr, "simt: no GPU copies %zu bytes from %p to byte %td of the %zu of shared memory\n", bytes, from,
                p - shared.data(), shared.size());
        abort();
    }
    memset(to, 0xff, 16);
    threads[now].begun.push_back({to, from, bytes});
}

inline void commit_copies()
{
    thread &t = threads[now];
    t.groups.push_back(std::move(t.begun));
    t.begun.clear();
}

inline void await_copies(size_t most)
{
    std::vector<std::vector<copy>> &groups = threads[now].groups;
    for (; groups.size() > most; groups.erase(groups.begin()))
        for (const copy &c : groups.front()) {
            memset(c.to, 0, 16);
            if (c.bytes)
                memcpy(c.to, c.from, c.bytes);
        }
}

}  // namespace simt

inline void mma(float (&c)[4], const unsigned (&a)[4], const unsigned (&b)[2], __half)
{
    simt::product<__half, 16>(c, a, b, __half2float);
}
inline void mma(float (&c)[4], const unsigned (&a)[4], const unsigned (&b)[2], __nv_bfloat16)
{
    simt::product<__nv_bfloat16, 16>(c, a, b, __bfloat162float);
}
inline void mma(float (&c)[4], const unsigned (&a)[2], const unsigned (&b)[1], __half)
{
    simt::product<__half, 8>(c, a, b, __half2float);
}
inline void mma(float (&c)[4], const unsigned (&a)[2], const unsigned (&b)[1], __nv_bfloat16)
{
    simt::product<__nv_bfloat16, 8>(c, a, b, __bfloat162float);
}
template <bool TURNED> __forceinline__ void load_matrices(unsigned (&r)[4], const void *row)
{
    simt::matrices<TURNED>(r, row);
}

__forceinline__ void copy_async(void *to, const void *from, int bytes = 16)
{
    if (bytes)
        simt::touched(from, static_cast<size_t>(bytes), false);
    simt::touched(to, 16, true);
    simt::aside a;
    simt::begin_copy(to, from, static_cast<size_t>(bytes));
}
inline void copy_commit()
{
    simt::aside a;
    simt::commit_copies();
}
template <int N> void copy_wait()
{
    simt::aside a;
    simt::await_copies(N);
}

inline unsigned __umulhi(unsigned a, unsigned b)
{
    return static_cast<unsigned>(uint64_t(a) * b >> 32);
}
inline float exp2_fast(float x)
{
    simt::met(simt::POWER);
    return x < -126.0f ? 0.0f : exp2f(x);
}
inline float reciprocal(float x)
{
    return 1.0f / x;
}
