#include "src/run/sites.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "src/device/null.h"
#include "src/run/run.h"

typedef struct {
    mv_probe probe;
    mv_sites *out;
} lister;

static bool wants_all(mv_probe *p, const char *site)
{
    (void)p, (void)site;
    return true;
}

static bool list(mv_probe *p, mv_run *r, const mv_site_info *site, mv_view v)
{
    mv_sites *s = ((lister *)p)->out;
    if (s->n == s->room) {
        int room = s->room ? 2 * s->room : 128;
        mv_site *more = realloc(s->site, (size_t)room * sizeof *more);
        if (!more) {
            mv_run_fail(r, MV_ENOMEM, "sites: out of memory");
            return false;
        }
        s->site = more;
        s->room = room;
    }
    mv_site *t = &s->site[s->n];
    *t = (mv_site){.name = strdup(site->name), .diagnostic = site->diagnostic, .nd = v.nd};
    snprintf(t->axes, sizeof t->axes, "%s", site->axes);
    if (!t->name) {
        mv_run_fail(r, MV_ENOMEM, "sites: out of memory");
        return false;
    }
    memcpy(t->dim, v.dim, sizeof t->dim);
    s->n++;
    return false;
}

mv_status mv_sites_list(mv_sites *out, const mv_config *config, int pictures, int h, int w, mv_error *e)
{
    mv_error mine = {0};
    if (!e)
        e = &mine;
    *out = (mv_sites){0};
    mv_backend *null = mv_null_new(MV_F32, e);
    mv_model *m = null ? mv_model_new(config, null, NULL, e) : NULL;
    lister l = {.probe = {.wants = wants_all, .sees = list}, .out = out};
    mv_run *r = m ? mv_run_new(m, h, w, pictures, &l.probe, e) : NULL;
    if (r)
        mv_run_forward(r, NULL, pictures, NULL, e);
    mv_run_free(r);
    mv_model_free(m);
    if (null)
        null->free(null);
    if (!e->code) {
        out->name = malloc((size_t)out->n * sizeof *out->name);
        if (!out->name)
            mv_fail_memory(e, "sites");
        for (int i = 0; out->name && i < out->n; i++)
            out->name[i] = out->site[i].name;
    }
    if (e->code)
        mv_sites_free(out);
    return e->code;
}

void mv_sites_free(mv_sites *s)
{
    for (int i = 0; i < s->n; i++)
        free(s->site[i].name);
    free(s->site);
    free(s->name);
    *s = (mv_sites){0};
}
