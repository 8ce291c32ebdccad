// duan eval kl.
#pragma once

#include <CLI/CLI.hpp>

namespace duan::cli {

void add_eval_kl(CLI::App& eval);

}  // namespace duan::cli
