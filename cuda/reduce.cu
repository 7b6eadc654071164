/* Reductions of watched values, so that maps and not tensors are copied to the host.
 *
 *   op          formula                                             launch                        bytes moved
 *   follow      to_j = sum_i from_i A_ij, with A or (A + I) / 2     8 warps by 256 columns        rows (+ rows: sums)
 *   roll        (A / row sums + I) / 2 times a matrix               a tile of 32 x 32 a block     T/16 of both + out
 *   mean_heads  mean over heads of A                                a thread 16 bytes             rows + out
 *   measure     entropy, distance and padding of a row              a warp a row                  rows
 *   state_norm  |h_t| over all channels and states                  a warp a token                h
 *   hidden      mean_e |C_i . g|, g = exp(dt_i A) g from dt_j B_j   8 warps by 32 columns         dt T/64 + out E/32
 *
 * Layouts: rows A (N heads T T), to (N heads T), from (W T), figures (N heads T 3), h (N T E 8), dt (N T E), hidden's
 * out (N T T); all fp32 but proj (N T R+16). Sums have a fixed order: results are bit-equal from run to run.
 *
 * hidden (arXiv 2403.01590) runs down the rows i with the states of 32 columns x 4 channels in a warp's registers; a
 * block processes the 32 channels of its 8 warps at a time, and adds to the sums of the channels before in out.
 */
#include "cuda/launch.h"

