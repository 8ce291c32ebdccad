// What all sessions of ONNX Runtime have in common: how a file is opened, and how it reports.
#pragma once

#include <onnxruntime_cxx_api.h>

#include <cstdint>
#include <filesystem>

#include "base/error.h"
#include "onnx/verify.h"
#include "ort/session.h"

namespace duan::ort {

inline constexpr int32_t kFloat16 = 10;  // TensorProto.DataType

// What ONNX Runtime throws, as an error about the file.
template <typename Ask>
auto asked(const std::filesystem::path& file, const Ask& ask) {
  try {
    return ask();
  } catch (const Ort::Exception& e) {
    throw Error("ONNX Runtime: " + printable(e.what(), 400), file.string());
  } catch (const Error& e) {
    throw e.at(file.string());
  }
}

int thread_count(const Options& options);

// From the bytes that were verified, so that a file swapped in between is not read. Throws Ort::Exception, Error.
Ort::Session open_session(const onnx::VerifiedModel& model, const Options& options);

// A tensor over memory that ONNX Runtime only reads, as it does all inputs. The memory must outlive it.
template <typename T>
Ort::Value input_tensor(const Ort::MemoryInfo& memory, std::span<const T> data, std::span<const int64_t> dims) {
  // ONNX Runtime's interface knows no const.
  return Ort::Value::CreateTensor<T>(memory, const_cast<T*>(data.data()), data.size(), dims.data(), dims.size());
}

// The floats of a tensor. Throws Error unless it is one of f32 and of this shape.
std::span<float> floats_of(Ort::Value& value, const char* name, const std::vector<int64_t>& shape);

}  // namespace duan::ort
