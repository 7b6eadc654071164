/* The path of the embedded typefaces:
 *
 *     bytes in the program -> memfd -> private fontconfig set -> Pango font map -> lines of text
 */
#include "viz/draw/fonts.h"

#include <errno.h>
#include <fontconfig/fontconfig.h>
#include <math.h>
#include <pango/pangocairo.h>
#include <pango/pangofc-fontmap.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "assets/assets.h"
#include "viz/draw/text.h"

enum { FACES = 4 };

struct mv_fonts {
    int fd[FACES];          /* memory files with the faces, which are read when first used */
    FcCharSet *known;       /* the characters that they have */
    PangoContext *embedded; /* sets text in these faces only */
    PangoContext *system;   /* these faces, then the system's fonts; NULL until a text needs them */
    char *missing;          /* the first text with a character that none of them has; NULL: none */
};

/* Lengths are px of the page. Line heights are multiples of 4, so that pages have one baseline grid. */
static const struct {
    double size, line;
    int weight;
    bool mono, tabular;
} types[MV_TYPES] = {
    [MV_TYPE_TITLE] = {27, 36, PANGO_WEIGHT_SEMIBOLD, false, false},
    [MV_TYPE_SECTION] = {17, 24, PANGO_WEIGHT_SEMIBOLD, false, false},
    [MV_TYPE_PANEL] = {15, 20, PANGO_WEIGHT_MEDIUM, false, false},
    [MV_TYPE_LEAD] = {14, 20, PANGO_WEIGHT_NORMAL, false, false},
    [MV_TYPE_TEXT] = {13, 20, PANGO_WEIGHT_NORMAL, false, true},
    [MV_TYPE_STRONG] = {13, 20, PANGO_WEIGHT_MEDIUM, false, true},
    [MV_TYPE_SMALL] = {11.5, 16, PANGO_WEIGHT_NORMAL, false, false},
    [MV_TYPE_RECIPE] = {11.5, 16, PANGO_WEIGHT_NORMAL, true, false},
};

static const char inter[] = "Inter", mono[] = "JetBrains Mono";

/* Cap height over font size, the same in both faces. Lines are centred on it, independent of the font file's version.
 */
#define CAP_HEIGHT 0.728

/* The one lock for what cairo keeps for the whole process: see text.h. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

void mv_fonts_lock(void)
{
    pthread_mutex_lock(&lock);
}

void mv_fonts_unlock(void)
{
    pthread_mutex_unlock(&lock);
}

/* --- faces ------------------------------------------------------------------------------------- */

static mv_status write_face(int *fd, mv_asset face, mv_error *e)
{
    *fd = memfd_create("mvscope-font", MFD_CLOEXEC);
    if (*fd < 0)
        return mv_fail_errno(e, "fonts", "memory file");
    for (size_t done = 0; done < face.size;) {
        ssize_t n = write(*fd, face.bytes + done, face.size - done);
        if (n < 0 && errno == EINTR)
            continue;
        if (n == 0)
            errno = ENOSPC;
        if (n <= 0)
            return mv_fail_errno(e, "fonts", "memory file");
        done += (size_t)n;
    }
    return MV_OK;
}

/* cairo keeps fonts for the whole process, by path, even after their mv_fonts has been freed, and a number may come
 * back for another face. So the path also says which face it is, by its count of slashes: one path always means one
 * face. */
static mv_status add_faces(const mv_fonts *f, FcConfig *config, mv_error *e)
{
    static const char slashes[FACES + 1] = "////";
    for (int i = 0; i < FACES; i++) {
        char path[64];
        snprintf(path, sizeof path, "/proc/self/fd%s%d", slashes + i, f->fd[i]);
        if (!FcConfigAppFontAddFile(config, (const FcChar8 *)path))
            return access(path, R_OK) ? mv_fail(e, MV_EIO, "fonts: %s cannot be read, expected a mounted /proc", path)
                                      : mv_fail_memory(e, "fonts");
    }
    return MV_OK;
}

