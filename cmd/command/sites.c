/* sites: the named values of a network, with their shapes. */
#include <stdio.h>

#include "cmd/reply.h"
#include "cmd/talk.h"
#include "src/base/pattern.h"
#include "src/run/sites.h"

static json_t *site_json(const mv_site *t)
{
    json_t *dims = json_array(), *site = json_pack("{s:s}", "site", t->name);
    bool good = dims && site;
    for (int d = 0; d < t->nd && good; d++)
        good = reply_append(dims, json_integer(t->dim[d]));
    if (good && reply_set(site, "shape", json_incref(dims))) {
        json_decref(dims);
        return site;
    }
    json_decref(dims);
    json_decref(site);
    return NULL;
}

static int run(call *c)
{
    if (c->operands > 1)
        die(EXIT_MISUSE, "sites: found %d patterns, expected one; commas join several (mvscope sites --help)",
            c->operands);
    const char *patterns = c->operands ? c->operand[0] : "**";
    session *s = &c->session;
    mv_error e = {0};
    mv_sites sites;
    session_open(s, &c->o);
    if (mv_sites_list(&sites, &s->config, 1, s->config.preprocess.h, s->config.preprocess.w, &e))
        die_of(&e, false);
    if (mv_pattern_check(patterns, sites.n, sites.name, "sites", &e))
        die_of(&e, true);
    json_t *all = c->o.json ? json_array() : NULL;
    bool good = true;
    for (int i = 0; i < sites.n; i++) {
        const mv_site *t = &sites.site[i];
        char shape[64];
        if (!mv_pattern_match(patterns, t->name))
            continue;
        if (c->o.json)
            good = good && reply_append(all, site_json(t));
        else
            printf("%-36s  %s\n", t->name, mv_shape_text(shape, t->nd, t->dim));
    }
    if (c->o.json && (!good || reply_print(json_incref(all), stdout, "sites", &e)))
        die(EXIT_FAILED, "sites: out of memory");
    json_decref(all);
    mv_sites_free(&sites);
    session_close(s);
    return EXIT_DONE;
}

static const char *const examples[] = {"sites", "sites 'levels.3.**.attn'", "sites -m L3-512-21K --json", NULL};

static const mv_param pattern_operand = {.completes = MV_COMPLETE_SITE};

const command command_sites = {.name = "sites",
                               .operands = "[PATTERN]",
                               .completes = &pattern_operand,
                               .summary = "Lists the named values (sites) of a network with their shapes",
                               .takes = TAKES_MODEL | TAKES_SIZE | TAKES_JSON,
                               .examples = examples,
                               .run = run};
