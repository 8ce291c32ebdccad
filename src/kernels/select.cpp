#include "kernels/select.h"

#include <cstdlib>
#include <optional>

#include "base/error.h"

namespace duan::kernels {
namespace {

// The name that DUAN_KERNEL gives for `operation`.
std::optional<std::string_view> forced_name(std::string_view operation) {
  const char* variable = std::getenv("DUAN_KERNEL");
  std::string_view rest = variable == nullptr ? "" : variable;
  while (!rest.empty()) {
    const std::string_view item = rest.substr(0, rest.find(','));
    rest.remove_prefix(std::min(rest.size(), item.size() + 1));
    const size_t colon = item.find(':');
    if (colon == std::string_view::npos) {
      throw Error(fmt::format("\"{}\" is not of the form operation:kernel", printable(item)), "DUAN_KERNEL",
                  "for example linear:ref,attention:plain");
    }
    if (item.substr(0, colon) == operation) return item.substr(colon + 1);
  }
  return std::nullopt;
}

std::string unusable_reason(const Candidate& candidate, std::string_view task) {
  if (!candidate.fits) return fmt::format("does not take {}", task);
  if (!cpu_has(candidate.needs)) return fmt::format("this processor has no {}", isa_name(candidate.needs));
  if (!isa_allowed(candidate.needs)) return fmt::format("DUAN_ISA forbids {}", isa_name(candidate.needs));
  return "";
}

}  // namespace

size_t choose(std::string_view operation, std::span<const Candidate> candidates, std::string_view task) {
  const std::optional<std::string_view> forced = forced_name(operation);
  std::string names;
  for (size_t i = 0; i < candidates.size(); ++i) {
    const std::string reason = unusable_reason(candidates[i], task);
    if (forced && candidates[i].name == *forced && !reason.empty()) {
      throw Error(fmt::format("kernel {}:{} cannot run: {}", operation, candidates[i].name, reason), "DUAN_KERNEL");
    }
    if (forced ? candidates[i].name == *forced : reason.empty()) return i;
    names += fmt::format("{}{}", names.empty() ? "" : ", ", candidates[i].name);
  }
  if (forced) {
    throw Error(fmt::format("{} has no kernel \"{}\"", operation, printable(*forced)), "DUAN_KERNEL",
                fmt::format("use one of {}", names));
  }
  throw Error(fmt::format("no kernel for {} of {}", operation, task));
}

std::vector<Rejection> explain(std::string_view operation, std::span<const Candidate> candidates,
                               std::string_view task) {
  const size_t chosen = choose(operation, candidates, task);
  std::vector<Rejection> rejections;
  for (size_t i = 0; i < candidates.size(); ++i) {
    if (i == chosen) continue;
    std::string reason = unusable_reason(candidates[i], task);
    if (reason.empty()) {
      reason = i < chosen ? "DUAN_KERNEL forces another" : fmt::format("{} comes first", candidates[chosen].name);
    }
    rejections.push_back({std::string(candidates[i].name), std::move(reason)});
  }
  return rejections;
}

}  // namespace duan::kernels
