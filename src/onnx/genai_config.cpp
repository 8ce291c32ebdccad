#include "onnx/genai_config.h"

#include "base/error.h"

namespace duan::onnx {

Json genai_config(const checkpoint::ModelConfig& config, const checkpoint::GenerationConfig& generation,
                  const Options& options, bool int8_products) {
  DUAN_CHECK(options.kv_cache && options.context > 0, "GenAI runs graphs with a KV cache only");
  const bool contrib = options.dialect == Dialect::ort;

  Json inputs = {{"input_ids", "input_ids"}, {"attention_mask", "attention_mask"}};
  if (!contrib) inputs["position_ids"] = "position_ids";
  inputs["past_key_names"] = "past_key_values.%d.key";
  inputs["past_value_names"] = "past_key_values.%d.value";

  const std::vector<int64_t>& eos = generation.eos_token_ids.empty() ? config.eos_token_ids : generation.eos_token_ids;
  Json model = {{"type", config.model_type},
                {"vocab_size", config.vocab_size},
                {"context_length", options.context},
                {"eos_token_id", eos}};
  if (config.bos_token_id) model["bos_token_id"] = *config.bos_token_id;
  const std::optional<int64_t> pad = generation.pad_token_id ? generation.pad_token_id : config.pad_token_id;
  if (pad || !eos.empty()) model["pad_token_id"] = pad ? *pad : eos[0];
  Json session_options = {{"log_id", "onnxruntime-genai"}, {"provider_options", Json::array()}};
  // Without it, sums of two products saturate at 16 bits on x86 processors that have no VNNI. Others ignore it.
  if (int8_products) session_options["session.x64quantprecision"] = "1";
  model["decoder"] = {
      {"filename", "model.onnx"},
      {"head_size", config.head_dim},
      {"hidden_size", config.hidden_size},
      {"num_attention_heads", config.num_attention_heads},
      {"num_hidden_layers", config.num_hidden_layers},
      {"num_key_value_heads", config.num_key_value_heads},
      {"session_options", session_options},
      {"inputs", inputs},
      {"outputs",
       {{"logits", "logits"}, {"present_key_names", "present.%d.key"}, {"present_value_names", "present.%d.value"}}}};

  Json search = {{"do_sample", generation.do_sample.value_or(false)},
                 {"temperature", generation.temperature.value_or(1.0)},
                 {"top_k", generation.top_k.value_or(50)},
                 {"top_p", generation.top_p.value_or(1.0)},
                 {"repetition_penalty", generation.repetition_penalty.value_or(1.0)},
                 {"num_beams", 1},
                 {"num_return_sequences", 1},
                 {"min_length", 0},
                 {"max_length", options.context},
                 // GroupQueryAttention writes into the past's own buffer; the standard's operators make a new one.
                 {"past_present_share_buffer", contrib}};
  return {{"model", model}, {"search", search}};
}

}  // namespace duan::onnx
