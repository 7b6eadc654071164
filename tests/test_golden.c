/* Every named value against the float64 oracle's: fp32 within 1e-5 relative L2, bf16 within 2e-2; the published
 * variants by their logits within 2e-5. A failure names the first site that differs.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "src/device/cpu.h"
#include "tests/golden.h"
#include "tests/short.h"

static void every_site(const char *name, mv_dtype act, double bound)
{
    mv_error e = {0};
    mv_backend *b = mv_cpu_new(act, 2, NULL, &e);
    expect_ok(&e);
    golden_every_site(name, b, bound);
}

static void plain_fp32(void **s)
{
    (void)s;
    every_site("plain", MV_F32, 1e-5);
}
static void odd_fp32(void **s)
{
    (void)s;
    every_site("odd", MV_F32, 1e-5);
}
static void shallow_fp32(void **s)
{
    (void)s;
    every_site("shallow", MV_F32, 1e-5);
}
static void plain_bf16(void **s)
{
    (void)s;
    every_site("plain", MV_BF16, 2e-2);
}
static void odd_bf16(void **s)
{
    (void)s;
    every_site("odd", MV_BF16, 2e-2);
}
static void shallow_bf16(void **s)
{
    (void)s;
    every_site("shallow", MV_BF16, 2e-2);
}

/* Bytes of memory that can be had now, as the kernel tells; 0 where it does not. */
static size_t memory_to_be_had(void)
{
    size_t kb = 0;
    char line[128];
    FILE *f = fopen("/proc/meminfo", "r");
    while (f && fgets(line, sizeof line, f))
        if (sscanf(line, "MemAvailable: %zu", &kb) == 1)
            break;
    if (f)
        fclose(f);
    return kb * 1024;
}

#if defined(__SANITIZE_ADDRESS__)
enum { SLOW = 1 };
#else
enum { SLOW = 0 };
#endif

static void variant(void **state)
{
    const char *name = *state;
    mv_config config;
    assert_true(mv_config_lookup(name, &config));
    bool large = config.dim >= 196, largest = config.dim >= 256;
    if (largest && !test_is_short() && memory_to_be_had() < (size_t)6 << 30) {
        print_message("           %s skipped: less than 6 GB of memory to be had\n", name);
        skip();
    }
    if (large && (SLOW || test_is_short())) {
        print_message("           %s skipped: %s\n", name,
                      SLOW ? "too slow under the address sanitizer" : "not in the short form");
        skip();
    }
    mv_error e = {0};
    mv_backend *b = mv_cpu_new(MV_F32, 2, NULL, &e);
    expect_ok(&e);
    double d = golden_variant(name, b);
    if (!(d <= 2e-5))
        fail_msg("%s: logits differ by %.3g relative L2, expected at most 2e-5", name, d);
}

#define VARIANT(NAME)                                                                                                  \
    {                                                                                                                  \
        "variant_" NAME, variant, NULL, NULL, (void *)(intptr_t)(NAME)                                                 \
    }

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(plain_fp32),
        cmocka_unit_test(odd_fp32),
        cmocka_unit_test(shallow_fp32),
        cmocka_unit_test(plain_bf16),
        cmocka_unit_test(odd_bf16),
        cmocka_unit_test(shallow_bf16),
        VARIANT("T"),
        VARIANT("T2"),
        VARIANT("S"),
        VARIANT("B"),
        VARIANT("L"),
        VARIANT("L2"),
        VARIANT("L2-512-21K"),
        VARIANT("L3-256-21K"),
        VARIANT("L3-512-21K"),
    };
    return cmocka_run_group_tests_name("golden", tests, NULL, NULL);
}
