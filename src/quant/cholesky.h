// The Cholesky factor of a large matrix, in double.
#pragma once

#include "base/thread_pool.h"
#include "quant/triangle.h"

namespace duan::quant {

// A = L L^T: the lower triangle of A becomes L; what lies above the diagonal is neither read nor of use afterwards. The
// same bits for any number of threads. False if A is not positive definite (to within rounding); it is spoilt then.
bool cholesky(Triangle<double>& a, ThreadPool& pool);

}  // namespace duan::quant
