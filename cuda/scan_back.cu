/* The gradient of the scan and of the step sizes.
 *
 *   op          launch                                                              bytes moved
 *   scan_back   a block 64 or 16 channels of a window, then a thread a sum of       dyz / 2, x, proj, dt, h, dx, ddt;
 *               tokens and blocks                                                   dh if stored; the parts twice
 *   step_back   a block 32 tokens by 32 ranks                                       ddt, dt, dproj
 *
 *   l_t = dy_t C_t + a_{t+1} l_{t+1}, a_t = exp(dt_t A)       u_t = sum_S l_t B_t       dx_t = dt_t u_t + D dy_t
 *   ddt_t = x_t u_t + sum_S A a_t h_{t-1} l_t       dB_t = sum_E dt_t x_t l_t       dC_t = sum_E dy_t h_t
 *   dr = (ddt (1 - exp(-dt))) W
 *
 * Layouts as in scan.cu; dyz as yz, dx as x, ddt as dt, dh as h, dproj as proj.
 *
 * A window is gone through from its last token to its first. A channel has LANES threads, each with 8 / LANES of its
 * states, as in scan.cu: 2 where there are many windows, else 8. [B | C] of a tile of tokens is in shared memory as
 * fp32; what a thread reads of the next tokens is on its way while it computes. Sums over states go through shuffles.
 * Sums over channels (dB, dC) are made in a fixed order: over a warp's channels by shuffles that halve what a lane
 * keeps, then over the warps of a block, then over the blocks of a window, by a second kernel.
 */
#include "cuda/scan_impl.h"

