// The subcommands of duan, one file each. Each adds itself to the application; its callback does the work and throws
// duan::Error for what the user can mend.
#pragma once

#include <CLI/CLI.hpp>

namespace duan::cli {

void add_bench(CLI::App& app);
void add_chat(CLI::App& app);
void add_compare(CLI::App& app);
void add_convert(CLI::App& app);
void add_eval(CLI::App& app);
void add_export(CLI::App& app);
void add_inspect(CLI::App& app);
void add_quantize(CLI::App& app);
void add_run(CLI::App& app);
void add_template(CLI::App& app);
void add_tokenize(CLI::App& app);  // and detokenize
void add_verify(CLI::App& app);

// What main() returns for a command that ran but whose answer is "no" (compare beyond its tolerance, verify): exit code 1
// without an error message.
struct Failed {};

}  // namespace duan::cli
