// Small templates, rendered by Jinja2 (tools/make_template_goldens.py) and by us.
#include <gtest/gtest.h>

#include <sstream>

#include "base/error.h"
#include "base/json.h"
#include "support/paths.h"
#include "text/jinja_evaluator.h"
#include "text/jinja_parser.h"

namespace duan::text::jinja {
namespace {

std::string render(const std::string& source, const Json& context) {
  const Template parsed = parse_template(source, "case", {});
  Context variables;
  for (const auto& [name, value] : context.items()) variables.emplace_back(name, from_json(value));
  return evaluate(parsed, variables, {});
}

TEST(JinjaGolden, EveryTemplateRendersOrFailsAsJinja2Does) {
  std::istringstream lines(read_file(test::data_dir() / "templates" / "cases.jsonl"));
  int rendered = 0, refused = 0;
  for (std::string line; std::getline(lines, line);) {
    const Json sample = parse_json(line, "cases.jsonl");
    const std::string source = sample["source"];
    SCOPED_TRACE(source);
    if (sample.contains("error")) {
      try {
        ADD_FAILURE() << "rendered as " << render(source, sample["context"]);
      } catch (const Error& error) {
        EXPECT_EQ(error.where().substr(0, 5), "case:") << error.what();
        EXPECT_EQ(std::string(error.what()).find('\n'), std::string::npos) << error.what();
      }
      ++refused;
      continue;
    }
    try {
      EXPECT_EQ(render(source, sample["context"]), sample["rendered"].get<std::string>());
    } catch (const Error& error) {
      ADD_FAILURE() << error.what();
    }
    ++rendered;
  }
  EXPECT_GT(rendered, 200);
  EXPECT_GT(refused, 100);
}

}  // namespace
}  // namespace duan::text::jinja
