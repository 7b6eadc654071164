/* Colour tables and themes. The tables are data files of assets/colours/. */
#include "viz/draw/colour.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static const mv_rgb viridis[256] = {
#include "assets/colours/viridis.inc"
};
static const mv_rgb magma[256] = {
#include "assets/colours/magma.inc"
};
static const mv_rgb inferno[256] = {
#include "assets/colours/inferno.inc"
};
static const mv_rgb plasma[256] = {
#include "assets/colours/plasma.inc"
};
static const mv_rgb cividis[256] = {
#include "assets/colours/cividis.inc"
};
static const mv_rgb turbo[256] = {
#include "assets/colours/turbo.inc"
};
static const mv_rgb gray[256] = {
#include "assets/colours/gray.inc"
};
static const mv_rgb hot[256] = {
#include "assets/colours/hot.inc"
};
static const mv_rgb jet[256] = {
#include "assets/colours/jet.inc"
};
static const mv_rgb blue_red[256] = {
#include "assets/colours/blue-red.inc"
};
static const mv_rgb coolwarm[256] = {
#include "assets/colours/coolwarm.inc"
};
static const mv_rgb rdbu[256] = {
#include "assets/colours/rdbu.inc"
};
static const mv_rgb rdbu_r[256] = {
#include "assets/colours/rdbu_r.inc"
};

/* Borland & Taylor 2007, "Rainbow color map (still) considered harmful". */
#define JET_MISLEADS                                                                                                   \
    "its lightness rises and falls, so it shows edges where there are none and hides others; inferno does not"

#define TURBO_IS_UNSAFE                                                                                                \
    "its lightness rises and falls, so different values look alike in grey and to colour-blind eyes; "                 \
    "inferno, viridis and cividis are safe"

/* Names are those of Matplotlib, but for blue-red. */
static const mv_colour_table tables[] = {
    {"viridis", false, viridis, NULL},  {"magma", false, magma, NULL},      {"inferno", false, inferno, NULL},
    {"plasma", false, plasma, NULL},    {"cividis", false, cividis, NULL},  {"turbo", false, turbo, TURBO_IS_UNSAFE},
    {"gray", false, gray, NULL},        {"hot", false, hot, NULL},          {"jet", false, jet, JET_MISLEADS},
    {"blue-red", true, blue_red, NULL}, {"coolwarm", true, coolwarm, NULL}, {"RdBu", true, rdbu, NULL},
    {"RdBu_r", true, rdbu_r, NULL},
};

enum { TABLES = sizeof tables / sizeof *tables };

const mv_colour_table *mv_colour_table_at(int i)
{
    return i >= 0 && i < TABLES ? &tables[i] : NULL;
}

const mv_colour_table *mv_colour_table_lookup(const char *name, mv_error *e)
{
    for (int i = 0; name && i < TABLES; i++)
        if (strcmp(tables[i].name, name) == 0)
            return &tables[i];
    char names[200] = "";
    for (int i = 0; i < TABLES; i++)
        snprintf(names + strlen(names), sizeof names - strlen(names), "%s%s",
                 i == 0           ? ""
                 : i < TABLES - 1 ? ", "
                                  : " or ",
                 tables[i].name);
    mv_fail(e, MV_EINPUT, "colours: found '%.40s', expected %s", name ? name : "", names);
    return NULL;
}

static uint8_t mix(uint8_t a, uint8_t b, double f)
{
    return (uint8_t)(a + (b - a) * f + 0.5);
}

mv_rgb mv_colour_at(const mv_colour_table *table, double t)
{
    if (!(t > 0))
        return table->rows[0];
    if (t >= 1)
        return table->rows[255];
    int i = (int)(t * 255);
    double f = t * 255 - i;
    mv_rgb a = table->rows[i], b = table->rows[i + 1];
    return (mv_rgb){mix(a.r, b.r, f), mix(a.g, b.g, f), mix(a.b, b.b, f)};
}

const mv_theme *mv_theme_of(mv_theme_kind kind)
{
    static const mv_theme light = {
        .paper = {0xff, 0xff, 0xff},
        .ink = {0x15, 0x18, 0x1c},
        .second = {0x5a, 0x62, 0x6c},
        .third = {0x6b, 0x74, 0x7f},
        .hairline = {0xdd, 0xe1, 0xe6},
        .accent = {0x0f, 0x6c, 0x9c},
        .counter = {0xb4, 0x54, 0x1e},
        .track = {0xf2, 0xf4, 0xf6},
    };
    static const mv_theme dark = {
        .paper = {0x10, 0x13, 0x18},
        .ink = {0xec, 0xef, 0xf3},
        .second = {0xa3, 0xac, 0xb8},
        .third = {0x7f, 0x8a, 0x98},
        .hairline = {0x2a, 0x30, 0x38},
        .accent = {0x5b, 0xb8, 0xea},
        .counter = {0xf0, 0xa0, 0x6a},
        .track = {0x1a, 0x1e, 0x25},
    };
    return kind == MV_DARK ? &dark : &light;
}
