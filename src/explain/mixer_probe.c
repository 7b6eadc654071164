/* Reduces the values of mixers as they pass: on the device where they are large (hidden attention, contributions,
 * half-lives, the state's norm), on the host where a token has a few hundred values.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "src/explain/mixer_impl.h"
#include "src/run/ops.h"

/* The parts of a kept value: what a site is reduced to. A matrix is the part after its map. */
enum {
    PART_X,
    PART_Z,
    PART_DT,
    PART_B,
    PART_C,
    PART_HALF_LIFE,
    PART_HIDDEN,
    PART_HIDDEN_MATRIX,
    PART_H,
    PART_CONTRIBUTIONS,
    PART_CONTRIBUTIONS_MATRIX,
    PART_PARTS,
    PART_Y
};

/* ---- which values, and how they are kept */

static bool wanted(const mv_mixer_maps *m, unsigned kinds)
{
    return (m->options.wants | m->options.matrices) & kinds;
}

static mv_mixer_view *view_of(const mv_mixer_maps *m, const char *site)
{
    for (int i = 0; i < m->views; i++)
        if (strncmp(site, m->view[i].site, strlen(m->view[i].site)) == 0)
            return &m->view[i];
    return NULL;
}

enum {
    DT = MV_MIXER_BIT(MV_MIXER_DT),
    B = MV_MIXER_BIT(MV_MIXER_B),
    C = MV_MIXER_BIT(MV_MIXER_C),
    WRITE = MV_MIXER_BIT(MV_MIXER_WRITE),
    STATE = MV_MIXER_BIT(MV_MIXER_H),
    RATIO = MV_MIXER_BIT(MV_MIXER_RATIO),
    HALF_LIFE = MV_MIXER_BIT(MV_MIXER_HALF_LIFE),
    HIDDEN = MV_MIXER_BIT(MV_MIXER_HIDDEN),
    CONTRIBUTIONS = MV_MIXER_BIT(MV_MIXER_CONTRIBUTIONS)
};

/* What the values are needed for. At C, all is there that hidden attention and half-lives are made of. */
static const struct {
    const char *leaf;
    int part; /* of the value itself, kept for the kinds in `shown` */
    unsigned shown, needed;
} needs[] = {
    {"x", PART_X, WRITE, WRITE},
    {"z", PART_Z, RATIO, RATIO},
    {"dt", PART_DT, DT | WRITE, DT | WRITE | HALF_LIFE | HIDDEN},
    {"B", PART_B, B | WRITE, B | WRITE},
    {"C", PART_C, C, C | HALF_LIFE | HIDDEN},
    {"h", PART_H, STATE, STATE},          /* of one channel */
    {"state_norm", PART_H, STATE, STATE}, /* of all */
    {"contributions", PART_CONTRIBUTIONS, 0, CONTRIBUTIONS},
    {"contribution_parts", PART_PARTS, CONTRIBUTIONS, CONTRIBUTIONS},
    {"y", PART_Y, RATIO, RATIO},
};
enum { NEEDS = sizeof needs / sizeof *needs };

/* The row of `needs` of a site, -1: none. */
static int need_of(const mv_mixer_maps *m, const char *site)
{
    const mv_mixer_view *v = view_of(m, site);
    const char *leaf = v ? site + strlen(v->site) : "";
    for (int i = 0; i < NEEDS; i++)
        if (strcmp(leaf, needs[i].leaf) == 0) {
            bool other = strcmp(leaf, m->options.channel < 0 ? "h" : "state_norm") == 0;
            return wanted(m, needs[i].needed) && !other ? i : -1;
        }
    return -1;
}

static bool wants(mv_probe *p, const char *site)
{
    return need_of((mv_mixer_maps *)p, site) >= 0;
}

/* The chosen channel of a value (N, T, E, ...), with its dimension. */
static mv_view channel_of(const mv_mixer_maps *m, mv_view v)
{
    int c = m->options.channel;
    if (c < 0)
        return v;
    if (v.data)
        v.data = (char *)v.data + c * v.stride[2] * (ptrdiff_t)mv_dtype_size(v.type);
    v.dim[2] = 1;
    return v;
}

/* Keeps the query's share of a matrix (N T T), and the matrix, if they are asked for. */
static void keep_matrix(mv_mixer_maps *m, mv_run *r, const char *site, int part, const mv_mixer_view *of,
                        mv_tensor matrix, unsigned kind)
{
    const mv_grid *g = &of->block.grid;
    mv_tensor rows = mv_tensor_of(matrix.data, MV_F32, 4, matrix.dim[0], 1, g->tokens, g->tokens);
    mv_tensor query = mv_run_constant(r, m->query[g->level], g->windows, g->tokens);
    if (m->options.wants & kind)
        mv_run_keep(r, &m->probe, site, part,
                    mv_view_of(mv_follow(r, rows, query, kind == CONTRIBUTIONS ? MV_ROWS_SHARES : MV_ROWS_GIVEN)));
    if (m->options.matrices & kind)
        mv_run_keep(r, &m->probe, site, part + 1, mv_view_of(matrix));
}