/* A context that draws from `config`. The font map keeps a reference to it. */
static PangoContext *context_of(FcConfig *config)
{
    PangoFontMap *map = pango_cairo_font_map_new_for_font_type(CAIRO_FONT_TYPE_FT);
    pango_fc_font_map_set_config(PANGO_FC_FONT_MAP(map), config);
    PangoContext *context = pango_font_map_create_context(map);
    g_object_unref(map);

    /* unhinted outlines at fractional positions: the same on pixels and on paper */
    cairo_font_options_t *o = cairo_font_options_create();
    cairo_font_options_set_antialias(o, CAIRO_ANTIALIAS_GRAY);
    cairo_font_options_set_hint_style(o, CAIRO_HINT_STYLE_NONE);
    cairo_font_options_set_hint_metrics(o, CAIRO_HINT_METRICS_OFF);
    pango_cairo_context_set_font_options(context, o);
    cairo_font_options_destroy(o);
    pango_context_set_round_glyph_positions(context, FALSE);
    pango_context_set_language(context, pango_language_from_string("en"));
    pango_context_set_base_dir(context, PANGO_DIRECTION_LTR);
    return context;
}

/* Pango does not release the config on its own. */
static void free_context(PangoContext *context)
{
    if (!context)
        return;
    PangoFontMap *map = g_object_ref(pango_context_get_font_map(context));
    g_object_unref(context);
    pango_fc_font_map_set_config(PANGO_FC_FONT_MAP(map), NULL);
    g_object_unref(map);
}

/* The union over all faces; NULL without memory, in which case every text uses the system's fonts. */
static FcCharSet *known_characters(FcConfig *config)
{
    FcCharSet *all = FcCharSetCreate();
    const FcFontSet *set = FcConfigGetFonts(config, FcSetApplication);
    for (int i = 0; all && set && i < set->nfont; i++) {
        FcCharSet *face;
        if (FcPatternGetCharSet(set->fonts[i], FC_CHARSET, 0, &face) == FcResultMatch)
            FcCharSetMerge(all, face, NULL);
    }
    return all;
}

mv_fonts *mv_fonts_new(mv_error *e)
{
    mv_fonts *f = calloc(1, sizeof *f);
    if (!f) {
        mv_fail_memory(e, "fonts");
        return NULL;
    }
    memset(f->fd, -1, sizeof f->fd);
    const mv_asset faces[FACES] = {MV_ASSET(inter_regular), MV_ASSET(inter_medium), MV_ASSET(inter_semibold),
                                   MV_ASSET(jetbrains_mono)};
    FcConfig *config = FcConfigCreate();
    mv_status s = config ? MV_OK : mv_fail_memory(e, "fonts");
    mv_fonts_lock();
    for (int i = 0; s == MV_OK && i < FACES; i++)
        s = write_face(&f->fd[i], faces[i], e);
    if (s == MV_OK)
        s = add_faces(f, config, e);
    if (s == MV_OK) {
        f->known = known_characters(config);
        /* Pango initialises fontconfig in a thread, which would scan the system; an empty default configuration
         * prevents it */
        FcConfig *blank = FcConfigCreate();
        if (blank && FcConfigSetCurrent(blank))
            FcConfigDestroy(blank);
        f->embedded = context_of(config);
    }
    if (config)
        FcConfigDestroy(config);
    mv_fonts_unlock();
    if (s != MV_OK) {
        mv_fonts_free(f);
        return NULL;
    }
    return f;
}

void mv_fonts_free(mv_fonts *f)
{
    if (!f)
        return;
    mv_fonts_lock();
    free_context(f->embedded);
    free_context(f->system);
    g_free(f->missing);
    if (f->known)
        FcCharSetDestroy(f->known);
    mv_fonts_unlock();
    for (int i = 0; i < FACES; i++)
        if (f->fd[i] >= 0)
            close(f->fd[i]);
    free(f);
}

/* --- text -------------------------------------------------------------------------------------- */

/* Valid UTF-8 with spaces in place of control characters. The caller's to g_free. */
static char *clean(const char *utf8)
{
    char *text = g_utf8_make_valid(utf8 ? utf8 : "", -1);
    for (char *c = text; *c; c++)
        if ((unsigned char)*c < ' ' || *c == 0x7f)
            *c = ' ';
    return text;
}

static bool all_known(const mv_fonts *f, const char *text)
{
    for (const char *c = text; *c; c = g_utf8_next_char(c)) {
        gunichar u = g_utf8_get_char(c);
        if (u >= 0x80 && !(f->known && FcCharSetHasChar(f->known, u)) && !g_unichar_iszerowidth(u))
            return false;
    }
    return true;
}

/* The context that has the characters of `text`. The system's fonts are opened when the faces first lack one. */
static PangoContext *context_for(mv_fonts *f, const char *text)
{
    if (all_known(f, text))
        return f->embedded;
    if (!f->system) {
        FcConfig *config = FcInitLoadConfigAndFonts();
        if (!config || add_faces(f, config, NULL) != MV_OK) {
            if (config)
                FcConfigDestroy(config);
            return f->embedded;
        }
        f->system = context_of(config);
        FcConfigDestroy(config);
    }
    return f->system;
}

