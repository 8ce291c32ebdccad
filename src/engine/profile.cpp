#include "engine/profile.h"

#include <algorithm>
#include <cstdlib>
#include <functional>
#include <numeric>
#include <string_view>
#include <utility>

#include "base/log.h"

namespace duan::engine {
namespace {

// In the order of Step::work.
constexpr std::array<const char*, std::variant_size_v<decltype(Step::work)>> kNames = {
    "input",       "embed",  "blend_rows", "put_rows", "angles",    "norm", "layer_norm",
    "round_input", "linear", "gate_up",    "rope",     "attention", "add",  "mul",
    "silu",        "gelu",   "cast",       "slice",    "merge_rows"};

}  // namespace

std::optional<Profile> Profile::from_environment() {
  const char* value = std::getenv("DUAN_PROFILE");
  if (value == nullptr || std::string_view(value) != "1") return std::nullopt;
  return Profile();
}

Profile::Profile(Profile&& other) noexcept : kinds_(std::exchange(other.kinds_, {})) {}

Profile::~Profile() {
  std::array<size_t, kNames.size()> order{};
  std::iota(order.begin(), order.end(), size_t{0});
  std::ranges::sort(order, std::greater<>(), [&](size_t kind) { return kinds_[kind].seconds; });
  for (const size_t kind : order) {
    const Kind& one = kinds_[kind];
    if (one.steps > 0) warn("profile: {} {:.3f} s in {} steps", kNames[kind], one.seconds, one.steps);
  }
}

void Profile::add(const Step& step, double seconds) {
  Kind& kind = kinds_[step.work.index()];
  kind.seconds += seconds;
  kind.steps += 1;
}

}  // namespace duan::engine