/* What is computed from the values of the mixer. */
static void keep_more(mv_mixer_maps *m, mv_run *r, const char *site, int part, const mv_mixer_view *of, mv_view v)
{
    const mv_mixer_values *now = mv_mixer_now(r);
    const mv_mixer_options *o = &m->options;
    if (part == PART_C && wanted(m, HALF_LIFE))
        mv_run_keep(r, &m->probe, site, PART_HALF_LIFE, mv_view_of(mv_half_life(r, now->dt, &now->w->ssm, o->channel)));
    if (part == PART_C && wanted(m, HIDDEN))
        keep_matrix(m, r, site, PART_HIDDEN, of,
                    mv_hidden(r, now->dt, now->proj, &now->w->ssm, o->channel, o->with_sign), HIDDEN);
    if (part == PART_CONTRIBUTIONS)
        keep_matrix(m, r, site, PART_CONTRIBUTIONS, of, mv_tensor_of(v.data, MV_F32, 3, v.dim[0], v.dim[1], v.dim[2]),
                    CONTRIBUTIONS);
}

static bool sees(mv_probe *p, mv_run *r, const mv_site_info *site, mv_view v)
{
    mv_mixer_maps *m = (mv_mixer_maps *)p;
    const mv_mixer_view *of = view_of(m, site->name);
    const mv_grid *g = &of->block.grid;
    int need = need_of(m, site->name), part = needs[need].part;
    if (v.nd < 2 || v.dim[0] != mv_run_pictures(r) * g->windows || v.dim[1] != g->tokens) {
        char found[64];
        mv_run_fail(r, MV_EMISUSE, "%s: found a value of %s, expected %d windows of %d tokens for pictures of %dx%d",
                    site->name, mv_shape_text(found, v.nd, v.dim), mv_run_pictures(r) * g->windows, g->tokens,
                    g->picture_h, g->picture_w);
        return false;
    }
    bool channels = strchr(site->axes, 'E') != NULL;
    if (wanted(m, needs[need].shown))
        mv_run_keep(r, p, site->name, part, channels ? channel_of(m, v) : v);
    keep_more(m, r, site->name, part, of, v);
    return false;
}

/* ---- results */

void mv_mixer_view_clear(mv_mixer_view *v)
{
    for (int i = 0; i < v->seen; i++) {
        for (int k = 0; k < MV_MIXER_KINDS; k++)
            mv_map_free(&v->result[i].map[k].map);
        for (int k = 0; k < MV_MIXER_MATRIX_KINDS; k++)
            free(v->result[i].matrix[k]);
    }
    free(v->result);
    v->result = NULL;
    v->seen = 0;
    v->arrived = 0;
}

/* Makes room for the results of more pictures. */
static bool extend(mv_mixer_view *v, int pictures)
{
    if (pictures <= v->seen)
        return true;
    mv_mixer_result *more = realloc(v->result, (size_t)pictures * sizeof *more);
    if (!more)
        return false;
    memset(more + v->seen, 0, (size_t)(pictures - v->seen) * sizeof *more);
    v->result = more;
    v->seen = pictures;
    return true;
}

static bool reserve(mv_mixer_store *s, size_t n)
{
    if (n <= s->room)
        return true;
    free(s->v);
    s->v = malloc(n * sizeof *s->v);
    s->room = s->v ? n : 0;
    return s->v;
}

/* The batch whose values arrive. */
typedef struct {
    mv_mixer_maps *m;
    mv_mixer_view *v;
    int first, pictures;
    size_t tokens; /* of all pictures */
    mv_error *e;
} arrival;

/* Makes the maps of all pictures of tokens (pictures, windows, T), if the kind was asked for. */
static mv_status show(const arrival *a, mv_mixer_kind kind, const double *token)
{
    size_t each = a->tokens / (size_t)a->pictures;
    mv_status s = MV_OK;
    for (int i = 0; i < a->pictures && !s && (a->m->options.wants & MV_MIXER_BIT(kind)); i++)
        s = mv_mixer_finish(&a->v->result[a->first + i].map[kind], a->m, &a->v->block, kind, a->v->block.query,
                            token + (size_t)i * each, a->e);
    return s;
}

/* out = the Euclidean norm of each token's values, times those of `by` if it is not NULL. */
static void norms(double *out, const float *v, const double *by, size_t tokens, size_t n)
{
    for (size_t t = 0; t < tokens; t++, v += n) {
        double sum = 0;
        for (size_t k = 0; k < n; k++) {
            double x = (double)v[k] * (by ? by[t * n + k] : 1);
            sum += x * x;
        }
        out[t] = sqrt(sum);
    }
}

