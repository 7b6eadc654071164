/* Any bytes as the files of labels of eval, for pictures whose names the bytes choose: each picture has a class of the
 * model, or the program ends with a message.
 *
 * Covers: cmd/truth.c cmd/operands.c cmd/session.c
 */
#include "cmd/truth.h"
#include "tests/fuzz_program.h"

enum { CLASSES = 4 };

typedef struct {
    session s;
    mv_labels labels;
    operands o;
    truth t;
    int limit;
    char classes[PATH_MAX], file[PATH_MAX];
    bool words, labelled;
} work;

static void find(void *work_)
{
    work *w = work_;
    truth_of(&w->t, &w->s, &w->o, "dir", w->words ? w->classes : NULL, w->labelled ? w->file : NULL, w->limit);
}

static void add_pictures(work *w, fuzz_bytes *b)
{
    static const char *const usual[] = {"dir/church/1.jpg", "dir/golf_ball/2.jpg", "dir/3.jpg", "dir/2/x.y.png"};
    char text[64], path[80];
    int n = 1 + fuzz_byte(b) % 6;
    for (int i = 0; i < n; i++) {
        unsigned which = fuzz_byte(b);
        if (which & 1)
            operands_add(&w->o, usual[which >> 1 & 3], 4);
        else {
            snprintf(path, sizeof path, "dir/%s", fuzz_line(b, text, sizeof text));
            operands_add(&w->o, path, 4);
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char names[] = "n1\tchurch\nn2\tgolf ball\nn3\ttench, Tinca tinca\nn4\tcassette player\n";
    static work w;
    mv_error e = {0};
    fuzz_bytes b = {data, size};
    w = (work){.words = fuzz_byte(&b) & 1, .labelled = data && size && data[0] & 2, .limit = fuzz_byte(&b) % 4};
    fuzz_expect(mv_labels_parse(&w.labels, names, sizeof names - 1, "names", &e) == MV_OK);
    w.s.labels = &w.labels;
    w.s.config.classes = CLASSES;
    snprintf(w.s.name, sizeof w.s.name, "T");
    add_pictures(&w, &b);
    size_t first = b.left ? fuzz_byte(&b) : 0;
    first = first < b.left ? first : b.left;
    fuzz_file("classes", b.at, first);
    fuzz_file("labels", b.at + first, b.left - first);
    fuzz_path(w.classes, "classes");
    fuzz_path(w.file, "labels");
    if (fuzz_run(find, &w)) {
        fuzz_expect(w.t.n >= 1 && w.t.n == w.o.n);
        for (int i = 0; i < w.t.n; i++) {
            int k = truth_find(&w.t, w.t.path[i]);
            fuzz_expect(w.t.class_[i] >= 0 && w.t.class_[i] < CLASSES);
            fuzz_expect(k >= 0 && strcmp(w.t.path[k], w.t.path[i]) == 0);
        }
        truth_free(&w.t);
    }
    operands_free(&w.o);
    mv_labels_free(&w.labels);
    return 0;
}
