// AutoAWQ's and GPTQ's tensors against what a test packed, another tool's files, and broken ones.
#include "checkpoint/awq_gptq_weight.h"

#include <gtest/gtest.h>

#include <random>

#include "base/log.h"
#include "checkpoint/support.h"
#include "support/paths.h"
#include "support/rounded_models.h"

namespace duan::checkpoint {
namespace {

using duan::test::RoundedWeight;
using duan::test::RoundingForm;
using duan::test::stored;
using duan::test::StoredTensor;

RoundedWeight random_weight(int64_t rows, int64_t columns, const RoundingForm& form) {
  std::mt19937 random(1);
  std::normal_distribution<float> normal;
  std::vector<float> values(static_cast<size_t>(rows * columns));
  for (float& value : values) value = normal(random);
  return duan::test::rounded(values, rows, columns, form);
}

QuantizationConfig config_of(const RoundingForm& form) {
  return parse_quantization_config(duan::test::quantization_config_of(form), "config.json");
}

const RoundingForm kForms[] = {{.storage = "awq"},
                               {.storage = "awq", .group = -1},
                               {.storage = "awq", .symmetric = true},
                               {.storage = "gptq"},
                               {.storage = "gptq", .symmetric = true},
                               {.storage = "gptq", .bits = 8},
                               {.storage = "gptq", .bits = 8, .group = -1, .symmetric = true},
                               {.storage = "gptq_v2"},
                               {.storage = "gptq_v2", .bits = 8, .group = 32}};

TEST(AwqGptqWeight, CodesZerosAndScalesAreThoseThatWerePacked) {
  constexpr int64_t kRows = 136, kColumns = 160;  // neither is a multiple of the reader's tiles
  for (const RoundingForm& form : kForms) {
    SCOPED_TRACE(form.storage + " " + std::to_string(form.bits) + " " + std::to_string(form.group));
    const RoundedWeight expected = random_weight(kRows, kColumns, form);
    const duan::test::TemporaryDir folder;
    duan::test::write_tensors(folder.path() / "model.safetensors", duan::test::tensors_of("a", expected, form));
    const Checkpoint checkpoint = Checkpoint::open(folder.path(), config_of(form));
    const Weight weight = checkpoint.weight("a.weight", {kRows, kColumns});
    const auto& format = std::get<IntGroup>(weight.format);
    ASSERT_EQ(format_name(format), format_name(checkpoint.description("a.weight", {kRows, kColumns}).format));
    ASSERT_EQ(format.zero_points == nullptr, form.symmetric);
    const int middle = 1 << (form.bits - 1);
    for (int64_t n = 0; n < kRows; ++n) {
      for (int64_t c = 0; c < kColumns; ++c) {
        ASSERT_EQ(code_at(format, kColumns, n, c) + middle, static_cast<int>(expected.code(n, c))) << n << " " << c;
      }
      for (int64_t g = 0; g < expected.groups; ++g) {
        ASSERT_EQ(zero_point_at(format, kColumns, n, g) + middle, static_cast<int>(expected.zero(n, g)));
        uint16_t scale;
        std::memcpy(&scale, format.scales.data + (n * expected.groups + g) * 2, 2);
        ASSERT_EQ(scale, expected.scale(n, g));
      }
    }
  }
}

TEST(AwqGptqWeight, ScatteredColumnsBecomePlainNumbersAndAreToldOf) {
  std::vector<std::string> lines;
  set_warning_sink([&](const std::string& line) { lines.push_back(line); });
  for (const RoundingForm& form : {RoundingForm{.storage = "gptq", .scattered = true},
                                   RoundingForm{.storage = "gptq_v2", .bits = 8, .scattered = true}}) {
    const RoundedWeight expected = random_weight(16, 64, form);
    const duan::test::TemporaryDir folder;
    duan::test::write_tensors(folder.path() / "model.safetensors", duan::test::tensors_of("a", expected, form));
    const Checkpoint checkpoint = Checkpoint::open(folder.path(), config_of(form));
    EXPECT_EQ(format_name(checkpoint.description("a.weight", {16, 64}).format), "F16");
    EXPECT_TRUE(lines.empty());
    const Weight weight = checkpoint.weight("a.weight", {16, 64});
    EXPECT_EQ(checkpoint.weight("a.weight", {16, 64}).bytes(), weight.bytes());
    ASSERT_EQ(lines.size(), 1u);
    EXPECT_NE(lines[0].find("desc_act"), std::string::npos) << lines[0];
    lines.clear();
    std::vector<float> row(64);
    for (int64_t n = 0; n < 16; ++n) {
      weight.row_to_float(n, row.data());
      for (int64_t c = 0; c < 64; ++c) {
        EXPECT_EQ(row[static_cast<size_t>(c)], f16_to_float(float_to_f16(expected.value(n, c))));
      }
    }
  }
  set_warning_sink({});
}

TEST(AwqGptqWeight, FilesOfOtherToolsGiveTheirCodes) {
  DUAN_NEEDS_REFERENCE();
  const auto folder = *duan::test::reference_dir() / "golden" / "awq" / "formats";
  const SafetensorsFile golden(folder / "one_linear.safetensors");
  const Json configs = read_json(folder / "configs.json");
  const auto codes = *golden.find("expected.codes_signed"), zeros = *golden.find("expected.zero_point_signed");
  const auto packed = *golden.find("ct.weight_packed"), scales = *golden.find("ct.weight_scale");
  const auto packed_zeros = *golden.find("ct.weight_zero_point");
  for (const auto& [prefix, key] : {std::pair{"autoawq", "autoawq"}, std::pair{"gptq", "gptq_v1"}}) {
    const duan::test::TemporaryDir dir;
    std::filesystem::copy_file(folder / "one_linear.safetensors", dir.path() / "model.safetensors");
    const QuantizationConfig config =
        parse_quantization_config(configs.at(key).at("quantization_config"), "configs.json");
    const Checkpoint checkpoint = Checkpoint::open(dir.path(), config);
    const RepackedWeight repacked = repack(transposed_weight(checkpoint, prefix, {256, 512}, config));
    const auto& format = std::get<IntGroup>(repacked.weight.format);
    for (int64_t n = 0; n < 256; ++n) {
      for (int64_t c = 0; c < 512; ++c) {
        ASSERT_EQ(code_at(format, 512, n, c), std::to_integer<int8_t>(codes.data[n * 512 + c])) << prefix;
      }
      for (int64_t g = 0; g < 4; ++g) {
        ASSERT_EQ(zero_point_at(format, 512, n, g), std::to_integer<int8_t>(zeros.data[n * 4 + g])) << prefix;
      }
    }
    // And byte for byte what compressed-tensors stores.
    EXPECT_EQ(std::memcmp(repacked.codes.data(), packed.data, packed.bytes), 0);
    EXPECT_EQ(std::memcmp(repacked.scales.data(), scales.data, scales.bytes), 0);
    EXPECT_EQ(std::memcmp(repacked.zero_points.data(), packed_zeros.data, packed_zeros.bytes), 0);
  }
}

using Tensors = std::vector<StoredTensor>;

StoredTensor& part(Tensors& tensors, const std::string& name) {
  return *std::find_if(tensors.begin(), tensors.end(), [&](const auto& t) { return t.spec.name == "a." + name; });
}
template <class T>
void set(StoredTensor& tensor, size_t index, T value) {
  std::memcpy(tensor.bytes.data() + index * sizeof value, &value, sizeof value);
}
auto drop(const std::string& name) {
  return
      [name](Tensors& tensors) { std::erase_if(tensors, [&](const auto& t) { return t.spec.name == "a." + name; }); };
}
auto retyped(const std::string& name, DType dtype) {
  return [name, dtype](Tensors& tensors) {
    StoredTensor& tensor = part(tensors, name);
    tensor.spec.dtype = dtype;
    tensor.bytes.resize(static_cast<size_t>(*element_count(tensor.spec.shape)) * dtype_size(dtype));
  };
}
auto reshaped(const std::string& name, const Shape& shape) {  // as many numbers
  return [name, shape](Tensors& tensors) { part(tensors, name).spec.shape = shape; };
}

TEST(AwqGptqWeight, SaysWhatIsBroken) {
  struct Case {
    RoundingForm form;
    std::function<void(Tensors&)> change;
    const char* cause;
    std::function<void(QuantizationConfig&)> other = {};
    Shape shape = {16, 64};
  };
  const RoundingForm awq{.storage = "awq"}, gptq{.storage = "gptq"}, v2{.storage = "gptq_v2"};
  const RoundingForm sym{.storage = "gptq", .symmetric = true}, scattered{.storage = "gptq", .scattered = true};
  const auto keep = [](Tensors&) {};
  const auto grouped = [](int64_t size) { return [size](QuantizationConfig& c) { c.schemes[0].group_size = size; }; };
  const Case cases[] = {
      {awq, drop("qzeros"), "\"a.qzeros\" is missing"},
      {awq, drop("scales"), "\"a.scales\" is missing"},
      {scattered, drop("g_idx"), "\"a.g_idx\" is missing"},
      {awq, retyped("qweight", DType::i64), "\"a.qweight\" has dtype I64, expected I32"},
      {awq, retyped("qzeros", DType::u8), "\"a.qzeros\" has dtype U8"},
      {awq, retyped("scales", DType::i32), "\"a.scales\" has dtype I32, expected a float"},
      {gptq, retyped("g_idx", DType::i64), "\"a.g_idx\" has dtype I64"},
      {gptq, keep, "\"a.qweight\" has shape [8, 16], expected [16, 16]", {}, {16, 128}},
      {awq, reshaped("qweight", {2, 64}), "\"a.qweight\" has shape [2, 64], expected [64, 2]"},
      {gptq, reshaped("qzeros", {2, 4}), "\"a.qzeros\" has shape [2, 4], expected [4, 2]"},
      {gptq, reshaped("scales", {16, 4}), "\"a.scales\" has shape [16, 4], expected [4, 16]"},
      {gptq, reshaped("g_idx", {64, 1}), "\"a.g_idx\" has shape [64, 1]"},
      {gptq, keep, "\"a.qzeros\" has shape [4, 2], expected [2, 2]", grouped(32)},
      {gptq, keep, "not a multiple of the group size 48", grouped(48)},
      {gptq, keep, "codes of a word", {}, {12, 64}},
      {gptq, keep, "codes of a word", grouped(0), {16, 60}},
      {gptq, keep, "expected plain numbers", {}, {4, 4, 64}},
      {gptq, [](Tensors& t) { set<int32_t>(part(t, "g_idx"), 5, 4); }, "is 4 at input 5, but there are 4 groups"},
      {gptq, [](Tensors& t) { set<int32_t>(part(t, "g_idx"), 63, -1); }, "is -1 at input 63"},
      {gptq, [](Tensors& t) { set<int32_t>(part(t, "g_idx"), 0, 1); }, "configuration says desc_act false"},
      {gptq, [](Tensors& t) { set<uint32_t>(part(t, "qzeros"), 3, 0x1F111111); },
       "holds 15 at group 1: zero point 16 does not fit 4 bits"},
      {{.storage = "gptq", .bits = 8},
       [](Tensors& t) { set<uint32_t>(part(t, "qzeros"), 0, 0xFF); },
       "zero point 256 does not fit 8 bits"},
      {sym, [](Tensors& t) { set<uint32_t>(part(t, "qzeros"), 0, 0x77777778); },
       "means zero point 9 at group 0, but the configuration says sym"},
      {{.storage = "awq", .symmetric = true},
       [](Tensors& t) { set<uint32_t>(part(t, "qzeros"), 7, 0x88888887); },
       "but the configuration says zero_point false"},
      {v2, [](Tensors& t) { set<uint16_t>(part(t, "scales"), 17, 0x7E00); },
       "\"a.scales\" is nan at group 1, output 1"},
      {awq, [](Tensors& t) { set<uint16_t>(part(t, "scales"), 0, 0x7C00); },
       "\"a.scales\" is inf at group 0, output 0"},
      {awq, [](Tensors& t) { t.push_back(stored("a.weight", DType::f32, {1}, std::vector<float>{0})); },
       "\"a.weight\" is there, and"},
  };
  for (const Case& c : cases) {
    const duan::test::TemporaryDir folder;
    Tensors tensors = duan::test::tensors_of("a", random_weight(16, 64, c.form), c.form);
    c.change(tensors);
    duan::test::write_tensors(folder.path() / "model.safetensors", tensors);
    QuantizationConfig config = config_of(c.form);
    if (c.other) c.other(config);
    const Checkpoint checkpoint = Checkpoint::open(folder.path(), config);
    const std::string what = test::error_of([&] { (void)checkpoint.weight("a.weight", c.shape); });
    EXPECT_TRUE(test::is_good_message(what, folder.path().filename().string(), c.cause)) << c.cause << ": " << what;
  }
}

TEST(AwqGptqWeight, CodesWithoutTheirConfigurationAreAnError) {
  const RoundingForm form{.storage = "awq"}, packed{.storage = "compressed-tensors"};
  const duan::test::TemporaryDir folder, other;
  duan::test::write_tensors(folder.path() / "model.safetensors",
                            duan::test::tensors_of("a", random_weight(16, 64, form), form));
  duan::test::write_tensors(other.path() / "model.safetensors",
                            duan::test::tensors_of("a", random_weight(16, 64, packed), packed));
  const auto error = [&](const duan::test::TemporaryDir& dir, const std::optional<QuantizationConfig>& config) {
    const Checkpoint checkpoint = Checkpoint::open(dir.path(), config);
    return test::error_of([&] { (void)checkpoint.weight("a.weight", {16, 64}); });
  };
  EXPECT_NE(error(folder, {}).find("no quantization_config for it"), std::string::npos) << error(folder, {});
  EXPECT_NE(error(folder, config_of(packed)).find("\"a.weight_shape\" is missing"), std::string::npos);
  EXPECT_NE(error(other, config_of(form)).find("no quantization_config for it"), std::string::npos);
}

}  // namespace
}  // namespace duan::checkpoint
