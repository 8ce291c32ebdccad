#include "inspect/kernel_choices.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>

#include "base/error.h"
#include "kernels/linear.h"
#include "support/models.h"

namespace duan::inspect {
namespace {

// A variable of the environment for the life of the object.
class Variable {
 public:
  Variable(const char* name, const char* value) : name_(name) { ::setenv(name, value, 1); }
  ~Variable() { ::unsetenv(name_); }

 private:
  const char* name_;
};

models::Model tiny() { return models::Model::open(test::data_dir() / "models" / "qwen3-tied"); }

TEST(KernelChoices, CoversEveryOperationAndNamesAReasonForEveryOtherKernel) {
  const auto choices = kernel_choices(tiny());
  for (const char* operation : {"linear", "attention", "rows"}) {
    EXPECT_TRUE(std::any_of(choices.begin(), choices.end(), [&](const auto& c) { return c.operation == operation; }));
  }
  for (const KernelChoice& choice : choices) {
    EXPECT_FALSE(choice.chosen.empty());
    if (choice.operation == "linear") {
      EXPECT_EQ(choice.rejected.size() + 1, kernels::linear_kernels().size());
    }
    for (const auto& rejection : choice.rejected) {
      EXPECT_NE(rejection.name, choice.chosen);
      EXPECT_FALSE(rejection.reason.empty());
    }
  }
  EXPECT_EQ(to_json(choices).size(), choices.size());
}

TEST(KernelChoices, ObeysTheEnvironment) {
  {
    const Variable isa("DUAN_ISA", "plain");
    for (const KernelChoice& choice : kernel_choices(tiny())) EXPECT_EQ(choice.chosen, "plain");
  }
  {
    const Variable forced("DUAN_KERNEL", "linear:ref");
    for (const KernelChoice& choice : kernel_choices(tiny())) {
      EXPECT_EQ(choice.chosen == "ref", choice.operation == "linear");
    }
  }
  const Variable unknown("DUAN_KERNEL", "linear:fastest");
  EXPECT_THROW(kernel_choices(tiny()), Error);
}

}  // namespace
}  // namespace duan::inspect
