#include "onnx/verify.h"

#include <set>
#include <unordered_map>
#include <unordered_set>

#include "base/error.h"
#include "onnx/node.h"
#include "onnx/wire.h"

namespace duan::onnx {
namespace {

constexpr int64_t kMinIrVersion = 3, kMaxIrVersion = 14;
constexpr int64_t kMaxOpset = 1000;

constexpr FieldRule kModelFields[] = {
    {1, "ir_version", Wire::varint},
    {2, "producer_name", Wire::bytes},
    {3, "producer_version", Wire::bytes},
    {4, "domain", Wire::bytes},
    {5, "model_version", Wire::varint},
    {6, "doc_string", Wire::bytes},
    {7, "graph", Wire::bytes},
    {8, "opset_import", Wire::bytes, true},
    {14, "metadata_props", Wire::bytes, true},
    {20, "training_info", Wire::bytes, true},
    {25, "functions", Wire::bytes, true},
    {26, "configuration", Wire::bytes, true},
};
constexpr FieldRule kGraphFields[] = {
    {1, "node", Wire::bytes, true},
    {2, "name", Wire::bytes},
    {5, "initializer", Wire::bytes, true},
    {10, "doc_string", Wire::bytes},
    {11, "input", Wire::bytes, true},
    {12, "output", Wire::bytes, true},
    {13, "value_info", Wire::bytes, true},
    {14, "quantization_annotation", Wire::bytes, true},
    {15, "sparse_initializer", Wire::bytes, true},
    {16, "metadata_props", Wire::bytes, true},
};
constexpr FieldRule kOpsetFields[] = {{1, "domain", Wire::bytes}, {2, "version", Wire::varint}};
constexpr FieldRule kValueFields[] = {{1, "name", Wire::bytes},
                                      {2, "type", Wire::bytes},
                                      {3, "doc_string", Wire::bytes},
                                      {4, "metadata_props", Wire::bytes, true}};
constexpr FieldRule kTypeFields[] = {{1, "tensor_type", Wire::bytes}, {6, "denotation", Wire::bytes}};
constexpr FieldRule kTensorTypeFields[] = {{1, "elem_type", Wire::varint}, {2, "shape", Wire::bytes}};
constexpr FieldRule kShapeFields[] = {{1, "dim", Wire::bytes, true}};
constexpr FieldRule kDimFields[] = {
    {1, "dim_value", Wire::varint}, {2, "dim_param", Wire::bytes}, {3, "denotation", Wire::bytes}};

// What `check` throws, with what it was about before it.
template <typename Name, typename Check>
void within(const Name& name, const Check& check) {
  try {
    check();
  } catch (const Error& e) {
    throw Error(name() + ": " + e.message(), e.where(), e.hint());
  }
}

class ModelCheck {
 public:
  explicit ModelCheck(const ExternalBytes& external) : external_(external) {}

  ModelFacts check(std::string_view bytes) {
    if (bytes.size() > kMaxModelBytes)
      throw Error(fmt::format("has {} bytes, a model at most {}", bytes.size(), kMaxModelBytes));
    // ONNX Runtime takes such bytes for its other format, whatever else they are.
    if (bytes.size() >= 8 && bytes.substr(4, 4) == "ORTM")
      throw Error("is a model in ONNX Runtime's own format, not in ONNX's");
    std::string_view graph;
    bool has_graph = false;
    int64_t ir_version = 0;
    WireReader reader(bytes, kModelFields);
    for (Field field; reader.next(field);) {
      switch (field.rule->number) {
        case 1:
          ir_version = as_int64(field.value);
          break;
        case 7:
          graph = field.bytes, has_graph = true;
          break;
        case 8:
          within([] { return std::string("opset_import"); }, [&] { opset(field.bytes); });
          break;
        case 14:
          entry(field.bytes);
          break;
        case 20:
          throw Error("holds training graphs");
        case 25:
          throw Error("holds functions, which are not supported");
        case 26:
          throw Error("asks for several devices");
        default:
          break;
      }
    }
    if (ir_version < kMinIrVersion || ir_version > kMaxIrVersion) {
      throw Error(fmt::format("its IR version is {}, expected {} to {}", ir_version, kMinIrVersion, kMaxIrVersion));
    }
    if (!has_graph) throw Error("holds no graph");
    if (!opsets_.contains("")) throw Error("states no version of ONNX's operators");
    check_graph(graph);
    return std::move(facts_);
  }

