#include "engine/profile.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <string>
#include <vector>

#include "base/log.h"

namespace duan::engine {
namespace {

struct Lines {
  Lines() {
    set_warning_sink([this](const std::string& line) { all.push_back(line); });
  }
  ~Lines() {
    set_warning_sink({});
    unsetenv("DUAN_PROFILE");
  }
  std::vector<std::string> all;
};

TEST(Profile, AddsUpWhatEachKindTookAndTellsTheSlowestFirst) {
  Lines lines;
  setenv("DUAN_PROFILE", "1", 1);
  {
    std::optional<Profile> profile = Profile::from_environment();
    ASSERT_TRUE(profile);
    const Step norm{.work = NormStep{}, .makes = {}}, linear{.work = LinearStep{}, .makes = {}},
        merge{.work = MergeRowsStep{}, .makes = {}};
    profile->add(norm, 0.25);
    profile->add(linear, 1.5);
    profile->add(norm, 0.5);
    profile->add(merge, 0.125);
    const std::optional<Profile> moved = std::move(profile);  // tells nothing twice
  }
  EXPECT_EQ(lines.all,
            (std::vector<std::string>{"profile: linear 1.500 s in 1 steps", "profile: norm 0.750 s in 2 steps",
                                      "profile: merge_rows 0.125 s in 1 steps"}));
}

TEST(Profile, IsThereOnlyWhereItIsAskedFor) {
  Lines lines;
  EXPECT_FALSE(Profile::from_environment());
  setenv("DUAN_PROFILE", "0", 1);
  EXPECT_FALSE(Profile::from_environment());
}

}  // namespace
}  // namespace duan::engine
