/* The selective scan of the mixer, its step sizes, and the readout of given states.
 *
 *   op           formula                                                launch              bytes moved
 *   step         softplus(r W^T + 2b)                                   as scan             proj, dt
 *   scan         h_t = exp(dt A) h_{t-1} + dt B x; y = C . h + D x      a thread a channel  x, proj, half of yz
 *   readout      y = C . h + D x from the given h                       a thread a channel  x, proj, h, half of yz
 *
 * Layouts: x (N T E), yz (N T 2E: y left, z right), proj (N T R+16: [r | B | C]), dt (N T E), h (N T E 8).
 * The scan (Gu & Dao 2023, equation 2, with the step's product inside) runs down the tokens of one window with a
 * channel's 8 states in registers. Tokens are processed in tiles of TILE: their proj is stored in shared memory as
 * fp32, and the steps of a tile are one small product (a weight is loaded once for TILE tokens), so that only h = a h +
 * u depends on the token before.
 */
#include "cuda/launch.h"

namespace mv
{

namespace
{

enum { TILE = 8, STATES = MV_STATES, CHANNELS = 64 };

/* A tile of proj as fp32 in shared memory; called by the whole block. */
template <class T> __device__ void load_tile(float *tile, const T *proj, int values)
{
    __syncthreads();
    for (int i = static_cast<int>(threadIdx.x); i < values; i += static_cast<int>(blockDim.x))
        tile[i] = to_float(proj[i]);
    __syncthreads();
}

/* Step sizes of one channel for the tokens of a tile */
__device__ void steps_of(float (&step)[TILE], const float *tile, int width, int rank, int count, const float *weight,
                         float bias, int channels)
{
#pragma unroll
    for (int k = 0; k < TILE; k++)
        step[k] = bias;
    for (int r = 0; r < rank; r++) {
        float w = weight[static_cast<size_t>(r) * static_cast<size_t>(channels)];
#pragma unroll
        for (int k = 0; k < TILE; k++)
            if (k < count)
                step[k] += w * tile[k * width + r];
    }
#pragma unroll
    for (int k = 0; k < TILE; k++)
        step[k] = softplus(step[k]);
}

template <class T> __global__ void scan_kernel(scan_job j)
{
    wait_for_inputs();
    MV_SHARED(float, tile); /* TILE x width */
    const T *x = static_cast<const T *>(j.x), *proj = static_cast<const T *>(j.proj);
    T *yz = static_cast<T *>(j.yz);
    int width = j.rank + 2 * STATES, e = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x);
    size_t channels = static_cast<size_t>(j.channels), first = blockIdx.y * static_cast<size_t>(j.tokens);
    bool real = e < j.channels;
    float a[STATES], h[STATES] = {}, d = 0, bias = 0;
    if (real) {
        d = j.D[e];
        bias = j.dt ? 0.0f : j.dt_bias[e];
#pragma unroll
        for (int s = 0; s < STATES; s++)
            a[s] = j.A[e * STATES + s] * 1.44269504088896341f; /* exp(x) = exp2(x log2 e) */
    }
    for (int from = 0; from < j.tokens; from += TILE) {
        int count = j.tokens - from < TILE ? j.tokens - from : TILE;
        size_t token = first + static_cast<size_t>(from);
        load_tile(tile, proj + token * static_cast<size_t>(width), count * width);
        if (!real)
            continue;
        float u[TILE], step[TILE];
#pragma unroll
        for (int k = 0; k < TILE; k++)
            u[k] = k < count ? to_float(x[(token + static_cast<size_t>(k)) * channels + static_cast<size_t>(e)]) : 0.0f;
        if (j.dt) {
#pragma unroll
            for (int k = 0; k < TILE; k++)
                step[k] = k < count ? j.dt[(token + static_cast<size_t>(k)) * channels + static_cast<size_t>(e)] : 0.0f;
        } else
            steps_of(step, tile, width, j.rank, count, j.dt_weight + e, bias, j.channels);
#pragma unroll
        for (int k = 0; k < TILE; k++)
            if (k < count) {
                const float *B = tile + k * width + j.rank, *C = B + STATES;
                float y = d * u[k], su = step[k] * u[k];
#pragma unroll
                for (int s = 0; s < STATES; s++) {
                    h[s] = exp2f(step[k] * a[s]) * h[s] + su * B[s];
                    y += C[s] * h[s];
                }
                size_t at = token + static_cast<size_t>(k);
                yz[at * 2 * channels + static_cast<size_t>(e)] = from_float<T>(y);
                if (j.h)
#pragma unroll
                    for (int s = 0; s < STATES; s += 4)
                        store<float, 4>(j.h + (at * channels + static_cast<size_t>(e)) * STATES + s,
                                        {{h[s], h[s + 1], h[s + 2], h[s + 3]}});
            }
    }
}

template <class T> __global__ void step_kernel(float *dt, scan_job j)
{
    wait_for_inputs();
    MV_SHARED(float, tile);
    int width = j.rank + 2 * STATES, e = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x),
        from = static_cast<int>(blockIdx.y) * TILE, all = j.windows * j.tokens,
        count = all - from < TILE ? all - from : TILE;
    load_tile(tile, static_cast<const T *>(j.proj) + static_cast<size_t>(from) * static_cast<size_t>(width),
              count * width);
    if (e >= j.channels)
        return;
    float step[TILE];
    steps_of(step, tile, width, j.rank, count, j.dt_weight + e, j.dt_bias[e], j.channels);
#pragma unroll
    for (int k = 0; k < TILE; k++)
        if (k < count)
            dt[static_cast<size_t>(from + k) * static_cast<size_t>(j.channels) + static_cast<size_t>(e)] = step[k];
}

