/* Patterns of site names: what they match, and the messages for those that match nothing. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "src/base/pattern.h"

static void patterns_match(void **s)
{
    (void)s;
    static const struct {
        const char *pattern, *site;
        bool fits;
    } cases[] = {
        {"**", "head", true},
        {"**", "levels.2.blocks.0.mixer.h", true},
        {"*", "head", true},
        {"*", "levels.2", false},
        {"levels.*", "levels.2", true},
        {"levels.*", "levels.2.blocks.0", false},
        {"levels.3.**.attn", "levels.3.blocks.1.mixer.attn", true},
        {"levels.3.**.attn", "levels.2.blocks.1.mixer.attn", false},
        {"**.dt,head", "head", true},
        {"**.dt,head", "levels.2.blocks.0.mixer.dt", true},
        {"levels.[23]", "levels.2", true},
        {"levels.[23]", "levels.1", false},
        {"levels.[0-2]", "levels.1", true},
        {"levels.[!3]", "levels.3", false},
        {"levels.?", "levels.1", true},
        {"head", "heads", false},
        {"", "head", false},
        {"h*d", "head", true},
        {"**a**", "head", true},
        {"levels.*.blocks.*", "levels.2.blocks.10", true},
        {"levels.*.blocks.*", "levels.2.blocks.10.norm1", false},
        {"[", "[", true},
        {"***", "a.b", true},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        if (mv_pattern_match(cases[i].pattern, cases[i].site) != cases[i].fits)
            fail_msg("'%s' on '%s': expected %s", cases[i].pattern, cases[i].site, cases[i].fits ? "a fit" : "none");
    char stars[2001];
    memset(stars, '*', 2000);
    for (int i = 1; i < 2000; i += 3)
        stars[i] = 'a';
    stars[2000] = 0;
    assert_false(mv_pattern_match(stars, "levels.2.blocks.0.mixer.attn")); /* and in no time: nothing is tried twice */
}

static void unmatched_patterns_name_the_nearest(void **s)
{
    (void)s;
    static const char *const sites[] = {"input", "levels.2", "levels.3", "levels.3.blocks.0.mixer.attn", "head"};
    mv_error e = {0};
    assert_int_equal(mv_pattern_check("head,levels.4", 5, sites, "--site", &e), MV_EINPUT);
    assert_non_null(strstr(e.text, "'levels.4'"));
    assert_non_null(strstr(e.text, "nearest: levels.2, levels.3"));
    e = (mv_error){0};
    assert_int_equal(mv_pattern_check("**.attm", 5, sites, "--site", &e), MV_EINPUT);
    assert_non_null(strstr(e.text, "mixer.attn"));
    e = (mv_error){0};
    assert_int_equal(mv_pattern_check("hed", 5, sites, "--site", &e), MV_EINPUT);
    assert_string_equal(e.text, "--site: no site fits 'hed'; nearest: head, input, levels.2");
    e = (mv_error){0};
    assert_int_equal(mv_pattern_check("head,", 5, sites, "--site", &e), MV_EINPUT);
    e = (mv_error){0};
    assert_int_equal(mv_pattern_check("levels.[23", 5, sites, "--site", &e), MV_EINPUT);
    e = (mv_error){0};
    assert_int_equal(mv_pattern_check("**,head,levels.[23]", 5, sites, "--site", &e), MV_OK);
}

/* "attn" is a part of a name: the message says how to write that. */
static void a_part_of_a_name_proposes_a_pattern(void **s)
{
    (void)s;
    static const char *const sites[] = {"input", "levels.2", "levels.3", "levels.3.blocks.0.mixer.attn", "head"};
    mv_error e = {0};
    assert_int_equal(mv_pattern_check("attn", 5, sites, "sites", &e), MV_EINPUT);
    assert_string_equal(e.text, "sites: no site fits 'attn'; '**attn**' fits 1");
    e = (mv_error){0};
    assert_int_equal(mv_pattern_check("head,level", 5, sites, "sites", &e), MV_EINPUT);
    assert_string_equal(e.text, "sites: no site fits 'level'; '**level**' fits 3");
    e = (mv_error){0}; /* with a dot or a star the pattern was meant as one */
    assert_int_equal(mv_pattern_check("mixer.attn", 5, sites, "sites", &e), MV_EINPUT);
    assert_non_null(strstr(e.text, "nearest: "));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(patterns_match),
        cmocka_unit_test(unmatched_patterns_name_the_nearest),
        cmocka_unit_test(a_part_of_a_name_proposes_a_pattern),
    };
    return cmocka_run_group_tests_name("pattern", tests, NULL, NULL);
}
