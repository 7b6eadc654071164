/* The selective scan of the mixer: h_t = exp(dt A) h_{t-1} + dt B x; y = C . h + D x; dt = softplus(r W^T + 2b) is
 * given or computed here.
 *
 *   op      launch                                         bytes moved
 *   scan    a block 32 channels of a window, or 8          x, proj (by each block), yz / 2; dt if given, h if stored
 *
 * Layouts: x (N T E), yz (N T 2E: y left, z right), proj (N T R+16: [r | B | C]), dt (N T E), h (N T E 8).
 *
 * A window is scanned (Gu & Dao 2023, equation 2) in tiles of its tokens. Two warps of a block scan a tile while the
 * two others work ahead:
 *
 *   tile i + 2   is copied: proj and x to shared memory, without waiting
 *   tile i + 1   is prepared: the steps, beside u = x, and [B | C] as fp32. The product is the tensor cores' in 16 bits
 *   tile i       is scanned: a channel has LANES threads, each with 8 / LANES of its states in registers, so only
 *                h = a h + u depends on the token before; y is put together over the lanes
 *   tile i - 1   is stored: y, 16 bytes a thread
 *
 * A barrier a tile keeps them in step. Many windows take 2 lanes a channel: 58 instructions a token and channel for the
 * scan, of which 8 are exponentials, and about 30 for the rest. Few windows would leave most of a GPU idle: they take 8
 * lanes, in blocks of 8 channels, which costs twice the instructions on eight times the threads.
 * Tiles are padded with zeros, so that no loop asks where the window ends.
 */
#include "cuda/scan_impl.h"

