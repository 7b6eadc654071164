/* The tables of the options that commands share. */
#include "cmd/command.h"
#include "cmd/options_impl.h"
#include "viz/draw/colour.h"
#include "viz/page/page.h"

const char *const options_precisions[] = {"fp32", "bf16", "fp16", "fp8", NULL};
static const char *const weights_words[] = {"ema", "model", NULL};
const char *const options_devices[] = {"auto",           "cpu",  "cpu:plain", "cpu:avx2", "cpu:avx512",
                                       "cpu:avx512bf16", "cuda", NULL};
static const char *const crop_words[] = {"center", "squash", "border", NULL};
static const char *const interpolation_words[] = {"bicubic", "bilinear", NULL}; /* as mv_resample_filter */
static const char *const format_words[] = {"png", "svg", "pdf", NULL};
static const char *const photo_words[] = {"grey", "colour", NULL};
static const char *const theme_words[] = {"light", "dark", NULL};

static const char *use_word(int i)
{
    return mv_page_use_at(i);
}

static const char *colour_word(int i)
{
    const mv_colour_table *t = mv_colour_table_at(i);
    return t ? t->name : NULL;
}

static const char *scale_word(int i)
{
    return mv_scale_kind_at(i);
}

#define AT(member) offsetof(options, member)

const mv_param options_model[] = {
    {.name = "model",
     .letter = 'm',
     .kind = MV_PARAM_TEXT,
     .offset = AT(model),
     .argument = "MODEL",
     .completes = MV_COMPLETE_MODEL,
     .help = "checkpoint file or folder, or the name of one that 'mvscope pull' has fetched; the embedded model by "
             "default"},
    {.name = "weights",
     .kind = MV_PARAM_TEXT,
     .offset = AT(weights),
     .words = weights_words,
     .argument = "ema|model|NAME",
     .help = "which network of a checkpoint that holds several: model by default, or the prefix of its tensors"},
    {0}};
static const mv_param device_params[] = {OPTION_DEVICE(AT(device), "DEVICE"), OPTION_THREADS(AT(threads)), {0}};
static const mv_param precision_params[] = {{.name = "precision",
                                             .letter = 'p',
                                             .kind = MV_PARAM_WORD,
                                             .offset = AT(precision),
                                             .words = options_precisions,
                                             .argument = "PRECISION",
                                             .help = "number format, fp32 on the CPU and fp16 on a GPU by default"},
                                            {0}};
static const mv_param size_params[] = {{.name = "size",
                                        .kind = MV_PARAM_SIZE,
                                        .offset = AT(size),
                                        .least = MV_SIZE_MIN,
                                        .most = MV_SIZE_MAX,
                                        .argument = "N|HxW",
                                        .help = "input size of the network in pixels, the model's by default"},
                                       {0}};
static const mv_param crop_params[] = {
    {.name = "crop-pct",
     .kind = MV_PARAM_NUMBER,
     .offset = AT(crop_pct),
     .least = 0.1,
     .most = 1,
     .argument = "SHARE",
     .help = "share of the resized picture that is kept, the model's by default"},
    {.name = "crop-mode",
     .kind = MV_PARAM_WORD,
     .offset = AT(crop_mode),
     .words = crop_words,
     .argument = "MODE",
     .help = "how pictures are brought to the input size, by default the model's way"},
    {.name = "interpolation",
     .kind = MV_PARAM_WORD,
     .offset = AT(interpolation),
     .words = interpolation_words,
     .argument = "FILTER",
     .help = "how pictures are resized, by default the model's way"},
    {0}};
static const mv_param decoding_params[] = {{.name = "no-exif",
                                            .kind = MV_PARAM_FLAG,
                                            .offset = AT(no_exif),
                                            .help = "ignore the EXIF orientation of pictures"},
                                           {.name = "max-pixels",
                                            .kind = MV_PARAM_COUNT,
                                            .offset = AT(max_pixels),
                                            .least = 1,
                                            .most = 1e12,
                                            .otherwise = "64M",
                                            .argument = "PIXELS",
                                            .help = "refuse pictures with more pixels"},
                                           {.name = "max-memory",
                                            .kind = MV_PARAM_COUNT,
                                            .offset = AT(max_memory),
                                            .least = 1e6,
                                            .most = 1e12,
                                            .otherwise = "2G",
                                            .argument = "BYTES",
                                            .help = "memory for decoding pictures, of all threads together"},
                                           {0}};
