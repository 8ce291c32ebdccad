// Where the time of a plan's steps goes, for those who make it faster.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <variant>

#include "engine/plan.h"

namespace duan::engine {

// Seconds and calls of each kind of step. When it ends it passes one warning per kind to the log, slowest first:
// "profile: linear 12.345 s in 96 steps".
class Profile {
 public:
  // There where DUAN_PROFILE is set to 1.
  static std::optional<Profile> from_environment();
  Profile(Profile&& other) noexcept;
  Profile& operator=(Profile&&) = delete;
  ~Profile();

  void add(const Step& step, double seconds);

 private:
  Profile() = default;
  struct Kind {
    double seconds = 0;
    int64_t steps = 0;
  };
  std::array<Kind, std::variant_size_v<decltype(Step::work)>> kinds_{};
};

}  // namespace duan::engine