namespace mv
{

namespace
{

/* What a block works on; pointers are those of the window. */
template <class T> struct slice {
    const T *x, *proj;
    T *yz;
    int tokens, channels, first, rank; /* first: channel of the block */
    bool wide;                         /* 16 bytes of x and yz at a time */
};

/* ---- copied */

template <class T, int LANES> __device__ void begin_x(T *to, const slice<T> &s, int from, int count, int worker)
{
    using L = layout<T, LANES>;
    constexpr int N = 16 / L::SIZE, PACKS = L::CHANNELS / N;
    const T *x = s.x + from * s.channels + s.first;
    if (s.wide)
        each_of<L::TOKENS * PACKS>(worker, [&](int i) {
            int k = i / PACKS, c = i % PACKS * N;
            bool there = k < count && s.first + c < s.channels;
            copy_async(to + i * N, there ? x + (k * s.channels + c) : s.x, there ? 16 : 0);
        });
    else
#pragma unroll 1
        for (int i = worker; i < L::TOKENS * L::CHANNELS; i += WORKERS) {
            int k = i / L::CHANNELS, c = i % L::CHANNELS;
            to[i] = k < count && s.first + c < s.channels ? x[k * s.channels + c] : from_float<T>(0.0f);
        }
}

/* ---- prepared */

/* Steps that were given, as steps_of emits them */
template <class T, int LANES, class F>
__device__ void given_steps(const float *dt, const slice<T> &s, int count, int worker, F emit)
{
    constexpr int PAIRS = layout<T, LANES>::CHANNELS / 2;
#pragma unroll 1
    for (int i = worker; i < (count + 7) / 8 * 8 * PAIRS; i += WORKERS) {
        int k = i / PAIRS, c = i % PAIRS * 2, e = s.first + c;
        const float *p = dt + (k * s.channels + e);
        emit(k, c, k < count && e < s.channels ? p[0] : 0.0f, k < count && e + 1 < s.channels ? p[1] : 0.0f);
    }
}

/* [B | C] of a token as B0 C0 B1 C1 ... in fp32 */
template <class T, int LANES> __device__ void put_both(float *to, const T *proj, int rank, int worker)
{
    constexpr int PAIRS = STATES / 2;
    each_of<layout<T, LANES>::TOKENS * PAIRS>(worker, [&](int i) {
        const T *B = proj + (i / PAIRS * (rank + 2 * STATES) + rank + i % PAIRS * 2), *C = B + STATES;
        store<float, 4>(to + i * 4, {{to_float(B[0]), to_float(C[0]), to_float(B[1]), to_float(C[1])}});
    });
}

/* ---- scanned */

/* Sums v[k] over the LANES lanes of a channel: lane l gets the sums of N / LANES tokens, from the returned one on, in
 * v[0].. */
template <int LANES, int N> __device__ __forceinline__ int sum_over_lanes(float (&v)[N], int lane)
{
    int first = 0;
#pragma unroll
    for (int d = 1; d < LANES; d *= 2) {
        const bool upper = lane & d;
#pragma unroll
        for (int k = 0; k < N / 2; k++) {
            const int n = N / 2 / d;
            if (k < n) {
                float mine = upper ? v[n + k] : v[k], other = upper ? v[k] : v[n + k];
                v[k] = mine + __shfl_xor_sync(~0u, other, d);
            }
        }
        first += upper ? N / 2 / d : 0;
    }
    return first;
}

/* The states of a lane, and the parameters of its channel */
template <int EACH> struct states {
    float h[EACH], a[EACH], d;
};

/* TOGETHER tokens: `step` is the channel's pair of step and u, `both` [B | C] of the lane's states, `y` the channel in
 * the tile of outputs; h of the first `count` tokens is stored in `kept`. */
template <class T, int LANES, bool KEEP>
__device__ void scan_tokens(states<layout<T, LANES>::EACH> &m, const float *step, const float *both, T *y, float *kept,
                            int stride, int count, int lane)
{
    using L = layout<T, LANES>;
    constexpr int EACH = L::EACH, TOGETHER = L::TOGETHER, WIDTH = EACH < 2 ? 2 : 4;
    float sum[TOGETHER];
#pragma unroll
    for (int k = 0; k < TOGETHER; k++) {
        float BC[2 * EACH];
#pragma unroll
        for (int i = 0; i < 2 * EACH; i += WIDTH) {
            pack<float, WIDTH> p = load<float, WIDTH>(both + k * 2 * STATES + i);
#pragma unroll
            for (int s = 0; s < WIDTH; s++)
                BC[i + s] = p.v[s];
        }
        pack<float, 2> p = load<float, 2>(step + k * 2 * L::STEP_ROW);
        float su = p.v[0] * p.v[1];
#pragma unroll
        for (int s = 0; s < EACH; s++) {
            m.h[s] = exp2_fast(p.v[0] * m.a[s]) * m.h[s] + su * BC[2 * s];
            sum[k] = s ? sum[k] + BC[2 * s + 1] * m.h[s] : BC[2 * s + 1] * m.h[s];
        }
        if (KEEP && k < count) {
            pack<float, EACH> all;
#pragma unroll
            for (int s = 0; s < EACH; s++)
                all.v[s] = m.h[s];
            store<float, EACH>(kept + k * stride, all);
        }
    }
    int first = sum_over_lanes<LANES, TOGETHER>(sum, lane);
    y += first * L::CHANNELS;
    step += first * 2 * L::STEP_ROW;
#pragma unroll
    for (int k = 0; k < TOGETHER / LANES; k++)
        y[k * L::CHANNELS] = from_float<T>(sum[k] + m.d * step[k * 2 * L::STEP_ROW + 1]);
}

/* ---- stored */

/* The outputs of a tile, to the left half of yz */
template <class T, int LANES> __device__ void put_y(const T *y, const slice<T> &s, int from, int count, int worker)
{
    using L = layout<T, LANES>;
    constexpr int N = 16 / L::SIZE, PACKS = L::CHANNELS / N;
    T *to = s.yz + (from * 2 * s.channels + s.first);
    if (s.wide)
        each_of<L::TOKENS * PACKS>(worker, [&](int i) {
            int k = i / PACKS, c = i % PACKS * N;
            if (k < count && s.first + c < s.channels)
                store_global<T, N>(to + (k * 2 * s.channels + c), load<T, N>(y + i * N));
        });
    else
#pragma unroll 1
        for (int i = worker; i < L::TOKENS * L::CHANNELS; i += WORKERS) {
            int k = i / L::CHANNELS, c = i % L::CHANNELS;
            if (k < count && s.first + c < s.channels)
                to[k * 2 * s.channels + c] = y[i];
        }
}

template <class T, int LANES, bool KEEP>
__global__ void __launch_bounds__(2 * WORKERS, KEEP ? 6 : 8) scan_kernel(scan_job j, bool wide, bool even)
{
    using L = layout<T, LANES>;
    MV_SHARED(unsigned char, memory);
    const L at(j.rank);
    const int tid = static_cast<int>(threadIdx.x), worker = tid % WORKERS, lane = worker % LANES, c = worker / LANES;
    /* The two halves of a block change places from block to block: which of them has more to do does not meet the same
     * schedulers of a multiprocessor each time. */
    const bool scans = (tid / WORKERS ^ static_cast<int>(blockIdx.x)) % 2;
    const size_t token = static_cast<size_t>(blockIdx.y) * static_cast<size_t>(j.tokens),
                 value = token * static_cast<size_t>(j.channels);
    const slice<T> s = {static_cast<const T *>(j.x) + value,
                        static_cast<const T *>(j.proj) + token * static_cast<size_t>(j.rank + 2 * STATES),
                        static_cast<T *>(j.yz) + 2 * value,
                        j.tokens,
                        j.channels,
                        static_cast<int>(blockIdx.x) * L::CHANNELS,
                        j.rank,
                        wide};
    put_weights<T, LANES>(memory, j, s.first);

    auto count_of = [&](int tile) {
        int left = s.tokens - tile * L::TOKENS;
        return left < L::TOKENS ? left : L::TOKENS;
    };
    const int tiles = (s.tokens + L::TOKENS - 1) / L::TOKENS;
    if (scans) {
        const int e = s.first + c < s.channels ? s.first + c : s.channels - 1, stride = s.channels * STATES;
        states<L::EACH> m = {};
        m.d = j.D[e];
#pragma unroll
        for (int i = 0; i < L::EACH; i++)
            m.a[i] = j.A[e * STATES + lane * L::EACH + i] * 1.44269504088896341f; /* exp(x) = exp2(x log2 e) */
        wait_for_inputs();
        float *kept = KEEP ? j.h + (value + static_cast<size_t>(e)) * STATES + lane * L::EACH : nullptr;
        for (int tile = -2; tile <= tiles; tile++) {
            __syncthreads();
            if (tile < 0 || tile == tiles)
                continue;
            int count = count_of(tile);
            const float *both =
                            reinterpret_cast<float *>(memory + at.both + tile % 2 * L::BOTH_BYTES) + lane * 2 * L::EACH,
                        *step = reinterpret_cast<float *>(memory + at.step + tile % 2 * L::STEP_BYTES) + c * 2;
            T *y = reinterpret_cast<T *>(memory + at.y + tile % 2 * L::X_BYTES) + c;
#pragma unroll 1
            for (int k = 0; k < count; k += L::TOGETHER) {
                scan_tokens<T, LANES, KEEP>(m, step, both, y, kept, stride, s.first + c < s.channels ? count - k : 0,
                                            lane);
                step += L::TOGETHER * 2 * L::STEP_ROW;
                both += L::TOGETHER * 2 * STATES;
                y += L::TOGETHER * L::CHANNELS;
                if (KEEP)
                    kept += L::TOGETHER * stride;
            }
        }
        return;
    }
    wait_for_inputs();
    for (int tile = -2; tile <= tiles; tile++) {
        copy_wait<0>();
        __syncthreads();
        if (tile + 2 < tiles) {
            int next = tile + 2, count = count_of(next), from = next * L::TOKENS;
            begin_proj(memory + at.proj + next % 2 * at.proj_bytes, s.proj + from * (s.rank + 2 * STATES),
                       count * (s.rank + 2 * STATES), at.proj_bytes, worker);
            begin_x<T, LANES>(reinterpret_cast<T *>(memory + at.x + next % 2 * L::X_BYTES), s, from, count, worker);
            copy_commit();
        }
        if (tile > 0)
            put_y<T, LANES>(reinterpret_cast<const T *>(memory + at.y + (tile - 1) % 2 * L::X_BYTES), s,
                            (tile - 1) * L::TOKENS, count_of(tile - 1), worker);
        if (tile >= -1 && tile + 1 < tiles) {
            int next = tile + 1, from = next * L::TOKENS;
            const T *proj = reinterpret_cast<const T *>(memory + at.proj + next % 2 * at.proj_bytes) +
                            skipped(s.proj + from * (s.rank + 2 * STATES)),
                    *x = reinterpret_cast<const T *>(memory + at.x + next % 2 * L::X_BYTES);
            float *step = reinterpret_cast<float *>(memory + at.step + next % 2 * L::STEP_BYTES);
            auto emit = [&](int k, int c, float one, float two) {
                pack<T, 2> u = load<T, 2>(x + k * L::CHANNELS + c);
                store<float, 4>(step + (k * L::STEP_ROW + c) * 2, {{one, to_float(u.v[0]), two, to_float(u.v[1])}});
            };
            put_both<T, LANES>(reinterpret_cast<float *>(memory + at.both + next % 2 * L::BOTH_BYTES), proj, s.rank,
                               worker);
            if (j.dt)
                given_steps<T, LANES>(j.dt + value + from * s.channels, s, count_of(next), worker, emit);
            else
                steps_of<T, LANES>(memory, proj, s.rank, even, count_of(next), worker, emit);
        }
    }
}

/* ---- a rank that no published model has: without shared memory */

template <class T> __global__ void plain_scan_kernel(scan_job j)
{
    wait_for_inputs();
    int e = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x);
    if (e >= j.channels)
        return;
    size_t token = blockIdx.y * static_cast<size_t>(j.tokens), channels = static_cast<size_t>(j.channels);
    float h[STATES] = {};
    for (int t = 0; t < j.tokens; t++, token++) {
        const T *row = static_cast<const T *>(j.proj) + token * static_cast<size_t>(j.rank + 2 * STATES),
                *B = row + j.rank, *C = B + STATES;
        size_t i = token * channels + static_cast<size_t>(e);
        float u = to_float(static_cast<const T *>(j.x)[i]), step = j.dt ? j.dt[i] : plain_step(j, row, e),
              y = j.D[e] * u;
        for (int s = 0; s < STATES; s++) {
            h[s] = expf(step * j.A[e * STATES + s]) * h[s] + step * u * to_float(B[s]);
            y += to_float(C[s]) * h[s];
            if (j.h)
                j.h[i * STATES + static_cast<size_t>(s)] = h[s];
        }
        static_cast<T *>(j.yz)[token * 2 * channels + static_cast<size_t>(e)] = from_float<T>(y);
    }
}

template <class T, int LANES> void launch_tiles(const scan_job &j, cudaStream_t stream)
{
    using L = layout<T, LANES>;
    dim3 grid(blocks_of(j.channels, L::CHANNELS), static_cast<unsigned>(j.windows));
    mv_launch(j.h ? scan_kernel<T, LANES, true> : scan_kernel<T, LANES, false>, grid, dim3(2 * WORKERS),
              static_cast<size_t>(L(j.rank).bytes), stream, j,
              lanes_of<T>(j.channels, {j.x, j.yz}) == static_cast<int>(16 / sizeof(T)), has_even_rows(j));
}

}  // namespace

