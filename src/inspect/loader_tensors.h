// What loaders ask of the tensors of a checkpoint.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "checkpoint/checkpoint.h"
#include "checkpoint/config.h"
#include "inspect/loader_config.h"

namespace duan::inspect {

// A matrix of the model under its Hugging Face name, and how the checkpoint should store it.
struct LoaderModule {
  std::string name;                                        // "model.layers.0.self_attn.q_proj"
  Shape shape;                                             // [out, in]
  bool linear;                                             // else a table that is looked up
  bool head = false;                                       // the logits are its products
  bool tied = false;                                       // a table that the head multiplies by, too
  const checkpoint::QuantizationScheme* scheme = nullptr;  // what the configuration says; nullptr: plain
  bool has_integers = false;                               // what the tensors say
};

// The matrices and all other weights of a model, beside the checkpoint's tensors.
struct LoaderModules {
  LoaderModules(const std::filesystem::path& folder, const checkpoint::ModelConfig& config,
                const LoaderSchemes& schemes);

  checkpoint::Checkpoint checkpoint;
  std::vector<LoaderModule> list;
  std::vector<std::pair<std::string, Shape>> others;  // norms and biases
};

void check_tensors(const LoaderModules& modules, const LoaderSchemes& schemes, const LoaderOptions& options,
                   LoaderChecks& checks);

// vLLM: what each device gets of a layer must suit its kernels.
void check_shards(const LoaderModules& modules, const LoaderSchemes& schemes, const checkpoint::ModelConfig& config,
                  const LoaderOptions& options, LoaderChecks& checks);

}  // namespace duan::inspect
