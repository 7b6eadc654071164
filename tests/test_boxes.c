/* Boxes of COCO and VOC: what is read, and what is refused with which words.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "src/file/boxes.h"

static void reads_coco(void **state)
{
    (void)state;
    static const char text[] =
        "{\"images\":[{\"id\":7,\"file_name\":\"b.jpg\",\"width\":20,\"height\":10},{\"id\":-3,\"file_name\":\"a.jpg\","
        "\"width\":1,\"height\":2}],\"categories\":[{\"id\":90,\"name\":\"toothbrush\"}],\"annotations\":[{\"image_"
        "id\":7,"
        "\"category_id\":90,\"bbox\":[1,2.5,3,4],\"segmentation\":[[1,2,3,4]]},{\"image_id\":7,\"category_id\":5,"
        "\"bbox\":[0,0,1,1]},{\"image_id\":7,\"category_id\":90,\"bbox\":[1,1,0,5]}]}";
    mv_boxes b;
    mv_error e = {0};
    assert_int_equal(mv_boxes_coco(&b, text, sizeof text - 1, "c.json", &e), MV_OK);
    assert_true(b.n == 2 && b.categories == 1);
    const mv_boxed *p = mv_boxes_lookup(&b, "b.jpg");
    assert_true(p && p->w == 20 && p->h == 10 && p->n == 2); /* the one without an area is passed over */
    assert_true(p->box[0].x == 1 && p->box[0].y == 2.5 && p->box[0].w == 3 && p->box[0].h == 4);
    assert_true(p->box[0].category == 0 && p->box[1].category == -1);
    assert_true(mv_boxes_lookup(&b, "a.jpg")->n == 0 && !mv_boxes_lookup(&b, "c.jpg"));
    mv_boxes_free(&b);
}

static void reads_voc(void **state)
{
    (void)state;
    static const char text[] =
        "<annotation><filename>a.jpg</filename><size><width>500</width><height>375</height><depth>3</depth></size>"
        "<object><name>dog</name><bndbox><xmin>1</xmin><ymin>2</ymin><xmax>10</xmax><ymax>2</ymax></bndbox>"
        "<part><name>head</name><bndbox><xmin>7</xmin><ymin>7</ymin><xmax>8</xmax><ymax>8</ymax></bndbox></part></"
        "object>"
        "<object><bndbox><xmin>5</xmin><ymin>5</ymin></bndbox></object></annotation>";
    mv_boxes b;
    mv_error e = {0};
    assert_int_equal(mv_boxes_voc(&b, text, sizeof text - 1, "v.xml", &e), MV_OK);
    assert_true(b.n == 1 && b.categories == 2);
    const mv_boxed *p = mv_boxes_lookup(&b, "a.jpg");
    assert_true(p && p->w == 500 && p->h == 375 && p->n == 1); /* the second has no corners */
    assert_true(p->box->x == 0 && p->box->y == 1 && p->box->w == 10 && p->box->h == 1);
    assert_string_equal(b.category[p->box->category], "dog");
    mv_boxes_free(&b);
}

static void refuse(mv_status (*read)(mv_boxes *, const void *, size_t, const char *, mv_error *), const char *text,
                   const char *why)
{
    mv_boxes b;
    mv_error e = {0};
    assert_int_equal(read(&b, text, strlen(text), "f", &e), MV_EINPUT);
    if (!strstr(e.text, why))
        fail_msg("%s\nexpected: %s", e.text, why);
    assert_true(b.n == 0 && !b.picture && !b.category);
}

static void refuses_coco(void **state)
{
    (void)state;
    refuse(mv_boxes_coco, "", "expected COCO's JSON");
    refuse(mv_boxes_coco, "[]", "no lists of images and annotations");
    refuse(mv_boxes_coco, "{\"images\":{},\"annotations\":[]}", "no lists of images and annotations");
    refuse(mv_boxes_coco, "{\"images\":[{\"id\":1,\"file_name\":\"a\",\"width\":0,\"height\":1}],\"annotations\":[]}",
           "image 0: expected id, file_name, width and height");
    refuse(mv_boxes_coco,
           "{\"images\":[{\"id\":1,\"file_name\":\"a\",\"width\":1000001,\"height\":1}],\"annotations\":[]}",
           "image 0");
    refuse(mv_boxes_coco, "{\"images\":[],\"annotations\":[{\"image_id\":4,\"bbox\":[1,1,1,1]}]}", "annotation 0");
    refuse(mv_boxes_coco,
           "{\"images\":[{\"id\":1,\"file_name\":\"a\",\"width\":5,\"height\":1}],\"annotations\":[{\"image_id\":1,"
           "\"bbox\":[1,1,1,\"x\"]}]}",
           "annotation 0");
    refuse(mv_boxes_coco, "{\"images\":[],\"categories\":[{\"id\":1}],\"annotations\":[]}", "category 0");
}

static void refuses_voc(void **state)
{
    (void)state;
    char deep[4096] = "";
    refuse(mv_boxes_voc, "", "no element found");
    refuse(mv_boxes_voc, "<annotation></b>", "mismatched tag");
    refuse(mv_boxes_voc, "<annotation/>", "no width and height");
    refuse(mv_boxes_voc, "<annotation><size><width>1e9</width><height>-1</height></size></annotation>",
           "no width and height");
    refuse(mv_boxes_voc, "<!DOCTYPE a [<!ENTITY b \"c\">]><a>&b;</a>", "an entity");
    for (int i = 0; i < 300; i++)
        strcat(deep, "<a>");
    refuse(mv_boxes_voc, deep, "too deep");
    memset(deep, 'x', sizeof deep - 1);
    memcpy(deep, "<a>", 3);
    deep[sizeof deep - 1] = 0;
    refuse(mv_boxes_voc, deep, "too long");
}

static void bounds_the_boxes_of_a_picture(void **state)
{
    (void)state;
    enum { N = MV_BOXES_PER_PICTURE + 1 };
    static const char object[] =
        "<object><bndbox><xmin>1</xmin><ymin>1</ymin><xmax>2</xmax><ymax>2</ymax></bndbox></object>";
    char *text = malloc(N * sizeof object + 100), *at = text + sprintf(text, "<annotation>");
    assert_non_null(text);
    for (int i = 0; i < N; i++)
        at += sprintf(at, "%s", object);
    refuse(mv_boxes_voc, text, "too many objects");
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_coco),
        cmocka_unit_test(reads_voc),
        cmocka_unit_test(refuses_coco),
        cmocka_unit_test(refuses_voc),
        cmocka_unit_test(bounds_the_boxes_of_a_picture),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
