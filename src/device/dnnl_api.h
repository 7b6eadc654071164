/* The differences between versions 2 and 3 of oneDNN: descriptors are values in 2, objects in 3. For dnnl*.c only. */
#ifndef MV_CPU_DNNL_API_H
#define MV_CPU_DNNL_API_H

#include <oneapi/dnnl/dnnl.h>
#include <stdlib.h>

#if DNNL_VERSION_MAJOR >= 3
typedef dnnl_memory_desc_t descriptor; /* the caller frees it */
typedef const_dnnl_memory_desc_t borrowed;

static inline dnnl_status_t descriptor_new(descriptor *out, int nd, const dnnl_dims_t dims, dnnl_data_type_t type,
                                           dnnl_format_tag_t tag)
{
    return dnnl_memory_desc_create_with_tag(out, nd, dims, type, tag);
}

static inline void descriptor_free(descriptor d)
{
    if (d)
        dnnl_memory_desc_destroy(d);
}

static inline borrowed borrow(descriptor d)
{
    return d;
}

static inline dnnl_status_t append_sum(dnnl_post_ops_t ops, dnnl_data_type_t type)
{
    return dnnl_post_ops_append_sum(ops, 1, 0, type);
}

static inline dnnl_status_t append_eltwise(dnnl_post_ops_t ops, dnnl_alg_kind_t alg)
{
    return dnnl_post_ops_append_eltwise(ops, alg, 0, 0);
}

static inline dnnl_status_t convolution(dnnl_primitive_desc_t *out, dnnl_engine_t engine, borrowed src, borrowed w,
                                        borrowed bias, borrowed dst, const dnnl_dims_t stride, const dnnl_dims_t before,
                                        const dnnl_dims_t after, dnnl_primitive_attr_t attr)
{
    const dnnl_dims_t dense = {0};
    return dnnl_convolution_forward_primitive_desc_create(out, engine, dnnl_forward_inference, dnnl_convolution_direct,
                                                          src, w, bias, dst, stride, dense, before, after, attr);
}

static inline dnnl_status_t eltwise(dnnl_primitive_desc_t *out, dnnl_engine_t engine, dnnl_alg_kind_t alg,
                                    borrowed values)
{
    return dnnl_eltwise_forward_primitive_desc_create(out, engine, dnnl_forward_inference, alg, values, values, 0, 0,
                                                      NULL);
}
#else
typedef dnnl_memory_desc_t *descriptor;
typedef const dnnl_memory_desc_t *borrowed;

static inline dnnl_status_t descriptor_new(descriptor *out, int nd, const dnnl_dims_t dims, dnnl_data_type_t type,
                                           dnnl_format_tag_t tag)
{
    *out = malloc(sizeof **out);
    return *out ? dnnl_memory_desc_init_by_tag(*out, nd, dims, type, tag) : dnnl_out_of_memory;
}

static inline void descriptor_free(descriptor d)
{
    free(d);
}

static inline borrowed borrow(descriptor d)
{
    return d;
}

static inline dnnl_status_t append_sum(dnnl_post_ops_t ops, dnnl_data_type_t type)
{
    (void)type;
    return dnnl_post_ops_append_sum(ops, 1);
}

static inline dnnl_status_t append_eltwise(dnnl_post_ops_t ops, dnnl_alg_kind_t alg)
{
    return dnnl_post_ops_append_eltwise(ops, 1, alg, 0, 0);
}

static inline dnnl_status_t convolution(dnnl_primitive_desc_t *out, dnnl_engine_t engine, borrowed src, borrowed w,
                                        borrowed bias, borrowed dst, const dnnl_dims_t stride, const dnnl_dims_t before,
                                        const dnnl_dims_t after, dnnl_primitive_attr_t attr)
{
    dnnl_convolution_desc_t c;
    dnnl_status_t s = dnnl_convolution_forward_desc_init(&c, dnnl_forward_inference, dnnl_convolution_direct, src, w,
                                                         bias, dst, stride, before, after);
    return s ? s : dnnl_primitive_desc_create(out, &c, attr, engine, NULL);
}

static inline dnnl_status_t eltwise(dnnl_primitive_desc_t *out, dnnl_engine_t engine, dnnl_alg_kind_t alg,
                                    borrowed values)
{
    dnnl_eltwise_desc_t c;
    dnnl_status_t s = dnnl_eltwise_forward_desc_init(&c, dnnl_forward_inference, alg, values, 0, 0);
    return s ? s : dnnl_primitive_desc_create(out, &c, NULL, engine, NULL);
}
#endif

#endif
