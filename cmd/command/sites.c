#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmd/options.h"
#include "cmd/session.h"
#include "src/base/pattern.h"
#include "src/run/sites.h"

static const struct poptOption options[] = {OPTIONS_INCLUDE(options_model, "Model and device"),
                                            OPTIONS_INCLUDE(options_picture, "Pictures"),
                                            OPTIONS_INCLUDE(options_talk, "General"), POPT_TABLEEND};

static int run(int n, const char **words)
{
    if (n > 1)
        die(EXIT_MISUSE, "sites: found %d patterns, expected one; commas join several (mvscope sites --help)", n);
    const char *patterns = n ? words[0] : "**";
    session s;
    mv_error e = {0};
    mv_sites sites;
    session_open(&s);
    if (mv_sites_list(&sites, &s.config, 1, s.config.preprocess.h, s.config.preprocess.w, &e) ||
        mv_pattern_check(patterns, sites.n, sites.name, "sites", &e))
        die_of(&e);
    json_t *all = shared.json ? json_array() : NULL;
    for (int i = 0; i < sites.n; i++) {
        const mv_site *t = &sites.site[i];
        char shape[64];
        if (!mv_pattern_match(patterns, t->name))
            continue;
        if (!shared.json) {
            printf("%-36s  %s\n", t->name, mv_shape_text(shape, t->nd, t->dim));
            continue;
        }
        json_t *dims = json_array();
        for (int d = 0; d < t->nd; d++)
            json_array_append_new(dims, json_integer(t->dim[d]));
        json_array_append_new(all, json_pack("{s:s,s:o}", "site", t->name, "shape", dims));
    }
    if (shared.json) {
        char *text = json_dumps(all, JSON_COMPACT);
        if (!text)
            die(EXIT_FAILED, "out of memory");
        puts(text);
        free(text);
        json_decref(all);
    }
    mv_sites_free(&sites);
    session_close(&s);
    return EXIT_DONE;
}

static const char *const examples[] = {"sites", "sites 'levels.3.**.attn'", "sites -m L3-512-21K --json", NULL};

const command cmd_sites = {"sites", "[PATTERN]", "Lists the named values of a network, with their shapes",
                           options, examples,    run};