static mv_status take_step(const arrival *a, const float *dt, size_t n)
{
    double *token = a->m->token.v;
    for (size_t t = 0; t < a->tokens; t++) {
        double sum = 0;
        for (size_t k = 0; k < n; k++)
            sum += (double)dt[t * n + k];
        token[t] = sum / (double)n;
    }
    if (wanted(a->m, WRITE))
        norms(a->m->written.v, dt, a->m->x.v, a->tokens, n);
    return show(a, MV_MIXER_DT, token);
}

static mv_status take_b(const arrival *a, const float *b, size_t n)
{
    double *token = a->m->token.v;
    norms(token, b, NULL, a->tokens, n);
    mv_status s = show(a, MV_MIXER_B, token);
    if (s || !wanted(a->m, WRITE))
        return s;
    for (size_t t = 0; t < a->tokens; t++)
        token[t] *= a->m->written.v[t];
    return show(a, MV_MIXER_WRITE, token);
}

/* Values that are one a token already. */
static const double *widened(const arrival *a, const float *v)
{
    for (size_t t = 0; t < a->tokens; t++)
        a->m->token.v[t] = (double)v[t];
    return a->m->token.v;
}

static mv_status take_matrix(const arrival *a, int which, const float *v)
{
    size_t each = a->tokens / (size_t)a->pictures * (size_t)a->v->block.grid.tokens;
    for (int i = 0; i < a->pictures; i++, v += each) {
        float **to = &a->v->result[a->first + i].matrix[which];
        free(*to);
        *to = malloc(each * sizeof **to);
        if (!*to)
            return mv_fail_memory(a->e, "mixer");
        memcpy(*to, v, each * sizeof **to);
    }
    return MV_OK;
}

static void take_parts(const arrival *a, const float *v)
{
    size_t each = a->tokens / (size_t)a->pictures;
    for (int i = 0; i < a->pictures; i++) {
        mv_mixer_result *to = &a->v->result[a->first + i];
        to->scan = to->local = 0;
        for (size_t t = 0; t < each; t++, v += 2) {
            to->scan += (double)v[0];
            to->local += (double)v[1];
        }
    }
}

static mv_status take(const arrival *a, int part, const float *v, size_t n)
{
    mv_mixer_maps *m = a->m;
    double *token = m->token.v;
    switch (part) {
    case PART_X:
        for (size_t i = 0; i < a->tokens * n; i++)
            m->x.v[i] = (double)v[i];
        return MV_OK;
    case PART_Z: norms(m->z.v, v, NULL, a->tokens, n); return MV_OK;
    case PART_DT: return take_step(a, v, n);
    case PART_B: return take_b(a, v, n);
    case PART_C: norms(token, v, NULL, a->tokens, n); return show(a, MV_MIXER_C, token);
    case PART_H: norms(token, v, NULL, a->tokens, n); return show(a, MV_MIXER_H, token);
    case PART_Y:
        norms(token, v, NULL, a->tokens, n);
        for (size_t t = 0; t < a->tokens; t++)
            token[t] /= m->z.v[t];
        return show(a, MV_MIXER_RATIO, token);
    case PART_HALF_LIFE: return show(a, MV_MIXER_HALF_LIFE, widened(a, v));
    case PART_HIDDEN: return show(a, MV_MIXER_HIDDEN, widened(a, v));
    case PART_HIDDEN_MATRIX: return take_matrix(a, MV_MIXER_OF_HIDDEN, v);
    case PART_CONTRIBUTIONS: return show(a, MV_MIXER_CONTRIBUTIONS, widened(a, v));
    case PART_CONTRIBUTIONS_MATRIX: return take_matrix(a, MV_MIXER_OF_CONTRIBUTIONS, v);
    default: /* PART_PARTS */ take_parts(a, v); return MV_OK;
    }
}

static void kept(mv_probe *p, mv_run *r, const char *site, int part, mv_tensor value)
{
    mv_mixer_maps *m = (mv_mixer_maps *)p;
    mv_error e = {0};
    arrival a = {.m = m, .v = view_of(m, site), .first = mv_run_first(r), .pictures = mv_run_pictures(r), .e = &e};
    a.tokens = (size_t)a.pictures * (size_t)a.v->block.grid.windows * (size_t)a.v->block.grid.tokens;
    size_t all = mv_tensor_count(value);
    if (a.first == 0 && a.v->arrived & 1u << part) /* a new forward */
        mv_mixer_view_clear(a.v);
    a.v->arrived |= 1u << part;
    bool room = reserve(&m->token, a.tokens) && reserve(&m->written, a.tokens) && reserve(&m->z, a.tokens) &&
                (part != PART_X || reserve(&m->x, all)) && extend(a.v, a.first + a.pictures);
    mv_status s = room ? take(&a, part, value.data, all / a.tokens) : mv_fail_memory(&e, site);
    if (s)
        mv_run_fail(r, e.code, "%s", e.text);
}

mv_probe mv_mixer_probe(void)
{
    return (mv_probe){.wants = wants, .sees = sees, .kept = kept};
}
