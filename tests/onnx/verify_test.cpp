// Every hostile model is refused with one line that names the node or tensor and the cause.
#include "onnx/verify.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fstream>
#include <functional>

#include "base/error.h"
#include "base/json.h"
#include "onnx/model_bytes.h"
#include "support/paths.h"

namespace duan::onnx {
namespace {

using test::attribute;
using test::external_tensor;
using test::kFloat;
using test::kInt64;
using test::kUint8;
using test::Message;
using test::ModelBytes;
using test::node;
using test::node_of;
using test::opset;
using test::tensor;
using test::value_info;

int64_t no_files(std::string_view location) { throw Error("there is no file " + printable(location)); }

std::string refusal(const std::string& model) {
  try {
    verify_model(model, no_files);
  } catch (const Error& e) {
    return e.what();
  }
  return "";
}

struct Case {
  const char* name;
  std::function<std::string(ModelBytes&)> bytes;
  const char* cause;
};

// The model with what `change` does to it.
std::function<std::string(ModelBytes&)> with(std::function<void(ModelBytes&)> change) {
  return [change](ModelBytes& m) {
    change(m);
    return m.text();
  };
}
std::function<std::string(ModelBytes&)> weight(std::string message) {
  return with([message](ModelBytes& m) { m.weights = {message}; });
}
std::function<std::string(ModelBytes&)> with_node(const Message& message) {
  return with([message](ModelBytes& m) { m.nodes = {message.text()}; });
}
std::function<std::string(ModelBytes&)> with_attribute(const std::string& message) {
  return with_node(node("Add", {"x", "w"}, {"y"}).bytes(5, message));
}
// Weights [n 2, blocks 2, 16 bytes] of 64 inputs, 4 bits, blocks of 32, with other attributes.
std::function<std::string(ModelBytes&)> four_bits(int64_t k, int64_t n, int64_t block, int64_t bits) {
  return with([=](ModelBytes& m) {
    m.weights = {tensor("b", kUint8, {2, 2, 16}, std::string(64, '\0')),
                 tensor("s", kFloat, {4}, std::string(16, '\0'))};
    m.nodes = {node_of("com.microsoft", "MatMulNBits", {"x", "b", "s"}, {"y"})
                   .bytes(5, attribute("K", k))
                   .bytes(5, attribute("N", n))
                   .bytes(5, attribute("block_size", block))
                   .bytes(5, attribute("bits", bits))
                   .text()};
  });
}

std::vector<Case> cases() {
  const std::string sixteen(16, '\0');
  return {
      // Wire format.
      {"Empty", [](ModelBytes&) { return std::string(); }, "IR version is 0"},
      {"Text", [](ModelBytes&) { return std::string("hello, I am no model"); }, "unknown field"},
      {"CutInTag", [](ModelBytes& m) { return m.text() + "\x80"; }, "cut short"},
      {"LengthBeyondEnd",
       [](ModelBytes& m) {
         return m.text() +
                "\x12\x7F"
                "ab";
       },
       "cut short"},
      {"HugeLength", [](ModelBytes& m) { return m.text() + "\x12\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\x01"; },
       "cut short"},
      {"EndlessVarint", [](ModelBytes& m) { return m.text() + "\x28" + std::string(11, '\xFF'); }, "more than 64 bits"},
      {"Group", [](ModelBytes& m) { return m.text() + "\x0B\x0C"; }, "wire type 3"},
      {"UnknownField", with([](ModelBytes& m) { m.model_extra.number(99, 1); }), "unknown field 99"},
      {"FieldZero", [](ModelBytes& m) { return m.text() + std::string("\0\0", 2); }, "unknown field 0"},
      {"WrongWireType", with([](ModelBytes& m) { m.model_extra.number(2, 1); }), "producer_name is of wire type 0"},
      {"TwoGraphs", with([](ModelBytes& m) { m.model_extra.bytes(7, m.graph()); }), "graph is there twice"},
      {"OrtFormat",
       [](ModelBytes& m) {
         return "\x12\x08"
                "ab"
                "ORTM"
                "cd" +
                m.text();
       },
       "ONNX Runtime's own format"},
      // The model.
      {"OldIrVersion", with([](ModelBytes& m) { m.ir_version = 2; }), "IR version is 2"},
      {"NewIrVersion", with([](ModelBytes& m) { m.ir_version = 1000; }), "IR version is 1000"},
      {"NoGraph", [](ModelBytes& m) { return Message().number(1, 10).bytes(8, m.opsets[0]).text(); }, "no graph"},
      {"NoOpset", with([](ModelBytes& m) { m.opsets.clear(); }), "no version of ONNX's operators"},
      {"OpsetTwice", with([](ModelBytes& m) { m.opsets.push_back(opset("ai.onnx", 13)); }), "is there twice"},
      {"OpsetZero", with([](ModelBytes& m) { m.opsets[0] = opset("", 0); }), "version 0"},
      {"Function", with([](ModelBytes& m) {
         m.model_extra.bytes(25,
                             "\x0A\x01"
                             "f");
       }),
       "functions"},
      {"Training", with([](ModelBytes& m) { m.model_extra.bytes(20, ""); }), "training"},
      {"Devices", with([](ModelBytes& m) { m.model_extra.bytes(26, ""); }), "several devices"},
      {"SparseWeight", with([](ModelBytes& m) { m.graph_extra.bytes(15, ""); }), "sparse weights"},
      {"QuantizationAnnotation", with([](ModelBytes& m) { m.graph_extra.bytes(14, ""); }), "quantization annotations"},
      // Weights.
      {"ShortData", weight(tensor("w", kFloat, {5}, sixteen)), "\"w\": holds 16 bytes, its dimensions need 20"},
      {"NoData", weight(tensor("w", kFloat, {4}).text()), "holds 0 numbers"},
      {"DataTwice", weight(tensor("w", kFloat, {4}).bytes(9, sixteen).bytes(4, sixteen).text()),
       "raw_data and typed data"},
      {"DataOfTwoTypes", weight(tensor("w", kFloat, {4}).bytes(4, sixteen).number(5, 1).text()), "data of two types"},
      {"DataOfOtherType", weight(tensor("w", kFloat, {4}).bytes(5, "\1\1\1\1").text()), "holds 0 numbers of its type"},
      {"OddPackedData", weight(tensor("w", kFloat, {4}).bytes(4, sixteen + "a").text()), "no multiple of 4"},
      {"NegativeDim", weight(tensor("w", kFloat, {-4}, sixteen)), "the dimension -4"},
      {"OverflowingDims", weight(tensor("w", kFloat, {1LL << 40, 1LL << 40}, "")), "too many elements"},
      {"OverflowBesideZero", weight(tensor("w", kFloat, {1LL << 40, 1LL << 40, 0}, "")), "too many elements"},
      {"ManyDims", weight(tensor("w", kFloat, std::vector<int64_t>(9, 1), std::string(4, '\0'))),
       "more than 8 dimensions"},
      {"StringWeight", weight(tensor("w", 8, {1}).bytes(6, "a").text()), "unknown field 6"},
      {"ComplexWeight", weight(tensor("w", 14, {2}, sixteen)), "type 14"},
      {"UnknownType", weight(tensor("w", 77, {4}, sixteen)), "type 77"},
      {"TypeBeyond32Bits", weight(tensor("w", (uint64_t{1} << 32) | 1, {4}, sixteen)), "no 32-bit number"},
      {"NamelessWeight", weight(tensor("", kFloat, {4}, sixteen)), "a weight has no name"},
      {"WeightTwice", with([](ModelBytes& m) { m.weights.push_back(m.weights[0]); }),
       "the weight \"w\" is defined twice"},
      {"NulInName", weight(tensor(std::string("w\0x", 3), kFloat, {4}, sixteen)), "is not text"},
      {"NameNotUtf8", weight(tensor("\xC3\x28", kFloat, {4}, sixteen)), "is not text"},
      {"LongName", weight(tensor(std::string(2000, 'w'), kFloat, {4}, sixteen)), "a name has 2000 bytes"},
      // Weights in other files; which files may be named is tested below.
      {"MissingFile", weight(external_tensor("w", "data")), "\"w\": there is no file data"},
      {"NoLocation", weight(external_tensor("w", kFloat, {4}, {{"offset", "0"}})), "has no location"},
      {"LocationTwice", weight(external_tensor("w", kFloat, {4}, {{"location", "a"}, {"location", "b"}})),
       "location twice"},
      {"UnknownKey", weight(external_tensor("w", kFloat, {4}, {{"location", "a"}, {"basepath", "/"}})),
       "unknown key \"basepath\""},
      {"NegativeOffset", weight(external_tensor("w", kFloat, {4}, {{"location", "a"}, {"offset", "-16"}})),
       "its offset is \"-16\""},
      {"OffsetNoNumber", weight(external_tensor("w", kFloat, {4}, {{"location", "a"}, {"offset", "0x10"}})),
       "its offset is \"0x10\""},
      {"HugeOffset", weight(external_tensor("w", kFloat, {4}, {{"location", "a"}, {"offset", "99999999999999999999"}})),
       "its offset is"},
      {"LengthNotDims", weight(external_tensor("w", kFloat, {4}, {{"location", "a"}, {"length", "12"}})),
       "its length is 12 bytes, its dimensions need 16"},
      {"DataHereAndThere", weight(tensor("w", kFloat, {4}).bytes(9, sixteen).number(14, 1).text()), "lie elsewhere"},
      {"EntriesWithoutLocationFlag",
       weight(tensor("w", kFloat, {4})
                  .bytes(9, sixteen)
                  .bytes(13, Message().bytes(1, "location").bytes(2, "a").text())
                  .text()),
       "data_location does not say so"},
      {"StrangeDataLocation", weight(tensor("w", kFloat, {4}).bytes(9, sixteen).number(14, 2).text()),
       "data_location is 2"},
      // Nodes and values.
      {"ForeignDomain", with_node(node_of("com.evil", "Add", {"x", "w"}, {"y"})),
       "\"the_node\" (Add): its domain is \"com.evil\""},
      {"DomainNotImported", with([](ModelBytes& m) {
         m.opsets.pop_back();
         m.nodes = {node_of("com.microsoft", "FusedMatMul", {"x", "w"}, {"y"}).text()};
       }),
       "is not imported"},
      {"CompiledPart", with_node(node_of("com.microsoft", "EPContext", {"x"}, {"y"})), "compiled parts"},
      {"NoOperator", with_node(Message().bytes(1, "x").bytes(2, "y")), "names no operator"},
      {"If",
       with_node(node("If", {"x"}, {"y"})
                     .bytes(5, Message().bytes(1, "then_branch").bytes(6, ModelBytes().graph()).number(20, 5).text())),
       "is a graph"},
      {"LoopWithoutBody", with_node(node("Loop", {"x"}, {"y"})), "control flow"},
      {"Overload", with_node(node("Add", {"x", "w"}, {"y"}).bytes(8, "mine")), "overload"},
      {"Device", with_node(node("Add", {"x", "w"}, {"y"}).bytes(10, "")), "asks for a device"},
      {"UndefinedValue", with_node(node("Add", {"x", "nowhere"}, {"y"})),
       "\"the_node\" reads \"nowhere\", which nothing makes"},
      {"ValueTwice", with([](ModelBytes& m) { m.nodes.push_back(m.nodes[0]); }), "the value \"y\" is defined twice"},
      {"OverwritesWeight", with_node(node("Add", {"x", "w"}, {"w"})), "the value \"w\" is defined twice"},
      {"OutputFromNowhere", with([](ModelBytes& m) { m.outputs = {value_info("z", kFloat, {4})}; }),
       "the output \"z\" is made by no node"},
      {"InputTwice", with([](ModelBytes& m) { m.inputs.push_back(m.inputs[0]); }), "the input \"x\" is defined twice"},
      {"NamelessInput", with([](ModelBytes& m) { m.inputs.push_back(value_info("", kFloat, {4})); }), "has no name"},
      {"InputOfStrings", with([](ModelBytes& m) { m.inputs = {value_info("x", 8, {4})}; }),
       "the input \"x\": is of the type 8"},
      {"InputIsSequence",
       with([](ModelBytes& m) { m.inputs = {Message().bytes(1, "x").bytes(2, Message().bytes(4, "").text()).text()}; }),
       "unknown field 4"},
      {"NegativeInputDim", with([](ModelBytes& m) { m.inputs = {value_info("x", kFloat, {-1})}; }), "the dimension -1"},
      {"ManyOperands", with_node(node("Concat", std::vector<std::string>(5000, "x"), {"y"})),
       "more than 4096 operands"},
      {"ManyNodes", with([](ModelBytes& m) { m.nodes.resize(200'001); }), "200001 nodes"},
      {"ManyMessages",
       [](ModelBytes& m) {
         std::string many;
         for (int i = 0; i < 2'000'001; ++i) many += std::string("\x72\0", 2);
         return m.text() + many;
       },
       "more than 2000000 messages"},
      // Attributes.
      {"NamelessAttribute", with_attribute(attribute("", 1)), "an attribute has no name"},
      {"AttributeTwice",
       with_node(node("Add", {"x", "w"}, {"y"}).bytes(5, attribute("a", 1)).bytes(5, attribute("a", 2))),
       "\"a\" is there twice"},
      {"AttributeOfTwoTypes", with_attribute(Message().bytes(1, "a").number(3, 1).float32(2, 1).number(20, 2).text()),
       "values of two types"},
      {"AttributeLies", with_attribute(Message().bytes(1, "a").float32(2, 1).number(20, 2).text()),
       "not of the type that it states"},
      {"AttributeWithoutType", with_attribute(Message().bytes(1, "a").number(3, 1).text()), "of the type 0"},
      {"TensorAttributeEmpty", with_attribute(Message().bytes(1, "a").number(20, 4).text()),
       "not of the type that it states"},
      {"AttributeOfFunction", with_attribute(Message().bytes(1, "a").bytes(21, "b").number(20, 2).text()),
       "of a function"},
      {"ExternalAttribute",
       with_attribute(Message().bytes(1, "a").bytes(5, external_tensor("t", "data")).number(20, 4).text()),
       "which only weights of the graph may"},
      {"BadAttributeTensor",
       with_attribute(Message().bytes(1, "a").bytes(5, tensor("t", kInt64, {3}, "abc")).number(20, 4).text()),
       "\"t\": holds 3 bytes"},
      // MatMulNBits.
      {"WeightsTooNarrow", four_bits(6400, 2, 32, 4), "its weight \"b\" [2, 2, 16] does not fit"},
      {"WeightsTooFew", four_bits(64, 200, 32, 4), "its weight \"b\" [2, 2, 16] does not fit"},
      {"OtherBits", four_bits(64, 2, 32, 8), "its weight \"b\" [2, 2, 16] does not fit"},
      {"ZeroBlock", four_bits(64, 2, 0, 4), "block_size is 0"},
      {"NegativeRows", four_bits(64, -2, 32, 4), "N is -2"},
  };
}

TEST(VerifyModel, TakesAModelThatIsRight) {
  const ModelFacts facts = verify_model(ModelBytes().text(), no_files);
  EXPECT_EQ(facts.nodes, 1);
  EXPECT_EQ(facts.weight_bytes, 16);
  EXPECT_TRUE(facts.caches_in_place.empty());
  ModelBytes m;
  EXPECT_EQ(refusal(four_bits(64, 2, 32, 4)(m)), "");
}

TEST(VerifyModel, TakesNumbersOneByOnePackedAndAsRawBytes) {
  ModelBytes m;
  Message one_by_one = tensor("w", kFloat, {4});
  for (int i = 0; i < 4; ++i) one_by_one.float32(4, 1.5F);
  m.weights = {one_by_one.text()};
  EXPECT_EQ(refusal(m.text()), "");
  m.weights = {tensor("w", kFloat, {4}).bytes(4, std::string(16, '\0')).text()};
  EXPECT_EQ(refusal(m.text()), "");
  m.weights = {Message().bytes(1, "\2\2").number(2, kFloat).bytes(8, "w").bytes(9, std::string(16, '\0')).text()};
  EXPECT_EQ(refusal(m.text()), "");          // packed dimensions
  m.weights = {tensor("w", 22, {3}, "ab")};  // int4, two to a byte
  EXPECT_EQ(refusal(m.text()), "");
}

TEST(VerifyModel, TakesWhatTheFuzzerStartsFrom) {
  int count = 0;
  for (const auto& entry : std::filesystem::directory_iterator(test::source_dir() / "fuzz/corpus/onnx_model_fuzz")) {
    SCOPED_TRACE(entry.path());
    EXPECT_GT(verify_model(read_file(entry.path()), [](std::string_view) { return int64_t{4096}; }).nodes, 0);
    ++count;
  }
  EXPECT_EQ(count, 3);
}

TEST(VerifyModel, RefusesWhatIsWrongAndNamesIt) {
  for (const Case& c : cases()) {
    SCOPED_TRACE(c.name);
    ModelBytes m;
    const std::string message = refusal(c.bytes(m));
    EXPECT_FALSE(message.empty());
    EXPECT_NE(message.find(c.cause), std::string::npos) << message;
    EXPECT_EQ(message.find('\n'), std::string::npos);
  }
}

TEST(VerifyModel, RefusesTheModelCutAtEveryByteAndSurvivesEveryChangedByte) {
  ModelBytes m;
  m.nodes[0] = node("Add", {"x", "w"}, {"y"}).bytes(5, attribute("a", 300)).text();
  const std::string good = m.text();
  ASSERT_EQ(refusal(good), "");
  const size_t end_of_graph = good.size() - test::opset("", 21).size() - test::opset("com.microsoft", 1).size() - 4;
  for (size_t size = 0; size < end_of_graph; ++size) EXPECT_NE(refusal(good.substr(0, size)), "") << size;
  for (size_t at = 0; at < good.size(); ++at) {
    for (int bit = 0; bit < 8; ++bit) {
      std::string changed = good;
      changed[at] = static_cast<char>(changed[at] ^ (1 << bit));
      refusal(changed);  // either way, but without a crash
    }
  }
}

TEST(VerifyModel, FindsCachesThatNothingElseReads) {
  ModelBytes m;
  m.inputs = {value_info("q", kFloat, {4}), value_info("past.k", kFloat, {4}), value_info("past.v", kFloat, {4})};
  m.outputs = {value_info("y", kFloat, {4}), value_info("present.k", kFloat, {4}),
               value_info("present.v", kFloat, {4})};
  m.nodes = {node_of("com.microsoft", "GroupQueryAttention", {"q", "q", "q", "past.k", "past.v"},
                     {"y", "present.k", "present.v"})
                 .text()};
  using Caches = std::map<std::string, std::string>;
  EXPECT_EQ(verify_model(m.text(), no_files).caches_in_place,
            (Caches{{"past.k", "present.k"}, {"past.v", "present.v"}}));
  m.nodes.push_back(node("Shape", {"past.k"}, {"length"}).text());
  EXPECT_EQ(verify_model(m.text(), no_files).caches_in_place, (Caches{{"past.v", "present.v"}}));
}

// Files beside a model.
class VerifyFile : public testing::Test {
 protected:
  void SetUp() override {
    std::filesystem::create_directories(folder());
    write(folder() / "data", std::string(64, 'd'));
    write(outside_.path() / "secret", std::string(64, 's'));
  }
  std::filesystem::path folder() const { return outside_.path() / "model"; }
  static void write(const std::filesystem::path& file, const std::string& text) {
    std::ofstream(file, std::ios::binary) << text;
  }
  VerifiedModel verify(const std::string& location) const {
    ModelBytes m;
    m.weights = {external_tensor("w", location)};
    write(folder() / "model.onnx", m.text());
    return verify_file(folder() / "model.onnx");
  }
  std::string refusal_of(const std::string& location) const {
    try {
      verify(location);
    } catch (const Error& e) {
      return e.what();
    }
    return "";
  }
  test::TemporaryDir outside_;
};

TEST_F(VerifyFile, TakesDataBesideTheModel) {
  const VerifiedModel model = verify("data");
  EXPECT_EQ(model.data.size(), 1u);
  EXPECT_EQ(model.facts.weight_bytes, 16);
  EXPECT_NO_THROW(model.check_unchanged());
}

TEST_F(VerifyFile, RefusesDataAnywhereElse) {
  namespace fs = std::filesystem;
  fs::create_symlink(outside_.path() / "secret", folder() / "link");
  fs::create_symlink("data", folder() / "inner_link");
  fs::create_directory_symlink(outside_.path(), folder() / "folder_link");
  fs::create_hard_link(outside_.path() / "secret", folder() / "hard_link");
  fs::create_directories(folder() / "sub" / "*");
  fs::create_directories(folder() / "*" / "_ORT_MEM_ADDR_");
  write(folder() / "*" / "_ORT_MEM_ADDR_" / "*", std::string(64, 'a'));
  write(folder() / "sub" / "data", std::string(64, 'd'));
  write(folder() / "short", std::string(15, 'd'));
  ASSERT_EQ(::mkfifo((folder() / "pipe").c_str(), 0600), 0);
  const std::pair<std::string, const char*> table[] = {
      {"../secret", "not the name of a file beside the model"},
      {"sub/../../secret", "not the name of a file beside the model"},
      {"..", "not the name of a file beside the model"},
      {(outside_.path() / "secret").string(), "not the name of a file beside the model"},
      {"/proc/self/environ", "not the name of a file beside the model"},
      {"sub/data", "not the name of a file beside the model"},
      {"..\\secret", "not the name of a file beside the model"},
      {"folder_link/secret", "not the name of a file beside the model"},
      {"*/_ORT_MEM_ADDR_/*", "not the name of a file beside the model"},
      {std::string("data\0.png", 9), "holds a NUL"},
      {"", "has 0 bytes"},
      {std::string(300, 'd'), "has 300 bytes"},
      {"link", "is a symbolic link"},
      {"inner_link", "is a symbolic link"},
      {"hard_link", "hard links"},
      {"sub", "is not a regular file"},
      {"pipe", "is not a regular file"},
      {"absent", "No such file"},
      {"short", "its 16 bytes at 0 do not lie within the 15 bytes of short"},
  };
  for (const auto& [location, cause] : table) {
    SCOPED_TRACE(location);
    const std::string message = refusal_of(location);
    EXPECT_NE(message.find(cause), std::string::npos) << message;
    EXPECT_NE(message.find("\"w\""), std::string::npos) << message;
  }
}

TEST_F(VerifyFile, RefusesOffsetsBeyondTheFileWithoutOverflow) {
  const auto at = [&](const std::string& offset) {
    ModelBytes m;
    m.weights = {external_tensor("w", kFloat, {4}, {{"location", "data"}, {"offset", offset}})};
    write(folder() / "model.onnx", m.text());
    try {
      verify_file(folder() / "model.onnx");
    } catch (const Error& e) {
      return std::string(e.what());
    }
    return std::string();
  };
  EXPECT_EQ(at("48"), "");
  for (const char* offset : {"49", "64", "65", "9223372036854775807", "9223372036854775800"}) {
    EXPECT_NE(at(offset).find("do not lie within the 64 bytes of data"), std::string::npos) << offset;
  }
}

TEST_F(VerifyFile, NoticesDataThatChangedAfterTheyWereLookedAt) {
  const VerifiedModel model = verify("data");
  std::filesystem::remove(folder() / "data");
  EXPECT_THROW(model.check_unchanged(), Error);
  std::filesystem::create_symlink(outside_.path() / "secret", folder() / "data");
  EXPECT_THROW(model.check_unchanged(), Error);
  std::filesystem::remove(folder() / "data");
  write(folder() / "data", std::string(65, 'd'));
  EXPECT_THROW(model.check_unchanged(), Error);
}

TEST_F(VerifyFile, NamesAModelThatIsNotThere) {
  EXPECT_THROW(verify_file(folder() / "absent.onnx"), Error);
  EXPECT_THROW(verify_file(folder()), Error);
}

}  // namespace
}  // namespace duan::onnx
