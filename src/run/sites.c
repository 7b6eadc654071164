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

/* Appends a site; its name is copied. */
static mv_status add(mv_sites *s, const char *prefix, mv_site site, mv_error *e)
{
    char name[128];
    if (s->n == s->room) {
        int room = s->room ? 2 * s->room : 128;
        mv_site *more = realloc(s->site, (size_t)room * sizeof *more);
        if (!more)
            return mv_fail_memory(e, "sites");
        s->site = more;
        s->room = room;
    }
    snprintf(name, sizeof name, "%s%s", prefix, site.name);
    s->site[s->n] = site;
    s->site[s->n].name = strdup(name);
    if (!s->site[s->n].name)
        return mv_fail_memory(e, "sites");
    s->n++;
    return MV_OK;
}

static bool list(mv_probe *p, mv_run *r, const mv_site_info *info, mv_view v)
{
    mv_error e = {0};
    mv_site site = {.name = (char *)info->name, .diagnostic = info->diagnostic, .nd = v.nd};
    snprintf(site.axes, sizeof site.axes, "%s", info->axes);
    memcpy(site.dim, v.dim, sizeof site.dim);
    if (add(((lister *)p)->out, "", site, &e))
        mv_run_fail(r, e.code, "%s", e.text);
    return false;
}

/* The names as an array. */
static mv_status list_names(mv_sites *s, mv_error *e)
{
    const char **more = realloc(s->name, (size_t)(s->n + 1) * sizeof *more);
    if (!more)
        return mv_fail_memory(e, "sites");
    s->name = more;
    for (int i = 0; i < s->n; i++)
        s->name[i] = s->site[i].name;
    return MV_OK;
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
    if (!e->code)
        list_names(out, e);
    if (e->code)
        mv_sites_free(out);
    return e->code;
}

mv_status mv_sites_add_gradients(mv_sites *s, mv_error *e)
{
    for (int i = 0, n = s->n; i < n; i++)
        if (!s->site[i].diagnostic && add(s, "grad.", s->site[i], e))
            return e->code;
    return list_names(s, e);
}

void mv_sites_free(mv_sites *s)
{
    for (int i = 0; i < s->n; i++)
        free(s->site[i].name);
    free(s->site);
    free(s->name);
    *s = (mv_sites){0};
}
