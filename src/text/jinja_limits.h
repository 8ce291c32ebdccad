// What a template may cost. Templates come from repositories nobody vouches for, so every node evaluated, every byte
// copied and every byte alive is counted, and going over a limit is an Error.
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/error.h"

namespace duan::text {

struct TemplateLimits {
  int depth = 64;                    // nesting of statements and expressions, of macro calls, and of values
  int height = 256;                  // of one syntax tree: long chains such as a + b + c + ...
  int recursion = 800;               // evaluator frames in all; bounds the use of the stack
  uint64_t steps = 1'000'000;        // nodes evaluated, items produced, and 256-byte blocks copied
  int64_t range = 100'000;           // items of one range()
  size_t source_bytes = 256u << 10;  // of a template
  size_t output_bytes = 4u << 20;    // of the result, and of any string on the way
  size_t live_bytes = 12u << 20;     // of all values a template has made and still holds
};

namespace jinja {

// Counts against the limits during one rendering. Values made while rendering point to it and must die before it.
class Meter {
 public:
  explicit Meter(const TemplateLimits& chosen) : limits(chosen) {}
  Meter(const Meter&) = delete;
  Meter& operator=(const Meter&) = delete;

  void step(uint64_t count = 1) {
    steps_ += count;
    if (steps_ > limits.steps) throw Error(fmt::format("the template takes more than {} steps", limits.steps));
  }
  void copying(size_t bytes) { step(bytes / 256); }
  // To be asked before a string grows to `bytes`; check_text counts the copying as well.
  void limit_text(size_t bytes) const {
    if (bytes > limits.output_bytes) {
      throw Error(fmt::format("the template makes a text of more than {} bytes", limits.output_bytes));
    }
  }
  void check_text(size_t bytes) {
    limit_text(bytes);
    copying(bytes);
  }
  void charge(size_t bytes) {
    if (bytes > limits.live_bytes - live_) {
      throw Error(fmt::format("the template's values need more than {} bytes", limits.live_bytes));
    }
    live_ += bytes;
  }
  void release(size_t bytes) noexcept { live_ -= bytes; }

  // One level of a filter that calls a filter, while it lives.
  class Nesting {
   public:
    explicit Nesting(Meter& meter) : meter_(meter) {
      if (meter_.nesting_ >= meter_.limits.depth) {
        throw Error(fmt::format("filters call each other deeper than {} levels", meter_.limits.depth));
      }
      ++meter_.nesting_;
    }
    ~Nesting() { --meter_.nesting_; }
    Nesting(const Nesting&) = delete;
    Nesting& operator=(const Nesting&) = delete;

   private:
    Meter& meter_;
  };

  const TemplateLimits limits;

 private:
  uint64_t steps_ = 0;
  size_t live_ = 0;
  int nesting_ = 0;
};

}  // namespace jinja
}  // namespace duan::text