 private:
  void count_item() {
    if (++items_ > kMaxItems) throw Error(fmt::format("holds more than {} messages", kMaxItems));
  }

  void opset(std::string_view message) {
    count_item();
    std::string_view domain;
    int64_t version = 0;
    WireReader reader(message, kOpsetFields);
    for (Field field; reader.next(field);) {
      if (field.rule->number == 1) domain = field.bytes;
      if (field.rule->number == 2) version = as_int64(field.value);
    }
    if (version < 1 || version > kMaxOpset) throw Error(fmt::format("version {}", version));
    if (!opsets_.insert(canonical_domain(domain)).second)
      throw Error("the domain \"" + printable(domain) + "\" is there twice");
  }

  void entry(std::string_view message) {
    count_item();
    std::string_view key, value;
    read_entry(message, key, value);
  }

  // Initializers first: the values of nodes are held against them.
  void check_graph(std::string_view message) {
    std::vector<std::string_view> nodes;
    std::unordered_set<std::string_view> outputs;
    WireReader reader(message, kGraphFields);
    for (Field field; reader.next(field);) {
      if (field.rule->repeated) count_item();
      switch (field.rule->number) {
        case 1:
          nodes.push_back(field.bytes);
          break;
        case 2:
          check_name(field.bytes);
          break;
        case 5:
          initializer(field.bytes);
          break;
        case 11:
          add(inputs_, value(field.bytes, "input"), "input");
          break;
        case 12:
          add(outputs, value(field.bytes, "output"), "output");
          break;
        case 13:
          value(field.bytes, "value_info");
          break;
        case 14:
          throw Error("holds quantization annotations, which are not supported");
        case 15:
          throw Error("holds sparse weights, which are not supported");
        case 16:
          entry(field.bytes);
          break;
        default:
          break;
      }
    }
    facts_.nodes = static_cast<int64_t>(nodes.size());
    if (facts_.nodes > kMaxNodes)
      throw Error(fmt::format("has {} nodes, at most {} are allowed", facts_.nodes, kMaxNodes));
    // A weight may be an input, too: it is its default then.
    defined_.insert(inputs_.begin(), inputs_.end());
    for (const std::string_view node : nodes) check_node(node);
    for (const std::string_view name : outputs) {
      if (!defined_.contains(name)) throw Error("the output \"" + printable(name) + "\" is made by no node");
    }
    for (const auto& [name, use] : uses_) {
      if (!defined_.contains(name)) {
        throw Error("the node \"" + printable(use.node) + "\" reads \"" + printable(name) + "\", which nothing makes");
      }
    }
    for (const auto& [past, present] : candidates_) {
      if (inputs_.contains(past) && outputs.contains(present) && uses_.at(past).count == 1) {
        facts_.caches_in_place.emplace(past, present);
      }
    }
  }

  static void add(std::unordered_set<std::string_view>& names, std::string_view name, const char* what) {
    if (!names.insert(name).second) throw Error(fmt::format("the {} \"{}\" is defined twice", what, printable(name)));
  }

  void initializer(std::string_view message) {
    TensorFacts tensor = check_tensor(message, external_);
    if (tensor.name.empty()) throw Error("a weight has no name");
    add(defined_, tensor.name, "weight");
    facts_.weight_bytes += tensor.bytes;
    facts_.weight_types.insert(tensor.data_type);
    const std::string_view name = tensor.name;
    initializers_.emplace(name, std::move(tensor));
  }

  // The name of a ValueInfoProto. Throws Error unless it is a tensor's.
  std::string_view value(std::string_view message, const char* what) {
    std::string_view name, type;
    within([&] { return fmt::format("the {} \"{}\"", what, printable(name)); },
           [&] {
             WireReader reader(message, kValueFields);
             for (Field field; reader.next(field);) {
               if (field.rule->number == 1) check_name(name = field.bytes);
               if (field.rule->number == 2) type = field.bytes;
               if (field.rule->number == 4) entry(field.bytes);
             }
             if (name.empty()) throw Error("has no name");
             WireReader type_reader(type, kTypeFields);
             for (Field field; type_reader.next(field);) {
               if (field.rule->number == 1) tensor_type(field.bytes);
             }
           });
    return name;
  }

