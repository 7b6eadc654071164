/* What cuda/ uses of the CUDA driver, for builds without a CUDA Toolkit; double_cuda.cc implements it on the CPU. */
#pragma once

typedef enum { CUDA_SUCCESS = 0, CUDA_ERROR_UNKNOWN = 999 } CUresult;
typedef unsigned long long CUdeviceptr;
typedef unsigned cuuint32_t;
typedef struct CUstream_st *CUstream;
enum { CU_STREAM_WRITE_VALUE_DEFAULT = 0 };

extern "C" CUresult cuStreamWriteValue32(CUstream, CUdeviceptr, cuuint32_t, unsigned);
