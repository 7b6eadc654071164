/* out = act(x w^T + bias) + residual for shapes that cuBLASLt has no kernel for: a side of 1, or rows of 16-bit values
 * that begin at any even address. Sums are fp32 in the order of k, on the plain cores.
 *
 *   launch   a block of 256 threads computes 64 rows x 64 columns, a thread 4 x 4 of them, in steps of 16 of k; w is
 *            (n k), or (k n) if it is turned
 *   bytes    x is read n / 64 times, w rows / 64 times; both pass through shared memory as fp32, k first
 */
#include "cuda/launch.h"
#include "cuda/library.h"

namespace mv
{

namespace
{

enum { TILE = 64, STEP = 16, PITCH = TILE + 4, OWN = 4, SIDE = TILE / OWN };

/* STEP columns of TILE rows from `first` on, turned; zeros outside */
template <class T>
__device__ void take(float *to, const T *from, size_t first, size_t rows, int column, int columns, int thread)
{
    for (int i = thread; i < TILE * STEP; i += SIDE * SIDE) {
        int r = i / STEP, c = i % STEP;
        bool inside = first + static_cast<size_t>(r) < rows && column + c < columns;
        to[c * PITCH + r] =
            inside ? to_float(load<T, 1>(from + (first + static_cast<size_t>(r)) * static_cast<size_t>(columns) +
                                         static_cast<size_t>(column + c))
                                  .v[0])
                   : 0.0f;
    }
}

/* The same from a matrix (columns rows) that is turned already */
template <class T>
__device__ void take_turned(float *to, const T *from, size_t first, size_t rows, int column, int columns, int thread)
{
    for (int i = thread; i < TILE * STEP; i += SIDE * SIDE) {
        int r = i % TILE, c = i / TILE;
        bool inside = first + static_cast<size_t>(r) < rows && column + c < columns;
        to[c * PITCH + r] =
            inside
                ? to_float(
                      load<T, 1>(from + static_cast<size_t>(column + c) * rows + first + static_cast<size_t>(r)).v[0])
                : 0.0f;
    }
}

template <class T, class O, bool TURNED> __global__ void __launch_bounds__(SIDE *SIDE) product_kernel(product p)
{
    wait_for_inputs();
    MV_SHARED(float, xs);
    float *ws = xs + STEP * PITCH;
    const int thread = static_cast<int>(threadIdx.x), tx = thread % SIDE, ty = thread / SIDE;
    const size_t row = static_cast<size_t>(blockIdx.x) * TILE, column = static_cast<size_t>(blockIdx.y) * TILE,
                 n = static_cast<size_t>(p.n);
    float sum[OWN][OWN] = {};
    for (int k = 0; k < p.k; k += STEP) {
        take(xs, static_cast<const T *>(p.x), row, p.rows, k, p.k, thread);
        if constexpr (TURNED)
            take_turned(ws, static_cast<const T *>(p.w), column, n, k, p.k, thread);
        else
            take(ws, static_cast<const T *>(p.w), column, n, k, p.k, thread);
        __syncthreads();
        for (int i = 0; i < STEP; i++) {
            pack<float, OWN> x = load<float, OWN>(xs + i * PITCH + ty * OWN),
                             w = load<float, OWN>(ws + i * PITCH + tx * OWN);
            for (int r = 0; r < OWN; r++)
                for (int c = 0; c < OWN; c++)
                    sum[r][c] += x.v[r] * w.v[c];
        }
        __syncthreads();
    }
    const O *bias = static_cast<const O *>(p.bias), *residual = static_cast<const O *>(p.residual);
    for (int r = 0; r < OWN; r++)
        for (int c = 0; c < OWN; c++) {
            size_t y = row + static_cast<size_t>(ty * OWN + r), x = column + static_cast<size_t>(tx * OWN + c);
            if (y >= p.rows || x >= n)
                continue;
            float v = sum[r][c] + (bias ? to_float(bias[x]) : 0.0f);
            v = activated(v, p.act);
            if (residual)
                v += to_float(residual[y * n + x]);
            static_cast<O *>(p.out)[y * n + x] = from_float<O>(v);
        }
}

}  // namespace

void launch_product(const product &p, cudaStream_t stream)
{
    dim3 grid(static_cast<unsigned>(blocks_for(p.rows, TILE)),
              static_cast<unsigned>(blocks_for(static_cast<size_t>(p.n), TILE)));
    of_type(p.type, [&](auto t) {
        using T = decltype(t);
        auto go = [&](auto kernel) {
            mv_launch(kernel, grid, dim3(SIDE * SIDE), 2 * STEP * PITCH * sizeof(float), stream, p);
        };
        if (p.turned)
            p.out_type == MV_F32 ? go(product_kernel<T, float, true>) : go(product_kernel<T, T, true>);
        else
            p.out_type == MV_F32 ? go(product_kernel<T, float, false>) : go(product_kernel<T, T, false>);
    });
}

}  // namespace mv