mv_text *mv_text_new(mv_fonts *f, mv_type type, const char *utf8, double width, int lines, mv_error *e)
{
    mv_text *t = calloc(1, sizeof *t);
    if (!t) {
        mv_fail_memory(e, "text");
        return NULL;
    }
    t->type = type;
    t->line = types[type].line;
    t->baseline = t->line / 2 + CAP_HEIGHT / 2 * types[type].size;

    char *text = clean(utf8);
    mv_fonts_lock();
    t->layout = pango_layout_new(context_for(f, text));
    PangoFontDescription *font = pango_font_description_new();
    pango_font_description_set_family_static(font, types[type].mono ? mono : inter);
    pango_font_description_set_weight(font, (PangoWeight)types[type].weight);
    pango_font_description_set_absolute_size(font, types[type].size * PANGO_SCALE);
    pango_layout_set_font_description(t->layout, font);
    pango_font_description_free(font);

    /* tabular figures where numbers stand under each other; no ligatures, so that "--size" keeps two hyphens */
    PangoAttrList *attributes = pango_attr_list_new();
    pango_attr_list_insert(attributes, pango_attr_font_features_new(types[type].mono      ? "calt=0, liga=0"
                                                                    : types[type].tabular ? "tnum"
                                                                                          : "kern"));
    pango_attr_list_insert(
        attributes, pango_attr_insert_hyphens_new(FALSE)); /* a file name that is broken must not gain a hyphen */
    pango_layout_set_attributes(t->layout, attributes);
    pango_attr_list_unref(attributes);

    pango_layout_set_text(t->layout, text, -1);
    if (!f->missing && !all_known(f, text) && pango_layout_get_unknown_glyphs_count(t->layout) > 0)
        f->missing = g_strdup(text);
    g_free(text);
    if (width > 0) {
        pango_layout_set_width(t->layout, pango_units_from_double(fmin(fmax(width, 1), 1e5)));
        pango_layout_set_wrap(t->layout, PANGO_WRAP_WORD_CHAR);
        if (lines > 0) {
            pango_layout_set_height(t->layout, -lines);
            pango_layout_set_ellipsize(t->layout, PANGO_ELLIPSIZE_END);
        }
    }
    t->lines = pango_layout_get_line_count(t->layout);
    t->cut = pango_layout_is_ellipsized(t->layout);
    int w;
    pango_layout_get_size(t->layout, &w, NULL);
    t->width = pango_units_to_double(w);
    mv_fonts_unlock();
    return t;
}

void mv_text_free(mv_text *t)
{
    if (!t)
        return;
    mv_fonts_lock();
    g_object_unref(t->layout);
    mv_fonts_unlock();
    free(t);
}

const char *mv_fonts_missing(const mv_fonts *f)
{
    return f->missing;
}

bool mv_text_is_cut(const mv_text *t)
{
    return t->cut;
}

double mv_text_width(const mv_text *t)
{
    return t->width;
}

double mv_text_height(const mv_text *t)
{
    return t->lines * t->line;
}

double mv_text_baseline(const mv_text *t)
{
    return t->baseline;
}

mv_type_css mv_type_css_of(mv_type type)
{
    return (mv_type_css){
        .families =
            types[type].mono ? "'JetBrains Mono', Consolas, monospace" : "Inter, 'Helvetica Neue', Arial, sans-serif",
        .size = types[type].size,
        .weight = types[type].weight,
        .mono = types[type].mono,
        .tabular = types[type].tabular,
    };
}

char *mv_text_line(const mv_text *t, int i)
{
    const char *text = pango_layout_get_text(t->layout);
    const PangoLayoutLine *line = pango_layout_get_line_readonly(t->layout, i);
    GString *seen = g_string_new(NULL);
    bool cut = false;
    for (const GSList *r = line->runs; r; r = r->next) {
        const PangoItem *item = ((const PangoLayoutRun *)r->data)->item;
        if (item->analysis.flags & PANGO_ANALYSIS_FLAG_IS_ELLIPSIS) {
            g_string_append(seen, "\xe2\x80\xa6");
            cut = true;
        } else {
            g_string_append_len(seen, text + item->offset, item->length);
        }
    }
    if (!cut) { /* runs are in visual order, characters in logical order: they differ from right to left */
        g_string_truncate(seen, 0);
        g_string_append_len(seen, text + line->start_index, line->length);
    }
    return g_string_free(seen, FALSE);
}