static const mv_param picture_params[] = {{.name = "batch",
                                           .letter = 'b',
                                           .kind = MV_PARAM_INTEGER,
                                           .offset = AT(batch),
                                           .least = 1,
                                           .most = 4096,
                                           .otherwise = "8",
                                           .argument = "N",
                                           .help = "batch size: pictures that are computed together"},
                                          {.name = "resume",
                                           .kind = MV_PARAM_FLAG,
                                           .offset = AT(resume),
                                           .help = "continue an interrupted run: keep the results that exist"},
                                          {.name = "shard",
                                           .kind = MV_PARAM_SHARE,
                                           .offset = AT(shard),
                                           .most = 100000,
                                           .argument = "I/N",
                                           .help = "process only part I of N consecutive parts of the pictures"},
                                          {0}};
static const mv_param page_output_params[] = {
    {.name = "output",
     .letter = 'o',
     .kind = MV_PARAM_TEXT,
     .offset = AT(out),
     .argument = "OUT",
     .completes = MV_COMPLETE_FILE,
     .help = "page file (.png, .svg or .pdf), FOLDER/ or - for stdout; the working folder by default"},
    {0}};
static const mv_param page_file_params[] = {
    {.name = "output",
     .letter = 'o',
     .kind = MV_PARAM_TEXT,
     .offset = AT(out),
     .argument = "OUT",
     .completes = MV_COMPLETE_FILE,
     .help = "page file (.png, .svg or .pdf), FOLDER/ or - for stdout; without it no page is drawn"},
    {0}};
static const mv_param page_params[] = {
    {.name = "format",
     .kind = MV_PARAM_WORD,
     .offset = AT(format),
     .words = format_words,
     .argument = "FORMAT",
     .help = "format of the pages in a folder, png by default, pdf for papers"},
    {.name = "theme",
     .kind = MV_PARAM_WORD,
     .offset = AT(theme),
     .words = theme_words,
     .argument = "THEME",
     .help = "theme of the page, light by default"},
    {.name = "zoom",
     .kind = MV_PARAM_NUMBER,
     .offset = AT(zoom),
     .least = 0.25,
     .most = 8,
     .argument = "FACTOR",
     .help = "resolution of a PNG: image pixels per page pixel; 2 or 3 for print"},
    {.name = "width",
     .kind = MV_PARAM_INTEGER,
     .offset = AT(width),
     .least = 640,
     .most = 8000,
     .argument = "PIXELS",
     .help = "width of the page in page pixels"},
    {.name = "for",
     .kind = MV_PARAM_WORD,
     .offset = AT(use),
     .word_at = use_word,
     .argument = "USE",
     .help = "fit a paper's text width or a slide: size in points, panel letters, no foot"},
    {0}};
static const mv_param map_params[] = {
    {.name = "colours",
     .also = "colors",
     .kind = MV_PARAM_WORD,
     .offset = AT(colours),
     .word_at = colour_word,
     .argument = "TABLE",
     .help = "colour table of the maps"},
    {.name = "colour-scale",
     .also = "color-scale",
     .kind = MV_PARAM_WORD,
     .offset = AT(scale),
     .word_at = scale_word,
     .argument = "SCALE",
     .help = "how values are mapped to colours"},
    {.name = "grid", .kind = MV_PARAM_FLAG, .offset = AT(grid), .help = "draw the grid of cells"},
    {0}};
static const mv_param sheet_params[] = {{.name = "sheet",
                                         .kind = MV_PARAM_INTEGER,
                                         .offset = AT(sheet),
                                         .least = 2,
                                         .most = 64,
                                         .argument = "N",
                                         .help = "contact sheets: N pictures on each page"},
                                        {0}};
