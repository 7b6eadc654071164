/* Where a pass goes, kernel by kernel: loaded into a program by CUDA_INJECTION64_PATH, as CUPTI's documentation has it,
 * it keeps the kernels that ran in CUDA graphs (a recorded pass is one), and prints a table when the program ends.
 *
 *   CUDA_INJECTION64_PATH=build/cuda/profile.so bench_device mvscope-cuda.so T:128
 *
 * Times are the card's own; tracing makes launches slower, so gaps are wider here than in an untraced pass. With
 * MVSCOPE_BENCH_JSON=FILE one line is appended: kernels and microseconds of a pass.
 */
#include <cupti.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

extern char *__cxa_demangle(const char *mangled, char *out, size_t *n, int *status); /* of the C++ library */
int InitializeInjection(void);

enum { NAMES = 512, LAUNCHES = 1 << 16, BUFFER = 8 << 20 };

typedef struct {
    char *name;
    uint64_t count, ns;
} kernel;

/* One launch of a graph */
typedef struct {
    uint32_t correlation, graph, kernels;
    uint64_t from, to, busy;
} launch;

static struct {
    kernel kernels[NAMES];
    launch *launches;
    size_t names, passes, lost;
} seen;

static void check(CUptiResult r, const char *what)
{
    const char *text = "";
    if (r == CUPTI_SUCCESS)
        return;
    cuptiGetResultString(r, &text);
    fprintf(stderr, "profile: %s: %s\n", what, text);
}

static void add_kernel(const char *name, uint64_t ns)
{
    size_t i = 0;
    while (i < seen.names && strcmp(seen.kernels[i].name, name) != 0)
        i++;
    if (i == NAMES) {
        seen.lost++;
        return;
    }
    if (i == seen.names) {
        char *own = strdup(name);
        if (!own)
            return;
        seen.kernels[seen.names++].name = own;
    }
    seen.kernels[i].count++;
    seen.kernels[i].ns += ns;
}

/* Records of a launch come together, or nearly: it is among the last. */
static void add_launch(const CUpti_ActivityKernel10 *k)
{
    launch *l = NULL;
    for (size_t i = seen.passes; i-- > 0 && i + 4 >= seen.passes;)
        if (seen.launches[i].correlation == k->correlationId)
            l = &seen.launches[i];
    if (!l && seen.passes == LAUNCHES) {
        seen.lost++;
        return;
    }
    if (!l) {
        l = &seen.launches[seen.passes++];
        *l = (launch){.correlation = k->correlationId, .graph = k->graphId, .from = k->start, .to = k->end};
    }
    l->kernels++;
    l->busy += k->end - k->start;
    l->from = k->start < l->from ? k->start : l->from;
    l->to = k->end > l->to ? k->end : l->to;
}

static void CUPTIAPI give_buffer(uint8_t **buffer, size_t *size, size_t *most)
{
    *most = 0;
    *size = BUFFER;
    *buffer = aligned_alloc(8, BUFFER);
    if (!*buffer)
        *size = 0;
}

static void CUPTIAPI take_buffer(CUcontext context, uint32_t stream, uint8_t *buffer, size_t size, size_t valid)
{
    CUpti_Activity *record = NULL;
    (void)context, (void)stream, (void)size;
    while (valid && cuptiActivityGetNextRecord(buffer, valid, &record) == CUPTI_SUCCESS) {
        const CUpti_ActivityKernel10 *k = (const void *)record;
        if (record->kind != CUPTI_ACTIVITY_KIND_CONCURRENT_KERNEL || k->graphId == 0)
            continue;
        add_kernel(k->name, k->end - k->start);
        add_launch(k);
    }
    free(buffer);
}

static int by_time(const void *a, const void *b)
{
    const kernel *x = a, *y = b;
    return (x->ns < y->ns) - (x->ns > y->ns);
}

/* A name as people read it: without the parameters of the function, at most 100 characters */
static void print_name(const char *mangled)
{
    int status = 0;
    char *name = __cxa_demangle(mangled, NULL, NULL, &status);
    const char *text = name ? name : mangled;
    const char *arguments = strstr(text, ">(");
    printf("%.*s\n", arguments && arguments - text < 99 ? (int)(arguments - text) + 1 : 100, text);
    free(name);
}

static void print_table(void)
{
    check(cuptiActivityFlushAll(1), "the last records");
    if (seen.passes == 0) {
        printf("profile: no kernel ran in a graph\n");
        return;
    }
    double busy = 0, span = 0, kernels = 0, n = (double)seen.passes;
    for (size_t i = 0; i < seen.passes; i++) {
        busy += (double)seen.launches[i].busy * 1e-3 / n;
        span += (double)(seen.launches[i].to - seen.launches[i].from) * 1e-3 / n;
        kernels += seen.launches[i].kernels / n;
    }
    qsort(seen.kernels, seen.names, sizeof *seen.kernels, by_time);
    printf("%9s %8s %6s  kernel\n", "us a pass", "launches", "part");
    for (size_t i = 0; i < seen.names; i++) {
        const kernel *k = &seen.kernels[i];
        printf("%9.2f %8.1f %5.1f%%  ", (double)k->ns * 1e-3 / n, (double)k->count / n,
               (double)k->ns * 1e-3 / n / busy * 100);
        print_name(k->name);
    }
    printf("%.0f kernels a pass: %.1f us busy, %.1f us from the first to the last; mean of %zu passes\n", kernels, busy,
           span, seen.passes);
    if (seen.lost)
        printf("profile: %zu kernels had no room and are left out\n", seen.lost);
    const char *path = getenv("MVSCOPE_BENCH_JSON");
    FILE *json = path ? fopen(path, "a") : NULL;
    if (json) {
        fprintf(json, "{\"kernels\":%.1f,\"busy_us\":%.2f,\"span_us\":%.2f,\"passes\":%zu}\n", kernels, busy, span,
                seen.passes);
        fclose(json);
    }
}

int InitializeInjection(void)
{
    seen.launches = calloc(LAUNCHES, sizeof *seen.launches);
    if (!seen.launches)
        return 0;
    check(cuptiActivityRegisterCallbacks(give_buffer, take_buffer), "start");
    check(cuptiActivityEnable(CUPTI_ACTIVITY_KIND_CONCURRENT_KERNEL), "start");
    atexit(print_table);
    return 1;
}
