/* The selective scan of the mixer: h_t = exp(dt A) h_{t-1} + dt B x; y = C . h + D x; dt = softplus(r W^T + 2b) is
 * given or computed here.
 *
 *   op      launch                                         bytes moved
 *   scan    a block 32 channels of a window, or 8          x, proj (by each block), yz / 2; dt if given, h if stored
 *
 * Layouts: x (N T E), yz (N T 2E: y left, z right), proj (N T R+16: [r | B | C]), dt (N T E), h (N T E 8).
 *
 * A window is scanned (Gu & Dao 2023, equation 2) in tiles of its tokens. Two warps of a block scan a tile while one
 * other, or two, work ahead:
 *
 *   tile i + 2   is copied: proj and x to shared memory, without waiting
 *   tile i + 1   is prepared: the steps, beside step times x, and [B | C] as fp32. The product is the tensor cores' in
 *                16 bits
 *   tile i       is scanned: a channel has LANES threads, each with 8 / LANES of its states in registers, so only
 *                h = a h + u depends on the token before; each lane leaves its part of C . h
 *   tile i - 1   is stored: the parts and D x, rounded once, 16 bytes a thread
 *
 * A barrier a tile keeps them in step. Many windows take 2 lanes a channel: 51 instructions a token and channel for the
 * scan, of which 8 are exponentials, and 39 for the rest. Few windows would leave most of a GPU idle: they take 8
 * lanes, in blocks of 8 channels, which costs twice the instructions on eight times the threads. What is behind the end
 * of a window in its last tile is computed from whatever lies there, and not stored.
 */
#include "cuda/scan_impl.h"