template <class T> __global__ void readout_kernel(scan_job j, size_t n)
{
    wait_for_inputs();
    size_t i = static_cast<size_t>(blockIdx.x) * blockDim.x + threadIdx.x;
    if (i >= n)
        return;
    size_t channels = static_cast<size_t>(j.channels), token = i / channels, e = i % channels;
    const T *C = static_cast<const T *>(j.proj) + token * static_cast<size_t>(j.rank + 2 * STATES) +
                 static_cast<size_t>(j.rank + STATES);
    float y = j.D[e] * to_float(static_cast<const T *>(j.x)[i]);
    for (int s = 0; s < STATES; s++)
        y += to_float(C[s]) * j.h[i * STATES + static_cast<size_t>(s)];
    static_cast<T *>(j.yz)[token * 2 * channels + e] = from_float<T>(y);
}

unsigned groups_of(int channels)
{
    return static_cast<unsigned>(blocks_for(static_cast<size_t>(channels), CHANNELS));
}

size_t tile_bytes(const scan_job &j)
{
    return TILE * static_cast<size_t>(j.rank + 2 * STATES) * sizeof(float);
}

}  // namespace

/* Windows are the y of the grid, which is 65535 at most: more need several launches. */
void launch_scan(const scan_job &job, cudaStream_t stream)
{
    const int most = 65535;
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
            mv_launch(scan_kernel<T>, dim3(groups_of(j.channels), static_cast<unsigned>(j.windows)), dim3(CHANNELS),
                      tile_bytes(j), stream, j);
        }
    });
}

void launch_step(float *dt, const scan_job &job, cudaStream_t stream)
{
    const int most = 65535 * TILE; /* tokens of one grid */
    of_type(job.type, [&](auto t) {
        using T = decltype(t);
        int all = job.windows * job.tokens;
        for (int from = 0; from < all; from += most) {
            scan_job j = job;
            j.windows = all - from < most ? all - from : most;
            j.tokens = 1;
            j.proj =
                static_cast<const T *>(j.proj) + static_cast<size_t>(from) * static_cast<size_t>(j.rank + 2 * STATES);
            mv_launch(
                step_kernel<T>,
                dim3(groups_of(j.channels), static_cast<unsigned>(blocks_for(static_cast<size_t>(j.windows), TILE))),
                dim3(CHANNELS), tile_bytes(j), stream, dt + static_cast<size_t>(from) * static_cast<size_t>(j.channels),
                j);
        }
    });
}

void launch_readout(const scan_job &j, cudaStream_t stream)
{
    const int block = 256;
    size_t n = static_cast<size_t>(j.windows) * static_cast<size_t>(j.tokens) * static_cast<size_t>(j.channels);
    of_type(j.type, [&](auto t) {
        using T = decltype(t);
        mv_launch(readout_kernel<T>, dim3(static_cast<unsigned>(blocks_for(n, block))), dim3(block), 0, stream, j, n);
    });
}

}  // namespace mv