namespace mv
{

namespace
{

enum { BLOCK = 128, BLOCK_WARPS = BLOCK / 32, TILE = 32, SUMS = 2 * STATES /* [dB | dC] of a token */ };

/* The sum of each of COUNT values over the lanes that differ in bits from FIRST on: lanes in which these bits, modulo
 * COUNT, are k return that of value k. */
template <int COUNT, int FIRST> __device__ float sum_shared(float (&v)[COUNT], int lane)
{
    int bit = FIRST;
#pragma unroll
    for (int n = COUNT / 2; n; n /= 2, bit *= 2) {
        bool upper = lane & bit;
#pragma unroll
        for (int k = 0; k < n; k++) {
            float keep = upper ? v[2 * k + 1] : v[2 * k], give = upper ? v[2 * k] : v[2 * k + 1];
            v[k] = keep + __shfl_xor_sync(~0u, give, bit);
        }
    }
    for (; bit < 32; bit *= 2)
        v[0] += __shfl_xor_sync(~0u, v[0], bit);
    return v[0];
}

/* What a lane reads of a token: of its channel, and of its states h_{t-1} */
template <int EACH> struct token {
    float step, x, dy;
    pack<float, EACH> before;
};

/* Writes [dB | dC] of a window's tokens to `parts`, (blocks of channels, tokens, SUMS). With HELD, dx and dh are all.
 */
template <class T, int LANES, bool HELD>
__global__ void __launch_bounds__(BLOCK, 4) scan_back_kernel(scan_back_job j, float *parts)
{
    constexpr int EACH = STATES / LANES, CHANNELS = BLOCK / LANES, GROUP = EACH == 1 ? 8 : 4; /* read ahead */
    MV_SHARED(float, both);                                                                   /* TILE x [B | C] */
    float *sums = both + TILE * SUMS; /* TILE x BLOCK_WARPS x SUMS */
    const int tid = static_cast<int>(threadIdx.x), lane = tid % 32, warp = tid / 32, own = tid % LANES * EACH,
              e = static_cast<int>(blockIdx.x) * CHANNELS + tid / LANES, width = j.rank + 2 * STATES;
    const bool real = e < j.channels;
    const size_t window = blockIdx.y, tokens = static_cast<size_t>(j.tokens),
                 channels = static_cast<size_t>(j.channels), channel = real ? static_cast<size_t>(e) : 0;
    float a[EACH], l[EACH], carry[EACH] = {};
#pragma unroll
    for (int s = 0; s < EACH; s++)
        a[s] = j.A[channel * STATES + static_cast<size_t>(own + s)] * LOG2E;
    const float d = j.D[channel];
    wait_for_inputs();
    const T *proj = static_cast<const T *>(j.proj) + window * tokens * static_cast<size_t>(width) + j.rank,
            *dys = static_cast<const T *>(j.dyz) + 2 * window * tokens * channels + channel;
    const size_t begin = window * tokens * channels + channel; /* of the channel's first token */
    auto states_at = [&](int t) {
        return (begin + static_cast<size_t>(t) * channels) * STATES + static_cast<size_t>(own);
    };
    auto fetch = [&](int t) {
        token<EACH> k = {};
        if (real && t >= 0) {
            const size_t at = static_cast<size_t>(t) * channels;
            k.step = j.dt[begin + at];
            k.dy = to_float(dys[2 * at]);
            if (!HELD)
                k.x = to_float(static_cast<const T *>(j.x)[begin + at]);
            if (!HELD && t > 0)
                k.before = load<float, EACH>(j.h + states_at(t - 1));
        }
        return k;
    };
    token<EACH> now[GROUP], next[GROUP];
#pragma unroll
    for (int g = 0; g < GROUP; g++)
        next[g] = fetch(j.tokens - 1 - g);
    pack<float, EACH> h = {};
    if (!HELD && real)
        h = load<float, EACH>(j.h + states_at(j.tokens - 1));
    for (int last = j.tokens; last > 0; last -= TILE) {
        const int first = last > TILE ? last - TILE : 0;
        __syncthreads(); /* the tile before is done with */
        for (int i = tid; i < (last - first) * SUMS; i += BLOCK)
            both[i] = to_float(proj[(first + i / SUMS) * width + i % SUMS]);
        __syncthreads();
#pragma unroll 1
        for (int from = last - 1; from >= first; from -= GROUP) {
#pragma unroll
            for (int g = 0; g < GROUP; g++)
                now[g] = next[g];
#pragma unroll
            for (int g = 0; g < GROUP; g++)
                next[g] = fetch(from - GROUP - g);
#pragma unroll
            for (int g = 0; g < GROUP; g++) {
                const int t = from - g;
                if (t < first)
                    break;
                const token<EACH> &k = now[g];
                const float *bc = both + (t - first) * SUMS + own;
                float u = 0, rest = 0, part[2 * EACH];
#pragma unroll
                for (int s = 0; s < EACH; s++) {
                    l[s] = k.dy * bc[STATES + s] + carry[s];
                    carry[s] = exp2_fast(k.step * a[s]) * l[s];
                    u += l[s] * bc[s];
                    if (!HELD) {
                        rest += a[s] * carry[s] * k.before.v[s];
                        part[s] = k.step * k.x * l[s];
                        part[EACH + s] = k.dy * h.v[s];
                    }
                }
                h = k.before;
#pragma unroll
                for (int n = 1; n < LANES; n *= 2) {
                    u += __shfl_xor_sync(~0u, u, n);
                    if (!HELD)
                        rest += __shfl_xor_sync(~0u, rest, n);
                }
                if (!HELD) {
                    float sum = sum_shared<2 * EACH, LANES>(part, lane);
                    const int which = lane / LANES;
                    if (which < 2 * EACH)
                        sums[((t - first) * BLOCK_WARPS + warp) * SUMS + which / EACH * STATES + own + which % EACH] =
                            sum;
                }
                if (!real)
                    continue;
                const size_t at = begin + static_cast<size_t>(t) * channels;
                if (tid % LANES == 0) {
                    static_cast<T *>(j.dx)[at] = from_float<T>(k.step * u + d * k.dy);
                    if (!HELD)
                        j.ddt[at] = k.x * u + (t ? 0.69314718055994531f * rest : 0.0f); /* no state before the first */
                }
                if (j.dh) {
                    pack<float, EACH> all;
#pragma unroll
                    for (int s = 0; s < EACH; s++)
                        all.v[s] = l[s];
                    store<float, EACH>(j.dh + states_at(t), all);
                }
            }
        }
        if (HELD)
            continue;
        __syncthreads();
        float *to = parts + ((window * gridDim.x + blockIdx.x) * tokens + static_cast<size_t>(first)) * SUMS;
        for (int i = tid; i < (last - first) * SUMS; i += BLOCK) {
            float sum = 0;
#pragma unroll
            for (int w = 0; w < BLOCK_WARPS; w++)
                sum += sums[(i / SUMS * BLOCK_WARPS + w) * SUMS + i % SUMS];
            to[i] = sum;
        }
    }
}

/* The last 16 columns of dproj from the parts of `blocks` blocks of channels */
template <class T> __global__ void gather_sums_kernel(scan_back_job j, const float *parts, int blocks, size_t n)
{
    wait_for_inputs();
    size_t i = static_cast<size_t>(blockIdx.x) * blockDim.x + threadIdx.x;
    if (i >= n)
        return;
    const size_t window_sums = static_cast<size_t>(j.tokens) * SUMS, window = i / window_sums, rest = i % window_sums;
    parts += window * static_cast<size_t>(blocks) * window_sums + rest;
    float sum = 0;
    for (int k = 0; k < blocks; k++)
        sum += parts[static_cast<size_t>(k) * window_sums];
    static_cast<T *>(j.dproj)[i / SUMS * static_cast<size_t>(j.rank + SUMS) + static_cast<size_t>(j.rank) + i % SUMS] =
        from_float<T>(sum);
}

/* ---- the step sizes */

enum { RANKS = 32, STEP_WARPS = 8, OWN = RANKS / STEP_WARPS, PITCH = TILE + 1, WIDE = RANKS + 4 };

/* A lane is a token, a warp OWN ranks; channels go through shared memory, TILE at a time. */
template <class T> __global__ void __launch_bounds__(STEP_WARPS * 32) step_back_kernel(step_back_job j)
{
    MV_SHARED(float, slopes);               /* TILE channels x PITCH tokens; in the end tokens x PITCH ranks */
    float *weights = slopes + TILE * PITCH; /* TILE channels x WIDE */
    wait_for_inputs();
    const int tid = static_cast<int>(threadIdx.x), lane = tid % 32, warp = tid / 32,
              rank = static_cast<int>(blockIdx.y) * RANKS;
    const size_t token = static_cast<size_t>(blockIdx.x) * TILE, channels = static_cast<size_t>(j.channels);
    float sum[OWN] = {};
    for (int first = 0; first < j.channels; first += TILE) {
        const int e = first + lane;
        __syncthreads();
        for (int k = warp; k < TILE; k += STEP_WARPS) {
            const size_t t = token + static_cast<size_t>(k), at = t * channels + static_cast<size_t>(e);
            slopes[lane * PITCH + k] = t < j.tokens && e < j.channels ? j.ddt[at] * -expm1f(-j.dt[at]) : 0.0f;
            weights[lane * WIDE + k] = rank + k < j.rank && e < j.channels
                                           ? j.weight[static_cast<size_t>(rank + k) * channels + static_cast<size_t>(e)]
                                           : 0.0f;
        }
        __syncthreads();
        for (int c = 0; c < TILE; c++) {
            float by = slopes[c * PITCH + lane];
            pack<float, OWN> w = load<float, OWN>(weights + c * WIDE + warp * OWN);
#pragma unroll
            for (int k = 0; k < OWN; k++)
                sum[k] += by * w.v[k];
        }
    }
    __syncthreads();
#pragma unroll
    for (int k = 0; k < OWN; k++)
        slopes[lane * PITCH + warp * OWN + k] = sum[k];
    __syncthreads();
    for (int k = warp; k < TILE; k += STEP_WARPS)
        if (token + static_cast<size_t>(k) < j.tokens && rank + lane < j.rank)
            static_cast<T *>(j.dproj)[(token + static_cast<size_t>(k)) * static_cast<size_t>(j.rank + SUMS) +
                                      static_cast<size_t>(rank + lane)] = from_float<T>(slopes[k * PITCH + lane]);
}

int channels_of(const scan_back_job &j)
{
    const size_t few = 640; /* as in scan.cu: more blocks of fewer channels would take longer */
    return static_cast<size_t>(j.windows) * blocks_of(j.channels, BLOCK / STATES) <= few ? BLOCK / STATES : BLOCK / 2;
}

}  // namespace

size_t scan_back_scratch(const scan_back_job &j)
{
    return j.ddt ? static_cast<size_t>(j.windows) * blocks_of(j.channels, channels_of(j)) *
                       static_cast<size_t>(j.tokens) * SUMS * sizeof(float)
                 : 0;
}

/* Windows are the y of the grid, which is 65535 at most: more need several launches. */
void launch_scan_back(const scan_back_job &job, float *scratch, cudaStream_t stream)
{
    const int most = 65535, each = channels_of(job);
    const unsigned across = blocks_of(job.channels, each);
    of_type(job.type, [&](auto t) {
        using T = decltype(t);
        for (int from = 0; from < job.windows; from += most) {
            scan_back_job j = job;
            const size_t tokens = static_cast<size_t>(from) * static_cast<size_t>(j.tokens),
                         values = tokens * static_cast<size_t>(j.channels),
                         columns = tokens * static_cast<size_t>(j.rank + SUMS);
            j.windows = job.windows - from < most ? job.windows - from : most;
            j.dx = static_cast<T *>(j.dx) + values;
            j.dyz = static_cast<const T *>(j.dyz) + 2 * values;
            j.x = static_cast<const T *>(j.x) + values;
            j.proj = static_cast<const T *>(j.proj) + columns;
            j.dt += values;
            j.dproj = j.dproj ? static_cast<T *>(j.dproj) + columns : nullptr;
            j.ddt = j.ddt ? j.ddt + values : nullptr;
            j.h = j.h ? j.h + values * STATES : nullptr;
            j.dh = j.dh ? j.dh + values * STATES : nullptr;
            auto go = [&](auto kernel) {
                mv_launch(kernel, dim3(across, static_cast<unsigned>(j.windows)), dim3(BLOCK),
                          TILE * SUMS * (1 + BLOCK_WARPS) * sizeof(float), stream, j, scratch);
            };
            if (each == BLOCK / STATES)
                j.ddt ? go(scan_back_kernel<T, STATES, false>) : go(scan_back_kernel<T, STATES, true>);
            else
                j.ddt ? go(scan_back_kernel<T, 2, false>) : go(scan_back_kernel<T, 2, true>);
            if (!j.ddt)
                continue;
            const size_t n = static_cast<size_t>(j.windows) * static_cast<size_t>(j.tokens) * SUMS;
            mv_launch(gather_sums_kernel<T>, dim3(static_cast<unsigned>(blocks_for(n, BLOCK))), dim3(BLOCK), 0, stream,
                      j, scratch, static_cast<int>(across), n);
        }
    });
}

void launch_step_back(const step_back_job &j, cudaStream_t stream)
{
    of_type(j.type, [&](auto t) {
        using T = decltype(t);
        mv_launch(step_back_kernel<T>,
                  dim3(static_cast<unsigned>(blocks_for(j.tokens, TILE)), blocks_of(j.rank, RANKS)),
                  dim3(STEP_WARPS * 32), static_cast<size_t>(TILE * (PITCH + WIDE)) * sizeof(float), stream, j);
    });
}

}  // namespace mv