namespace mv
{

namespace
{

/* What a block works on; pointers are those of its first window. */
template <class T> struct slice {
    const T *x, *proj;
    T *yz;
    int tokens, channels, first, rank; /* first: channel of the block */
    bool wide;                         /* 16 bytes of x and yz at a time */
};

/* ---- copied */

/* x: that of the tile's first token and the block's first channel */
template <class T, int LANES> __device__ void begin_x(T *to, const T *x, const slice<T> &s, int left, int worker)
{
    using L = layout<T, LANES>;
    constexpr int N = 16 / L::SIZE, PACKS = L::CHANNELS / N;
    if (s.wide)
        each_of<L::TOKENS * PACKS, L::AHEAD>(worker, [&](int i) {
            int k = i / PACKS, c = i % PACKS * N;
            if (k < left && s.first + c < s.channels)
                copy_async(to + i * N, x + (k * s.channels + c));
        });
    else
#pragma unroll 1
        for (int i = worker; i < L::TOKENS * L::CHANNELS; i += L::AHEAD) {
            int k = i / L::CHANNELS, c = i % L::CHANNELS;
            if (k < left && s.first + c < s.channels)
                to[i] = x[k * s.channels + c];
        }
}

/* ---- prepared */

/* Steps that were given, as steps_of emits them; dt: that of the tile's first token and the block's first channel */
template <class T, int LANES, class F>
__device__ void given_steps(const float *dt, const slice<T> &s, int left, int worker, F emit)
{
    constexpr int PAIRS = layout<T, LANES>::CHANNELS / 2;
#pragma unroll 1
    for (int i = worker; i < layout<T, LANES>::TOKENS * PAIRS; i += layout<T, LANES>::AHEAD) {
        int k = i / PAIRS, c = i % PAIRS * 2;
        const float *p = dt + (k * s.channels + c);
        if (k < left && s.first + c < s.channels)
            emit(k, c, p[0], s.first + c + 1 < s.channels ? p[1] : 0.0f);
    }
}

/* [B | C] of a token as B0 C0 B1 C1 ... in fp32 */
template <class T, int LANES> __device__ void put_both(float *to, const T *B, int width, int worker)
{
    constexpr int PAIRS = STATES / 2, WORKERS = layout<T, LANES>::AHEAD;
    B += worker / PAIRS * width + worker % PAIRS * 2;
    to += worker * 4;
#pragma unroll
    for (int n = 0; n < layout<T, LANES>::TOKENS * PAIRS; n += WORKERS, B += WORKERS / PAIRS * width)
        store<float, 4>(to + n * 4, {{to_float(B[0]), to_float(B[STATES]), to_float(B[1]), to_float(B[STATES + 1])}});
}

/* ---- scanned */

/* The states of a lane, and A of them */
template <int EACH> struct states {
    float h[EACH], a[EACH];
};

/* TOGETHER tokens: `step` is the channel's pair of step and step times u, `both` [B | C] of the lane's states, `y` the
 * lane's part of C . h; h of the first `count` tokens is stored in `kept`. */
template <class T, int LANES, bool KEEP>
__device__ void scan_tokens(states<layout<T, LANES>::EACH> &m, const float *step, const float *both, float *y,
                            float *kept, int stride, int count)
{
    using L = layout<T, LANES>;
    constexpr int EACH = L::EACH, WIDTH = EACH < 2 ? 2 : 4;
    float sum[L::TOGETHER]; /* stored at the end: loads do not overtake a store to shared memory */
#pragma unroll
    for (int k = 0; k < L::TOGETHER; k++) {
        float BC[2 * EACH];
#pragma unroll
        for (int i = 0; i < 2 * EACH; i += WIDTH) {
            pack<float, WIDTH> p = load<float, WIDTH>(both + k * 2 * STATES + i);
#pragma unroll
            for (int s = 0; s < WIDTH; s++)
                BC[i + s] = p.v[s];
        }
        pack<float, 2> p = load<float, 2>(step + k * L::STEP_ROW);
#pragma unroll
        for (int s = 0; s < EACH; s++) {
            m.h[s] = exp2_fast(p.v[0] * m.a[s]) * m.h[s] + p.v[1] * BC[2 * s];
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
#pragma unroll
    for (int k = 0; k < L::TOGETHER; k++)
        y[k * L::Y_ROW] = sum[k];
}

/* ---- stored */

template <int N> __device__ void narrow(pack<float, N> &out, const float (&v)[N])
{
#pragma unroll
    for (int i = 0; i < N; i++)
        out.v[i] = v[i];
}
template <class T, int N> __device__ void narrow(pack<T, N> &out, const float (&v)[N])
{
    unsigned words[N / 2];
#pragma unroll
    for (int i = 0; i < N; i += 2)
        words[i / 2] = paired<T>(v[i], v[i + 1]);
    memcpy(&out, words, sizeof out);
}

/* A worker has PER channels of each tile, of a token or of ROUNDS that lie STRIDE apart. */
template <class T, int LANES> struct finish {
    using L = layout<T, LANES>;
    static constexpr int PER = L::CHANNELS < 32 ? 4 : 8, N = PER < 16 / L::SIZE ? PER : 16 / L::SIZE,
                         STRIDE = L::AHEAD / (L::CHANNELS / PER), ROUNDS = L::TOKENS / STRIDE;

    float d[PER];
    int k, c;

    __device__ finish(const float *D, const slice<T> &s, int worker)
        : k(worker / (L::CHANNELS / PER)), c(worker % (L::CHANNELS / PER) * PER)
    {
#pragma unroll
        for (int i = 0; i < PER; i++)
            d[i] = s.first + c + i < s.channels ? D[s.first + c + i] : 0.0f;
    }

    /* y of a tile from the lanes' parts and x, to the left half of yz; to: that of the worker's token and channels */
    __device__ void put(T *to, const float *y, const T *x, const slice<T> &s) const
    {
        y += k * L::Y_ROW + c * LANES;
        x += k * L::CHANNELS + c;
#pragma unroll
        for (int i = 0; i < PER; i += N) {
            pack<T, N> u = load<T, N>(x + i), out;
            float v[N];
#pragma unroll
            for (int n = 0; n < N; n++) {
                v[n] = d[i + n] * to_float(u.v[n]);
#pragma unroll
                for (int l = 0; l < LANES; l += 2) {
                    pack<float, 2> p = load<float, 2>(y + (i + n) * LANES + l);
                    v[n] += p.v[0] + p.v[1];
                }
            }
            narrow(out, v);
            if (s.wide) {
                if (s.first + c + i < s.channels)
                    store_global<T, N>(to + i, out);
            } else
#pragma unroll
                for (int n = 0; n < N; n++)
                    if (s.first + c + i + n < s.channels)
                        to[i + n] = out.v[n];
        }
    }
};

/* ---- the two roles of threads */

/* Tokens of a tile, if `left` are left of the window before it; those that are left after it: of the next window, if
 * this one ends. */
template <class T, int LANES> __device__ int in_tile(int left)
{
    return left < layout<T, LANES>::TOKENS ? left : layout<T, LANES>::TOKENS;
}
template <class T, int LANES> __device__ int after_tile(int left, const slice<T> &s)
{
    return left > layout<T, LANES>::TOKENS ? left - layout<T, LANES>::TOKENS : s.tokens;
}

/* The block's shared memory: where the things of a tile are */
template <class T, int LANES> struct tile_memory {
    using L = layout<T, LANES>;
    unsigned char *memory;
    L at;

    __device__ unsigned char *proj(int tile) const
    {
        return memory + at.proj + (tile & 1) * at.proj_bytes;
    }
    __device__ T *x(int tile) const
    {
        return reinterpret_cast<T *>(memory + at.x + (tile & 3) * L::X_BYTES);
    }
    __device__ float *y(int tile) const
    {
        return reinterpret_cast<float *>(memory + at.y + (tile & 1) * L::Y_BYTES);
    }
    __device__ float *both(int tile) const
    {
        return reinterpret_cast<float *>(memory + at.both + (tile & 1) * L::BOTH_BYTES);
    }
    __device__ float *step(int tile) const
    {
        return reinterpret_cast<float *>(memory + at.step + (tile & 1) * L::STEP_BYTES);
    }
};

/* The threads that scan. value: the number of the first window's first value in x */
template <class T, int LANES, bool KEEP>
__device__ void scan_tiles(const scan_job &j, const slice<T> &s, const tile_memory<T, LANES> &m, size_t value,
                           int tiles)
{
    using L = layout<T, LANES>;
    const int tid = static_cast<int>(threadIdx.x), lane = tid % LANES, c = tid / LANES, stride = s.channels * STATES;
    const bool real = s.first + c < s.channels;
    const int e = real ? s.first + c : s.channels - 1;
    states<L::EACH> state = {};
#pragma unroll
    for (int i = 0; i < L::EACH; i++)
        state.a[i] = j.A[e * STATES + lane * L::EACH + i] * LOG2E;
    wait_for_inputs();
    float *kept = KEEP ? j.h + (value + static_cast<size_t>(e)) * STATES + lane * L::EACH : nullptr;
    int left = s.tokens;
    for (int tile = -2; tile <= tiles; tile++) {
        __syncthreads();
        if (tile < 0 || tile == tiles)
            continue;
        const int count = in_tile<T, LANES>(left);
        const float *both = m.both(tile) + lane * 2 * L::EACH, *step = m.step(tile) + c * 2;
        float *y = m.y(tile) + tid;
#pragma unroll 1
        for (int k = 0; k < count; k += L::TOGETHER)
            scan_tokens<T, LANES, KEEP>(state, step + k * L::STEP_ROW, both + k * 2 * STATES, y + k * L::Y_ROW,
                                        kept + (KEEP ? k * stride : 0), stride, real ? count - k : 0);
        if (KEEP)
            kept += count * stride;
        if (left <= L::TOKENS)
#pragma unroll
            for (int i = 0; i < L::EACH; i++)
                state.h[i] = 0;
        left = after_tile<T, LANES>(left, s);
    }
}

/* Copies one tile after the other; a call begins those of the next. */
template <class T, int LANES> struct copier {
    const T *proj, *x;            /* of the next tile */
    int left;                     /* tokens of its window from there on */
    int left_begun = 0, skip = 0; /* of the tile whose copies were begun last: the same, and bytes before its proj */

    __device__ void begin(const tile_memory<T, LANES> &m, const slice<T> &s, int tile, int worker)
    {
        using L = layout<T, LANES>;
        const int count = in_tile<T, LANES>(left), width = s.rank + 2 * STATES;
        skip = skipped(proj);
        begin_rows(m.proj(tile), reinterpret_cast<const unsigned char *>(proj) - skip, skip + count * width * L::SIZE,
                   worker, L::AHEAD);
        begin_x<T, LANES>(m.x(tile), x, s, left, worker);
        copy_commit();
        proj += count * width;
        x += count * s.channels;
        left_begun = left;
        left = after_tile<T, LANES>(left, s);
    }
};

/* Makes the steps, and [B | C] in fp32, of a tile that has arrived. left: tokens of its window; dt: its first step of
 * the block's channels, if steps are given */
template <class T, int LANES>
__device__ void prepare_tile(const scan_job &j, const tile_memory<T, LANES> &m, const slice<T> &s, int tile, int skip,
                             int left, const float *dt, bool even, int worker)
{
    using L = layout<T, LANES>;
    const T *proj = reinterpret_cast<const T *>(m.proj(tile) + skip), *x = m.x(tile);
    float *step = m.step(tile);
    auto emit = [&](int k, int c, float one, float two) {
        pack<T, 2> u = load<T, 2>(x + k * L::CHANNELS + c);
        store<float, 4>(step + k * L::STEP_ROW + c * 2, {{one, one * to_float(u.v[0]), two, two * to_float(u.v[1])}});
    };
    put_both<T, LANES>(m.both(tile), proj + s.rank, s.rank + 2 * STATES, worker);
    if (j.dt)
        given_steps<T, LANES>(dt, s, left, worker, emit);
    else
        steps_of<T, LANES>(m.memory, proj, s.rank, even, left, worker, emit);
}

/* The threads that copy, prepare and store. */
template <class T, int LANES>
__device__ void work_ahead(const scan_job &j, const slice<T> &s, const tile_memory<T, LANES> &m, size_t value,
                           int tiles, bool even)
{
    using L = layout<T, LANES>;
    const int worker = static_cast<int>(threadIdx.x) - SCANNERS;
    const finish<T, LANES> end(j.D, s, worker);
    wait_for_inputs();
    copier<T, LANES> copies = {s.proj, s.x + s.first, s.tokens};
    const float *dt = j.dt ? j.dt + value + s.first : nullptr;  /* of the next tile to be prepared */
    T *out = s.yz + (end.k * 2 * s.channels + s.first + end.c); /* of the next tile to be stored */
    int left_scanned = s.tokens;
    for (int tile = -2; tile <= tiles; tile++) {
        copy_wait<0>();
        __syncthreads();
        const int left_here = copies.left_begun, skip_here = copies.skip; /* of tile + 1 */
        if (tile + 2 < tiles)
            copies.begin(m, s, tile + 2, worker);
        if (tile > 0) {
#pragma unroll
            for (int n = 0; n < end.ROUNDS; n++)
                if (n * end.STRIDE + end.k < left_scanned)
                    end.put(out + n * end.STRIDE * 2 * s.channels, m.y(tile - 1) + n * end.STRIDE * L::Y_ROW,
                            m.x(tile - 1) + n * end.STRIDE * L::CHANNELS, s);
            out += in_tile<T, LANES>(left_scanned) * 2 * s.channels;
            left_scanned = after_tile<T, LANES>(left_scanned, s);
        }
        if (tile >= -1 && tile + 1 < tiles) {
            prepare_tile<T, LANES>(j, m, s, tile + 1, skip_here, left_here, dt, even, worker);
            if (j.dt)
                dt += in_tile<T, LANES>(left_here) * s.channels;
        }
    }
}

/* `span`: windows of a block */
template <class T, int LANES, bool KEEP>
__global__ void __launch_bounds__(SCANNERS + layout<T, LANES>::AHEAD, 6)
    scan_kernel(scan_job j, int span, bool wide, bool even)
{
    using L = layout<T, LANES>;
    MV_SHARED(unsigned char, memory);
    const tile_memory<T, LANES> m = {memory, L(j.rank)};
    const int window = static_cast<int>(blockIdx.y) * span;
    const size_t token = static_cast<size_t>(window) * static_cast<size_t>(j.tokens),
                 value = token * static_cast<size_t>(j.channels);
    const slice<T> s = {static_cast<const T *>(j.x) + value,
                        static_cast<const T *>(j.proj) + token * static_cast<size_t>(j.rank + 2 * STATES),
                        static_cast<T *>(j.yz) + 2 * value,
                        j.tokens,
                        j.channels,
                        static_cast<int>(blockIdx.x) * L::CHANNELS,
                        j.rank,
                        wide};
    put_weights<T, LANES, SCANNERS + L::AHEAD>(memory, j, s.first);
    const int tiles = (s.tokens + L::TOKENS - 1) / L::TOKENS *
                      (j.windows - window < span ? j.windows - window : span); /* of all windows in turn */
    if (static_cast<int>(threadIdx.x) < SCANNERS) {
        scan_tiles<T, LANES, KEEP>(j, s, m, value, tiles);
        return; /* an else instead takes registers that nvcc does not have */
    }
    work_ahead<T, LANES>(j, s, m, value, tiles, even);
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

/* Few tokens do not repay the work that a block begins with: it takes more windows, if enough blocks are left. */
template <class T, int LANES> void launch_tiles(const scan_job &j, cudaStream_t stream)
{
    using L = layout<T, LANES>;
    const unsigned across = blocks_of(j.channels, L::CHANNELS);
    const size_t enough = 600, spare = static_cast<size_t>(across) * static_cast<size_t>(j.windows) / enough;
    int span = j.tokens < 256 ? 256 / j.tokens : 1;
    if (static_cast<size_t>(span) > spare)
        span = spare > 1 ? static_cast<int>(spare) : 1;
    mv_launch(j.h ? scan_kernel<T, LANES, true> : scan_kernel<T, LANES, false>,
              dim3(across, blocks_of(j.windows, span)), dim3(SCANNERS + L::AHEAD), static_cast<size_t>(L(j.rank).bytes),
              stream, j, span, lanes_of<T>(j.channels, {j.x, j.yz}) == static_cast<int>(16 / sizeof(T)),
              has_even_rows(j));
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
                mv_launch(plain_scan_kernel<T>, dim3(blocks_of(j.channels, SCANNERS), static_cast<unsigned>(j.windows)),
                          dim3(SCANNERS), 0, stream, j);
            else if (static_cast<size_t>(j.windows) * blocks_of(j.channels, SCANNERS / STATES) <= few)
                launch_tiles<T, STATES>(j, stream);
            else
                launch_tiles<T, 2>(j, stream);
        }
    });
}

}  // namespace mv
