/* Memory that runs out when told to: the n-th request, counted from main on, is refused.
 *
 *   MVSCOPE_FAULT_AT=N     the N-th request fails; "N+": it and all that follow
 *   MVSCOPE_FAULT_COUNT=F  write into file F how many requests there were
 *   MVSCOPE_FAULT_SPARE=S  (preloaded) libraries whose own requests are neither counted nor refused, by parts of
 *                          their names with colons between; those loaded after main began never are
 *
 * Made in two ways. Linked with --wrap=malloc and so on, it refuses what the program's own objects ask for and leaves
 * the allocator behind it in place, so that it works over the address sanitizer, whose leak check then says what a
 * failure forgets. With MV_FAULT_PRELOAD it is a library to be preloaded: then the requests of libraries count as well.
 */
#include <dlfcn.h>
#include <errno.h>
#include <link.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static atomic_long requests;
static long fail_at; /* 0: never */
static bool fail_on; /* and all that follow */
static atomic_bool armed;

static void count_written(void)
{
    atomic_store(&armed, false);
    const char *name = getenv("MVSCOPE_FAULT_COUNT");
    FILE *f = name ? fopen(name, "w") : NULL;
    if (f) {
        fprintf(f, "%ld\n", atomic_load(&requests));
        fclose(f);
    }
}

static void arm(void)
{
    const char *at = getenv("MVSCOPE_FAULT_AT");
    char *end = NULL;
    fail_at = at ? strtol(at, &end, 10) : 0;
    fail_on = end && *end == '+';
    atexit(count_written);
    atomic_store(&armed, true);
}

static bool refused(void)
{
    if (!atomic_load(&armed))
        return false;
    long n = atomic_fetch_add(&requests, 1) + 1;
    if (!fail_at || !(n == fail_at || (fail_on && n > fail_at)))
        return false;
    errno = ENOMEM;
    return true;
}

#ifdef MV_FAULT_PRELOAD

/* glibc's own names for what the ones below replace: dlsym would ask for memory itself. */
extern void *__libc_malloc(size_t), *__libc_calloc(size_t, size_t), *__libc_realloc(void *, size_t),
    *__libc_memalign(size_t, size_t);

enum { PLACES = 1024 };
static struct place {
    uintptr_t from, to;
} places[PLACES]; /* code whose requests count */
static int n_places;

static bool spared(const char *library)
{
    const char *s = getenv("MVSCOPE_FAULT_SPARE");
    for (size_t n; s && *s; s += n + (s[n] == ':')) {
        n = strcspn(s, ":");
        char part[64];
        snprintf(part, sizeof part, "%.*s", (int)n, s);
        if (n && strstr(library, part))
            return true;
    }
    return false;
}

static int note_place(struct dl_phdr_info *info, size_t size, void *unused)
{
    (void)size, (void)unused;
    if (!spared(info->dlpi_name))
        for (int i = 0; i < info->dlpi_phnum && n_places < PLACES; i++)
            if (info->dlpi_phdr[i].p_type == PT_LOAD && info->dlpi_phdr[i].p_flags & PF_X) {
                uintptr_t from = info->dlpi_addr + info->dlpi_phdr[i].p_vaddr;
                places[n_places++] = (struct place){from, from + info->dlpi_phdr[i].p_memsz};
            }
    return 0;
}

static bool counts(const void *caller)
{
    for (int i = 0; i < n_places; i++)
        if ((uintptr_t)caller - places[i].from < places[i].to - places[i].from)
            return true;
    return false;
}

#define REFUSED() (counts(__builtin_return_address(0)) && refused())

void *malloc(size_t n)
{
    return REFUSED() ? NULL : __libc_malloc(n);
}

void *calloc(size_t n, size_t each)
{
    return REFUSED() ? NULL : __libc_calloc(n, each);
}

void *realloc(void *p, size_t n)
{
    return REFUSED() ? NULL : __libc_realloc(p, n);
}

void *aligned_alloc(size_t align, size_t n)
{
    return REFUSED() ? NULL : __libc_memalign(align, n);
}

int posix_memalign(void **p, size_t align, size_t n)
{
    void *got = REFUSED() ? NULL : __libc_memalign(align, n);
    return got ? (*p = got, 0) : ENOMEM;
}

static int (*program)(int, char **, char **);

static int armed_main(int argc, char **argv, char **envp)
{
    dl_iterate_phdr(note_place, NULL);
    arm();
    return program(argc, argv, envp);
}

int __libc_start_main(int (*main)(int, char **, char **), int argc, char **argv, void (*init)(void), void (*fini)(void),
                      void (*rtld_fini)(void), void *stack_end);

int __libc_start_main(int (*main)(int, char **, char **), int argc, char **argv, void (*init)(void), void (*fini)(void),
                      void (*rtld_fini)(void), void *stack_end)
{
    int (*start)(int (*)(int, char **, char **), int, char **, void (*)(void), void (*)(void), void (*)(void), void *);
    *(void **)&start = dlsym(RTLD_NEXT, "__libc_start_main");
    program = main;
    return start(armed_main, argc, argv, init, fini, rtld_fini, stack_end);
}

#else

#define WRAPS(type, name, parameters, arguments)                                                                       \
    extern type __real_##name parameters;                                                                              \
    extern type __wrap_##name parameters;                                                                              \
    type __wrap_##name parameters                                                                                      \
    {                                                                                                                  \
        return refused() ? NULL : __real_##name arguments;                                                             \
    }

WRAPS(void *, malloc, (size_t n), (n))
WRAPS(void *, calloc, (size_t n, size_t each), (n, each))
WRAPS(void *, realloc, (void *p, size_t n), (p, n))
WRAPS(void *, aligned_alloc, (size_t align, size_t n), (align, n))
WRAPS(char *, strdup, (const char *s), (s))
WRAPS(char *, strndup, (const char *s, size_t n), (s, n))

extern int __real_posix_memalign(void **, size_t, size_t);
extern int __wrap_posix_memalign(void **, size_t, size_t);
int __wrap_posix_memalign(void **p, size_t align, size_t n)
{
    return refused() ? ENOMEM : __real_posix_memalign(p, align, n);
}

__attribute__((constructor)) static void begin(void)
{
    arm();
}

#endif
