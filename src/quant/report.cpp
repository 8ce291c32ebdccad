#include "quant/report.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "base/svg.h"
#include "quant/report_plot.h"

namespace duan::quant {
namespace {

using svg::escaped;

constexpr const char* kStyle = R"(
:root { color-scheme: light dark; --text: #222; --soft: #666; --page: #fff; --line: #ddd; --before: #d55e00; --after: #0072b2; }
@media (prefers-color-scheme: dark) {
  :root { --text: #ddd; --soft: #999; --page: #16181b; --line: #3a3d42; --before: #f0954a; --after: #56b4e9; }
}
body { margin: 2em auto; max-width: 72em; padding: 0 1em; font: 15px/1.5 sans-serif; color: var(--text); background: var(--page); }
h1 { font-size: 1.5em; } h2 { font-size: 1.15em; margin-top: 2em; }
table { border-collapse: collapse; } .wide { overflow-x: auto; }
th, td { padding: .2em .8em .2em 0; border-bottom: 1px solid var(--line); text-align: left; vertical-align: top; }
th { font-weight: 600; } td.number, th.number { text-align: right; font-variant-numeric: tabular-nums; }
svg { width: 100%; height: auto; margin: .5em 0; font: 12px sans-serif; fill: var(--text); }
svg .title { font-weight: 600; font-size: 13px; } svg .axis { stroke: var(--soft); } svg .grid { stroke: var(--line); }
svg .before { fill: var(--page); stroke: var(--before); stroke-width: 1.5; } svg .after { fill: var(--after); }
svg .change { stroke: var(--before); stroke-opacity: .5; }
p, small { color: var(--soft); }
)";

// A number as short as it can be read, "" if there is none.
std::string number(const Json& object, const char* key, double factor = 1, const char* format = "{:.4g}") {
  const auto found = object.find(key);
  if (found == object.end() || !found->is_number()) return "";
  return fmt::format(fmt::runtime(format), found->get<double>() * factor);
}

std::string percent(const Json& object, const char* key) { return number(object, key, 100, "{:.3f}"); }

// Any value as one text: lists with commas, what is absent as a dash.
std::string plain(const Json& value) {
  if (value.is_string()) return value.get<std::string>();
  if (value.is_null()) return "-";
  if (!value.is_array()) return to_text(value);
  std::vector<std::string> parts;
  for (const Json& item : value) parts.push_back(plain(item));
  return parts.empty() ? "-" : fmt::format("{}", fmt::join(parts, ", "));
}

std::string megabytes(double bytes) { return fmt::format("{:.1f} MB", bytes * 1e-6); }

// Rows of escaped cells; columns from `numbers` on are set to the right.
class Table {
 public:
  Table(const std::vector<std::string>& head, size_t numbers) : numbers_(numbers) { add(head, "th"); }
  void add(const std::vector<std::string>& cells, const char* tag = "td") {
    rows_ += "<tr>";
    for (size_t i = 0; i < cells.size(); ++i) {
      rows_ += fmt::format("<{0}{1}>{2}</{0}>", tag, i >= numbers_ ? " class=\"number\"" : "", escaped(cells[i]));
    }
    rows_ += "</tr>\n";
  }
  std::string html() const { return "<div class=\"wide\"><table>\n" + rows_ + "</table></div>\n"; }

 private:
  size_t numbers_;
  std::string rows_;
};

std::string section(const std::string& title, const std::string& content) {
  return content.empty() ? "" : fmt::format("<h2>{}</h2>\n{}", escaped(title), content);
}

std::string note(const std::string& text) { return "<p>" + escaped(text) + "</p>\n"; }

std::string summary(const Json& report) {
  const Json& bytes = report.at("bytes");
  const auto from = bytes.at("source").get<double>(), to = bytes.at("output").get<double>();
  Table table({"", ""}, 2);
  table.add({"source", plain(report.value("source", Json::object()).value("name", Json("")))});
  table.add({"method", plain(report.at("recipe").at("method"))});
  table.add({"weights of the source", megabytes(from)});
  table.add({"weights of the output", fmt::format("{}, {:.2f} % of it", megabytes(to), 100 * to / from)});
  if (const Json& calibration = report.at("calibration"); calibration.is_object()) {
    std::string text =
        fmt::format("{} samples, {} tokens", plain(calibration.at("samples")), plain(calibration.at("tokens")));
    if (calibration.contains("pictures")) {
      text += fmt::format(", {} of them of {} pictures", plain(calibration.at("image_tokens")),
                          plain(calibration.at("pictures")));
    }
    table.add({"calibration", text});
  }
  const Json run = report.value("run", Json::object());
  if (run.contains("seconds")) table.add({"time", number(run, "seconds", 1, "{:.1f} s")});
  if (run.contains("peak_rss_bytes")) table.add({"peak RSS", number(run, "peak_rss_bytes", 1e-6, "{:.0f} MB")});
  if (run.value("resumed_blocks", 0) > 0) {
    table.add({"taken over from a stopped run", fmt::format("{} blocks", plain(run.at("resumed_blocks")))});
  }
  return table.html();
}

std::string recipe(const Json& report) {
  Table table({"option", "value"}, 2);
  for (const auto& [key, value] : report.at("recipe").items()) table.add({key, plain(value)});
  return table.html();
}

std::string interval(const Json& object, const char* key, double factor, const char* format) {
  const auto found = object.find(key);
  if (found == object.end() || found->size() != 2) return "";
  const auto end = [&](size_t i) {
    return (*found)[i].is_number() ? fmt::format(fmt::runtime(format), factor * (*found)[i].get<double>()) : "-";
  };
  return end(0) + " to " + end(1);
}

std::string evaluation(const Json& report) {
  const auto found = report.find("evaluation");
  if (found == report.end()) return "";
  const Json& e = *found;
  Table table({"", "", "95 % confidence"}, 1);
  const auto with_interval = [&](const char* title, const char* key) {
    const Json& value = e.at(key);
    table.add({title, number(value, "value", 1, "{:.6g}"), interval(value, "interval_95", 1, "{:.6g}")});
  };
  with_interval("perplexity", "perplexity");
  with_interval("perplexity of the source", "reference_perplexity");
  with_interval("ln(perplexity / source's)", "ln_perplexity_ratio");
  const Json& kl = e.at("kl");
  table.add(
      {"KL(source, output) in nats: mean", number(kl, "mean", 1, "{:.6g}"), interval(kl, "interval_95", 1, "{:.6g}")});
  for (const auto& [key, title] :
       {std::pair{"median", "median"}, {"p95", "95 %"}, {"p99", "99 %"}, {"max", "maximum"}}) {
    if (kl.contains(key)) table.add({fmt::format("KL: {}", title), number(kl, key, 1, "{:.6g}"), ""});
  }
  table.add({"top-1 agreement in percent", percent(e, "top1"), interval(e, "top1_interval_95", 100, "{:.3f}")});
  return note(fmt::format("Of the output against the source, on {} predicted tokens of {}, {}.", plain(e.at("tokens")),
                          plain(e.value("file", Json("held-out text"))), plain(e.value("compute", Json("fp32"))))) +
         table.html();
}

std::string plots(const Json& report) {
  std::vector<LayerMark> outputs, weights;
  for (const Json& module : report.at("modules")) {
    const auto name = module.at("module").get<std::string>();
    const auto value = [&](const char* key) -> std::optional<double> {
      const auto found = module.find(key);
      if (found == module.end() || !found->is_number()) return std::nullopt;
      return 100 * found->get<double>();
    };
    if (const auto error = value("output_error")) outputs.push_back({name, *error, value("output_error_unsmoothed")});
    if (const auto error = value("weight_error")) weights.push_back({name, *error, std::nullopt});
  }
  const std::string drawn =
      layer_plot("Output error of each layer", outputs) + layer_plot("Weight error of each layer", weights);
  return drawn.empty() ? ""
                       : note(
                             "Relative, in percent: |Y' - Y| / |Y| on calibration inputs and |W' - W| / |W|. "
                             "Marks show the layer's name and numbers.") +
                             drawn;
}

// Keys of a list of objects that are not `known`, in the order they come: numbers and notes of single methods.
std::vector<std::string> further_keys(const Json& list, std::initializer_list<std::string_view> known) {
  std::vector<std::string> keys;
  for (const Json& object : list) {
    for (const auto& [key, value] : object.items()) {
      const bool is_new = std::find(known.begin(), known.end(), key) == known.end() &&
                          std::find(keys.begin(), keys.end(), key) == keys.end();
      if (is_new) keys.push_back(key);
    }
  }
  return keys;
}

std::string cell(const Json& object, const std::string& key) {
  if (!object.contains(key)) return "";
  const Json& value = object.at(key);
  return value.is_number() ? number(object, key.c_str()) : plain(value);
}

std::string modules(const Json& report) {
  const Json& list = report.at("modules");
  const std::vector<std::string> further =
      further_keys(list, {"module", "kept", "input_range", "weight_error", "output_error", "output_error_unsmoothed"});
  std::vector<std::string> head = {"module", "input range", "weight error %", "output error %, without smoothing",
                                   "output error %"};
  head.insert(head.end(), further.begin(), further.end());
  Table table(head, 1);
  for (const Json& module : list) {
    const char* before = module.contains("output_error_unsmoothed") ? "output_error_unsmoothed" : "output_error";
    std::vector<std::string> cells = {
        plain(module.at("module")), module.contains("kept") ? "kept" : number(module, "input_range"),
        percent(module, "weight_error"), percent(module, before), percent(module, "output_error")};
    for (const std::string& key : further) cells.push_back(cell(module, key));
    table.add(cells);
  }
  return table.html();
}

std::string kept(const Json& report) {
  Table table({"module", "why"}, 2);
  bool any = false;
  for (const Json& module : report.at("modules")) {
    if (!module.contains("kept")) continue;
    table.add({plain(module.at("module")), plain(module.at("kept"))});
    any = true;
  }
  return any ? table.html() : "";
}

std::string pairs(const Json& report) {
  const Json& pairs = report.at("smoothing");
  if (pairs.empty()) return "";
  Table table({"producer", "consumers", "chosen", "scales: least", "median", "largest", "loss before", "loss after"},
              3);
  for (const Json& pair : pairs) {
    std::string chosen;
    if (pair.contains("not_smoothed")) {
      chosen = "none: " + plain(pair.at("not_smoothed"));
    } else if (pair.contains("alpha")) {
      chosen = "alpha " + plain(pair.at("alpha"));
    } else if (pair.contains("ratio")) {
      chosen = fmt::format("ratio {}{}", number(pair, "ratio", 1, "{:.3f}"),
                           pair.value("duo_scaling", false) ? ", with weights" : "");
    }
    const Json scales = pair.value("scales", Json::object());
    table.add({plain(pair.at("producer")), plain(pair.at("consumers")), chosen, number(scales, "min"),
               number(scales, "median"), number(scales, "max"), number(pair, "loss_before"),
               number(pair, "loss_after")});
  }
  return table.html();
}

std::string refused(const Json& report) {
  const Json list = report.value("refused", Json::array());
  if (list.empty()) return "";
  Table table({"producer", "consumers", "reason"}, 3);
  for (const Json& pair : list) {
    table.add({plain(pair.at("producer")), plain(pair.at("consumers")), plain(pair.at("reason"))});
  }
  return table.html();
}

std::string files(const Json& report) {
  Table table({"file", "bytes"}, 1);
  for (const Json& file : report.at("files")) table.add({plain(file.at("name")), plain(file.at("bytes"))});
  return table.html();
}

}  // namespace

std::string report_html(const Json& report) {
  const std::string title =
      fmt::format("{}, {}", plain(report.value("source", Json::object()).value("name", Json("model"))),
                  plain(report.at("recipe").at("method")));
  std::string out = fmt::format(
      "<!DOCTYPE html>\n<html lang=\"en\" xmlns=\"http://www.w3.org/1999/xhtml\">\n<head>\n<meta charset=\"utf-8\"/>\n"
      "<meta name=\"viewport\" content=\"width=device-width\"/>\n"
      "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\"/>\n"
      "<title>{0}</title>\n<style>{1}</style>\n</head>\n<body>\n<h1>Quantization report: {0}</h1>\n",
      escaped(title), kStyle);
  out += summary(report);
  out += section("Evaluation on held-out text", evaluation(report));
  out += section("Recipe", recipe(report));
  out += section("Errors by layer", plots(report));
  out += section("Matrices", modules(report));
  out += section("Kept in full precision", kept(report));
  out += section("Smoothing pairs", pairs(report));
  out += section("Refused pairs", refused(report));
  out += section("Files", files(report));
  return out + "</body>\n</html>\n";
}

}  // namespace duan::quant
