// The bytes of weights as ONNX initializers, made in pieces while they are written: memory is a piece, not a tensor.
#pragma once

#include "checkpoint/checkpoint.h"
#include "onnx/model.h"
#include "onnx/options.h"
#include "tensor/weight.h"

namespace duan::onnx {

// The numbers of a dense weight, row by row, as f32 or f16. Pages of the mapped checkpoint are given back behind the
// reader. Throws Error if a finite number does not fit f16.
void stream_dense(const Weight& weight, Precision precision, const checkpoint::Checkpoint& checkpoint,
                  const ByteSink& sink);

}  // namespace duan::onnx
