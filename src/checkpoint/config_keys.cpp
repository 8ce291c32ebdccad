#include "checkpoint/config_keys.h"

#include <algorithm>
#include <array>
#include <string_view>

#include "base/error.h"
#include "base/log.h"

namespace duan::checkpoint {
namespace {

// Read by parse_config.
constexpr std::array kRead = std::to_array<std::string_view>({"architectures",
                                                              "bos_token_id",
                                                              "dtype",
                                                              "eos_token_id",
                                                              "head_dim",
                                                              "hidden_size",
                                                              "intermediate_size",
                                                              "max_position_embeddings",
                                                              "model_type",
                                                              "num_attention_heads",
                                                              "num_hidden_layers",
                                                              "num_key_value_heads",
                                                              "quantization_config",
                                                              "pad_token_id",
                                                              "rms_norm_eps",
                                                              "rope_parameters",
                                                              "rope_scaling",
                                                              "rope_theta",
                                                              "tie_word_embeddings",
                                                              "torch_dtype",
                                                              "vocab_size"});

// No influence on the numbers of a forward pass: training, caching, output plumbing of transformers, labels, generation
// defaults that older configs carry. max_window_layers acts only with use_sliding_window, which is refused;
// pretraining_tp splits a product without changing it.
constexpr std::array kHarmless = std::to_array<std::string_view>({"_attn_implementation",
                                                                  "_attn_implementation_autoset",
                                                                  "_commit_hash",
                                                                  "_name_or_path",
                                                                  "attention_dropout",
                                                                  "attn_implementation",
                                                                  "bad_words_ids",
                                                                  "begin_suppress_tokens",
                                                                  "cache_implementation",
                                                                  "chunk_size_feed_forward",
                                                                  "classifier_dropout",
                                                                  "cross_attention_hidden_size",
                                                                  "decoder_start_token_id",
                                                                  "diversity_penalty",
                                                                  "do_sample",
                                                                  "early_stopping",
                                                                  "embd_pdrop",
                                                                  "encoder_no_repeat_ngram_size",
                                                                  "exponential_decay_length_penalty",
                                                                  "finetuning_task",
                                                                  "forced_bos_token_id",
                                                                  "forced_eos_token_id",
                                                                  "hidden_dropout",
                                                                  "id2label",
                                                                  "initializer_range",
                                                                  "label2id",
                                                                  "length_penalty",
                                                                  "max_length",
                                                                  "max_window_layers",
                                                                  "min_length",
                                                                  "no_repeat_ngram_size",
                                                                  "num_beam_groups",
                                                                  "num_beams",
                                                                  "num_return_sequences",
                                                                  "output_attentions",
                                                                  "output_hidden_states",
                                                                  "output_router_logits",
                                                                  "output_scores",
                                                                  "prefix",
                                                                  "pretraining_tp",
                                                                  "problem_type",
                                                                  "remove_invalid_values",
                                                                  "repetition_penalty",
                                                                  "resid_pdrop",
                                                                  "return_dict",
                                                                  "return_dict_in_generate",
                                                                  "router_aux_loss_coef",
                                                                  "sep_token_id",
                                                                  "suppress_tokens",
                                                                  "task_specific_params",
                                                                  "temperature",
                                                                  "tf_legacy_loss",
                                                                  "tokenizer_class",
                                                                  "top_k",
                                                                  "top_p",
                                                                  "torchscript",
                                                                  "transformers_version",
                                                                  "typical_p",
                                                                  "unsloth_fixed",
                                                                  "unsloth_version",
                                                                  "use_bfloat16",
                                                                  "use_cache"});

// Values that leave the mathematics as they are; null always does.
enum class Allowed { nothing, false_only, zero, one, silu, full_attention, empty };

struct Refused {
  std::string_view key;
  Allowed allowed;
  std::string_view why = "";
};
constexpr std::array kRefused = std::to_array<Refused>({
    {"add_cross_attention", Allowed::false_only},
    {"alibi", Allowed::false_only},
    {"attention_chunk_size", Allowed::nothing},
    {"attention_multiplier", Allowed::nothing},
    {"attn_logit_softcapping", Allowed::nothing},
    {"attn_temperature_tuning", Allowed::false_only},
    {"clip_qkv", Allowed::nothing},
    {"embedding_multiplier", Allowed::one},
    {"final_logit_softcapping", Allowed::nothing},
    {"hidden_act", Allowed::silu},
    {"hidden_activation", Allowed::silu},
    {"is_encoder_decoder", Allowed::false_only},
    {"layer_types", Allowed::full_attention},
    {"logit_scale", Allowed::one},
    {"logits_scaling", Allowed::one},
    {"mlp_bias", Allowed::false_only},
    {"no_rope_layer_interval", Allowed::zero},
    {"no_rope_layers", Allowed::empty},
    {"num_experts", Allowed::zero, "experts"},
    {"num_local_experts", Allowed::zero, "experts"},
    {"n_routed_experts", Allowed::zero, "experts"},
    {"original_max_position_embeddings", Allowed::nothing, "outside of rope_scaling"},
    {"partial_rotary_factor", Allowed::one},
    {"pruned_heads", Allowed::empty},
    {"qk_norm", Allowed::false_only},
    {"query_pre_attn_scalar", Allowed::nothing},
    {"residual_multiplier", Allowed::one},
    {"rope_interleave", Allowed::false_only},
    {"rope_interleaved", Allowed::false_only},
    {"use_mrope", Allowed::false_only},
    {"use_qk_norm", Allowed::false_only},
    {"use_sliding_window", Allowed::false_only},
});

bool is_allowed(const Json& value, Allowed allowed) {
  if (value.is_null()) return true;
  switch (allowed) {
    case Allowed::nothing:
      return false;
    case Allowed::false_only:
      return value.is_boolean() && !value.get<bool>();
    case Allowed::zero:
      return value.is_number() && value.get<double>() == 0;
    case Allowed::one:
      return value.is_number() && value.get<double>() == 1;
    case Allowed::silu:
      return value.is_string() && value.get_ref<const std::string&>() == "silu";
    case Allowed::empty:
      return (value.is_array() || value.is_object()) && value.empty();
    case Allowed::full_attention:
      return value.is_array() && std::all_of(value.begin(), value.end(), [](const Json& layer) {
               return layer.is_string() && layer.get_ref<const std::string&>() == "full_attention";
             });
  }
  return false;
}

std::string shown(const Json& value) { return printable(to_text(value), 60); }

// "auto_map": null or false or {} says nothing, and neither does any key with such a value.
bool says_nothing(const Json& value) {
  return value.is_null() || (value.is_boolean() && !value.get<bool>()) || (value.is_structured() && value.empty());
}

}  // namespace

void check_config_keys(const Json& json, const std::string& model_type, const std::string& where) {
  const auto in = [](const auto& list, std::string_view key) {
    return std::find(list.begin(), list.end(), key) != list.end();
  };
  for (const auto& item : json.items()) {
    const std::string& key = item.key();  // no structured binding: clang 14 cannot capture one
    const Json& value = item.value();
    const auto refused = std::find_if(kRefused.begin(), kRefused.end(), [&](const Refused& r) { return r.key == key; });
    if (refused != kRefused.end()) {
      if (!is_allowed(value, refused->allowed)) {
        throw Error(fmt::format("\"{}\": {}{}{}{} is not supported", key, shown(value),
                                refused->why.empty() ? "" : " (", refused->why, refused->why.empty() ? "" : ")"),
                    where);
      }
    } else if (key == "attention_bias" || key == "qkv_bias") {
      // Qwen2 has its biases whatever this says; for the others it would also put one on o_proj.
      const bool absent = value.is_null() || (value.is_boolean() && !value.get<bool>());
      if (model_type != "qwen2" && !absent) {
        throw Error(fmt::format("\"{}\": {} is not supported for model_type {}", key, shown(value), model_type), where);
      }
    } else if (key == "compression_config") {
      if (!value.is_null()) {
        throw Error("\"compression_config\" is an older spelling that loaders no longer read", where,
                    "rename it \"quantization_config\"");
      }
    } else if (key == "sliding_window") {
      // Acts only with use_sliding_window, whose default is false for qwen2 and qwen3; llama has no window at all.
      if (model_type == "llama" && !value.is_null()) {
        warn("{}: \"sliding_window\": {} has no meaning for model_type llama and is ignored", where, shown(value));
      }
    } else if (key == "auto_map" || key == "custom_code" || key == "custom_pipelines") {
      if (!says_nothing(value))
        warn("{}: \"{}\" names code of the repository; it is ignored and never run", where, key);
    } else if (!in(kRead, key) && !in(kHarmless, key) && !says_nothing(value)) {
      warn("{}: unknown key \"{}\": {} is ignored", where, printable(key, 60), shown(value));
    }
  }
}

void warn_of_unknown_keys(const Json& json, std::span<const std::string_view> read, const std::string& where) {
  for (const auto& item : json.items()) {
    const auto is_key = [&](std::string_view key) { return key == item.key(); };
    const bool known = std::any_of(read.begin(), read.end(), is_key) ||
                       std::any_of(kHarmless.begin(), kHarmless.end(), is_key) || says_nothing(item.value());
    if (!known) warn("{}: unknown key \"{}\": {} is ignored", where, printable(item.key(), 60), shown(item.value()));
  }
}

}  // namespace duan::checkpoint
