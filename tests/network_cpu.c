#include "src/device/cpu.h"
#include "tests/network.h"

network network_of(const mv_config *config, mv_dtype act, int threads, uint64_t seed)
{
    mv_error e = {0};
    mv_backend *b = mv_cpu_new(act, threads, NULL, &e);
    expect_ok(&e);
    return network_on(config, b, seed);
}