  void tensor_type(std::string_view message) {
    WireReader reader(message, kTensorTypeFields);
    for (Field field; reader.next(field);) {
      if (field.rule->number == 1 && !element_bits(as_int32(field))) {
        throw Error(fmt::format("is of the type {}, which is unknown or not supported", as_int32(field)));
      }
      if (field.rule->number != 2) continue;
      size_t dims = 0;
      WireReader shape(field.bytes, kShapeFields);
      for (Field dim; shape.next(dim);) {
        count_item();
        if (++dims > kMaxDims) throw Error(fmt::format("has more than {} dimensions", kMaxDims));
        WireReader parts(dim.bytes, kDimFields);
        bool valued = false;
        for (Field part; parts.next(part);) {
          if (part.rule->number == 3) continue;
          if (valued) throw Error("a dimension has a value and a name");
          valued = true;
          if (part.rule->number == 1 && as_int64(part.value) < 0)
            throw Error(fmt::format("has the dimension {}", as_int64(part.value)));
          if (part.rule->number == 2) check_name(part.bytes);
        }
      }
    }
  }

  void check_node(std::string_view message) {
    Node node;
    within([&] { return "the node " + node.describe(); },
           [&] {
             read_node(message, node);
             items_ += node.items;
             count_item();
             check_operator(node);
             if (!opsets_.contains(node.domain))
               throw Error("its domain \"" + printable(node.domain) + "\" is not imported");
             for (const std::string_view name : node.inputs) {
               if (!name.empty())
                 ++uses_.try_emplace(name, Use{node.name.empty() ? node.op_type : node.name, 0}).first->second.count;
             }
             for (const std::string_view name : node.outputs) {
               if (!name.empty()) add(defined_, name, "value");
             }
             check_shapes(node, [&](std::string_view name) -> const TensorFacts* {
               const auto found = initializers_.find(name);
               return found == initializers_.end() ? nullptr : &found->second;
             });
           });
    if (node.op_type == "QuantizeLinear" || node.op_type == "DynamicQuantizeLinear") facts_.rounds_activations = true;
    if (node.op_type == "GroupQueryAttention" && node.inputs.size() > 4 && node.outputs.size() > 2) {
      for (const size_t i : {0, 1}) candidates_.emplace_back(node.inputs[3 + i], node.outputs[1 + i]);
    }
  }

  struct Use {
    std::string_view node;  // that reads it first
    int64_t count;
  };

  const ExternalBytes& external_;
  ModelFacts facts_;
  int64_t items_ = 0;
  std::set<std::string_view> opsets_;
  std::unordered_set<std::string_view> inputs_;
  std::unordered_map<std::string_view, TensorFacts> initializers_;
  std::unordered_set<std::string_view> defined_;
  std::unordered_map<std::string_view, Use> uses_;  // by the value's name
  std::vector<std::pair<std::string_view, std::string_view>> candidates_;
};

}  // namespace

ModelFacts verify_model(std::string_view bytes, const ExternalBytes& external) {
  return ModelCheck(external).check(bytes);
}

std::string_view VerifiedModel::bytes() const {
  return {reinterpret_cast<const char*>(proto.bytes().data()), proto.bytes().size()};
}

void VerifiedModel::check_unchanged() const {
  for (const ExternalFile& f : data) {
    if (f.changed()) throw Error("was changed while the model was opened", f.path().string(), "try again");
  }
}

VerifiedModel verify_file(const std::filesystem::path& file) {
  VerifiedModel model{file, MappedFile(file), {}, {}};
  std::map<std::string, size_t, std::less<>> known;
  const ExternalBytes external = [&](std::string_view location) {
    const auto found = known.find(location);
    if (found != known.end()) return model.data[found->second].bytes();
    model.data.emplace_back(file.parent_path(), location);
    known.emplace(location, model.data.size() - 1);
    return model.data.back().bytes();
  };
  try {
    model.facts = verify_model(model.bytes(), external);
  } catch (const Error& e) {
    throw e.at(file.string());
  }
  return model;
}

}  // namespace duan::onnx
