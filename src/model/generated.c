#include "src/model/generated.h"

#include <math.h>
#include <string.h>

void mv_generated_values(float *out, const char *name, size_t n, uint64_t seed)
{
    uint64_t h = 0xcbf29ce484222325u;
    for (const char *c = name; *c; c++)
        h = (h ^ (unsigned char)*c) * 0x100000001b3u;
    for (size_t i = 0; i < n; i++) {
        uint64_t z = (uint64_t)(i + 1) * 0x9E3779B97F4A7C15u + h + seed;
        z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9u;
        z = (z ^ z >> 27) * 0x94D049BB133111EBu;
        z ^= z >> 31;
        out[i] = (float)(z >> 40) * (float)(2.0 / (1 << 24)) - 1.0f;
    }
}

static bool ends(const char *name, const char *leaf)
{
    size_t n = strlen(name), k = strlen(leaf);
    return n >= k && strcmp(name + n - k, leaf) == 0;
}

static mv_status read(mv_source *s, const char *name, int nd, const int *dim, float *out, bool *found, mv_error *e)
{
    (void)e;
    size_t n = 1, fan = 1;
    for (int i = 0; i < nd; i++)
        n *= (size_t)dim[i];
    for (int i = 1; i < nd; i++)
        fan *= (size_t)dim[i];
    const char *last = strrchr(name, '.');
    mv_generated_values(out, name, n, ((mv_generated *)s)->seed);
    float a = 0, b = (float)sqrt(3.0 / (double)fan);
    if (ends(name, "running_var"))
        a = 1, b = 0.5f;
    else if (ends(name, "running_mean"))
        b = 0.1f;
    else if (strncmp(last + 1, "gamma", 5) == 0)
        a = 0.5f, b = 0.25f;
    else if (ends(name, ".D"))
        a = 1, b = 0.2f;
    else if (ends(name, "dt_proj.bias"))
        a = -1.5f, b = 1;
    else if (ends(name, ".bias"))
        b = 0.1f;
    else if (nd == 1)
        a = 1, b = 0.2f;
    bool states = ends(name, "A_log");
    for (size_t i = 0; i < n; i++)
        out[i] = states ? logf((float)(i % MV_STATES + 1)) + 0.1f * out[i] : a + b * out[i];
    *found = true;
    return MV_OK;
}

mv_source *mv_generated_source(mv_generated *g, uint64_t seed)
{
    *g = (mv_generated){.source = {.read = read, .place = "generated weights"}, .seed = seed};
    return &g->source;
}
