/* Where the classification head is. It is one Linear: "head" as published, the Linear of a Sequential ("head.1" after a
 * Dropout, which does nothing at inference), "head.fc" as in timm, or that of a program which put a Linear of its own
 * behind the network ("classifier", beside "backbone.").
 */
#include <stdio.h>
#include <string.h>

#include "src/base/text.h"
#include "src/model/choose.h"
#include "src/model/infer_impl.h"

/* What was found under one module's name. */
typedef struct {
    char first[80];      /* the module of the first Linear, with a '/' if it is outside of the prefix */
    int linears, others; /* tensors "weight" of two axes, and of another number */
    char list[160];      /* "head.0.weight 512x64, head.3.weight 10x512" */
} found;

static bool begins(const char *text, const char *with)
{
    return strncmp(text, with, strlen(with)) == 0;
}

/* Notes tensor `name` of `from` if it is a weight of `module`; `outside`: of the file, not of the network. */
static void note(found *f, const mv_shapes *from, const char *name, const char *module, bool outside)
{
    mv_tensor t;
    char key[MV_PREFIX + 64], shape[64];
    size_t n = strlen(name);
    if (!begins(name, module) || name[strlen(module)] != '.' || n < 8 || strcmp(name + n - 7, ".weight"))
        return;
    snprintf(key, sizeof key, "%s%s", outside ? "/" : "", name);
    if (!from->lookup(from->context, key, &t))
        return;
    size_t used = strlen(f->list);
    if (used + 1 < sizeof f->list)
        mv_text_print(f->list + used, sizeof f->list - used, "%s%s %s", used ? ", " : "", name,
                      mv_shape_text(shape, t.nd, t.dim));
    if (t.nd != 2)
        f->others++;
    else if (!f->linears++)
        snprintf(f->first, sizeof f->first, "%.*s", (int)(strlen(key) - 7), key);
}

static found look_for(const mv_shapes *from, const char *module, bool outside)
{
    found f = {0};
    const char *name;
    size_t skip = outside ? 0 : strlen(from->prefix);
    for (int i = 0; (name = from->name_at(from->context, i)); i++)
        if (outside || begins(name, from->prefix))
            note(&f, from, name + skip, module, outside);
    return f;
}

static bool has(const mv_shapes *from, const char *module, const char *leaf, mv_tensor *t)
{
    char name[96];
    snprintf(name, sizeof name, "%s.%s", module, leaf);
    return from->lookup(from->context, name, t);
}

static const char *const modules[] = {"head", "classifier", "fc"};
enum { MODULES = sizeof modules / sizeof *modules };

/* A Linear of another program behind the network: it counts even if the network still has the head that it was
 * published with. It stands beside the network's name, "state_dict.backbone.": below "state_dict.", or at the root. */
static bool find_outside(mv_config *k, const mv_shapes *from)
{
    mv_tensor t;
    char name[MV_PREFIX + 48];
    for (size_t n = strlen(from->prefix); n > 0;) {
        for (n--; n > 0 && from->prefix[n - 1] != '.'; n--)
            ;
        snprintf(name, sizeof name, "/%.*spatch_embed.conv_down.0.weight", (int)n, from->prefix);
        if (from->lookup(from->context, name, &t))
            return false; /* or else it may be that of another network in the file */
        for (int i = 0; i < MODULES; i++) {
            snprintf(name, sizeof name, "%.*s%s", (int)n, from->prefix, modules[i]);
            found f = look_for(from, name, true);
            if (f.linears == 1 && !f.others && has(from, f.first, "weight", &t) &&
                t.dim[1] == (int64_t)k->dim << (MV_LEVELS - 1)) {
                snprintf(k->head, sizeof k->head, "%s", f.first);
                return true;
            }
        }
    }
    return false;
}

static mv_status find_inside(mv_config *k, const mv_shapes *from, bool *there, mv_error *e)
{
    *there = true;
    for (int i = 0; i < MODULES; i++) {
        found f = look_for(from, modules[i], false);
        if (f.linears == 1 && !f.others) {
            snprintf(k->head, sizeof k->head, "%s", f.first);
            return MV_OK;
        }
        if (f.linears || f.others)
            return mv_fail(e, MV_EINPUT, "%s: found a head of %s, expected one Linear, as head.weight or head.1.weight",
                           from->place, f.list);
    }
    mv_tensor t;
    *there = false;
    if (has(from, "head", "bias", &t))
        return mv_fail(e, MV_EINPUT, "%s: lacks tensor head.weight, expected it beside head.bias", from->place);
    return MV_OK;
}

mv_status mv_infer_head(mv_config *k, const mv_shapes *from, mv_warnings *warnings, mv_error *e)
{
    mv_tensor t;
    bool outside = find_outside(k, from), there = outside;
    mv_status s = outside ? MV_OK : find_inside(k, from, &there, e);
    if (s)
        return s;
    if (outside)
        mv_warn(warnings, "%s: %s.weight, which stands outside of %s, is taken as the head", from->place, k->head + 1,
                from->prefix);
    if (there && has(from, k->head, "weight", &t) && t.dim[1] != (int64_t)k->dim << (MV_LEVELS - 1))
        return mv_fail(e, MV_EINPUT, "%s: tensor %s.weight is %dx%d, expected Nx%lld", from->place, k->head, t.dim[0],
                       t.dim[1], (long long)k->dim << (MV_LEVELS - 1));
    k->classes = there && has(from, k->head, "weight", &t) ? t.dim[0] : 0;
    k->head_no_bias = !has(from, k->head, "bias", &t);
    k->no_norm = !k->classes && !has(from, "norm", "weight", &t);
    if (k->no_norm)
        mv_warn(warnings,
                "%s: has neither norm nor head, as backbones for segmentation and detection; avgpool is the mean of "
                "levels.3",
                from->place);
    return MV_OK;
}
