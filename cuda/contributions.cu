/* What can be known of a mixer beyond its output: half-lives, and what each token contributes.
 *
 *   op         formula                                               launch                       bytes moved
 *   half_life  median of ln 2 / (dt |A|)                             a warp a token               dt E/32 a bit
 *   spread     [P x0 | 0] and [0 | Z z0] of a query, token by token  a thread a query, channel    rows + xz, dt a query
 *   weigh      norms of the vectors of a query                       a block a query              vectors (+ 6 rows)
 *
 * Layouts: dt (N T E), xz (N T 2E), proj (N T R+16: [r | B | C]), rows and vectors packed as backend.h says.
 *
 * spread (after LaTIM, arXiv 2502.15612) walks from the query back over the tokens j with w_s = C_i[s] exp(sum of dt A
 * from j + 1 to i) of one channel in registers; a token's row needs M[i,j] of three neighbours, which are kept.
 */
#include "cuda/launch.h"

namespace mv
{

namespace
{

enum { WARPS = 8, CHANNELS = 64, STATES = MV_STATES, MOST = 0x7f800000 /* the bits of infinity */ };

/* ---- half-life */

/* Rates dt |A| are not negative, so their bits are in the order of their values. */
__device__ inline float rate_of(const float *dt, const float *A, int i)
{
    return fabsf(dt[i / STATES] * A[i]);
}

/* How many of a token's n rates are below `limit`; the same in every lane. A NaN is not below infinity. */
__device__ int rates_below(const float *dt, const float *A, int n, float limit)
{
    int below = 0;
    for (int i = static_cast<int>(threadIdx.x); i < n; i += 32)
        below += rate_of(dt, A, i) < limit;
    return warp_sum(below);
}

__device__ inline float float_of(int bits)
{
    float f;
    memcpy(&f, &bits, sizeof f);
    return f;
}

/* dt and A begin at the first channel; n: values of a token. */
__global__ void half_life_kernel(float *out, const float *dt, const float *A, size_t tokens, int channels, int n)
{
    wait_for_inputs();
    size_t t = static_cast<size_t>(blockIdx.x) * WARPS + threadIdx.y;
    bool real = t < tokens;
    if (!real)
        t = tokens - 1; /* whole warps at the sums */
    const float *own = dt + t * at(channels);
    int odd = 0, low = 0, rank = n / 2 - 1, lane = static_cast<int>(threadIdx.x);
    for (int i = lane; i < n; i += 32) {
        float r = rate_of(own, A, i);
        odd += r != r; /* NaN */
    }
    odd = warp_sum(odd);
    for (int bit = 30; bit >= 0; bit--) { /* the rate of this rank, from the highest bit down */
        int more = low | 1 << bit;
        if (more <= MOST && rates_below(own, A, n, float_of(more)) <= rank)
            low = more;
    }
    float a = float_of(low), above = float_of(MOST);
    int upto = 0;
    for (int i = lane; i < n; i += 32) {
        float r = rate_of(own, A, i);
        upto += r <= a;
        above = r > a ? fminf(above, r) : above;
    }
    upto = warp_sum(upto);
    above = warp_min(above);
    float b = upto > n / 2 ? a : above;
    if (real && lane == 0)
        out[t] = odd ? float_of(MOST + 1) : 0.5f * (0.69314718055994531f / a + 0.69314718055994531f / b);
}

/* ---- spread */

/* Rows of the queries before i: mv_spread_rows, none of them being the last one of the window */
__device__ inline size_t rows_before(int first, int i)
{
    size_t n = at(i - first);
    return n * 5 + n * at(first) + (n ? n * (n - 1) / 2 : 0);
}

__device__ inline float gate_of(float a)
{
    return 1.0f / (1.0f + expf(-a));
}

/* The gate of token t: xz is the channel's column of token 0. */
template <class T> __device__ float conv_gate(const T *xz, const float *w, int t, int tokens, size_t stride)
{
    float a = w[1] * to_float(xz[at(t) * stride]);
    if (t > 0)
        a += w[0] * to_float(xz[at(t - 1) * stride]);
    if (t + 1 < tokens)
        a += w[2] * to_float(xz[at(t + 1) * stride]);
    return gate_of(a);
}

template <class T> __global__ void spread_kernel(spread_job p, int groups)
{
    wait_for_inputs();
    int i = p.first + static_cast<int>(blockIdx.x / static_cast<unsigned>(groups)) % p.queries,
        c = static_cast<int>(blockIdx.x % static_cast<unsigned>(groups) * blockDim.x + threadIdx.x);
    size_t window = blockIdx.x / static_cast<unsigned>(groups) / static_cast<unsigned>(p.queries), e = at(p.channels),
           width = at(p.rank + 2 * STATES), stride = 2 * e;
    if (c >= p.channels)
        return;
    const T *x0 = static_cast<const T *>(p.xz) + window * at(p.tokens) * stride + at(c), *z0 = x0 + e,
            *proj = static_cast<const T *>(p.proj) + window * at(p.tokens) * width + at(p.rank);
    const float *dt = p.dt + window * at(p.tokens) * e + at(c), *wx = p.wx + c * MV_TAPS, *wz = p.wz + c * MV_TAPS;
    T *row = static_cast<T *>(p.rows) + (window * at(p.room) + rows_before(p.first, i)) * stride + at(c);
    const T zero = from_float<T>(0.0f);
    float a[STATES], w[STATES], m1 = 0, m2 = 0; /* m of the tokens j + 1 and j + 2 */
#pragma unroll
    for (int s = 0; s < STATES; s++) {
        a[s] = p.A[c * STATES + s] * LOG2E;
        w[s] = to_float(proj[at(i) * width + at(STATES + s)]);
    }
    for (int j = i; j >= -1; j--) {
        float m = 0;
        if (j >= 0) {
            float step = dt[at(j) * e];
#pragma unroll
            for (int s = 0; s < STATES; s++) {
                m += w[s] * to_float(proj[at(j) * width + at(s)]);
                w[s] *= exp2f(step * a[s]);
            }
            m = (m * step + (i == j ? p.D[c] : 0.0f)) * conv_gate(x0, wx, j, p.tokens, stride);
        }
        if (j + 1 < p.tokens) {
            T *to = row + at(j + 1) * stride;
            to[0] = from_float<T>((m2 * wx[0] + m1 * wx[1] + m * wx[2]) * to_float(x0[at(j + 1) * stride]));
            to[e] = zero;
        }
        m2 = m1;
        m1 = m;
    }
    float gate = conv_gate(z0, wz, i, p.tokens, stride);
    row += at(i + 2 < p.tokens ? i + 2 : p.tokens) * stride;
    for (int o = 0; o < MV_TAPS; o++, row += stride) {
        int k = i + o - 1;
        row[0] = zero;
        row[e] = k >= 0 && k < p.tokens ? from_float<T>(gate * wz[o] * to_float(z0[at(k) * stride])) : zero;
    }
}

/* Zeros in the rows after the last query of every window */
template <class T> __global__ void tail_kernel(T *rows, size_t used, size_t room, size_t width, size_t n)
{
    wait_for_inputs();
    size_t i = static_cast<size_t>(blockIdx.x) * blockDim.x + threadIdx.x, each = (room - used) * width;
    if (i < n)
        rows[(i / each * room + used) * width + i % each] = from_float<T>(0.0f);
}

/* ---- weigh */

/* |a + b| in every lane; b NULL: |a| */
__device__ float warp_norm(const float *a, const float *b, int n)
{
    float sum = 0;
    for (int k = static_cast<int>(threadIdx.x); k < n; k += 32) {
        float v = a[k] + (b ? b[k] : 0.0f);
        sum += v * v;
    }
    return sqrtf(warp_sum(sum));
}

/* The norms of the scan's vectors are summed warp by warp, in a fixed order. */
__global__ void weigh_kernel(float *out, float *parts, const float *vectors, int tokens, int channels, int room,
                             int first, int queries)
{
    wait_for_inputs();
    MV_SHARED(float, sum); /* a sum of each warp, then the norms of the z branch */
    int i = first + static_cast<int>(blockIdx.x) % queries, lane = static_cast<int>(threadIdx.x),
        warp = static_cast<int>(threadIdx.y), scanned = i + 2 < tokens ? i + 2 : tokens;
    size_t window = blockIdx.x / static_cast<unsigned>(queries), query = window * at(tokens) + at(i);
    const float *v = vectors + (window * at(room) + rows_before(first, i)) * at(channels),
                *z = v + at(scanned) * at(channels);
    float *row = out + query * at(tokens), scan = 0;
    for (int k = warp; k < tokens; k += WARPS) {
        float norm = 0, own = k < scanned ? warp_norm(v + at(k) * at(channels), nullptr, channels) : 0.0f;
        scan += own;
        if (k >= i - 1 && k <= i + 1) {
            const float *local = z + at(k - i + 1) * at(channels);
            norm = warp_norm(v + at(k) * at(channels), local, channels);
            own = warp_norm(local, nullptr, channels);
            if (lane == 0)
                sum[WARPS + k - i + 1] = own;
        } else
            norm = own;
        if (lane == 0)
            row[k] = norm;
    }
    if (lane == 0)
        sum[warp] = scan;
    __syncthreads();
    if (warp == 0 && lane == 0) {
        float all = 0, local = 0;
        for (int w = 0; w < WARPS; w++)
            all += sum[w];
        for (int o = 0; o < MV_TAPS; o++)
            local += i + o - 1 >= 0 && i + o - 1 < tokens ? sum[WARPS + o] : 0.0f;
        parts[query * 2] = all;
        parts[query * 2 + 1] = local;
    }
}

}  // namespace

void launch_half_life(float *out, const float *dt, const float *A, int tokens, int channels, int channel,
                      cudaStream_t stream)
{
    int first = channel < 0 ? 0 : channel, n = (channel < 0 ? channels : 1) * STATES;
    mv_launch(half_life_kernel, dim3(static_cast<unsigned>(blocks_for(at(tokens), WARPS))), dim3(32, WARPS), 0, stream,
              out, dt + first, A + at(first) * STATES, at(tokens), channels, n);
}

void launch_spread(const spread_job &j, cudaStream_t stream)
{
    const int block = 256, groups = blocks_for(at(j.channels), CHANNELS);
    size_t used = mv_spread_rows(j.tokens, j.first, j.queries), width = 2 * at(j.channels),
           tail = at(j.windows) * (at(j.room) - used) * width;
    of_type(j.type, [&](auto t) {
        using T = decltype(t);
        mv_launch(spread_kernel<T>, dim3(static_cast<unsigned>(groups * j.queries * j.windows)), dim3(CHANNELS), 0,
                  stream, j, groups);
        if (tail)
            mv_launch(tail_kernel<T>, dim3(static_cast<unsigned>(blocks_for(tail, block))), dim3(block), 0, stream,
                      static_cast<T *>(j.rows), used, at(j.room), width, tail);
    });
}

void launch_weigh(float *out, float *parts, const float *vectors, int windows, int tokens, int channels, int room,
                  int first, int queries, cudaStream_t stream)
{
    mv_launch(weigh_kernel, dim3(static_cast<unsigned>(windows * queries)), dim3(32, WARPS),
              (WARPS + MV_TAPS) * sizeof(float), stream, out, parts, vectors, tokens, channels, room, first, queries);
}

}  // namespace mv
