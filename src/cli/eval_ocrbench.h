// duan eval ocrbench.
#pragma once

#include <CLI/CLI.hpp>

namespace duan::cli {

void add_eval_ocrbench(CLI::App& eval);

}  // namespace duan::cli
