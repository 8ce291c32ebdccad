// duan eval kl.
#pragma once

#include <CLI/CLI.hpp>

#include "base/json.h"
#include "eval/kl.h"

namespace duan::cli {

void add_eval_kl(CLI::App& eval);

// "kl", "top1", "perplexity", ...: what --json prints of it.
Json divergence_json(const eval::Divergence& divergence);

}  // namespace duan::cli