static const mv_param overlay_params[] = {
    {.name = "overlay",
     .kind = MV_PARAM_TEXT,
     .offset = AT(overlay),
     .argument = "FILE|FOLDER/",
     .completes = MV_COMPLETE_FILE,
     .help = "write the map over the whole photo alone, at the photo's size: FILE.png, FILE.jpg or FOLDER/"},
    {.name = "alpha",
     .kind = MV_PARAM_NUMBER,
     .offset = AT(alpha),
     .least = 0.05,
     .most = 1,
     .argument = "SHARE",
     .help = "the strongest opacity of an overlay, by default that of pages"},
    {.name = "threshold",
     .kind = MV_PARAM_NUMBER,
     .offset = AT(threshold),
     .least = 0.01,
     .most = 1,
     .argument = "SHARE",
     .help = "overlay only the strongest cells that together hold this share of the map's mass"},
    {.name = "photo",
     .kind = MV_PARAM_WORD,
     .offset = AT(photo),
     .words = photo_words,
     .argument = "PHOTO",
     .help = "the photo under an overlay, grey by default"},
    {0}};
static const mv_param value_output_params[] = {{.name = "output",
                                                .letter = 'o',
                                                .kind = MV_PARAM_TEXT,
                                                .offset = AT(out),
                                                .argument = "OUT",
                                                .completes = MV_COMPLETE_FILE,
                                                .help = "output file (.safetensors, .npz or .npy) or FOLDER/"},
                                               {0}};
static const mv_param json_params[] = {
    {.name = "json", .kind = MV_PARAM_FLAG, .offset = AT(json), .help = "print results as JSON"}, {0}};
static const mv_param quiet_params[] = {{.name = "quiet",
                                         .letter = 'q',
                                         .kind = MV_PARAM_FLAG,
                                         .offset = AT(quiet),
                                         .help = "suppress warnings and progress"},
                                        {0}};
static const mv_param verbose_params[] = {{.name = "verbose",
                                           .letter = 'v',
                                           .kind = MV_PARAM_FLAG,
                                           .offset = AT(verbose),
                                           .help = "report what is being done"},
                                          {0}};
static const mv_param general_params[] = {
    {.name = "help", .letter = 'h', .kind = MV_PARAM_FLAG, .offset = AT(help), .help = "print this help"},
    {.name = "version", .letter = 'V', .kind = MV_PARAM_FLAG, .offset = AT(version), .help = "print the version"},
    {0}};

/* The shared tables, each with the bit that adds it, in the order of help. */
static const char group_own[] = "Options", group_pages[] = "Pages";
static const options_table tables[] = {{TAKES_MODEL, options_model, "Model and device"},
                                       {TAKES_WEIGHTS, device_params, "Model and device"},
                                       {TAKES_PRECISION, precision_params, "Model and device"},
                                       {TAKES_SIZE, size_params, "Pictures"},
                                       {TAKES_CROP, crop_params, "Pictures"},
                                       {TAKES_PICTURES | TAKES_DECODING, decoding_params, "Pictures"},
                                       {TAKES_PICTURES, picture_params, "Pictures"},
                                       {TAKES_PAGES, page_output_params, group_pages},
                                       {TAKES_PAGE_FILE, page_file_params, group_pages},
                                       {TAKES_PAGES | TAKES_PAGE_FILE, page_params, group_pages},
                                       {TAKES_MAPS, map_params, group_pages},
                                       {TAKES_SHEETS, sheet_params, group_pages},
                                       {TAKES_OVERLAY, overlay_params, "Overlays"},
                                       {TAKES_VALUES, value_output_params, "Output"},
                                       {TAKES_JSON, json_params, "General"},
                                       {TAKES_PICTURES | TAKES_DECODING | TAKES_QUIET, quiet_params, "General"},
                                       {TAKES_WEIGHTS, verbose_params, "General"},
                                       {0, general_params, "General"}};

const options_table *options_table_at(int i)
{
    return i >= 0 && i < (int)(sizeof tables / sizeof *tables) ? &tables[i] : NULL;
}

bool options_table_of_pages(const options_table *t)
{
    return t->group == group_pages;
}

static void visit_table(const mv_param *table, const char *group, option_visitor *visit, void *context)
{
    for (const mv_param *p = table; p && p->name; p++)
        visit(context, group, p);
}

void options_visit(const command *c, option_visitor *visit, void *context)
{
    const options_table *t;
    visit_table(c->method_params, group_own, visit, context);
    visit_table(c->params, group_own, visit, context);
    for (int i = 0; (t = options_table_at(i)); i++)
        if (!t->takes || t->takes & c->takes)
            visit_table(t->table, t->group, visit, context);
}
