#include "cmd/evaluation_settings.h"

#include <stdint.h>
#include <stdio.h>

#include "src/base/text.h"
#include "src/explain/faith.h"
#include "src/explain/redraw.h"

static json_t *class_list(const call *c)
{
    json_t *all = json_array();
    for (int i = 0; i < c->session.config.classes; i++) {
        char text[24];
        const char *wnid = session_wnid(&c->session, i);
        json_t *both = json_pack("[s?,s]", wnid, session_label(&c->session, i, text));
        if (json_array_append_new(all, both)) {
            json_decref(all);
            return NULL;
        }
    }
    return all;
}

static json_t *text_list(const char *const *text, int n)
{
    json_t *all = json_array();
    for (int i = 0; i < n; i++)
        if (json_array_append_new(all, json_string(text[i]))) {
            json_decref(all);
            return NULL;
        }
    return all;
}

static json_t *stage_list(const mv_config *config)
{
    json_t *all = json_array();
    for (int k = 0; k < mv_redraw_stages(config); k++) {
        char text[48];
        if (json_array_append_new(all, json_string(mv_redraw_name(config, k, text)))) {
            json_decref(all);
            return NULL;
        }
    }
    return all;
}

/* Names, order and labels of the pictures, as one number. The folder itself may have another name elsewhere. */
static uint64_t list_hash(const trust_study *t)
{
    uint64_t h = 0;
    for (int i = 0; i < t->truth->n; i++)
        h = h * 0x100000001b3u + mv_text_hash(t->truth->path[i] + t->below) + (uint64_t)t->truth->class_[i];
    return h;
}

static json_t *how(const trust_study *t, bool boxes)
{
    return json_pack("{s:i,s:i,s:i,s:b,s:b,s:b,s:b,s:i}", "steps", t->steps, "seeds", t->seeds, "cell", MV_FAITH_CELL,
                     "road", !t->without[WITHOUT_ROAD], "grid", !t->without[WITHOUT_GRID], "random",
                     !t->without[WITHOUT_RANDOM], "boxes", boxes, "randomise", t->redraws);
}

json_t *evaluation_settings(call *c, const trust_study *t, bool boxes)
{
    char pipeline[64], pictures[32];
    snprintf(pictures, sizeof pictures, "%016llx", (unsigned long long)list_hash(t));
    json_t *s = json_pack("{s:s,s:s,s:s,s:s,s:i,s:s}", "model", c->session.name, "sha256", session_hash(&c->session),
                          "precision", session_precision(&c->session), "pipeline",
                          session_pipeline(&c->session, pipeline), "pictures", t->truth->n, "list", pictures);
    bool good = s && json_object_set_new(s, "classes", class_list(c)) == 0;
    if (c->asks)
        good = good && json_object_set_new(s, "faith", text_list(t->label, c->asks)) == 0 &&
               json_object_set_new(s, "how", how(t, boxes)) == 0;
    if (t->redraws)
        good = good && json_object_set_new(s, "stages", stage_list(&c->session.config)) == 0;
    if (good)
        return s;
    json_decref(s);
    return NULL;
}
