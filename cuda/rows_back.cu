/* Work on rows of channels for gradients.
 *
 *   op              formula                                      launch                         bytes moved
 *   dot             sum of x y over a row; y may be one row      1 to 32 lanes a row            x + y
 *   activate_back   dy act'(x), or dy g(x) of act(x) = x g(x)    a thread 16 bytes              x + dy + dx
 *   layernorm_back  r (e - mean e - n mean(e n)) + residual      8, 16 or 32 lanes hold a       x + dy + residual + dx
 *                                                                row; several rows in turn
 *   mean_pool_back  dy scale / cells, for every cell             a thread 16 bytes, 8 cells     dx
 *
 * Layouts and statistics as in rows.cu.
 */
#include <algorithm>
#include <climits>
#include <type_traits>

#include "cuda/rows_impl.h"

namespace mv
{

namespace
{

enum { BLOCK = 256 };

/* ---- products of rows */

template <class T, int LANES> __global__ void __launch_bounds__(BLOCK) dot_kernel(dot_job j)
{
    constexpr int N = static_cast<int>(16 / sizeof(T)), GROUPS = BLOCK / LANES;
    wait_for_inputs();
    int lane = static_cast<int>(threadIdx.x) % LANES;
    size_t row = static_cast<size_t>(blockIdx.x) * GROUPS + threadIdx.x / LANES, c = static_cast<size_t>(j.c);
    const bool real = row < j.rows;
    row = real ? row : 0; /* whole warps at the sums */
    const T *x = static_cast<const T *>(j.x) + row * c, *y = static_cast<const T *>(j.y) + (j.one ? 0 : row * c);
    float sum = 0;
    for (int at = lane * N; at < j.c; at += LANES * N) {
        pack<T, N> p = load<T, N>(x + at), q = load<T, N>(y + at);
#pragma unroll
        for (int k = 0; k < N; k++) {
            float by = to_float(q.v[k]);
            sum += to_float(p.v[k]) * (j.positive && by < 0.0f ? 0.0f : by);
        }
    }
    sum = warp_sum<LANES>(sum);
    if (real && lane == 0)
        j.out[row] = sum;
}

/* Any types, widths and addresses; lanes: of a row, 1 or 32 */
__global__ void __launch_bounds__(BLOCK) dot_any(dot_job j, int lanes)
{
    wait_for_inputs();
    const int lane = static_cast<int>(threadIdx.x) % lanes;
    size_t row = static_cast<size_t>(blockIdx.x) * static_cast<size_t>(BLOCK / lanes) +
                 threadIdx.x / static_cast<unsigned>(lanes),
           c = static_cast<size_t>(j.c);
    const bool real = row < j.rows;
    row = real ? row : 0;
    float sum = 0;
    for (size_t i = static_cast<size_t>(lane); i < c; i += static_cast<size_t>(lanes)) {
        float by = value_at(j.y_type, j.y, j.one ? i : row * c + i);
        sum += value_at(j.x_type, j.x, row * c + i) * (j.positive && by < 0.0f ? 0.0f : by);
    }
    for (int d = lanes / 2; d; d /= 2)
        sum += __shfl_xor_sync(~0u, sum, d);
    if (real && lane == 0)
        j.out[row] = sum;
}

/* ---- activations */

/* For act(x) = x g(x): g(x) if held, else the derivative g + x g'; of ReLU 0 at 0. The tanh form's g' is 0 long before
 * its argument leaves the range of fp32. */
__device__ inline float slope(float x, mv_act act, bool held)
{
    float g = 1, rest = 0;
    switch (act) {
    case MV_ACT_RELU: return x > 0.0f ? 1.0f : x <= 0.0f ? 0.0f : x; /* keeps NaN */
    case MV_ACT_GELU:
        g = 0.5f * (1.0f + erff(x * 0.70710678118654752f));
        rest = x * 0.39894228040143268f * exp2_fast(-0.72134752044448170f * x * x);
        break;
    case MV_ACT_GELU_TANH: {
        g = reciprocal(1.0f + exp2_fast(x * (-2.30220819813f - 0.10294324f * x * x)));
        float near = fminf(fmaxf(x, -12.0f), 12.0f);
        rest = near * g * (1.0f - g) * (1.59576912160573071f + 0.21406144179769f * near * near);
        break;
    }
    default: return 1;
    }
    return held ? g : g + rest;
}

template <class T, int N> struct activation_of {
    T *dx;
    const T *dy, *x;
    bool held;
    size_t packs;
};

template <class T, int N, int ACT> __global__ void __launch_bounds__(BLOCK) activate_back_kernel(activation_of<T, N> j)
{
    wait_for_inputs();
    size_t i = static_cast<size_t>(blockIdx.x) * BLOCK + threadIdx.x;
    if (i >= j.packs)
        return;
    pack<T, N> from = load<T, N>(j.x + i * N), dy = load<T, N>(j.dy + i * N), to;
#pragma unroll
    for (int k = 0; k < N; k++)
        to.v[k] = from_float<T>(to_float(dy.v[k]) * slope(to_float(from.v[k]), static_cast<mv_act>(ACT), j.held));
    store_global<T, N>(j.dx + i * N, to);
}

/* ---- layer norm */

template <class T> struct norm_of {
    T *dx;
    const T *dy, *x, *residual;
    const float *weight;
    float eps, share;
    bool held;
    int rows, c;
};

/* Blocks of a multiprocessor, as of rows.cu's layernorm_kernel but where registers would not do */
template <class T> constexpr int norm_blocks(int packs)
{
    return sizeof(T) == 4 && packs == 8 ? 3 : blocks_at_once(packs, static_cast<int>(16 / sizeof(T)));
}

/* As rows.cu's layernorm_kernel */
template <class T, int LANES, int PACKS, bool WHOLE>
__global__ void __launch_bounds__(WARPS * 32, norm_blocks<T>(PACKS)) layernorm_back_kernel(norm_of<T> j)
{
    constexpr int N = static_cast<int>(16 / sizeof(T)), GROUPS = 32 / LANES;
    int lane = static_cast<int>(threadIdx.x) % LANES, group = static_cast<int>(threadIdx.x) / LANES;
    float w[PACKS][N];
#pragma unroll
    for (int k = 0; k < PACKS; k++) {
        int at = (k * LANES + lane) * N;
        if (WHOLE || at < j.c)
            load_vector<N>(w[k], j.weight + at);
    }
    wait_for_inputs();
    int step = static_cast<int>(gridDim.x) * WARPS * GROUPS;
    for (int first = static_cast<int>(blockIdx.x * WARPS + threadIdx.y) * GROUPS; first < j.rows; first += step) {
        int row = first + group;
        bool real = row < j.rows;
        size_t start = static_cast<size_t>(real ? row : j.rows - 1) * static_cast<size_t>(j.c);
        float n[PACKS][N], e[PACKS][N], sum = 0, sum_e = 0, square = 0, both = 0;
#pragma unroll
        for (int k = 0; k < PACKS; k++) {
            int at = (k * LANES + lane) * N;
            pack<T, N> p = {}, q = {};
            if (WHOLE || at < j.c) {
                p = load<T, N>(j.x + start + at);
                q = load<T, N>(j.dy + start + at);
            }
#pragma unroll
            for (int i = 0; i < N; i++) {
                sum += n[k][i] = to_float(p.v[i]);
                sum_e += e[k][i] = WHOLE || at < j.c ? to_float(q.v[i]) * w[k][i] : 0.0f;
            }
        }
        float mean = warp_sum<LANES>(sum) * j.share, mean_e = warp_sum<LANES>(sum_e) * j.share;
#pragma unroll
        for (int k = 0; k < PACKS; k++)
            if (WHOLE || (k * LANES + lane) * N < j.c)
#pragma unroll
                for (int i = 0; i < N; i++) {
                    n[k][i] -= mean;
                    square += n[k][i] * n[k][i];
                    both += n[k][i] * e[k][i];
                }
        float r = rsqrtf(warp_sum<LANES>(square) * j.share + j.eps), turn = warp_sum<LANES>(both) * j.share * r * r;
        if (!real)
            continue;
#pragma unroll
        for (int k = 0; k < PACKS; k++) {
            int at = (k * LANES + lane) * N;
            if (!WHOLE && at >= j.c)
                continue;
            pack<T, N> onto = {}, to;
            if (j.residual)
                onto = load<T, N>(j.residual + start + at);
#pragma unroll
            for (int i = 0; i < N; i++) {
                float v = e[k][i] - mean_e;
                if (!j.held)
                    v -= n[k][i] * turn;
                to.v[i] = from_float<T>(v * r + to_float(onto.v[i]));
            }
            store_global<T, N>(j.dx + start + at, to);
        }
    }
}

/* Rows too long for registers, or of odd widths, are read three times. */
template <class T> __global__ void layernorm_back_long(norm_of<T> j)
{
    wait_for_inputs();
    int row = static_cast<int>(blockIdx.x * blockDim.y + threadIdx.y), lane = static_cast<int>(threadIdx.x);
    bool real = row < j.rows;
    size_t start = static_cast<size_t>(real ? row : j.rows - 1) * static_cast<size_t>(j.c);
    const T *x = j.x + start, *dy = j.dy + start;
    float sum = 0, sum_e = 0, square = 0, both = 0;
    for (int i = lane; i < j.c; i += 32) {
        sum += to_float(x[i]);
        sum_e += to_float(dy[i]) * j.weight[i];
    }
    float mean = warp_sum(sum) * j.share, mean_e = warp_sum(sum_e) * j.share;
    for (int i = lane; i < j.c; i += 32) {
        float n = to_float(x[i]) - mean;
        square += n * n;
        both += n * to_float(dy[i]) * j.weight[i];
    }
    float r = rsqrtf(warp_sum(square) * j.share + j.eps), turn = j.held ? 0.0f : warp_sum(both) * j.share * r * r;
    for (int i = lane; real && i < j.c; i += 32) {
        float v = to_float(dy[i]) * j.weight[i] - mean_e;
        if (!j.held)
            v -= (to_float(x[i]) - mean) * turn;
        j.dx[start + static_cast<size_t>(i)] =
            from_float<T>(v * r + (j.residual ? to_float(j.residual[start + static_cast<size_t>(i)]) : 0.0f));
    }
}

template <class T, int LANES, int PACKS, bool WHOLE> bool launch_held(const norm_of<T> &j, cudaStream_t stream)
{
    constexpr int N = static_cast<int>(16 / sizeof(T)), MOST = LANES * PACKS * N;
    if (WHOLE ? j.c != MOST : j.c > MOST)
        return false;
    mv_launch(layernorm_back_kernel<T, LANES, PACKS, WHOLE>, blocks_in_turns<LANES, PACKS, N>(j.rows), dim3(32, WARPS),
              0, stream, j);
    return true;
}

template <class T> bool launch_width(const norm_of<T> &j, cudaStream_t stream)
{
    if constexpr (sizeof(T) == 2)
        return launch_held<T, 8, 5, true>(j, stream) ||   /* 320: T */
               launch_held<T, 16, 5, true>(j, stream) ||  /* 640 */
               launch_held<T, 32, 2, false>(j, stream) || /* to 512 */
               launch_held<T, 32, 4, false>(j, stream) || /* to 1024 */
               launch_held<T, 32, 8, false>(j, stream);   /* to 2048 */
    else
        return launch_held<T, 16, 5, true>(j, stream) || launch_held<T, 32, 5, true>(j, stream) ||
               launch_held<T, 32, 4, false>(j, stream) || launch_held<T, 32, 8, false>(j, stream) ||
               launch_held<T, 32, 16, false>(j, stream);
}

/* ---- the mean over cells */

enum { CELLS = 8 }; /* of a thread */

template <class T, int N> struct pool_of {
    T *dx;
    const T *dy;
    const float *scale;
    float share;
    int cells, c;
    size_t threads;
    divider packs, runs; /* of a row; of CELLS cells of a picture */
};

template <class T, int N> __global__ void __launch_bounds__(BLOCK) mean_pool_back_kernel(pool_of<T, N> j)
{
    wait_for_inputs();
    size_t i = static_cast<size_t>(blockIdx.x) * BLOCK + threadIdx.x;
    if (i >= j.threads)
        return;
    unsigned run = j.packs.quotient(static_cast<unsigned>(i)), picture = j.runs.quotient(run);
    int c = static_cast<int>(static_cast<unsigned>(i) - run * j.packs.by) * N,
        first = static_cast<int>(run - picture * j.runs.by) * CELLS,
        count = j.cells - first < CELLS ? j.cells - first : CELLS;
    size_t width = static_cast<size_t>(j.c);
    pack<T, N> dy = load<T, N>(j.dy + picture * width + c), to;
#pragma unroll
    for (int k = 0; k < N; k++)
        to.v[k] = from_float<T>(to_float(dy.v[k]) * (j.scale ? j.scale[c + k] : 1.0f) * j.share);
    T *dx =
        j.dx + (static_cast<size_t>(picture) * static_cast<size_t>(j.cells) + static_cast<size_t>(first)) * width + c;
    for (int cell = 0; cell < count; cell++, dx += width)
        store_global<T, N>(dx, to);
}

dim3 grid_of(size_t n)
{
    return dim3(static_cast<unsigned>(blocks_for(n, BLOCK)));
}

}  // namespace

void launch_dot(const dot_job &j, cudaStream_t stream)
{
    bool wide = false;
    of_type(j.x_type, [&](auto t) {
        using T = decltype(t);
        const int n = static_cast<int>(16 / sizeof(T));
        wide = j.x_type == j.y_type && lanes_of<T>(j.c, {j.x, j.y}) == n;
        if (!wide)
            return;
        auto go = [&](auto kernel, int lanes) {
            mv_launch(kernel, dim3(static_cast<unsigned>(blocks_for(j.rows, BLOCK / lanes))), dim3(BLOCK), 0, stream,
                      j);
        };
        if (j.c <= 4 * n)
            go(dot_kernel<T, 2>, 2);
        else if (j.c <= 32 * n)
            go(dot_kernel<T, 8>, 8);
        else
            go(dot_kernel<T, 32>, 32);
    });
    const int lanes = j.c < 32 ? 1 : 32;
    if (!wide)
        mv_launch(dot_any, dim3(static_cast<unsigned>(blocks_for(j.rows, BLOCK / lanes))), dim3(BLOCK), 0, stream, j,
                  lanes);
}

void launch_activate_back(mv_dtype type, void *dx, const void *dy, const void *x, mv_act act, bool held, size_t n,
                          cudaStream_t stream)
{
    of_type(type, [&](auto t) {
        using T = decltype(t);
        constexpr int N = static_cast<int>(16 / sizeof(T));
        auto go = [&](auto kernel, auto lanes) {
            constexpr int EACH = decltype(lanes)::value;
            mv_launch(kernel, grid_of(n / EACH), dim3(BLOCK), 0, stream,
                      activation_of<T, EACH>{static_cast<T *>(dx), static_cast<const T *>(dy),
                                             static_cast<const T *>(x), held, n / EACH});
        };
        auto of_act = [&](auto lanes) {
            constexpr int EACH = decltype(lanes)::value;
            if (act == MV_ACT_RELU)
                go(activate_back_kernel<T, EACH, MV_ACT_RELU>, lanes);
            else if (act == MV_ACT_GELU)
                go(activate_back_kernel<T, EACH, MV_ACT_GELU>, lanes);
            else if (act == MV_ACT_GELU_TANH)
                go(activate_back_kernel<T, EACH, MV_ACT_GELU_TANH>, lanes);
            else
                go(activate_back_kernel<T, EACH, MV_ACT_NONE>, lanes);
        };
        const bool wide = lanes_of<T>(static_cast<int>(n % static_cast<size_t>(N)), {dx, dy, x}) == N;
        if (wide)
            of_act(std::integral_constant<int, N>{});
        else
            of_act(std::integral_constant<int, 1>{});
    });
}

void launch_layernorm_back(const layernorm_back_job &j, cudaStream_t stream)
{
    of_type(j.type, [&](auto t) {
        using T = decltype(t);
        const norm_of<T> own = {static_cast<T *>(j.dx),
                                static_cast<const T *>(j.dy),
                                static_cast<const T *>(j.x),
                                static_cast<const T *>(j.residual),
                                j.weight,
                                j.eps,
                                1.0f / static_cast<float>(j.c),
                                j.held,
                                j.rows,
                                j.c};
        if (lanes_of<T>(j.c, {j.dx, j.dy, j.x, j.residual, j.weight}) == 1 || !launch_width<T>(own, stream))
            mv_launch(layernorm_back_long<T>,
                      dim3(static_cast<unsigned>(blocks_for(static_cast<size_t>(j.rows), WARPS))), dim3(32, WARPS), 0,
                      stream, own);
    });
}

/* In launches of so many pictures that threads are counted in 31 bits */
void launch_mean_pool_back(mv_dtype type, void *dx, const void *dy, const float *scale, int pictures, int cells, int c,
                           cudaStream_t stream)
{
    of_type(type, [&](auto t) {
        using T = decltype(t);
        constexpr int N = static_cast<int>(16 / sizeof(T));
        auto go = [&](auto kernel, auto lanes) {
            constexpr int EACH = decltype(lanes)::value;
            const int packs = c / EACH, runs = blocks_for(static_cast<size_t>(cells), CELLS),
                      most = INT_MAX / packs / runs;
            const size_t width = static_cast<size_t>(c);
            for (int first = 0; first < pictures; first += most) {
                const size_t at = static_cast<size_t>(first) * width,
                             threads = static_cast<size_t>(std::min(most, pictures - first)) *
                                       static_cast<size_t>(packs) * static_cast<size_t>(runs);
                mv_launch(kernel, grid_of(threads), dim3(BLOCK), 0, stream,
                          pool_of<T, EACH>{static_cast<T *>(dx) + at * static_cast<size_t>(cells),
                                           static_cast<const T *>(dy) + at, scale, 1.0f / static_cast<float>(cells),
                                           cells, c, threads, divider(packs), divider(runs)});
            }
        };
        if (lanes_of<T>(c, {dx, dy}) == N)
            go(mean_pool_back_kernel<T, N>, std::integral_constant<int, N>{});
        else
            go(mean_pool_back_kernel<T, 1>, std::integral_constant<int, 1>{});
    });
}

}  // namespace mv
