#include "cli/chain_model.h"

#include <fstream>
#include <random>
#include <set>
#include <stdexcept>
#include <vector>

#include "base/json.h"
#include "checkpoint/writer.h"
#include "support/paths.h"
#include "text/tokenizer.h"

namespace duan::test {
namespace {

constexpr int64_t kVocab = 720;  // more rows than the tokenizer has tokens
constexpr int64_t kHidden = 128, kHeads = 2, kHeadDim = 32, kIntermediate = 32;

constexpr const char* kTemplate =
    "{%- for message in messages -%}"
    "{{ '<|start|>' + message.role + '\n' + message.content + '<|end|>\n' }}"
    "{%- endfor -%}"
    "{%- if add_generation_prompt -%}{{ '<|start|>assistant' }}"
    "{%- if enable_thinking is defined and not enable_thinking -%}{{ ' ' }}{%- endif -%}"
    "{{ '\n' }}{%- endif -%}";

void write(const std::filesystem::path& file, const std::string& text) {
  std::ofstream(file, std::ios::binary) << text;
}

}  // namespace

void write_chain_model(const std::filesystem::path& folder, const std::string& answer, bool endless,
                       int64_t positions) {
  const std::string tokenizer_json = read_file(data_dir() / "tokenizer" / "qwen.json");
  write(folder / "tokenizer.json", tokenizer_json);
  write(folder / "chat_template.jinja", kTemplate);
  const auto tokenizer = text::Tokenizer::from_json(tokenizer_json, "qwen.json");
  const int64_t end = *tokenizer.id_of("<|end|>");

  std::vector<int64_t> chain = tokenizer.encode("\n");
  for (const int64_t id : tokenizer.encode(answer)) chain.push_back(id);
  chain.push_back(endless ? chain.at(2) : end);
  if (std::set(chain.begin(), chain.end()).size() != chain.size() - (endless ? 1 : 0)) {
    throw std::logic_error("a token is in the answer twice");
  }
  std::vector<int64_t> next(kVocab);
  for (int64_t id = 0; id < kVocab; ++id) next[static_cast<size_t>(id)] = id;
  for (size_t i = 0; i + 1 < chain.size(); ++i) next[static_cast<size_t>(chain[i])] = chain[i + 1];

  write(folder / "config.json", to_text(Json{{"architectures", {"Qwen3ForCausalLM"}},
                                             {"model_type", "qwen3"},
                                             {"vocab_size", kVocab},
                                             {"hidden_size", kHidden},
                                             {"intermediate_size", kIntermediate},
                                             {"num_hidden_layers", 1},
                                             {"num_attention_heads", kHeads},
                                             {"num_key_value_heads", kHeads},
                                             {"head_dim", kHeadDim},
                                             {"max_position_embeddings", positions},
                                             {"rms_norm_eps", 1e-6},
                                             {"rope_theta", 10000},
                                             {"hidden_act", "silu"},
                                             {"tie_word_embeddings", false},
                                             {"eos_token_id", end}}));

  // Layers add nothing (their last matrices are zero), so the logits are lm_head times the token's embedding: row r of
  // lm_head is the sum of the embeddings of the tokens that r follows.
  const auto count = static_cast<size_t>(kVocab * kHidden);
  std::vector<float> embedding(count), head(count, 0.0f);
  std::mt19937 random(1);
  for (float& value : embedding) value = (random() & 1) != 0 ? 1.0f : -1.0f;
  for (size_t id = 0; id < static_cast<size_t>(kVocab); ++id) {
    for (size_t i = 0; i < static_cast<size_t>(kHidden); ++i) {
      head[static_cast<size_t>(next[id] * kHidden) + i] += embedding[id * static_cast<size_t>(kHidden) + i];
    }
  }
  const std::string layer = "model.layers.0.";
  std::vector<checkpoint::TensorSpec> tensors = {
      {"model.embed_tokens.weight", DType::f32, {kVocab, kHidden}},
      {"lm_head.weight", DType::f32, {kVocab, kHidden}},
      {"model.norm.weight", DType::f32, {kHidden}},
      {layer + "input_layernorm.weight", DType::f32, {kHidden}},
      {layer + "post_attention_layernorm.weight", DType::f32, {kHidden}},
      {layer + "self_attn.q_norm.weight", DType::f32, {kHeadDim}},
      {layer + "self_attn.k_norm.weight", DType::f32, {kHeadDim}},
      {layer + "self_attn.q_proj.weight", DType::f32, {kHeads * kHeadDim, kHidden}},
      {layer + "self_attn.k_proj.weight", DType::f32, {kHeads * kHeadDim, kHidden}},
      {layer + "self_attn.v_proj.weight", DType::f32, {kHeads * kHeadDim, kHidden}},
      {layer + "self_attn.o_proj.weight", DType::f32, {kHidden, kHeads * kHeadDim}},
      {layer + "mlp.gate_proj.weight", DType::f32, {kIntermediate, kHidden}},
      {layer + "mlp.up_proj.weight", DType::f32, {kIntermediate, kHidden}},
      {layer + "mlp.down_proj.weight", DType::f32, {kHidden, kIntermediate}},
  };
  checkpoint::write_safetensors(folder / "model.safetensors", tensors,
                                [&](size_t index, const checkpoint::ByteSink& sink) {
                                  if (index == 0) return sink(std::as_bytes(std::span(embedding)));
                                  if (index == 1) return sink(std::as_bytes(std::span(head)));
                                  size_t values = 1;
                                  for (const int64_t size : tensors[index].shape) values *= static_cast<size_t>(size);
                                  const bool norm = tensors[index].name.find("norm") != std::string::npos;
                                  const std::vector<float> same(values, norm ? 1.0f : 0.0f);
                                  sink(std::as_bytes(std::span(same)));
                                });
}

}  // namespace duan::test
