#include "quant/report.h"

#include <gtest/gtest.h>

#include "quant/support.h"
#include "support/xml.h"

namespace duan::quant {
namespace {

const char* const kHostile = "</td><script>alert(1)</script>&\"'\x01\xFF";

Json made_up() {
  return {
      {"source", {{"name", "Qwen3"}, {"model_type", "qwen3"}}},
      {"recipe", {{"method", "awq"}, {"bits", 4}, {"keep", {"lm_head", "x"}}, {"include", Json::array()}}},
      {"calibration", {{"samples", 8}, {"tokens", 100}, {"pictures", 3}, {"image_tokens", 40}, {"hash", "0"}}},
      {"bytes", {{"source", 4'000'000}, {"output", 1'000'000}}},
      {"modules",
       {{{"module", "layers.0.up"}, {"weight_error", 0.05}, {"output_error", 0.02}, {"output_error_unsmoothed", 0.04}},
        {{"module", "layers.1.up"}, {"weight_error", 0.06}, {"output_error", 0.03}},
        {{"module", "lm_head"}, {"kept", "--keep lm_head"}}}},
      {"smoothing",
       {{{"producer", "norm"},
         {"consumers", {"a", "b"}},
         {"ratio", 0.5},
         {"duo_scaling", true},
         {"loss_before", 0.2},
         {"loss_after", 0.1},
         {"scales", {{"min", 0.25}, {"median", 1}, {"max", 7.5}}}},
        {{"producer", "up"}, {"consumers", Json::array({"down"})}, {"not_smoothed", "its consumers are kept"}}}},
      {"refused",
       Json::array(
           {{{"producer", nullptr}, {"consumers", Json::array({"o_proj"})}, {"reason", "heads share values"}}})},
      {"files", Json::array({{{"name", "model.safetensors"}, {"bytes", 1'000'123}}})},
      {"run", {{"seconds", 61.25}, {"peak_rss_bytes", 48'000'000}, {"resumed_blocks", 2}}}};
}

test::Xml page(const Json& report) { return test::parse_xml(report_html(report)); }

TEST(Report, SaysWhatTheRunDid) {
  const test::Xml xml = page(made_up());
  ASSERT_EQ(xml.error, "");
  EXPECT_EQ(xml.count("html"), 1u);
  EXPECT_TRUE(xml.has_text("h1", "Quantization report: Qwen3, awq"));
  for (const char* text : {"4.0 MB",
                           "1.0 MB, 25.00 % of it",
                           "8 samples, 100 tokens, 40 of them of 3 pictures",
                           "61.2 s",
                           "48 MB",
                           "2 blocks",
                           "lm_head, x",
                           "-",
                           "layers.0.up",
                           "2.000",
                           "4.000",
                           "5.000",
                           "--keep lm_head",
                           "ratio 0.500, with weights",
                           "a, b",
                           "0.25",
                           "7.5",
                           "0.2",
                           "none: its consumers are kept",
                           "heads share values",
                           "model.safetensors",
                           "1000123"}) {
    EXPECT_TRUE(xml.has_text("td", text)) << text;
  }
  EXPECT_EQ(xml.count("svg"), 2u);
  EXPECT_EQ(xml.count("g", "mark"), 2u + 2u);
  EXPECT_FALSE(xml.has_text("h2", "Evaluation on held-out text"));
}

TEST(Report, NumbersOfSingleMethodsHaveColumnsOfTheirOwn) {
  Json report = made_up();
  report["modules"][1]["<loss>"] = 0.125;
  report["modules"][0]["note"] = "to nearest";
  const test::Xml xml = page(report);
  ASSERT_EQ(xml.error, "");
  EXPECT_TRUE(xml.has_text("th", "<loss>"));
  EXPECT_TRUE(xml.has_text("td", "0.125"));
  EXPECT_TRUE(xml.has_text("th", "note"));
  EXPECT_TRUE(xml.has_text("td", "to nearest"));
}

TEST(Report, HasNoScriptAndNothingFromTheNetwork) {
  const std::string html = report_html(made_up());
  for (const char* never : {"<script", "javascript", " src=", " href=", "url(", "@import", "onload"}) {
    EXPECT_EQ(html.find(never), std::string::npos) << never;
  }
  // Addresses are names of namespaces only.
  for (size_t at = html.find("http"); at != std::string::npos; at = html.find("http", at + 1)) {
    EXPECT_TRUE(html.substr(at - 7, 7) == "xmlns=\"" || html.substr(at, 10) == "http-equiv") << html.substr(at, 60);
  }
  EXPECT_NE(html.find("prefers-color-scheme: dark"), std::string::npos);
  EXPECT_EQ(html, report_html(made_up()));
}

TEST(Report, EveryStringIsEscaped) {
  Json report = made_up();
  report["source"]["name"] = kHostile;
  report["recipe"][kHostile] = Json::array({kHostile});
  report["modules"][0]["module"] = kHostile;
  report["modules"][2]["kept"] = kHostile;
  report["smoothing"][0]["producer"] = kHostile;
  report["smoothing"][1]["not_smoothed"] = kHostile;
  report["refused"][0]["reason"] = kHostile;
  report["files"][0]["name"] = kHostile;
  const test::Xml xml = page(report);
  EXPECT_EQ(xml.error, "");
  EXPECT_EQ(xml.count("script"), 0u);
  EXPECT_TRUE(xml.has_text("td", "</td><script>alert(1)</script>&\"' \xEF\xBF\xBD"));
}

TEST(Report, ShowsAnEvaluation) {
  Json report = made_up();
  const auto value = [](double v, double low, double high) -> Json {
    return {{"value", v}, {"interval_95", {low, high}}};
  };
  report["evaluation"] = {{"kl", {{"mean", 0.0125}, {"interval_95", {0.01, 0.015}}, {"median", 0.001}, {"max", 2.5}}},
                          {"top1", 0.975},
                          {"top1_interval_95", {0.97, 0.98}},
                          {"perplexity", value(1.25, 1.125, 1.5)},
                          {"reference_perplexity", value(1.2, 1.1, 1.3)},
                          {"ln_perplexity_ratio", value(0.04, 0.03, 0.05)},
                          {"tokens", 800},
                          {"file", "held.txt"},
                          {"compute", "fp32"}};
  const test::Xml xml = page(report);
  ASSERT_EQ(xml.error, "");
  for (const char* text :
       {"0.0125", "0.01 to 0.015", "2.5", "97.500", "97.000 to 98.000", "1.25", "1.125 to 1.5", "0.03 to 0.05"}) {
    EXPECT_TRUE(xml.has_text("td", text)) << text;
  }
  EXPECT_TRUE(xml.has_text("p", "Of the output against the source, on 800 predicted tokens of held.txt, fp32."));
  // One token says nothing of the spread: JSON has no infinity.
  report["evaluation"]["kl"]["interval_95"] = {nullptr, nullptr};
  EXPECT_TRUE(page(report).has_text("td", "- to -"));
}

// The report of a real run lists every module, and draws those that were rounded.
TEST(Report, HasEveryLayerOfARun) {
  const models::Model model = models::Model::open(test::data_dir() / "models/qwen3-untied");
  const CalibrationSet samples = test::some_samples(model.config.vocab_size, 2, 12);
  const test::TemporaryDir dir;
  QuantizeOptions options = test::options_for(Method::int8_static);
  options.recipe.alpha = 0.5;
  options.recipe.keep = {"layers.0.mlp.up_proj"};
  const Json report = quantize(model, &samples, dir.path() / "out", options);
  const std::string html = read_file(dir.path() / "out" / kReportPage);
  EXPECT_EQ(html, report_html(report));
  const test::Xml xml = test::parse_xml(html);
  ASSERT_EQ(xml.error, "");
  size_t with_output = 0, with_weight = 0;
  for (const Json& module : report.at("modules")) {
    EXPECT_TRUE(xml.has_text("td", module.at("module").get<std::string>())) << module;
    with_output += module.contains("output_error");
    with_weight += module.contains("weight_error");
  }
  EXPECT_GT(with_output, 10u);
  EXPECT_EQ(xml.count("g", "mark"), with_output + with_weight);
  for (const Json& pair : report.at("smoothing")) {
    EXPECT_TRUE(xml.has_text("td", pair.at("producer").get<std::string>())) << pair;
    if (pair.contains("not_smoothed")) continue;
    EXPECT_LE(pair.at("scales").at("min").get<double>(), pair.at("scales").at("median").get<double>());
    EXPECT_LE(pair.at("scales").at("median").get<double>(), pair.at("scales").at("max").get<double>());
  }
  EXPECT_FALSE(report.at("refused").empty());
  for (const Json& pair : report.at("refused")) {
    EXPECT_TRUE(xml.has_text("td", pair.at("reason").get<std::string>())) << pair;
  }
  EXPECT_EQ(report.at("source").at("name"), "qwen3-untied");
  EXPECT_GT(report.at("run").at("peak_rss_bytes").get<double>(), 1e6);
}

}  // namespace
}  // namespace duan::quant