/* Windows are the y of the grid, which is 65535 at most: more need several launches. */
void launch_scan(const scan_job &job, cudaStream_t stream)
{
    const int most = 65535;
    const size_t few = 640; /* blocks of 8 channels, 5 for each multiprocessor of a large GPU: more would take longer
                               than blocks of 32 */
    of_type(job.type, [&](auto t) {
        using T = decltype(t);
        for (int from = 0; from < job.windows; from += most) {
            scan_job j = job;
            size_t tokens = static_cast<size_t>(from) * static_cast<size_t>(j.tokens),
                   values = tokens * static_cast<size_t>(j.channels);
            j.windows = job.windows - from < most ? job.windows - from : most;
            j.x = static_cast<const T *>(j.x) + values;
            j.yz = static_cast<T *>(j.yz) + 2 * values;
            j.proj = static_cast<const T *>(j.proj) + tokens * static_cast<size_t>(j.rank + 2 * STATES);
            j.dt = j.dt ? j.dt + values : nullptr;
            j.h = j.h ? j.h + values * STATES : nullptr;
            if (j.rank > MOST_RANK)
                mv_launch(plain_scan_kernel<T>, dim3(blocks_of(j.channels, WORKERS), static_cast<unsigned>(j.windows)),
                          dim3(WORKERS), 0, stream, j);
            else if (static_cast<size_t>(j.windows) * blocks_of(j.channels, WORKERS / STATES) <= few)
                launch_tiles<T, STATES>(j, stream);
            else
                launch_tiles<T, 2>(j, stream);
        }
    });
}

}  // namespace mv