namespace mv
{

namespace
{

enum { WARPS = 8, COLUMNS = 256, STATES = MV_STATES };

/* Shared memory holds a row of column sums for each warp; a warp processes every 8th row of A. */
__global__ void follow_kernel(float *to, const float *rows, const float *from, int heads, int windows, int tokens,
                              mv_rows_form form)
{
    wait_for_inputs();
    MV_SHARED(float, part); /* WARPS x COLUMNS */
    int lane = static_cast<int>(threadIdx.x), warp = static_cast<int>(threadIdx.y),
        first = static_cast<int>(blockIdx.y) * COLUMNS, columns = tokens - first < COLUMNS ? tokens - first : COLUMNS;
    size_t head = blockIdx.x, window = head / at(heads) % at(windows), T = at(tokens);
    float *sum = part + warp * COLUMNS;
    for (int j = lane; j < columns; j += 32)
        sum[j] = 0;
    for (int i = warp; i < tokens; i += WARPS) {
        float weight = from[window * T + at(i)];
        if (weight == 0)
            continue;
        const float *row = rows + (head * T + at(i)) * T;
        bool residual = form == MV_ROWS_RESIDUAL;
        if (form != MV_ROWS_GIVEN) { /* with I: from_i / 2 over the sum of the row, (sum + 1) / 2 */
            float all = 0;
            for (int j = lane; j < tokens; j += 32)
                all += row[j];
            all = warp_sum(all) + (residual ? 1.0f : 0.0f);
            weight = all == 0 ? 0.0f : weight / all;
        }
        for (int j = lane; j < columns; j += 32)
            sum[j] += weight * (row[first + j] + (residual && first + j == i ? 1.0f : 0.0f));
    }
    __syncthreads();
    for (int j = warp * 32 + lane; j < columns; j += WARPS * 32) {
        float all = 0;
        for (int w = 0; w < WARPS; w++)
            all += part[w * COLUMNS + j];
        to[head * T + at(first + j)] = all;
    }
}

/* A tile of SIDE x SIDE values a block, of which a thread has SIDE / WARPS; the sums of the rows on the way. */
enum { SIDE = 32, MINE = SIDE / WARPS };

__global__ void roll_kernel(float *out, const float *rows, const float *before, int tokens, int tiles)
{
    wait_for_inputs();
    MV_SHARED(float, memory);
    float *a = memory, *b = a + SIDE * SIDE;
    int lane = static_cast<int>(threadIdx.x), warp = static_cast<int>(threadIdx.y),
        tile = static_cast<int>(blockIdx.x % static_cast<unsigned>(tiles * tiles)), top = tile / tiles * SIDE,
        k = tile % tiles * SIDE + lane;
    size_t T = at(tokens), matrix = blockIdx.x / static_cast<unsigned>(tiles * tiles) * T * T;
    float product[MINE] = {}, sum[MINE] = {};
    for (int from = 0; from < tokens; from += SIDE) {
        for (int r = warp; r < SIDE; r += WARPS) {
            a[r * SIDE + lane] =
                top + r < tokens && from + lane < tokens ? rows[matrix + at(top + r) * T + at(from + lane)] : 0.0f;
            b[r * SIDE + lane] =
                before && from + r < tokens && k < tokens ? before[matrix + at(from + r) * T + at(k)] : 0.0f;
        }
        __syncthreads();
        for (int j = 0; j < SIDE; j++)
#pragma unroll
            for (int m = 0; m < MINE; m++) {
                float v = a[(warp + m * WARPS) * SIDE + j];
                sum[m] += v;
                product[m] += v * b[j * SIDE + lane];
            }
        __syncthreads();
    }
    for (int m = 0; m < MINE; m++) {
        int i = top + warp + m * WARPS;
        if (i >= tokens || k >= tokens)
            continue;
        size_t to = matrix + at(i) * T + at(k);
        bool empty = sum[m] == 0;
        float value = before ? product[m] : rows[to], own = before ? before[to] : (i == k ? 1.0f : 0.0f);
        out[to] = empty ? own : 0.5f * (value / sum[m] + own);
    }
}

template <int N>
__global__ void mean_heads_kernel(float *out, const float *rows, int heads, size_t packs, size_t matrix)
{
    wait_for_inputs();
    size_t i = static_cast<size_t>(blockIdx.x) * blockDim.x + threadIdx.x;
    if (i >= packs)
        return;
    size_t window = i * N / matrix, first = i * N % matrix;
    const float *from = rows + window * at(heads) * matrix + first;
    pack<float, N> sum = {};
    for (int h = 0; h < heads; h++) {
        pack<float, N> a = load<float, N>(from + at(h) * matrix);
#pragma unroll
        for (int k = 0; k < N; k++)
            sum.v[k] += a.v[k];
    }
#pragma unroll
    for (int k = 0; k < N; k++)
        sum.v[k] /= static_cast<float>(heads);
    store<float, N>(out + i * N, sum);
}

/* The layout of rows on a picture: windows of side x side tokens, `across` of them in a row, over h x w cells */
struct grid_job {
    int heads, tokens, side, h, w, down, across;
};

/* t / side for t below 2^20 */
__device__ inline int row_of(int t, float per_side)
{
    return static_cast<int>((static_cast<float>(t) + 0.5f) * per_side);
}

__global__ void measure_kernel(float *out, const float *rows, grid_job g, size_t n)
{
    wait_for_inputs();
    size_t i = static_cast<size_t>(blockIdx.x) * WARPS + threadIdx.y;
    bool real = i < n;
    if (!real)
        i = n - 1; /* whole warps at the sums */
    int lane = static_cast<int>(threadIdx.x), t = static_cast<int>(i % at(g.tokens)),
        window = static_cast<int>(i / at(g.tokens) / at(g.heads) % at(g.down * g.across)),
        below = g.h - window / g.across * g.side, right = g.w - window % g.across * g.side, y = t / g.side,
        x = t % g.side;
    const float *row = rows + i * at(g.tokens), per_side = 1.0f / static_cast<float>(g.side);
    float entropy = 0, distance = 0, padding = 0;
    for (int j = lane; j < g.tokens; j += 32) {
        float a = row[j];
        int v = row_of(j, per_side), u = j - v * g.side;
        entropy -= a > 0 ? a * logf(a) : 0.0f;
        distance += a * sqrtf(static_cast<float>((v - y) * (v - y) + (u - x) * (u - x)));
        padding += v < below && u < right ? 0.0f : a;
    }
    entropy = warp_sum(entropy);
    distance = warp_sum(distance);
    padding = warp_sum(padding);
    if (real && lane < 3)
        out[i * 3 + at(lane)] = lane == 0 ? entropy : lane == 1 ? distance : padding;
}

__global__ void state_norm_kernel(float *out, const float *h, size_t n, int values)
{
    wait_for_inputs();
    size_t i = static_cast<size_t>(blockIdx.x) * WARPS + threadIdx.y;
    bool real = i < n;
    if (!real)
        i = n - 1;
    const float *from = h + i * at(values);
    float sum = 0;
    for (int k = static_cast<int>(threadIdx.x) * 4; k < values; k += 128) {
        pack<float, 4> p = load<float, 4>(from + k);
        sum += p.v[0] * p.v[0] + p.v[1] * p.v[1] + p.v[2] * p.v[2] + p.v[3] * p.v[3];
    }
    sum = warp_sum(sum);
    if (real && threadIdx.x == 0)
        out[i] = sqrtf(sum);
}

/* ---- hidden attention */

enum { TILE = WARPS, EACH = 4, WIDE = 32 }; /* rows i at a time, one to sum for each warp; channels a warp; columns */
static_assert(EACH * STATES == WIDE, "a lane makes the factor of one channel and state");

struct hidden_job {
    float *out;
    const float *dt, *A;
    const void *proj;
    int tokens, channels, rank, tiles; /* tiles: of WIDE columns, in a window */
    int first, last;                   /* channels */
    bool with_sign;
};

/* The states that column j starts with: dt_j B_j */
template <class T>
__device__ inline void hidden_start(float (&g)[EACH][STATES], const float *dt, const T *B, int channels)
{
#pragma unroll
    for (int e = 0; e < EACH; e++)
#pragma unroll
        for (int s = 0; s < STATES; s++)
            g[e][s] = e < channels ? dt[e] * to_float(B[s]) : 0.0f;
}

/* |C_i . g|, or C_i . g, summed over a warp's EACH channels */
__device__ inline float hidden_value(const float (&g)[EACH][STATES], const float *C, bool with_sign)
{
    float sum = 0;
#pragma unroll
    for (int e = 0; e < EACH; e++) {
        float m = 0;
#pragma unroll
        for (int s = 0; s < STATES; s++)
            m += C[s] * g[e][s];
        sum += with_sign ? m : fabsf(m);
    }
    return sum;
}

template <class T> __global__ void __launch_bounds__(WARPS * 32) hidden_kernel(hidden_job p)
{
    wait_for_inputs();
    MV_SHARED(float, memory);
    float *factors = memory, *values = factors + WARPS * TILE * WIDE, *C = values + WARPS * TILE * WIDE;
    int lane = static_cast<int>(threadIdx.x), warp = static_cast<int>(threadIdx.y),
        first = static_cast<int>(blockIdx.x % static_cast<unsigned>(p.tiles)) * WIDE, j = first + lane,
        width = p.rank + 2 * STATES;
    size_t window = blockIdx.x / static_cast<unsigned>(p.tiles) * at(p.tokens), channels = at(p.channels);
    const T *proj = static_cast<const T *>(p.proj) + window * at(width) + at(p.rank);
    const float *dt = p.dt + window * channels;
    float *out = p.out + window * at(p.tokens), *factor = factors + warp * TILE * WIDE,
          *value = values + warp * TILE * WIDE;
    bool real = j < p.tokens;
    for (int i = warp; real && i < first; i += WARPS)
        out[at(i) * at(p.tokens) + at(j)] = 0;
    for (int base = p.first; base < p.last; base += WARPS * EACH) {
        int mine = base + warp * EACH, own = mine + lane / STATES; /* this lane's factor's channel */
        float a = own < p.last ? p.A[at(own) * STATES + at(lane % STATES)] * LOG2E : 0.0f;
        float g[EACH][STATES] = {};
        for (int from = first; from < p.tokens; from += TILE) {
            int count = p.tokens - from < TILE ? p.tokens - from : TILE;
            for (int k = 0; k < count; k++)
                factor[k * WIDE + lane] = own < p.last ? exp2f(dt[at(from + k) * channels + at(own)] * a) : 1.0f;
            int flat = warp * 32 + lane;
            if (flat < count * STATES)
                C[flat] = to_float(proj[at(from + flat / STATES) * at(width) + at(STATES + flat % STATES)]);
            __syncthreads();
#pragma unroll 2
            for (int k = 0; k < count; k++) {
                int i = from + k;
#pragma unroll
                for (int e = 0; e < EACH; e++)
#pragma unroll
                    for (int s = 0; s < STATES; s++)
                        g[e][s] *= factor[k * WIDE + e * STATES + s];
                if (i == j)
                    hidden_start(g, dt + at(j) * channels + at(mine), proj + at(j) * at(width), p.last - mine);
                value[k * WIDE + lane] = i < j ? 0.0f : hidden_value(g, C + k * STATES, p.with_sign);
            }
            __syncthreads();
            if (warp < count && real) { /* row `warp` of the tile: the same thread's for all channels */
                float *to = out + at(from + warp) * at(p.tokens) + at(j), sum = base > p.first ? *to : 0.0f;
                for (int w = 0; w < WARPS; w++)
                    sum += values[(w * TILE + warp) * WIDE + lane];
                *to = base + WARPS * EACH < p.last ? sum : sum / static_cast<float>(p.last - p.first);
            }
        }
    }
}

}  // namespace

void launch_follow(float *to, const float *rows, const float *from, int n, int heads, int windows, int tokens,
                   mv_rows_form form, cudaStream_t stream)
{
    mv_launch(follow_kernel,
              dim3(static_cast<unsigned>(n * heads), static_cast<unsigned>(blocks_for(at(tokens), COLUMNS))),
              dim3(32, WARPS), WARPS * COLUMNS * sizeof(float), stream, to, rows, from, heads, windows, tokens, form);
}

void launch_roll(float *out, const float *rows, const float *before, int windows, int tokens, cudaStream_t stream)
{
    int tiles = blocks_for(at(tokens), SIDE);
    mv_launch(roll_kernel, dim3(static_cast<unsigned>(windows * tiles * tiles)), dim3(32, WARPS),
              2 * SIDE * SIDE * sizeof(float), stream, out, rows, before, tokens, tiles);
}

void launch_mean_heads(float *out, const float *rows, int n, int heads, int tokens, cudaStream_t stream)
{
    const int block = 256;
    size_t matrix = at(tokens) * at(tokens), all = at(n) * matrix;
    auto go = [&](auto kernel, size_t lanes) {
        mv_launch(kernel, dim3(static_cast<unsigned>(blocks_for(all / lanes, block))), dim3(block), 0, stream, out,
                  rows, heads, all / lanes, matrix);
    };
    if (matrix % 4 == 0 && lanes_of<float>(4, {out, rows}) == 4)
        go(mean_heads_kernel<4>, 4);
    else
        go(mean_heads_kernel<1>, 1);
}

void launch_measure(float *out, const float *rows, int n, int heads, int tokens, int side, int h, int w,
                    cudaStream_t stream)
{
    size_t all = at(n) * at(heads) * at(tokens);
    mv_launch(measure_kernel, dim3(static_cast<unsigned>(blocks_for(all, WARPS))), dim3(32, WARPS), 0, stream, out,
              rows, grid_job{heads, tokens, side, h, w, (h + side - 1) / side, (w + side - 1) / side}, all);
}

void launch_state_norm(float *out, const float *h, int tokens, int channels, cudaStream_t stream)
{
    mv_launch(state_norm_kernel, dim3(static_cast<unsigned>(blocks_for(at(tokens), WARPS))), dim3(32, WARPS), 0, stream,
              out, h, at(tokens), channels * STATES);
}

void launch_hidden(float *out, const scan_job &job, int channel, bool with_sign, cudaStream_t stream)
{
    int tiles = blocks_for(at(job.tokens), WIDE);
    int first = channel < 0 ? 0 : channel, last = channel < 0 ? job.channels : channel + 1;
    hidden_job j = {out, job.dt, job.A, job.proj, job.tokens, job.channels, job.rank, tiles, first, last, with_sign};
    size_t bytes = (2 * WARPS * TILE * WIDE + TILE * STATES) * sizeof(float);
    of_type(job.type, [&](auto t) {
        mv_launch(hidden_kernel<decltype(t)>, dim3(static_cast<unsigned>(job.windows * tiles)), dim3(32, WARPS), bytes,
                  stream, j);
    });
}

}  // namespace mv
