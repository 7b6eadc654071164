#include "src/model/choose.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "src/base/text.h"

enum { MOST = 16, LIST = 200 }; /* networks in one file; bytes of their list in a message */

typedef struct {
    int n;
    char prefix[MOST][MV_PREFIX];
} networks;

static const char first[] = "patch_embed.conv_down.0.weight";

static mv_status find_all(networks *out, const mv_tensors *t, mv_error *e)
{
    const char *file = mv_tensors_file(t);
    out->n = 0;
    for (int i = 0; i < mv_tensors_count(t); i++) {
        const char *name = mv_tensors_name_at(t, i);
        size_t n = strlen(name), k = sizeof first - 1;
        if (n < k || strcmp(name + n - k, first) || (n > k && name[n - k - 1] != '.'))
            continue;
        if (n - k >= MV_PREFIX)
            return mv_fail(e, MV_EINPUT, "%s: tensor %.200s has a prefix of %zu letters, expected at most %d", file,
                           name, n - k, MV_PREFIX - 1);
        if (out->n == MOST)
            return mv_fail(e, MV_EINPUT, "%s: found more than %d networks in one file, expected at most that", file,
                           MOST);
        snprintf(out->prefix[out->n++], MV_PREFIX, "%.*s", (int)(n - k), name);
    }
    if (out->n == 0)
        return mv_fail(e, MV_EINPUT, "%s: is no MambaVision checkpoint: lacks tensor %s among %d tensors", file, first,
                       mv_tensors_count(t));
    return MV_OK;
}

/* True if a word of the prefix says that it is a moving average: "model_ema.", "ema.module.". */
static bool is_average(const char *prefix)
{
    static const char *const words[] = {"ema", "swa", "averaged", "shadow"};
    for (const char *p = prefix; *p; p += strcspn(p, "._") + 1) {
        size_t n = strcspn(p, "._");
        for (size_t i = 0; i < sizeof words / sizeof *words; i++)
            if (strlen(words[i]) == n && strncasecmp(p, words[i], n) == 0)
                return true;
        if (!p[n])
            break;
    }
    return false;
}

static const char *const usual[] = {"",     "state_dict.", "model_state_dict.", "model.",  "module.",
                                    "net.", "network.",    "student.",          "teacher."};
enum { USUAL = sizeof usual / sizeof *usual };

/* Where the prefix stands among the usual ones; others come after them, in the order of their names. */
static int rank_of(const char *prefix)
{
    if (!*prefix)
        return 0;
    for (int i = 1; i < USUAL; i++)
        if (strncmp(prefix, usual[i], strlen(usual[i])) == 0)
            return i;
    return USUAL;
}

size_t mv_choose_scope(const char *prefix)
{
    char begin[MV_PREFIX];
    size_t n = strcspn(prefix, ".") + 1;
    if (!*prefix)
        return 0;
    snprintf(begin, sizeof begin, "%.*s", (int)n, prefix);
    return rank_of(begin) < USUAL || is_average(begin) ? n : 0;
}

/* The best of the averages, or of the others; -1 if there is none. */
static int best_of(const networks *all, bool average)
{
    int best = -1;
    for (int i = 0; i < all->n; i++)
        if (is_average(all->prefix[i]) == average && (best < 0 || rank_of(all->prefix[i]) < rank_of(all->prefix[best])))
            best = i;
    return best;
}

/* What the network is called: its prefix without the last dot. */
static void name_of(char name[MV_PREFIX + 16], const char *prefix)
{
    if (*prefix)
        snprintf(name, MV_PREFIX + 16, "'%.*s'", (int)strlen(prefix) - 1, prefix);
    else
        snprintf(name, MV_PREFIX + 16, "names without a prefix");
}

static void list(char out[LIST], const networks *all, int without)
{
    char name[MV_PREFIX + 16];
    *out = 0;
    for (int i = 0; i < all->n; i++) {
        size_t n = strlen(out);
        if (i == without)
            continue;
        name_of(name, all->prefix[i]);
        mv_text_print(out + n, LIST - n, "%s%s", *out ? ", " : "", name);
    }
}

static int named(const networks *all, const char *which)
{
    size_t n = strlen(which);
    for (int i = 0; i < all->n; i++) {
        const char *p = all->prefix[i];
        if (*p && (strcmp(p, which) == 0 || (strlen(p) == n + 1 && strncmp(p, which, n) == 0)))
            return i;
    }
    return -1;
}

static mv_status refuse(const networks *all, const char *file, const char *which, mv_error *e)
{
    char there[LIST];
    list(there, all, -1);
    if (all->n == 1)
        return mv_fail(e, MV_EMISUSE, "%s: found one network, %s, so there is nothing to choose", file, there);
    return mv_fail(e, MV_EMISUSE, "%s: found no network '%.40s', expected one of %s", file, which, there);
}

mv_status mv_choose_network(char prefix[MV_PREFIX], bool *other, const mv_tensors *tensors, const char *which,
                            mv_warnings *warnings, mv_error *e)
{
    networks all;
    char taken[MV_PREFIX + 16], others[LIST];
    const char *file = mv_tensors_file(tensors);
    mv_status s = find_all(&all, tensors, e);
    if (s)
        return s;
    if (which && all.n == 1)
        return refuse(&all, file, which, e);
    int first_choice = best_of(&all, false), i = first_choice;
    if (first_choice < 0) /* nothing but averages */
        i = first_choice = best_of(&all, true);
    if (which)
        i = strcmp(which, "ema") == 0     ? best_of(&all, true)
            : strcmp(which, "model") == 0 ? best_of(&all, false)
                                          : named(&all, which);
    if (i < 0)
        return refuse(&all, file, which, e);
    memcpy(prefix, all.prefix[i], MV_PREFIX);
    *other = i != first_choice;
    if (all.n > 1 && !which) {
        name_of(taken, prefix);
        list(others, &all, i);
        bool average = !is_average(prefix) && best_of(&all, true) >= 0;
        mv_warn(warnings, "%.100s: found %d networks: took %s; there is %s, too (--weights %s)", file, all.n, taken,
                others, average ? "ema" : "NAME");
    }
    return MV_OK;
}
